"""The command line ``aiida-embarrier``.

A new command is a module of this package that holds a click command named ``command``, and a line in :data:`COMMANDS`.
Command modules import at their top nothing heavier than click, so that ``--help`` and completion answer at once: what a
command works with is imported when it runs.
"""

from __future__ import annotations

import re
import sys
from typing import Any

import click

from aiida_embarrier import __version__
from aiida_embarrier.cli.groups import LazyGroup

__all__ = ('COMMANDS', 'main')

#: The commands in the order of ``--help``; the dashes of a command are underscores in its module.
COMMANDS = (
    'doctor',
    'setup',
    'hops',
    'derive',
    'launch',
    'watch',
    'resume',
    'import',
    'show',
    'plot',
    'list',
    'graph',
    'export',
    'publish',
    'dataset',
    'model',
    'predict',
    'evaluate',
    'query',
    'show-protocol',
)


class CommandLine(LazyGroup):
    """The group of all commands; it shows errors of the package without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command, and make errors whose message is meant for users into messages."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            if ctx.params.get('show_traceback') or not _is_for_users(error):
                raise
            raise click.ClickException(_message(error)) from error


def _is_for_users(error: Exception) -> bool:
    # AiiDA's errors exist only where a command has imported AiiDA.
    exceptions = sys.modules.get('aiida.common.exceptions')
    kinds: tuple[type[Exception], ...] = (ValueError, OSError)
    if exceptions is not None:
        kinds = (*kinds, exceptions.AiidaException)
    # A closed pipe (`| head`) is for click, which ends quietly.
    return isinstance(error, kinds) and not isinstance(error, BrokenPipeError)


_PORT = re.compile(r"^(?:invalid attribute value |Error occurred validating port '[^']*': )+")

#: An argument of a function as messages name it, with its value or without, and the option for it in brackets.
_ARGUMENT = re.compile(r'\b(\w+)(=[^\s()]+)? \(--([\w-]+)([^()]*)\)')


def _message(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f'{error.filename}: {error.strerror}'
    # AiiDA puts words of its own, and the name of a port, before what our validators say.
    return _ARGUMENT.sub(_option, _PORT.sub('', str(error))) or type(error).__name__


def _option(found: re.Match[str]) -> str:
    """Return the option alone where an argument stands before it, and other words as they are."""
    name, value, option, rest = found.groups()
    is_argument = value is not None or '_' in name or name == option
    return f'--{option}{rest}' if is_argument else found.group()


@click.group(
    cls=CommandLine, package=__name__, names=COMMANDS, context_settings={'help_option_names': ['-h', '--help']}
)
@click.version_option(__version__, prog_name='aiida-embarrier')
@click.option('--traceback', 'show_traceback', is_flag=True, help='Show where in the code an error comes from.')
def main(show_traceback: bool) -> None:
    """Compute migration barriers of battery materials, every step in the provenance graph."""
