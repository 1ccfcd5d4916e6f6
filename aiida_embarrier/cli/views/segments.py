"""A path that was split at its interior minima: its barriers as a whole, and its segments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.output import Column, echo_pairs, echo_table
from aiida_embarrier.cli.views import output_of
from aiida_embarrier.cli.views.band import BARRIERS

if TYPE_CHECKING:
    from aiida.orm import ProcessNode
    from matplotlib.figure import Figure

__all__ = ('OUTPUT', 'PICTURE', 'describe', 'draw', 'echo')

OUTPUT = 'summary'
PICTURE = 'segments'

SEGMENTS = (
    Column('segment', 'segment', 'd'),
    Column('images', lambda row: f'{row["images"][0]} to {row["images"][1]}'),
    Column('begins at (eV)', lambda row: row['energies'][0], 'z.3f'),
    Column('highest (eV)', 'highest', 'z.3f'),
    Column('forward (eV)', 'forward', 'z.3f'),
    Column('reverse (eV)', 'reverse', 'z.3f'),
    Column('force (eV/Å)', 'residual_force', 'z.3f'),
    Column('converged', 'converged'),
    Column('', 'note'),
)

WHOLE = (
    Column('barrier', 'name'),
    Column('split (eV)', 'split', 'z.3f'),
    Column('before (eV)', 'before', 'z.3f'),
    Column('definition', 'definition', width=60),
)


def describe(node: ProcessNode) -> dict[str, Any]:
    """Return the summary of a path that was split.

    :raises click.ClickException: for a process that made none.
    """
    summary = output_of(node, OUTPUT, 'summary').get_dict()
    return {'pk': node.pk, 'uuid': node.uuid, 'band': node.outputs.band.pk, **summary}


def echo(description: dict[str, Any]) -> None:
    """Print a description for people."""
    echo_pairs(
        {
            'process': description['pk'],
            'joined path': f'{description["band"]}, {description["n_images"]} images',
            'energies by': description['energies_by'],
            'converged': description['converged'],
            'evaluations': description['n_force_evaluations'],
        }
    )
    click.echo()
    found, before = description['barriers'], description['unsplit']
    rows = [
        {
            'name': name.replace('_', ' '),
            'split': found[name],
            'before': before[name],
            'definition': found['definitions'][name],
        }
        for name in BARRIERS
    ]
    echo_table(rows, WHOLE)
    limiting = description['rate_limiting_segment']
    if description['segments']:
        click.echo()
        echo_table(
            [
                {**row, 'segment': number, 'note': 'limits the rate' if number == limiting else ''}
                for number, row in enumerate(description['segments'], start=1)
            ],
            SEGMENTS,
        )
    for note in description['notes']:
        click.echo(f'\nnote: {note}')
    for warning in description['warnings']:
        click.echo(f'\nwarning: {warning}')


def draw(node: ProcessNode) -> Figure:
    """Draw the segments over the path as it was; the path alone where it was not split.

    :raises click.ClickException: for a process without a summary.
    """
    from aiida_embarrier.figures.segmented_path import segmented_path

    summary = describe(node)
    labels = [f'segment_{number}' for number in range(1, len(summary['segments']) + 1)]
    segments = [node.outputs.segments[label].band for label in labels] or [node.outputs.band.band]
    limiting = summary['rate_limiting_segment']
    return segmented_path(segments, node.inputs.band.band if labels else None, rate_limiting=limiting)
