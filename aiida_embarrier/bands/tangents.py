"""Forces on the images of a nudged elastic band."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ('BandForces', 'band_forces', 'image_spacing')


@dataclass(frozen=True)
class BandForces:
    """What drives a band, and what is left of it.

    :param driving: forces that the optimiser follows, on the moving images, shape (n_images - 2, n_atoms, 3), eV/Å.
    :param residuals: for each image the largest force on an atom by the definition of convergence, shape (n_images,),
        eV/Å: of the force perpendicular to the path, for the climbing image of the true force with its component along
        the path inverted; 0 at the endpoints, which do not move. The springs of `improvedtangent` have no component
        perpendicular to the path; those of `eb` do, and it counts.
    :param tangents: unit tangents at the moving images, shape (n_images - 2, n_atoms, 3).
    """

    driving: np.ndarray
    residuals: np.ndarray
    tangents: np.ndarray


def band_forces(
    positions: np.ndarray,
    energies: np.ndarray,
    forces: np.ndarray,
    spring_constant: float,
    method: str = 'improvedtangent',
    climbing: int | None = None,
) -> BandForces:
    """Return the forces of the nudged elastic band.

    `improvedtangent`: tangents by eqs. 8 to 11 and spring forces by eq. 12 of Henkelman and Jónsson, J. Chem. Phys.
    113, 9978 (2000), doi 10.1063/1.1323224. `eb`: the full spring force with a natural length, eqs. C1 and C5 to C8 of
    Kolsbjerg, Groves and Hammer, J. Chem. Phys. 145, 094107 (2016), doi 10.1063/1.4961868. The climbing image feels no
    springs and the true force with its component along the path inverted: eq. 5 of Henkelman, Uberuaga and Jónsson,
    J. Chem. Phys. 113, 9901 (2000), doi 10.1063/1.1329672.

    :param positions: in Å, shape (n_images, n_atoms, 3); displacements between neighbours are plain differences.
    :param energies: in eV, shape (n_images,).
    :param forces: true forces in eV/Å, shape (n_images, n_atoms, 3).
    :param spring_constant: in eV/Å².
    :param method: `improvedtangent` or `eb`.
    :param climbing: index of the climbing image, None where no image climbs.
    :raises ValueError: for an unknown method.
    """
    if method not in {'improvedtangent', 'eb'}:
        raise ValueError(f'unknown method {method!r}: choose improvedtangent or eb')
    n_images = len(positions)
    steps = np.diff(positions, axis=0)
    lengths = np.sqrt(np.sum(steps**2, axis=(1, 2)))
    natural_length = np.linalg.norm(positions[-1] - positions[0]) / (n_images - 1)
    driving = np.zeros_like(positions[1:-1])
    residuals = np.zeros(n_images)
    tangents = np.zeros_like(driving)
    for i in range(1, n_images - 1):
        left, right = steps[i - 1], steps[i]
        if method == 'improvedtangent':
            tangent = _improved_tangent(energies[i - 1 : i + 2], left, right)
            spring = spring_constant * (lengths[i] - lengths[i - 1]) * tangent
        else:
            tangent = _unit(_unit(left) + _unit(right))
            spring = spring_constant * (
                (lengths[i] - natural_length) * _unit(right) - (lengths[i - 1] - natural_length) * _unit(left)
            )
            if climbing is not None and abs(i - climbing) == 1:
                # springs beside the climbing image are weakened, so that they do not push it off the path
                smaller, larger = _energy_changes(energies[i - 1 : i + 2])
                spring *= smaller / larger if larger > 0 else 1.0
        tangents[i - 1] = tangent
        along = np.vdot(forces[i], tangent) * tangent
        if i == climbing:
            driving[i - 1] = remainder = forces[i] - 2 * along
        else:
            driving[i - 1] = forces[i] - along + spring
            remainder = driving[i - 1] - np.vdot(driving[i - 1], tangent) * tangent
        residuals[i] = np.linalg.norm(remainder, axis=1).max()
    return BandForces(driving, residuals, tangents)


def image_spacing(positions: np.ndarray, climbing: Collection[int] = ()) -> float:
    """Return the largest deviation of a distance between neighbouring images from its mean, relative to that mean.

    Beside a climbing image the distances of its two sides have means of their own, as it moves freely between them.

    :param positions: in Å, shape (n_images, n_atoms, 3).
    :param climbing: indices of the climbing images.
    """
    lengths = np.linalg.norm(np.diff(positions, axis=0).reshape(len(positions) - 1, -1), axis=1)
    sides = np.split(lengths, sorted(climbing))
    return max(float(np.abs(side / side.mean() - 1).max()) if side.mean() > 0 else np.inf for side in sides)


def _improved_tangent(energies: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    before, here, after = energies
    if after > here > before:
        return _unit(right)
    if after < here < before:
        return _unit(left)
    smaller, larger = _energy_changes(energies)
    return _unit(right * larger + left * smaller) if after > before else _unit(right * smaller + left * larger)


def _energy_changes(energies: np.ndarray) -> tuple[float, float]:
    changes = sorted((abs(energies[2] - energies[1]), abs(energies[0] - energies[1])))
    return float(changes[0]), float(changes[1])


def _unit(vector: np.ndarray) -> np.ndarray:
    norm = np.linalg.norm(vector)
    return vector / norm if norm > 0 else vector
