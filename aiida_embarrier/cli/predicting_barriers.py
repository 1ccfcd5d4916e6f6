"""What ``predict`` does with barriers: paths of a crystal, between two or of a dataset, a job, and a table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.bars import job_bar
from aiida_embarrier.cli.dataset.loading import load_frame
from aiida_embarrier.cli.dataset.results import write_frame
from aiida_embarrier.cli.model.loading import load_barrier_model
from aiida_embarrier.cli.output import Column, echo_json, echo_table
from aiida_embarrier.cli.params import read_crystal
from aiida_embarrier.cli.refining import COUNT, echo_refined, notes_of, read_potential, refine
from aiida_embarrier.cli.tables import records
from aiida_embarrier.datasets.asked_paths import MAX_HOPS, asked_hops, asked_path, asked_rows
from aiida_embarrier.datasets.definitions import definitions_in_words
from aiida_embarrier.jobs.barriers_here import answer
from aiida_embarrier.jobs.flags import FLAGS
from aiida_embarrier.jobs.prediction import BarrierHardware

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd

    from aiida_embarrier.datasets.asked_paths import AskedPaths
    from aiida_embarrier.jobs.prediction import BarrierModelCard

    Show = Callable[[dict[str, Any]], None]

__all__ = ('FLAGGED', 'about_model', 'echo_flags', 'interval', 'predict_barriers', 'words_of')

#: Flags of a row in a table.
FLAGGED = Column('flags', lambda row: ', '.join(row['flags']), width=40)

#: Rows of the table for readers, as many as a crystal has hops at most.
SHOWN = MAX_HOPS

#: Of two named crystals, only these options say something.
_OF_HOPS = {
    'numbers': '--hop',
    'mechanism': '--mechanism',
    'max_length': '--max-length',
    'max_hops': '--max-hops',
    'supercell': '--supercell',
    'min_distance': '--min-distance',
    'symprec': '--symprec',
}


def predict_barriers(
    source: str | None,
    model: str | None,
    *,
    device: str,
    threads: int | None,
    output: Path | None,
    profile: str | None,
    output_format: str,
    refined: bool,
    refine_count: int | None,
    potential: str | None,
    **options: Any,
) -> None:
    """Predict and print the barriers of a crystal, of one path or of a dataset; the options are those of the command.

    :param source: file with a crystal; without `ion` a dataset of paths; None for that between `initial` and `final`.
    """
    if not refined and (refine_count, potential) != (None, None):
        raise click.UsageError(f'{"--potential" if refine_count is None else "--refine-count"} goes with --refine')
    refines = read_potential(potential or 'chgnet') if refined else None  # what is missing is said before anything runs
    hardware = BarrierHardware.model_validate({'device': device, 'processes': threads, 'threads': threads})
    with job_bar() as show:
        asked = _asked(source, options, profile, show)
        found = load_barrier_model(model or 'released', profile)
        if show is not None:  # a worker that begins takes a second or two before it says so
            show(_line(f'{_counted(asked)}, describing', 0, len(asked.rows), 'paths'))
        table, notes = answer(asked, found.weights, found.card, hardware, show)
    failure = None
    if refines is not None:
        table, failure = refine(table, asked.rows, refines, COUNT if refine_count is None else refine_count, hardware)
        notes += notes_of(table)
    if output is not None:
        write_frame(output, _flat(table))
        notes.append(f'written: {output}')
    if output_format == 'csv':
        click.echo(_flat(table).to_csv(index=False), nl=False)
    elif output_format == 'json':
        echo_json(
            {
                'model': about_model(found.card, model or 'released'),
                'unit': 'eV',
                'refined_with': None if refines is None else refines.model_dump(mode='json'),
                'predictions': records(table),
                'left_out': {row['name']: row['reason'] for row in records(table) if row['reason']},
                'flags': _said(table['flags']),
                'notes': notes,
            }
        )
    else:
        _echo(table, found.card)
        if refines is not None:
            echo_refined(table, refines)
    if output_format != 'json':
        for name, reason in zip(table['name'], table['reason'], strict=True):
            if isinstance(reason, str):
                click.echo(f'not predicted: {name}: {reason}', err=True)
        for note in notes:
            click.echo(f'note: {note}', err=True)
    if failure is not None:
        raise click.ClickException(f'the barriers are predicted, but not refined: {failure}')


def _line(task: str, done: int, total: int, unit: str) -> dict[str, Any]:
    """Return what happens before the job as a line of its progress."""
    return {'event': 'step', 'task': task, 'step': done, 'total': total, 'unit': unit}


def _counted(asked: AskedPaths) -> str:
    """Return how many paths there are, in words."""
    what = 'distinct hop' if 'number' in asked.about[0] else 'path'
    return f'{len(asked.about)} {what}{"s" if len(asked.about) > 1 else ""}'


def _asked(source: str | None, options: dict[str, Any], profile: str | None, show: Show | None) -> AskedPaths:
    moments = options['moments']
    if source is not None and options['ion'] is None:
        loaded = load_frame(source, profile, labelled=False)
        if loaded.schema != 'barrier':
            raise click.ClickException(
                f'{source} is a dataset of crystals with a property, not of paths: for properties name a MODEL before '
                'it, for the hops of a crystal a file of its own and the --ion'
            )
        return asked_rows(loaded.frame)
    if source is not None:
        which = {name: options[name] for name in (*_OF_HOPS, 'functional')}
        which['mechanism'] = which['mechanism'] or 'vacancy'
        for name, option in (('as_written', '--as-written'), ('lattice_policy', '--lattice-policy')):
            if options[name]:
                raise click.UsageError(f'{option} goes with --initial and --final')
        if which['supercell'] == 'fit':
            raise click.UsageError('--supercell is three or nine integers; without it a fitting one is taken')
        if show is not None:
            which['progress'] = lambda done, total: show(_line('placing the distinct hops', done, total, 'hops'))
        return asked_hops(read_crystal(Path(source), moments), options['ion'], **which)
    given = [option for name, option in _OF_HOPS.items() if options[name]]
    if given:
        raise click.UsageError(f'{given[0]} goes with a FILE whose hops are sought, not with --initial and --final')
    initial, final = (read_crystal(options[end], moments) for end in ('initial', 'final'))
    how = {name: options[name] for name in ('as_written', 'functional', 'lattice_policy') if options[name]}
    return asked_path(initial, final, options['ion'], **how)


def about_model(card: BarrierModelCard, name: str) -> dict[str, Any]:
    """Return what a reader of predictions wants to know of the model."""
    return {
        'name': name,
        'title': card.title,
        'model': card.model,
        'weights_sha256': card.weights_sha256,
        'barrier_definitions': card.barrier_definitions,
        'coverage': card.coverage if card.intervals is not None else None,
        'potential': None if card.feature_settings is None else card.feature_settings.potential,
    }


def words_of(card: BarrierModelCard) -> str:
    """Return what intervals of a model are called in the heading of a table."""
    return f'{card.coverage:.0%} interval (eV)' if card.coverage is not None else 'interval (eV)'


def interval(row: dict[str, Any]) -> str:
    """Return how the interval of a prediction stands in a table."""
    return '-' if row['lower'] is None else f'{row["lower"]:.2f} to {row["upper"]:.2f}'


def echo_flags(lists: Sequence[Sequence[str]]) -> None:
    """Say below a table what its flags mean."""
    said = _said(lists)
    if said:
        click.echo()
    for flag, meaning in said.items():
        click.echo(f'{flag}: {meaning}')


def _said(lists: Sequence[Sequence[str]]) -> dict[str, str]:
    """Return what the flags mean that are there."""
    return {flag: meaning for flag, meaning in FLAGS.items() if any(flag in some for some in lists)}


def _flat(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose cells are text and numbers."""
    nested = [name for name in ('flags', 'initial', 'final', 'neb_energies', 'neb_warnings') if name in table]
    return table.assign(**{name: table[name].map(json.dumps, na_action='ignore').astype('str') for name in nested})


def _echo(table: pd.DataFrame, card: BarrierModelCard) -> None:
    several = f'{len(table)} paths' if len(table) > 1 else 'one path'
    what = f'{len(table)} distinct hop(s)' if 'number' in table else several
    click.echo(f'{what}; the model: {card.title or card.model}\n')
    columns = [
        *([Column('hop', 'number', 'd')] if 'number' in table else [Column('path', 'name')]),
        Column('length (Å)', 'length', '.3f'),
        *([Column('direction', 'direction'), Column('in the cell', 'multiplicity', 'd')] if 'number' in table else []),
        Column('barrier (eV)', 'prediction', '.3f'),
        Column(words_of(card), interval),
        FLAGGED,
    ]
    shown = table.head(SHOWN)
    echo_table(records(shown), columns)
    if len(table) > SHOWN:
        click.echo(f'... and {len(table) - SHOWN} more; --format csv prints all, -o FILE writes them')
    click.echo(f'\ndefinition of the barriers: {definitions_in_words(card.barrier_definitions)}')
    echo_flags(shown['flags'])
