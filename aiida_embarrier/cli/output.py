"""How commands print results: tables for readers, JSON for programs."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ('Column', 'echo_json', 'echo_pairs', 'echo_table', 'format_table')


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a table.

    :param header: its heading, with the unit.
    :param key: the entry of each row, or a function of the row.
    :param format: format specification of its values, such as ``.3f``.
    :param width: characters after which its text is broken into lines, None for never.
    """

    header: str
    key: str | Callable[[Any], Any]
    format: str = ''
    width: int | None = None

    def text(self, row: Mapping[str, Any]) -> str:
        """Return how a row stands in this column; a dash where the value is unknown."""
        value = self.key(row) if callable(self.key) else row.get(self.key)
        return as_text(value, self.format)


def echo_json(result: Any) -> None:
    """Print a result as JSON; numbers that are not finite become null, for JSON has none."""
    click.echo(json.dumps(_plain(result), indent=2, ensure_ascii=False, allow_nan=False))


def echo_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> None:
    """Print rows as an aligned table, numbers to the right."""
    click.echo(format_table(rows, columns))


def format_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> str:
    """Return rows as an aligned table, numbers to the right."""
    from tabulate import tabulate

    cells = [[column.text(row) for column in columns] for row in rows]
    align = ['right' if column.format else 'left' for column in columns]
    # Without `disable_numparse` tabulate would read text such as `1e5` as a number and write it anew.
    return tabulate(
        cells,
        [column.header for column in columns],
        colalign=align,
        disable_numparse=True,
        maxcolwidths=[column.width for column in columns],
    )


def echo_pairs(pairs: Mapping[str, Any]) -> None:
    """Print names and values in two columns."""
    width = max(map(len, pairs), default=0)
    for name, value in pairs.items():
        click.echo(f'{name:<{width}}  {as_text(value)}')


def as_text(value: Any, specification: str = '') -> str:
    """Return a value as readers expect it: yes and no, and a dash for what is unknown."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return '-'
    if isinstance(value, bool):
        return 'yes' if value else 'no'
    return format(value, specification)


def _plain(value: Any) -> Any:
    """Return a value made of what JSON knows."""
    if hasattr(value, 'tolist'):  # numpy arrays and scalars, without importing numpy
        return _plain(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(entry) for entry in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    return str(value)  # paths, UUIDs, dates
