"""Bond valences of an ion among anions."""

from __future__ import annotations

from functools import cache

import numpy as np
from pymatgen.analysis.bond_valence import BV_PARAMS
from pymatgen.core import Element

__all__ = ('bond_length', 'bond_valence_sums')

#: The universal constant of bond valences in Å: I. D. Brown and D. Altermatt, Acta Crystallogr. B 41, 244 (1985).
#: pymatgen's own sums (0.31 Å) are fitted to crystals as relaxed with PBE.
SOFTNESS = 0.37


@cache
def bond_length(cation: str, anion: str) -> float:
    """Return the length R of a bond of valence 1 in Å; NaN where a parameter is not known.

    R = r1 + r2 - r1 r2 (c1^1/2 - c2^1/2)^2 / (c1 r1 + c2 r2), of M. O'Keeffe and N. E. Brese, J. Am. Chem. Soc. 113,
    3226 (1991), with their parameters as in pymatgen.
    """
    one, other = BV_PARAMS.get(Element(cation)), BV_PARAMS.get(Element(anion))
    if one is None or other is None:
        return float('nan')
    r1, c1, r2, c2 = one['r'], one['c'], other['r'], other['c']
    return float(r1 + r2 - r1 * r2 * (c1**0.5 - c2**0.5) ** 2 / (c1 * r1 + c2 * r2))


def bond_valence_sums(ion: str, anions: np.ndarray, distances: np.ndarray) -> np.ndarray:
    """Return the sum of s = exp[(R - d) / 0.37 Å] over the anions around each point, in valence units.

    I. D. Brown and D. Altermatt, Acta Crystallogr. B 41, 244 (1985).

    :param ion: symbol of the cation.
    :param anions: symbols, shape (k, m).
    :param distances: of these anions in Å, shape (k, m); infinite where there is none.
    :returns: shape (k,); NaN where a parameter is not known.
    """
    there = np.isfinite(distances)
    lengths = np.zeros(distances.shape)
    for symbol in np.unique(anions[there]):
        lengths[there & (anions == symbol)] = bond_length(ion, str(symbol))
    valences = np.where(there, np.exp((lengths - np.where(there, distances, 0.0)) / SOFTNESS), 0.0)
    return np.asarray(valences.sum(axis=1))
