"""The two ends of a hop in a supercell, site for site in the same order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pymatgen.core import Composition, Structure

from aiida_embarrier.bands.band import KIND_PROPERTIES, Band, BandInfo
from aiida_embarrier.bands.geometry import MIN_CLEARANCE, image_distance
from aiida_embarrier.structures.crystals import check_crystal, check_ion, site_name
from aiida_embarrier.structures.supercells import (
    DEFAULT_MIN_DISTANCE,
    Supercell,
    finite_size_warning,
    supercell_for,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiida_embarrier.structures.hops import Hop, HopSite

__all__ = ('Endpoints', 'make_endpoints')


@dataclass(frozen=True, eq=False)
class Endpoints:
    """The initial and the final state of a hop, not relaxed.

    Both have the same lattice and the same sites in the same order; only the migrating ion differs. Its final position
    is that of the hop, not wrapped: final minus initial is the true displacement.

    :param initial: initial state.
    :param final: final state.
    :param hop: the hop.
    :param mobile: index of the migrating ion in both.
    :param supercell: integer matrix whose rows are the lattice vectors in units of those of the host.
    :param image_distance: smallest distance between periodic images of the migrating ion in Å.
    :param warnings: what a reader of the barrier must know, empty where there is nothing.
    :param host_formula: reduced formula of the host.
    """

    initial: Structure
    final: Structure
    hop: Hop
    mobile: int
    supercell: np.ndarray
    image_distance: float
    warnings: tuple[str, ...]
    host_formula: str

    def band(self, **info: Any) -> Band:
        """Return the two ends as a band.

        :param info: further entries of :class:`~aiida_embarrier.bands.band.BandInfo`.
        """
        entries = {'mechanism': self.hop.mechanism, 'host': self.host_formula, **info}
        return Band.from_structures([self.initial, self.final], mobile=[self.mobile], info=BandInfo(**entries))


def make_endpoints(
    structure: Structure,
    hop: Hop,
    supercell: int | Sequence[int] | Sequence[Sequence[int]] | np.ndarray | None = None,
    min_distance: float = DEFAULT_MIN_DISTANCE,
) -> Endpoints:
    """Return both ends of a hop in a supercell of the host; the migrating ion is the first site.

    The host may have been relaxed since the hop was found: sites of the host are taken by their index, interstitial
    sites by their fractional coordinates.

    :param structure: the host, with its sites in the order in which the hop was found.
    :param hop: the hop, from :func:`~aiida_embarrier.structures.hops.find_hops`.
    :param supercell: one factor, three factors, or a matrix; None for the smallest diagonal supercell that keeps
        periodic images of the ion at `min_distance`.
    :param min_distance: distance between periodic images of the ion in Å. A given supercell that is smaller is used,
        with a warning.
    :raises ValueError: for a hop that does not belong to the host, a supercell in which sites of the hop fall together,
        and an ion within 1.2 Å of another atom at either end.
    """
    check_crystal(structure)
    _check_hop(structure, hop)
    matrix = supercell_for(structure, min_distance) if supercell is None else supercell
    repeated = Supercell(structure, matrix)
    sites = repeated.structure
    displacement = (_fractional(structure, hop.final) - _fractional(structure, hop.initial)) @ structure.lattice.matrix
    if hop.mechanism == 'vacancy':
        start, *empty = (
            repeated.index(_site_index(site), np.subtract(site.image, hop.initial.image).tolist())
            for site in (hop.initial, hop.final, *hop.further_vacancies)
        )
        if len({start, *empty}) < 2 + len(hop.further_vacancies):
            raise ValueError(
                f'in the supercell {repeated.matrix.tolist()} the sites of {hop.label} are periodic images of each '
                'other: take a larger supercell'
            )
        mover = sites[start]
        species, properties, position = mover.species, dict(mover.properties), mover.coords
        rest = [index for index in range(len(sites)) if index not in {start, *empty}]
    else:
        if _is_lattice_vector(displacement, sites.lattice.matrix):
            raise ValueError(
                f'in the supercell {repeated.matrix.tolist()} the ends of {hop.label} are periodic images of each '
                'other: take a larger supercell'
            )
        moments = 'magmom' in sites.site_properties
        species, properties = Composition(hop.ion), {'magmom': 0.0} if moments else {}
        position = _fractional(structure, hop.initial) @ structure.lattice.matrix
        rest = list(range(len(sites)))
    names = dict.fromkeys([*properties, *sites.site_properties])
    ends = [
        Structure(
            sites.lattice,
            [species, *(sites[index].species for index in rest)],
            np.array([coords, *(sites[index].coords for index in rest)]),
            coords_are_cartesian=True,
            site_properties={
                name: [properties.get(name), *(sites[index].properties.get(name) for index in rest)] for name in names
            },
        )
        for coords in (position, position + displacement)
    ]
    for name, end in zip(('initial', 'final'), ends, strict=True):
        _check_room(end, name)
    distance = image_distance(sites.lattice.matrix)
    return Endpoints(
        initial=ends[0],
        final=ends[1],
        hop=hop,
        mobile=0,
        supercell=repeated.matrix,
        image_distance=distance,
        warnings=tuple(_warnings(structure, hop, distance, min_distance)),
        host_formula=structure.composition.reduced_formula,
    )


def _check_hop(structure: Structure, hop: Hop) -> None:
    if hop.mechanism != 'vacancy':
        return
    ions = set(check_ion(structure, hop.ion))
    for site in (hop.initial, hop.final, *hop.further_vacancies):
        if site.index not in ions:
            raise ValueError(
                f'{hop.label} does not belong to this {structure.composition.reduced_formula}: its site {site.index} '
                f'is no {hop.ion}; seek the hops in this structure'
            )


def _site_index(site: HopSite) -> int:
    assert site.index is not None
    return site.index


def _fractional(structure: Structure, site: HopSite) -> np.ndarray:
    if site.index is None:
        return np.asarray(site.coords, dtype=float)
    return structure[site.index].frac_coords + np.asarray(site.image)


def _is_lattice_vector(vector: np.ndarray, matrix: np.ndarray) -> bool:
    fractional = vector @ np.linalg.inv(matrix)
    return bool(np.linalg.norm((fractional - np.rint(fractional)) @ matrix) < 1e-3)


def _check_room(end: Structure, name: str) -> None:
    near = end.get_neighbors(end[0], MIN_CLEARANCE)
    if near:
        nearest = min(near, key=lambda neighbour: neighbour.nn_distance)
        raise ValueError(
            f'in the {name} state the migrating ion {site_name(end, 0)} is {nearest.nn_distance:.2f} Å from '
            f'{site_name(end, nearest.index)}, at least {MIN_CLEARANCE} Å are needed: check the site'
        )


def _warnings(structure: Structure, hop: Hop, distance: float, min_distance: float) -> list[str]:
    larger = supercell_for(structure, max(min_distance, DEFAULT_MIN_DISTANCE)).diagonal().tolist()
    remedy = f'the supercell {"x".join(map(str, larger))} of the host would keep that distance'
    warning = finite_size_warning(distance, min_distance, hop.ion, remedy)
    warnings = [] if warning is None else [warning]
    if hop.mechanism == 'vacancy':
        start, end = (structure[_site_index(site)] for site in (hop.initial, hop.final))
        for name in KIND_PROPERTIES:
            values = [site.properties.get(name) for site in (start, end)]
            if values[0] != values[1]:
                warnings.append(
                    f'the ends of the hop differ in {name} ({values[0]} and {values[1]}): the migrating {hop.ion} '
                    'keeps that of its initial site'
                )
    return warnings
