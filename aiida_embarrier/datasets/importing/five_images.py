"""`RAW-Em-5-images-*.json`: one structure for each hop, with the ion at five places at once (MODEL-3 and MODEL-4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from aiida_embarrier.bands.geometry import minimum_image
from aiida_embarrier.datasets.importing.base import (
    Crystal,
    DatasetError,
    barrier_of,
    barrier_row,
    clean,
    read_crystal,
    read_rows,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = ('name_of', 'read')

#: Places of the ion: the first atoms of the composite, from the initial to the final one.
N_IMAGES = 5


def read(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Return the rows of such a file as a table of barriers.

    A composite tells the framework of the initial state only: that of the final state is taken to be the same.

    :raises DatasetError: naming the row and the tag that does not fit.
    """
    return read_rows(rows, _row)


def name_of(row: dict[str, Any], index: int) -> str:
    """Return the name of a row of a published file.

    :raises DatasetError: where it has none.
    """
    name = clean(row.get('sys_name'))
    if name is None:
        raise DatasetError(f'row {index} has no sys_name')
    return name


def _row(row: dict[str, Any], index: int) -> dict[str, Any]:
    name = name_of(row, index)
    composite = read_crystal(row.get('atoms'), f'row {name}, atoms')
    ions = set(composite.species[:N_IMAGES])
    if len(composite.species) <= N_IMAGES or len(ions) != 1:
        raise DatasetError(
            f'row {name}: a composite begins with {N_IMAGES} places of the ion, this one with '
            f'{" ".join(composite.species[:N_IMAGES])}'
        )
    written = composite.coords[:N_IMAGES]
    steps = minimum_image(np.diff(written, axis=0) @ composite.lattice, composite.lattice)
    path = written[0] + np.vstack([np.zeros(3), np.cumsum(steps @ np.linalg.inv(composite.lattice), axis=0)])
    rest = Crystal(composite.lattice, composite.species[N_IMAGES:], composite.coords[N_IMAGES:])
    labels = {
        'structural_class': clean(row.get('class')),
        'jid': row.get('jid'),
        'formula_composite': clean(row.get('formula')),
    }
    return barrier_row(name, rest, path, ions.pop(), barrier_of(row.get('target'), f'row {name}, target'), labels)
