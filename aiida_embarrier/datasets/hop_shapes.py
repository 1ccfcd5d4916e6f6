"""What no turn of a hop changes: where atoms lie along its line and how far beside it.

Most pairs of hops are told apart by that alone, for a small part of what it takes to lay their surroundings on each
other. All conditions here are necessary ones: what they rule out could not have been laid on each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiida_embarrier.datasets.equivalence import HopEnvironment

__all__ = ('Shapes', 'cylinder')

#: For rounding, in Å: conditions here are looser by this than those of the comparison they come before.
SLACK = 1e-6


def cylinder(positions: np.ndarray, axis: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where positions are along an axis, and how far from it."""
    unit = axis / np.linalg.norm(axis)
    heights = positions @ unit
    return heights, np.linalg.norm(positions - heights[:, None] * unit, axis=1)


class Shapes:
    """The shapes of hops, as arrays in which hops with fewer atoms are filled up.

    :param hops: hops whose elements are numbers from 0.
    :param margin: how far beyond the path host atoms are compared, in Å.
    :param n_near: how many atoms are looked at first, those nearest to the middle of the hop.
    """

    def __init__(self, hops: Sequence[HopEnvironment], margin: float, n_near: int) -> None:
        size = max((len(hop.positions) for hop in hops), default=0)
        self.margin, self.n_near = margin, n_near
        self.lengths = np.array([hop.length for hop in hops])
        self.scales = np.array([hop.scale for hop in hops])
        self.n_atoms = np.array([len(hop.positions) for hop in hops])
        self.elements = np.full((len(hops), size), -1)
        self.heights, self.distances = np.zeros((2, len(hops), size))
        for number, hop in enumerate(hops):
            inside = slice(len(hop.positions))
            self.elements[number, inside] = hop.elements
            along = cylinder(hop.positions, hop.path[-1] - hop.path[0])
            self.heights[number, inside], self.distances[number, inside] = along

    def possible(self, first: int, others: np.ndarray, tolerance: float) -> np.ndarray:
        """Return which hops may be the first one, all brought to its volume.

        :param others: numbers of hops, shape (n,).
        :param tolerance: farthest that an atom may lie from where the other hop has it, in Å.
        :return: for each of them whether it may be, as it is and in the other direction, shape (n, 2).
        """
        found = np.zeros((len(others), 2), dtype=bool)
        factors = self.scales[first] / self.scales[others]
        alike = np.flatnonzero(np.abs(self.lengths[first] - factors * self.lengths[others]) <= tolerance + SLACK)
        for column, sign in enumerate((1.0, -1.0)):
            found[alike, column] = self._fit(first, others[alike], sign * factors[alike], tolerance)
        return found

    def _fit(self, first: int, others: np.ndarray, factors: np.ndarray, tolerance: float) -> np.ndarray:
        """Return which hops have an atom where each atom of the first hop within the margin may belong.

        :param factors: what the other hops are scaled by; negative for the other direction.
        """
        radii = np.hypot(self.heights[first], self.distances[first])[: self.n_atoms[first]]
        inside = int((radii <= self.lengths[first] / 2 + self.margin - SLACK).sum())  # the nearest atoms come first
        left = np.arange(len(others))
        # few atoms tell most hops apart, so that few hops are left for the others
        start, stop = 0, min(self.n_near, self.n_atoms[first])
        while start < stop:
            fits = self._near(first, slice(start, stop), others[left], factors[left], tolerance)
            left = left[np.all(fits.any(axis=2), axis=1)]
            start, stop = stop, min(3 * stop, max(inside, stop))
        found = np.zeros(len(others), dtype=bool)
        found[left] = True
        return found

    def _near(self, first: int, atoms: slice, others: np.ndarray, factors: np.ndarray, tolerance: float) -> np.ndarray:
        """Return which atoms of the first hop may be which of the others, shape (hops, atoms of the first, atoms)."""
        heights = factors[:, None] * self.heights[others]
        distances = np.abs(factors)[:, None] * self.distances[others]
        along = heights[:, None] - self.heights[first, atoms, None]
        beside = distances[:, None] - self.distances[first, atoms, None]
        near = along * along + beside * beside <= (2 * tolerance + SLACK) ** 2
        found: np.ndarray = near & (self.elements[others][:, None] == self.elements[first, atoms, None])
        return found
