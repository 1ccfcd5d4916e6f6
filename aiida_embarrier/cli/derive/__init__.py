"""``aiida-embarrier derive``.

A new derivation is a module of this package that holds a click command named ``command``, and a line in :data:`NAMES`.
"""

from __future__ import annotations

import click

from aiida_embarrier.cli.groups import LazyGroup

__all__ = ('NAMES', 'command')

#: The commands in the order of ``--help``.
NAMES: tuple[str, ...] = ('lookup', 'scale', 'orderings', 'charge', 'endpoints')


@click.group('derive', cls=LazyGroup, package=__name__, names=NAMES)
def command() -> None:
    """Make the structure that a barrier needs from one that there is: from a parent, ordered, charged."""
