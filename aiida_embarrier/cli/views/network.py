"""All hops of an ion in a crystal: their barriers, and how far they lead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.output import Column, echo_pairs, echo_table
from aiida_embarrier.cli.views import warning_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from aiida.orm import ProcessNode
    from matplotlib.figure import Figure

__all__ = ('OUTPUT', 'PICTURE', 'describe', 'draw', 'echo')

OUTPUT = 'network'
PICTURE = 'energy_paths'

HOPS = (
    Column('hop', 'hop', 'd'),
    Column('length (Å)', 'length', '.2f'),
    Column('direction', 'direction'),
    Column('in the cell', 'multiplicity', 'd'),
    Column('forward (eV)', 'barrier_forward', '.3f'),
    Column('reverse (eV)', 'barrier_reverse', '.3f'),
    Column('rate limiting (eV)', 'barrier_rate_limiting', '.3f'),
    Column('force (eV/Å)', 'residual_force', '.3f'),
    Column('status', lambda row: row['status'].replace('_', ' ')),
    Column('relaxations saved', 'relaxations_saved', 'd'),
)

TRANSPORT = (
    Column('dimensions', 'dimension', 'd'),
    Column('barrier (eV)', 'barrier', '.3f'),
    Column('limited by hop', 'hop', 'd'),
    Column('hops', lambda level: ', '.join(map(str, level['hops']))),
)


def describe(node: ProcessNode) -> dict[str, Any]:
    """Return the table of a network of hops.

    :raises click.ClickException: for a process that made none.
    """
    if OUTPUT not in node.outputs:
        state = node.process_state.value if node.process_state else 'of unknown state'
        raise click.ClickException(
            f'process {node.pk} ({node.process_label}, {state}) has no table of hops: '
            f'`verdi process report {node.pk}` tells how far it came'
        )
    bands = node.outputs.bands if 'bands' in node.outputs else {}
    pks = {label: bands[label].pk for label in bands}
    table = node.outputs[OUTPUT].get_dict()
    rows = [{**row, 'band': pks.get(row['label'])} for row in table['hops']]
    return {'pk': node.pk, 'uuid': node.uuid, **table, 'hops': rows}


def echo(description: dict[str, Any]) -> None:
    """Print a description for people."""
    from aiida_embarrier.calculations.paths import through_atoms

    saved = description['relaxations_saved']
    echo_pairs(
        {
            'process': description['pk'],
            'crystal': description['formula'],
            'ion': f'{description["ion"]}, {description["mechanism"]} mechanism',
            'hops': f'{description["n_converged"]} of {len(description["hops"])} converged',
            'endpoints': f'{description["n_endpoints"]}, of which {saved} by symmetry instead of a relaxation '
            f'({description["evaluations_saved"]} evaluations saved)',
            'evaluations': description['n_force_evaluations'],
        }
    )
    click.echo()
    echo_table(description['hops'], HOPS)
    if description.get('left_out'):
        click.echo(f'\n{through_atoms(description["left_out"])}')
    levels = description['percolation']
    if levels:
        click.echo('\nlowest barrier for transport, the highest saddle on the way above the lowest image on it:\n')
        echo_table([levels[key] for key in sorted(levels)], TRANSPORT)
    elif levels is not None and description['n_converged']:
        click.echo('\nThe hops that converged lead nowhere: they connect no site with its periodic images.')
    for text, numbers in _by_text(description['hops'], lambda row: [row['message']] if row['message'] else []):
        click.echo(f'\nhop {numbers}: {text}')
    for text, numbers in _by_text(description['hops'], _warnings):
        click.echo(f'\nwarning (hop {numbers}): {text}')


def _warnings(row: Mapping[str, Any]) -> list[str]:
    return [warning_of(text, row['band']) for text in row.get('warnings', [])]


def _by_text(
    rows: Sequence[Mapping[str, Any]], texts_of: Callable[[Mapping[str, Any]], list[str]]
) -> list[tuple[str, str]]:
    """Return each text once, with the numbers of the hops that it concerns."""
    numbers: dict[str, list[str]] = {}
    for row in rows:
        for text in texts_of(row):
            numbers.setdefault(text, []).append(str(row['hop']))
    return [(text, ', '.join(concerned)) for text, concerned in numbers.items()]


def draw(node: ProcessNode) -> Figure:
    """Draw the energy paths of all hops.

    :raises click.ClickException: for a process without bands.
    """
    from aiida_embarrier.figures.energy_path import energy_path
    from aiida_embarrier.figures.style import chemical

    description = describe(node)
    rows = [row for row in description['hops'] if row['band'] is not None]
    if not rows:
        raise click.ClickException(f'process {node.pk} has no band to draw: `aiida-embarrier show {node.pk}` says why')
    bands = [node.outputs.bands[row['label']].band for row in rows]
    labels = [f'hop {row["hop"]}, {row["length"]:.2f} Å along {row["direction"]}' for row in rows]
    title = f'{description["ion"]} {description["mechanism"]} hops in {chemical(description["formula"])}'
    return energy_path(bands, labels=labels, title=title)
