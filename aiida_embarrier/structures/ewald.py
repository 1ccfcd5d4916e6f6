"""Electrostatic energies of many orderings of one cell: point charges by Ewald's sum.

The energy of charges q_i on the sites of a cell is the quadratic form sum_ij q_i q_j M_ij, whose matrix depends on the
sites alone. It is made once, with a unit charge on each site; all orderings are then one matrix product. A cell with a
charge Q has a uniform background that makes it neutral, as in pymatgen: its energy -pi Q^2 k_e / (2 V eta) belongs to
the splitting parameter eta of the sum, so that energies of cells of one content are comparable.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from pymatgen.analysis.ewald import EwaldSummation
from pymatgen.core import Composition, Species, Structure

from aiida_embarrier.structures.oxidation_guess import likely_states

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Mapping, Sequence

    from aiida_embarrier.structures.occupancies import Contents

__all__ = ('EwaldMatrix', 'find_charges')

#: Orderings whose energies are computed together: their charges take some megabytes.
BLOCK = 4096

#: Where no oxidation states make the cell neutral, those are taken that make it least charged, up to this (e).
LARGEST_CHARGE = 4


class EwaldMatrix:
    """The energies in eV of point charges on the sites of a cell.

    :param structure: the cell; what its sites hold does not matter.
    """

    def __init__(self, structure: Structure) -> None:
        unit = Structure(structure.lattice, [Species('H', 1)] * len(structure), structure.frac_coords)
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # the unit charges are no neutral cell
            ewald = EwaldSummation(unit)
            self.matrix = np.asarray(ewald.total_energy_matrix)
        # What pymatgen adds for a cell with a charge, by its square in units of e.
        self.background = -EwaldSummation.CONV_FACT * np.pi / (2 * structure.volume * ewald.eta)

    def energies(self, charges: np.ndarray, sites: Sequence[int], fixed: np.ndarray) -> np.ndarray:
        """Return the energies of orderings in eV, for the whole cell.

        :param charges: charges on some sites in units of e, shape (n_orderings, n_chosen).
        :param sites: which sites these are.
        :param fixed: charges on all sites, shape (n_sites,); those of the chosen ones do not count.
        """
        chosen = np.asarray(sites, dtype=np.int64)
        rest = np.array(fixed, dtype=float)
        rest[chosen] = 0.0
        inner = self.matrix[np.ix_(chosen, chosen)]
        linear = (self.matrix + self.matrix.T)[chosen] @ rest
        constant = rest @ self.matrix @ rest
        total = rest.sum()
        energies = np.empty(len(charges))
        for start in range(0, len(charges), BLOCK):
            block = np.asarray(charges[start : start + BLOCK], dtype=float)
            quadratic = np.einsum('ij,ij->i', block @ inner, block)
            square = (block.sum(axis=1) + total) ** 2
            energies[start : start + BLOCK] = quadratic + block @ linear + constant + self.background * square
        return energies


def find_charges(
    contents: Contents, given: Mapping[str, float] | None = None
) -> tuple[dict[Any, float] | None, str, list[str]]:
    """Return the charge of each species of a cell in units of e.

    Oxidation states that are given come first, then those in the file, then those that balance the charges of the cell
    and are the likeliest by their frequency in the ICSD, as pymatgen guesses them, or leave it least charged; a
    guess may be a mean of several states of one element, and an alloy has none.

    :param given: oxidation states by symbol.
    :returns: the charges, None where there are none; where they are from: `given`, `file`, `guess` or `none`; and
        warnings.
    :raises ValueError: where only some species have one, or one is given for an element that is not there.
    """
    charges: dict[Any, Any]
    atoms = contents.atoms()
    species = list(dict.fromkeys([*atoms, *(name for entry in contents.sets for name in entry.species)]))
    symbols = sorted({name.symbol for name in species})
    in_file: dict[Any, float] = {
        name: name.oxi_state for name in species if getattr(name, 'oxi_state', None) is not None
    }
    if given:
        unknown = sorted(set(given) - set(symbols))
        if unknown:
            raise ValueError(
                f'an oxidation state is given for {unknown[0]!r}, which is not in the crystal: it consists of '
                f'{", ".join(symbols)}'
            )
        charges = {name: given.get(name.symbol, in_file.get(name)) for name in species}
        missing = sorted({name.symbol for name in species if charges[name] is None})
        if missing:
            raise ValueError(
                f'there is no oxidation state of {", ".join(missing)}: give those of all elements, such as '
                f'{missing[0]}=2, or none for a guess'
            )
        source = 'given'
    elif len(in_file) == len(species):
        charges, source = in_file, 'file'
    else:
        guess = _guess(atoms)
        if guess is None:
            return (
                None,
                'none',
                [
                    f'no oxidation states were found for {contents.formula}: orderings are not ranked; give the states '
                    'of all elements to rank them'
                ],
            )
        charges = {name: guess.get(name.symbol, 0.0) for name in species}
        source = 'guess'
    charges = {name: float(charge) for name, charge in charges.items()}
    if not any(charges.values()):
        return None, 'none', ['all oxidation states are 0: orderings are not ranked']
    return charges, source, _imbalance(atoms, charges)


def _imbalance(atoms: Counter[Any], charges: dict[Any, float]) -> list[str]:
    total = sum(charges[name] * count for name, count in atoms.items())
    if abs(total) < 1e-4:
        return []
    return [
        f'the oxidation states of the cell sum to {total:+.3g} e: its Ewald energies are those with a uniform '
        'background that makes it neutral; check the oxidation states, or take a cell that needs no rounding'
    ]


def _guess(atoms: Counter[Any]) -> dict[str, float] | None:
    """Return likely oxidation states by symbol: of a neutral cell, else of the one with the smallest charge."""
    composition = Composition()
    for name, count in atoms.items():
        composition += Composition({name.symbol: count})
    composition = composition.reduced_composition
    # An alloy has no ions.
    if len(composition) < 2 or all(element.is_metal for element in composition.elements):
        return None
    for charge in sorted(range(-LARGEST_CHARGE, LARGEST_CHARGE + 1), key=abs):
        guess = likely_states(composition, charge=charge)
        if guess is not None and min(guess.values()) < 0 < max(guess.values()):
            return guess
    return None
