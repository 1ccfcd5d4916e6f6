"""What is wrong with a row of a dataset, one check for each known defect."""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from pymatgen.optimization.neighbors import find_points_in_spheres

from aiida_embarrier.bands.alignment import SHORTEST_HOP, AlignmentError, align_endpoints
from aiida_embarrier.bands.geometry import MIN_CLEARANCE, OVERLAP, minimum_image
from aiida_embarrier.datasets.classes import (
    CRYSTAL_SYSTEMS,
    canonical_crystal_system,
    canonical_space_group,
    class_groups,
    is_space_group,
    structural_group,
)
from aiida_embarrier.datasets.schema import endpoints_of_row

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ('CLOSE_ION', 'PLAUSIBLE', 'Finding', 'RowGeometry', 'check_row')

#: An ion nearer than this, in Å, to another atom on its way went through it: straight lines do, relaxed paths do not.
CLOSE_ION = 1.0
#: Barriers outside this range, in eV, are looked at twice; of 619 published ones two are above it.
PLAUSIBLE = (0.0, 5.0)
#: By how much a path may be longer than the shortest way between its ends, in Å.
_LONGER = 1e-3
#: How many places a detail names.
_NAMED = 6


class Finding(NamedTuple):
    """A defect of a row.

    :param defect: its key in :data:`~aiida_embarrier.datasets.defects.DEFECTS`.
    :param detail: where, and by how much.
    :param repairable: whether a repair of this row is known.
    """

    defect: str
    detail: str
    repairable: bool


class RowGeometry:
    """Distances in the structure of a row; of a barrier the migrating ion is atom 0.

    :param row: a row of a dataset.
    """

    def __init__(self, row: Mapping[str, Any]) -> None:
        self.lattice = np.array(json.loads(row['lattice']), dtype=float)
        self.species: list[str] = json.loads(row['species'])
        self.coords = np.array(json.loads(row['frac_coords']), dtype=float).reshape(-1, 3)
        self.path: np.ndarray | None = None
        if isinstance(row.get('path'), str):
            self.path = np.array(json.loads(row['path']), dtype=float)
            self.species = [row['ion'], *self.species]
            self.coords = np.vstack([self.path[0], self.coords])

    @cached_property
    def overlaps(self) -> list[tuple[int, int, float]]:
        """Pairs of atoms in one place, each once, with their distances in Å; an atom on its own image is none."""
        points = np.ascontiguousarray(self.coords @ self.lattice)
        periodic = np.array([1, 1, 1], dtype=np.int64)
        first, second, _, distances = find_points_in_spheres(points, points, OVERLAP, periodic, self.lattice, 1e-8)
        pairs = {
            (int(one), int(other)): float(distance)
            for one, other, distance in zip(first, second, distances, strict=True)
            if one < other
        }
        return [(*pair, distance) for pair, distance in sorted(pairs.items())]

    @cached_property
    def clearances(self) -> tuple[np.ndarray, np.ndarray]:
        """For each position of the path the distance to the nearest other atom in Å, and which atom that is."""
        assert self.path is not None
        rest = self.coords[1:]
        if not len(rest):
            return np.full(len(self.path), np.inf), np.zeros(len(self.path), dtype=int)
        vectors = minimum_image((rest[None] - self.path[:, None]) @ self.lattice, self.lattice)
        distances = np.linalg.norm(vectors, axis=-1)
        return distances.min(axis=1), distances.argmin(axis=1) + 1

    def name(self, index: int) -> str:
        """Return how messages name an atom."""
        return f'{self.species[index]} {index}'


def check_row(row: Mapping[str, Any], schema: str) -> Iterator[Finding]:
    """Yield the defects of a row.

    :param schema: `barrier` or `property`.
    """
    geometry = RowGeometry(row)
    yield from _coinciding(geometry, row)
    yield from _symmetry(row)
    yield from _class(row)
    if schema == 'property':
        if not np.isfinite(row['target']):
            yield Finding('implausible_target', f'{row["target"]}', False)
        return
    yield from _close_ion(geometry)
    yield from _path(geometry, row)
    reason = _why_not_aligned(geometry, row)
    if reason is not None:
        yield Finding('unaligned_endpoints', reason, False)
    barrier = row.get('barrier', np.nan)  # of paths that are to be predicted there may be none
    if barrier <= PLAUSIBLE[0] or barrier > PLAUSIBLE[1]:
        yield Finding('implausible_barrier', f'{barrier:g} eV', False)
    if row.get('endpoint_symmetry') == 'low_symmetry':
        yield Finding('low_symmetry_endpoints', 'at most two symmetry operations', False)


def _coinciding(geometry: RowGeometry, row: Mapping[str, Any]) -> Iterator[Finding]:
    details = [
        f'{geometry.name(one)} and {geometry.name(other)} are {distance:.2f} Å apart'
        for one, other, distance in geometry.overlaps
    ]
    alike = all(geometry.species[one] == geometry.species[other] for one, other, _ in geometry.overlaps)
    if geometry.path is not None:
        near, atoms = geometry.clearances
        for image in range(1, len(near)):
            if near[image] < OVERLAP:
                # An atom of the ion's element at the end of the path is the site that has to be empty.
                alike = alike and image == len(near) - 1 and geometry.species[atoms[image]] == row['ion']
                details.append(
                    f'position {image} of the ion is {near[image]:.2f} Å from {geometry.name(int(atoms[image]))}'
                )
    if details:
        more = '; ...' if len(details) > _NAMED else ''
        yield Finding('coinciding_atoms', '; '.join(details[:_NAMED]) + more, alike)


def _close_ion(geometry: RowGeometry) -> Iterator[Finding]:
    near, atoms = geometry.clearances
    limits = np.full(len(near), CLOSE_ION)
    limits[[0, -1]] = MIN_CLEARANCE
    images = np.flatnonzero((near < limits) & (near >= OVERLAP))
    if len(images):
        image = int(images[near[images].argmin()])
        atom = geometry.name(int(atoms[image]))
        yield Finding('close_ion', f'position {image} of the ion is {near[image]:.2f} Å from {atom}', False)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _symmetry(row: Mapping[str, Any]) -> Iterator[Finding]:
    written = _text(row.get('crystal_system')), _text(row.get('space_group'))
    if canonical_crystal_system(written[1]) in CRYSTAL_SYSTEMS and is_space_group(written[0]):
        yield Finding('swapped_symmetry', f'crystal system {written[0]}, space group {written[1]}', True)
        return
    usual = canonical_crystal_system(written[0]), canonical_space_group(written[1])
    if usual != written:
        changes = [f'{was} is {now}' for was, now in zip(written, usual, strict=True) if was != now]
        yield Finding('symmetry_alias', ', '.join(changes), True)


def _class(row: Mapping[str, Any]) -> Iterator[Finding]:
    label = _text(row.get('structural_class'))
    if label is None:
        return
    if ' '.join(label.split()).upper() not in {*class_groups(), *class_groups().values()}:
        yield Finding('unknown_class', label, False)
    elif structural_group(label) != label:
        yield Finding('class_alias', f'{label} is {structural_group(label)}', True)


def _path(geometry: RowGeometry, row: Mapping[str, Any]) -> Iterator[Finding]:
    lattice, path = geometry.lattice, geometry.path
    assert path is not None
    if isinstance(row.get('final_lattice'), str):
        lengths = [np.linalg.norm(one, axis=1) for one in (lattice, np.array(json.loads(row['final_lattice'])))]
        texts = [' '.join(f'{length:.3f}' for length in one) for one in lengths]
        yield Finding('lattice_mismatch', f'vectors of {texts[0]} and {texts[1]} Å', True)
    written = (path[-1] - path[0]) @ lattice
    length, shortest = (float(np.linalg.norm(one)) for one in (written, minimum_image(written, lattice)))
    if length > shortest + _LONGER:
        detail = f'{length:.2f} Å as written, {shortest:.2f} Å by the shortest way'
        yield Finding('unwrapped_hop', detail, shortest > SHORTEST_HOP)


def _why_not_aligned(geometry: RowGeometry, row: Mapping[str, Any]) -> str | None:
    """Return why the ends of a row cannot be made a band of its ion, None where they can."""
    if not isinstance(row.get('final_lattice'), str) and not isinstance(row.get('final_frac_coords'), str):
        # Only the ion differs: a search for the other atoms, of up to 4 s for a row, would find what is known.
        return _why_no_hop(geometry)
    initial, final = endpoints_of_row(row)
    try:
        band = align_endpoints(initial, final, ion=row['ion'], lattice_policy='per_image', keep_images=True)
    except AlignmentError as error:
        return str(error)
    if band.mobile != (0,):
        return f'not the ion moves, but {", ".join(geometry.name(index) for index in band.mobile)}'
    return None


def _why_no_hop(geometry: RowGeometry) -> str | None:
    assert geometry.path is not None
    for one, other, distance in geometry.overlaps:
        return f'{geometry.name(one)} and {geometry.name(other)} are {distance:.2f} Å apart: one of them is there twice'
    near, atoms = geometry.clearances
    if near[-1] < OVERLAP:
        return f'the ion ends {near[-1]:.2f} Å from {geometry.name(int(atoms[-1]))}: that site is not empty'
    length = float(np.linalg.norm((geometry.path[-1] - geometry.path[0]) @ geometry.lattice))
    return f'the ion moves by {length:.3f} Å only' if length < SHORTEST_HOP else None
