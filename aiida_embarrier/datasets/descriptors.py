"""Crystals of datasets as a few numbers each, by which rows are compared: what is in them, and how densely."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from aiida_embarrier.datasets.same_crystals import CUTOFF, has_vacuum

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ('COMPOSITION', 'STRUCTURE', 'crystal_descriptors', 'standardised')

#: Properties of elements, in the units of pymatgen, whose mean and standard deviation over the atoms describe a
#: composition.
PROPERTIES = ('X', 'mendeleev_no', 'row', 'group', 'atomic_mass', 'atomic_radius_calculated')
#: Descriptors of what is in a crystal.
COMPOSITION = (*(f'{kind}_{name}' for name in PROPERTIES for kind in ('mean', 'std')), 'n_elements', 'entropy')
#: Descriptors of how its atoms are packed: volume for each atom in Å³ and density in g/cm³, as logarithms (with vacuum
#: they are those of the cell as it is), whether it has vacuum, and number of atoms in the cell, as logarithm.
STRUCTURE = ('log_volume', 'log_density', 'vacuum', 'log_n_atoms')

#: Volume of a gram for an atomic mass unit in Å³: Å³ g / (cm³ u).
_DENSITY = 1.66053907


@cache
def _properties() -> Mapping[str, np.ndarray]:
    """Return the properties of all elements; the mean of the others where one is not known, such as X of He."""
    import warnings

    from pymatgen.core import Element

    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # it warns of each electronegativity that is not known
        elements = list(Element)
        table = pd.DataFrame(
            [[_number(getattr(element, name, None)) for name in PROPERTIES] for element in elements],
            index=[element.symbol for element in elements],
        )
    table = table.fillna(table.mean())
    return {str(symbol): row for symbol, row in zip(table.index, table.to_numpy(dtype=float), strict=True)}


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else float('nan')


def crystal_descriptors(frame: pd.DataFrame) -> pd.DataFrame:
    """Return numbers that describe the crystals of rows of properties, with the index of the frame.

    :return: columns :data:`COMPOSITION` and :data:`STRUCTURE`. Of a composition they are weighted means and standard
        deviations of properties of its elements, as in doi:10.1038/npjcompumats.2016.28.
    """
    # Lists, and all cells at once: row by row it took 3.5 s for 9395 rows.
    cells = np.array([json.loads(text) for text in frame['lattice'].tolist()], dtype=float).reshape(-1, 3, 3)
    volumes = np.abs(np.linalg.det(cells))
    # No gap is wider than the cell, so that the positions in small ones need not be read.
    wide = (1 / np.linalg.norm(np.linalg.inv(cells), axis=1) > CUTOFF).any(axis=1)
    known: dict[str, tuple[int, list[float]]] = {}
    rows = []
    texts = zip(frame['species'].tolist(), frame['frac_coords'].tolist(), strict=True)
    for number, (species, coords) in enumerate(texts):
        if species not in known:
            symbols = json.loads(species)
            known[species] = len(symbols), _of_composition(Counter(symbols))
        n_atoms, composition = known[species]
        volume = volumes[number] / n_atoms
        mass = composition[2 * PROPERTIES.index('atomic_mass')]
        vacuum = bool(wide[number]) and _has_vacuum(cells[number], coords)
        packing = [np.log(volume), np.log(_DENSITY * mass / volume), float(vacuum), np.log(n_atoms)]
        rows.append([*composition, *packing])
    return pd.DataFrame(rows, index=frame.index, columns=[*COMPOSITION, *STRUCTURE])


def _has_vacuum(cell: np.ndarray, coords: str) -> bool:
    positions = np.array(json.loads(coords), dtype=float).reshape(-1, 3)
    return has_vacuum(cell, positions - np.floor(positions))


def _of_composition(counts: Mapping[str, int]) -> list[float]:
    table = _properties()
    shares = np.array(list(counts.values()), dtype=float) / sum(counts.values())
    values = np.array([table[symbol] for symbol in counts])
    mean = shares @ values
    std = np.sqrt(np.maximum(shares @ (values - mean) ** 2, 0.0))
    numbers = np.column_stack([mean, std]).ravel().tolist()
    return [*numbers, float(len(counts)), float(-(shares * np.log(shares)).sum())]


def standardised(descriptors: pd.DataFrame, reference: pd.DataFrame | None = None) -> np.ndarray:
    """Return descriptors in standard deviations from their mean, both of other rows where those are given.

    Descriptors that are the same in all rows of the reference are left out.

    :param reference: with the same columns.
    :return: shape (n_rows, n_descriptors).
    """
    base = (descriptors if reference is None else reference).to_numpy(dtype=float)
    spread = base.std(axis=0)
    used = spread > 1e-9 * np.maximum(1.0, np.abs(base.mean(axis=0)))
    return (descriptors.to_numpy(dtype=float)[:, used] - base.mean(axis=0)[used]) / spread[used]
