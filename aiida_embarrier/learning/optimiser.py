"""The optimiser of a training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from aiida_embarrier.jobs.learning import TrainingSettings

__all__ = ('make_optimiser',)


def make_optimiser(model: torch.nn.Module, settings: TrainingSettings) -> torch.optim.AdamW:
    """Return AdamW over the parameters of a model that are trained.

    Weights decay; biases and the two vectors of a normalisation, all that have one dimension, do only where the
    settings say so.

    :raises ValueError: where no parameter is to be trained.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not trained:
        raise ValueError('no parameter of the model is to be trained: choose a strategy that leaves some of them free')
    matrices = [parameter for parameter in trained if parameter.ndim > 1 or settings.decay_all]
    vectors = [parameter for parameter in trained if parameter.ndim <= 1 and not settings.decay_all]
    groups = [
        {'params': parameters, 'weight_decay': decay}
        for parameters, decay in ((matrices, settings.weight_decay), (vectors, 0.0))
        if parameters
    ]
    # the fused one would scale gradients back itself, which Fabric cannot clip then
    return torch.optim.AdamW(groups, lr=settings.lr, fused=settings.precision != '16-mixed')
