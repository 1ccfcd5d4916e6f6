"""Symmetry of a disordered crystal as it is on average: its sites told apart by what they hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import spglib
from scipy.spatial import cKDTree

from aiida_embarrier.bands.band import KIND_PROPERTIES
from aiida_embarrier.structures.symmetry import SymmetryOperation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymatgen.core import Structure

__all__ = ('SAME', 'average_operations', 'site_labels', 'site_orbits', 'site_permutations')

#: Occupancies that differ by less are the same: files give three digits, or two thirds as 0.667.
SAME = 1e-3


def site_labels(structure: Structure, only_occupancies: bool = False) -> list[int]:
    """Return a number for each site, the same where they hold the same: occupancies, oxidation states, moments, U.

    :param only_occupancies: take no notice of moments, U and oxidation states that are properties of sites.
    """
    kinds: list[tuple[dict[Any, float], tuple[Any, ...]]] = []
    labels = []
    for site in structure:
        occupancies = dict(site.species)
        properties = () if only_occupancies else tuple(site.properties.get(name) for name in KIND_PROPERTIES)
        for number, (others, other_properties) in enumerate(kinds):
            if properties == other_properties and _same(occupancies, others):
                labels.append(number)
                break
        else:
            labels.append(len(kinds))
            kinds.append((occupancies, properties))
    return labels


def _same(one: dict[Any, float], other: dict[Any, float]) -> bool:
    return one.keys() == other.keys() and all(abs(one[name] - other[name]) < SAME for name in one)


def average_operations(structure: Structure, symprec: float = 0.01) -> tuple[SymmetryOperation, ...]:
    """Return the symmetry operations of a crystal with partly occupied sites, the translations in its cell included.

    The cell is taken as it is, not reduced: a supercell has all translations of the crystal that it is made of, and
    those operations of the crystal that map the lattice of the supercell onto itself. Sites correspond where their
    occupancies, moments, oxidation states and Hubbard U are the same.

    :param symprec: how far sites may lie from where symmetry wants them, in Å.
    :raises ValueError: where spglib finds no symmetry.
    """
    dataset = _dataset(structure, symprec)
    return tuple(
        SymmetryOperation(np.asarray(rotation, dtype=int), np.asarray(translation, dtype=float))
        for rotation, translation in zip(dataset.rotations, dataset.translations, strict=True)
    )


def site_permutations(structure: Structure, sites: Sequence[int], symprec: float = 0.01) -> np.ndarray:
    """Return where the operations of :func:`average_operations` take some sites, each different permutation once.

    :param sites: indices of the sites, which symmetry does not mix with others: all that have certain occupancies.
    :returns: places in `sites`, shape (n_permutations, n_sites).
    :raises ValueError: where spglib finds no symmetry, and where what it finds is no group.
    """
    if not len(sites):
        return np.zeros((1, 0), dtype=np.int64)
    labels = np.array(site_labels(structure))[list(sites)]
    points = structure.frac_coords[list(sites)]
    tree = cKDTree(_wrapped(points), boxsize=1)
    # An operation may miss a site by a few symprec, as they add up; farther off it would be another site.
    tolerance = max(5 * symprec, 0.05)
    permutations = []
    for operation in average_operations(structure, symprec):
        images = operation.apply(points)
        _, targets = tree.query(_wrapped(images))
        differences = images - points[targets]
        missed = np.linalg.norm((differences - np.rint(differences)) @ structure.lattice.matrix, axis=1).max()
        if missed > tolerance or np.any(labels[targets] != labels) or len(set(targets.tolist())) != len(targets):
            raise ValueError(
                f'a symmetry operation misses the nearest site by {missed:.3f} Å (allowed: {tolerance:.3f} Å) or takes '
                f'two sites to one: lower symprec, which is {symprec} Å'
            )
        permutations.append(targets)
    distinct = np.unique(np.array(permutations, dtype=np.int64), axis=0)
    if not _is_group(distinct):
        raise ValueError(
            f'the symmetry operations found within symprec = {symprec} Å do not form a group, as the sites lie off '
            'their symmetric places by about that much: lower or raise symprec'
        )
    return distinct


def site_orbits(structure: Structure, symprec: float = 0.01) -> list[int]:
    """Return for each site the first site that symmetry of the average crystal makes of it."""
    return [int(first) for first in _dataset(structure, symprec).crystallographic_orbits]


def _dataset(structure: Structure, symprec: float) -> Any:
    if not (np.isfinite(symprec) and symprec > 0):
        raise ValueError(f'symprec must be a positive distance in Å, got {symprec}')
    numbers = [label + 1 for label in site_labels(structure)]
    cell = (structure.lattice.matrix.tolist(), structure.frac_coords.tolist(), numbers)
    try:
        dataset = spglib.get_symmetry_dataset(cell, symprec=symprec)
    except spglib.SpglibError:  # older versions, and those set up like them, return None instead
        dataset = None
    if dataset is None:
        raise ValueError(
            f'no symmetry was found in {structure.composition.reduced_formula} within symprec = {symprec} Å: check the '
            'structure for sites on top of each other, or lower symprec'
        )
    return dataset


def _wrapped(points: np.ndarray) -> np.ndarray:
    wrapped = points % 1.0
    return np.where(wrapped >= 1.0, 0.0, wrapped)  # a tiny negative number comes out as 1


def _is_group(permutations: np.ndarray) -> bool:
    """Return whether permutations, each there once, are closed under composition."""
    everything = {row.tobytes() for row in permutations}
    members = [np.arange(permutations.shape[1], dtype=permutations.dtype)]
    group = {members[0].tobytes()}
    generators: list[np.ndarray] = []
    for permutation in permutations:
        if permutation.tobytes() in group:
            continue
        generators.append(permutation)  # each at least doubles the group, so that there are few of them
        front = list(members)
        while front:
            made = [member[generator] for member in front for generator in generators]
            front = []
            for row in made:
                if row.tobytes() not in group:
                    group.add(row.tobytes())
                    front.append(row)
            members += front
            if len(group) > len(everything):
                return False
    return group == everything
