"""`BOTH-RAW-Em-*.json`: initial and final atoms of each hop, the migrating one first (MODEL-1 and MODEL-2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida_embarrier.datasets.importing.base import barrier_of, clean, read_crystal, read_rows
from aiida_embarrier.datasets.importing.five_images import name_of
from aiida_embarrier.datasets.importing.pairs import row_of_ends

if TYPE_CHECKING:
    import pandas as pd

__all__ = ('read',)


def read(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Return the rows of such a file as a table of barriers.

    :raises DatasetError: naming the row and the tag that does not fit.
    """
    return read_rows(rows, _row)


def _row(row: dict[str, Any], index: int) -> dict[str, Any]:
    name = name_of(row, index)
    initial, final = (read_crystal(row.get(tag), f'row {name}, {tag}') for tag in ('atoms_ini', 'atoms_fin'))
    labels = {'structural_class': clean(row.get('class')), 'jid': row.get('jid')}
    return row_of_ends(name, initial, final, barrier_of(row.get('target'), f'row {name}, target'), labels, mover=0)
