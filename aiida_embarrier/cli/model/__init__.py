"""``aiida-embarrier model``.

A new command is a module of this package that holds a click command named ``command``, and a line in :data:`NAMES`.
"""

from __future__ import annotations

import click

from aiida_embarrier.cli.groups import LazyGroup

__all__ = ('NAMES', 'command')

#: The commands in the order of ``--help``.
NAMES: tuple[str, ...] = ('show', 'analyse', 'export', 'import')


@click.group('model', cls=LazyGroup, package=__name__, names=NAMES)
def command() -> None:
    """Trained models: what they are, and how they travel as files."""
