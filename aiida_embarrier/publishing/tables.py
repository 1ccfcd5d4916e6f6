"""The table of a publication as a file that gives every number back exactly: CSV, or parquet."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from aiida_embarrier.datasets.tables import read_parquet, write_parquet
from aiida_embarrier.publishing.numbers import COLUMNS, NUMBERS

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

__all__ = ('ATTRIBUTE_DIGITS', 'SHOWN', 'check_suffix', 'differences', 'read_numbers', 'write_numbers')

#: Columns that other processors and libraries may round otherwise in the last digit, with the relative difference that
#: passes. Barriers are differences of two numbers, which all compute alike.
TOLERANCES = {'hop_length': 1e-12}
#: Relative difference of numbers that AiiDA keeps with 14 digits.
ATTRIBUTE_DIGITS = 1e-13
#: So many differences are spelt out.
SHOWN = 5


def check_suffix(path: Path) -> None:
    """Check that the name of a table says its format.

    :raises ValueError: for other suffixes than .csv and .parquet.
    """
    if path.suffix not in {'.csv', '.parquet'}:
        raise ValueError(f'{path} ends in none of .csv, .parquet: the suffix of a table says its format')


def write_numbers(frame: pd.DataFrame, path: Path) -> None:
    """Write the table, by its suffix as CSV (numbers with all their digits) or as parquet."""
    check_suffix(path)
    if path.suffix == '.parquet':
        path.write_bytes(write_parquet(frame))
    else:
        frame.to_csv(path, index=False)


def read_numbers(path: Path) -> pd.DataFrame:
    """Read a table that :func:`write_numbers` wrote.

    :raises ValueError: where it is none.
    """
    import pandas as pd

    check_suffix(path)
    if not path.is_file():
        raise ValueError(f'there is no table {path}: name it with --table')
    try:
        if path.suffix == '.parquet':
            frame = read_parquet(path.read_bytes())
        else:
            # an empty field is a missing value, and nothing else is: NaN is the formula of sodium nitride
            frame = pd.read_csv(path, dtype='string', keep_default_na=False, na_values=[''], encoding='utf8')
        missing = [name for name in COLUMNS if name not in frame]
        if missing:
            raise ValueError(f'it has no column {missing[0]!r}')
        if path.suffix == '.csv':
            return pd.DataFrame({column.name: _typed(frame[column.name], column.dtype) for column in NUMBERS})
        return frame[list(COLUMNS)].astype({column.name: column.dtype for column in NUMBERS})
    except (ValueError, KeyError, OSError, TypeError) as error:
        raise ValueError(f'{path} is not the table of a publication: {str(error).splitlines()[0]}') from error


def _typed(column: pd.Series, dtype: str) -> Any:
    """Return a column of text with its type; Python reads all digits of a number, whatever pandas does."""
    import pandas as pd

    readers: dict[str, Any] = {'Float64': float, 'Int64': int, 'boolean': {'True': True, 'False': False}.__getitem__}
    read = readers.get(dtype, str)
    return pd.array([pd.NA if pd.isna(text) else read(text) for text in column], dtype=dtype)


def differences(table: pd.DataFrame, computed: pd.DataFrame, what: str, tolerance: float = 0.0) -> list[str]:
    """Return in words how a table differs from what was computed again, rows by their UUIDs.

    :param computed: the second table; columns that it does not have are not compared.
    :param what: where the second table comes from.
    :param tolerance: relative difference of numbers that passes; some may differ a little anyway.
    """
    found = []
    repeated = table['uuid'][table['uuid'].duplicated()]
    if len(repeated):
        found.append(f'the table has {repeated.iloc[0]} more than once')
    given, again = (frame.drop_duplicates('uuid').set_index('uuid') for frame in (table, computed))
    for first, second, words in (
        (given, again, 'is in the table, but not among what was published'),
        (again, given, 'was published, but is not in the table'),
    ):
        found += [f'{uuid} {words}' for uuid in first.index.difference(second.index)]
    shared = given.index.intersection(again.index)
    for name in given.columns.intersection(again.columns):
        pairs = zip(shared, given.loc[shared, name], again.loc[shared, name], strict=True)
        for uuid, old, new in pairs:
            if not _same(old, new, max(tolerance, TOLERANCES.get(name, 0.0))):
                found.append(f'{name} of {uuid} is {_text(old)} in the table, and {_text(new)} from {what}')
    return found


def _same(old: Any, new: Any, tolerance: float) -> bool:
    import pandas as pd

    if pd.isna(old) or pd.isna(new):
        return bool(pd.isna(old) and pd.isna(new))
    if tolerance and isinstance(old, float):
        return math.isclose(old, new, rel_tol=tolerance)
    return bool(old == new)


def _text(value: Any) -> str:
    import pandas as pd

    if pd.isna(value):
        return 'nothing'
    return repr(float(value)) if isinstance(value, float) else str(value)
