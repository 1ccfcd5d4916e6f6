"""Supercells: how large they must be, and which site of the host comes where."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.geometry import minkowski_reduce
from pymatgen.core import Structure
from pymatgen.util.coord import lattice_points_in_supercell

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ('DEFAULT_MIN_DISTANCE', 'Supercell', 'finite_size_warning', 'supercell_for', 'supercell_matrix')

#: Distance between periodic images of the migrating ion in Å that the literature on barriers commonly keeps.
DEFAULT_MIN_DISTANCE = 8.0

_TOLERANCE = 1e-6


def finite_size_warning(distance: float, min_distance: float, ion: str, remedy: str) -> str | None:
    """Return a warning where periodic images of the migrating ion are nearer than 8 Å, or than asked; else None.

    A limit that was lowered does not enlarge the cell, so it does not silence the warning.

    :param distance: distance of the images in Å.
    :param min_distance: the distance that was asked for in Å.
    :param ion: what migrates, in words.
    :param remedy: what to do about it, the end of the sentence.
    """
    wanted = max(min_distance, DEFAULT_MIN_DISTANCE)
    if distance >= wanted - _TOLERANCE:
        return None
    near = f'periodic images of the migrating {ion} are {distance:.2f} Å apart, less than {wanted:g} Å'
    return f'finite size: {near}; {remedy}'


def supercell_matrix(supercell: int | Sequence[int] | Sequence[Sequence[int]] | np.ndarray) -> np.ndarray:
    """Return a supercell as an integer matrix whose rows are the new lattice vectors in units of the old ones.

    :param supercell: one factor for all directions, three factors, or the matrix itself.
    :raises ValueError: for anything else, for numbers that are not integers, and for matrices that span no volume or
        change the handedness.
    """
    given = np.asarray(supercell)
    hint = 'give one integer, three integers, or a 3x3 matrix of integers with positive determinant'
    if given.dtype.kind not in 'iuf' or not np.array_equal(given, np.rint(given)):
        raise ValueError(f'{supercell!r} is no supercell: {hint}')
    given = given.astype(int)
    matrix = np.diag(np.broadcast_to(given, 3)) if given.shape in {(), (1,), (3,)} else given
    if matrix.shape != (3, 3) or np.any(matrix.diagonal() < 1 if given.ndim < 2 else round(np.linalg.det(matrix)) < 1):
        raise ValueError(f'{supercell!r} is no supercell: {hint}')
    return matrix


def supercell_for(
    structure: Structure, min_distance: float = DEFAULT_MIN_DISTANCE, diagonal: bool = True
) -> np.ndarray:
    """Return the smallest supercell that keeps periodic images of every atom at a distance.

    Of several equally small ones that with the farthest images is taken, then the one whose cell edges are shortest.

    :param structure: the host.
    :param min_distance: smallest allowed length of any lattice vector in Å.
    :param diagonal: only multiples of the lattice vectors of the host; otherwise any supercell, which in skewed cells
        can be much smaller but may have less symmetry.
    :returns: integer matrix, shape (3, 3), whose rows are the new lattice vectors in units of the old ones.
    :raises ValueError: for a distance that is not positive.
    """
    if not (np.isfinite(min_distance) and min_distance > 0):
        raise ValueError(f'the distance between periodic images must be positive, got {min_distance} Å')
    lattice: Any = structure.lattice
    # Enough in any case: each lattice vector then crosses at least one layer of that thickness.
    spacings = 1 / np.asarray(lattice.reciprocal_lattice_crystallographic.abc)
    limits = np.ceil(min_distance / spacings - _TOLERANCE).astype(int)
    short, _, _, _ = lattice.get_points_in_sphere([[0, 0, 0]], [0, 0, 0], min_distance - _TOLERANCE, zip_results=False)
    vectors = np.rint(short).astype(int)
    vectors = vectors[np.any(vectors != 0, axis=1)]
    candidates = _diagonal_matrices(limits) if diagonal else _hermite_matrices(int(limits.prod()))
    for matrices in candidates:
        size = round(float(np.linalg.det(matrices[0])))
        inverse = np.rint(np.linalg.inv(matrices) * size).astype(int)
        # A short vector of the host is one of the supercell where its coefficients in the new vectors are integers.
        inside = np.all((vectors @ inverse) % size == 0, axis=-1)
        fitting = matrices[~inside.any(axis=-1)]
        if len(fitting):
            return _best(fitting, np.asarray(lattice.matrix))
    raise AssertionError('the limits always give a supercell')


def _diagonal_matrices(limits: np.ndarray) -> Iterator[np.ndarray]:
    """Yield diagonal supercells, all of one size at a time, sizes ascending, as arrays of shape (n, 3, 3)."""
    factors = sorted(itertools.product(*(range(1, limit + 1) for limit in limits)), key=lambda f: (np.prod(f), f))
    for _, group in itertools.groupby(factors, key=np.prod):
        yield np.array([np.diag(entry) for entry in group])


def _hermite_matrices(largest: int) -> Iterator[np.ndarray]:
    """Yield all supercells as Hermite normal forms, all of one size at a time, sizes ascending."""
    for size in range(1, largest + 1):
        divisors = [number for number in range(1, size + 1) if size % number == 0]
        triples = [(a, b, size // (a * b)) for a in divisors for b in divisors if size % (a * b) == 0]
        yield np.array(
            [
                [[a, 0, 0], [i, b, 0], [j, k, c]]
                for a, b, c in triples
                for i in range(a)
                for j in range(a)
                for k in range(b)
            ]
        )


def _best(matrices: np.ndarray, lattice: np.ndarray) -> np.ndarray:
    ranked = []
    for matrix in matrices:
        reduced, operation = minkowski_reduce(matrix @ lattice)
        lengths = np.linalg.norm(reduced, axis=1)
        diagonal = np.count_nonzero(matrix) == 3
        compact = matrix if diagonal else np.asarray(operation, dtype=int) @ matrix
        compact = compact if np.linalg.det(compact) > 0 else -compact
        ranked.append((-round(lengths.min(), 4), round(float(lengths.sum()), 4), matrix.tolist(), compact))
    return min(ranked, key=lambda entry: entry[:3])[3]


class Supercell:
    """A host repeated, with the way from sites of the host to sites of the supercell.

    Site i of the host in the k-th of n cells is site ``i * n + k``; positions are those of the host plus the lattice
    vector of the cell, not wrapped, and site properties are kept.

    :param host: the crystal.
    :param supercell: as :func:`supercell_matrix` takes it.
    """

    def __init__(self, host: Structure, supercell: int | Sequence[int] | Sequence[Sequence[int]] | np.ndarray) -> None:
        self.matrix = supercell_matrix(supercell)
        self.size = round(float(np.linalg.det(self.matrix)))
        points = np.asarray(lattice_points_in_supercell(self.matrix)) @ self.matrix
        self._cells = {tuple(cell): number for number, cell in enumerate(np.rint(points).astype(int).tolist())}
        shifts = np.array(list(self._cells)) @ host.lattice.matrix
        self.structure = Structure(
            self.matrix @ host.lattice.matrix,
            [site.species for site in host for _ in shifts],
            np.concatenate([site.coords + shifts for site in host]),
            coords_are_cartesian=True,
            site_properties={
                key: [value for value in values for _ in shifts] for key, values in host.site_properties.items()
            },
        )

    def index(self, site: int, image: Sequence[int] = (0, 0, 0)) -> int:
        """Return which site of the supercell a site of the host in a certain cell of the host is.

        :param site: index in the host.
        :param image: cell of the host, three integers.
        """
        return site * self.size + self._cells[self._home(image)]

    def _home(self, image: Sequence[int]) -> tuple[int, int, int]:
        cell = np.asarray(image, dtype=int)
        # Integers throughout: the adjugate of the matrix over its determinant instead of its inverse.
        adjugate = np.rint(np.linalg.inv(self.matrix) * self.size).astype(int)
        wrapped = cell - ((cell @ adjugate) // self.size) @ self.matrix
        return int(wrapped[0]), int(wrapped[1]), int(wrapped[2])
