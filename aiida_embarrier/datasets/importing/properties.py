"""The parquet files of the transfer-learning sets: a crystal and a property in each row."""

from __future__ import annotations

import json
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from aiida_embarrier.datasets.importing.base import Crystal, DatasetError, Target, check_cell, clean, frame_of
from aiida_embarrier.datasets.schema import to_json

if TYPE_CHECKING:
    import pandas as pd

__all__ = ('TARGETS', 'read')

#: What the files hold, by their names.
TARGETS = {
    'pz': Target('piezoelectric modulus eij_max', 'C/m²'),
    'dc': Target('total dielectric constant'),
    'ph': Target('last peak of the phonon density of states', '1/cm'),
    'ebg': Target('experimental band gap', 'eV'),
    'gv': Target('log10(G_VRH / GPa)'),
    'bg': Target('PBE band gap', 'eV'),
    'fe': Target('formation energy', 'eV/atom'),
    'jarvis2d': Target('OptB88vdW band gap of two-dimensional crystals, scaled to [-1, 1]'),
}

#: Columns that become ones of the schema.
_TAKEN = {'row_id', 'lattice', 'species', 'frac_coords', 'n_atoms', 'target', 'split_paper'}


def read(frame: pd.DataFrame, name: str, target: Target | None) -> tuple[pd.DataFrame, str, Target]:
    """Return such a table with the columns of the schema, its schema and its target.

    :param name: of the file, by which the target is known.
    :param target: what the numbers are, where the name does not tell.
    :raises DatasetError: naming the row that does not fit, and where the target is not known.
    """
    stem = PurePath(name).name.partition('.')[0]
    found = target or TARGETS.get(stem)
    if found is None:
        raise DatasetError(
            f'which property its numbers are cannot be told from its name: say it with --target, or call the file '
            f'{", ".join(f"{known}.parquet" for known in TARGETS)}'
        )
    missing = [key for key in ('lattice', 'frac_coords') if key not in frame]
    if missing:
        raise DatasetError(f'it has no column {missing[0]}: every row of a dataset needs a structure')
    scaled = 'target' not in frame or frame['target'].isna().all()
    column = 'target_scaled' if scaled else 'target'
    if column not in frame:
        raise DatasetError('it has neither a column target nor target_scaled')
    extra = [str(key) for key in frame if key not in _TAKEN]
    rows = [_row(row, stem, column, extra) for row in frame.to_dict('records')]
    table = frame_of(rows, 'property')
    if scaled:
        table.attrs['notes'] = ['only the scaled numbers are known: target is target_scaled']
    return table, 'property', found


def _row(row: dict[str, Any], stem: str, column: str, extra: list[str]) -> dict[str, Any]:
    name = f'{stem}-{row["row_id"]}'
    where = f'row {name}'
    if not isinstance(row['species'], str) or row['lattice'] is None or row['frac_coords'] is None:
        raise DatasetError(f'{where}: there is no structure; every row of a dataset needs one')
    try:
        crystal = Crystal(
            np.array(row['lattice'], dtype=float).reshape(3, 3),
            tuple(row['species'].split()),
            np.array(row['frac_coords'], dtype=float).reshape(-1, 3),
        )
    except ValueError as error:
        raise DatasetError(f'{where}: the structure cannot be read: {error}') from error
    check_cell(crystal, where)
    return {
        'name': name,
        'lattice': to_json(crystal.lattice),
        'species': json.dumps(list(crystal.species), separators=(',', ':')),
        'frac_coords': to_json(crystal.coords, 6),
        'n_atoms': len(crystal.species),
        'target': row[column],
        'published_split': clean(row.get('split_paper')),
        'row_id': row['row_id'],
        **{key: row[key] for key in extra},
    }
