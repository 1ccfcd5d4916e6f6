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

from aiida_embarrier.structures.crystals import check_crystal, check_element, check_ion
from aiida_embarrier.structures.interstitials import complete_sites, interstitial_sites
from aiida_embarrier.structures.sublattices import Sublattice, preference
from aiida_embarrier.structures.symmetry import symmetry_operations

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pymatgen.core import Structure

    from aiida_embarrier.structures.sublattices import Path, Point

__all__ = ('THROUGH_ATOM', 'Hop', 'HopSite', 'direction_of', 'find_hops', 'select_hop', 'site_of', 'sublattice_of')

#: How far sites may lie from where symmetry wants them unless told otherwise, in Å.
DEFAULT_SYMPREC = 0.01
#: A straight line that passes another atom nearer than this, in Å, goes through it.
THROUGH_ATOM = 0.5
#: Longest hop that is sought unless told otherwise, in Å.
DEFAULT_MAX_LENGTH = 5.0


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
    def through_atom(self) -> bool:
        """Whether the straight line goes through another atom, so that it is no hop of its own."""
        return self.clearance < THROUGH_ATOM

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
        raise ValueError(
            'the crystal has no hop within the largest length: allow longer hops with max_length (--max-length)'
        )
    if not 0 <= number < len(hops):
        raise ValueError(
            f'there is no hop {number}: {hops[0].ion} has {len(hops)} distinct hop(s) within the largest length, '
            f'numbered 0 to {len(hops) - 1}; a larger max_length (--max-length) finds more'
        )
    return hops[number]


def find_hops(
    structure: Structure,
    ion: str,
    *,
    mechanism: str = 'vacancy',
    max_length: float | None = None,
    sites: Sequence[Sequence[float]] | None = None,
    symprec: float = DEFAULT_SYMPREC,
    moment_tolerance: float = 0.1,
    extra_vacancies: int = 0,
    through: bool = False,
    max_hops: int | None = None,
) -> list[Hop]:
    """Return all symmetry-distinct hops of an ion in a crystal, shortest first, numbered from 0.

    Lengths within `symprec` of each other count as one, so that noise of the coordinates does not change the numbers:
    such hops need not come in the order of their last digits. Hops of one length come with the most compact set of
    further vacancies first, then in the order of their sites in the host. The hop that stands for its equivalents
    starts at the site with the lowest index and stays as near to the home cell as it can. Symmetry is that of the cell
    as given: a supercell of a crystal may tell apart what its primitive cell does not.

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
    :param max_hops: where there are more distinct hops, none are returned; None for any number.
    :raises ValueError: where there are more hops than `max_hops`, for an ion that the host has not, an unknown
        mechanism, interstitial sites on top of atoms, more further vacancies than there are sites near a hop, and
        structures that :func:`~aiida_embarrier.structures.crystals.check_crystal` refuses.
    """
    if max_length is not None and not (np.isfinite(max_length) and max_length > 0):
        raise ValueError(f'the longest hop must be a positive length in Å, got {max_length}')
    if extra_vacancies < 0:
        raise ValueError(f'the number of further vacancies cannot be negative, got {extra_vacancies}')
    if extra_vacancies and mechanism == 'interstitial':
        raise ValueError('further vacancies belong to the vacancy mechanism: leave extra_vacancies at 0')
    sublattice = sublattice_of(structure, ion, mechanism, sites, symprec, moment_tolerance)
    if max_length is None:
        max_length = max(DEFAULT_MAX_LENGTH, sublattice.nearest_distance + symprec)
    orbits: dict[Path, set[Path]] = {}
    seen: set[Path] = set()
    for path in sublattice.paths(max_length, extra_vacancies):
        if path in seen:
            continue
        orbit = sublattice.orbit(path)
        seen |= orbit
        best = min(orbit, key=preference)
        if through or not sublattice.passes_site(best):
            orbits[best] = orbit
        if max_hops is not None and len(orbits) > max_hops:
            raise ValueError(
                f'the crystal has more than {max_hops} distinct hops, {len(structure)} atoms and '
                f'{len(sublattice.actions)} symmetry operation(s): give its primitive cell, a larger symprec '
                '(--symprec) where noise hides its symmetry, a smaller max_length (--max-length), or a larger max_hops '
                '(--max-hops)'
            )
    paths = list(orbits)
    lengths = _ranks([sublattice.length(path) for path in paths], symprec)
    spreads = _ranks([sublattice.spread(path) for path in paths], symprec)
    order = sorted(range(len(paths)), key=lambda i: (lengths[i], spreads[i], preference(paths[i])))
    return [_hop(sublattice, number, ion, mechanism, paths[i], orbits[paths[i]]) for number, i in enumerate(order)]


def sublattice_of(
    structure: Structure,
    ion: str,
    mechanism: str,
    sites: Sequence[Sequence[float]] | None = None,
    symprec: float = DEFAULT_SYMPREC,
    moment_tolerance: float = 0.1,
) -> Sublattice:
    """Return the sites that an ion hops between, and what symmetry does to them; see :func:`find_hops`."""
    check_crystal(structure)
    if not (np.isfinite(symprec) and symprec > 0):
        raise ValueError(f'symprec must be a positive distance in Å, got {symprec}')
    if mechanism == 'vacancy':
        if sites is not None:
            raise ValueError('`sites` are interstitial sites: leave them out for the vacancy mechanism')
        indices: list[int] | None = check_ion(
            structure, ion, "for an added ion choose mechanism='interstitial' (--mechanism interstitial)"
        )
        operations = symmetry_operations(structure, symprec, moment_tolerance)
        points = structure.frac_coords[indices]
    elif mechanism == 'interstitial':
        check_element(ion)
        indices = None
        operations = symmetry_operations(structure, symprec, moment_tolerance)
        given = interstitial_sites(structure, operations=operations) if sites is None else sites
        points = complete_sites(structure, given, operations, tolerance=5 * symprec)
    else:
        raise ValueError(f'unknown mechanism {mechanism!r}: choose vacancy or interstitial')
    return Sublattice(structure, points, indices, operations, 5 * symprec)


def _ranks(values: Sequence[float], tolerance: float) -> list[int]:
    """Return the rank of each value, where values next to each other within the tolerance have the same."""
    ranks = [0] * len(values)
    rank = 0
    order = sorted(range(len(values)), key=values.__getitem__)
    for last, this in itertools.pairwise(order):
        rank += values[this] - values[last] > tolerance
        ranks[this] = rank
    return ranks


def _hop(sublattice: Sublattice, number: int, ion: str, mechanism: str, path: Path, orbit: set[Path]) -> Hop:
    first, second, further = path
    initial, final = site_of(sublattice, (first, (0, 0, 0))), site_of(sublattice, second)
    return Hop(
        number=number,
        ion=ion,
        mechanism=mechanism,
        initial=initial,
        final=final,
        length=sublattice.length(path),
        multiplicity=sublattice.multiplicity(orbit),
        equivalent_ends=sublattice.equivalent_ends(path),
        symmetric=sublattice.symmetric(path),
        direction=direction_of(np.subtract(final.coords, initial.coords), sublattice.lattice.matrix),
        clearance=sublattice.clearance(path),
        further_vacancies=tuple(site_of(sublattice, point) for point in further),
    )


def site_of(sublattice: Sublattice, point: Point) -> HopSite:
    """Return a site of a sublattice as it stands in a hop."""
    number, cell = point
    first, second, third = (float(value) for value in sublattice.points[number] + np.array(cell))
    if sublattice.indices is None:
        return HopSite((first, second, third))
    return HopSite((first, second, third), sublattice.indices[number], cell)


def direction_of(displacement: np.ndarray, matrix: np.ndarray) -> str:
    """Return where a displacement goes: small indices such as ``[010]``, else its components."""
    largest = np.abs(displacement).max()
    vector = displacement @ matrix
    for multiple in range(1, 4):
        indices = np.rint(displacement / largest * multiple).astype(int)
        cosine = vector @ (indices @ matrix) / (np.linalg.norm(vector) * np.linalg.norm(indices @ matrix))
        if cosine > np.cos(np.radians(0.5)):
            return f'[{(" " if indices.min() < 0 else "").join(map(str, indices.tolist()))}]'
    terms = [f'{value:+.2f}{axis}' for value, axis in zip(displacement, 'abc', strict=True) if abs(value) >= 0.005]
    return ''.join(terms).removeprefix('+')
