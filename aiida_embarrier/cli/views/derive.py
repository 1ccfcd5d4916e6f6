"""A derived structure: the branches that led to it, its orderings, and its hops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.output import Column, echo_pairs, echo_table
from aiida_embarrier.cli.views import output_of

if TYPE_CHECKING:
    from aiida.orm import ProcessNode
    from matplotlib.figure import Figure

__all__ = ('BRANCHES', 'OUTPUT', 'PICTURE', 'describe', 'draw', 'echo')

OUTPUT = 'summary'
PICTURE = 'hop'

#: Orderings that are shown; the table of all is a node.
MOST = 10

BRANCHES = (Column('step', 'step'), Column('taken', 'taken'), Column('why', 'why', width=80))

ORDERINGS = (
    Column('ordering', 'number', 'd'),
    Column('multiplicity', 'multiplicity', 'd'),
    Column('Ewald energy (eV)', 'ewald_energy', '.3f'),
    Column('relaxed (eV per formula unit)', 'relaxed_energy', '.4f'),
    Column('rank', 'rank', 'd'),
    Column('status', 'status'),
)

HOPS = (
    Column('hop', 'number', 'd'),
    Column('length (Å)', 'length', '.2f'),
    Column('direction', 'direction'),
    Column('mechanism', 'mechanism'),
    Column('initial', 'initial', 'd'),
    Column('final', 'final', 'd'),
    Column('', 'message', width=60),
)


def describe(node: ProcessNode) -> dict[str, Any]:
    """Return the summary of a derivation, its orderings and hops, and the PKs of what it made.

    :raises click.ClickException: for a process that made none.
    """
    summary = output_of(node, OUTPUT, 'summary').get_dict()
    outputs = node.outputs
    nodes = {name: outputs[name].pk if name in outputs else None for name in ('structure', 'kinds', 'unrelaxed')}
    return {
        'pk': node.pk,
        'uuid': node.uuid,
        **summary,
        **nodes,
        'orderings': _orderings(outputs.orderings) if 'orderings' in outputs else [],
        'hops': _hops(outputs),
    }


def _orderings(table: Any) -> list[dict[str, Any]]:
    frame = table.table
    frame = frame.astype(object).where(frame.notna(), None)
    rows: list[dict[str, Any]] = frame.to_dict('records')
    # those that were compared come first, in their order
    return sorted(rows, key=lambda row: (row['rank'] is None, row['rank'] or 0, row['number']))


def _hops(outputs: Any) -> list[dict[str, Any]]:
    """Return the hops with the PKs of their endpoints, and why some have none."""
    if 'hops' not in outputs:
        return []
    plan = outputs.hops.get_dict()
    ends = outputs.endpoints if 'endpoints' in outputs else {}
    failures = outputs.summary.get_dict()['failures'] if 'summary' in outputs else {}
    rows = []
    for label, hop in plan['hops'].items():
        pair = {side: ends[label][side].pk if label in ends else None for side in ('initial', 'final')}
        shown = {name: hop[name] for name in ('number', 'ion', 'length', 'direction', 'mechanism')}
        rows.append({**shown, 'label': label, **pair, 'message': failures.get(label, plan['failed'].get(label, ''))})
    return rows


def echo(description: dict[str, Any]) -> None:
    """Print a description for people."""
    energy, units = description['energy'], description.get('formula_units')
    echo_pairs(
        {
            'process': description['pk'],
            'structure': f'{description["structure"]}, {description.get("formula")}'
            if description['structure'] is not None
            else None,
            'energy': None if energy is None or not units else f'{energy / units:.4f} eV per formula unit',
            'evaluations': description['n_force_evaluations'],
            'ended early': description['message'] or None,
        }
    )
    click.echo()
    echo_table(description['branches'], BRANCHES)
    rows = description['orderings']
    if rows:
        click.echo()
        echo_table(rows[:MOST], ORDERINGS)
        if len(rows) > MOST:
            click.echo(f'... and {len(rows) - MOST} more')
    if description['hops']:
        click.echo()
        echo_table(description['hops'], HOPS)
    for warning in description['warnings']:
        click.echo(f'\nwarning: {warning}')


def draw(node: ProcessNode) -> Figure:
    """Draw the way of the first hop through the crystal, straight between its ends.

    :raises click.ClickException: for a derivation without endpoints.
    """
    from aiida_embarrier.bands.band import Band, BandInfo
    from aiida_embarrier.data.convert import structure_from_node
    from aiida_embarrier.figures.migration_path import migration_path
    from aiida_embarrier.figures.style import chemical

    hop = next((hop for hop in _hops(node.outputs) if hop['initial'] is not None), None)
    if hop is None:
        raise click.ClickException(f'process {node.pk} made no endpoints, so there is no hop to draw')
    pair = node.outputs.endpoints[hop['label']]
    ends = [structure_from_node(pair[side]) for side in ('initial', 'final')]
    band = Band.from_structures(ends, mobile=[0], info=BandInfo(mechanism=hop['mechanism']))
    formula = chemical(ends[0].composition.reduced_formula)
    return migration_path(band, title=f'{hop["ion"]} hop {hop["number"]} in {formula}, {hop["length"]:.2f} Å')
