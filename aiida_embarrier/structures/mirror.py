"""Paths that are their own mirror image: half of their images tell the other half."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aiida_embarrier.structures.symmetry import permute_sites, symmetry_operations

if TYPE_CHECKING:
    from pymatgen.core import Structure

    from aiida_embarrier.bands.band import Band
    from aiida_embarrier.structures.symmetry import SymmetryOperation

__all__ = ('PathMirror', 'find_mirror')

#: How far an endpoint may lie from the mirror image of the other, in Å. Ends that were relaxed apart to 0.03 eV/Å lie
#: within this of each other.
TOLERANCE = 0.03


@dataclass(frozen=True, eq=False)
class PathMirror:
    """A symmetry operation that reverses a path: it takes image i to image n - 1 - i, and back.

    :param rotation: Cartesian rotation M, a row vector of positions r becoming r M + t, shape (3, 3).
    :param translations: t for each atom in Å, lattice vectors included, shape (n_atoms, 3).
    :param targets: for each atom the one that it is taken to, shape (n_atoms,).
    """

    rotation: np.ndarray
    translations: np.ndarray
    targets: np.ndarray

    def positions(self, positions: np.ndarray) -> np.ndarray:
        """Return where the atoms of an image are in its mirror image, shape (n_atoms, 3), Å."""
        return self._permuted(positions @ self.rotation + self.translations)

    def forces(self, forces: np.ndarray) -> np.ndarray:
        """Return the forces on the mirror image of an image, shape (n_atoms, 3)."""
        return self._permuted(forces @ self.rotation)

    def symmetrised(self, positions: np.ndarray) -> np.ndarray:
        """Return a path whose second half is the mirror image of its first.

        :param positions: of all images in Å, shape (n_images, n_atoms, 3); the first and the last stay as they are.
        """
        result = positions.copy()
        for image in range(1, len(positions) // 2):
            result[-1 - image] = self.positions(positions[image])
        if len(positions) % 2:
            middle = len(positions) // 2
            result[middle] = (positions[middle] + self.positions(positions[middle])) / 2
        return result

    def _permuted(self, vectors: np.ndarray) -> np.ndarray:
        result = np.empty_like(vectors)
        result[self.targets] = vectors
        return result


def find_mirror(band: Band, tolerance: float = TOLERANCE) -> PathMirror | None:
    """Return an operation that reverses a path, None where it has none.

    It is a symmetry of the structure half-way between the endpoints, takes each endpoint to the other, and twice
    applied leaves every atom in its place. It takes each image to its mirror image, too, within `tolerance` and a
    quarter of the distance between neighbouring images: a path that was led astray on purpose, through a waypoint on
    one side, is not its own mirror image.

    :param band: the path, its first and last image relaxed; with one lattice for all images.
    :param tolerance: how far an endpoint may lie from the mirror image of the other, in Å.
    """
    if band.lattice.ndim == 3:
        return None
    half_way = (band.positions[0] + band.positions[-1]) / 2
    middle = band.replace(positions=np.broadcast_to(half_way, band.positions.shape)).structure(0)
    try:
        operations = symmetry_operations(middle, symprec=tolerance)
    except ValueError:  # atoms that meet half-way
        return None
    for operation in operations:
        mirror = _mirror(band, operation, middle, tolerance)
        if mirror is not None:
            return mirror
    return None


def _mirror(band: Band, operation: SymmetryOperation, middle: Structure, tolerance: float) -> PathMirror | None:
    lattice = band.lattice
    try:
        targets, cells = permute_sites(middle, operation, 2 * tolerance)
    except ValueError:
        return None
    if not np.array_equal(targets[targets], np.arange(len(targets))):
        return None
    mirror = PathMirror(
        rotation=np.linalg.inv(lattice) @ operation.rotation.T @ lattice,
        translations=(operation.translation - cells) @ lattice,
        targets=targets,
    )
    steps = np.linalg.norm(np.diff(band.positions, axis=0).reshape(band.n_images - 1, -1), axis=1)
    for image in range(band.n_images):
        allowed = tolerance if image in {0, band.n_images - 1} else max(tolerance, steps.mean() / 4)
        off = mirror.positions(band.positions[image]) - band.positions[-1 - image]
        if np.linalg.norm(off, axis=1).max() > allowed:
            return None
    return mirror
