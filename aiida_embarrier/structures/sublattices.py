"""The sites of a migrating ion as a periodic set of points, the paths between them, and what symmetry does to both."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from aiida_embarrier.structures.symmetry import permute_points

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pymatgen.core import Structure

    from aiida_embarrier.structures.symmetry import SymmetryOperation

__all__ = ('Path', 'Point', 'Sublattice', 'preference')

#: A hop whose straight line passes another site of the ion within this distance, in Å, is two hops in a row.
THROUGH = 1.0

#: Sets of further vacancies beyond this number per search are refused.
MAX_CONFIGURATIONS = 100_000

#: A site of the migrating ion: its number and the cell that it stands in.
Point = tuple[int, tuple[int, int, int]]

#: A hop between sites: number of the first site (in cell 0), second site, further vacancies.
Path = tuple[int, Point, tuple[Point, ...]]


def preference(path: Path) -> tuple[Any, ...]:
    """Order of equivalent hops: low site numbers, near cells, positive directions first."""
    first, (second, image), further = path
    return (
        first,
        second,
        sum(map(abs, image)),
        tuple(-value for value in image),
        tuple((number, sum(map(abs, cell)), cell) for number, cell in further),
    )


class Sublattice:
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

    def _pairs(self, radius: float) -> Iterator[tuple[int, Point, float]]:
        for first, point in enumerate(self.points):
            _, distances, numbers, images = self.lattice.get_points_in_sphere(
                self.points, self.lattice.get_cartesian_coords(point), radius, zip_results=False
            )
            for distance, number, image in zip(distances, numbers, np.rint(images).astype(int).tolist(), strict=True):
                if distance > 1e-3:
                    yield first, (int(number), _cell(image)), float(distance)

    def paths(self, max_length: float, extra_vacancies: int) -> Iterator[Path]:
        """Yield all hops from a site in the home cell, in both directions, with all sets of further vacancies.

        :raises ValueError: where no hop has so many sites near both ends, and where there are too many sets of them.
        """
        neighbours: dict[int, dict[Point, float]] = {number: {} for number in range(len(self.points))}
        for first, second, distance in self._pairs(max_length + 1e-6):
            neighbours[first][second] = distance
        if not extra_vacancies:
            yield from ((first, second, ()) for first, near in neighbours.items() for second in near)
            return
        around = {
            (first, second): sorted(point for point in near if _shift(point, second[1], -1) in neighbours[second[0]])
            for first, near in neighbours.items()
            for second in near
        }
        most = max(map(len, around.values()), default=0)
        if around and most < extra_vacancies:
            raise ValueError(
                f'there are not enough sites for {extra_vacancies} further vacancies: within {max_length:.2f} Å of '
                f'both ends of a hop lie at most {most} other site(s) of the ion; ask for fewer, or raise max_length '
                '(--max-length)'
            )
        count = sum(math.comb(len(common), extra_vacancies) for common in around.values())
        if count > MAX_CONFIGURATIONS:
            raise ValueError(
                f'there are {count} sets of {extra_vacancies} further vacancies within {max_length:.2f} Å of both ends '
                f'of a hop, more than {MAX_CONFIGURATIONS}: lower max_length'
            )
        for (first, second), common in around.items():
            for further in itertools.combinations(common, extra_vacancies):
                yield (first, second, further)

    def orbit(self, path: Path) -> set[Path]:
        """Return the hop, its reverse and all that symmetry makes of them, each starting in the home cell."""
        found = set()
        for action in self.actions:
            moved = self._apply(action, path)
            found |= {moved, _reverse(moved)}
        return found

    def _apply(self, action: tuple[np.ndarray, np.ndarray, np.ndarray], path: Path) -> Path:
        rotation, targets, images = action
        first, second, further = path
        origin = images[first]

        def move(point: Point) -> Point:
            number, cell = point
            return int(targets[number]), _cell((rotation @ np.array(cell) + images[number] - origin).tolist())

        return int(targets[first]), move(second), tuple(sorted(move(point) for point in further))

    def position(self, point: Point) -> np.ndarray:
        """Return the Cartesian position of a site in Å."""
        return self.lattice.get_cartesian_coords(self.points[point[0]] + np.array(point[1]))

    def length(self, path: Path) -> float:
        """Return the length of a hop in Å."""
        return float(np.linalg.norm(self.position(path[1]) - self.position((path[0], (0, 0, 0)))))

    def spread(self, path: Path) -> float:
        """Return the sum of distances of the further vacancies from both ends and each other in Å."""
        ends = [self.position((path[0], (0, 0, 0))), self.position(path[1])]
        further = [self.position(point) for point in path[2]]
        distances = [np.linalg.norm(one - other) for one in further for other in ends]
        distances += [np.linalg.norm(one - other) for one, other in itertools.combinations(further, 2)]
        return float(sum(distances))

    def passes_site(self, path: Path) -> bool:
        """Return whether the straight line of a hop passes another site of the ion on its way, not beyond its ends."""
        start, end = self._ends(path)
        positions, along = _near_line(self.lattice, self.points, start, end, THROUGH)
        distances = np.linalg.norm(positions - start - along[:, None] * (end - start), axis=1)
        tolerance = 1e-3  # the ends themselves
        beside = np.linalg.norm(positions - start, axis=1) > tolerance
        beside &= np.linalg.norm(positions - end, axis=1) > tolerance
        return bool(np.any(beside & (along > 0) & (along < 1) & (distances < THROUGH)))

    def clearance(self, path: Path) -> float:
        """Return the distance of the straight line of a hop from the nearest atom that is there in Å."""
        start, end = self._ends(path)
        absent = [start, end, *(self.position(point) for point in path[2])]
        within = 2.0
        while True:  # a wide void needs a wider search; a crystal has an atom somewhere
            positions, along = _near_line(self.lattice, self.host.frac_coords, start, end, within)
            for position in absent:
                there = np.linalg.norm(positions - position, axis=1) > 1e-3
                positions, along = positions[there], along[there]
            nearest = start + np.clip(along, 0, 1)[:, None] * (end - start)
            distance = float(np.linalg.norm(positions - nearest, axis=1).min(initial=np.inf))
            if distance < within:
                return distance
            within *= 2

    def _ends(self, path: Path) -> tuple[np.ndarray, np.ndarray]:
        return self.position((path[0], (0, 0, 0))), self.position(path[1])

    def symmetric(self, path: Path) -> bool:
        """Return whether an operation reverses a hop."""
        return any(self._apply(action, path) == _reverse(path) for action in self.actions)

    @staticmethod
    def multiplicity(orbit: set[Path]) -> int:
        """Return the number of hops in an orbit, a hop and its reverse counted once."""
        return len({min(path, _reverse(path)) for path in orbit})

    def equivalent_ends(self, path: Path) -> bool:
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


def _shift(point: Point, cell: Sequence[int], sign: int) -> Point:
    return point[0], _cell([value + sign * shift for value, shift in zip(point[1], cell, strict=True)])


def _reverse(path: Path) -> Path:
    first, second, further = path
    back = _shift((first, (0, 0, 0)), second[1], -1)
    return second[0], back, tuple(sorted(_shift(point, second[1], -1) for point in further))


def _cluster(points: Sequence[Point]) -> tuple[Point, ...]:
    """Return a set of sites shifted so that sets which differ by a lattice translation are equal."""
    return min(tuple(sorted(_shift(point, origin[1], -1) for point in points)) for origin in points)


def _near_line(
    lattice: Any, points: np.ndarray, start: np.ndarray, end: np.ndarray, within: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the points of a crystal around a line, at least all that are within a distance of it.

    :param points: fractional coordinates, shape (n, 3).
    :returns: Cartesian positions, shape (m, 3), and where on the line each is nearest to: 0 at its start, 1 at its end.
    """
    radius = np.linalg.norm(end - start) / 2 + within
    found, _, _, _ = lattice.get_points_in_sphere(points, (start + end) / 2, radius, zip_results=False)
    positions = lattice.get_cartesian_coords(np.asarray(found).reshape(-1, 3))
    return positions, (positions - start) @ (end - start) / np.dot(end - start, end - start)
