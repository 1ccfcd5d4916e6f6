"""``aiida-embarrier dataset``.

A new command is a module of this package that holds a click command named ``command``, and a line in :data:`NAMES`.
"""

from __future__ import annotations

import click

from aiida_embarrier.cli.groups import LazyGroup

__all__ = ('NAMES', 'command')

#: The commands in the order of ``--help``.
NAMES: tuple[str, ...] = (
    'download',
    'import',
    'info',
    'overlap',
    'statistics',
    'split',
    'filter',
    'join',
    'assemble',
)


@click.group('dataset', cls=LazyGroup, package=__name__, names=NAMES)
def command() -> None:
    """Datasets of barriers and properties: take them in, look at them, split them."""
