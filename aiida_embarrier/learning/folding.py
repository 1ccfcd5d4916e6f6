"""Atoms and bonds of a crystal that a graph network cannot tell apart are computed once.

A graph network gives the same features to all atoms with the same surroundings. Which ones those are is found as the
network would find it: atoms have the colours of their elements, bonds those of their lengths, and atoms and bonds
take the colours of their neighbours into their own until no colour splits any more (colour refinement). Atoms and bonds
of one colour become one, with a count. In a primitive cell these are the orbits of the space group. Of the angles of
crystals of seven published datasets 1/2 to 1/6 are left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

import numpy as np

if TYPE_CHECKING:
    from aiida_embarrier.learning.graph import CrystalGraph

__all__ = ('TOLERANCE', 'FoldedCrystal', 'FoldedGraphs', 'colours', 'fold', 'unfolded')

#: Lengths in Å, and cosines, that differ less are the same. Coordinates with six decimals are off by up to 1e-5 Å.
TOLERANCE = 3e-5


@dataclass(frozen=True)
class FoldedCrystal:
    """A crystal in which atoms and bonds that are alike stand once. Bonds are sorted by the atom that they lead to.

    :param numbers: atomic numbers, shape (n_atoms,).
    :param counts: how many atoms each stands for, shape (n_atoms,).
    :param atoms: which of these each atom of the crystal is, shape (number of atoms of the crystal,).
    :param source: atom that each bond comes from, shape (n_bonds,).
    :param reverse: number of the bond that runs back, shape (n_bonds,).
    :param lengths: of the bonds in Å, shape (n_bonds,), float32.
    :param bond_counts: how often each bond leads to its atom, shape (n_bonds,).
    :param n_bonds: bonds into each atom, shape (n_atoms,).
    :param n_arriving: bonds into each atom, those that are alike counted, too, shape (n_atoms,).
    :param arriving: for all of these the number of their bond, ascending, shape (sum of `n_arriving`,).
    :param multiplicity: how often each is there.
    :param units: unit vectors along them, shape (sum of `n_arriving`, 3), float32.
    :param representatives: one of them for each bond, shape (n_bonds,).
    """

    numbers: np.ndarray
    counts: np.ndarray
    atoms: np.ndarray
    source: np.ndarray
    reverse: np.ndarray
    lengths: np.ndarray
    bond_counts: np.ndarray
    n_bonds: np.ndarray
    n_arriving: np.ndarray
    arriving: np.ndarray
    multiplicity: np.ndarray
    units: np.ndarray
    representatives: np.ndarray


def _clusters(values: np.ndarray, tolerance: float) -> np.ndarray:
    """Return numbers of clusters: neighbours in the order of the values are in one where they differ less."""
    order = np.argsort(values)
    numbers = np.empty(len(values), dtype=np.uint64)
    numbers[order] = np.concatenate([[0], np.cumsum(np.diff(values[order]) > tolerance)])
    return numbers


def _mixed(*keys: np.ndarray) -> np.ndarray:
    """Return a hash of each row of keys, by the steps of splitmix64 (Steele et al., OOPSLA 2014)."""
    state = np.zeros(len(keys[0]), dtype=np.uint64)
    for key in keys:
        state = (state ^ key) + np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state ^= state >> np.uint64(31)
    return state


def _degrees(graph: CrystalGraph) -> np.ndarray:
    """Return the number of bonds into each atom."""
    degrees = np.bincount(graph.target, minlength=len(graph.numbers))
    if degrees.min() == 0:
        raise ValueError(f'atom {int(degrees.argmin())} of a crystal has no bond: take a larger cutoff')
    return degrees


def colours(graph: CrystalGraph, tolerance: float = TOLERANCE) -> tuple[np.ndarray, np.ndarray]:
    """Return numbers of the colours of atoms and bonds, from 0.

    :raises ValueError: for an atom without a bond.
    """
    degrees = _degrees(graph)
    vectors = graph.vectors.astype(np.float64)
    lengths = np.linalg.norm(vectors, axis=1)
    units = vectors / lengths[:, None]
    atom_firsts = np.cumsum(degrees) - degrees
    n_beside = degrees[graph.target]
    firsts = np.cumsum(n_beside) - n_beside
    one = np.repeat(np.arange(len(lengths)), n_beside)
    other = np.arange(len(one)) - np.repeat(firsts - atom_firsts[graph.target], n_beside)
    angle_keys = _clusters(np.einsum('ij,ij->i', units[one], units[other]), tolerance)

    atoms = _mixed(graph.numbers.astype(np.uint64))
    bonds = _mixed(_clusters(lengths, tolerance), graph.multiplicity.astype(np.uint64))
    n_before = (0, 0)
    while True:
        atoms = _mixed(atoms, np.add.reduceat(_mixed(bonds, atoms[graph.source]), atom_firsts))
        around = np.add.reduceat(_mixed(bonds[other], angle_keys), firsts)
        bonds = _mixed(bonds, atoms[graph.source], atoms[graph.target], bonds[graph.reverse], around[graph.reverse])
        atom_colours, bond_colours = (np.unique(keys, return_inverse=True)[1] for keys in (atoms, bonds))
        n_now = (int(atom_colours.max()) + 1, int(bond_colours.max()) + 1)
        if n_now == n_before or n_now == (len(atoms), len(bonds)):
            return atom_colours, bond_colours
        n_before = n_now


def unfolded(graph: CrystalGraph) -> FoldedCrystal:
    """Return a crystal in which every atom and every bond stands for itself.

    :raises ValueError: for an atom without a bond.
    """
    return _folded(graph, np.arange(len(graph.numbers)), np.arange(len(graph.source)))


def fold(graph: CrystalGraph, tolerance: float = TOLERANCE) -> FoldedCrystal:
    """Return a crystal in which atoms and bonds that are alike stand once.

    :raises ValueError: for an atom without a bond.
    """
    return _folded(graph, *colours(graph, tolerance))


def _folded(graph: CrystalGraph, atom_colours: np.ndarray, bond_colours: np.ndarray) -> FoldedCrystal:
    """Return a crystal with one atom, and one bond, of each colour."""
    kept, atoms, counts = np.unique(atom_colours, return_index=True, return_inverse=True, return_counts=True)[1:]
    degrees = _degrees(graph)
    firsts = np.cumsum(degrees) - degrees
    n_arriving = degrees[kept]
    ends = np.cumsum(n_arriving)
    bonds = np.arange(ends[-1]) + np.repeat(firsts[kept] - (ends - n_arriving), n_arriving)
    owners = np.repeat(np.arange(len(kept)), n_arriving)
    order = np.lexsort((bonds, bond_colours[bonds], owners))
    bonds = bonds[order]

    found = bond_colours[bonds]
    begins = np.concatenate([[True], (found[1:] != found[:-1]) | (owners[1:] != owners[:-1])])
    arriving = np.cumsum(begins) - 1
    representatives = np.flatnonzero(begins)
    rows = np.empty(int(bond_colours.max()) + 1, dtype=np.int64)
    rows[found] = arriving
    kept_bonds = bonds[representatives]
    multiplicity = graph.multiplicity[bonds]
    vectors = graph.vectors[bonds].astype(np.float64)
    lengths = np.linalg.norm(vectors, axis=1)
    return FoldedCrystal(
        numbers=graph.numbers[kept],
        counts=counts,
        atoms=atoms,
        source=atoms[graph.source[kept_bonds]],
        reverse=rows[bond_colours[graph.reverse[kept_bonds]]],
        lengths=lengths[representatives].astype(np.float32),
        bond_counts=np.add.reduceat(multiplicity.astype(np.int64), representatives),
        n_bonds=np.bincount(owners[representatives], minlength=len(kept)),
        n_arriving=n_arriving,
        arriving=arriving,
        multiplicity=multiplicity,
        units=(vectors / lengths[:, None]).astype(np.float32),
        representatives=representatives,
    )


class FoldedGraphs(Sequence['FoldedCrystal']):
    """Graphs, folded when they are first asked for and kept: 2 to 20 kB each.

    :param graphs: of crystals.
    """

    def __init__(self, graphs: Sequence[CrystalGraph]) -> None:
        self._graphs = graphs
        self._kept: dict[int, FoldedCrystal] = {}

    def __len__(self) -> int:
        return len(self._graphs)

    @overload
    def __getitem__(self, index: int) -> FoldedCrystal: ...
    @overload
    def __getitem__(self, index: slice) -> list[FoldedCrystal]: ...
    def __getitem__(self, index: int | slice) -> FoldedCrystal | list[FoldedCrystal]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        number = range(len(self))[index]
        if number not in self._kept:
            self._kept[number] = fold(self._graphs[number])
        return self._kept[number]
