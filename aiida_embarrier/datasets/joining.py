"""Put datasets together, and labels of other tables beside the rows of a dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from aiida_embarrier.datasets.completing import complete
from aiida_embarrier.datasets.curation import Curated, check_column
from aiida_embarrier.datasets.groups import with_groups
from aiida_embarrier.datasets.importing.base import frame_of
from aiida_embarrier.datasets.schema import check_rows, columns_of

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ('join_labels', 'join_rows')

#: What a row is about or comes from beside the columns that every row has: no labels, either.
_OF_ROW = ('final_lattice', 'final_frac_coords', 'hop_length', 'origin', 'repairs')

#: Labels by the one that they follow from.
_FOLLOWING = {'structural_class': 'structural_group', 'mechanism': 'charge_state'}


def join_rows(left: pd.DataFrame, right: pd.DataFrame, duplicates: str = 'refuse') -> Curated:
    """Return the rows of two datasets of one schema; groups are labelled anew.

    :param duplicates: of rows of one name: `refuse`, or keep that of `left` or `right`.
    :raises ValueError: for two schemas, for names that are in both where those are refused, and unknown options.
    """
    schemas = ['barrier' if 'barrier' in frame else 'property' for frame in (left, right)]
    if schemas[0] != schemas[1]:
        raise ValueError(f'a {schemas[0]} and a {schemas[1]} dataset have no rows in common: join labels instead')
    if duplicates not in {'refuse', 'left', 'right'}:
        raise ValueError(f'there is no {duplicates!r} for duplicates: choose from refuse, left, right')
    both = sorted(set(left['name']) & set(right['name']))
    if both and duplicates == 'refuse':
        shown = ', '.join(both[:5]) + (', ...' if len(both) > 5 else '')
        raise ValueError(
            f'{len(both)} name(s) are in both datasets ({shown}): say whose rows to keep, left or right (--duplicates)'
        )
    dropped = pd.DataFrame({'name': both, 'reason': [f'the row of the {duplicates} dataset is kept'] * len(both)})
    if duplicates == 'left':
        right = right[~right['name'].isin(both)]
    elif duplicates == 'right':
        left = left[~left['name'].isin(both)]
    frame = frame_of(pd.concat([left, right], ignore_index=True), schemas[0])
    check_rows(frame, schemas[0])
    return Curated(with_groups(frame), dropped.astype('str'))


def join_labels(
    left: pd.DataFrame, right: pd.DataFrame, columns: Sequence[str] | None = None, *, overwrite: bool = False
) -> Curated:
    """Return a dataset with columns of another table, row by row of the same `name`.

    Defects are looked for again, and labels that follow from the ones that changed are found anew. What a row is about,
    its barrier or structure, no label may replace.

    :param right: any table with a column `name`.
    :param columns: which; None for all that the dataset has not.
    :param overwrite: whether values that are there already are replaced; else only gaps are filled.
    :raises ValueError: for columns and names that there are not, or that are there more than once, and for columns that
        are no labels.
    """
    if 'name' not in right:
        raise ValueError('the other table has no column name by which its rows are known')
    repeated = right['name'][right['name'].duplicated()]
    if len(repeated):
        raise ValueError(f'the other table has the name {repeated.iloc[0]!r} more than once')
    schema = 'barrier' if 'barrier' in left else 'property'
    fixed = {'flags', *_OF_ROW, *(name for name, column in columns_of(schema).items() if column.required)}
    wanted = [str(name) for name in right if name not in {*left, *fixed}] if columns is None else list(columns)
    for name in wanted:
        check_column(right, name)
        if name in fixed:
            why = 'flags are found anew' if name == 'flags' else 'the rows are about these'
            raise ValueError(f'the column {name!r} is no label to take from another table: {why}; leave it out')
    if not wanted:
        raise ValueError('the other table has no column that the dataset has not: name some to fill gaps')
    matched = right.set_index('name').reindex(left['name']).reset_index()
    frame = left.reset_index(drop=True)
    for name in wanted:
        new = matched[name]
        if name not in frame:
            frame[name] = new
        else:
            frame[name] = (
                new.where(new.notna(), frame[name]) if overwrite else frame[name].where(frame[name].notna(), new)
            )
    frame = frame_of(_without_stale(frame, left.reset_index(drop=True), wanted), schema)
    check_rows(frame, schema)
    completed = complete(frame.drop(columns='flags', errors='ignore'), schema)
    unmatched = sorted(set(right['name']) - set(left['name']))
    reason = 'the dataset has no row of this name'
    left_out = pd.DataFrame({'name': unmatched, 'reason': [reason] * len(unmatched)}).astype('str')
    return Curated(completed.frame, left_out, completed.notes)


def _without_stale(frame: pd.DataFrame, before: pd.DataFrame, changed: Sequence[str]) -> pd.DataFrame:
    """Return rows without the labels that followed from others which are no longer the same, to be found anew."""
    for name, label in _FOLLOWING.items():
        if name not in changed or label in changed or label not in frame:
            continue
        old = before[name] if name in before else pd.Series(None, index=frame.index, dtype=object)
        other = (frame[name].astype(object) != old.astype(object)) & frame[name].notna()
        frame[label] = frame[label].mask(other)
    return frame
