"""The parts of a split, as a table says them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

__all__ = ('LEARNED_PARTS', 'PARTS', 'check_parts')

#: Parts that models learn from or are judged by.
LEARNED_PARTS = ('train', 'validation', 'test')
#: Parts of a split; rows that are `excluded` or `unused` are used for nothing.
PARTS = (*LEARNED_PARTS, 'excluded', 'unused')


def check_parts(split: pd.DataFrame, what: str) -> None:
    """Check that a table is a split.

    :param what: the table in words, for messages.
    :raises ValueError: for a table without `name` and `part`, with a row in two parts, or with parts that nobody knows,
        which would be left out in silence.
    """
    missing = [name for name in ('name', 'part') if name not in split]
    if missing:
        raise ValueError(
            f'{what} is no split: it has no column {missing[0]!r}; `aiida-embarrier dataset split -o` writes one'
        )
    repeated = split['name'][split['name'].duplicated()]
    if len(repeated):
        raise ValueError(f'{what} names {repeated.iloc[0]!r} more than once: a row belongs to one part')
    unknown = sorted(set(split['part'].dropna()) - set(PARTS), key=str)
    if unknown:
        raise ValueError(f'{what} has the part {unknown[0]!r}, which is none of {", ".join(PARTS)}')
