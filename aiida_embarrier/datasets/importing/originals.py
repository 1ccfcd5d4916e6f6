"""The published originals of the property sets: tables of matminer and matbench, lists of JARVIS.

- matminer's CSV files (`piezoelectric_tensor.csv`, `dielectric_constant.csv`, ...): a row for each crystal, whose
  column `structure` holds JSON of pymatgen.
- matbench's JSON files (`matbench_phonons.json.gz`, ..., and matminer's `expt_gap_kingsbury.json.gz`): a mapping with
  `index`, `columns` and `data`; structures are mappings of pymatgen.
- JARVIS's JSON files: a list of mappings with `jid`, `atoms` and many properties.

The files themselves could not be had where this was written: what is read is what their packages document, tested with
files that were written in these forms from the prepared tables.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from aiida_embarrier.datasets.importing.base import DatasetError, Target, clean, frame_of, read_crystal
from aiida_embarrier.datasets.importing.properties import TARGETS
from aiida_embarrier.datasets.schema import to_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ('ORIGINALS', 'Original', 'as_table', 'read')


@dataclass(frozen=True)
class Original:
    """What is known of a file by its name.

    :param column: that holds the property.
    :param target: what the numbers are.
    :param tag: how names of its rows begin, followed by their number: the same as those of the prepared tables.
    """

    column: str
    target: Target
    tag: str


#: The files by their names without what follows the first dot.
ORIGINALS = {
    'piezoelectric_tensor': Original('eij_max', TARGETS['pz'], 'pz'),
    'dielectric_constant': Original('poly_total', TARGETS['dc'], 'dc'),
    'matbench_phonons': Original('last phdos peak', TARGETS['ph'], 'ph'),
    'expt_gap_kingsbury': Original('expt_gap', TARGETS['ebg'], 'ebg'),
    'matbench_log_gvrh': Original('log10(G_VRH)', TARGETS['gv'], 'gv'),
    'matbench_mp_gap': Original('gap pbe', TARGETS['bg'], 'bg'),
    'matbench_mp_e_form': Original('e_form', TARGETS['fe'], 'fe'),
    'dft_2d': Original('optb88vdw_bandgap', Target('OptB88vdW band gap of two-dimensional crystals', 'eV'), 'dft_2d'),
}

#: Columns that hold crystals, by what wrote them.
_STRUCTURES = ('structure', 'atoms')
#: Columns that hold an id of the Materials Project or of JARVIS, as it becomes a column.
_IDS = {'material_id': 'material_id', 'mpid': 'material_id', 'likely_mpid': 'material_id', 'jid': 'jid'}


def as_table(data: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return the JSON of matbench or JARVIS as a table, a column `structure` or `atoms` among its columns.

    :raises DatasetError: where columns and rows do not go together.
    """
    if not isinstance(data, dict):
        return pd.DataFrame(list(data))
    columns, rows = list(map(str, data['columns'])), data['data']
    for number, row in enumerate(rows):
        if len(row) != len(columns):
            raise DatasetError(f'row {number} has {len(row)} values for {len(columns)} columns ({", ".join(columns)})')
    return pd.DataFrame(rows, columns=columns)


def read(frame: pd.DataFrame, name: str, target: Target | None) -> tuple[pd.DataFrame, str, Target]:
    """Return such a table with the columns of the schema, its schema and its target.

    :param name: of the file, by which column and unit are known.
    :param target: what the numbers are, where the name does not tell; its name is that of the column then.
    :raises DatasetError: naming the row that does not fit, and where the property is not known.
    """
    stem = PurePath(name).name.partition('.')[0]
    known = ORIGINALS.get(stem)
    structure = next((column for column in _STRUCTURES if column in frame), None)
    if structure is None:
        raise DatasetError(f'it has no column {" or ".join(_STRUCTURES)}: every row of a dataset needs a structure')
    column = _column(frame, known, target, structure)
    found = target if target is not None else known.target if known is not None else Target(column)
    tag = stem if known is None else known.tag
    rows, missing = [], []
    for number, row in enumerate(frame.to_dict('records')):
        value = _value(row[column], f'row {tag}-{number}, {column}')
        if value is None:
            missing.append(f'{tag}-{number}')
        else:
            rows.append(_row(row, f'{tag}-{number}', number, row[structure], value))
    table = frame_of(rows, 'property')
    notes = []
    if missing:
        notes.append(f'{len(missing)} row(s) without {column} are left out, {missing[0]} the first of them')
    table.attrs['notes'] = notes
    return table, 'property', found


def _column(frame: pd.DataFrame, known: Original | None, target: Target | None, structure: str) -> str:
    if known is not None and known.column in frame:
        return known.column
    if target is not None and target.name in frame:
        return target.name
    others = [str(column) for column in frame if column not in {structure, *_IDS}]
    if known is None and target is None and len(others) == 1:
        return others[0]
    asked = known.column if known is not None else target.name if target is not None else None
    why = 'which of its columns is the property is not known' if asked is None else f'it has no column {asked!r}'
    raise DatasetError(f'{why}: name one with --target ({", ".join(others[:12])})')


def _value(value: Any, where: str) -> float | None:
    """Return a number of a file; None where it has none, which JARVIS writes as `na`."""
    if value is None or value == 'na' or (isinstance(value, float) and np.isnan(value)):
        return None
    try:
        found = float(value)
    except (TypeError, ValueError) as error:
        raise DatasetError(f'{where}: {value!r} is no number') from error
    if not np.isfinite(found):
        raise DatasetError(f'{where}: {value!r} is no finite number')
    return found


def _row(row: Mapping[str, Any], name: str, number: int, entries: Any, value: float) -> dict[str, Any]:
    where = f'row {name}'
    if isinstance(entries, str):
        try:
            entries = json.loads(entries)
        except ValueError as error:
            raise DatasetError(f'{where}: the structure is no JSON: {error}') from error
    crystal = read_crystal(entries, where)
    return {
        'name': name,
        'lattice': to_json(crystal.lattice),
        'species': json.dumps(list(crystal.species), separators=(',', ':')),
        'frac_coords': to_json(crystal.coords),
        'n_atoms': len(crystal.species),
        'target': value,
        'row_id': number,
        **{column: clean(row[key]) for key, column in _IDS.items() if key in row},
    }
