"""What the rows that judge a model share with the rows that it is trained on.

A model that has seen a sibling of a test row is tested on memory. For every row of an evaluation part the report tells
what some row of the training has in common with it, from narrow to wide: the same hop in the same host, the name
without the number of the path, the cell, the composition, the framework, the family, the set of elements.

A test row is compared with the rows that train and with those that validate, because the latter choose the model; a
validation row, and each fold, with those that train (of a fold: all other folds).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from aiida_embarrier.datasets.equivalence import TOLERANCE, equivalent_hops
from aiida_embarrier.datasets.groups import base_name, elements_of_row, framework_of_row, group_labels
from aiida_embarrier.datasets.schema import GROUPS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ('CRITERIA', 'LeakageReport', 'evaluations', 'group_column', 'leakage', 'leakage_of_each')

#: What rows may share, from narrow to wide, and what that means.
CRITERIA = {
    'equivalent_hop': 'the same path of the same ion in the same host, up to symmetry, setting and volume',
    'base_name': 'the name without the number of the path',
    'host': 'the cell: the same atoms and lattice vectors of the same lengths',
    'composition': 'the composition as the source gives it',
    'framework': 'the composition without the migrating ion, and that ion',
    'family': 'cell, name or framework, directly or through other rows, whatever the ion',
    'chemical_system': 'the set of elements',
}

#: Columns of the dataset that hold labels of a criterion.
_LABELS = {'host': 'host_group', 'framework': 'framework_group', 'family': 'family_group'}
_LABELS['chemical_system'] = 'chemsys_group'

#: By which share of the larger one the ions per host atom differ that are another content of ions.
_CONTENT = 0.2


@dataclass(frozen=True)
class LeakageReport:
    """What the evaluated rows of a split share with its training.

    :param table: one row for each evaluated row: `part` (`test`, `validation`, or `fold 0`, ...), `name`, `scenario`, a
        truth value `shares_...` for each criterion, and `nearest`, the training row that shares most.
    :param summary: `part`, `criterion`, `n_shared`, `n_rows`, `fraction`; `any` is any criterion at all.
    :param scenarios: `part`, `scenario` (A, B, C), `n_rows`.
    :param parameters: what the report depends on.
    :param notes: what could not be compared, and why.
    """

    table: pd.DataFrame
    summary: pd.DataFrame
    scenarios: pd.DataFrame
    parameters: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the counts as plain Python values, without the table of rows."""
        return {
            'summary': self.summary.to_dict('records'),
            'scenarios': self.scenarios.to_dict('records'),
            'parameters': self.parameters,
            'notes': list(self.notes),
        }


def evaluations(table: pd.DataFrame) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield each evaluation of a split: its label, the names of its rows, and those of the rows that it must not know.

    :param table: `name`, `part`, `fold`, as :func:`~aiida_embarrier.datasets.splits.split_dataset` makes it.
    """
    names, parts = table['name'], table['part']
    for part, seen in (('test', ('train', 'validation')), ('validation', ('train',))):
        if (parts == part).any():
            yield part, names[parts == part].tolist(), names[parts.isin(seen)].tolist()
    for fold in sorted(table['fold'].dropna().unique()):
        inside = (table['fold'] == fold).fillna(False).astype(bool)
        yield f'fold {fold}', names[inside].tolist(), names[~inside & (parts == 'train')].tolist()


def group_column(frame: pd.DataFrame, name: str) -> pd.Series:
    """Return the labels of groups of a dataset: a column of it, or one of the four that can be computed.

    :param name: of the column.
    :raises ValueError: where the column is not there and cannot be computed, or has gaps.
    """
    from aiida_embarrier.datasets.classes import structural_group

    if name in frame and not frame[name].isna().all():
        column = frame[name]
    elif name in GROUPS:
        column = pd.Series(group_labels(frame)[name].to_numpy(), index=frame.index)
    elif name == 'structural_group' and 'structural_class' in frame:
        column = frame['structural_class'].map(structural_group)
    else:
        raise ValueError(f'the dataset has no column {name!r} to group its rows by: add one, or choose another method')
    if column.isna().any():
        missing = frame['name'][column.isna()]
        raise ValueError(
            f'{len(missing)} row(s) have no {name}, the first of them is {missing.iloc[0]!r}: fill the column or leave '
            'these rows out'
        )
    return column.astype(str)


def leakage(
    frame: pd.DataFrame, table: pd.DataFrame, *, compare_hops: bool = True, tolerance: float = TOLERANCE
) -> LeakageReport:
    """Return what the evaluated rows of a split share with its training.

    Scenarios tell what a prediction generalises over: **A**, to another path, where the training has a row of the same
    base name; **B**, to another composition, where it has the same ion in the same host (composition without the ion)
    of the same structural class with a content of ions that differs by more than 20 %; **C**, to another chemistry, in
    all other cases. The scenarios were published without their rule; this one was inferred from what was reported.

    :param frame: the dataset.
    :param table: `name`, `part`, `fold` of each of its rows.
    :param compare_hops: whether to look for equivalent hops; for how long see
        :func:`~aiida_embarrier.datasets.splits.split_dataset`.
    :param tolerance: of equivalent hops in Å, see :func:`~aiida_embarrier.datasets.equivalence.equivalent_hops`.
    :raises ValueError: where the table names rows that the dataset has not.
    """
    return leakage_of_each(frame, [table], compare_hops=compare_hops, tolerance=tolerance)[0]


def leakage_of_each(
    frame: pd.DataFrame, tables: Sequence[pd.DataFrame], *, compare_hops: bool = True, tolerance: float = TOLERANCE
) -> list[LeakageReport]:
    """Return the reports of several splits of one dataset, whose rows are compared once.

    :param tables: as :func:`leakage` reads one of them; so are the other parameters.
    """
    for table in tables:
        unknown = set(table['name']) - set(frame['name'])
        if unknown:
            raise ValueError(
                f'the split names {min(unknown)!r}, which is no row of the dataset: split this dataset anew'
            )
    rows = frame.sort_values('name', ignore_index=True)
    labels, notes = _labels(rows, compare_hops, tolerance)
    scenario = _Scenarios(rows) if 'path' in rows else None
    parameters = {'hop_tolerance': tolerance if 'equivalent_hop' in labels else None, 'content_tolerance': _CONTENT}
    reports = []
    for table in tables:
        result = _compared(rows, table, labels, scenario)
        reports.append(LeakageReport(result, _summary(result), _count_scenarios(result), parameters, tuple(notes)))
    return reports


def _compared(
    rows: pd.DataFrame, table: pd.DataFrame, labels: dict[str, np.ndarray], scenario: _Scenarios | None
) -> pd.DataFrame:
    """Return a row for each evaluated row of a split, see :class:`LeakageReport`."""
    position = {name: number for number, name in enumerate(rows['name'])}
    found: list[dict[str, Any]] = []
    for part, judged, seen in evaluations(table):
        known = np.array(sorted(position[name] for name in seen), dtype=int)
        for name in sorted(judged):
            number = position[name]
            same = {key: codes[known] == codes[number] for key, codes in labels.items()}
            weights = np.zeros(len(known), dtype=int)
            for rank, key in enumerate(reversed(CRITERIA)):
                weights += (same[key].astype(int) << rank) if key in same else 0
            nearest = rows['name'][known[weights.argmax()]] if weights.any() else None
            found.append(
                {
                    'part': part,
                    'name': name,
                    'scenario': None if scenario is None else scenario(number, known),
                    **{f'shares_{key}': bool(which.any()) for key, which in same.items()},
                    'nearest': nearest,
                }
            )
    columns = ['part', 'name', 'scenario', *(f'shares_{key}' for key in labels), 'nearest']
    result = pd.DataFrame(found, columns=columns)
    return result.astype({name: 'bool' if name.startswith('shares_') else 'str' for name in columns})


def _labels(rows: pd.DataFrame, compare_hops: bool, tolerance: float) -> tuple[dict[str, np.ndarray], list[str]]:
    """Return a number for each row and criterion, equal where rows share it, and what could not be compared."""
    notes = []
    texts: dict[str, pd.Series] = {}
    if 'path' not in rows:
        notes.append('rows of properties have no paths: equivalent hops, base names and scenarios are left out')
    elif not compare_hops:
        notes.append('equivalent hops were not sought')
    else:
        texts['equivalent_hop'] = equivalent_hops(rows, tolerance)
    if 'path' in rows:  # elsewhere a number at the end of a name may be anything
        texts['base_name'] = rows['name'].map(base_name)
    texts['composition'] = _compositions(rows)
    texts.update({key: group_column(rows, column) for key, column in _LABELS.items()})
    return {key: pd.factorize(texts[key])[0] for key in CRITERIA if key in texts}, notes


def _compositions(rows: pd.DataFrame) -> pd.Series:
    """Return compositions as their sources give them; that of the cell where one gives none."""
    from pymatgen.core import Composition

    def of_cell(row: Any) -> str:
        return Composition(elements_of_row(row)).reduced_formula

    given = rows['formula'] if 'formula' in rows else pd.Series(None, index=rows.index, dtype=object)
    return pd.Series(
        [
            ''.join(text.split()) if isinstance(text, str) else of_cell(row)
            for text, row in zip(given, rows.to_dict('records'), strict=True)
        ],
        index=rows.index,
    )


class _Scenarios:
    """Tells of a row, by its number, what a prediction generalises over."""

    def __init__(self, rows: pd.DataFrame) -> None:
        records = rows.to_dict('records')
        ions = [row.get('ion') or '' for row in records]
        counts = [elements_of_row(row) for row in records]
        content = [count[ion] / max(1, count.total() - count[ion]) for count, ion in zip(counts, ions, strict=True)]
        kinds = next((rows[name] for name in ('structural_class', 'structural_group') if name in rows), None)
        classes = [''] * len(rows) if kinds is None else [str(kind) for kind in kinds]
        sets = [f'{framework_of_row(row)}|{ion}|{kind}' for row, ion, kind in zip(records, ions, classes, strict=True)]
        self._bases = pd.factorize(rows['name'].map(base_name))[0]
        self._sets = pd.factorize(pd.Series(sets))[0]
        self._content = np.array(content)

    def __call__(self, number: int, known: np.ndarray) -> str:
        if (self._bases[known] == self._bases[number]).any():
            return 'A'
        own, others = self._content[number], self._content[known]
        differs = np.abs(others - own) > _CONTENT * np.maximum(others, own)
        return 'B' if ((self._sets[known] == self._sets[number]) & differs).any() else 'C'


def _summary(table: pd.DataFrame) -> pd.DataFrame:
    shares = [name for name in table if name.startswith('shares_')]
    rows = []
    for part, found in table.groupby('part', sort=False):
        counts = {name.removeprefix('shares_'): int(found[name].sum()) for name in shares}
        counts['any'] = int(found[shares].any(axis=1).sum())
        rows += [(part, key, count, len(found), count / len(found)) for key, count in counts.items()]
    frame = pd.DataFrame(rows, columns=['part', 'criterion', 'n_shared', 'n_rows', 'fraction'])
    return frame.astype({'part': 'str', 'criterion': 'str', 'n_shared': int, 'n_rows': int, 'fraction': float})


def _count_scenarios(table: pd.DataFrame) -> pd.DataFrame:
    rows = [
        (part, scenario, int((found['scenario'] == scenario).sum()))
        for part, found in table.groupby('part', sort=False)
        for scenario in 'ABC'
        if found['scenario'].notna().any()
    ]
    frame = pd.DataFrame(rows, columns=['part', 'scenario', 'n_rows'])
    return frame.astype({'part': 'str', 'scenario': 'str', 'n_rows': int})
