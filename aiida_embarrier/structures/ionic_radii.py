"""Usual charges of ions, and Shannon's radii at any coordination number."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from pymatgen.core import Element

from aiida_embarrier.structures.anions import NONMETALS

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ('anion_charge', 'anion_radius', 'cation_charge', 'shannon_radius')

_ROMAN = {'I': 1, 'II': 2, 'III': 3, 'IV': 4, 'V': 5, 'VI': 6, 'VII': 7, 'VIII': 8, 'IX': 9, 'X': 10, 'XI': 11}
_ROMAN |= {'XII': 12, 'XIV': 14}
#: Electrons of a closed shell, as the number of the group that has it.
_NOBLE = 18


@cache
def cation_charge(symbol: str) -> int:
    """Return the usual charge of an element as a migrating ion: its highest common oxidation state, 1 without any."""
    return max((state for state in Element(symbol).common_oxidation_states if state > 0), default=1)


@cache
def anion_charge(symbol: str) -> int:
    """Return the charge of a nonmetal with a closed shell, such as -2 of O; -1 of H.

    :raises ValueError: for an element that is no anion.
    """
    if symbol not in NONMETALS:
        raise ValueError(f'{symbol} is no anion: anions are {", ".join(sorted(NONMETALS))}')
    return -1 if symbol == 'H' else int(Element(symbol).group) - _NOBLE


def shannon_radius(symbol: str, charge: float, coordination: ArrayLike = 6.0) -> np.ndarray:
    """Return ionic radii in Å at coordination numbers, which may be broken; NaN where Shannon has none.

    Between coordination numbers of the table radii are interpolated, beyond them they stay. Of states the nearest one
    is taken, of spins the high one.

    R. D. Shannon, Acta Crystallogr. A 32, 751 (1976), ionic radii, as in pymatgen.

    :param charge: of the ion in units of e; its state is the nearest one of the same sign.
    :param coordination: coordination numbers, any shape.
    :returns: of the shape of `coordination`.
    """
    numbers, radii = _table(symbol, charge)
    wanted = np.asarray(coordination, dtype=float)
    if not len(numbers):
        return np.full(wanted.shape, np.nan)
    return np.asarray(np.interp(wanted, numbers, radii))


def anion_radius(symbol: str) -> float:
    """Return the radius of an anion in Å, six-fold coordinated as Shannon lists most; NaN where he has none (P, C)."""
    return float(shannon_radius(symbol, anion_charge(symbol), 6.0))


@cache
def _table(symbol: str, charge: float) -> tuple[np.ndarray, np.ndarray]:
    """Return coordination numbers that are listed for an ion, in ascending order, and its radii."""
    states = {int(state): radii for state, radii in (Element(symbol).data.get('Shannon radii') or {}).items()}
    states = {state: radii for state, radii in states.items() if state * charge > 0}
    if not states:
        return np.zeros(0), np.zeros(0)
    radii = states[min(states, key=lambda state: (abs(state - charge), state))]
    found = {}
    for name, spins in radii.items():
        if name in _ROMAN:  # planar and pyramidal ones are left out
            entry = spins.get('High Spin') or spins.get('') or next(iter(spins.values()))
            found[_ROMAN[name]] = float(entry['ionic_radius'])
    numbers = sorted(found)
    return np.array(numbers, dtype=float), np.array([found[number] for number in numbers])
