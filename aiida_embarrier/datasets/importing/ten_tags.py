"""`EM-COMPLETE-DATASET.json` of the data repository: ten tags for each hop, initial and final structure among them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida_embarrier.datasets.classes import CRYSTAL_SYSTEMS, canonical_crystal_system
from aiida_embarrier.datasets.importing.base import barrier_of, clean, read_crystal, read_rows
from aiida_embarrier.datasets.importing.five_images import name_of
from aiida_embarrier.datasets.importing.pairs import row_of_ends

if TYPE_CHECKING:
    import pandas as pd

__all__ = ('read',)


def read(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Return the rows of such a file as a table of barriers.

    The structures are mappings of pymatgen or of JARVIS. Whether `crystal_class` holds crystal systems or structural
    classes its description does not tell: it is what most of its values are.

    :raises DatasetError: naming the row and the tag that does not fit.
    """
    classes = [canonical_crystal_system(clean(row.get('crystal_class'))) for row in rows]
    systems = sum(label in CRYSTAL_SYSTEMS for label in classes) > len(rows) / 2
    column = 'crystal_system' if systems else 'structural_class'
    return read_rows(rows, lambda row, index: _row(row, index, column))


def _row(row: dict[str, Any], index: int, class_column: str) -> dict[str, Any]:
    name = name_of(row, index)
    initial, final = (read_crystal(row.get(tag), f'row {name}, {tag}') for tag in ('structure_ini', 'structure_fin'))
    labels = {
        'formula': clean(row.get('formula')),
        class_column: clean(row.get('crystal_class')),
        'space_group': clean(row.get('space_group')),
        'functional': clean(row.get('XC')),
        'source': clean(row.get('bibtex')),
        'jid': row.get('jid'),
    }
    return row_of_ends(name, initial, final, barrier_of(row.get('target'), f'row {name}, target'), labels)
