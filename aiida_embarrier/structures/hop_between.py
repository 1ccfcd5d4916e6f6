"""The hop between two sites, and which of the distinct hops of its crystal it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from aiida_embarrier.structures.crystals import site_name
from aiida_embarrier.structures.hops import DEFAULT_SYMPREC, direction_of, find_hops, site_of, sublattice_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymatgen.core import Structure

    from aiida_embarrier.structures.hops import Hop
    from aiida_embarrier.structures.sublattices import Path, Point, Sublattice

__all__ = ('HopBetween', 'hop_between')

#: Coordinates name the site that is nearest to them, and at most this far away, in Å.
NEAR = 0.5


@dataclass(frozen=True)
class HopBetween:
    """A hop between two given sites.

    :param hop: the hop from the first to the second site; number and multiplicity are those of `distinct`.
    :param distinct: the hop that stands for it and its equivalents in the list of the crystal.
    :param alternatives: how many hops between the two sites, to other periodic images of the second, are as long.
    """

    hop: Hop
    distinct: Hop
    alternatives: int = 0


def hop_between(
    structure: Structure,
    ion: str,
    first: int | Sequence[float],
    second: int | Sequence[float],
    *,
    mechanism: str = 'vacancy',
    sites: Sequence[Sequence[float]] | None = None,
    as_written: bool = False,
    symprec: float = DEFAULT_SYMPREC,
    moment_tolerance: float = 0.1,
    through: bool = False,
) -> HopBetween:
    """Return the hop from one site to another.

    It leads to the periodic image of the second site that is nearest to the first; of several as near, to the one whose
    distinct hop has the lowest number. Its number is that of :func:`~aiida_embarrier.structures.hops.find_hops` with
    the same mechanism, sites and `symprec`, for however long a largest length.

    :param structure: the host, as `find_hops` takes it.
    :param ion: chemical symbol of the migrating ion.
    :param first: where the ion starts: the index of a site of the host, for interstitial hops of `sites`; or fractional
        coordinates.
    :param second: where it arrives.
    :param mechanism: `vacancy` or `interstitial`.
    :param sites: fractional coordinates of interstitial sites; None to seek them.
    :param as_written: let the hop lead to the image of the second site that its coordinates say.
    :param through: allow a hop that passes another site of the ion.
    :raises ValueError: for sites that there are not, two that are one, and hops that pass another site of the ion.
    """
    sublattice = sublattice_of(structure, ion, mechanism, sites, symprec, moment_tolerance)
    start, goal = (_point(structure, sublattice, ion, site, sites) for site in (first, second))
    if as_written:
        candidates: list[Path] = [(start[0], (goal[0], _difference(goal[1], start[1])), ())]
        if candidates[0][1] == (start[0], (0, 0, 0)):
            raise ValueError(f'{first!r} and {second!r} are one site: a hop needs two')
    else:
        candidates = _nearest(sublattice, start[0], goal[0], symprec)
    longest = max(sublattice.length(path) for path in candidates)
    hops = find_hops(
        structure,
        ion,
        mechanism=mechanism,
        max_length=longest + symprec,
        sites=sites,
        symprec=symprec,
        moment_tolerance=moment_tolerance,
        through=through,
    )
    found = []
    for path in candidates:
        orbit = sublattice.orbit(path)
        found += [(hop.number, path, hop) for hop in hops if _path(sublattice, hop) in orbit]
    if not found:
        raise ValueError(
            f'the straight line of {longest:.2f} Å between {first!r} and {second!r} passes another site of {ion} '
            'within 1 Å, so it is two hops in a row: compute those, or allow it with through=True (--through)'
        )
    _, path, distinct = min(found, key=lambda entry: entry[0])
    initial, final = site_of(sublattice, (path[0], (0, 0, 0))), site_of(sublattice, path[1])
    displacement = np.subtract(final.coords, initial.coords)
    hop = replace(
        distinct, initial=initial, final=final, direction=direction_of(displacement, structure.lattice.matrix)
    )
    return HopBetween(hop, distinct, len(candidates) - 1)


def _point(
    structure: Structure,
    sublattice: Sublattice,
    ion: str,
    site: int | Sequence[float],
    sites: Sequence[Sequence[float]] | None,
) -> Point:
    """Return the site of the sublattice that an index or coordinates name, in the cell that coordinates say."""
    if isinstance(site, int):
        if sublattice.indices is not None:
            if site not in sublattice.indices:
                name = site_name(structure, site) if 0 <= site < len(structure) else f'site {site}'
                raise ValueError(f'{name} is no {ion}: the sites of {ion} are {sublattice.indices}')
            return sublattice.indices.index(site), (0, 0, 0)
        if sites is None or not 0 <= site < len(sites):
            number = 'none is' if sites is None else f'{len(sites)} are'
            raise ValueError(f'there is no interstitial site {site}: {number} given; name the site by its coordinates')
        site = sites[site]
    coords = np.asarray(site, dtype=float)
    if coords.shape != (3,) or not np.all(np.isfinite(coords)):
        raise ValueError(f'{site!r} is no site: give its index, or three fractional coordinates')
    found = _sphere(sublattice, sublattice.lattice.get_cartesian_coords(coords), NEAR)
    if not found:
        distances = sublattice.lattice.get_all_distances(coords, sublattice.points)[0]
        nearest = int(distances.argmin())
        where = ', '.join(f'{value:.4f}' for value in sublattice.points[nearest])
        raise ValueError(
            f'there is no site of {ion} within {NEAR} Å of {coords.tolist()}: the nearest, an image of ({where}), is '
            f'{distances[nearest]:.2f} Å away'
        )
    return min(found, key=lambda entry: entry[1])[0]


def _nearest(sublattice: Sublattice, first: int, second: int, tolerance: float) -> list[Path]:
    """Return the hops to the nearest images of a site, all that are as near within a tolerance."""
    start = sublattice.position((first, (0, 0, 0)))
    if first == second:  # to the image of a site in another cell
        shortest = float(min(sublattice.lattice.get_lll_reduced_lattice().abc))
    else:
        points = sublattice.points
        shortest = float(sublattice.lattice.get_all_distances(points[first], points[second])[0, 0])
    near = _sphere(sublattice, start, shortest + tolerance)
    return [(first, point, ()) for point, distance in near if point[0] == second and distance > 1e-3]


def _sphere(sublattice: Sublattice, centre: np.ndarray, radius: float) -> list[tuple[Point, float]]:
    """Return the sites within a distance of a position, each with its distance, in Å."""
    _, distances, numbers, images = sublattice.lattice.get_points_in_sphere(
        sublattice.points, centre, radius, zip_results=False
    )
    cells = np.rint(np.asarray(images)).astype(int).reshape(-1, 3).tolist()
    return [
        ((int(number), (cell[0], cell[1], cell[2])), float(distance))
        for number, distance, cell in zip(numbers, distances, cells, strict=True)
    ]


def _path(sublattice: Sublattice, hop: Hop) -> Path:
    """Return a hop of the list as the sublattice writes it."""
    ends = []
    for site in (hop.initial, hop.final):
        position = sublattice.lattice.get_cartesian_coords(site.coords)
        ends.append(min(_sphere(sublattice, position, NEAR), key=lambda entry: entry[1])[0])
    (first, home), (second, cell) = ends
    return first, (second, _difference(cell, home)), ()


def _difference(cell: Sequence[int], origin: Sequence[int]) -> tuple[int, int, int]:
    first, second, third = (int(value) for value in np.subtract(cell, origin))
    return first, second, third
