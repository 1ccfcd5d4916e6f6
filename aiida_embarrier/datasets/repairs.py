"""Repairs of known defects, each on request only, and each written down in the row that it changed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from aiida_embarrier.bands.geometry import OVERLAP, minimum_image
from aiida_embarrier.datasets.classes import canonical_crystal_system, canonical_space_group, structural_group
from aiida_embarrier.datasets.defect_checks import RowGeometry
from aiida_embarrier.datasets.defects import DEFECTS, DefectReport, find_defects
from aiida_embarrier.datasets.schema import to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ('REPAIRS', 'RepairedDataset', 'check_key', 'repair')


@dataclass(frozen=True, eq=False)
class RepairedDataset:
    """A dataset after repairs.

    :param frame: its rows; repairs stand in the column `repairs`.
    :param table: `name`, `defect`, `repair`: what was done, one line for each.
    """

    frame: pd.DataFrame
    table: pd.DataFrame


def repair(frame: pd.DataFrame, which: Iterable[str], report: DefectReport | None = None) -> RepairedDataset:
    """Return a dataset with the defects of some kinds repaired where a repair is known; other rows are untouched.

    :param which: keys of :data:`REPAIRS`.
    :param report: the defects of the dataset, where they are known already.
    :raises ValueError: for a key that is no defect, or one that cannot be repaired.
    """
    wanted = list(dict.fromkeys(which))
    for key in wanted:
        check_key(key)
    schema = 'barrier' if 'barrier' in frame else 'property'
    table = (find_defects(frame, schema) if report is None else report).table
    chosen = table[table['defect'].isin(wanted) & table['repairable']]
    wrong = set(chosen['name'])
    rows = {row['name']: row for row in frame[frame['name'].isin(wrong)].to_dict('records')}
    changed: dict[str, dict[str, Any]] = {name: {} for name in rows}
    done = []
    for name, key, detail in zip(chosen['name'], chosen['defect'], chosen['detail'], strict=True):
        row = rows[name]
        text = f'{key}: {detail}: {DEFECTS[key].repair}'
        before = json.loads(row['repairs']) if isinstance(row.get('repairs'), str) else []
        changes = {**REPAIRS[key](row), 'repairs': json.dumps([*before, text], ensure_ascii=False)}
        row.update(changes)
        changed[name].update(changes)
        done.append({'name': name, 'defect': key, 'repair': text})
    columns = {'name': 'str', 'defect': 'str', 'repair': 'str'}
    return RepairedDataset(
        _with_changes(frame, changed) if done else frame.copy(),
        pd.DataFrame(done, columns=list(columns)).astype(columns),
    )


def check_key(key: str) -> None:
    """Refuse what is no repair.

    :raises ValueError: naming the ones that there are.
    """
    if key in REPAIRS:
        return
    known = ', '.join(REPAIRS)
    if key in DEFECTS:
        raise ValueError(f'{key} cannot be repaired ({DEFECTS[key].title}): choose from {known}')
    raise ValueError(f'there is no repair {key!r}: choose from {known}')


def _with_changes(frame: pd.DataFrame, changed: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Return a table with values of rows changed; columns in which nothing changes stay as they are."""
    from aiida_embarrier.datasets.importing.base import frame_of

    new = frame.copy()
    for column in dict.fromkeys(column for changes in changed.values() for column in changes):
        old = list(frame[column]) if column in frame else [None] * len(frame)
        values = [changed.get(name, {}).get(column, value) for name, value in zip(frame['name'], old, strict=True)]
        new[column] = pd.Series(values, dtype=object, index=frame.index)
    return frame_of(new, 'barrier' if 'barrier' in frame else 'property')


def _remove_coinciding(row: Mapping[str, Any]) -> dict[str, Any]:
    geometry = RowGeometry(row)
    removed = {other for _, other, _ in geometry.overlaps}  # the second of each pair: never the ion, which is first
    offset = 0
    if geometry.path is not None:
        offset = 1
        removed |= _at_the_end(geometry)
    kept = [index - offset for index in range(offset, len(geometry.species)) if index not in removed]
    changes: dict[str, Any] = {'n_atoms': len(kept) + offset}
    for key in ('species', 'frac_coords', 'final_frac_coords'):
        if isinstance(row.get(key), str):
            values = json.loads(row[key])
            changes[key] = json.dumps([values[index] for index in kept], separators=(',', ':'))
    return changes


def _at_the_end(geometry: RowGeometry) -> set[int]:
    """Return the atoms of the ion's element in the site where its path ends, and the copies of these."""
    assert geometry.path is not None
    vectors = minimum_image((geometry.coords - geometry.path[-1]) @ geometry.lattice, geometry.lattice)
    near = np.flatnonzero(np.linalg.norm(vectors, axis=1) < OVERLAP).tolist()
    found = {index for index in near if geometry.species[index] == geometry.species[0]}
    while (
        more := {atom for one, other, _ in geometry.overlaps if {one, other} & found for atom in (one, other)} - found
    ):
        found |= more
    return found - {0}


def _swap_symmetry(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        'crystal_system': canonical_crystal_system(row['space_group']),
        'space_group': canonical_space_group(row['crystal_system']),
    }


def _name_symmetry(row: Mapping[str, Any]) -> dict[str, Any]:
    names = {'crystal_system': canonical_crystal_system, 'space_group': canonical_space_group}
    return {key: usual(row[key]) for key, usual in names.items() if isinstance(row.get(key), str)}


def _name_class(row: Mapping[str, Any]) -> dict[str, Any]:
    return {'structural_class': structural_group(row['structural_class'])}


def _same_lattice(_: Mapping[str, Any]) -> dict[str, Any]:
    return {'final_lattice': None}


def _shortest_way(row: Mapping[str, Any]) -> dict[str, Any]:
    lattice, path = (np.array(json.loads(row[key]), dtype=float) for key in ('lattice', 'path'))
    hop = minimum_image((path[-1] - path[0]) @ lattice, lattice)
    new = np.linspace(path[0], path[0] + hop @ np.linalg.inv(lattice), len(path))
    return {'path': to_json(new), 'hop_length': round(float(np.linalg.norm(hop)), 5)}


#: What repairs a row with a defect: returns the values that change.
REPAIRS: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    'coinciding_atoms': _remove_coinciding,
    'swapped_symmetry': _swap_symmetry,
    'symmetry_alias': _name_symmetry,
    'class_alias': _name_class,
    'lattice_mismatch': _same_lattice,
    'unwrapped_hop': _shortest_way,
}
