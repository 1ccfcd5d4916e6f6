"""What a training makes small: the error of scaled targets, of one property or of several of which most are missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from aiida_embarrier.jobs.learning import TrainingSettings

__all__ = ('TargetLoss',)


class TargetLoss:
    r"""Loss of scaled targets that may be missing.

    With :math:`\delta_{bp}` 1 where row b has property p, else 0, and an error :math:`\ell`,

    - `published`: :math:`\frac{1}{BP}\sum_{bp} \delta_{bp}\,\ell(\hat y_{bp} - y_{bp})`, which is `L1Loss()(output *
      has_prop, target)` of the published training, whose missing targets are 0. The mean is over all B·P entries, so
      properties that most rows have weigh most.
    - `balanced`: the mean over those properties that any row has of the means over the rows that have them.

    A global batch may be spread over processes: each has :meth:`sums`; the weights of all are added up, and
    :meth:`combine` of the own sums with those weights, added up over the processes, is the loss of the whole batch. So
    its gradient is the sum, not the mean, of those of the processes.

    :param settings: of the training: `loss`, `huber_delta` and `multi_loss`.
    """

    def __init__(self, settings: TrainingSettings) -> None:
        self._loss = settings.loss
        self._delta = settings.huber_delta
        self._balanced = settings.multi_loss == 'balanced'

    def __call__(self, predictions: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the loss of a batch.

        :param predictions: scaled, shape (n_rows, n_targets).
        :param targets: scaled, of that shape; NaN where missing.
        """
        return self.combine(*self.sums(predictions, targets))

    def sums(self, predictions: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the errors added up by target, and what each sum is to be divided by; both of shape (n_targets,).

        :param predictions: scaled, shape (n_rows, n_targets).
        :param targets: scaled, of that shape; NaN where missing.
        :raises ValueError: for different shapes, which would be broadcast otherwise.
        """
        if predictions.shape != targets.shape:
            raise ValueError(f'predictions have the shape {tuple(predictions.shape)}, targets {tuple(targets.shape)}')
        present = ~torch.isnan(targets)
        predictions = torch.where(present, predictions.float(), 0.0)  # float: mixed precision ends here
        targets = torch.where(present, targets.float(), 0.0)
        weights = present.sum(0) if self._balanced else torch.full_like(present[0], len(present), dtype=torch.long)
        return self._errors(predictions, targets).sum(0), weights.to(predictions.dtype)

    def combine(self, sums: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Return the loss for errors that were added up.

        :param sums: of each target, shape (n_targets,).
        :param weights: what each sum is divided by, 0 for a target that no row has.
        """
        counted = weights > 0
        means = torch.where(counted, sums / weights.clamp(min=1.0), 0.0)
        return means.sum() / counted.sum().clamp(min=1)

    def _errors(self, predictions: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        if self._loss == 'l1':
            return functional.l1_loss(predictions, targets, reduction='none')
        if self._loss == 'mse':
            return functional.mse_loss(predictions, targets, reduction='none')
        return functional.huber_loss(predictions, targets, reduction='none', delta=self._delta)
