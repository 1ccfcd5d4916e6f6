"""Compare predicted barriers with known ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiida_embarrier.jobs.scoring import ScoreBarriersJob, ScoreBarriersResult
from aiida_embarrier.prediction.evaluating import evaluation
from aiida_embarrier.worker.path_features import read_rows
from aiida_embarrier.worker.plain import RefusedError

if TYPE_CHECKING:
    from aiida_embarrier.worker.plain import JobContext

__all__ = ('JOB', 'run')

JOB = ScoreBarriersJob


def run(job: ScoreBarriersJob, context: JobContext) -> ScoreBarriersResult:
    """Score the table of a job.

    :raises RefusedError: where there is nothing to score.
    """
    table = read_rows(context.folder / job.table)
    try:
        found = evaluation(table, nominal_coverage=job.nominal_coverage, n_resamples=job.n_resamples, seed=job.seed)
    except ValueError as error:
        raise RefusedError(str(error)) from error
    return ScoreBarriersResult(scores=found)
