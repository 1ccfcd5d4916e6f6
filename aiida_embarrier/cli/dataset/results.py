"""What commands on datasets print and write."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.output import Column, echo_json, echo_pairs, echo_table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import pandas as pd

    from aiida_embarrier.datasets.curation import Curated
    from aiida_embarrier.datasets.importing import Target

__all__ = (
    'OUTPUT',
    'check_output',
    'doubtful_rows',
    'echo_report',
    'finish',
    'lost_notes',
    'node_report',
    'write_frame',
)

DEFECTS = (Column('defect', 'defect'), Column('rows', 'n_rows', 'd'), Column('what', 'title', width=90))
LEFT_OUT = (Column('left out', 'name'), Column('why', 'reason', width=90))

#: How many rows that were left out are printed; JSON has all of them.
_SHOWN = 20


def OUTPUT(command: Callable[..., Any]) -> Callable[..., Any]:  # noqa: N802  (options that go together)
    """Give a command the options of a table that it writes."""
    import pathlib

    output = click.option(
        '-o',
        '--output',
        type=click.Path(dir_okay=False, path_type=pathlib.Path),
        metavar='FILE',
        help='Write a file, .parquet (exact) or .csv (for spreadsheets); needs no profile.',
    )
    overwrite = click.option('--overwrite', is_flag=True, help='Replace a file that is there.')
    return output(overwrite(command))


def check_output(path: Path | None, overwrite: bool, option: str = '--output') -> None:
    """Refuse a file that cannot be written, before anything is computed.

    :param option: that names the file.
    :raises click.ClickException: for one that is there already and of a folder that is not.
    :raises click.BadParameter: for a name of another type.
    """
    if path is None:
        return
    if path.suffix not in {'.csv', '.parquet'}:
        raise click.BadParameter(f'{path} ends in neither .csv nor .parquet', param_hint=option)
    if not path.absolute().parent.is_dir():
        raise click.ClickException(f'there is no folder {str(path.parent)!r}')
    if path.exists() and not overwrite:
        raise click.ClickException(f'{path} is there already: choose another name, or replace it with --overwrite')


def write_frame(path: Path, frame: pd.DataFrame, target: Target | None = None) -> None:
    """Write a table to a file; until it is whole the file has another name.

    :param target: what the numbers of a dataset are, which parquet keeps.
    """
    from aiida_embarrier.datasets.tables import write_parquet

    about = None if target is None else target.about()
    content = write_parquet(frame, about) if path.suffix == '.parquet' else frame.to_csv(index=False).encode()
    partial = path.with_name(f'.{path.name}.part')
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def counted(flags: Mapping[str, int]) -> list[dict[str, Any]]:
    """Return the numbers of rows with defects as lines of a table."""
    from aiida_embarrier.datasets.defects import DEFECTS as KNOWN

    return [
        {'defect': key, 'n_rows': count, 'title': KNOWN[key].title if key in KNOWN else None}
        for key, count in flags.items()
    ]


def doubtful_rows(frame: pd.DataFrame, source: str, use: str) -> list[str]:
    """Return what is to be said of rows whose path or barrier has a known defect, nothing where there are none.

    :param frame: rows of the schema `barrier`, with their `flags`.
    :param source: how the user names the dataset.
    :param use: what becomes of such rows, in words.
    """
    from aiida_embarrier.datasets.about import summary
    from aiida_embarrier.datasets.defects import OF_PATHS
    from aiida_embarrier.datasets.schema import flags_of

    if 'flags' not in frame:
        return []
    doubtful = frame[[bool({*OF_PATHS} & {*flags_of({'flags': flags})}) for flags in frame['flags']]]
    counts = summary(doubtful)['flags']
    if not counts:
        return []
    found = ', '.join(f'{counts[key]} {key}' for key in OF_PATHS if key in counts)
    return [
        f'{len(doubtful)} of {len(frame)} rows have a known defect of path or barrier ({found}) and {use}: '
        f'`aiida-embarrier dataset info {shlex.quote(source)} --defects` lists them, `dataset filter` leaves some out'
    ]


def node_report(process: Any, dataset: Any) -> dict[str, Any]:
    """Return what a command prints of a process that made a dataset."""
    attributes = dataset.base.attributes
    names = ('schema_name', 'target', 'target_unit', 'n_rows', 'n_flagged', 'flags', 'title', 'source')
    return {
        'process': process.pk,
        'dataset': dataset.pk,
        'uuid': dataset.uuid,
        **{name: attributes.get(name, None) for name in names},
    }


def echo_report(report: Mapping[str, Any], output_format: str) -> None:
    """Print what became of a dataset."""
    if output_format == 'json':
        echo_json(report)
        return
    words = {'schema_name': 'schema', 'n_rows': 'rows', 'n_flagged': 'rows with a defect', 'file': 'file'}
    plain = ('process', 'dataset', 'file', 'written', 'format', 'schema_name', 'title', 'n_rows', 'n_flagged')
    echo_pairs({words.get(key, key): report[key] for key in plain if report.get(key) is not None})
    if report.get('flags'):
        click.echo()
        echo_table(counted(report['flags']), DEFECTS)
    if report.get('repairs'):
        click.echo('\nrepaired: ' + ', '.join(f'{key} ({count})' for key, count in report['repairs'].items()))
    for note in report.get('notes', []):
        click.echo(f'\nnote: {note}')
    _echo_left_out(report.get('left_out', []))


def _echo_left_out(left: list[dict[str, Any]]) -> None:
    if not left:
        return
    click.echo()
    echo_table(left[:_SHOWN], LEFT_OUT)
    if len(left) > _SHOWN:
        click.echo(f'... and {len(left) - _SHOWN} more; --format json names all of them')


def lost_notes(path: Path, schema: str, target: Target | None) -> list[str]:
    """Return what is to be said of a file that does not keep what the numbers of a dataset are."""
    if path.suffix != '.csv' or schema != 'property' or target is None or target.about() is None:
        return []
    unit = '' if target.unit is None else f' --unit {shlex.quote(target.unit)}'
    return [
        f'a CSV does not say what its numbers are: import it with --target {shlex.quote(target.name)}{unit}, or write '
        'parquet'
    ]


def finish(compute: Callable[[], Curated], output: Path, output_format: str, target: Target | None = None) -> None:
    """Compute a dataset without a profile, write it, and print what became of it.

    :param compute: returns the rows, the names of others with the reasons why they were left out, and notes.
    :param target: what the numbers of a dataset of properties are, where that is known.
    :raises click.ClickException: for what makes no sense.
    """
    from aiida_embarrier.datasets.about import summary

    try:
        found = compute()
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    frame = found.frame
    schema = 'barrier' if 'barrier' in frame else 'property'
    write_frame(output, frame, target if schema == 'property' else None)
    about = summary(frame)
    echo_report(
        {
            'written': str(output),
            'schema_name': schema,
            'n_rows': len(frame),
            'n_flagged': about['n_flagged'],
            'flags': about['flags'],
            'left_out': found.left_out.to_dict('records'),
            'notes': [*found.notes, *lost_notes(output, schema, target)],
        },
        output_format,
    )
