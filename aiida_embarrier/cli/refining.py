"""What ``predict --refine`` adds to predicted barriers: whole elastic bands of a potential for some of the paths."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click
import pandas as pd

from aiida_embarrier.cli.bars import job_bar
from aiida_embarrier.cli.output import Column, echo_table
from aiida_embarrier.cli.tables import records
from aiida_embarrier.jobs.barriers_here import neb_here
from aiida_embarrier.jobs.here import WorkerError
from aiida_embarrier.jobs.potentials import resolve_potential, weights_path

if TYPE_CHECKING:
    from aiida_embarrier.jobs.potentials import PotentialSpec
    from aiida_embarrier.jobs.prediction import BarrierHardware

__all__ = ('COUNT', 'NEB_COLUMNS', 'echo_refined', 'notes_of', 'read_potential', 'refine')

#: Paths that are refined unless asked otherwise: those with the lowest predictions.
COUNT = 3

#: What a band adds to the table of predictions: of :data:`~aiida_embarrier.jobs.neb_barriers.NEB_BARRIERS_FILE`.
NEB_COLUMNS = {
    'forward': 'neb_forward',
    'reverse': 'neb_reverse',
    'span': 'neb_span',
    'status': 'neb_status',
    'residual_force': 'neb_residual_force',
    'n_evaluations': 'neb_evaluations',
    'energies': 'neb_energies',
    'message': 'neb_message',
    'warnings': 'neb_warnings',
}


def read_potential(text: str) -> PotentialSpec:
    """Return the potential that ``--potential`` names, such as ``chgnet`` or ``sevennet:7net-0``.

    :raises click.BadParameter: where there is none of that name.
    :raises click.ClickException: where it is not installed here.
    """
    name, _, model = text.partition(':')
    try:
        potential = resolve_potential(name, model or None)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint='--potential') from error
    try:
        weights_path(potential)
    except ModuleNotFoundError as error:
        raise click.ClickException(f'--refine: {error}') from error
    return potential


def refine(
    table: pd.DataFrame, rows: pd.DataFrame, potential: PotentialSpec, count: int, hardware: BarrierHardware
) -> tuple[pd.DataFrame, str | None]:
    """Return predictions with the columns :data:`NEB_COLUMNS`, and why there are none.

    The paths with the lowest predictions are refined; those that lead through another atom come last.

    :param table: predictions, see :func:`~aiida_embarrier.jobs.barriers_here.answer`.
    :param rows: the paths, of the schema `barrier`.
    :param count: how many paths are refined.
    """
    through = table['flags'].map(lambda flags: 'through_atom' in flags)
    order = table.assign(through=through).sort_values(['through', 'prediction'])
    chosen = order.loc[order['prediction'].notna(), 'name'].head(count)
    failure = None
    columns = ['name', *NEB_COLUMNS]
    found = pd.DataFrame(columns=columns, dtype='object')
    if chosen.empty:
        failure = 'no path has a prediction'
    else:
        asked = rows.set_index('name').loc[chosen].reset_index()
        try:
            with job_bar() as show:
                found, _ = neb_here(asked, potential, hardware, on_progress=show)
        except WorkerError as error:
            failure = str(error)
    found = found[columns].rename(columns=NEB_COLUMNS)
    for name in ('neb_energies', 'neb_warnings'):
        found[name] = found[name].map(json.loads)
    return table.merge(found, on='name', how='left', validate='one_to_one'), failure


def echo_refined(table: pd.DataFrame, potential: PotentialSpec) -> None:
    """Print the barriers of bands beside the predicted ones."""
    rows = [row for row in records(table) if row['neb_status'] is not None]
    if not rows:
        return
    click.echo(f'\nelastic bands by {potential.label}, ends relaxed at fixed cell, five images, one climbing\n')
    echo_table(
        rows,
        [
            Column('path', 'name'),
            Column('predicted (eV)', 'prediction', '.3f'),
            Column('forward (eV)', 'neb_forward', '.3f'),
            Column('reverse (eV)', 'neb_reverse', '.3f'),
            Column('span (eV)', 'neb_span', '.3f'),
            Column('evaluations', 'neb_evaluations', '.0f'),
            Column('converged', lambda row: row['neb_status'] == 'converged'),
            Column('residual force (eV/Å)', 'neb_residual_force', '.3f'),
        ],
    )


def notes_of(table: pd.DataFrame) -> list[str]:
    """Return what a reader of these barriers must know."""
    notes = []
    for row in records(table):
        if row['neb_status'] is None:
            continue
        if row['neb_status'] != 'converged':
            notes.append(f'{row["name"]}: the band is {row["neb_status"]}, its barrier is none: {row["neb_message"]}')
        elif 'no saddle' in row['neb_message']:
            notes.append(f'{row["name"]}: {row["neb_message"]}')
        notes += [f'{row["name"]}: {warning}' for warning in row['neb_warnings']]
    return notes
