"""A convergence study: barriers by setting, and which setting is good enough."""

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
PICTURE = 'convergence_study'


def describe(node: ProcessNode) -> dict[str, Any]:
    """Return the table of a study.

    :raises click.ClickException: for a process that made none.
    """
    table = output_of(node, OUTPUT, 'table of settings').get_dict()
    bands = {run.removeprefix('run_'): band for run, band in _bands(node).items()}
    for variable in table['variables']:
        variable['rows'] = [{**row, 'band': bands.get(row['run'])} for row in variable['rows']]
    return {'pk': node.pk, 'uuid': node.uuid, **table}


def _bands(node: ProcessNode) -> dict[str, int]:
    """Return the PKs of the bands of the runs by the labels of their calls."""
    from aiida.common.links import LinkType

    calls = node.base.links.get_outgoing(link_type=LinkType.CALL_WORK).all()
    return {link.link_label: link.node.outputs.band.pk for link in calls if 'band' in link.node.outputs}


def echo(description: dict[str, Any]) -> None:
    """Print a description for people."""
    quantity = description['quantity']
    echo_pairs(
        {
            'process': description['pk'],
            'compared': f'{quantity.replace("_", "-")} barrier, within {1000 * description["tolerance"]:g} meV',
            'evaluations': description['n_force_evaluations'],
        }
    )
    columns = (
        Column('', 'mark'),
        Column('setting', 'text'),
        Column('barrier (eV)', quantity, '.3f'),
        Column('to the finest (meV)', 'meV', '+.1f'),
        *([] if quantity == 'rate_limiting' else [Column('rate limiting (eV)', 'rate_limiting', '.3f')]),
        Column('force (eV/Å)', 'residual_force', '.3f'),
        Column('images', 'n_images', 'd'),
        Column('atoms', 'n_atoms', 'd'),
        Column('evaluations', 'evaluations', 'd'),
        Column('worker (s)', 'wall_s', '.0f'),
        Column('status', 'status'),
    )
    for variable in description['variables']:
        rows = [
            {
                **row,
                'mark': '*' if variable['recommended'] is not None and row['value'] == variable['recommended'] else '',
                'meV': None if row['difference'] is None else 1000 * row['difference'],
            }
            for row in variable['rows']
        ]
        click.echo(f'\n{variable["key"]}\n')
        echo_table(rows, columns)
        click.echo(f'\n{variable["message"]}')
        for row in rows:
            if row['message'] is not None:
                click.echo(f'{row["text"]}: {row["message"]}')
        for text, settings in _warnings(rows):
            click.echo(f'\nwarning ({settings}): {text}')
    click.echo('\nEach setting was varied alone, around one base set: check the chosen ones together once.')


def _warnings(rows: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return each warning of the runs once, with the settings that it concerns."""
    settings: dict[str, list[str]] = {}
    for row in rows:
        for warning in row.get('warnings', []):
            settings.setdefault(warning_of(warning, row.get('band')), []).append(row['text'])
    return [(text, ', '.join(concerned)) for text, concerned in settings.items()]


def draw(node: ProcessNode) -> Figure:
    """Draw barriers against settings.

    :raises click.ClickException: for a process without a table.
    """
    from aiida_embarrier.figures.convergence_study import convergence_study

    return convergence_study(describe(node), title=node.label or None)
