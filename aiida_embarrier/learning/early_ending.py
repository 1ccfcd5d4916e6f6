"""Whether a training ends before its last epoch: it found its best, ran away, or never moved."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiida_embarrier.jobs.learning import TrainingSettings

__all__ = ('Status', 'best_epoch', 'ending_of')

Status = Literal['trained', 'stopped_early', 'diverged', 'stalled']

#: A loss this many times that of the first epoch, or of the mean where that is more, has run away.
DIVERGED = 1e3

#: Epochs in which the loss must move by more than this share of it.
STALLED_EPOCHS, STALLED_SHARE = 20, 1e-6


def ending_of(curve: Sequence[dict[str, Any]], settings: TrainingSettings, loss_of_mean: float) -> Status | None:
    """Return how a training ends here, None where it goes on.

    :param curve: one entry per epoch, with `loss_train`, `loss_validation` and `mae_validation` (None without
        validation rows).
    :param loss_of_mean: training loss of a model that predicts the mean of each target.
    """
    if not curve:
        return None
    losses = [entry['loss_train'] for entry in curve]
    validation = curve[-1]['loss_validation']
    far = DIVERGED * max(losses[0], loss_of_mean)
    if not math.isfinite(losses[-1]) or losses[-1] > far or (validation is not None and not math.isfinite(validation)):
        return 'diverged'
    recent = losses[-STALLED_EPOCHS - 1 :]
    if (
        len(recent) > STALLED_EPOCHS
        and max(recent) - min(recent) <= STALLED_SHARE * max(recent)
        and losses[-1] >= loss_of_mean
    ):
        return 'stalled'
    best = best_epoch(curve)
    if settings.early_stopping is not None and best is not None and len(curve) - best >= settings.early_stopping:
        return 'stopped_early'
    return 'trained' if len(curve) >= settings.epochs else None


def best_epoch(curve: Sequence[dict[str, Any]]) -> int | None:
    """Return the first epoch, from 1, with the least validation error; None without validation rows."""
    errors = [
        (entry['mae_validation'], number)
        for number, entry in enumerate(curve, 1)
        if entry['mae_validation'] is not None and math.isfinite(entry['mae_validation'])
    ]
    return min(errors)[1] if errors else None
