"""Bands as commands filter and print them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.output import Column
from aiida_embarrier.cli.params import bundle

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

__all__ = ('BAND_FILTERS', 'BAND_TABLE', 'find_listed', 'nothing_found')

BAND_TABLE = (
    Column('PK', 'pk', 'd'),
    Column('process', 'process', 'd'),
    Column('label', 'label'),
    Column('host', lambda row: row['host'] or row['formula']),
    Column('ion', 'mobile_ion'),
    Column('hop', 'hop', 'd'),
    Column('(Å)', 'hop_length', '.2f'),
    Column('run', 'run'),
    Column('energies by', lambda row: row['potential'] or row['functional'] or row['engine']),
    Column('charge', 'charge', 'g'),
    Column('images', 'n_images', 'd'),
    Column('converged', 'converged'),
    Column('forward (eV)', 'barrier_forward', '.3f'),
    Column('reverse (eV)', 'barrier_reverse', '.3f'),
    Column('rate limiting', 'barrier_rate_limiting', '.3f'),
)

NOTHING = 'This profile has no band with energies yet: `aiida-embarrier launch barrier --help` tells how to get one.'

#: Conditions on bands; the command takes them as the mapping `filters`, arguments of `queries.bands.find_bands`.
BAND_FILTERS = bundle(
    'filters',
    click.option('--ion', metavar='SYMBOL', help='Migrating ion.'),
    click.option('--formula', help='Reduced formula of an image, vacancy included.'),
    click.option('--host', help='Reduced formula of the host crystal.'),
    click.option('--engine', metavar='NAME', help='Engine.'),
    click.option('--potential', metavar='NAME', help='Potential, such as chgnet, or with its model, chgnet-0.3.0.'),
    click.option('--functional', metavar='KEY', help='Density functional, such as scan+u.'),
    click.option('--charge', type=float, metavar='Q', help='Charge of the cell in units of e.'),
    click.option('--min-barrier', 'barrier_min', type=float, metavar='eV', help='Smallest forward barrier.'),
    click.option('--max-barrier', 'barrier_max', type=float, metavar='eV', help='Largest forward barrier.'),
    click.option('--converged/--unconverged', default=None, help='Only bands that converged, or only others.'),
    click.option(
        '--all',
        'replaced',
        is_flag=True,
        help='Also bands in place of which a later job of the same process left another.',
    ),
    click.option('--limit', type=click.IntRange(min=0), metavar='N', help='At most so many, the newest first.'),
)


def find_listed(filters: Mapping[str, Any]) -> pd.DataFrame:
    """Return the bands that meet conditions, with the processes that somebody started for them."""
    import pandas as pd

    from aiida_embarrier.queries.bands import find_bands
    from aiida_embarrier.queries.origins import origins

    bands = find_bands(**filters)
    where_from = pd.DataFrame(origins(bands['pk']), columns=['process', 'label', 'hop', 'run'])
    return pd.concat([bands, where_from.astype({'process': 'Int64', 'hop': 'Int64'})], axis='columns')


def nothing_found() -> str:
    """Return what a reader sees of an empty table of bands."""
    from aiida_embarrier.queries.bands import find_bands

    return NOTHING if find_bands(limit=1).empty else 'No band meets these conditions.'
