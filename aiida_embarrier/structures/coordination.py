"""The anions around points: effective and whole coordination numbers, polyhedra, and all of that along a path."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from pymatgen.optimization.neighbors import find_points_in_spheres
from scipy.spatial import ConvexHull, QhullError

from aiida_embarrier.structures.anions import PERIODIC, Sublattices, sublattices
from aiida_embarrier.structures.bond_valence import bond_valence_sums

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

__all__ = (
    'AnionsAround',
    'PathEnvironment',
    'Polyhedron',
    'anions_around',
    'coordination_numbers',
    'effective_coordination',
    'neighbours',
    'path_environment',
    'polyhedron',
)

#: Anions up to this distance from a point are looked at, in Å: the longest bonds, those of K and Rb, have 3.5 Å.
REACH = 6.0
#: Anions looked at for each point, the nearest ones.
NEAREST = 24
#: Largest coordination number: that of K in a perovskite.
LARGEST = 12
#: Anions up to this many times as far as the nearest one may coordinate: K in its oxides has bonds of 2.7 to 3.4 Å.
SPREAD = 1.6
#: Polyhedra smaller than this, in Å³, are flat: the tetrahedron of SO4, the smallest of them, has 1.6 Å³.
FLAT = 1.0
#: Change of the mean bond length, in Å, at which Hoppe's iteration ends.
SETTLED = 1e-9


def effective_coordination(distances: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return Hoppe's effective coordination numbers ECoN and mean bond lengths.

    ECoN = Σ_i exp[1 - (d_i / d_av)^6], where d_av is the mean of the d_i with these same weights: R. Hoppe,
    Z. Kristallogr. 150, 23 (1979).

    :param distances: in Å, shape (k, m); infinite where there is none.
    :returns: ECoN and d_av in Å, both of shape (k,); NaN where there is no distance.
    """
    lengths = np.atleast_2d(np.asarray(distances, dtype=float))
    means = lengths.min(axis=1, initial=np.inf)
    means[~np.isfinite(means)] = np.nan
    there = np.isfinite(lengths)
    finite = np.where(there, lengths, 0.0)
    for _ in range(200):
        weights = _weights(finite, there, means)
        before, means = means, (weights * finite).sum(axis=1) / np.where(np.isnan(means), np.nan, weights.sum(axis=1))
        if not np.any(np.abs(means - before) > SETTLED):
            break
    total = _weights(finite, there, means).sum(axis=1)
    return np.where(np.isnan(means), np.nan, total), means


def _weights(lengths: np.ndarray, there: np.ndarray, means: np.ndarray) -> np.ndarray:
    ratios = np.where(there, lengths / means[:, None], np.inf)
    return np.where(there, np.exp(1 - np.minimum(ratios, 10.0) ** 6), 0.0)


def coordination_numbers(distances: ArrayLike, least: int = 1) -> np.ndarray:
    """Return how many anions come before the largest gap between distances, as a ratio of neighbouring ones.

    :param distances: in Å, ascending, shape (k, m); infinite where there is none.
    :param least: smallest number that may be found.
    :returns: whole numbers up to 12, shape (k,); 0 where there is no distance.
    """
    lengths = np.atleast_2d(np.asarray(distances, dtype=float))
    lengths = np.pad(lengths, ((0, 0), (0, max(0, LARGEST + 1 - lengths.shape[1]))), constant_values=np.inf)
    near, following = lengths[:, :LARGEST], lengths[:, 1 : LARGEST + 1]
    there = np.isfinite(near)
    # where the last one is followed by none, the gap is as wide as what was looked at
    gaps = np.where(there, np.where(np.isfinite(following), following, REACH), 1.0) / np.where(there, near, 1.0)
    allowed = there & (near <= SPREAD * lengths[:, :1])
    allowed[:, : least - 1] = False
    # forced ones where nothing is near enough
    allowed[:, least - 1] |= there[:, least - 1]
    # distances that symmetry makes equal differ by rounding: the smallest number of equal gaps
    numbers = 1 + np.argmax(np.round(np.where(allowed, gaps, 0.0), 6), axis=1)
    return np.where(allowed.any(axis=1), numbers, there.sum(axis=1))


class Polyhedron(NamedTuple):
    """The polyhedron of the nearest anions around a point.

    :param corners: number of anions; 0 where there is none.
    :param volume: in Å³.
    :param diagonal: longest distance between its corners, in Å.
    """

    corners: int
    volume: float
    diagonal: float


def polyhedron(positions: np.ndarray, corners: int) -> Polyhedron:
    """Return the convex hull of the nearest anions, of more than are asked for where those lie in a plane.

    :param positions: of the anions relative to the point in Å, nearest first, shape (m, 3).
    :param corners: how many of them.
    """
    for number in range(max(corners, 4), min(len(positions), LARGEST) + 1):
        taken = positions[:number]
        try:
            volume = float(ConvexHull(taken).volume)
        except QhullError:
            continue
        if volume > FLAT:
            diagonal = float(np.linalg.norm(taken[:, None] - taken, axis=2).max())
            return Polyhedron(number, volume, diagonal)
    return Polyhedron(0, float('nan'), float('nan'))


class AnionsAround(NamedTuple):
    """The anions around points, nearest first.

    :param distances: in Å, shape (k, m); infinite where there is none.
    :param symbols: shape (k, m); empty where there is none.
    :param positions: relative to the point in Å, shape (k, m, 3).
    :param cation_distances: of the nearest other atom of the host in Å, shape (k,); infinite beyond 6 Å.
    """

    distances: np.ndarray
    symbols: np.ndarray
    positions: np.ndarray
    cation_distances: np.ndarray


@dataclass(frozen=True)
class PathEnvironment:
    """The anions around an ion at the points of its path.

    :param ion: symbol of the ion.
    :param points: Cartesian coordinates of the ion in Å, shape (k, 3).
    :param distances: of the nearest anions in Å, ascending, shape (k, m); infinite where there is none.
    :param anions: their symbols, shape (k, m); empty where there is none.
    :param positions: of the anions relative to the ion in Å, shape (k, m, 3).
    :param cation_distances: of the nearest cation of the host in Å, shape (k,); infinite beyond 6 Å.
    :param parts: which atoms of the host are anions.
    """

    ion: str
    points: np.ndarray = field(repr=False)
    distances: np.ndarray = field(repr=False)
    anions: np.ndarray = field(repr=False)
    positions: np.ndarray = field(repr=False)
    cation_distances: np.ndarray = field(repr=False)
    parts: Sublattices = field(repr=False)

    @cached_property
    def hoppe(self) -> tuple[np.ndarray, np.ndarray]:
        """Effective coordination numbers and mean bond lengths in Å, both of shape (k,)."""
        return effective_coordination(self.distances)

    @cached_property
    def coordination(self) -> np.ndarray:
        """Numbers of anions before the largest gap, shape (k,)."""
        return coordination_numbers(self.distances)

    @cached_property
    def bond_valences(self) -> np.ndarray:
        """Sums of bond valences, shape (k,)."""
        return bond_valence_sums(self.ion, self.anions, self.distances)

    @cached_property
    def polyhedra(self) -> tuple[Polyhedron, ...]:
        """The polyhedra around the points; they have four corners at least."""
        numbers = coordination_numbers(self.distances, least=4)
        there = np.isfinite(self.distances)
        return tuple(
            polyhedron(around[mask], int(number))
            for around, mask, number in zip(self.positions, there, numbers, strict=True)
        )


def path_environment(
    lattice: ArrayLike, species: Sequence[str], coords: ArrayLike, ion: str, points: ArrayLike
) -> PathEnvironment:
    """Return the anions around an ion at the points of its path.

    :param lattice: lattice vectors as rows in Å, shape (3, 3).
    :param species: symbols of the n atoms of the host, without the ion.
    :param coords: their fractional coordinates, shape (n, 3), or shape (k, n, 3) where they move with the ion.
    :param ion: symbol of the ion.
    :param points: its fractional coordinates, shape (k, 3) with k at least 2.
    """
    cell = np.ascontiguousarray(lattice, dtype=float)
    atoms = np.asarray(coords, dtype=float)
    parts = sublattices(cell, species, atoms[0] if atoms.ndim == 3 else atoms)
    around = anions_around(cell, species, atoms, parts.anions, points)
    return PathEnvironment(ion, np.asarray(points, dtype=float) @ cell, *around, parts)


def anions_around(
    lattice: ArrayLike, species: Sequence[str], coords: ArrayLike, anions: np.ndarray, points: ArrayLike
) -> AnionsAround:
    """Return the anions around points of a crystal.

    :param lattice: lattice vectors as rows in Å, shape (3, 3).
    :param species: symbols of its n atoms.
    :param coords: their fractional coordinates, shape (n, 3), or shape (k, n, 3) where they differ from point to point.
    :param anions: whether an atom is an anion, shape (n,).
    :param points: fractional coordinates, shape (k, 3).
    """
    cell = np.ascontiguousarray(lattice, dtype=float)
    atoms, places = np.asarray(coords, dtype=float), np.asarray(points, dtype=float)
    centre, other, positions, lengths = neighbours(cell, atoms, places)
    anion = anions[other]
    cations = np.full(len(places), np.inf)
    np.minimum.at(cations, centre[~anion], lengths[~anion])
    centre, other, positions, lengths = centre[anion], other[anion], positions[anion], lengths[anion]
    order = np.lexsort((lengths, centre))
    centre, other, positions, lengths = centre[order], other[order], positions[order], lengths[order]
    counts = np.bincount(centre, minlength=len(places))
    ranks = np.arange(len(centre)) - np.repeat(np.cumsum(counts) - counts, counts)
    kept = ranks < NEAREST
    at = centre[kept], ranks[kept]
    shape = len(places), NEAREST
    distances, symbols, around = np.full(shape, np.inf), np.full(shape, '', dtype='<U2'), np.zeros((*shape, 3))
    distances[at], symbols[at], around[at] = lengths[kept], np.array(species)[other[kept]], positions[kept]
    return AnionsAround(distances, symbols, around, cations)


def neighbours(cell: np.ndarray, atoms: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return the atoms within 6 Å of points: number of the point, of the atom, its position relative to it, distance.

    :param cell: lattice vectors as rows in Å, shape (3, 3), contiguous.
    :param atoms: fractional coordinates, shape (n, 3), or shape (k, n, 3) where they differ from point to point.
    :param points: fractional coordinates, shape (k, 3).
    :returns: arrays of shape (p,), (p,), (p, 3) in Å and (p,) in Å, one entry a pair.
    """
    if atoms.ndim == 3:
        found = [neighbours(cell, frame, point[None]) for frame, point in zip(atoms, points, strict=True)]
        centre = np.repeat(np.arange(len(points)), [len(one[0]) for one in found])
        return centre, *(np.concatenate([one[part] for one in found]) for part in (1, 2, 3))
    shifts = np.floor(points)
    inside, wrapped = points - shifts, atoms - np.floor(atoms)
    centre, other, images, lengths = find_points_in_spheres(
        np.ascontiguousarray(wrapped @ cell), np.ascontiguousarray(inside @ cell), REACH, PERIODIC, cell, 1e-8
    )
    positions = (wrapped[other] + images - inside[centre]) @ cell
    return centre, other, positions, lengths
