"""Choose rows of datasets, and the rules by which published barriers were chosen."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from aiida_embarrier.datasets.groups import with_groups
from aiida_embarrier.datasets.importing.base import frame_of
from aiida_embarrier.datasets.schema import flags_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ('RULES', 'Curated', 'check_column', 'curate_rows', 'filter_rows')

#: What a condition on a column may say beside one value or a list of them.
CONDITIONS = ('min', 'max', 'in', 'not', 'contains', 'known')

#: The rules by which the published barriers were chosen, as far as columns tell: of several rows of one path those of
#: the preferred functionals, and no row without what a calculation needs.
RULES: dict[str, Any] = {
    'same_path': ['formula', 'ion', 'space_group', 'path_label', 'charge_state'],
    'preferred_functionals': ['GGA', 'GGA+U'],
    'complete': ['functional', 'formula', 'space_group'],
    'without_flags': [],
}


@dataclass(frozen=True, eq=False)
class Curated:
    """A dataset after rows were chosen.

    :param frame: the rows that are left.
    :param left_out: `name` and `reason` of the others, in their order.
    :param notes: what could not be done as asked for, for readers.
    """

    frame: pd.DataFrame
    left_out: pd.DataFrame
    notes: tuple[str, ...] = ()


def filter_rows(frame: pd.DataFrame, conditions: Mapping[str, Any]) -> Curated:
    """Return the rows that meet all conditions; groups are labelled anew, flags and repairs are kept.

    :param conditions: by column: a value, a list of values, or a mapping with `min`, `max` (both included), `in`, `not`
        (values that are left out), `contains` (text) and `known` (whether there is a value). Of `flags`, `not` leaves
        out rows with any of some defects, `in` all others, and `known: false` every row with a defect.
    :raises ValueError: for columns and conditions that there are not, and where no row is left.
    """
    reasons: list[str | None] = [None] * len(frame)
    for column, condition in conditions.items():
        check_column(frame, column)
        met = _meets(frame, column, condition)
        text = _describe(column, condition)
        reasons = [
            reason if reason is not None or kept else text for reason, kept in zip(reasons, met.tolist(), strict=True)
        ]
    return _split(frame, reasons)


def check_column(frame: pd.DataFrame, column: str) -> None:
    """Refuse a column that a table has not, `flags` aside: it is left out where no row has any.

    :raises ValueError: naming the nearest one.
    """
    if column not in frame and column != 'flags':
        close = difflib.get_close_matches(column, list(map(str, frame)), n=1)
        hint = f'did you mean {close[0]!r}? ' if close else ''
        raise ValueError(f'there is no column {column!r}: {hint}(known: {", ".join(map(str, frame))})')


def _meets(frame: pd.DataFrame, column: str, condition: Any) -> pd.Series:
    if not isinstance(condition, dict):
        condition = {'in': condition if isinstance(condition, list) else [condition]}
    unknown = sorted(set(condition) - set(CONDITIONS))
    if unknown:
        raise ValueError(f'there is no condition {unknown[0]!r} on {column}: choose from {", ".join(CONDITIONS)}')
    if column == 'flags':
        return _meets_flags(frame, condition)
    values = frame[column]
    met = pd.Series(True, index=frame.index)
    for kind, limit in condition.items():
        if kind in {'min', 'max'}:
            if not pd.api.types.is_numeric_dtype(values):
                raise ValueError(f'the column {column!r} holds no numbers, so it has no {kind}')
            if isinstance(limit, bool) or not isinstance(limit, int | float):
                raise ValueError(f'{kind} of {column!r} is a number, not {limit!r}')
        if kind == 'min':
            met &= (values >= limit).fillna(False).astype(bool)
        elif kind == 'max':
            met &= (values <= limit).fillna(False).astype(bool)
        elif kind == 'contains':
            met &= values.astype('str').str.contains(str(limit), regex=False) & values.notna()
        elif kind == 'known':
            met &= values.notna() == bool(limit)
        else:
            listed = values.isin(_like(values, limit if isinstance(limit, list) else [limit]))
            met &= listed if kind == 'in' else ~listed
    return met


def _like(column: pd.Series, listed: Sequence[Any]) -> list[Any]:
    """Return values of a condition as the column has them: a command line tells numbers from text by their looks."""
    if pd.api.types.is_bool_dtype(column) or not pd.api.types.is_numeric_dtype(column):
        return list(listed)
    try:
        return [float(value) if isinstance(value, str) else value for value in listed]
    except ValueError as error:
        raise ValueError(f'the column {column.name!r} holds numbers: {error}') from error


def _meets_flags(frame: pd.DataFrame, condition: Mapping[str, Any]) -> pd.Series:
    from aiida_embarrier.datasets.defects import DEFECTS

    flags = [set(flags_of(row)) for row in frame.to_dict('records')]
    met = pd.Series(True, index=frame.index)
    for kind, listed in condition.items():
        if kind == 'known':
            met &= np.array([bool(row) == bool(listed) for row in flags])
            continue
        if kind not in {'in', 'not'}:
            raise ValueError(f'flags have no {kind!r}: choose from in, not, known')
        wanted = set(listed if isinstance(listed, list) else [listed])
        unknown = sorted(wanted - set(DEFECTS))
        if unknown:
            raise ValueError(f'there is no defect {unknown[0]!r}: choose from {", ".join(DEFECTS)}')
        met &= np.array([bool(row & wanted) == (kind == 'in') for row in flags])
    return met


def _describe(column: str, condition: Any) -> str:
    """Return why a row is left out that does not meet a condition; one without a value meets hardly any."""
    if not isinstance(condition, dict):
        condition = {'in': condition}
    words = {'min': 'is not at least', 'max': 'is not at most', 'in': 'is not', 'not': 'is', 'contains': 'has no'}
    texts = []
    for kind, value in condition.items():
        if kind == 'known':
            texts.append(f'{column} is {"not known" if value else "known"}')
        else:
            listed = ' or '.join(map(str, value)) if isinstance(value, list) else f'{value}'
            texts.append(f'{column} {words[kind]} {listed}')
    return ', or '.join(texts)


def _split(frame: pd.DataFrame, reasons: Sequence[str | None]) -> Curated:
    kept = pd.Series([reason is None for reason in reasons], index=frame.index, dtype=bool)
    if not kept.any():
        raise ValueError('no row meets the conditions: loosen them')
    left = pd.DataFrame(
        {'name': frame['name'][~kept].tolist(), 'reason': [reason for reason in reasons if reason is not None]}
    ).astype('str')
    rows = frame[kept].reset_index(drop=True)
    return Curated(with_groups(frame_of(rows, 'barrier' if 'barrier' in rows else 'property')), left)


def curate_rows(frame: pd.DataFrame, rules: Mapping[str, Any] | None = None) -> Curated:
    """Return the rows that the rules of the published dataset choose.

    Rows are of one path where all columns of `same_path` are known and equal. Of these the ones with a functional of
    `preferred_functionals` are kept where there are any; all of them are equally good. Rows without a value in a column
    of `complete` are left out, and rows with a defect of `without_flags`.

    Rows of computed bands have neither labels of paths nor space groups. Where a column of the rules as they are is not
    there, the rule goes without it, and a note says so; paths without labels are then told apart by the length of their
    hop, to 0.1 Å. Columns that `rules` name have to be there.

    :param rules: entries that replace those of :data:`RULES`.
    :raises ValueError: for rules and columns that there are not, and where no row is left.
    """
    unknown = sorted(set(rules or {}) - set(RULES))
    if unknown:
        raise ValueError(f'there is no rule {unknown[0]!r}: choose from {", ".join(RULES)}')
    chosen = {**RULES, **(rules or {})}
    notes = []
    for rule in sorted({'same_path', 'complete'} - set(rules or {}), reverse=True):
        missing = [name for name in RULES[rule] if name not in frame and name != 'functional']
        chosen[rule] = [name for name in RULES[rule] if name not in missing]
        notes += [f'the rule {rule} goes without {", ".join(missing)}: no row says it'] if missing else []
        if 'path_label' in missing and 'hop_length' in frame:
            chosen[rule].append('hop_length')
            notes.append('paths are told apart by the length of their hop, to 0.1 Å')
    needed = ['functional'] if chosen['preferred_functionals'] else []
    for column in (*chosen['same_path'], *chosen['complete'], *needed):
        check_column(frame, column)
    reasons: list[str | None] = []
    better = _with_preferred(frame, chosen['same_path'], chosen['preferred_functionals'])
    for index, row in enumerate(frame.to_dict('records')):
        missing = [name for name in chosen['complete'] if pd.isna(row[name])]
        flags = [flag for flag in flags_of(row) if flag in chosen['without_flags']]
        if missing:
            reasons.append(f'it does not say its {", ".join(missing)}')
        elif flags:
            reasons.append(f'it has a defect: {", ".join(flags)}')
        else:
            reasons.append(better.get(index))
    found = _split(frame, reasons)
    return Curated(found.frame, found.left_out, tuple(notes))


def _with_preferred(frame: pd.DataFrame, same_path: Sequence[str], preferred: Sequence[str]) -> dict[int, str]:
    """Return for rows, by their number, why another row of the same path is preferred."""
    found: dict[int, str] = {}
    if not same_path or not preferred:
        return found
    keys = frame[list(same_path)]
    if 'hop_length' in keys:
        keys = keys.assign(hop_length=keys['hop_length'].round(1))
    known = keys.notna().all(axis=1)
    for _, rows in frame[known].groupby([keys[name][known] for name in same_path], sort=False):
        good = rows['functional'].isin(list(preferred))
        if good.any() and not good.all():
            kept = ', '.join(rows['name'][good])
            for index, functional in rows['functional'][~good].items():
                found[int(index)] = f'{functional}, while {kept} has a preferred functional for the same path'
    return found
