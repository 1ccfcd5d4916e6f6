"""Analyse predicted barriers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiida_embarrier.datasets.schema import check_rows
from aiida_embarrier.datasets.tables import read_parquet
from aiida_embarrier.jobs.barrier_analysis import (
    ANALYSIS_FILE,
    BarrierAnalysisJob,
    BarrierAnalysisResult,
    tables_to_json,
)
from aiida_embarrier.prediction.analysis import analyse
from aiida_embarrier.worker.plain import RefusedError

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from aiida_embarrier.worker.plain import JobContext

__all__ = ('JOB', 'run')

JOB = BarrierAnalysisJob


def run(job: BarrierAnalysisJob, context: JobContext) -> BarrierAnalysisResult:
    """Analyse the predictions of a job."""
    frame = _read(context.folder, job.dataset)
    predictions = _read(context.folder, job.predictions)
    try:
        check_rows(frame, 'barrier')
        tables = analyse(
            predictions,
            frame,
            n_resamples=job.n_resamples,
            limits=job.limits,
            thresholds=job.thresholds,
            ranges=job.ranges,
            compare_hops=job.compare_hops,
        )
    except ValueError as error:
        raise RefusedError(str(error)) from error
    (context.folder / ANALYSIS_FILE).write_text(tables_to_json(tables), encoding='utf8')
    return BarrierAnalysisResult(
        n_rows=predictions['name'].nunique(),
        models=list(dict.fromkeys(predictions['model'].astype(str))),
        tables=list(tables),
    )


def _read(folder: Path, name: str) -> pd.DataFrame:
    path = folder / name
    if not path.is_file():
        raise RefusedError(f'there is no file {name} in the folder of the job')
    try:
        return read_parquet(path.read_bytes())
    except ValueError as error:
        raise RefusedError(f'{name} cannot be read: {error}') from error
