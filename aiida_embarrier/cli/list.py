"""``aiida-embarrier list``: the bands of a profile, filtered."""

from __future__ import annotations

from typing import Any

import click

from aiida_embarrier.cli.output import Column, echo_json, echo_table
from aiida_embarrier.cli.params import FORMAT, with_profile

__all__ = ('command',)

TABLE = (
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


@click.command('list')
@click.option('--ion', metavar='SYMBOL', help='Migrating ion.')
@click.option('--formula', help='Reduced formula of an image, vacancy included.')
@click.option('--host', help='Reduced formula of the host crystal.')
@click.option('--engine', metavar='NAME', help='Engine.')
@click.option('--potential', metavar='NAME', help='Potential, such as chgnet, or with its model, chgnet-0.3.0.')
@click.option('--functional', metavar='KEY', help='Density functional, such as scan+u.')
@click.option('--charge', type=float, metavar='Q', help='Charge of the cell in units of e.')
@click.option('--min-barrier', type=float, metavar='eV', help='Smallest forward barrier.')
@click.option('--max-barrier', type=float, metavar='eV', help='Largest forward barrier.')
@click.option('--converged/--unconverged', default=None, help='Only bands that converged, or only others.')
@click.option(
    '--all', 'replaced', is_flag=True, help='Also bands in place of which a later job of the same process left another.'
)
@click.option('--limit', type=int, metavar='N', help='At most so many, the newest first.')
@FORMAT
@with_profile
def command(min_barrier: float | None, max_barrier: float | None, output_format: str, **filters: Any) -> None:
    """List the bands with energies, the newest first, with the process that somebody started for them."""
    from aiida_embarrier.queries.bands import find_bands
    from aiida_embarrier.queries.origins import origins

    table = find_bands(barrier_min=min_barrier, barrier_max=max_barrier, **filters)
    rows = table.astype(object).where(table.notna(), None).to_dict(orient='records')
    rows = [{**row, **origin} for row, origin in zip(rows, origins(row['pk'] for row in rows), strict=True)]
    if output_format == 'json':
        echo_json(rows)
    elif rows:
        echo_table(rows, TABLE)
    else:
        nothing = find_bands(limit=1).empty
        click.echo(NOTHING if nothing else 'No band meets these conditions.')
