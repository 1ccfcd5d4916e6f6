"""``aiida-embarrier model analyse``: what models of barriers predict well and what not, as tables and a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.output import Column, echo_json, echo_table
from aiida_embarrier.cli.params import FORMAT

if TYPE_CHECKING:
    import pandas as pd

__all__ = ('command',)

COLUMNS = (
    Column('model', 'model'),
    Column('validation', 'validation'),
    Column('rows', 'n', 'd'),
    Column('MAE (eV)', 'mae_eV', '.3f'),
    Column('95 %', lambda row: f'{row["mae_eV_low"]:.3f} to {row["mae_eV_high"]:.3f}'),
    Column('median AE', 'median_ae_eV', '.3f'),
    Column('R²', 'r2', '.3f'),
    Column('coverage', 'coverage', '.3f'),
    Column('width', 'median_width_eV', '.3f'),
)

EXAMPLES = """\b
Examples:
  aiida-embarrier model analyse PK -o analysis/
  aiida-embarrier model analyse PK --data barriers.json.gz -o analysis/
  aiida-embarrier model analyse judged.csv --data barriers.json.gz -o analysis/
  aiida-embarrier model analyse predictions.parquet --data barriers.json.gz --format json"""


@click.command('analyse', epilog=EXAMPLES)
@click.argument('predictions', metavar='FILE-OR-NODE')
@click.option('--data', 'dataset', metavar='FILE-OR-NODE', help='The dataset that was predicted.')
@click.option(
    '--split',
    metavar='FILE-OR-NODE',
    help='Parts that models learned from, where they were fitted by a split; that of the process unless given.',
)
@click.option(
    '-o',
    '--output',
    type=click.Path(path_type=Path),
    metavar='DIR',
    help='Folder to write: index.html, tables as CSV, pictures as PNG and SVG.',
)
@click.option('--overwrite', is_flag=True, help='Replace the folder if it holds such an analysis.')
@click.option('--model', metavar='LABEL', help='Shown where only one can be; the best one unless given.')
@click.option('--title', help='Heading of the page.')
@click.option('--source', metavar='TEXT', help='What the page names as the source, such as a citation.')
@click.option('--resamples', type=click.IntRange(min=1), help='Of the bootstrap; 2000 unless given.')
@click.option('-p', '--profile', metavar='NAME', envvar='AIIDA_PROFILE', help='AiiDA profile to look for nodes in.')
@FORMAT
def command(
    predictions: str,
    dataset: str | None,
    split: str | None,
    output: Path | None,
    overwrite: bool,
    model: str | None,
    title: str | None,
    source: str | None,
    resamples: int | None,
    profile: str | None,
    output_format: str,
) -> None:
    """Analyse predictions of models of barriers: errors by label, by what is new, and within crystals.

    FILE-OR-NODE is a file with predictions (parquet or CSV), also one that `evaluate -o` wrote, which needs no AiiDA
    profile, a table, or a process that made one.
    Without --data it is a process that analysed its predictions, such as one of `launch barrier-model`: its tables are
    shown, and the folder is that of its page and pictures.
    """
    if output is not None:
        from aiida_embarrier.figures.barrier_page import FOLDER
        from aiida_embarrier.figures.page_folder import check_folder, write_files

        check_folder(output, overwrite=overwrite, **FOLDER)
    elif overwrite or title is not None or source is not None or model is not None:
        raise click.UsageError('--overwrite, --model, --title and --source are for the folder that --output writes')
    shown = {'model': model, 'title': title, 'source': source}
    figures = None if output is None else {key: value for key, value in shown.items() if value is not None}
    if dataset is not None:
        tables, files = _analysed(predictions, dataset, split, profile, figures, resamples)
    elif figures or (split, resamples) != (None, None):
        raise click.UsageError(
            '--split, --model, --title, --source and --resamples are for a new analysis: name the dataset that was '
            'predicted with --data'
        )
    else:
        tables, files = _stored(predictions, profile, figures is not None)
    written = None if output is None else write_files(output, files, overwrite=overwrite, **FOLDER)
    if output_format == 'json':
        found: dict[str, Any] = {
            name: table.astype(object).where(table.notna(), None).to_dict('records') for name, table in tables.items()
        }
        echo_json({'tables': found, **({} if written is None else {'files': written})})
        return
    echo_table(tables['comparison'].to_dict('records'), COLUMNS)
    if output is not None:
        click.echo(f'\nwritten: {output / "index.html"}, and tables and figures beside it')


def _analysed(
    predictions: str,
    dataset: str,
    split: str | None,
    profile: str | None,
    figures: dict[str, str] | None,
    resamples: int | None,
) -> tuple[dict[str, pd.DataFrame], dict[str, bytes]]:
    """Return the tables of a new analysis, and the files of its folder if figures are asked for."""
    from aiida_embarrier.cli.dataset.loading import load_frame
    from aiida_embarrier.datasets.tables import write_parquet
    from aiida_embarrier.jobs.barrier_analysis import (
        ANALYSIS_FILE,
        FIGURES_FOLDER,
        BarrierAnalysisJob,
        BarrierAnalysisResult,
        tables_from_json,
    )
    from aiida_embarrier.jobs.here import WorkerError, run_here

    predicted, own_split = _predictions(predictions, profile)
    parts = own_split if split is None else _split(split, profile)
    job = BarrierAnalysisJob(
        dataset='dataset.parquet',
        predictions='predictions.parquet',
        split=None if parts is None else 'split.parquet',
        figures=figures,
        **({} if resamples is None else {'n_resamples': resamples}),
    )
    frame = load_frame(dataset, profile, labelled=False).frame
    # there is nothing to compare the others with
    known = frame if 'barrier' not in frame else frame[frame['barrier'].notna()].reset_index(drop=True)
    given = {
        job.predictions: write_parquet(predicted),
        job.dataset: write_parquet(known),
        **({} if job.split is None else {job.split: write_parquet(parts)}),
    }
    wanted = [ANALYSIS_FILE] if figures is None else [ANALYSIS_FILE, FIGURES_FOLDER]
    try:
        _, written = run_here(job, given, BarrierAnalysisResult, wanted)
    except WorkerError as error:
        raise click.ClickException(str(error)) from error
    tables = tables_from_json(written.pop(ANALYSIS_FILE).decode())
    return tables, {name.removeprefix(f'{FIGURES_FOLDER}/'): content for name, content in written.items()}


def _stored(
    identifier: str, profile: str | None, with_figures: bool
) -> tuple[dict[str, pd.DataFrame], dict[str, bytes]]:
    """Return the tables of a process that analysed its predictions, and the files of its folder if asked for."""
    if Path(identifier).is_file():
        raise click.UsageError(f'{identifier} is a file: name the dataset that was predicted with --data')
    from aiida.orm import ProcessNode

    from aiida_embarrier.cli.params import find_node, load_profile
    from aiida_embarrier.cli.views.barrier_model import check_validated
    from aiida_embarrier.jobs.barrier_analysis import tables_from_json

    load_profile(profile)
    node = find_node(identifier)
    check_validated(node)
    outputs = node.outputs if isinstance(node, ProcessNode) else ()
    for name in ('analysis', *(['figures'] if with_figures else [])):
        if name not in outputs:
            raise click.ClickException(
                f'node {node.pk} has no output `{name}`: name the dataset that was predicted with --data, for a new '
                'analysis'
            )
    tables = tables_from_json(node.outputs.analysis.get_content())
    if not with_figures:
        return tables, {}
    repository = node.outputs.figures.base.repository
    names = [str(folder / name) for folder, _, files in repository.walk() for name in files]
    return tables, {name: repository.get_object_content(name, 'rb') for name in names}


def _predictions(identifier: str, profile: str | None) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Return the predictions in a file, a table or those of a process, and the split that their process had."""
    path = Path(identifier)
    if path.is_file():
        return _in_file(path), None
    if path.suffix or len(path.parts) > 1:
        raise click.ClickException(f'there is no file {identifier!r}')
    from aiida.orm import ProcessNode

    from aiida_embarrier.cli.params import find_node, load_profile
    from aiida_embarrier.cli.views.barrier_model import check_validated
    from aiida_embarrier.data.table import TableData

    load_profile(profile)
    node = find_node(identifier)
    if isinstance(node, ProcessNode) and 'predictions' in node.outputs:
        node = node.outputs['predictions']
    check_validated(node)
    if not isinstance(node, TableData):
        raise click.ClickException(f'node {node.pk} holds no predictions of barriers: name a process that made some')
    made_with_split = node.creator is not None and 'split' in node.creator.inputs
    return node.table, node.creator.inputs['split'].table if made_with_split else None


def _in_file(path: Path) -> pd.DataFrame:
    """Return the predictions in a file, parquet or CSV.

    Those that `evaluate` wrote are of one model, which the file is the name of; rows without barrier or prediction are
    left out.
    """
    import pandas as pd

    from aiida_embarrier.datasets.tables import read_parquet
    from aiida_embarrier.jobs.barrier_analysis import EVALUATED

    try:
        names = {'name': 'str'}  # also those that look like numbers
        table = pd.read_csv(path, dtype=names) if path.suffix == '.csv' else read_parquet(path.read_bytes())
    except ValueError as error:
        raise click.ClickException(f'{path} holds no table: {error}') from error
    if 'model' in table or not {'name', 'barrier', 'prediction', 'in_training'} <= set(table):
        return table
    known = table.dropna(subset=['barrier', 'prediction']).reset_index(drop=True)
    known = known.drop(columns=['in_training', 'reason'], errors='ignore')
    return known.assign(model=path.stem, validation=EVALUATED, seed=0, fold=0)


def _split(identifier: str, profile: str | None) -> pd.DataFrame:
    """Return the split in a file or a node."""
    from aiida_embarrier.cli.launch.datasets import split_frame, split_node
    from aiida_embarrier.cli.params import load_profile

    if Path(identifier).is_file():
        return split_frame(Path(identifier))
    load_profile(profile)
    return split_node(identifier).table
