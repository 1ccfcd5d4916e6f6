"""Orderings as pymatgen proposes them: its order-disorder transformation, then its structure matcher.

The transformation seeks arrangements of low Ewald energy by a branching search (`fast`; `best_first` ends with the
first ones it meets); asked for as many as there are it makes all of them. The matcher keeps one of each group of
structures that it takes for the same.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from pymatgen.core import Composition, Species, Structure

from aiida_embarrier.structures.arrangements import Arrangements
from aiida_embarrier.structures.burnside import count_arrangements

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pymatgen.analysis.structure_matcher import StructureMatcher

    from aiida_embarrier.structures.ordering_cell import Cell

__all__ = ('ALGORITHMS', 'arrangements_of_pymatgen', 'structure_matcher', 'transformed')

#: Numbers that pymatgen gives its algorithms; the one that it calls complete is not implemented there (2026.10).
ALGORITHMS = {'fast': 0, 'best_first': 2}

#: Energies of equivalent arrangements differ by rounding errors only, in eV.
SAME_ENERGY = 1e-5

#: The site property by which the sites of the structures are found again.
PLACE = 'place'


def structure_matcher() -> StructureMatcher:
    """Return the matcher that tells orderings of one cell apart.

    Its default tolerances are made for relaxed structures and take neighbouring sites of a split position for one; here
    all structures have the same sites, so that they are the same only where every atom is.
    """
    from pymatgen.analysis.structure_matcher import StructureMatcher

    return StructureMatcher(ltol=0.01, stol=0.02, angle_tol=0.5, primitive_cell=False, scale=False)


def arrangements_of_pymatgen(
    cell: Cell,
    charges: Mapping[Any, float] | None,
    algorithm: str = 'fast',
    limit: int | None = None,
    progress: Callable[[str, int, int, str], None] | None = None,
) -> tuple[Arrangements, list[str]]:
    """Return the arrangements that pymatgen proposes, one of each group that its matcher takes for the same.

    :param cell: the cell and the atoms in it.
    :param charges: charge of each species, in units of e.
    :param algorithm: `fast` or `best_first`.
    :param limit: most arrangements that are taken from the transformation.
    :param progress: called with what is done, how much of it, out of how much, and what is counted.
    :returns: the arrangements, their multiplicities being the sizes of the groups, and warnings.
    :raises ValueError: without charges, which the transformation needs, and for an unknown algorithm.
    """
    if algorithm not in ALGORITHMS:
        raise ValueError(f'unknown algorithm {algorithm!r}: choose one of {", ".join(ALGORITHMS)}')
    if charges is None:
        raise ValueError(
            "pymatgen's transformation needs oxidation states, and there are none: give those of all elements, or take "
            'the exact mode, which needs none'
        )
    n_arrangements = count_arrangements(cell.counts)
    most = n_arrangements if limit is None else min(limit, n_arrangements)
    structures = transformed(cell, charges, algorithm, most)
    matcher = structure_matcher()
    groups: list[list[Structure]] = []
    lowest = 0  # number of the first group with the energy of the structure at hand: no others can be the same
    last = -np.inf
    for number, (energy, structure) in enumerate(structures):
        if progress is not None:
            progress('matching', number, len(structures), 'structures')
        if energy - last > SAME_ENERGY:
            lowest = len(groups)
        last = energy
        group = next((group for group in groups[lowest:] if matcher.fit(group[0], structure)), None)
        if group is None:
            groups.append([structure])
        else:
            group.append(structure)
    if progress is not None:
        progress('matching', len(structures), len(structures), 'structures')
    species = np.array([_row(cell, group[0]) for group in groups], dtype=np.uint8)
    sizes = np.array([len(group) for group in groups], dtype=np.int64)
    notes = []
    if len(structures) < n_arrangements:
        notes.append(
            f'pymatgen proposed {len(structures)} of {n_arrangements} arrangements: there may be others, lower ones '
            'too, and multiplicities count only what was proposed'
        )
    return Arrangements(species.reshape(len(groups), len(cell.sites)), sizes), notes


def transformed(cell: Cell, charges: Mapping[Any, float], algorithm: str, most: int) -> list[tuple[float, Structure]]:
    """Return the structures that the transformation makes with their energies in eV, the lowest first.

    Each site has its place in the cell as a property.

    :param charges: charge of each species, in units of e.
    :param algorithm: a key of :data:`ALGORITHMS`.
    :param most: most structures that are asked for.
    """
    from pymatgen.transformations.standard_transformations import OrderDisorderedStructureTransformation

    # A species of its own for each set, by its spin: else the transformation would join sets that rounding made alike.
    def decorated(name: Any, number: int | None) -> Species:
        return Species(name.symbol, charges[name], None if number is None else number + 1)

    average = cell.contents.structure
    contents: dict[int, Composition] = {}
    for number, (members, entry) in enumerate(zip(cell.sets, cell.contents.sets, strict=True)):
        shares = {
            decorated(name, number): count / len(entry.sites)
            for name, count in zip(entry.species, entry.counts, strict=True)
            if count
        }
        contents.update({cell.sites[place]: Composition(shares) for place in members})
    empty = [index for index, held in contents.items() if not held]
    structure = Structure(
        average.lattice,
        [
            contents.get(i, Composition({decorated(next(iter(site.species)), None): 1}))
            for i, site in enumerate(average)
        ],
        average.frac_coords,
        site_properties={PLACE: list(range(len(average)))},
    )
    structure.remove_sites(empty)
    if structure.is_ordered:
        return [(0.0, structure)]
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        transformation = OrderDisorderedStructureTransformation(algo=ALGORITHMS[algorithm])
        made: Any = transformation.apply_transformation(structure, return_ranked_list=most)
    return [(float(entry['energy']), entry['structure']) for entry in made]


def _row(cell: Cell, structure: Structure) -> np.ndarray:
    """Return which species each site of a cell holds in a structure that the transformation made."""
    held = {site.properties[PLACE]: site.specie.symbol for site in structure}
    row = np.empty(len(cell.sites), dtype=np.uint8)
    for members, entry in zip(cell.sets, cell.contents.sets, strict=True):
        for place in members:
            site = cell.sites[place]
            names = [name.symbol for name in entry.species]
            row[place] = names.index(held[site]) if site in held else len(names)
    return row
