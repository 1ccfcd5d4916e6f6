"""Learning rate and momentum as functions of the number of the step, so that a schedule has no state to keep."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiida_embarrier.jobs.learning import TrainingSettings

__all__ = ('one_cycle', 'rates_at')

#: As torch's `OneCycleLR` has them by default, which the published trainings left as they are: the rate begins at 1/25
#: of the highest and ends at 1e-4 of where it began; the first momentum of AdamW goes the other way.
_DIVISOR, _FINAL_DIVISOR = 25.0, 1e4
_MOMENTA = (0.85, 0.95)

#: First momentum of AdamW where the rate is constant.
_MOMENTUM = 0.9


def one_cycle(step: int, total: int, highest: float, warm_up: float) -> tuple[float, float]:
    """Return rate and momentum of a step: both go along half a cosine up to `warm_up` of the steps, and one back.

    :param step: number of the step, from 0.
    :param total: number of all steps.
    :param highest: largest rate.
    :param warm_up: share of the steps in which the rate rises.
    """
    lowest = highest / _DIVISOR
    low, high = _MOMENTA
    turn, end = warm_up * total - 1, total - 1
    if step <= turn:
        share = step / turn if turn > 0 else 1.0
        return _along(lowest, highest, share), _along(high, low, share)
    share = (step - turn) / (end - turn) if end > turn else 1.0
    return _along(highest, lowest / _FINAL_DIVISOR, share), _along(low, high, share)


def rates_at(step: int, total: int, settings: TrainingSettings) -> tuple[float, float]:
    """Return learning rate and first momentum of AdamW at a step of a training."""
    if settings.schedule == 'constant':
        return settings.lr, _MOMENTUM
    return one_cycle(step, total, settings.lr, settings.warm_up)


def _along(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))
