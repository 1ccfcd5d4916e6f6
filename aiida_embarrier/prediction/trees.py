"""Forests of scikit-learn as plain arrays: what they predict needs no scikit-learn, and nothing is pickled."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

__all__ = ('Forest',)


@dataclass(frozen=True)
class Forest:
    """Regression trees, one after the other in the same arrays.

    :param features: column that a node asks about, -1 at a leaf, shape (n_nodes,).
    :param thresholds: a row goes left where its value is at most this, single precision, shape (n_nodes,).
    :param left: number of the node to the left, shape (n_nodes,).
    :param right: number of the node to the right, shape (n_nodes,).
    :param values: of the leaves, shape (n_nodes,).
    :param roots: numbers of the first nodes, shape (n_trees,).
    """

    features: np.ndarray
    thresholds: np.ndarray
    left: np.ndarray
    right: np.ndarray
    values: np.ndarray
    roots: np.ndarray

    @classmethod
    def from_estimators(cls, estimators: Sequence[Any]) -> Self:
        """Return the trees of a fitted ensemble of scikit-learn, which are of one output."""
        trees = [estimator.tree_ for estimator in estimators]
        counts = [tree.node_count for tree in trees]
        roots = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int32)

        def child(side: str) -> np.ndarray:
            moved = [
                np.where(getattr(tree, side) < 0, 0, getattr(tree, side) + root)
                for tree, root in zip(trees, roots, strict=True)
            ]
            return np.concatenate(moved).astype(np.int32)

        return cls(
            features=np.concatenate([np.where(tree.children_left < 0, -1, tree.feature) for tree in trees]).astype(
                np.int16
            ),
            thresholds=_rounded_down(np.concatenate([tree.threshold for tree in trees])),
            left=child('children_left'),
            right=child('children_right'),
            values=np.concatenate([tree.value[:, 0, 0] for tree in trees]).astype(np.float32),
            roots=roots,
        )

    def predict(self, numbers: np.ndarray) -> np.ndarray:
        """Return what each tree says of each row, shape (n_trees, n_rows).

        :param numbers: shape (n_rows, n_columns), without gaps; compared in single precision, as scikit-learn does.
        """
        table = np.ascontiguousarray(numbers, dtype=np.float32)
        rows = np.arange(len(table))
        nodes = np.repeat(self.roots[:, None], len(table), axis=1)
        while True:
            asked = self.features[nodes]
            inner = asked >= 0
            if not inner.any():
                return self.values[nodes].astype(float)
            left = table[rows, np.maximum(asked, 0)] <= self.thresholds[nodes]
            nodes = np.where(inner, np.where(left, self.left[nodes], self.right[nodes]), nodes)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all arrays by their names."""
        return {entry.name: getattr(self, entry.name) for entry in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """Return the forest of :meth:`arrays`."""
        return cls(**{entry.name: arrays[entry.name] for entry in fields(cls)})


def _rounded_down(thresholds: np.ndarray) -> np.ndarray:
    """Return the largest numbers of single precision that are not larger: values of that precision go the same way."""
    found = thresholds.astype(np.float32)
    return np.where(found > thresholds, np.nextafter(found, np.float32(-np.inf)), found).astype(np.float32)
