"""Groups of commands that import a command only when it is asked for."""

from __future__ import annotations

import importlib
import keyword
from typing import Any

import click

__all__ = ('LazyGroup',)


class LazyGroup(click.Group):
    """A group whose commands are modules of a package, imported when they are asked for.

    :param package: name of the package; each of its modules holds a click command named ``command``.
    :param names: names of the commands in the order of ``--help``; the dashes of a name are underscores in its module,
        and one that is a keyword of Python has an underscore behind.
    """

    def __init__(self, *args: Any, package: str, names: tuple[str, ...], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.package = package
        self.names = names

    def list_commands(self, _: click.Context) -> list[str]:
        """Return the names of all commands."""
        return list(self.names)

    def get_command(self, _: click.Context, name: str) -> click.Command | None:
        """Return a command, None for an unknown name."""
        if name not in self.names:
            return None
        file = f'{name}_' if keyword.iskeyword(name) else name.replace('-', '_')
        module = importlib.import_module(f'{self.package}.{file}')
        command: click.Command = module.command
        return command
