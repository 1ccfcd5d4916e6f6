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
  aiida-embarrier model analyse PK --data barriers.json.gz -o analysis/
  aiida-embarrier model analyse predictions.parquet --data barriers.json.gz --format json"""


@click.command('analyse', epilog=EXAMPLES)
@click.argument('predictions', metavar='FILE-OR-NODE')
@click.option('--data', 'dataset', required=True, metavar='FILE-OR-NODE', help='The dataset that was predicted.')
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
@click.option('--resamples', type=click.IntRange(min=1), default=2000, show_default=True, help='Of the bootstrap.')
@click.option('-p', '--profile', metavar='NAME', envvar='AIIDA_PROFILE', help='AiiDA profile to look for nodes in.')
@FORMAT
def command(
    predictions: str,
    dataset: str,
    output: Path | None,
    overwrite: bool,
    model: str | None,
    title: str | None,
    source: str | None,
    resamples: int,
    profile: str | None,
    output_format: str,
) -> None:
    """Analyse predictions of models of barriers: errors by label, by what is new, and within crystals.

    FILE-OR-NODE is a parquet file with predictions, which needs no AiiDA profile, a table, or a process that made one.
    """
    from aiida_embarrier.cli.dataset.loading import load_frame
    from aiida_embarrier.datasets.tables import write_parquet
    from aiida_embarrier.figures.page_folder import check_folder
    from aiida_embarrier.jobs.barrier_analysis import (
        ANALYSIS_FILE,
        BarrierAnalysisJob,
        BarrierAnalysisResult,
        tables_from_json,
    )
    from aiida_embarrier.jobs.here import WorkerError, run_here

    if output is not None:
        check_folder(output, overwrite=overwrite, summary='analysis.json', what='analysis of predictions')
    elif overwrite or title is not None or source is not None or model is not None:
        raise click.UsageError('--overwrite, --model, --title and --source are for the folder that --output writes')
    predicted = _predictions(predictions, profile)
    frame = load_frame(dataset, profile).frame
    job = BarrierAnalysisJob(dataset='dataset.parquet', predictions='predictions.parquet', n_resamples=resamples)
    files = {'dataset.parquet': write_parquet(frame), 'predictions.parquet': write_parquet(predicted)}
    try:
        _, written = run_here(job, files, BarrierAnalysisResult, [ANALYSIS_FILE])
    except WorkerError as error:
        raise click.ClickException(str(error)) from error
    tables = tables_from_json(written[ANALYSIS_FILE].decode())
    drawn = None if output is None else _write(output, overwrite, tables, predicted, frame, model, title, source)
    if output_format == 'json':
        found: dict[str, Any] = {
            name: table.astype(object).where(table.notna(), None).to_dict('records') for name, table in tables.items()
        }
        echo_json({'tables': found, **({} if drawn is None else {'files': drawn})})
        return
    echo_table(tables['comparison'].to_dict('records'), COLUMNS)
    if output is not None:
        click.echo(f'\nwritten: {output / "index.html"}, and tables and figures beside it')


def _predictions(identifier: str, profile: str | None) -> pd.DataFrame:
    """Return the predictions in a file, a table or those of a process."""
    path = Path(identifier)
    if path.is_file():
        from aiida_embarrier.datasets.tables import read_parquet

        try:
            return read_parquet(path.read_bytes())
        except ValueError as error:
            raise click.ClickException(f'{path} holds no table: {error}') from error
    if path.suffix or len(path.parts) > 1:
        raise click.ClickException(f'there is no file {identifier!r}')
    from aiida.orm import ProcessNode

    from aiida_embarrier.cli.params import find_node, load_profile
    from aiida_embarrier.data.table import TableData

    load_profile(profile)
    node = find_node(identifier)
    if isinstance(node, ProcessNode) and 'predictions' in node.outputs:
        node = node.outputs['predictions']
    if not isinstance(node, TableData):
        raise click.ClickException(f'node {node.pk} holds no predictions of barriers: name a process that made some')
    return node.table


def _write(
    output: Path,
    overwrite: bool,
    tables: dict[str, pd.DataFrame],
    predictions: pd.DataFrame,
    frame: pd.DataFrame,
    model: str | None,
    title: str | None,
    source: str | None,
) -> list[Path]:
    from aiida_embarrier.figures.barrier_page import write_barrier_analysis

    labels = sorted(set(predictions['model']))
    if model is not None and model not in labels:
        raise click.BadParameter(f'there is no model {model!r}: choose from {", ".join(labels)}', param_hint='--model')
    return write_barrier_analysis(
        output,
        tables,
        predictions,
        title or 'Predicted migration barriers',
        source,
        frame=frame,
        model=model,
        overwrite=overwrite,
    )
