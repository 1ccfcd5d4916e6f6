"""``aiida-embarrier query origin``: the chain of processes behind a node or a row of a dataset."""

from __future__ import annotations

import click

from aiida_embarrier.cli.output import Column
from aiida_embarrier.cli.params import find_node, with_profile
from aiida_embarrier.cli.tables import TABLE_FORMAT, echo_frame

__all__ = ('command',)

TABLE = (
    Column('step', 'step', 'd'),
    Column('kind', 'kind'),
    Column('PK', 'pk', 'd'),
    Column('name', 'name', width=45),
    Column('exit', 'exit_status', 'd'),
    Column('called as', 'call'),
    Column('in', lambda row: None if row['root'] in (None, row['pk']) else f'{row["root_process"]} {row["root"]}'),
    Column('settings', lambda row: ', '.join(f'{key}: {value}' for key, value in row['settings'].items()), width=45),
    Column('made', lambda row: None if row['ctime'] is None else f'{row["ctime"]:%Y-%m-%d %H:%M}'),
)


@click.command('origin')
@click.argument('node', required=False)
@click.option('--dataset', metavar='NODE', help='Dataset (PK or UUID) of which a row is asked for.')
@click.option('--row', metavar='NAME', help='Name of the row of the dataset.')
@click.option('--table', 'as_table', is_flag=True, help='A table with the settings of each step instead of a tree.')
@TABLE_FORMAT
@with_profile
def command(node: str | None, dataset: str | None, row: str | None, as_table: bool, output_format: str) -> None:
    """Where NODE (PK or UUID), or a row of a dataset, comes from.

    The chain of processes back to the crystals, files and literature that no process made.
    """
    from aiida_embarrier.data.table import TableData
    from aiida_embarrier.queries.chains import chain_of, chain_of_row, chain_tree

    if (node is None) == (dataset is None) or (dataset is None) != (row is None):
        raise click.UsageError('name a NODE, or a row of a dataset with --dataset NODE --row NAME')
    if node is not None:
        chain = chain_of(find_node(node))
    else:
        table = find_node(str(dataset))
        if not isinstance(table, TableData):
            raise click.UsageError(f'node {table.pk} is no dataset: it is of type {type(table).__name__}')
        chain = chain_of_row(table, str(row))
    if output_format == 'text' and not as_table:
        click.echo(chain_tree(chain))
    else:
        echo_frame(chain, TABLE, output_format, '')
