"""What a model says of crystals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from aiida_embarrier.learning.batches import collate
from aiida_embarrier.learning.folding import fold
from aiida_embarrier.learning.loaders import prefetched
from aiida_embarrier.learning.scaling import unscale
from aiida_embarrier.learning.sizes import MOST_FEATURES, batches_by_size, n_angles

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from aiida_embarrier.jobs.learning import ModelCard
    from aiida_embarrier.learning.alignn import ALIGNN
    from aiida_embarrier.learning.graph import CrystalGraph

__all__ = ('predict', 'predictions')


def predict(
    model: ALIGNN,
    card: ModelCard,
    graphs: Sequence[CrystalGraph],
    labels: Sequence[str] | None = None,
    batch_size: int = 64,
    device: torch.device | str = 'cpu',
) -> np.ndarray:
    """Return what a model says of crystals, whichever others are predicted with them.

    :param labels: of the targets; None for all of the model.
    :returns: in the units of the targets, shape (n_crystals, n_labels), float64; not finite where the model fails.
    :raises ValueError: for a label that the model does not have.
    """
    wanted = card.labels if labels is None else list(labels)
    found = np.empty((len(graphs), len(wanted)))
    for numbers, values in predictions(model, card, graphs, wanted, batch_size, device):
        found[numbers] = values
    return found


def predictions(
    model: ALIGNN,
    card: ModelCard,
    graphs: Sequence[CrystalGraph],
    labels: Sequence[str],
    batch_size: int = 64,
    device: torch.device | str = 'cpu',
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield what a model says of crystals, batch by batch, so that what was predicted is there whatever comes next.

    :param model: as :func:`~aiida_embarrier.learning.model_files.read_model` returns it; it is moved to the device.
    :param card: of the model.
    :param graphs: of the crystals, made as the card says.
    :param labels: of the targets.
    :param batch_size: crystals at a time, at most; fewer of large ones.
    :returns: numbers of crystals, and their predictions in the units of the targets, shape (n, n_labels), float64.
    :raises ValueError: for a label that the model does not have.
    """
    scalers = {scaler.label: scaler for scaler in card.scalers}
    unknown = [label for label in labels if label not in scalers]
    if unknown:
        raise ValueError(f'the model predicts {", ".join(scalers)}, not {unknown[0]!r}')
    sizes = np.array([n_angles(graph) for graph in graphs], dtype=int)
    device = torch.device(device)
    steps = batches_by_size(sizes, batch_size, MOST_FEATURES[device.type] // card.architecture.hidden)
    model = model.to(device).eval()
    batches = prefetched(lambda step: collate([fold(graphs[int(number)]) for number in step]), steps)
    for step, batch in zip(steps, batches, strict=True):
        with torch.inference_mode():
            scaled = model(batch.to(device)).double().cpu().numpy()
        columns = [unscale(scalers[label], scaled[:, card.labels.index(label)]) for label in labels]
        yield step, np.stack(columns, axis=1)
