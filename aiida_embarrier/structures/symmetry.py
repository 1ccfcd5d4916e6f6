"""Symmetry operations of a crystal with its magnetic moments, and what they do to its sites."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import spglib

from aiida_embarrier.bands.band import kinds_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike
    from pymatgen.core import Structure

__all__ = (
    'SymmetryOperation',
    'match_points',
    'permute_points',
    'permute_sites',
    'point_distances',
    'symmetry_operations',
)


@dataclass(frozen=True, eq=False)
class SymmetryOperation:
    """One operation x -> R x + t on fractional coordinates.

    :param rotation: R, integers, shape (3, 3).
    :param translation: t, shape (3,).
    :param time_reversal: whether all magnetic moments change sign too.
    """

    rotation: np.ndarray
    translation: np.ndarray
    time_reversal: bool = False

    def apply(self, fractional: ArrayLike) -> np.ndarray:
        """Return the images of fractional coordinates, shape (..., 3), not wrapped."""
        return np.asarray(fractional) @ self.rotation.T + self.translation

    def to_dict(self) -> dict[str, Any]:
        """Return the operation as plain Python values."""
        return {
            'rotation': self.rotation.tolist(),
            'translation': self.translation.tolist(),
            'time_reversal': self.time_reversal,
        }

    @classmethod
    def from_dict(cls, entries: Mapping[str, Any]) -> SymmetryOperation:
        """Return the operation that :meth:`to_dict` wrote."""
        rotation, translation = (np.array(entries[name]) for name in ('rotation', 'translation'))
        return cls(rotation, translation, bool(entries['time_reversal']))


def symmetry_operations(
    structure: Structure, symprec: float = 0.01, moment_tolerance: float = 0.1
) -> tuple[SymmetryOperation, ...]:
    """Return the symmetry operations of a crystal, the translations inside its cell included.

    They are those of the crystal as it is described by the cell: operations that do not map the lattice of a supercell
    onto itself are no operations of the supercell. Sites correspond only where they have the same element, oxidation
    state and Hubbard U. Magnetic moments are collinear and apart from space, as without spin-orbit coupling: an
    operation either keeps all of them or reverses all of them, and a rotation of space leaves them alone. Names of
    kinds do not count, or else a reversal of all moments could never be a symmetry.

    :param structure: an ordered crystal; moments, oxidation states and U are taken as
        :func:`~aiida_embarrier.bands.band.kinds_of` takes them.
    :param symprec: how far sites may lie from where symmetry wants them, in Å.
    :param moment_tolerance: by how much moments may differ that count as equal, in Bohr magnetons.
    :raises ValueError: where spglib finds no symmetry, as it does for atoms closer than `symprec`.
    """
    kinds, kind_of_site = kinds_of(structure)
    labels = [(kind.element, kind.oxidation_state, kind.hubbard_u) for kind in kinds]
    distinct = list(dict.fromkeys(labels))
    numbers = [distinct.index(labels[kind]) + 1 for kind in kind_of_site]
    moments = np.array([kinds[kind].magnetic_moment or 0.0 for kind in kind_of_site])
    cell = (structure.lattice.matrix.tolist(), structure.frac_coords.tolist(), numbers)
    found: tuple[Any, ...] | None = None
    try:
        if np.abs(moments).max() <= moment_tolerance:
            dataset = spglib.get_symmetry_dataset(cell, symprec=symprec)
            if dataset is not None:
                found = dataset.rotations, dataset.translations, [False] * len(dataset.rotations)
        else:
            # Scalar moments that rotations leave alone (is_axial=False): collinear, without spin-orbit coupling. Not
            # the dataset, which spglib (2.8) refuses to make for supercells that are less symmetric than their crystal.
            magnetic = spglib.get_magnetic_symmetry(
                (*cell, moments.tolist()), is_axial=False, symprec=symprec, mag_symprec=moment_tolerance
            )
            if magnetic is not None:
                found = magnetic['rotations'], magnetic['translations'], magnetic['time_reversals']
    except spglib.SpglibError:  # older versions, and those set up like them, return None instead
        pass
    if found is None:
        raise ValueError(
            f'no symmetry was found in {structure.composition.reduced_formula} within symprec = {symprec} Å: check the '
            'structure for atoms on top of each other or lower symprec'
        )
    return tuple(
        SymmetryOperation(np.asarray(rotation, dtype=int), np.asarray(translation, dtype=float), bool(reversal))
        for rotation, translation, reversal in zip(*found, strict=True)
    )


def permute_points(
    points: ArrayLike,
    operation: SymmetryOperation,
    lattice: ArrayLike,
    labels: Sequence[object] | None = None,
    tolerance: float = 0.05,
) -> tuple[np.ndarray, np.ndarray]:
    """Return where an operation takes points of a crystal: point i comes to point ``targets[i]`` plus ``images[i]``.

    :param points: fractional coordinates, shape (n, 3).
    :param lattice: lattice vectors as rows in Å, shape (3, 3).
    :param labels: points correspond only where their labels are equal; None where all may.
    :param tolerance: largest distance in Å between the image of a point and the point that it comes to.
    :returns: targets, shape (n,), and images, lattice translations as integers, shape (n, 3).
    :raises ValueError: where the operation does not map the points onto themselves.
    """
    points = np.asarray(points, dtype=float).reshape(-1, 3)
    return match_points(operation.apply(points), points, lattice, labels, labels, tolerance)


def match_points(
    points: ArrayLike,
    others: ArrayLike,
    lattice: ArrayLike,
    labels: Sequence[object] | None = None,
    other_labels: Sequence[object] | None = None,
    tolerance: float = 0.05,
) -> tuple[np.ndarray, np.ndarray]:
    """Return which points of one set are those of another: point i is ``others[targets[i]]`` plus ``images[i]``.

    :param points: fractional coordinates, shape (n, 3).
    :param others: fractional coordinates, shape (n, 3).
    :param lattice: lattice vectors as rows in Å, shape (3, 3).
    :param labels: points correspond only where their labels are equal; None where all may.
    :param other_labels: labels of the other points.
    :param tolerance: largest distance in Å between points that are one.
    :returns: targets, shape (n,), and images, lattice translations as integers, shape (n, 3).
    :raises ValueError: where the sets do not correspond one to one.
    """
    distances, cells = point_distances(points, others, lattice)
    if labels is not None and other_labels is not None:
        names = list(other_labels)
        distances[[[one != other for other in names] for one in labels]] = np.inf
    targets = distances.argmin(axis=1)
    rows = np.arange(len(distances))
    farthest = float(distances[rows, targets].max(initial=0.0))
    if farthest > tolerance or len(set(targets.tolist())) != distances.shape[1]:
        raise ValueError(
            f'a symmetry operation misses the nearest site by {farthest:.3f} Å (allowed: {tolerance:.3f} Å) or takes '
            'two sites to one: lower symprec'
        )
    return targets, cells[rows, targets].astype(int)


def point_distances(points: ArrayLike, others: ArrayLike, lattice: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return distances between points of a crystal, exact where they are small, and the cells between them.

    :param points: fractional coordinates, shape (..., n, 3).
    :param others: fractional coordinates, shape (m, 3).
    :param lattice: lattice vectors as rows in Å, shape (3, 3).
    :returns: distances in Å, shape (..., n, m), and lattice translations, shape (..., n, m, 3): that of the point
        beyond the other point.
    """
    differences = np.asarray(points, dtype=float)[..., :, None, :] - np.asarray(others, dtype=float)
    cells = np.rint(differences)
    # A small difference is next to a lattice vector, so rounding finds it in skewed cells too.
    return np.linalg.norm((differences - cells) @ np.asarray(lattice), axis=-1), cells


def permute_sites(
    structure: Structure, operation: SymmetryOperation, tolerance: float = 0.05
) -> tuple[np.ndarray, np.ndarray]:
    """Return where an operation takes the sites of a crystal; see :func:`permute_points`.

    Moments are not looked at: an operation of :func:`symmetry_operations` fits them already.
    """
    labels = [site.specie.symbol for site in structure]
    return permute_points(structure.frac_coords, operation, structure.lattice.matrix, labels, tolerance)
