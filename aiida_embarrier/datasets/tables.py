"""Tables as parquet files that give back exactly what was put in, with a hash of what they hold.

The bytes of a parquet file depend on the version of the library that wrote it. What a table *is* are its columns in
their order, each with its name, its type and its values: :func:`content_hash` depends on nothing else.
"""

from __future__ import annotations

import hashlib
import io
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ('ABOUT', 'check_table', 'column_type', 'content_hash', 'read_parquet', 'write_parquet')

#: Key in the `attrs` of a table.
ABOUT = 'about'

_MISSING, _PRESENT = b'\x00', b'\x01'


def column_type(column: pd.Series) -> str | None:
    """Return the type of a column by a name that does not depend on the version of pandas; None for mixed objects.

    Text is `string`, whatever pandas keeps it in; other types have the names that pandas gives them: `float64`,
    `Int64` (with missing values), `bool`, `category`, `datetime64[us, UTC]`.
    """
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return 'category'
    if isinstance(dtype, pd.StringDtype):
        return 'string'
    if pd.api.types.is_object_dtype(dtype):
        known = column[column.notna()]
        return 'string' if len(known) and all(isinstance(value, str) for value in known) else None
    if pd.api.types.is_bool_dtype(dtype) or pd.api.types.is_numeric_dtype(dtype):
        return None if pd.api.types.is_complex_dtype(dtype) else str(dtype)
    if pd.api.types.is_datetime64_any_dtype(dtype) or pd.api.types.is_timedelta64_dtype(dtype):
        return str(dtype)
    return None


def check_table(frame: pd.DataFrame, units: Mapping[str, str] | None = None) -> None:
    """Check that a table can be written and read back as it is.

    :param units: units of columns by their names.
    :raises TypeError: for what is no DataFrame.
    :raises ValueError: for an index with a meaning, for names of columns that are no text or not unique, for columns
        that hold objects, and for units of columns that are not there.
    """
    if not isinstance(frame, pd.DataFrame):
        raise TypeError(f'a table is a pandas DataFrame, got {type(frame).__name__}')
    names = list(frame.columns)
    if not names:
        raise ValueError('a table has at least one column')
    wrong = [name for name in names if not isinstance(name, str) or not name]
    if wrong:
        raise ValueError(f'the name of a column is text, got {wrong[0]!r}: rename it with `frame.rename(columns=...)`')
    repeated = [name for number, name in enumerate(names) if name in names[:number]]
    if repeated:
        raise ValueError(f'the column {repeated[0]!r} is there more than once: rename one of them')
    index = frame.index
    plain = isinstance(index, pd.RangeIndex) and (index.start, index.step) == (0, 1) and index.name is None
    if not plain:
        raise ValueError(
            'the rows of a table are numbered from 0: make a column of the index with `frame.reset_index()`, or drop '
            'it with `frame.reset_index(drop=True)`'
        )
    for name in names:
        if column_type(frame[name]) is None:
            raise ValueError(_why_not(name, frame[name]))
    unknown = [name for name in units or {} if name not in names]
    if unknown:
        raise ValueError(f'a unit is given for {unknown[0]!r}, which is no column: choose from {", ".join(names)}')


def _why_not(name: str, column: pd.Series) -> str:
    kinds = sorted({type(value).__name__ for value in column[column.notna()]})
    if not kinds and pd.api.types.is_object_dtype(column.dtype):
        return f"the column {name!r} holds nothing, so its type is unknown: give it one, for instance astype('float64')"
    if not pd.api.types.is_object_dtype(column.dtype):
        kinds = [str(column.dtype)]
    return (
        f'the column {name!r} holds {" and ".join(kinds)}, which no table keeps exactly: use numbers, text, truth '
        'values, dates or categories; lists and mappings go in as JSON text (`json.dumps`), numbers with gaps as Int64'
    )


def write_parquet(frame: pd.DataFrame, about: Mapping[str, str] | None = None) -> bytes:
    """Return a table as a parquet file.

    :param about: what is to be known of the table beside its columns, which :func:`content_hash` does not see: the
        reader finds it in the `attrs` of the table, under :data:`ABOUT`.
    :raises TypeError: for what is no DataFrame.
    :raises ValueError: for a table that would not come back as it is, see :func:`check_table`.
    """
    check_table(frame)
    buffer = io.BytesIO()
    if about is not None:
        frame = frame.copy(deep=False)
        frame.attrs = {ABOUT: dict(about)}
    frame.to_parquet(buffer, engine='pyarrow', compression='zstd', index=False)
    content = buffer.getvalue()
    back = read_parquet(content)
    for name in frame.columns:
        try:
            pd.testing.assert_series_equal(back[name], frame[name], check_exact=True)
        except AssertionError as error:
            raise ValueError(
                f'the column {name!r} of type {frame[name].dtype} comes back as {back[name].dtype}: convert it with '
                f'`astype` first ({str(error).splitlines()[0]})'
            ) from error
    return content


def read_parquet(content: bytes) -> pd.DataFrame:
    """Return the table in a parquet file that :func:`write_parquet` made."""
    return pd.read_parquet(io.BytesIO(content), engine='pyarrow')


def content_hash(frame: pd.DataFrame) -> str:
    """Return the sha256 of names, types and values of the columns of a table, in hexadecimal digits.

    :raises ValueError: for a table that holds objects, see :func:`check_table`.
    """
    check_table(frame)
    digest = hashlib.sha256()
    digest.update(struct.pack('<q', len(frame)))
    for name in frame.columns:
        for piece in _canonical(str(name), frame[name]):
            digest.update(struct.pack('<q', len(piece)))
            digest.update(piece)
    return digest.hexdigest()


def _canonical(name: str, column: pd.Series) -> Iterator[bytes]:
    """Yield what a column is, byte by byte the same on every machine."""
    kind = column_type(column)
    yield name.encode()
    yield str(kind).encode()
    if kind == 'category':
        yield b'ordered' if column.cat.ordered else b'not ordered'
        yield from _canonical('categories', pd.Series(column.cat.categories))
        yield np.asarray(column.cat.codes).astype('<i8').tobytes()
    elif kind == 'string':
        yield b''.join(_text(value) for value in column)
    else:
        yield from _numbers(column)


def _text(value: Any) -> bytes:
    if not isinstance(value, str):  # None, NaN or pandas.NA, by the type of the column
        return _MISSING
    encoded = value.encode()
    return _PRESENT + struct.pack('<q', len(encoded)) + encoded


def _numbers(column: pd.Series) -> Iterator[bytes]:
    if isinstance(column.dtype, np.dtype) and column.dtype.kind == 'f':
        values = column.to_numpy(copy=True)
        values[np.isnan(values)] = np.nan  # there are many bit patterns that are no number
        yield values.astype(values.dtype.newbyteorder('<')).tobytes()
        return
    missing = column.isna().to_numpy()
    yield np.packbits(missing).tobytes()
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in 'mM':
        yield column.astype('int64').to_numpy().astype('<i8').tobytes()
    elif pd.api.types.is_datetime64_any_dtype(column.dtype):
        yield column.dt.tz_convert('UTC').dt.tz_localize(None).astype('int64').to_numpy().astype('<i8').tobytes()
    elif isinstance(column.dtype, np.dtype):
        values = column.to_numpy()
        yield values.astype(values.dtype.newbyteorder('<')).tobytes()
    else:  # nullable numbers and truth values
        dtype = np.dtype(str(column.dtype).lower().replace('boolean', 'bool'))
        values = column.to_numpy(dtype=dtype, na_value=dtype.type(0))
        yield values.astype(values.dtype.newbyteorder('<')).tobytes()
