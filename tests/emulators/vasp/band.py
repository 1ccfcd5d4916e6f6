"""The forces of a band of images, as VTST's tools project them."""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass
class Projection:
    """What the band makes of the force on one image.

    :param force: that moves the image, (n_atoms, 3) in eV/Å.
    :param tangent: unit vector of the whole image, (n_atoms, 3).
    :param spring: component of the spring force along the tangent, in eV/Å.
    :param perpendicular: largest force of an atom across the path, in eV/Å.
    :param parallel: component of the true force along the tangent, in eV/Å.
    :param distances: to the image before and after, in Å.
    """

    force: np.ndarray
    tangent: np.ndarray
    spring: float
    perpendicular: float
    parallel: float
    distances: tuple[float, float]
    climbing: bool


def project(
    positions: list[np.ndarray],
    lattice: np.ndarray,
    energies: list[float],
    forces: list[np.ndarray],
    spring: float,
    climb: bool,
) -> list[Projection]:
    """Return the forces of the moving images.

    The tangent is the improved one of Henkelman and Jónsson, J. Chem. Phys. 113, 9978 (2000), and the highest image may
    climb (Henkelman, Uberuaga and Jónsson, J. Chem. Phys. 113, 9901 (2000)). Stock VASP takes the bisector of both
    neighbours, which with this potential and few images makes kinks that never settle (tried), so it is not built here.
    Neighbours are taken by the nearest image of each atom, as VASP does.

    :param positions: of all images, both ends included.
    :param energies: of all images; NaN at an end whose energy is not known, which then counts as lower.
    :param forces: of the moving images only.
    :param spring: SPRING of the INCAR: negative for projected springs.
    """
    inverse = np.linalg.inv(lattice)

    def between(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        fractional = (second - first) @ inverse
        return (fractional - np.round(fractional)) @ lattice

    known = [energy if np.isfinite(energy) else -np.inf for energy in energies]
    highest = int(np.argmax(known[1:-1])) + 1
    result = []
    for number in range(1, len(positions) - 1):
        force = forces[number - 1]
        before = between(positions[number - 1], positions[number])
        after = between(positions[number], positions[number + 1])
        near, far = float(np.linalg.norm(before)), float(np.linalg.norm(after))
        tangent = _improved(before, after, known[number - 1 : number + 2])
        tangent = tangent / np.linalg.norm(tangent)
        parallel = float((force * tangent).sum())
        across = force - parallel * tangent
        pull = -spring * (far - near) if spring < 0 else 0.0
        climbing = climb and number == highest
        total = force - 2 * parallel * tangent if climbing else across + pull * tangent
        if spring > 0:
            total = force + spring * (after - before)
        size = float(np.sqrt((across**2).sum(axis=1)).max())
        result.append(Projection(total, tangent, 0.0 if climbing else pull, size, parallel, (near, far), climbing))
    return result


def _improved(before: np.ndarray, after: np.ndarray, energies: list[float]) -> np.ndarray:
    previous, own, following = energies
    if following > own > previous:
        return after
    if following < own < previous:
        return before
    rise, fall = abs(following - own), abs(previous - own)
    if not (np.isfinite(rise) and np.isfinite(fall)):
        return (
            after + before
            if not np.isfinite(rise) and not np.isfinite(fall)
            else after
            if np.isfinite(rise)
            else before
        )
    larger, smaller = max(rise, fall), min(rise, fall)
    if following > previous:
        return after * larger + before * smaller
    return after * smaller + before * larger
