"""The features of elements that atoms start with: 92 columns of zeros and ones, as CGCNN introduced them.

Each element has a one in at most one column of each property: group, period, block, and bins of six quantities, as in
the supporting information of Xie and Grossman, Phys. Rev. Lett. 120, 145301 (2018),
doi:10.1103/PhysRevLett.120.145301. `cgcnn.csv` holds the number of this column;
`tests/benchmarks/make_element_features.py` wrote it from the table in jarvis-tools 2026.6.12, which `alignn` reads,
too. It ends with fermium. The features of an element without any are not guessed; `alignn` takes those of fermium.
"""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ('PROPERTIES', 'features', 'known')

#: Properties in the order of the columns, with the number of columns of each. Group 0 is that of lanthanides and
#: actinides; electronegativity, radius, energies and volume are in ten bins each.
PROPERTIES = {
    'group': 19,
    'period': 7,
    'electronegativity': 10,
    'covalent_radius': 10,
    'valence_electrons': 12,
    'ionisation_energy': 10,
    'electron_affinity': 10,
    'block': 4,
    'atomic_volume': 10,
}


@cache
def features() -> np.ndarray:
    """Return the features of all elements, shape (101, 92), float32, read-only; row 0 is no element, and all zeros."""
    with Path(__file__).with_name('cgcnn.csv').open(encoding='utf8', newline='') as file:
        rows = list(csv.DictReader(file))
    table = np.zeros((len(rows) + 1, sum(PROPERTIES.values())), dtype=np.float32)
    first = 0
    for name, width in PROPERTIES.items():
        for number, row in enumerate(rows, start=1):
            if row[name]:
                table[number, first + int(row[name])] = 1
        first += width
    table.setflags(write=False)
    return table


def known(numbers: ArrayLike) -> np.ndarray:
    """Return which atomic numbers have features, shape that of the numbers, bool."""
    given = np.asarray(numbers)
    return (given > 0) & (given < len(features()))
