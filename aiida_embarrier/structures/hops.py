"""All symmetry-distinct hops of an ion in a crystal.

A hop is a pair of sites, the second with the lattice translation that it stands in, so that a hop longer than half the
cell and a hop to a periodic image of the same site are as exact as any other. Symmetry operations act on such pairs in
integers: the operation permutes the sites, and rotates and shifts the translations. Two hops are the same where an
operation of the crystal (of its magnetic structure, where it has moments) takes one to the other or to its reverse.
"""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from pymatgen.core import Element

from aiida_embarrier.structures.crystals import check_crystal, check_ion
from aiida_embarrier.structures.interstitials import complete_sites, interstitial_sites
from aiida_embarrier.structures.symmetry import permute_points, symmetry_operations

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pymatgen.core import Structure

    from aiida_embarrier.structures.symmetry import SymmetryOperation

__all__ = ('Hop', 'HopSite', 'find_hops', 'select_hop')

#: Longest hop that is sought unless told otherwise, in Å.
DEFAULT_MAX_LENGTH = 5.0

#: A hop whose straight line passes another site of the ion within this distance, in Å, is two hops in a row.
THROUGH = 1.0

#: Sets of further vacancies beyond this number per search are refused.
MAX_CONFIGURATIONS = 100_000

#: A site of the migrating ion: its number and the cell that it stands in.
_Point = tuple[int, tuple[int, int, int]]

#: A hop between sites: number of the first site (in cell 0), second site, further vacancies.
_Path = tuple[int, _Point, tuple[_Point, ...]]


@dataclass(frozen=True)
class HopSite:
    """Where an ion starts, arrives or is missing.

    :param coords: fractional coordinates in the host cell when the hop was found, not wrapped.
    :param index: index of the site in the host; None for an interstitial site, which `coords` alone say.
    :param image: cell of the host in which the site with this index stands, already contained in `coords`.
    """

    coords: tuple[float, float, float]
    index: int | None = None
    image: tuple[int, int, int] = (0, 0, 0)

    @classmethod
    def from_dict(cls, entries: Mapping[str, Any]) -> HopSite:
        """Return the site that :meth:`Hop.to_dict` wrote."""
        first, second, third = (float(value) for value in entries['coords'])
        cell_a, cell_b, cell_c = (int(value) for value in entries['image'])
        index = entries['index']
        return cls((first, second, third), None if index is None else int(index), (cell_a, cell_b, cell_c))


@dataclass(frozen=True)
class Hop:
    """One hop of an ion, standing for all hops that symmetry makes of it.

    :param number: number of the hop among those of its host, from 0.
    :param ion: chemical symbol of the migrating ion.
    :param mechanism: `vacancy`: the ion moves from `initial` to the empty site `final` of a full host; `interstitial`:
        an ion is added to the host and moves.
    :param initial: where the ion starts.
    :param final: where it arrives.
    :param length: distance between the two in Å.
    :param multiplicity: how many hops in the host cell are equivalent to this one, a hop and its reverse counted once.
    :param equivalent_ends: whether an operation of the host takes the initial to the final state (for one vacancy: one
        site to the other), so that both have the same energy.
    :param symmetric: whether an operation reverses the hop, so that its energy profile is its own mirror image.
    :param direction: where the hop goes in the axes of the host cell: indices such as ``[010]`` where they are small,
        else the displacement, such as ``0.33a-0.12b+0.50c``.
    :param clearance: distance of the straight line between the ends from the nearest other atom in Å.
    :param further_vacancies: sites that are empty too, as in the divacancy hop of layered oxides.
    """

    number: int
    ion: str
    mechanism: str
    initial: HopSite
    final: HopSite
    length: float
    multiplicity: int
    equivalent_ends: bool
    symmetric: bool
    direction: str
    clearance: float
    further_vacancies: tuple[HopSite, ...] = ()

    @property
    def displacement(self) -> np.ndarray:
        """Displacement in fractional coordinates of the host cell, shape (3,)."""
        return np.asarray(self.final.coords) - np.asarray(self.initial.coords)

    @property
    def label(self) -> str:
        """What a reader wants to know of the hop in one line."""
        further = f' with {len(self.further_vacancies)} further' if self.further_vacancies else ''
        return f'hop {self.number}: {self.ion} {self.mechanism}{further}, {self.length:.2f} Å along {self.direction}'

    def to_dict(self) -> dict[str, Any]:
        """Return the hop as plain Python values, as a database or a JSON file takes them."""
        entries = asdict(self)
        for site in (entries['initial'], entries['final'], *entries['further_vacancies']):
            site.update(coords=list(site['coords']), image=list(site['image']))
        entries['further_vacancies'] = list(entries['further_vacancies'])
        return entries

    @classmethod
    def from_dict(cls, entries: Mapping[str, Any]) -> Hop:
        """Return the hop that :meth:`to_dict` wrote.

        :raises ValueError: where entries are missing or unknown.
        """
        names = {entry.name for entry in fields(cls)}
        if set(entries) != names:
            raise ValueError(
                f'this is no hop: missing entries {sorted(names - set(entries))}, '
                f'unknown entries {sorted(set(entries) - names)}'
            )
        return cls(
            **{
                **entries,
                'initial': HopSite.from_dict(entries['initial']),
                'final': HopSite.from_dict(entries['final']),
                'further_vacancies': tuple(HopSite.from_dict(site) for site in entries['further_vacancies']),
            }
        )


def select_hop(hops: Sequence[Hop], number: int) -> Hop:
    """Return the hop with a number.

    :raises ValueError: where there is none; the message says how many there are.
    """
    if not hops:
        raise ValueError('the crystal has no hop within the largest length: allow longer hops (max_length)')
    if not 0 <= number < len(hops):
        raise ValueError(
            f'there is no hop {number}: {hops[0].ion} has {len(hops)} distinct hop(s) up to {hops[-1].length:.2f} Å, '
            f'numbered 0 to {len(hops) - 1}'
        )
    return hops[number]


def find_hops(
    structure: Structure,
    ion: str,
    *,
    mechanism: str = 'vacancy',
    max_length: float | None = None,
    sites: Sequence[Sequence[float]] | None = None,
    symprec: float = 0.01,
    moment_tolerance: float = 0.1,
    extra_vacancies: int = 0,
    through: bool = False,
) -> list[Hop]:
    """Return all symmetry-distinct hops of an ion in a crystal, shortest first, numbered from 0.

    Hops of one length (within `symprec`) come with the most compact set of further vacancies first, then in the order
    of their sites in the host. The hop that stands for its equivalents starts at the site with the lowest index and
    stays as near to the home cell as it can. Symmetry is that of the cell as given: a supercell of a crystal may tell
    apart what its primitive cell does not.

    :param structure: the host, ordered: for `vacancy` with the ion on all its sites, for `interstitial` without the
        ion that moves (other ions of the element may be there).
    :param ion: chemical symbol of the migrating ion.
    :param mechanism: `vacancy`, hops between occupied sites of the ion, or `interstitial`, hops of an added ion.
    :param max_length: longest hop in Å; None for 5 Å, or for what reaches the nearest site of the ion if that is
        farther.
    :param sites: fractional coordinates of interstitial sites, one of each set of equivalent sites is enough; None to
        seek them with :func:`~aiida_embarrier.structures.interstitials.interstitial_sites`.
    :param symprec: how far sites may lie from where symmetry wants them, in Å.
    :param moment_tolerance: by how much magnetic moments may differ that count as equal, in Bohr magnetons.
    :param extra_vacancies: how many further sites of the ion are empty, each within `max_length` of both ends.
    :param through: whether to list hops too whose straight line passes another site of the ion within 1 Å; these are
        two hops in a row and normally left out.
    :raises ValueError: for an ion that the host has not, an unknown mechanism, interstitial sites on top of atoms, and
        structures that :func:`~aiida_embarrier.structures.crystals.check_crystal` refuses.
    """
    check_crystal(structure)
    if max_length is not None and not (np.isfinite(max_length) and max_length > 0):
        raise ValueError(f'the longest hop must be a positive length in Å, got {max_length}')
    if extra_vacancies < 0:
        raise ValueError(f'the number of further vacancies cannot be negative, got {extra_vacancies}')
    if mechanism == 'vacancy':
        if sites is not None:
            raise ValueError('`sites` are interstitial sites: leave them out for the vacancy mechanism')
        indices: list[int] | None = check_ion(structure, ion)
        operations = symmetry_operations(structure, symprec, moment_tolerance)
        points = structure.frac_coords[indices]
    elif mechanism == 'interstitial':
        if not Element.is_valid_symbol(ion):
            raise ValueError(f'{ion!r} is no element: give a chemical symbol such as Li')
        if extra_vacancies:
            raise ValueError('further vacancies belong to the vacancy mechanism: leave extra_vacancies at 0')
        indices = None
        operations = symmetry_operations(structure, symprec, moment_tolerance)
        given = interstitial_sites(structure, operations=operations) if sites is None else sites
        points = complete_sites(structure, given, operations, tolerance=5 * symprec)
    else:
        raise ValueError(f'unknown mechanism {mechanism!r}: choose vacancy or interstitial')
    sublattice = _Sublattice(structure, points, indices, operations, 5 * symprec)
    if max_length is None:
        max_length = max(DEFAULT_MAX_LENGTH, sublattice.nearest_distance + symprec)
    orbits: dict[_Path, set[_Path]] = {}
    seen: set[_Path] = set()
    for path in sublattice.paths(max_length, extra_vacancies):
        if path in seen:
            continue
        orbit = sublattice.orbit(path)
        seen |= orbit
        best = min(orbit, key=_preference)
        if through or not sublattice.passes_site(best):
            orbits[best] = orbit
    paths = list(orbits)
    lengths = _ranks([sublattice.length(path) for path in paths], symprec)
    spreads = _ranks([sublattice.spread(path) for path in paths], symprec)
    order = sorted(range(len(paths)), key=lambda i: (lengths[i], spreads[i], _preference(paths[i])))
    return [sublattice.hop(number, ion, mechanism, paths[i], orbits[paths[i]]) for number, i in enumerate(order)]


def _ranks(values: Sequence[float], tolerance: float) -> list[int]:
    """Return the rank of each value, where values next to each other within the tolerance have the same."""
    ranks = [0] * len(values)
    rank = 0
    order = sorted(range(len(values)), key=values.__getitem__)
    for last, this in itertools.pairwise(order):
        rank += values[this] - values[last] > tolerance
        ranks[this] = rank
    return ranks


def _preference(path: _Path) -> tuple[Any, ...]:
    """Order of equivalent hops: low site numbers, near cells, positive directions first."""
    first, (second, image), further = path
    return (
        first,
        second,
        sum(map(abs, image)),
        tuple(-value for value in image),
        tuple((number, sum(map(abs, cell)), cell) for number, cell in further),
    )


class _Sublattice:
    """The sites of the migrating ion and what symmetry does to them.

    :param points: fractional coordinates, shape (n, 3).
    :param indices: index of each point in the host, None for interstitial sites.
    """

    def __init__(
        self,
        host: Structure,
        points: np.ndarray,
        indices: list[int] | None,
        operations: Sequence[SymmetryOperation],
        tolerance: float,
    ) -> None:
        self.host = host
        self.points = points
        self.indices = indices
        self.lattice: Any = host.lattice
        matrix = self.lattice.matrix
        #: rotation, target of each point, lattice translation of each target
        self.actions = [
            (operation.rotation, *permute_points(points, operation, matrix, tolerance=tolerance))
            for operation in operations
        ]

    @property
    def nearest_distance(self) -> float:
        """Smallest distance between two sites in Å."""
        radius = min(self.lattice.abc) + 1e-6  # a site's own image at the latest
        return min(distance for _, _, distance in self._pairs(radius))

    def _pairs(self, radius: float) -> Iterator[tuple[int, _Point, float]]:
        for first, point in enumerate(self.points):
            _, distances, numbers, images = self.lattice.get_points_in_sphere(
                self.points, self.lattice.get_cartesian_coords(point), radius, zip_results=False
            )
            for distance, number, image in zip(distances, numbers, np.rint(images).astype(int).tolist(), strict=True):
                if distance > 1e-3:
                    yield first, (int(number), _cell(image)), float(distance)

    def paths(self, max_length: float, extra_vacancies: int) -> Iterator[_Path]:
        """Yield all hops from a site in the home cell, in both directions, with all sets of further vacancies."""
        neighbours: dict[int, dict[_Point, float]] = {number: {} for number in range(len(self.points))}
        for first, second, distance in self._pairs(max_length + 1e-6):
            neighbours[first][second] = distance
        count = 0
        for first in neighbours:
            for second in neighbours[first]:
                if not extra_vacancies:
                    yield (first, second, ())
                    continue
                common = sorted(
                    point for point in neighbours[first] if _shift(point, second[1], -1) in neighbours[second[0]]
                )
                for further in itertools.combinations(common, extra_vacancies):
                    count += 1
                    if count > MAX_CONFIGURATIONS:
                        raise ValueError(
                            f'there are more than {MAX_CONFIGURATIONS} sets of {extra_vacancies} further vacancies '
                            f'within {max_length} Å: lower max_length'
                        )
                    yield (first, second, further)

    def orbit(self, path: _Path) -> set[_Path]:
        """Return the hop, its reverse and all that symmetry makes of them, each starting in the home cell."""
        found = set()
        for action in self.actions:
            moved = self._apply(action, path)
            found |= {moved, _reverse(moved)}
        return found

    def _apply(self, action: tuple[np.ndarray, np.ndarray, np.ndarray], path: _Path) -> _Path:
        rotation, targets, images = action
        first, second, further = path
        origin = images[first]

        def move(point: _Point) -> _Point:
            number, cell = point
            return int(targets[number]), _cell((rotation @ np.array(cell) + images[number] - origin).tolist())

        return int(targets[first]), move(second), tuple(sorted(move(point) for point in further))

    def position(self, point: _Point) -> np.ndarray:
        """Return the Cartesian position of a site in Å."""
        return self.lattice.get_cartesian_coords(self.points[point[0]] + np.array(point[1]))

    def length(self, path: _Path) -> float:
        """Return the length of a hop in Å."""
        return float(np.linalg.norm(self.position(path[1]) - self.position((path[0], (0, 0, 0)))))

    def spread(self, path: _Path) -> float:
        """Return the sum of distances of the further vacancies from both ends and each other in Å."""
        ends = [self.position((path[0], (0, 0, 0))), self.position(path[1])]
        further = [self.position(point) for point in path[2]]
        distances = [np.linalg.norm(one - other) for one in further for other in ends]
        distances += [np.linalg.norm(one - other) for one, other in itertools.combinations(further, 2)]
        return float(sum(distances))

    def passes_site(self, path: _Path) -> bool:
        """Return whether the straight line of a hop passes another site of the ion."""
        return bool(
            _distance_from_line(self.lattice, self.points, *self._ends(path), exclude=self._ends(path), within=THROUGH)
            < THROUGH
        )

    def _ends(self, path: _Path) -> tuple[np.ndarray, np.ndarray]:
        return self.position((path[0], (0, 0, 0))), self.position(path[1])

    def _clearance(self, path: _Path) -> float:
        empty = [self.position(point) for point in path[2]]
        ends = self._ends(path)
        within = 2.0
        while True:  # a larger void needs a wider search; a crystal always has an atom somewhere
            distance = _distance_from_line(
                self.lattice, self.host.frac_coords, *ends, exclude=(*ends, *empty), within=within
            )
            if distance < within:
                return distance
            within *= 2

    def hop(self, number: int, ion: str, mechanism: str, path: _Path, orbit: set[_Path]) -> Hop:
        """Return the hop that a user sees."""
        first, second, further = path
        start = (first, (0, 0, 0))
        displacement = self.points[second[0]] + np.array(second[1]) - self.points[first]
        return Hop(
            number=number,
            ion=ion,
            mechanism=mechanism,
            initial=self._site(start),
            final=self._site(second),
            length=self.length(path),
            multiplicity=len({min(entry, _reverse(entry)) for entry in orbit}),
            equivalent_ends=self._equivalent_ends(path),
            symmetric=any(self._apply(action, path) == _reverse(path) for action in self.actions),
            direction=_direction(displacement, self.lattice.matrix),
            clearance=self._clearance(path),
            further_vacancies=tuple(self._site(point) for point in further),
        )

    def _site(self, point: _Point) -> HopSite:
        number, cell = point
        first, second, third = (float(value) for value in self.points[number] + np.array(cell))
        if self.indices is None:
            return HopSite((first, second, third))
        return HopSite((first, second, third), self.indices[number], cell)

    def _equivalent_ends(self, path: _Path) -> bool:
        """Return whether an operation takes the empty sites of the final to those of the initial state.

        The state is said by what differs from the host: for a vacancy hop the empty sites, with the ion at the initial
        site these are the final site and the further vacancies; for an interstitial hop the site of the ion.
        """
        first, second, further = path
        initial, final = ((first, (0, 0, 0)), *further), (second, *further)
        wanted = _cluster(final)
        for rotation, targets, images in self.actions:
            moved = [
                (int(targets[number]), _cell((rotation @ np.array(cell) + images[number]).tolist()))
                for number, cell in initial
            ]
            if _cluster(moved) == wanted:
                return True
        return False


def _cell(values: Sequence[int]) -> tuple[int, int, int]:
    first, second, third = values
    return int(first), int(second), int(third)


def _shift(point: _Point, cell: Sequence[int], sign: int) -> _Point:
    return point[0], _cell([value + sign * shift for value, shift in zip(point[1], cell, strict=True)])


def _reverse(path: _Path) -> _Path:
    first, second, further = path
    back = _shift((first, (0, 0, 0)), second[1], -1)
    return second[0], back, tuple(sorted(_shift(point, second[1], -1) for point in further))


def _cluster(points: Sequence[_Point]) -> tuple[_Point, ...]:
    """Return a set of sites shifted so that sets which differ by a lattice translation are equal."""
    return min(tuple(sorted(_shift(point, origin[1], -1) for point in points)) for origin in points)


def _distance_from_line(
    lattice: Any,
    points: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    exclude: Sequence[np.ndarray],
    within: float,
) -> float:
    """Return the smallest distance of points of a crystal from a line, infinity where all are farther than `within`.

    :param points: fractional coordinates, shape (n, 3).
    :param exclude: Cartesian positions that do not count.
    """
    radius = np.linalg.norm(end - start) / 2 + within
    found, _, _, _ = lattice.get_points_in_sphere(points, (start + end) / 2, radius, zip_results=False)
    positions = lattice.get_cartesian_coords(np.asarray(found).reshape(-1, 3))
    for position in exclude:
        positions = positions[np.linalg.norm(positions - position, axis=1) > 1e-3]
    if not len(positions):
        return float('inf')
    along = np.clip((positions - start) @ (end - start) / np.dot(end - start, end - start), 0, 1)
    distances = np.linalg.norm(positions - start - along[:, None] * (end - start), axis=1)
    return float(distances.min()) if distances.min() < within else float('inf')


def _direction(displacement: np.ndarray, matrix: np.ndarray) -> str:
    largest = np.abs(displacement).max()
    vector = displacement @ matrix
    for multiple in range(1, 4):
        indices = np.rint(displacement / largest * multiple).astype(int)
        cosine = vector @ (indices @ matrix) / (np.linalg.norm(vector) * np.linalg.norm(indices @ matrix))
        if cosine > np.cos(np.radians(0.5)):
            return f'[{(" " if indices.min() < 0 else "").join(map(str, indices.tolist()))}]'
    terms = [f'{value:+.2f}{axis}' for value, axis in zip(displacement, 'abc', strict=True) if abs(value) >= 0.005]
    return ''.join(terms).removeprefix('+')
