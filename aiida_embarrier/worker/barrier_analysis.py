"""Analyse predicted barriers: the tables first, then page and pictures of them."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from aiida_embarrier.datasets.schema import check_rows
from aiida_embarrier.datasets.tables import read_parquet
from aiida_embarrier.jobs.barrier_analysis import (
    ANALYSIS_FILE,
    FIGURES_FOLDER,
    AnalysisFigures,
    BarrierAnalysisJob,
    BarrierAnalysisResult,
    tables_to_json,
)
from aiida_embarrier.prediction.analysis import analyse
from aiida_embarrier.worker.plain import RefusedError, Stopped
from aiida_embarrier.worker.versions import versions_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pandas as pd

    from aiida_embarrier.worker.plain import JobContext

__all__ = ('JOB', 'run')

JOB = BarrierAnalysisJob


def run(job: BarrierAnalysisJob, context: JobContext) -> BarrierAnalysisResult:
    """Analyse the predictions of a job.

    :raises RefusedError: for files and settings that do not fit together.
    :raises RuntimeError: where the figures cannot be drawn; the tables are there.
    """
    frame = _read(context.folder, job.dataset)
    predictions = _read(context.folder, job.predictions)
    split = None if job.split is None else _read(context.folder, job.split)
    try:
        check_rows(frame, 'barrier')
        tables = analyse(
            predictions,
            frame,
            split,
            n_resamples=job.n_resamples,
            limits=job.limits,
            thresholds=job.thresholds,
            ranges=job.ranges,
            compare_hops=job.compare_hops,
        )
        _check_model(job.figures, predictions)
    except ValueError as error:
        raise RefusedError(str(error)) from error
    (context.folder / ANALYSIS_FILE).write_text(tables_to_json(tables), encoding='utf8')
    drawn = [] if job.figures is None else _draw(job.figures, tables, predictions, frame, context)
    return BarrierAnalysisResult(
        n_rows=predictions['name'].nunique(),
        models=list(dict.fromkeys(predictions['model'].astype(str))),
        tables=list(tables),
        figures=drawn,
        versions=versions_of('matplotlib') if drawn else {},
    )


def _check_model(asked: AnalysisFigures | None, predictions: pd.DataFrame) -> None:
    labels = sorted(set(predictions['model'].astype(str)))
    if asked is not None and asked.model is not None and asked.model not in labels:
        raise ValueError(f'there is no model {asked.model!r}: choose from {", ".join(labels)}')


def _draw(
    asked: AnalysisFigures,
    tables: Mapping[str, pd.DataFrame],
    predictions: pd.DataFrame,
    frame: pd.DataFrame,
    context: JobContext,
) -> list[str]:
    """Write the folder with page and pictures, and return the names of its files."""
    from aiida_embarrier.figures.barrier_page import write_barrier_analysis

    folder, numbers = context.folder / FIGURES_FOLDER, count(1)
    try:
        files = write_barrier_analysis(
            folder,
            tables,
            predictions,
            asked.title,
            asked.source,
            frame=frame,
            model=asked.model,
            overwrite=True,  # of a worker that was started in this folder before
            tell=lambda _: context.progress('figures', next(numbers), unit='files'),
        )
    except (OSError, Stopped):
        raise
    except Exception as error:
        raise RuntimeError(
            f'the tables are done, but their figures could not be drawn: {type(error).__name__}: {error}'
        ) from error
    return [file.relative_to(folder).as_posix() for file in files]


def _read(folder: Path, name: str) -> pd.DataFrame:
    path = folder / name
    if not path.is_file():
        raise RefusedError(f'there is no file {name} in the folder of the job')
    try:
        return read_parquet(path.read_bytes())
    except ValueError as error:
        raise RefusedError(f'{name} cannot be read: {error}') from error
