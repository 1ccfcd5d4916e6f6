"""Which rows of datasets hold the same crystal, whatever its cell, its orientation, its setting and its source.

Two crystals of one reduced formula are compared by their shells: for every pair of elements the sorted distances from
each atom of the one to those of the other, each rank sorted over the atoms. Cells, their sizes and orders of sites do
not matter then, mirror images are the same, and distances change by no more than twice what atoms move by. The same
material comes from several databases and years, so that crystals may differ by a scale and a little more.

Of the seven published sets and JARVIS-2D, 31,635 rows, 2845 of 2854 pairs of one Materials Project id are the same by
this, and 93 pairs are the same that have two ids. Of 250 pairs below 0.2 Å that are not identical the
StructureMatcher of pymatgen took 232 for the same; the others are polytypes, most of which have primitive cells of
other sizes, which is asked too.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from math import lcm
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pymatgen.optimization.neighbors import find_points_in_spheres

from aiida_embarrier.datasets.groups import reduced_formula

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ('TOLERANCE', 'Shells', 'crystal_keys', 'deviation', 'formulas_of', 'shells_of_row')

#: Largest difference of distances of the same crystal in Å, after scaling. Differences of pairs with one Materials
#: Project id are below it in 97 of 100 cases, those of other pairs have their minimum there: 0.5 Å and more are usual.
TOLERANCE = 0.15
#: The same where both rows have one id of the Materials Project, and the same number of atoms in the primitive cell.
TOLERANCE_WITH_ID = 0.5
#: How far lengths of the same crystal may differ: of pairs with one id 98 of 100 differ by less than 1.9 %, all by less
#: than 7.3 %.
SCALE = 0.06
#: By which share volumes may differ once lengths are scaled: a layer does not have the volume of a stack of them.
VOLUME = 0.25
#: Distances that are compared, in Å. A gap as wide as that is vacuum, whose width says nothing.
CUTOFF = 8.0
#: How many distances of each atom and element: with 16, too few for the second shell of fcc, it was the same as hcp.
N_DISTANCES = 64
#: How far atoms may lie from where a smaller cell wants them, in Å.
SYMPREC = 0.1

_PERIODIC = np.array([1, 1, 1], dtype=np.int64)

#: Columns whose text is the crystal.
_CRYSTAL = ('lattice', 'species', 'frac_coords')


@dataclass(frozen=True, eq=False)
class Shells:
    """Distances in a crystal, by which it is compared with others.

    :param lattice: lattice vectors as rows in Å, shape (3, 3).
    :param species: symbols of the sites, shape (n_atoms,).
    :param coords: fractional coordinates between 0 and 1, shape (n_atoms, 3).
    :param distances: by pairs of elements, from atoms of the first to those of the second, in Å: shape (n_first,
        n_distances), both axes ascending. Pairs farther apart than :data:`CUTOFF` are not there.
    :param volume: for each atom in Å³; None with vacuum.
    """

    lattice: np.ndarray
    species: np.ndarray
    coords: np.ndarray
    distances: Mapping[tuple[str, str], np.ndarray]
    volume: float | None

    @cached_property
    def n_primitive(self) -> int:
        """Number of atoms in the primitive cell; in the cell as it is where spglib finds none."""
        import spglib

        numbers = np.unique(self.species, return_inverse=True)[1] + 1
        cell: Any = (self.lattice, self.coords, numbers)  # spglib asks for lists and takes arrays
        try:
            found = spglib.find_primitive(cell, symprec=SYMPREC)
        except spglib.SpglibError:
            found = None
        return len(self.species) if found is None else len(found[2])


def shells_of_row(row: Mapping[str, Any]) -> Shells:
    """Return the distances in the crystal of a row of properties."""
    lattice = np.array(json.loads(row['lattice']), dtype=float)
    species = np.array(json.loads(row['species']))
    coords = np.array(json.loads(row['frac_coords']), dtype=float).reshape(-1, 3)
    coords -= np.floor(coords)
    volume = None if has_vacuum(lattice, coords) else abs(float(np.linalg.det(lattice))) / len(species)
    return Shells(lattice, species, coords, _distances(lattice, species, coords), volume)


def has_vacuum(lattice: np.ndarray, coords: np.ndarray) -> bool:
    """Return whether planes along some lattice vector stand farther apart than what is compared."""
    ordered = np.sort(coords, axis=0)
    gaps = np.diff(np.vstack([ordered, ordered[:1] + 1]), axis=0).max(axis=0)
    return bool((gaps / np.linalg.norm(np.linalg.inv(lattice), axis=0) > CUTOFF).any())


def _distances(lattice: np.ndarray, species: np.ndarray, coords: np.ndarray) -> dict[tuple[str, str], np.ndarray]:
    points = np.ascontiguousarray(coords @ lattice)
    first, second, _, lengths = find_points_in_spheres(points, points, CUTOFF, _PERIODIC, lattice, 1e-8)
    apart = lengths > 1e-3
    first, second, lengths = first[apart], second[apart], lengths[apart]
    elements, codes = np.unique(species, return_inverse=True)
    keys = first * len(elements) + codes[second]
    order = np.lexsort((lengths, keys))
    lengths = lengths[order]
    counts = np.bincount(keys, minlength=len(species) * len(elements)).reshape(len(species), -1)
    starts = (np.cumsum(counts) - counts.ravel()).reshape(counts.shape)
    found = {}
    for one, symbol in enumerate(elements):
        atoms = np.flatnonzero(codes == one)
        for other, other_symbol in enumerate(elements):
            # Those of an atom are complete up to the last within the cutoff, so all atoms have as many.
            ranks = np.arange(min(N_DISTANCES, int(counts[atoms, other].min())))
            if len(ranks):
                pair = str(symbol), str(other_symbol)
                found[pair] = np.sort(lengths[starts[atoms, other][:, None] + ranks], axis=0)
    return found


def deviation(first: Shells, second: Shells) -> float:
    """Return by how much distances in two crystals of one reduced formula differ at most, in Å of the first.

    :return: infinity where their volumes or lengths are too different, one only has vacuum, or nothing can be compared.
    """
    if (first.volume is None) != (second.volume is None):
        return np.inf
    volumes = 1.0 if first.volume is None or second.volume is None else first.volume / second.volume
    if not (1 - SCALE) ** 3 / (1 + VOLUME) <= volumes <= (1 + SCALE) ** 3 * (1 + VOLUME):
        return np.inf
    pairs = first.distances.keys() & second.distances.keys()
    both = [_aligned(first.distances[pair], second.distances[pair]) for pair in sorted(pairs)]
    if not both:
        # Nothing within the cutoff: atoms far apart, which a cell of the same volume says enough of.
        return 0.0 if not first.distances and not second.distances and first.volume is not None else np.inf
    one, other = (np.concatenate(values) for values in zip(*both, strict=True))
    scale = float(one.sum() / other.sum())
    if abs(scale - 1) > SCALE or not 1 / (1 + VOLUME) <= volumes / scale**3 <= 1 + VOLUME:
        return np.inf
    return float(np.abs(one - scale * other).max())


def _aligned(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return as many distances of as many atoms of both; those of a smaller cell stand for several."""
    n_atoms, n_distances = lcm(len(one), len(other)), min(one.shape[1], other.shape[1])
    both = (np.repeat(values[:, :n_distances], n_atoms // len(values), axis=0).ravel() for values in (one, other))
    return next(both), next(both)


def crystal_keys(
    frame: pd.DataFrame, *, tolerance: float = TOLERANCE, progress: Callable[[int, int], None] | None = None
) -> pd.Series:
    """Return a label for the crystal of each row; rows with the same one hold the same crystal.

    Crystals that are the same as a third one are the same. The labels depend on the crystals only, not on the order of
    rows, on names and on what rows are called; for other rows beside them they may be others. It took 22 s for 31,635
    rows of eight datasets on one core; rows whose formula is there once are not compared.

    :param frame: rows of properties, of one or of several datasets; the column `material_id` (of the Materials Project)
        is a hint where it is there: with the same id crystals may differ a little more.
    :param tolerance: largest difference of distances in Å, after scaling.
    :param progress: called with how many rows are done, and out of how many.
    :return: labels such as `NaCl-1f0c2a9b61`, with the index of the frame.
    :raises ValueError: for rows of another schema, and for a tolerance that is no positive number.
    """
    _check(frame)
    if not tolerance > 0:
        raise ValueError(f'a tolerance is a positive number in Å, got {tolerance!r}')
    # Lists, for a frame of pandas takes 3 ms to give the text of a few rows.
    crystals = list(zip(*(frame[name].tolist() for name in _CRYSTAL), strict=True))
    materials = _ids(frame)
    rows_of: dict[str, list[int]] = {}
    for number, (_, species, _) in enumerate(crystals):
        rows_of.setdefault(_formula(species), []).append(number)
    labels = [''] * len(crystals)
    done = 0
    for formula, numbers in rows_of.items():
        found = _labels([crystals[number] for number in numbers], [materials[number] for number in numbers], tolerance)
        for number, label in zip(numbers, found, strict=True):
            labels[number] = f'{formula}-{label}'
        done += len(numbers)
        if progress is not None:
            progress(done, len(crystals))
    return pd.Series(labels, index=frame.index, name='crystal', dtype='str')


def formulas_of(frame: pd.DataFrame) -> pd.Series:
    """Return the reduced formula of each row of properties: crystals of other ones are never the same.

    :raises ValueError: for rows of another schema.
    """
    _check(frame)
    return pd.Series([_formula(text) for text in frame['species'].tolist()], index=frame.index, dtype='str')


def _check(frame: pd.DataFrame) -> None:
    missing = [name for name in _CRYSTAL if name not in frame]
    if missing or 'path' in frame:
        why = f'the column {missing[0]!r} is missing' if missing else 'these rows are paths in hosts'
        raise ValueError(f'crystals are compared in datasets of properties: {why}')


def _ids(frame: pd.DataFrame) -> list[str]:
    if 'material_id' not in frame:
        return [''] * len(frame)
    return [value if isinstance(value, str) else '' for value in frame['material_id'].tolist()]


def _formula(species: str) -> str:
    return reduced_formula(Counter(json.loads(species)))


def _labels(crystals: Sequence[tuple[str, ...]], materials: Sequence[str], tolerance: float) -> list[str]:
    """Return a label for each of some rows of one reduced formula.

    :param crystals: lattice, species and coordinates of each, as text.
    :param materials: id of each, empty where it has none.
    """
    hashes = [hashlib.sha256(''.join(texts).encode()).hexdigest()[:10] for texts in crystals]
    if len(set(hashes)) == 1:
        return hashes
    # In an order that does not depend on that of the rows, each crystal once with each of its ids.
    different = sorted(set(zip(hashes, materials, strict=True)))
    of_hash = dict(zip(hashes, crystals, strict=True))
    shells = {key: shells_of_row(dict(zip(_CRYSTAL, of_hash[key], strict=True))) for key in sorted(of_hash)}
    group = list(range(len(different)))
    for number, (key, material) in enumerate(different):
        for other, (other_key, other_material) in enumerate(different[:number]):
            if group[other] == group[number]:
                continue
            one_id = material != '' and material == other_material
            if key == other_key or _same(shells[key], shells[other_key], tolerance, one_id):
                group = [group[other] if value == group[number] else value for value in group]
    first: dict[int, str] = {}
    for (key, _), number in zip(different, group, strict=True):
        first.setdefault(number, key)
    label = {one: first[number] for one, number in zip(different, group, strict=True)}
    return [label[one] for one in zip(hashes, materials, strict=True)]


def _same(first: Shells, second: Shells, tolerance: float, one_id: bool) -> bool:
    limit = max(tolerance, TOLERANCE_WITH_ID) if one_id else tolerance
    if deviation(first, second) > limit:
        return False
    # Polytypes with long periods differ in nothing that is near.
    return len(first.species) == len(second.species) or first.n_primitive == second.n_primitive
