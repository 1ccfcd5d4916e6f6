"""``aiida-embarrier dataset import``: a published dataset as a node, or as a table of this package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.dataset.results import (
    OUTPUT,
    check_output,
    echo_report,
    lost_notes,
    node_report,
    write_frame,
)
from aiida_embarrier.cli.params import EXISTING_FILE, FORMAT

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ('command',)

EXAMPLES = """\b
Examples:
  aiida-embarrier dataset import barriers_train.json.gz
  aiida-embarrier dataset import barriers_train.json.gz -o barriers.parquet
  aiida-embarrier dataset import barriers_train.json.gz --source arXiv:2508.06459 --repair class_alias \\
      --repair unwrapped_hop --title 'published barriers'"""


@click.command('import', epilog=EXAMPLES)
@click.argument('file', metavar='FILE', type=EXISTING_FILE)
@click.option('--file-format', metavar='NAME', help='Format of FILE; its content tells it otherwise.')
@click.option(
    '--repair', 'repairs', multiple=True, metavar='DEFECT', help='Repair the rows with this defect; may be repeated.'
)
@click.option('--title', help='What the dataset is, in one line.')
@click.option('--source', metavar='TEXT', help='Citation, DOI or address, for rows that have none of their own.')
@click.option('--target', metavar='NAME', help='Which property it is, where the name of FILE does not tell.')
@click.option('--unit', 'target_unit', metavar='UNIT', help='Unit of the property.')
@click.option('--code', metavar='LABEL', help='Code of the worker; the one of this machine otherwise.')
@OUTPUT
@click.option('-p', '--profile', metavar='NAME', envvar='AIIDA_PROFILE', help='AiiDA profile for the node.')
@FORMAT
def command(
    file: Path,
    file_format: str | None,
    repairs: tuple[str, ...],
    output: Path | None,
    overwrite: bool,
    profile: str | None,
    output_format: str,
    code: str | None,
    title: str | None,
    **about: Any,
) -> None:
    """Import a dataset from FILE: with AiiDA by a process, whose PK is printed, or with -o into a table.

    Rows with a known defect stay in and are marked; nothing is changed that --repair does not ask for. FILE is a
    published dataset of barriers (barriers_train.json.gz, the JSON with ten tags, composites of five images, pairs of
    ends), one of the property tables, or a table of this package (CSV or parquet).
    """
    check_output(output, overwrite)
    if about['target_unit'] is not None and about['target'] is None:
        raise click.UsageError('a --unit is that of a --target: say which property it is')
    if output is not None:
        _into_file(file, file_format, repairs, output, about, output_format)
        return
    from aiida_embarrier.cli.params import load_profile

    load_profile(profile)
    _into_node(file, file_format, repairs, code, {'title': title, **about}, output_format)


def _into_file(
    file: Path,
    file_format: str | None,
    repairs: tuple[str, ...],
    output: Path,
    about: dict[str, Any],
    output_format: str,
) -> None:
    from aiida_embarrier.datasets.importing import DatasetError, Target, read_dataset

    target = None if about['target'] is None else Target(about['target'], about['target_unit'])
    try:
        found = read_dataset(file, file_format, target=target, repairs=repairs, source_text=about['source'])
    except DatasetError as error:
        raise click.ClickException(str(error)) from error
    write_frame(output, found.frame, found.target if found.schema == 'property' else None)
    report = {'schema_name': found.schema, 'target': found.target.name, 'target_unit': found.target.unit}
    notes = [*found.report['notes'], *lost_notes(output, found.schema, found.target)]
    echo_report({'written': str(output), **report, **found.report, 'notes': notes}, output_format)


def _into_node(
    file: Path,
    file_format: str | None,
    repairs: tuple[str, ...],
    code: str | None,
    about: dict[str, Any],
    output_format: str,
) -> None:
    from aiida.orm import Dict, SinglefileData

    from aiida_embarrier.cli.dataset.running import run_worker

    known = {key: value for key, value in about.items() if value is not None}
    parameters = {**known, **({'repairs': list(repairs)} if repairs else {})}
    if file_format is not None:
        parameters['format'] = file_format
    process = run_worker(
        'embarrier.dataset.import',
        code,
        label=file.name,
        file=SinglefileData(file.resolve()),
        parameters=Dict(parameters),
    )
    results = process.outputs.results.get_dict()
    extra = {key: results.get(key) for key in ('format', 'sha256', 'found', 'repairs')}
    report = node_report(process, process.outputs.dataset)
    echo_report({'file': file.name, **report, **extra, 'notes': results.get('warnings', [])}, output_format)
