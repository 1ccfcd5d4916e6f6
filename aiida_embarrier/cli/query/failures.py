"""``aiida-embarrier query failures``: what failed, and why."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from aiida_embarrier.cli.output import Column
from aiida_embarrier.cli.params import find_node, with_profile
from aiida_embarrier.cli.tables import TABLE_FORMAT, echo_frame

__all__ = ('BY', 'command', 'read_since')

#: `queries.failures.BY`, which cannot be imported before the command runs.
BY = ('process', 'exit_status', 'message', 'computer', 'root', 'root_process')

TABLE = (
    Column('PK', 'pk', 'd'),
    Column('made', lambda row: f'{row["ctime"]:%Y-%m-%d %H:%M}'),
    Column('process', 'process'),
    Column('exit', lambda row: row['state'] if row['exit_status'] is None else row['exit_status']),
    Column('message', 'message', width=60),
    Column('in', lambda row: None if row['root'] == row['pk'] else f'{row["root_process"]} {row["root"]}'),
    Column('which ended', lambda row: _ending(row['root_state'], row['root_exit_status'])),
    Column('computer', 'computer'),
    Column('last log', 'last_log', width=50),
)

SINCE = re.compile(r'(?P<number>\d+)(?P<unit>[mhdw])')
UNITS = {'m': 'minutes', 'h': 'hours', 'd': 'days', 'w': 'weeks'}


class Since(click.ParamType):
    """A time span before now, or a date."""

    name = 'since'

    def convert(self, value: Any, _: click.Parameter | None, __: click.Context | None) -> datetime:
        """Return the time that the text names."""
        return value if isinstance(value, datetime) else read_since(str(value))


def read_since(text: str) -> datetime:
    """Return the time that text such as `7d`, `12h` or `2026-11-01` names.

    :raises click.BadParameter: for anything else.
    """
    span = SINCE.fullmatch(text.strip())
    if span is not None:
        return datetime.now(UTC) - timedelta(**{UNITS[span['unit']]: int(span['number'])})
    try:
        return datetime.fromisoformat(text.strip()).astimezone()
    except ValueError as error:
        raise click.BadParameter(
            f'{text!r} is neither a time span such as 30m, 12h, 7d or 2w nor a date such as 2026-11-01'
        ) from error


@click.command('failures')
@click.argument('node', required=False)
@click.option('--since', type=Since(), metavar='TIME', help='Made since a date, or within 30m, 12h, 7d, 2w.')
@click.option('--process', metavar='TYPE', help='Process label or entry point, such as embarrier.potential.neb.')
@click.option('--own', is_flag=True, help='Only processes that failed by themselves, not for one that they called.')
@click.option('--by', type=click.Choice(BY), help='Count failures instead of listing them.')
@click.option('--limit', type=click.IntRange(min=1), metavar='N', help='At most so many, the newest first.')
@TABLE_FORMAT
@with_profile
def command(node: str | None, by: str | None, output_format: str, **conditions: Any) -> None:
    """Processes that failed and why, the newest first; with NODE only that process and those below it."""
    from aiida_embarrier.queries.failures import count_failures, find_failures

    pks = None if node is None else [_process(node)]
    found = find_failures(pks=pks, **conditions)
    if by is None:
        echo_frame(found, TABLE, output_format, 'Nothing failed.')
        return
    columns = (
        Column(by.replace('_', ' '), lambda row: row[by], width=60),
        Column('failures', 'n_failures', 'd'),
        Column('recovered', 'n_recovered', 'd'),
        Column('last', lambda row: f'{row["newest"]:%Y-%m-%d %H:%M}'),
        Column('PK', 'newest_pk', 'd'),
    )
    echo_frame(count_failures(found, by), columns, output_format, 'Nothing failed.')


def _process(identifier: str) -> int:
    from aiida.orm import ProcessNode

    node = find_node(identifier)
    if not isinstance(node, ProcessNode):
        raise click.ClickException(f'node {node.pk} is no process: it is of type {type(node).__name__}')
    pk: int = node.pk
    return pk


def _ending(state: str | None, exit_status: int | None) -> str | None:
    if exit_status is None:
        return state
    return 'well' if exit_status == 0 else f'with {exit_status}'
