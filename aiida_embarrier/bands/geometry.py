"""Distances in periodic cells of any shape."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = (
    'MIN_CLEARANCE',
    'OVERLAP',
    'ClosestPair',
    'closest_pair',
    'image_distance',
    'minimum_image',
    'reduced_lattice',
)

#: An ion nearer than this to another atom, in Å, is on top of it; the shortest bonds of alkali ions are 1.8 Å long.
MIN_CLEARANCE = 1.2
#: Atoms nearer than this, in Å, are one atom twice; the shortest bond, that of H2, is 0.74 Å long.
OVERLAP = 0.5

_SHELLS = np.array(list(product((0, -1, 1), repeat=3)))


class ClosestPair(NamedTuple):
    """The two atoms of a structure that are nearest to each other.

    :param distance: in Å.
    :param first: index of one atom.
    :param second: index of the other atom; that of the same atom where its own periodic image is nearest.
    """

    distance: float
    first: int
    second: int


def reduced_lattice(lattice: ArrayLike) -> np.ndarray:
    """Return the Minkowski-reduced vectors of a lattice, shortest first, shape (3, 3); the first is a shortest one."""
    from ase.geometry import minkowski_reduce

    reduced: np.ndarray = minkowski_reduce(np.asarray(lattice, dtype=float), pbc=True)[0]
    return reduced


def image_distance(lattice: ArrayLike) -> float:
    """Return the smallest distance between periodic images of an atom in Å: the shortest lattice vector.

    :param lattice: lattice vectors as rows in Å, shape (3, 3).
    """
    return float(np.linalg.norm(reduced_lattice(lattice)[0]))


def minimum_image(vectors: np.ndarray, lattice: np.ndarray) -> np.ndarray:
    """Return for each vector the shortest of those that differ from it by lattice vectors.

    Right in any cell: fractional coordinates in the Minkowski-reduced cell are brought to [-1/2, 1/2], where the
    shortest vector is at most one cell away in each direction (P. Q. Nguyen and D. Stehlé, ACM Transactions on
    Algorithms 5, 46 (2009), on reduced bases of up to four dimensions). `ase.geometry.find_mic` (3.29) is not used
    because it skips the reduction for vectors shorter than half the shortest *cell* vector: with the cell vectors
    (10, 0, 0), (5.1, 0.3, 0), (0, 0, 10) it returns vectors up to 0.22 Å too long.

    :param vectors: Cartesian vectors in Å, shape (..., 3).
    :param lattice: lattice vectors as rows in Å, shape (3, 3).
    :returns: Cartesian vectors in Å, of the shape of `vectors`.
    """
    flat = np.asarray(vectors, dtype=float).reshape(-1, 3)
    reduced = reduced_lattice(lattice)
    fractional = flat @ np.linalg.inv(reduced)
    near = flat - np.round(fractional) @ reduced
    best, shortest = near.copy(), np.einsum('ij,ij->i', near, near)
    for shift in _SHELLS[1:] @ reduced:
        moved = near + shift
        squares = np.einsum('ij,ij->i', moved, moved)
        # a tie keeps the earlier shell, so rounding errors do not choose between equal ways
        closer = squares < shortest - 1e-9
        best[closer], shortest[closer] = moved[closer], squares[closer]
    return best.reshape(np.shape(vectors))


def closest_pair(positions: np.ndarray, lattice: np.ndarray, among: tuple[int, ...] | None = None) -> ClosestPair:
    """Return the two atoms that are nearest to each other over periodic boundaries.

    :param positions: Cartesian positions in Å, shape (n_atoms, 3).
    :param lattice: lattice vectors as rows in Å, shape (3, 3).
    :param among: only pairs with at least one of these atoms; None for all pairs.
    :raises ValueError: where there is no atom to choose from.
    """
    n_atoms = len(positions)
    if n_atoms == 0 or among == ():
        raise ValueError('there is no atom to measure a distance from')
    # every atom is that near its own images, the same one everywhere
    lone = ClosestPair(image_distance(lattice), *([0, 0] if among is None else [int(among[0])] * 2))
    first, second = np.triu_indices(n_atoms, 1)
    if among is not None:
        chosen = np.isin(first, among) | np.isin(second, among)
        first, second = first[chosen], second[chosen]
    if len(first) == 0:
        return lone
    distances = np.linalg.norm(minimum_image(positions[second] - positions[first], lattice), axis=1)
    nearest = int(np.argmin(distances))
    return min(lone, ClosestPair(float(distances[nearest]), int(first[nearest]), int(second[nearest])))
