"""Fill in the labels that follow from the structures of a dataset, mark its defects, and repair what was asked for."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from aiida_embarrier.datasets.classes import structural_group
from aiida_embarrier.datasets.defects import DefectReport, find_defects, with_flags
from aiida_embarrier.datasets.groups import (
    elements_of_row,
    framework_of_row,
    group_labels,
    reduced_formula,
    regrouped,
    with_groups,
)
from aiida_embarrier.datasets.importing.base import frame_of
from aiida_embarrier.datasets.repairs import repair
from aiida_embarrier.datasets.schema import GROUPS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from aiida_embarrier.datasets.repairs import RepairedDataset

__all__ = ('Completed', 'charge_state', 'complete', 'endpoint_symmetry', 'with_labels')

#: How far sites may lie from where symmetry wants them, in Å, for the label `endpoint_symmetry`.
SYMPREC = 0.03


#: Labels that follow from the atoms of a row.
_OF_STRUCTURE = ('host', 'charge_state', 'endpoint_symmetry')


@dataclass(frozen=True, eq=False)
class Completed:
    """A dataset with its labels, its defects marked.

    :param frame: its rows.
    :param found: the defects before repairs.
    :param left: the defects that are left, those in the column `flags`.
    :param repairs: `name`, `defect`, `repair`: what was repaired.
    :param notes: what readers should know of labels that were there already.
    """

    frame: pd.DataFrame
    found: DefectReport
    left: DefectReport
    repairs: pd.DataFrame
    notes: tuple[str, ...] = ()

    def summary(self) -> dict[str, Any]:
        """Return numbers of rows: all, flagged, with each defect found and left, and with each repair."""
        return {
            'n_rows': len(self.frame),
            'n_flagged': int(self.left.table['name'].nunique()),
            'found': self.found.counts,
            'flags': self.left.counts,
            'repairs': {str(key): int(count) for key, count in self.repairs['defect'].value_counts(sort=False).items()},
        }


def complete(
    frame: pd.DataFrame,
    schema: str,
    repairs: Sequence[str] = (),
    progress: Callable[[str, int, int], None] | None = None,
) -> Completed:
    """Return a dataset with labels, groups, flags and the repairs that were asked for, and what was found and done.

    Labels that are there are kept, those of groups included, and only gaps filled; flags are always found anew.

    :param repairs: keys of defects to repair, see :data:`~aiida_embarrier.datasets.repairs.REPAIRS`.
    :param progress: called with what is being done, how many rows of it are done, and out of how many.
    :raises ValueError: for repairs that there are not.
    """
    given = frame
    frame = with_labels(frame, schema, progress)
    found = find_defects(frame, schema, progress)
    repaired = repair(frame, repairs, found)
    left = found
    if len(repaired.table):
        frame = with_labels(_without_stale_labels(repaired), schema)
        left = _again(frame, schema, found, set(repaired.table['name']))
    notes = (*_notes_on_groups(given), *_notes_on_flags(given, found))
    return Completed(with_groups(with_flags(frame, left), keep=True), found, left, repaired.table, notes)


def _notes_on_groups(given: pd.DataFrame) -> list[str]:
    if not set(GROUPS) & set(given):
        return []
    return [
        f'{name}: the labels that {count} of {len(given)} rows were given are kept, although structures and names make '
        'other groups; leave the column out to have them found'
        for name, count in regrouped(given, group_labels(given)).items()
    ]


def _notes_on_flags(given: pd.DataFrame, found: DefectReport) -> list[str]:
    if 'flags' not in given:
        return []
    rows = zip(given['name'], given['flags'], strict=True)
    other = [name for name, text in rows if pd.notna(text) and set(_keys(text)) != set(found.flags.get(name, []))]
    if not other:
        return []
    return [f'flags: found anew, as always; {len(other)} row(s) were given other ones, {other[0]} the first of them']


def _keys(text: str) -> list[str]:
    """Return the defects in a column of flags; those of others may be no JSON."""
    try:
        keys = json.loads(text)
    except ValueError:
        keys = [text]
    return [str(key) for key in keys] if isinstance(keys, list) else [str(keys)]


def _without_stale_labels(repaired: RepairedDataset) -> pd.DataFrame:
    """Return repaired rows without the labels that follow from a structure where atoms were removed from it.

    Those of groups are among them: with other atoms the row may be of another host.
    """
    table = repaired.table
    changed = repaired.frame['name'].isin(table['name'][table['defect'] == 'coinciding_atoms'])
    labels = [name for name in (*_OF_STRUCTURE, *GROUPS) if name in repaired.frame]
    return repaired.frame.assign(**{name: repaired.frame[name].mask(changed) for name in labels})


def _again(frame: pd.DataFrame, schema: str, before: DefectReport, names: set[str]) -> DefectReport:
    """Return the defects after repairs of some rows: those of the others are known."""
    others = before.table[~before.table['name'].isin(names)]
    anew = find_defects(frame[frame['name'].isin(names)], schema).table
    order = {name: number for number, name in enumerate(frame['name'])}
    table = pd.concat([others, anew]).sort_values('name', key=lambda names: names.map(order), kind='stable')
    return DefectReport(table.reset_index(drop=True))


def with_labels(
    frame: pd.DataFrame, schema: str, progress: Callable[[str, int, int], None] | None = None
) -> pd.DataFrame:
    """Return a dataset with the labels that follow from its structures; labels that are there already are kept.

    :param progress: called with what is being done, how many rows of it are done, and out of how many.
    """
    labels_of = _barrier_labels if schema == 'barrier' else _property_labels
    found: dict[str, list[Any]] = {}
    for number, row in enumerate(frame.to_dict('records')):
        for key, value in labels_of(row).items():
            given = row.get(key)
            known = given is not None and not pd.isna(given)
            found.setdefault(key, []).append(given if known else value() if callable(value) else value)
        if progress is not None:
            progress('labels', number + 1, len(frame))
    # Only these columns are made anew: others keep their types, whatever these are.
    return frame_of(frame.assign(**{key: pd.Series(values, dtype=object) for key, values in found.items()}), schema)


def _property_labels(row: Mapping[str, Any]) -> dict[str, Any]:
    return {'formula': lambda: reduced_formula(elements_of_row(row))}


def _barrier_labels(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        'formula': lambda: reduced_formula(elements_of_row(row)),
        'host': framework_of_row(row) or None,
        'hop_length': lambda: hop_length(row),
        'charge_state': charge_state(row),
        'structural_group': structural_group(row.get('structural_class')),
        'endpoint_symmetry': lambda: endpoint_symmetry(row),
    }


def hop_length(row: Mapping[str, Any]) -> float:
    """Return the distance between the ends of the path of a row, as written, in Å."""
    path = np.array(json.loads(row['path']))
    return round(float(np.linalg.norm((path[-1] - path[0]) @ np.array(json.loads(row['lattice'])))), 5)


def charge_state(row: Mapping[str, Any]) -> str:
    """Return `charged` for a row with a single atom of the migrating element, else `discharged`.

    A hop into a vacancy is one of a host that is filled otherwise, however few atoms a small cell has left.
    """
    if row.get('mechanism') == 'vacancy':
        return 'discharged'
    return 'charged' if elements_of_row(row)[row['ion']] == 1 else 'discharged'


def endpoint_symmetry(row: Mapping[str, Any]) -> str:
    """Return whether the stored final state of a row holds: whether the symmetry of an unrelaxed crystal is there.

    The number of symmetry operations of the framework without the migrating ion, or with it at both ends of its path,
    whichever is larger, translations inside the cell included: 8 and more are `symmetric` (the final state is the
    framework with the ion at the end of its path), 3 to 7 `ambiguous`, fewer `low_symmetry`: the structure was relaxed
    around the ion, so that the other atoms of the true final state lie elsewhere.
    """
    species = json.loads(row['species'])
    coords, path = json.loads(row['frac_coords']), json.loads(row['path'])
    lattice = json.loads(row['lattice'])
    most = max(
        _operations(lattice, coords, species),
        _operations(lattice, [path[0], path[-1], *coords], [row['ion'], row['ion'], *species]),
    )
    return 'symmetric' if most >= 8 else 'ambiguous' if most >= 3 else 'low_symmetry'


def _operations(lattice: list[Any], coords: list[Any], species: list[str]) -> int:
    """Return the number of symmetry operations of a crystal; 0 where spglib finds none, as for atoms in one place."""
    import spglib

    numbers = {symbol: number for number, symbol in enumerate(sorted(Counter(species)), start=1)}
    try:
        found = spglib.get_symmetry((lattice, coords, [numbers[symbol] for symbol in species]), symprec=SYMPREC)
    except spglib.SpglibError:
        return 0
    return 0 if found is None else len(found['rotations'])
