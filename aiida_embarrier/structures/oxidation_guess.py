"""Likely oxidation states of a composition: the first guess of pymatgen, in a moment for any number of atoms.

pymatgen's `Composition.oxi_state_guesses` tries all ways to share the states of an element out among its atoms, which
takes minutes for 72 oxygen atoms and for ever for some more. Of these ways only the likeliest of each sum of charges
can be in the best guess, and those are found here atom by atom, and then element by element.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pymatgen.core import Composition, Element, Species

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ('likely_states',)

_TOLERANCE = 1e-6


def likely_states(
    composition: Composition, given: Mapping[str, float] | None = None, charge: int = 0
) -> dict[str, float] | None:
    """Return the likeliest oxidation state of each element, a mean where its atoms have several; None without any.

    The states of an element are those that crystals of the ICSD have, or else its common ones. Of all assignments that
    have the wanted charge that one is taken whose states occur most often there, summed over the atoms, as in pymatgen.

    :param composition: whole numbers of atoms.
    :param given: states that are known, by symbol.
    :param charge: what all of them sum to, in units of e.
    :raises ValueError: where the numbers of atoms are not whole.
    """
    amounts = composition.get_el_amt_dict()
    if any(abs(amount - round(amount)) > _TOLERANCE for amount in amounts.values()):
        raise ValueError(f'oxidation states are guessed for whole numbers of atoms, not for {composition.formula}')
    known = dict(given or {})
    left = charge - sum(known[symbol] * amount for symbol, amount in amounts.items() if symbol in known)
    if abs(left - round(left)) > _TOLERANCE:
        return None
    symbols = [symbol for symbol in amounts if symbol not in known]
    # Scores by sums of charges: entry k of an array belongs to the sum k + its lowest one.
    lowest, total = 0, np.zeros(1)
    tables: list[tuple[int, np.ndarray]] = []
    totals = [(lowest, total)]
    for symbol in symbols:
        states = sorted(set(Element(symbol).icsd_oxidation_states or Element(symbol).common_oxidation_states))
        if not states:
            return None
        table = _scores(symbol, states, round(amounts[symbol]))
        tables.append((states[0] * round(amounts[symbol]), table))
        lowest, total = lowest + tables[-1][0], _joined(total, table)
        totals.append((lowest, total))
    at = round(left) - lowest
    if not 0 <= at < len(total) or total[at] == -np.inf:
        return None
    found = {symbol: float(state) for symbol, state in known.items() if symbol in amounts}
    # Back from the last element to the first: which share of the sum is its own.
    for symbol, (least, table), (_, before) in zip(symbols[::-1], tables[::-1], totals[-2::-1], strict=True):
        shares = np.arange(max(0, at - len(before) + 1), min(at, len(table) - 1) + 1)
        share = int(shares[np.argmax(table[shares] + before[at - shares])])
        found[symbol] = (share + least) / amounts[symbol]
        at -= share
    return {symbol: found[symbol] for symbol in amounts}


def _scores(symbol: str, states: list[int], number: int) -> np.ndarray:
    """Return how likely some atoms of one element are at best, by the sum of their states; -inf where there is none."""
    occurrences = _occurrences()
    scores = np.zeros(1)
    for _ in range(number):
        longer = np.full(len(scores) + states[-1] - states[0], -np.inf)
        for state in states:
            part = slice(state - states[0], state - states[0] + len(scores))
            longer[part] = np.maximum(longer[part], scores + occurrences.get(Species(symbol, state), 0))
        scores = longer
    return scores


def _joined(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the best scores of the sums of two sets of atoms."""
    joined = np.full(len(one) + len(other) - 1, -np.inf)
    short, long = sorted((one, other), key=len)
    for number in np.flatnonzero(short > -np.inf):
        part = slice(number, number + len(long))
        joined[part] = np.maximum(joined[part], long + short[number])
    return joined


def _occurrences() -> Mapping[Species, float]:
    """Return how often oxidation states occur in the ICSD, which pymatgen loads when it guesses for the first time."""
    if Composition.oxi_prob is None:
        Composition('NaCl').oxi_state_guesses()
    return Composition.oxi_prob or {}
