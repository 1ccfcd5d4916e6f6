"""What is in a file: its bytes, and which of the formats they are."""

from __future__ import annotations

import codecs
import gzip
import hashlib
import io
import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from aiida_embarrier.datasets.importing.base import DatasetError

if TYPE_CHECKING:
    from os import PathLike

__all__ = ('Content', 'load_content')


@dataclass(frozen=True, eq=False)
class Content:
    """A file that was opened.

    :param name: of the file, for messages.
    :param sha256: of its bytes, before they were unpacked.
    :param data: a table, or what its JSON holds.
    :param kind: `parquet`, `csv` or `json`.
    """

    name: str
    sha256: str
    data: Any
    kind: str


def load_content(source: str | PathLike[str] | bytes, name: str | None = None) -> Content:
    """Open a file: JSON, CSV or parquet, also packed with gzip.

    :param source: path of the file, or its bytes.
    :param name: how messages call it; None for that of the file.
    :raises FileNotFoundError: where there is no such file.
    :raises DatasetError: for files that end too early, are damaged or hold none of these.
    """
    if isinstance(source, bytes):
        raw, called = source, name or 'the file'
    else:
        path = Path(source)
        if not path.is_file():
            raise FileNotFoundError(f'there is no file {str(path)!r}')
        raw, called = path.read_bytes(), name or path.name
    if not raw.strip():
        raise DatasetError(f'{called} is empty: write or download it again')
    data = _unpacked(raw, called).removeprefix(codecs.BOM_UTF8)
    kind = 'parquet' if data[:4] == b'PAR1' else 'json' if data.lstrip()[:1] in {b'[', b'{'} else 'csv'
    return Content(called, hashlib.sha256(raw).hexdigest(), _PARSERS[kind](data, called), kind)


def _unpacked(raw: bytes, name: str) -> bytes:
    if raw[:2] != b'\x1f\x8b':
        return raw
    try:
        return gzip.decompress(raw)
    except EOFError as error:
        raise DatasetError(f'{name} ends too early, {len(raw)} bytes are not all of it: download it again') from error
    except (OSError, zlib.error) as error:
        raise DatasetError(f'{name} is damaged ({error}): download it again') from error


def _json(data: bytes, name: str) -> Any:
    try:
        found = json.loads(data)
    except UnicodeDecodeError as error:
        raise DatasetError(f'{name} is no text: {error}') from error
    except RecursionError as error:
        raise DatasetError(f'{name} is no dataset: its JSON is nested too deeply') from error
    except json.JSONDecodeError as error:
        where = 'ends too early' if error.pos >= len(data.decode(errors='replace').rstrip()) - 1 else 'is no JSON'
        raise DatasetError(f'{name} {where}: {error}; download it again') from error
    if not isinstance(found, list | dict) or not found:
        raise DatasetError(f'{name} holds no rows')
    return found


def _parquet(data: bytes, name: str) -> pd.DataFrame:
    try:
        return pd.read_parquet(io.BytesIO(data), engine='pyarrow')
    except (OSError, ValueError) as error:  # pyarrow's errors are of these two
        raise DatasetError(
            f'{name} is a damaged parquet file ({str(error).splitlines()[0]}): download it again'
        ) from error


def _csv(data: bytes, name: str) -> pd.DataFrame:
    try:
        text = data.decode('utf-8-sig')
    except UnicodeDecodeError as error:
        raise DatasetError(f'{name} is neither JSON, parquet nor text in UTF-8: {error}') from error
    try:
        frame = pd.read_csv(io.StringIO(text), keep_default_na=True, low_memory=False)
    except (ValueError, pd.errors.ParserError) as error:
        raise DatasetError(f'{name} is no CSV table: {" ".join(str(error).split())}') from error
    if len(frame.columns) < 2:
        raise DatasetError(
            f'{name} is none of the formats of datasets: it has a single column, {frame.columns[0][:60]!r}'
        )
    return frame


_PARSERS = {'json': _json, 'parquet': _parquet, 'csv': _csv}
