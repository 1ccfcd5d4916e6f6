"""What an interatomic potential says of a path within a few evaluations: energies of images that begin to relax.

A whole elastic band takes some 400 evaluations. Here the ion stands at five points of its path, and symmetry may know
the energy at two of them from the others. Each image relaxes for a few steps: the host freely, the ion in the plane
perpendicular to the path, so that it can leave the straight line but cannot slide off the barrier; the ends freely.
Images do not know of each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms
from pymatgen.core import Lattice, Structure

from aiida_embarrier.bands.geometry import minimum_image
from aiida_embarrier.potentials.evaluator import Evaluation
from aiida_embarrier.potentials.optimisers import LbfgsOptimiser
from aiida_embarrier.structures.symmetry import symmetry_operations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiida_embarrier.potentials.evaluator import Evaluator, Sites
    from aiida_embarrier.prediction.paths import MigrationPath

__all__ = ('FRACTIONS', 'Energetics', 'energetics', 'is_own_mirror_image')

#: Where on the path the ion stands.
FRACTIONS = (0.0, 0.25, 0.5, 0.75, 1.0)
#: How far sites may lie from where symmetry wants them, in Å.
SYMPREC = 0.02
#: Longest step of an atom, in Å.
MAX_STEP = 0.15
#: Where atoms overlap they push with forces beyond this, in eV/Å: these are cut, lest a first step waste the rest.
MAX_FORCE = 10.0


@dataclass(frozen=True)
class Energetics:
    """Energies and forces of the images of one path.

    :param energies: eV, shape (n_steps + 1, 5): of the images as they are placed, then after each step of relaxation;
        NaN where the potential refused a structure.
    :param forces: largest force on an atom, eV/Å, same shape; of the ion only what is perpendicular to the path.
    :param ion_forces: force on the ion along the path as the images are placed, eV/Å, shape (5,).
    :param shifts: how far the ion went from where it was placed, Å, shape (5,).
    :param host_shifts: root of the sum of squared displacements of the host's atoms, Å, shape (5,).
    :param mirrored: whether the second half was taken from the first by symmetry.
    :param n_evaluations: of the potential.
    :param placed: what the potential thinks of the sites of the images as they are placed, the ion first; None of
        images that it refused, and of all where it does not tell.
    :param relaxed: the same after the last step.
    """

    energies: np.ndarray
    forces: np.ndarray
    ion_forces: np.ndarray
    shifts: np.ndarray
    host_shifts: np.ndarray
    mirrored: bool
    n_evaluations: int
    placed: tuple[Sites | None, ...] = (None,) * len(FRACTIONS)
    relaxed: tuple[Sites | None, ...] = (None,) * len(FRACTIONS)


def is_own_mirror_image(path: MigrationPath, symprec: float = SYMPREC) -> bool:
    """Return whether a symmetry operation of the host reverses the path."""
    if path.final_coords is not None:
        return False
    try:
        operations = symmetry_operations(Structure(Lattice(path.lattice), path.species, path.coords), symprec)
    except ValueError:
        return False
    reverse = path.points[::-1]
    for operation in operations:
        moved = operation.apply(path.points)
        shift = np.round(moved[0] - reverse[0])
        if np.abs((moved - shift - reverse) @ path.lattice).max() < 2 * symprec:
            return True
    return False


class _Image:
    """One image while it relaxes.

    :param path: what it is an image of.
    :param fraction: where on the path the ion stands.
    """

    def __init__(self, path: MigrationPath, fraction: float) -> None:
        ion, host = path.at([fraction]) @ path.lattice, path.host_at(fraction) @ path.lattice
        self.elements = [path.ion, *path.species]
        self.lattice = path.lattice
        self.positions = np.concatenate([ion, host])
        self.start = self.positions.copy()
        before, after = path.at([max(0.0, fraction - 0.05), min(1.0, fraction + 0.05)]) @ path.lattice
        self.tangent = (after - before) / np.linalg.norm(after - before)
        self.is_end = fraction in {0.0, 1.0}
        self.energies: list[float] = []
        self.forces: list[float] = []
        self.along = np.nan
        self.sites: list[Sites | None] = [None, None]  # as it is placed, and after the last step
        self._optimiser = LbfgsOptimiser(self.positions.size, MAX_STEP)

    def atoms(self) -> Atoms:
        return Atoms(self.elements, positions=self.positions, cell=self.lattice, pbc=True)

    def take(self, evaluation: Evaluation, last: bool) -> None:
        """Take energy and forces of where the atoms are, and make a step unless it is the last one."""
        forces = evaluation.forces.copy()
        if not self.energies:
            self.along = float(forces[0] @ self.tangent)
            self.sites[0] = evaluation.sites
        if not self.is_end:
            forces[0] -= (forces[0] @ self.tangent) * self.tangent
        norms = np.linalg.norm(forces, axis=1)
        self.energies.append(evaluation.energy)
        self.forces.append(float(norms.max()))
        if last:
            self.sites[1] = evaluation.sites
            return
        forces *= np.minimum(1.0, MAX_FORCE / np.maximum(norms, 1e-12))[:, None]
        forces[1:] -= forces[1:].mean(axis=0)  # lest the host as a whole carry the ion off its plane
        self.positions = self._optimiser.step(self.positions.ravel(), -forces.ravel()).reshape(-1, 3)

    @property
    def moves(self) -> np.ndarray:
        """How far each atom went, in Å."""
        return np.linalg.norm(minimum_image(self.positions - self.start, self.lattice), axis=1)


def energetics(path: MigrationPath, evaluator: Evaluator, n_steps: int = 3) -> Energetics:
    """Return what a potential says of a path within at most 5 (n_steps + 1) evaluations, 3 (n_steps + 1) with symmetry.

    :param evaluator: of the potential; images are evaluated side by side where it can.
    :param n_steps: steps of relaxation of each image.
    """
    mirrored = is_own_mirror_image(path)
    images = [_Image(path, fraction) for fraction in (FRACTIONS[:3] if mirrored else FRACTIONS)]
    working = list(images)
    n_evaluations = 0
    for step in range(n_steps + 1):
        outcomes = evaluator.evaluate([image.atoms() for image in working])
        n_evaluations += len(outcomes)
        still = []
        for image, outcome in zip(working, outcomes, strict=True):
            if isinstance(outcome, Evaluation):
                image.take(outcome, last=step == n_steps)
                still.append(image)
        working = still
        if not working:
            break
    return _collected(images, n_steps, mirrored, n_evaluations)


def _collected(images: Sequence[_Image], n_steps: int, mirrored: bool, n_evaluations: int) -> Energetics:
    """Return the outcome; what a symmetric path has not computed is that of its other half."""
    if mirrored:
        images = [*images, images[1], images[0]]

    def padded(values: list[float]) -> np.ndarray:
        return np.array([*values, *[np.nan] * (n_steps + 1 - len(values))])

    along = np.array([image.along for image in images])
    if mirrored:
        along[3:] *= -1
    return Energetics(
        energies=np.stack([padded(image.energies) for image in images], axis=1),
        forces=np.stack([padded(image.forces) for image in images], axis=1),
        ion_forces=along,
        shifts=np.array([image.moves[0] for image in images]),
        host_shifts=np.array([np.linalg.norm(image.moves[1:]) for image in images]),
        mirrored=mirrored,
        n_evaluations=n_evaluations,
        placed=tuple(image.sites[0] for image in images),
        relaxed=tuple(image.sites[1] for image in images),
    )
