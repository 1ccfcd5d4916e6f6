"""``aiida-embarrier dataset join``: the rows of two datasets, or labels of a table beside a dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.dataset.results import OUTPUT, check_output, echo_report, finish, node_report
from aiida_embarrier.cli.params import FORMAT

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from aiida_embarrier.cli.dataset.loading import Loaded

__all__ = ('command',)

EXAMPLES = """\b
Examples:
  aiida-embarrier dataset join one.parquet other.parquet --duplicates left -o both.parquet
  aiida-embarrier dataset join composites.parquet table.csv --labels --on sys_name -o labelled.parquet
  aiida-embarrier dataset join 1234 1300"""


@click.command('join', epilog=EXAMPLES)
@click.argument('left', metavar='FILE-OR-NODE')
@click.argument('right', metavar='FILE-OR-NODE')
@click.option('--labels', is_flag=True, help='Put columns of the second beside the rows of the first.')
@click.option('--columns', metavar='NAME,...', help='With --labels: which; those that the first has not otherwise.')
@click.option('--replace', is_flag=True, help='With --labels: replace values; otherwise only gaps are filled.')
@click.option(
    '--on', 'name_column', default='name', show_default=True, help='Of a table of labels: column of the names.'
)
@click.option(
    '--duplicates',
    type=click.Choice(['refuse', 'left', 'right']),
    default='refuse',
    show_default=True,
    help='Of rows of one name in both: whose to keep.',
)
@OUTPUT
@click.option('-p', '--profile', metavar='NAME', envvar='AIIDA_PROFILE', help='AiiDA profile to look for nodes in.')
@FORMAT
def command(
    left: str,
    right: str,
    labels: bool,
    columns: str | None,
    replace: bool,
    name_column: str,
    duplicates: str,
    output: Path | None,
    overwrite: bool,
    profile: str | None,
    output_format: str,
) -> None:
    """Put two datasets together: their rows, or with --labels columns of the second beside the first.

    Two files need -o and no profile; of two nodes a process makes another one.
    """
    from aiida_embarrier.cli.dataset.loading import load_frame

    check_output(output, overwrite)
    settings: dict[str, Any] = (
        {'columns': None if columns is None else columns.split(','), 'overwrite': replace}
        if labels
        else {'duplicates': duplicates}
    )
    first = load_frame(left, profile)
    if first.node is not None:
        _of_nodes(first.node, right, labels, settings, output_format)
        return
    if output is None:
        raise click.UsageError('the rows of files go into a file: name it with -o')
    second = _labels_of(right, name_column) if labels else _rows_of(right, first, profile)

    def compute() -> Any:
        from aiida_embarrier.datasets.joining import join_labels, join_rows

        return (join_labels if labels else join_rows)(first.frame, second, **settings)

    finish(compute, output, output_format, first.named())


def _rows_of(identifier: str, first: Loaded, profile: str | None) -> pd.DataFrame:
    """Return the rows of a file, which hold what those of the first one hold."""
    from aiida_embarrier.cli.dataset.loading import load_frame

    found = load_frame(identifier, profile)
    if found.node is not None:
        raise click.ClickException('a file and a node cannot be joined: import the file first')
    ours, theirs = first.named(), found.named()
    if ours and theirs and ours.about() and theirs.about() and ours != theirs:
        raise click.ClickException(
            f'the first file holds {ours.name} ({ours.unit or "no unit"}), {identifier} {theirs.name} '
            f'({theirs.unit or "no unit"}): rows of one dataset are numbers of one kind'
        )
    return found.frame


def _labels_of(identifier: str, name_column: str) -> pd.DataFrame:
    """Return a table of labels, any CSV or parquet file with a column of names."""
    import pandas as pd

    from aiida_embarrier.datasets.importing import DatasetError
    from aiida_embarrier.datasets.importing.content import load_content

    try:
        table = load_content(identifier).data
    except (DatasetError, FileNotFoundError) as error:
        raise click.ClickException(str(error)) from error
    if not isinstance(table, pd.DataFrame) or name_column not in table:
        raise click.ClickException(f'{identifier} is no table with a column {name_column!r}: say which with --on')
    return table.rename(columns={name_column: 'name'})


def _of_nodes(node: Any, right: str, labels: bool, settings: dict[str, Any], output_format: str) -> None:
    from aiida.orm import Dict

    from aiida_embarrier.calculations.curation import join_datasets
    from aiida_embarrier.cli.dataset.running import run_function
    from aiida_embarrier.cli.params import find_node
    from aiida_embarrier.data.table import TableData

    other = find_node(right)
    if not isinstance(other, TableData):
        raise click.ClickException(f'node {other.pk} is no table but a {type(other).__name__}')
    known = {key: value for key, value in settings.items() if value is not None}
    outputs, process = run_function(join_datasets, node, other, Dict({'how': 'labels' if labels else 'rows', **known}))
    left = outputs['left_out']
    report = {**node_report(process, outputs['dataset']), 'left_out': left.table.to_dict('records')}
    echo_report({**report, 'notes': [left.description] if left.description else []}, output_format)
