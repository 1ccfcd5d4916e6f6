"""``aiida-embarrier dataset statistics``: what a dataset holds, as tables, pictures and a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.output import Column, echo_json, echo_pairs, echo_table
from aiida_embarrier.cli.params import FORMAT

if TYPE_CHECKING:
    from aiida_embarrier.cli.dataset.loading import Loaded
    from aiida_embarrier.datasets.statistics import Statistics

__all__ = ('command',)

#: Tables that are printed unless others are chosen.
MAIN = ('ranges', 'by_ion', 'by_structural_group', 'by_crystal_system', 'by_functional', 'by_charge_state', 'flags')

#: Most lines of a table that is printed unasked.
MOST = 30

EXAMPLES = """\b
Examples:
  aiida-embarrier dataset statistics barriers.json.gz -o statistics/
  aiida-embarrier dataset statistics barriers.json.gz --table by_space_group"""


@click.command('statistics', epilog=EXAMPLES)
@click.argument('dataset', metavar='FILE-OR-NODE')
@click.option(
    '-o',
    '--output',
    type=click.Path(path_type=Path),
    metavar='DIR',
    help='Folder to write: index.html, tables as CSV, pictures as PNG and SVG.',
)
@click.option('--overwrite', is_flag=True, help='Replace the folder if it holds such statistics.')
@click.option('--table', 'names', multiple=True, metavar='NAME', help='Table to print in full; may be repeated.')
@click.option('--bin-width', type=float, metavar='WIDTH', help='Of the histogram, 0.25 eV for barriers unless given.')
@click.option(
    '--below', 'thresholds', type=float, multiple=True, metavar='E', help='Count barriers below E eV; may be repeated.'
)
@click.option('--title', help='Heading of the page; the title of the node or the name of the file unless given.')
@click.option('--source', metavar='TEXT', help='What the page names as the source, such as a citation.')
@click.option('--store', is_flag=True, help='Keep numbers and tables of a node as nodes, made by a process.')
@click.option('-p', '--profile', metavar='NAME', envvar='AIIDA_PROFILE', help='AiiDA profile to look for nodes in.')
@FORMAT
def command(
    dataset: str,
    output: Path | None,
    overwrite: bool,
    names: tuple[str, ...],
    bin_width: float | None,
    thresholds: tuple[float, ...],
    title: str | None,
    source: str | None,
    store: bool,
    profile: str | None,
    output_format: str,
) -> None:
    """Count what a dataset of barriers or of a property holds.

    FILE-OR-NODE is a file of any format that `dataset import` reads, which needs no AiiDA profile, or a node (PK or
    UUID).
    """
    from aiida_embarrier.cli.dataset.loading import load_frame
    from aiida_embarrier.datasets.statistics import dataset_statistics

    if output is not None:
        from aiida_embarrier.figures.page_folder import check_folder

        check_folder(output, overwrite=overwrite)
    elif overwrite or title is not None or source is not None:
        raise click.UsageError('--overwrite, --title and --source are for the folder that --output writes')
    loaded = load_frame(dataset, profile)
    if store and loaded.node is None:
        raise click.UsageError(f'--store is for nodes, and {dataset} is a file: `dataset import` makes a node of it')
    settings: dict[str, Any] = {'bin_width': bin_width} if bin_width is not None else {}
    if thresholds:
        settings['thresholds'] = list(thresholds)
    found = dataset_statistics(loaded.frame, loaded.schema, target=loaded.target, unit=loaded.unit, **settings)
    unknown = [name for name in names if name not in found.tables]
    if unknown:
        raise click.UsageError(f'there is no table {unknown[0]!r}: choose from {", ".join(found.tables)}')
    nodes = _store(loaded.node, settings) if store else None
    files = (
        None if output is None else _write(output, overwrite, loaded, found, title or _title(loaded, dataset), source)
    )
    if output_format == 'json':
        echo_json(_as_json(found, names, nodes, files))
        return
    _echo(found, names)
    if nodes is not None:
        click.echo(f'\nprocess {nodes["process"]}, numbers {nodes["numbers"]}')
    if output is not None:
        click.echo(f'\nwritten: {output / "index.html"}, and tables and figures beside it')


def _title(loaded: Loaded, dataset: str) -> str:
    if loaded.node is None:
        return Path(dataset).name
    return loaded.node.title or f'Dataset {loaded.node.pk}'


def _store(node: Any, settings: dict[str, Any]) -> dict[str, int]:
    """Summarise a node by a process, and return the PKs of the process and of what it made."""
    from aiida.orm import Dict

    from aiida_embarrier.calculations.statistics import summarise_dataset

    outputs, process = summarise_dataset.run_get_node(node, Dict(settings))
    if not process.is_finished_ok:
        raise click.ClickException(f'{process.exit_message} (process {process.pk})')
    return {'process': process.pk, **{name: output.pk for name, output in outputs.items()}}


def _write(
    output: Path, overwrite: bool, loaded: Loaded, found: Statistics, title: str, source: str | None
) -> list[Path]:
    from aiida_embarrier.figures.statistics_folder import write_statistics

    if source is None and loaded.node is not None:
        source = loaded.node.base.attributes.get('source', None)
    with click.progressbar(length=len(found.tables), label='drawing', file=click.get_text_stream('stderr')) as bar:
        return write_statistics(
            output, loaded.frame, found, title, source, overwrite=overwrite, tell=lambda _: bar.update(1)
        )


def _as_json(
    found: Statistics, names: tuple[str, ...], nodes: dict[str, int] | None, files: list[Path] | None
) -> dict[str, Any]:
    tables = {name: table for name, table in found.tables.items() if not names or name in names}
    result: dict[str, Any] = {
        'schema': found.schema,
        'quantity': found.name,
        'unit': found.unit,
        'numbers': found.numbers,
        'tables': {
            name: table.astype(object).where(table.notna(), None).to_dict('records') for name, table in tables.items()
        },
    }
    if nodes is not None:
        result['nodes'] = nodes
    if files is not None:
        result['files'] = files
    return result


def _echo(found: Statistics, names: tuple[str, ...]) -> None:
    from aiida_embarrier.datasets.statistics_tables import TABLES

    if not names:
        _echo_numbers(found)
    for name in names or [name for name in MAIN if name in found.tables]:
        table = found.tables[name]
        shown = table if names else table.head(MOST)
        click.echo(f'\n{TABLES[name].title} ({name})\n')
        rows = shown.astype(object).where(shown.notna(), None).to_dict('records')
        echo_table(rows, [_column(column, table, found.units_of(name)) for column in table])
        if len(shown) < len(table):
            click.echo(f'... {len(table) - len(shown)} more: --table {name}')
    others = [name for name in found.tables if name not in MAIN]
    if not names:
        click.echo(f'\nfurther tables, for --table: {", ".join(others)}')


def _echo_numbers(found: Statistics) -> None:
    numbers, unit = found.numbers, found.unit or ''
    spread = {
        'rows': numbers['n_rows'],
        found.name: f'{numbers["min"]:.4g} to {numbers["max"]:.4g} {unit}'.strip(),
        'mean': f'{numbers["mean"]:.3f} {unit}'.strip(),
        'median': f'{numbers["median"]:.3f} {unit}, quartiles {numbers["quartile_1"]:.3f} and '
        f'{numbers["quartile_3"]:.3f}',
    }
    if numbers['sd'] is not None:
        spread['standard deviation'] = f'{numbers["sd"]:.3f} {unit}'.strip()
    for name, label in (
        ('n_compositions', 'compositions'),
        ('n_space_groups', 'space groups'),
        ('n_different_elements', 'elements'),
        ('n_charged_discharged_pairs', 'charged and discharged pairs'),
    ):
        if name in numbers:
            spread[label] = numbers[name]
    if 'n_materials' in numbers:
        spread['materials'] = (
            f'{numbers["n_materials"]}, {numbers["n_materials_with_several_paths"]} of them with several paths '
            f'({numbers["n_rows_of_these"]} rows)'
        )
    spread['flagged rows'] = numbers['n_flagged']
    echo_pairs(spread)


def _column(name: str, table: Any, units: dict[str, str]) -> Column:
    """Return how a column of a table is printed."""
    unit = f' ({units[name]})' if name in units else ''
    header = {'n': 'rows', 'fraction': 'share'}.get(name, name.replace('_', ' '))
    kind = table[name].dtype.kind
    specification = '.1%' if name == 'fraction' else '.3f' if kind == 'f' else 'd' if kind in 'iu' else ''
    return Column(f'{header}{unit}', name, specification)
