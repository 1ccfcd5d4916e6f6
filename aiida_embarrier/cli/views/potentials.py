"""One path by several potentials: their barriers in one table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.output import Column, echo_pairs, echo_table
from aiida_embarrier.cli.views import output_of, warning_of

if TYPE_CHECKING:
    from aiida.orm import ProcessNode
    from matplotlib.figure import Figure

__all__ = ('OUTPUT', 'PICTURE', 'describe', 'draw', 'echo')

OUTPUT = 'table'
PICTURE = 'potentials'

POTENTIALS: tuple[Column, ...] = (
    Column('potential', 'name'),
    Column('functional', 'functional'),
    Column('forward (eV)', 'forward', '.3f'),
    Column('reverse (eV)', 'reverse', '.3f'),
    Column('rate limiting (eV)', 'rate_limiting', '.3f'),
    Column('last minus first (eV)', 'reaction_energy', '+.3f'),
    Column('force (eV/Å)', 'residual_force', '.3f'),
    Column('evaluations', 'evaluations', 'd'),
    Column('band', 'band', 'd'),
    Column('status', 'status'),
)


def describe(node: ProcessNode) -> dict[str, Any]:
    """Return the table of a comparison.

    :raises click.ClickException: for a process that made none.
    """
    table = output_of(node, OUTPUT, 'table of potentials').get_dict()
    pks = {label: node.outputs.bands[label].pk for label in node.outputs.bands}
    rows = [{**row, 'band': pks.get(row['label'])} for row in table['rows']]
    return {'pk': node.pk, 'uuid': node.uuid, **table, 'rows': rows}


def echo(description: dict[str, Any]) -> None:
    """Print a description for people."""
    reference = description['reference']
    echo_pairs(
        {
            'process': description['pk'],
            'path': 'single points on the images of one band' if description['single_point'] else 'each its own',
            'reference': None if reference is None else f'{reference["barrier"]:.3f} eV, {reference["label"]}',
            'evaluations': description['n_force_evaluations'],
        }
    )
    click.echo()
    columns = POTENTIALS
    if reference is not None:
        against = Column(f'{description["quantity"].replace("_", " ")} to reference (eV)', 'difference', '+.3f')
        columns = (*POTENTIALS[:-1], against, POTENTIALS[-1])
    echo_table(description['rows'], columns)
    for row in description['rows']:
        if row['message'] is not None:
            click.echo(f'\n{row["name"]}: {row["message"]}')
        for warning in row.get('warnings', []):
            if not description['single_point']:  # where nothing was to converge, what was not says nothing
                click.echo(f'\nwarning ({row["name"]}): {warning_of(warning, row["band"])}')


def draw(node: ProcessNode) -> Figure:
    """Draw the energy paths over each other, and the barriers beside them.

    :raises click.ClickException: for a process without a table.
    """
    from aiida_embarrier.figures.potential_comparison import potential_comparison

    table = describe(node)
    bands = {label: node.outputs.bands[label].band for label in node.outputs.bands}
    return potential_comparison(table, bands, title=node.label or None)
