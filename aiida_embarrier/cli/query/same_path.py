"""``aiida-embarrier query same-path``: the same path by several engines, potentials or functionals."""

from __future__ import annotations

from typing import Any

import click

from aiida_embarrier.cli.bands import BAND_FILTERS
from aiida_embarrier.cli.output import Column
from aiida_embarrier.cli.params import load_band, with_profile
from aiida_embarrier.cli.tables import TABLE_FORMAT, echo_frame

__all__ = ('command',)

TABLE = (
    Column('path', 'group', 'd'),
    Column('PK', 'pk', 'd'),
    Column('process', 'process', 'd'),
    Column('host', lambda row: row['host'] or row['formula']),
    Column('ion', 'mobile_ion'),
    Column('(Å)', 'hop_length', '.2f'),
    Column('engine', 'engine'),
    Column('functional', 'functional'),
    Column('potential', 'potential'),
    Column('charge', 'charge', 'g'),
    Column('images', 'n_images', 'd'),
    Column('converged', 'converged'),
    Column('forward (eV)', 'barrier_forward', '.3f'),
    Column('reverse (eV)', 'barrier_reverse', '.3f'),
    Column('reversed', 'reversed'),
    Column('match', 'match'),
)


@click.command('same-path')
@click.argument('node', required=False)
@click.option(
    '--tolerance',
    type=click.FloatRange(min=0, min_open=True),
    default=0.5,
    show_default=True,
    metavar='Å',
    help='How far atoms may be from each other.',
)
@BAND_FILTERS
@TABLE_FORMAT
@with_profile
def command(node: str | None, tolerance: float, filters: dict[str, Any], output_format: str) -> None:
    """Bands of the same path as NODE, a band or a process; without NODE all paths computed in at least two ways.

    Ways differ in engine, potential, functional or charge. Barriers are given in the direction of the first band.
    """
    from aiida_embarrier.queries.same_path import same_path

    found = same_path(None if node is None else load_band(node), tolerance, **filters)
    echo_frame(found, TABLE, output_format, 'No path was computed in two ways.')
