"""``aiida-embarrier evaluate``: how well a model predicts the barriers of a dataset."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.dataset.results import OUTPUT, check_output, doubtful_rows, write_frame
from aiida_embarrier.cli.output import Column, echo_json, echo_table
from aiida_embarrier.cli.tables import TABLE_FORMAT, records
from aiida_embarrier.datasets.definitions import definitions_in_words, definitions_of, names_of_definitions

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from aiida_embarrier.jobs.prediction import BarrierModelCard

__all__ = ('command',)

EXAMPLES = """\b
Examples:
  aiida-embarrier evaluate --data barriers_test.json.gz --format json
  aiida-embarrier evaluate --model my-model --data mine.parquet -o judged.csv"""

#: Numbers in the table for readers.
_SHOWN = {'r2': 'R²', 'mae_eV': 'MAE (eV)', 'rmse_eV': 'RMSE (eV)', 'median_ae_eV': 'median error (eV)'}
#: Rows with the largest errors that readers see.
_WORST = 10
#: Rows without a known barrier that readers see.
_UNKNOWN = 50
#: Columns of a row, in this order; the definition is that of the prediction.
_OF_ROW = ('name', 'barrier', 'prediction', 'lower', 'upper', 'flags', 'in_training', 'barrier_definition')


@click.command('evaluate', epilog=EXAMPLES)
@click.option(
    '--model',
    default='released',
    show_default=True,
    metavar='MODEL',
    help='`released`, `released-potential`, a folder, or a node.',
)
@click.option(
    '--data', required=True, metavar='DATASET', help='Barriers: a file of any format that imports, or a node.'
)
@click.option(
    '--resamples',
    type=click.IntRange(min=1),
    default=2000,
    show_default=True,
    metavar='N',
    help='Of the bootstrap over rows, for the 95 % intervals.',
)
@click.option('--device', type=click.Choice(['auto', 'cpu', 'cuda']), default='auto', show_default=True)
@click.option('--threads', type=click.IntRange(min=1), metavar='N', help='On a CPU; all cores unless given.')
@OUTPUT
@click.option('-p', '--profile', metavar='NAME', envvar='AIIDA_PROFILE', help='AiiDA profile for nodes.')
@TABLE_FORMAT
def command(
    model: str,
    data: str,
    resamples: int,
    device: str,
    threads: int | None,
    output: Path | None,
    overwrite: bool,
    profile: str | None,
    output_format: str,
) -> None:
    """Predict the barriers of a dataset, and compare them with those that it holds. Files need no profile.

    The model gets names, lattices, atoms and paths, and neither barriers nor labels. Rows that are unlike what it
    learned from are flagged and scored like all others; what the others alone give stands beside it. Rows without a
    barrier are predicted, not scored.
    """
    from aiida_embarrier.cli.bars import job_bar
    from aiida_embarrier.cli.dataset.loading import load_frame
    from aiida_embarrier.cli.model.loading import load_barrier_model
    from aiida_embarrier.cli.predicting_barriers import about_model
    from aiida_embarrier.jobs.barriers_here import predict_here, score_here
    from aiida_embarrier.jobs.prediction import BarrierHardware

    check_output(output, overwrite)
    loaded = load_frame(data, profile, labelled=False)
    if loaded.schema != 'barrier':
        raise click.ClickException(f'{data} is a dataset of properties: models of barriers are scored with barriers')
    known = loaded.frame['barrier'].notna().to_numpy()
    if not known.any():
        raise click.ClickException(
            f'{data} holds no known barrier to compare with: barriers in eV stand in the column `barrier` of a table, '
            '`barrier_eV` of a file such as barriers_train.json.gz, `target` of other published ones; `predict` takes '
            'paths without barriers'
        )
    found = load_barrier_model(model, profile)
    hardware = BarrierHardware.model_validate({'device': device, 'processes': threads, 'threads': threads})
    with job_bar() as show:
        predictions, result = predict_here(found.weights, found.card, loaded.frame, hardware, show)
    table = predictions.assign(barrier=loaded.frame['barrier'].to_numpy(dtype=float, na_value=float('nan')))
    nominal = found.card.coverage if found.card.intervals is not None else None
    scores = score_here(table[[*_OF_ROW]], nominal, resamples).scores
    definitions = definitions_of(loaded.frame[known])
    untold = table['in_training'].isna().all()
    of_training = _known_rows(found.card, loaded.frame) if untold else []
    notes = [*result.warnings, *of_training, *_other_barriers(found.card, definitions)]
    notes += doubtful_rows(loaded.frame, data, 'are scored like all others')
    if output is not None:
        write_frame(output, table[[*_OF_ROW, 'reason']])
        notes.append(f'written: {output}')
    if output_format == 'csv':
        click.echo(table[[*_OF_ROW, 'reason']].to_csv(index=False), nl=False)
    elif output_format == 'json':
        rows = _rows(table)
        echo_json(
            {
                'model': about_model(found.card, model),
                'data': data,
                'n_rows': len(table),
                'without_barrier': table['name'][~known].tolist(),
                'barrier_definitions': definitions,
                **scores,
                'flagged': [row['name'] for row in rows if row['flags']],
                'left_out': result.left_out,
                'rows': rows,
                'rows_per_s': result.rows_per_s,
                'notes': notes,
            }
        )
    else:
        _echo(table, scores, found.card, definitions)
    if output_format != 'json':
        for name, reason in result.left_out.items():
            click.echo(f'not predicted: {name}: {reason}', err=True)
        for note in notes:
            click.echo(f'note: {note}', err=True)


def _known_rows(card: BarrierModelCard, frame: pd.DataFrame) -> list[str]:
    """Return a warning where the model learned from this very dataset."""
    from aiida_embarrier.datasets.tables import content_hash

    if content_hash(frame) not in {source.hash for source in card.datasets}:
        return []
    return ['the model learned from this dataset: these scores say nothing of what it has not seen']


def _other_barriers(card: BarrierModelCard, known: dict[str, int]) -> list[str]:
    """Return a warning where the model predicts barriers of another definition than the dataset holds."""
    if not card.barrier_definitions or set(card.barrier_definitions) == set(known):
        return []
    return [
        f'the model learned barriers of the definition {names_of_definitions(card.barrier_definitions)}, the dataset '
        f'holds {names_of_definitions(known)}: where paths are asymmetric these differ'
    ]


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [row | {'flags': json.loads(row['flags'])} for row in records(table[[*_OF_ROW]])]


def _echo(table: pd.DataFrame, scores: dict[str, Any], card: BarrierModelCard, definitions: dict[str, int]) -> None:
    from aiida_embarrier.cli.predicting_barriers import FLAGGED, echo_flags, interval, words_of

    click.echo(f'{scores["n"]} of {len(table)} rows scored, {scores["n_flagged"]} of them flagged\n')
    parts = {'all': scores, 'without flags': scores['unflagged'], 'not in the training': scores['unseen']}
    columns = [Column('rows', 'part'), Column('number', 'n', 'd')]
    columns += [Column(title, partial(_with_interval, name)) for name, title in _SHOWN.items()]
    if scores['coverage'] is not None:
        columns += [Column('coverage', 'coverage', '.1%'), Column('median width (eV)', 'median_width_eV', '.2f')]
    echo_table([{'part': name, **one} for name, one in parts.items() if one], columns)
    if scores['nominal_coverage'] is not None:
        click.echo(
            f'predictions come with intervals that are made to cover {scores["nominal_coverage"]:.0%} of barriers'
        )
    click.echo('in brackets: 95 % intervals by bootstrap over rows')
    known, predicted = definitions_in_words(definitions), definitions_in_words(card.barrier_definitions)
    if known == predicted:
        click.echo(f'definition of the known and the predicted barriers: {known}')
    else:
        click.echo(f'definition of the known barriers: {known}')
        click.echo(f'definition of the predicted barriers: {predicted}')
    click.echo()
    echo_table(
        scores['buckets'], [Column('error (eV)', _edges), Column('rows', 'n', 'd'), Column('share', 'fraction', '.1%')]
    )
    rows = [row for row in _rows(table) if None not in (row['barrier'], row['prediction'])]
    worst = sorted(rows, key=lambda row: -abs(row['prediction'] - row['barrier']))[:_WORST]
    click.echo(f'\nlargest errors ({len(worst)} of {len(rows)}; --format json and csv have all rows)')
    echo_table(
        worst,
        [
            Column('path', 'name'),
            Column('known (eV)', 'barrier', '.3f'),
            Column('predicted (eV)', 'prediction', '.3f'),
            Column(words_of(card), interval),
            FLAGGED,
        ],
    )
    echo_flags([row['flags'] for row in worst])
    _echo_unknown([row for row in _rows(table) if row['barrier'] is None], card)


def _echo_unknown(rows: list[dict[str, Any]], card: BarrierModelCard) -> None:
    """Print the predictions of rows whose barriers are not known."""
    from aiida_embarrier.cli.predicting_barriers import FLAGGED, echo_flags, interval, words_of

    if not rows:
        return
    rest = f', the first {_UNKNOWN} of them shown' if len(rows) > _UNKNOWN else ''
    click.echo(f'\nrows without a barrier to compare with ({len(rows)}{rest})')
    columns = [Column('path', 'name'), Column('predicted (eV)', 'prediction', '.3f'), Column(words_of(card), interval)]
    echo_table(rows[:_UNKNOWN], [*columns, FLAGGED])
    echo_flags([row['flags'] for row in rows[:_UNKNOWN]])


def _edges(bucket: dict[str, Any]) -> str:
    low, high = bucket['low'], bucket['high']
    return f'above {low:g}' if high is None else f'{low:g} to {high:g}'


def _with_interval(name: str, row: dict[str, Any]) -> str:
    low, high = row['intervals'][name]
    value = row[name]
    if value is None:
        return '-'
    return f'{value:.3f}' if low is None else f'{value:.3f} ({low:.3f} to {high:.3f})'
