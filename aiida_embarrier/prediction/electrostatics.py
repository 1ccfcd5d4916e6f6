"""The electrostatic potential that an ion feels along its path, of formal charges by Ewald's sum."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pymatgen.core import Element
from pymatgen.optimization.neighbors import find_points_in_spheres
from scipy.special import erfc

from aiida_embarrier.structures.ionic_radii import anion_charge, cation_charge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiida_embarrier.structures.anions import Sublattices

__all__ = ('formal_charges', 'site_potentials')

#: Coulomb's constant e²/(4 pi epsilon_0) in eV Å.
COULOMB = 14.399645
#: Relative size of what both sums leave out.
ACCURACY = 1e-5
#: Where the sum over atoms ends, in Å.
REACH = 9.0


def formal_charges(species: Sequence[str], parts: Sublattices, ion: str) -> np.ndarray:
    """Return a formal charge for each atom of a host that the ion makes neutral, in units of e, shape (n,).

    Anions have closed shells, centres of polyanions, atoms of the ion's element and metals without d electrons to give
    their highest common oxidation state. Transition metals share what is left evenly; without any, all cations do.
    """
    charges = np.zeros(len(species))
    adjustable = np.zeros(len(species), dtype=bool)
    for number, symbol in enumerate(species):
        if parts.anions[number]:
            charges[number] = anion_charge(symbol)
        else:
            charges[number] = cation_charge(symbol)
            adjustable[number] = bool(parts.metals[number]) and Element(symbol).is_transition_metal
    if not adjustable.any():
        adjustable = ~parts.anions
    if not adjustable.any():
        return charges
    rest = -(charges[~adjustable].sum() + cation_charge(ion))
    own = charges[adjustable].sum()
    if own > 0:
        charges[adjustable] *= rest / own
    else:
        charges[adjustable] = rest / adjustable.sum()
    return charges


def site_potentials(lattice: np.ndarray, coords: np.ndarray, charges: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the potential of point charges in V at points, the mean over the cell being zero, shape (k,).

    P. P. Ewald, Ann. Phys. 369, 253 (1921); a cell with a charge has a uniform background.

    :param lattice: lattice vectors as rows in Å, shape (3, 3).
    :param coords: fractional coordinates of the charges, shape (n, 3).
    :param charges: in units of e, shape (n,).
    :param points: fractional coordinates, shape (k, 3); none of them at a charge.
    """
    cell = np.ascontiguousarray(lattice, dtype=float)
    volume = abs(np.linalg.det(cell))
    width = np.sqrt(-np.log(ACCURACY)) / REACH  # in 1/Å: the charges of the sum over waves are this narrow
    atoms, places = coords - np.floor(coords), points - np.floor(points)
    at, other, _, lengths = find_points_in_spheres(
        np.ascontiguousarray(atoms @ cell), np.ascontiguousarray(places @ cell), REACH, np.ones(3, np.int64), cell, 1e-8
    )
    near = np.bincount(at, charges[other] * erfc(width * lengths) / lengths, minlength=len(points))
    largest = 2 * width * np.sqrt(-np.log(ACCURACY))
    waves = 2 * np.pi * np.linalg.inv(cell).T
    limits = np.ceil(largest / (2 * np.pi) * np.linalg.norm(cell, axis=1)).astype(int)
    indices = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in limits), indexing='ij'), axis=-1).reshape(-1, 3)
    indices = indices[len(indices) // 2 + 1 :]  # of each pair k, -k one; the middle one is zero
    squares = ((indices @ waves) ** 2).sum(axis=1)
    kept = squares <= largest**2
    indices, squares = indices[kept], squares[kept]
    structure = np.exp(-2j * np.pi * (atoms @ indices.T)).T @ charges
    weights = 2 * 4 * np.pi / volume * np.exp(-squares / (4 * width**2)) / squares
    far = (np.exp(2j * np.pi * (places @ indices.T)) * (weights * structure)).real.sum(axis=1)
    background = -np.pi * charges.sum() / (volume * width**2)
    return COULOMB * (near + far + background)
