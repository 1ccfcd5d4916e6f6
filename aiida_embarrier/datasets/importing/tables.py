"""Tables with the columns of a schema of this package, from CSV or parquet."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from aiida_embarrier.datasets.importing.base import (
    BARRIER_TARGET,
    Crystal,
    DatasetError,
    Target,
    check_cell,
    check_ion,
    frame_of,
)
from aiida_embarrier.datasets.schema import columns_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ('read',)


def read(frame: pd.DataFrame, _name: str, target: Target | None) -> tuple[pd.DataFrame, str, Target]:
    """Return such a table, its schema (`barrier` where it has barriers or paths of an ion) and its target.

    :param target: of a dataset of properties; None for the one that the table was written with, if any.
    :raises DatasetError: naming the column or row that does not fit.
    """
    has_paths = {'path', 'ion'} <= set(frame.columns) and 'target' not in frame
    schema = 'barrier' if 'barrier' in frame or has_paths else 'property'
    needed = [key for key, column in columns_of(schema).items() if column.required and key != 'barrier']
    missing = [key for key in needed if key not in frame]
    if missing:
        raise DatasetError(
            f'a {schema} dataset needs the column {missing[0]!r}: {columns_of(schema)[missing[0]].meaning}'
        )
    found = BARRIER_TARGET if schema == 'barrier' else target or Target.of_table(frame)
    table = frame_of(frame, schema)
    for row in table.to_dict('records'):
        _check_row(row, schema)
    return table, schema, found


def _check_row(row: dict[str, Any], schema: str) -> None:
    where = f'row {row.get("name")}'
    needed = ('lattice', 'species', 'frac_coords', *(['path'] if schema == 'barrier' else []))
    # A column without any value is no longer there.
    if missing := [key for key in needed if row.get(key) is None or row[key] != row[key] or row[key] == '']:
        what = 'path' if missing == ['path'] else 'structure'
        raise DatasetError(f'{where} has no {what}: nothing stands in {", ".join(missing)}')
    try:
        values = {key: json.loads(row[key]) for key in ('lattice', 'species', 'frac_coords')}
        coords = np.array(values['frac_coords'], dtype=float).reshape(-1, 3)
        crystal = Crystal(np.array(values['lattice'], dtype=float), tuple(values['species']), coords)
        path = np.array(json.loads(row['path']), dtype=float) if 'path' in row else None
    except (TypeError, ValueError) as error:
        raise DatasetError(f'{where}: lattice, species, frac_coords and path are JSON: {error}') from error
    check_cell(crystal, where)
    if path is not None:
        check_ion(row.get('ion'), where)
        _check_final(row, crystal, where)
    if path is not None and (path.ndim != 2 or path.shape[1] != 3 or len(path) < 2 or not np.all(np.isfinite(path))):
        raise DatasetError(
            f'{where}: a path is two or more positions of three numbers, this one has shape {path.shape}'
        )
    n_atoms = len(crystal.species) + (path is not None)
    if row['n_atoms'] != n_atoms:
        raise DatasetError(f'{where}: n_atoms is {row["n_atoms"]}, its species are {n_atoms}')


def _check_final(row: dict[str, Any], initial: Crystal, where: str) -> None:
    """Refuse a final state that is none of the atoms of the initial one."""
    own = {key: row[key] for key in ('final_lattice', 'final_frac_coords') if isinstance(row.get(key), str)}
    try:
        values = {key: np.array(json.loads(text), dtype=float) for key, text in own.items()}
    except (TypeError, ValueError) as error:
        raise DatasetError(f'{where}: {" and ".join(own)} are JSON: {error}') from error
    final = Crystal(
        values.get('final_lattice', initial.lattice), initial.species, values.get('final_frac_coords', initial.coords)
    )
    check_cell(final, f'{where}, final state')
