"""A cell of a disordered crystal: its partly occupied sites, what symmetry does to them, and how they can be filled."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pymatgen.core import Species, Structure

from aiida_embarrier.structures.average import site_permutations
from aiida_embarrier.structures.burnside import count_arrangements, count_distinct
from aiida_embarrier.structures.ewald import EwaldMatrix

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiida_embarrier.structures.occupancies import Contents

__all__ = ('Cell', 'OrderingCount')

#: Orderings whose charges are held at a time.
BLOCK = 2**16

#: Sites nearer than this in Å are never both filled in a real crystal, only one of them at a time.
SPLIT = 1.0


@dataclass(frozen=True, eq=False)
class OrderingCount:
    """How many orderings a cell has.

    :param n_arrangements: in how many ways its atoms can be put on its sites.
    :param n_distinct: how many of these no operation of the average crystal makes of each other.
    :param supercell: integer matrix of the cell, shape (3, 3).
    :param formula: what the cell holds.
    :param contents: for each set of sites that share their atoms its occupancies, numbers of atoms and vacancies.
    :param n_operations: in how many different ways symmetry permutes the sites of these sets.
    :param warnings: where the content had to be rounded, and sites that are too close to each other.
    """

    n_arrangements: int
    n_distinct: int
    supercell: np.ndarray
    formula: str
    contents: tuple[dict[str, Any], ...]
    n_operations: int
    warnings: tuple[str, ...] = ()


class Cell:
    """A cell of a disordered crystal: its partly occupied sites, numbered from 0, and what symmetry does to them.

    :param contents: the cell and the whole atoms in it.
    :param symprec: how far sites may lie from where symmetry wants them, in Å.
    """

    def __init__(self, contents: Contents, symprec: float) -> None:
        self.contents = contents
        self.sites = [site for entry in contents.sets for site in entry.sites]
        ends = np.cumsum([0, *(len(entry.sites) for entry in contents.sets)])
        #: Places of the sites of each set in `sites`.
        self.sets = [range(start, end) for start, end in itertools.pairwise(ends.tolist())]
        self.counts = [entry.all_counts for entry in contents.sets]
        self.permutations = site_permutations(contents.structure, self.sites, symprec)

    def count(self) -> OrderingCount:
        """Return how many orderings there are."""
        return OrderingCount(
            count_arrangements(self.counts),
            count_distinct(self.permutations, self.sets, self.counts),
            self.contents.supercell,
            self.contents.formula,
            tuple(entry.to_dict() for entry in self.contents.sets),
            len(self.permutations),
            (*self.contents.warnings, *self._close_sites()),
        )

    def energies(self, species: np.ndarray, charges: Mapping[Any, float]) -> np.ndarray:
        """Return Ewald energies of arrangements in eV; their species are those of the sets, numbered."""
        structure = self.contents.structure
        chosen = set(self.sites)
        holds = [next(iter(site.species)) for site in structure]
        fixed = np.array([0.0 if index in chosen else charges[name] for index, name in enumerate(holds)])
        tables = [np.array([*(charges[name] for name in entry.species), 0.0]) for entry in self.contents.sets]
        matrix = EwaldMatrix(structure)
        energies = np.empty(len(species))
        for start in range(0, len(species), BLOCK):
            block = species[start : start + BLOCK]
            values = np.zeros(block.shape)
            for members, table in zip(self.sets, tables, strict=True):
                values[:, members] = table[block[:, members]]
            energies[start : start + BLOCK] = matrix.energies(values, self.sites, fixed)
        return energies

    def ordered(self, species: np.ndarray, states: Mapping[Any, float] | None = None) -> Structure:
        """Return the structure of one arrangement.

        :param species: for each site the number of its species in its set.
        :param states: oxidation states that the species get, None to leave them as they are.
        """
        held: dict[int, Any] = {}
        for members, entry in zip(self.sets, self.contents.sets, strict=True):
            holds = (*entry.species, None)
            held.update({self.sites[place]: holds[species[place]] for place in members})
        average = self.contents.structure
        kept, names = [], []
        for index, site in enumerate(average):
            name = held[index] if index in held else next(iter(site.species))
            if name is not None:
                kept.append(index)
                names.append(name if states is None else Species(name.symbol, states[name]))
        properties = {key: [values[index] for index in kept] for key, values in average.site_properties.items()}
        return Structure(average.lattice, names, average.frac_coords[kept], site_properties=properties)

    def _close_sites(self) -> list[str]:
        structure, chosen = self.contents.structure, set(self.sites)
        centres, others, _, distances = structure.get_neighbor_list(SPLIT)
        close = [d for i, j, d in zip(centres, others, distances, strict=True) if i in chosen and j in chosen]
        if not close:
            return []
        return [
            f'partly occupied sites are only {min(close):.2f} Å apart: orderings that fill both are counted and '
            'enumerated as any others, and come last by their Ewald energy'
        ]
