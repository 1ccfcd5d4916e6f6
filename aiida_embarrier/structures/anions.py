"""Which atoms of a crystal are anions, and which are centres of polyanions: by electronegativity and by bonds."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from ase.data import atomic_numbers, covalent_radii
from pymatgen.core import Element
from pymatgen.optimization.neighbors import find_points_in_spheres

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

__all__ = ('NONMETALS', 'Sublattices', 'electronegativity', 'sublattices')

#: Elements that can be anions. Metals are none, whatever their electronegativity: that of Ru is above that of P.
NONMETALS = frozenset(
    'H B C N O F Si P S Cl Ge As Se Br Sb Te I Bi At'.split()  # noqa: SIM905 - reads better than nineteen quotes
)
#: Nonmetals are bonded up to this many times the sum of their covalent radii (ASE's, doi:10.1039/b801115j): P-S of
#: thiophosphates, 2.05 Å, is 0.97 of it, the edges of their tetrahedra, 3.3 Å, are 1.6.
BOND = 1.2
#: Nonmetals with as many bonds to more electronegative ones give electrons away. One bond makes no cation: the carbon
#: of cyanide, bonded to one nitrogen, is an end of the anion CN-.
BONDS_OF_A_CENTRE = 2

PERIODIC = np.ones(3, dtype=np.int64)


@dataclass(frozen=True)
class Sublattices:
    """What the atoms of a host are.

    :param anions: whether an atom is an anion, shape (n,).
    :param centres: whether it is the centre of a polyanion, such as P of PO4, shape (n,).
    :param bonds: the bonds of centres, as pairs of a centre and an anion, shape (b, 2).
    :param lengths: of these bonds in Å, shape (b,).
    """

    anions: np.ndarray
    centres: np.ndarray
    bonds: np.ndarray = field(repr=False)
    lengths: np.ndarray = field(repr=False)

    @property
    def metals(self) -> np.ndarray:
        """Whether an atom is a cation that is no centre of a polyanion, shape (n,)."""
        return ~(self.anions | self.centres)


def sublattices(lattice: ArrayLike, species: Sequence[str], coords: ArrayLike) -> Sublattices:
    """Return which atoms of a host are anions and which are centres of polyanions.

    A nonmetal is an anion, unless it is bonded to two or more nonmetals that are more electronegative (hydrogen: to
    one). So S is none in SO4, but is one in Li3PS4, and so is P in MgP2Ru2. A host of metals alone has no anion.

    :param lattice: lattice vectors as rows in Å, shape (3, 3).
    :param species: symbols of its n atoms.
    :param coords: their fractional coordinates, shape (n, 3).
    """
    cell = np.ascontiguousarray(lattice, dtype=float)
    nonmetal = np.array([symbol in NONMETALS for symbol in species], dtype=bool)
    numbers = np.flatnonzero(nonmetal)
    anions, centres = nonmetal.copy(), np.zeros(len(species), dtype=bool)
    if not len(numbers):
        return Sublattices(anions, centres, np.zeros((0, 2), dtype=int), np.zeros(0))
    points = np.ascontiguousarray(_wrapped(np.asarray(coords, dtype=float)[numbers]) @ cell)
    radii = np.array([covalent_radii[atomic_numbers[species[number]]] for number in numbers.tolist()])
    first, second, _, lengths = find_points_in_spheres(points, points, 2 * BOND * radii.max(), PERIODIC, cell, 1e-8)
    bonded = (lengths > 1e-3) & (lengths < BOND * (radii[first] + radii[second]))
    first, second, lengths = numbers[first[bonded]], numbers[second[bonded]], lengths[bonded]
    strengths = np.array([electronegativity(symbol) if symbol in NONMETALS else np.nan for symbol in species])
    gives = strengths[second] > strengths[first]
    given = np.bincount(first[gives], minlength=len(species))
    needed = np.array([1 if symbol == 'H' else BONDS_OF_A_CENTRE for symbol in species])
    anions &= given < needed
    centres = nonmetal & ~anions & (given >= BONDS_OF_A_CENTRE)
    kept = centres[first] & anions[second]
    return Sublattices(anions, centres, np.column_stack([first[kept], second[kept]]), lengths[kept])


def _wrapped(coords: np.ndarray) -> np.ndarray:
    return coords - np.floor(coords)


@cache
def electronegativity(symbol: str) -> float:
    """Return the electronegativity of an element after Pauling; NaN where pymatgen knows none."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # it warns of each that is not known
        return float(Element(symbol).X)
