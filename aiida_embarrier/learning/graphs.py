"""Crystals as graphs: each atom and its nearest neighbours in whole shells, or all within a radius.

The rule of the nearest neighbours is that of the published models: a bond from each atom to its 12 nearest neighbours
and to all others at the distance of the 12th; and each bond runs back, too. A bond that only one of its atoms counts
among its nearest is there once in each direction. One that both count is there twice (`doubled`, as without
`use_canonize` of `alignn`) or once (canonised); one from an atom to its own image is there twice either way, as
canonising does not see that the images +n and -n make one bond.

Two things are decided otherwise than published. A shell ends where the next neighbour is farther by more than a
tolerance, not by any rounding error: distances that symmetry makes the same differ by 1e-9 to 1e-5 Å in crystals whose
coordinates are written with six digits, and the exact comparison takes some of such a shell, in 28 to 58 % of the
crystals of four published datasets. And atoms at most 0.15 Å apart are refused unless asked for (`coincident`), where
the published search leaves out the bond between them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pymatgen.optimization.neighbors import find_points_in_spheres

from aiida_embarrier.learning.elements import known
from aiida_embarrier.learning.graph import CrystalGraph

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from aiida_embarrier.jobs.learning import GraphSettings

__all__ = ('SMALLEST_DISTANCE', 'VERSION', 'build_graph')

#: Raised whenever the same crystal would become another graph: graphs that were stored before are built anew.
VERSION = 1

#: Atoms that are not farther apart than this, in Å, are a mistake, or have no bond between them. Five of the 559
#: published composites, which hold an ion at five points of its path at once, have such atoms: there the path runs
#: through another atom, or two sites are one.
SMALLEST_DISTANCE = 0.15

#: How many more neighbours than asked for the first radius holds on average, so that few atoms need another search.
MARGIN = 2.5
#: By how much the radius grows for atoms that had too few neighbours.
GROWTH = 1.4

PERIODIC = np.ones(3, dtype=np.int64)


def build_graph(
    lattice: ArrayLike, numbers: ArrayLike, frac_coords: ArrayLike, settings: GraphSettings
) -> CrystalGraph:
    """Return the graph of a crystal.

    :param lattice: vectors as rows in Å, shape (3, 3).
    :param numbers: atomic numbers, shape (n_atoms,).
    :param frac_coords: fractional coordinates, shape (n_atoms, 3); they need not lie in the cell.
    :raises ValueError: for a crystal that cannot become a graph, with what is wrong with it: an unknown element, a cell
        without volume, numbers that are not finite, two atoms on one spot, an atom without a neighbour in the radius.
    """
    cell, species, coords = _checked(lattice, numbers, frac_coords)
    if settings.neighbours == 'radius':
        bonds = _Bonds.within(cell, coords, settings.cutoff, settings.coincident)
        alone = np.setdiff1d(np.arange(len(species)), bonds.centre)
        if len(alone):
            raise ValueError(f'atom {alone[0]} has no neighbour within {settings.cutoff} Å: take a larger cutoff')
    else:
        bonds = _nearest(cell, coords, settings)
    return _graph(species, bonds, doubled=settings.doubled, once=settings.neighbours == 'radius')


def _checked(
    lattice: ArrayLike, numbers: ArrayLike, frac_coords: ArrayLike
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return lattice, atomic numbers and coordinates as arrays that describe a crystal."""
    cell = np.array(lattice, dtype=float)
    species = np.array(numbers, dtype=np.int64)
    coords = np.array(frac_coords, dtype=float)
    if cell.shape != (3, 3):
        raise ValueError(f'a lattice is 3 x 3, not {" x ".join(map(str, cell.shape))}')
    if species.ndim != 1 or not len(species) or coords.shape != (len(species), 3):
        raise ValueError(f'{species.size} elements and coordinates of shape {coords.shape} are no crystal')
    if not np.isfinite(cell).all() or not np.isfinite(coords).all():
        raise ValueError('the lattice or the coordinates hold a number that is not finite')
    volume, lengths = abs(np.linalg.det(cell)), np.linalg.norm(cell, axis=1)
    if volume <= 1e-6 * np.prod(lengths):
        raise ValueError(f'the lattice has no volume: its vectors lie in a plane, or one is zero (lengths {lengths} Å)')
    unknown = species[~known(species)]
    if len(unknown):
        raise ValueError(f'the atomic number {unknown[0]} has no features: elements from 1 to 100 have some')
    return cell, species, coords


class _Bonds:
    """Directed bonds: from atoms to neighbours in some cell.

    :param centre: atom, shape (n,).
    :param neighbour: the atom whose image is the neighbour, shape (n,).
    :param image: cell that this image lies in, shape (n, 3), int64.
    :param vector: from the one to the other in Å, shape (n, 3).
    :param distance: its length, shape (n,).
    """

    def __init__(
        self, centre: np.ndarray, neighbour: np.ndarray, image: np.ndarray, vector: np.ndarray, distance: np.ndarray
    ) -> None:
        self.centre, self.neighbour, self.image, self.vector, self.distance = centre, neighbour, image, vector, distance

    @classmethod
    def within(
        cls, cell: np.ndarray, coords: np.ndarray, radius: float, coincident: str, centres: np.ndarray | None = None
    ) -> _Bonds:
        """Return the bonds from some atoms to all neighbours within a radius.

        :param coincident: what becomes of two atoms on one spot, as :class:`GraphSettings` names it.
        :raises ValueError: where two atoms are on one spot and are refused.
        """
        positions = coords @ cell
        wanted = np.arange(len(coords)) if centres is None else centres
        found = find_points_in_spheres(positions, positions[wanted], radius, PERIODIC, cell, 1e-8)
        centre, neighbour = wanted[found[0]], found[1]
        image = found[2].astype(np.int64)
        other = (centre != neighbour) | image.any(axis=1)
        centre, neighbour, image = centre[other], neighbour[other], image[other]
        # From differences of fractional coordinates, so that a bond and its reverse have exactly opposite vectors.
        vector = (coords[neighbour] - coords[centre] + image) @ cell
        distance = np.sqrt(np.einsum('ij,ij->i', vector, vector))
        bonds = cls(centre, neighbour, image, vector, distance)
        apart = distance > SMALLEST_DISTANCE
        if not apart.all() and coincident == 'refused':
            least = distance.argmin()
            raise ValueError(
                f'the atoms {centre[least]} and {neighbour[least]} are on one spot, {distance[least]:.3f} Å apart: '
                'leave one of them out, or take graphs with `coincident: unbonded`'
            )
        return bonds[apart]

    def __getitem__(self, which: np.ndarray) -> _Bonds:
        return _Bonds(
            self.centre[which], self.neighbour[which], self.image[which], self.vector[which], self.distance[which]
        )

    @classmethod
    def joined(cls, parts: list[_Bonds]) -> _Bonds:
        """Return the bonds of several."""
        names = ('centre', 'neighbour', 'image', 'vector', 'distance')
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _nearest(cell: np.ndarray, coords: np.ndarray, settings: GraphSettings) -> _Bonds:
    """Return the bonds from each atom to its nearest neighbours, whole shells.

    The first radius is one that holds enough neighbours at the density of the cell. Atoms that have too few (at
    surfaces and beside voids) search again, farther. Where a search begins makes no difference to what it finds.
    """
    n_neighbours, tolerance = settings.n_neighbours, settings.shell_tolerance
    per_atom = abs(np.linalg.det(cell)) / len(coords)
    radius = (3 * MARGIN * n_neighbours * per_atom / (4 * np.pi)) ** (1 / 3)
    left = np.arange(len(coords))
    parts = []
    while len(left):
        bonds = _Bonds.within(cell, coords, radius, settings.coincident, left)
        # The kth distance of each atom; a shell is whole only if it ends within the radius.
        order = np.lexsort((bonds.distance, bonds.centre))
        first = np.searchsorted(bonds.centre[order], np.arange(len(coords)))
        kth = np.append(bonds.distance[order], np.full(n_neighbours, np.inf))[first + n_neighbours - 1]
        enough = np.zeros(len(coords), dtype=bool)
        enough[left] = np.bincount(bonds.centre, minlength=len(coords))[left] >= n_neighbours
        enough &= kth + tolerance <= radius
        parts.append(bonds[enough[bonds.centre] & (bonds.distance <= kth[bonds.centre] + tolerance)])
        left = left[~enough[left]]
        radius *= GROWTH
    return _Bonds.joined(parts)


def _graph(species: np.ndarray, bonds: _Bonds, *, doubled: bool, once: bool) -> CrystalGraph:
    """Return the graph of bonds, where each is made to run back, too.

    :param doubled: whether bonds that both of their atoms have are there twice.
    :param once: whether bonds of an atom to its own images are there once, too.
    """
    n = len(species)
    span = 2 * int(np.abs(bonds.image).max()) + 1
    place = np.array([span * span, span, 1], dtype=np.int64)
    middle = int(place.sum()) * (span // 2)

    def keys(source: np.ndarray, target: np.ndarray, image: np.ndarray) -> np.ndarray:
        return (target.astype(np.int64) * n + source) * span**3 + image @ place + middle

    both = np.concatenate(
        [keys(bonds.centre, bonds.neighbour, bonds.image), keys(bonds.neighbour, bonds.centre, -bonds.image)]
    )
    # Sorted by target, source and image; the first occurrence says which way the vector has to point.
    unique, place_of, counts = np.unique(both, return_index=True, return_counts=True)
    backwards = place_of >= len(bonds.centre)
    index = np.where(backwards, place_of - len(bonds.centre), place_of)
    source = np.where(backwards, bonds.neighbour[index], bonds.centre[index])
    target = np.where(backwards, bonds.centre[index], bonds.neighbour[index])
    sign = np.where(backwards, -1, 1)
    vectors = bonds.vector[index] * sign[:, None]
    back = keys(target, source, -bonds.image[index] * sign[:, None])
    multiplicity = counts if doubled else np.where(source == target, counts, 1)
    return CrystalGraph(
        numbers=species.astype(np.int16),
        source=source.astype(np.int32),
        target=target.astype(np.int32),
        vectors=vectors.astype(np.float32),
        multiplicity=(np.ones_like(counts) if once else multiplicity).astype(np.uint8),
        reverse=np.searchsorted(unique, back).astype(np.int32),
    )
