"""An entry of a dataset: the barrier of the literature, and the computed one beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.bands.barriers import QUANTITIES
from aiida_embarrier.cli.output import Column, echo_pairs, echo_table
from aiida_embarrier.cli.views import output_of, warning_of
from aiida_embarrier.cli.views.derive import BRANCHES

if TYPE_CHECKING:
    from aiida.orm import ProcessNode
    from matplotlib.figure import Figure

__all__ = ('OUTPUT', 'PICTURE', 'describe', 'draw', 'echo')

OUTPUT = 'entry'
PICTURE = 'energy_path'

BARRIERS = (
    Column('barrier', 'name'),
    Column('computed (eV)', 'computed', 'z.3f'),
    Column('literature (eV)', 'literature', 'z.3f'),
    Column('difference (eV)', 'difference', '+.3f'),
    Column('definition', 'definition', width=60),
)


def describe(node: ProcessNode) -> dict[str, Any]:
    """Return an entry, and the PKs of its band and structure.

    :raises click.ClickException: for a process that made none.
    """
    entry = output_of(node, OUTPUT, 'entry').get_dict()
    nodes = {name: node.outputs[name].pk if name in node.outputs else None for name in ('band', 'structure')}
    return {'pk': node.pk, 'uuid': node.uuid, **entry, **nodes}


def echo(description: dict[str, Any]) -> None:
    """Print a description for people."""
    literature, computed, found = (description[name] for name in ('literature', 'computed', 'comparison'))
    echo_pairs(
        {
            'process': description['pk'],
            'row': description['name'],
            'formula': description['formula'],
            'ion': f'{description["ion"]}, {computed["mechanism"]} mechanism',
            'source': description['source'],
            'literature by': literature['functional'],
            'computed by': computed['functional'] or computed['potential'] or computed['engine'],
            'band': description['band'],
            'converged': computed['converged'],
        }
    )
    click.echo()
    rows = []
    for name in QUANTITIES:
        compared = name == found['definition']
        rows.append(
            {
                'name': name.replace('_', ' '),
                'computed': computed[name],
                'literature': found['literature'] if compared else None,
                'difference': found['difference'] if compared else None,
                'definition': description['definitions'].get(name),
            }
        )
    echo_table(rows, BARRIERS)
    if description['branches']:
        click.echo()
        echo_table(description['branches'], BRANCHES)
    for warning in description['warnings']:
        click.echo(f'\nwarning: {warning_of(warning, description["band"])}')


def draw(node: ProcessNode) -> Figure:
    """Draw the computed energies along the path, with the literature barrier as a line.

    :raises click.ClickException: for a process without an entry.
    """
    from aiida_embarrier.figures.energy_path import energy_path

    found = describe(node)
    figure = energy_path(node.outputs.band.band)
    literature = found['comparison']['literature']
    axes = figure.axes[0]
    axes.axhline(literature, color='0.35', linewidth=1.0, linestyle=':')
    axes.annotate(
        f'literature {literature:.3f} eV',
        (0.01, literature),
        xycoords=('axes fraction', 'data'),
        xytext=(0, 3),
        textcoords='offset points',
        color='0.35',
        fontsize=9,
    )
    return figure
