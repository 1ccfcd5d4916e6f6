"""Which crystals are computed together where nothing is learned of them, so that they fit into memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aiida_embarrier.learning.folding import FoldedCrystal

if TYPE_CHECKING:
    from aiida_embarrier.learning.graph import CrystalGraph

__all__ = ('MOST_FEATURES', 'batches_by_size', 'n_angles')

#: Features of angles in a batch, at most, unless one crystal has more, before what is alike is folded. 50 crystals with
#: 150,000 angles took 180 MB with the published architecture in one batch, and 80 MB in three, in the same time. A GPU
#: wants larger batches.
MOST_FEATURES = {'cpu': 16_000_000, 'cuda': 128_000_000}


def n_angles(crystal: CrystalGraph | FoldedCrystal) -> int:
    """Return the number of angles between the bonds at the atoms of a crystal, which decides time and memory.

    Of a folded crystal those that are alike are counted once.
    """
    if isinstance(crystal, FoldedCrystal):
        return int((crystal.n_arriving * crystal.n_bonds).sum())
    return int((np.bincount(crystal.target) ** 2).sum())


def batches_by_size(sizes: np.ndarray, batch_size: int, most: int) -> list[np.ndarray]:
    """Return which crystals are predicted together: those of similar size, the largest first.

    So memory is short at the beginning or not at all.

    :param sizes: of the crystals, shape (n,).
    :param batch_size: crystals in a batch, at most.
    :param most: sum of their sizes, at most, unless one has more.
    :returns: numbers of crystals.
    """
    batches: list[np.ndarray] = []
    order = np.argsort(-sizes, kind='stable')
    while len(order):
        fitting = int(np.searchsorted(np.cumsum(sizes[order[:batch_size]]), most, side='right'))
        batches.append(order[: max(1, fitting)])
        order = order[max(1, fitting) :]
    return batches
