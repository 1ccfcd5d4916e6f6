"""A job that compares predicted barriers with known ones; the model that predicted them is not part of it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, JsonValue

from aiida_embarrier.jobs.plain import PlainJob, PlainResult

__all__ = ('ScoreBarriersJob', 'ScoreBarriersResult')


class ScoreBarriersJob(PlainJob):
    """Predictions to compare with barriers.

    :param table: file with `name`, `barrier`, `prediction`, `lower`, `upper` (eV), `flags` (JSON list) and, if known,
        `in_training` of each row; rows without a barrier or a prediction are not scored.
    :param nominal_coverage: that the intervals were made for; None where there are none.
    :param n_resamples: of the bootstrap over rows.
    :param seed: of the resamples.
    """

    job: Literal['score_barriers'] = 'score_barriers'
    table: str
    nominal_coverage: float | None = Field(None, gt=0, lt=1)
    n_resamples: int = Field(2000, gt=0)
    seed: int = Field(0, ge=0)


class ScoreBarriersResult(PlainResult):
    """How well predictions agree.

    :param scores: see :func:`aiida_embarrier.prediction.evaluating.evaluation`.
    """

    scores: dict[str, JsonValue] = Field(default_factory=dict)
