"""Which crystals are in which step of a training, and batches of them, made while the step before is computed."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from aiida_embarrier.learning.batches import collate
from aiida_embarrier.learning.sizes import batches_by_size, n_angles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import torch

    from aiida_embarrier.learning.folding import FoldedCrystal
    from aiida_embarrier.learning.graph import CrystalGraph

__all__ = ('CrystalItems', 'Items', 'StepOrder', 'prefetched', 'share_of')

#: Crystals that are predicted together, at most.
MOST_ROWS = 256

#: Batches that are made ahead.
_AHEAD = 2


class Items(Protocol):
    """What a training draws its batches from: inputs of a model by their numbers, and scaled targets."""

    @property
    def targets(self) -> torch.Tensor:
        """Scaled, NaN where missing, float32, shape (n, n_targets)."""

    def batch(self, numbers: np.ndarray) -> Any:
        """Return rows by their numbers as the input of a model."""

    def portions(self, numbers: np.ndarray) -> list[np.ndarray]:
        """Return which of some rows are predicted together: places in `numbers`."""


@dataclass(frozen=True)
class CrystalItems:
    """Crystals to learn from, and to predict.

    :param graphs: one per crystal; folded ones save the time of what is alike in each epoch.
    :param targets: scaled, NaN where missing, float32, shape (n, n_targets).
    :param most_angles: angles in a batch of which nothing is learned, at most, unless one crystal has more.
    """

    graphs: Sequence[CrystalGraph | FoldedCrystal]
    targets: torch.Tensor
    most_angles: int = 62_500

    def batch(self, numbers: np.ndarray) -> Any:
        """Return crystals by their numbers as the input of a model."""
        return collate([self.graphs[int(number)] for number in numbers])

    def portions(self, numbers: np.ndarray) -> list[np.ndarray]:
        """Return which of some crystals are predicted together: places in `numbers`."""
        sizes = np.array([n_angles(self.graphs[int(number)]) for number in numbers], dtype=int)
        return batches_by_size(sizes, MOST_ROWS, self.most_angles)


class StepOrder:
    """The rows of each step of each epoch; a function of the seed, so that the place in it is two numbers.

    :param rows: numbers of the training rows.
    :param batch_size: rows of a step, of all processes together; the last step of an epoch may have fewer.
    :param seed: of the training.
    :param shuffle: whether each epoch has an order of its own; else that of `rows`.
    """

    def __init__(self, rows: np.ndarray, batch_size: int, seed: int, shuffle: bool) -> None:
        self._rows = np.asarray(rows)
        self._batch_size = batch_size
        self._seed = seed
        self._shuffle = shuffle

    @property
    def n_steps(self) -> int:
        """Steps of an epoch."""
        return -(-len(self._rows) // self._batch_size)

    def steps(self, epoch: int) -> list[np.ndarray]:
        """Return the numbers of the rows of each step of an epoch, counted from 0."""
        rows = self._rows
        if self._shuffle:
            rows = rows[np.random.default_rng([self._seed, epoch]).permutation(len(rows))]
        return [rows[start : start + self._batch_size] for start in range(0, len(rows), self._batch_size)]


def share_of(rows: np.ndarray, rank: int, world: int) -> np.ndarray:
    """Return the rows of a step that one of several processes treats: none of fewer rows than processes."""
    return np.array_split(rows, world)[rank]


def prefetched(make: Callable[[np.ndarray], Any], steps: Iterable[np.ndarray]) -> Iterator[Any]:
    """Yield what `make` makes of each step, None for a step without rows, a thread being a few steps ahead.

    A batch of 16 crystals of some 15 atoms is made in 10 ms of a core; a step with it takes 90 ms of one with the
    architecture `tiny`, 180 ms with `small`. So a CPU does not wait for batches either way; a GPU would.
    """
    with ThreadPoolExecutor(1, thread_name_prefix='batches') as pool:
        waiting: deque[Any] = deque()
        try:
            for step in steps:
                waiting.append(pool.submit(make, step) if len(step) else None)
                if len(waiting) > _AHEAD:
                    yield _result(waiting.popleft())
            while waiting:
                yield _result(waiting.popleft())
        finally:
            for future in waiting:
                if future is not None:
                    future.cancel()


def _result(future: Any) -> Any:
    return None if future is None else future.result()
