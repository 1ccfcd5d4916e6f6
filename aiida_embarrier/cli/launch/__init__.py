"""``aiida-embarrier launch``: start a process, in this terminal or through the daemon.

A new process is a module of this package that holds a click command named ``command``, and a line in :data:`PROCESSES`.
What such modules share: :mod:`.paths` (which path), :mod:`.settings` (how it is computed, and where), :mod:`.start`.
"""

from __future__ import annotations

import click

from aiida_embarrier.cli.groups import LazyGroup

__all__ = ('PROCESSES', 'command')

#: The processes in the order of ``--help``.
PROCESSES = (
    'barrier',
    'network',
    'convergence',
    'segments',
    'potentials',
    'functionals',
    'derive',
    'entry',
    'train',
    'barrier-model',
    'study',
)


@click.group('launch', cls=LazyGroup, package=__name__, names=PROCESSES)
def command() -> None:
    """Start a process, in this terminal or (--submit) through the daemon."""
