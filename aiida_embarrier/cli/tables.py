"""How commands print the tables of questions: aligned for readers, JSON or CSV for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.output import echo_json, echo_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from aiida_embarrier.cli.output import Column

__all__ = ('TABLE_FORMAT', 'echo_frame', 'records')

TABLE_FORMAT = click.option(
    '--format',
    'output_format',
    type=click.Choice(['text', 'json', 'csv']),
    default='text',
    show_default=True,
    help='Text for readers, JSON or CSV for programs: these have all columns.',
)


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table as mappings; None where nothing is known."""
    rows: list[dict[str, Any]] = table.astype(object).where(table.notna(), None).to_dict(orient='records')
    return rows


def echo_frame(table: pd.DataFrame, columns: Sequence[Column], output_format: str, nothing: str) -> None:
    """Print a table.

    :param columns: those that readers see.
    :param nothing: what readers see of an empty table.
    """
    if output_format == 'json':
        echo_json(records(table))
    elif output_format == 'csv':
        flat = table.map(lambda value: json.dumps(value) if isinstance(value, list | dict) else value)
        click.echo(flat.to_csv(index=False), nl=False)
    elif table.empty:
        click.echo(nothing)
    else:
        echo_table(records(table), columns)
