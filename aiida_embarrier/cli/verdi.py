"""``verdi data embarrier``: the nodes of this package, where users of AiiDA look for them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from aiida_embarrier.cli import list as list_module
from aiida_embarrier.cli import plot, show
from aiida_embarrier.cli.output import Column, echo_json, echo_table
from aiida_embarrier.cli.params import FORMAT, find_node, load_band, with_profile

if TYPE_CHECKING:
    from aiida_embarrier.data.table import TableData

__all__ = ('embarrier',)

WRITERS = {'.xyz': 'write_extxyz', '.extxyz': 'write_extxyz', '.npz': 'write_npz'}


@click.group('embarrier')
def embarrier() -> None:
    """Commands for the nodes of aiida-embarrier."""


@embarrier.group('band')
def band() -> None:
    """Migration paths with their energies."""


band.add_command(list_module.command, 'list')
band.add_command(show.command, 'show')
band.add_command(plot.command, 'plot')


@band.command('export')
@click.argument('node')
@click.option(
    '-o',
    '--output',
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help='File to write: .xyz or .extxyz (extended XYZ, one frame per image) or .npz (exact).',
)
@FORMAT
@with_profile
def export(node: str, output: Path, output_format: str) -> None:
    """Write the images of a band (PK or UUID of the band or of the process) to a file."""
    from aiida_embarrier.bands import io

    name = WRITERS.get(output.suffix)
    if name is None:
        raise click.BadParameter(f'{output} ends in none of {", ".join(WRITERS)}', param_hint='--output')
    getattr(io, name)(output, load_band(node).band)
    if output_format == 'json':
        echo_json({'file': output})
    else:
        click.echo(f'wrote {output}')


# ---------------------------------------------------------------- tables


@embarrier.group('table')
def table() -> None:
    """Tables, such as those of comparisons."""


def load_table(identifier: str) -> TableData:
    """Return the table node that a PK, a UUID or a label names.

    :raises click.ClickException: where there is no such node, and where it is no table.
    """
    from aiida_embarrier.data.table import TableData

    node = find_node(identifier)
    if not isinstance(node, TableData):
        raise click.ClickException(f'node {node.pk} is not a table but a {type(node).__name__}')
    return node


@table.command('show')
@click.argument('node')
@FORMAT
@with_profile
def show_table(node: str, output_format: str) -> None:
    """Print a table (PK or UUID)."""
    found = load_table(node)
    frame = found.table
    plain = frame.astype(object).where(frame.notna(), None)
    rows = [{str(name): value for name, value in row.items()} for row in plain.to_dict('records')]
    if output_format == 'json':
        echo_json({'pk': found.pk, 'uuid': found.uuid, 'title': found.title, 'units': found.units, 'rows': rows})
        return
    if found.title is not None:
        click.echo(f'{found.title}\n')
    columns = [
        Column(
            name if name not in found.units else f'{name} ({found.units[name]})',
            name,
            '.6g' if frame[name].dtype.kind == 'f' else '',
        )
        for name in map(str, frame.columns)
    ]
    echo_table(rows, columns)


@table.command('export')
@click.argument('node')
@click.option(
    '-o',
    '--output',
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help='File to write: .csv (for spreadsheets) or .parquet (exact).',
)
@FORMAT
@with_profile
def export_table(node: str, output: Path, output_format: str) -> None:
    """Write a table (PK or UUID) to a file."""
    from aiida_embarrier.datasets.tables import write_parquet

    found = load_table(node)
    if output.suffix == '.csv':
        found.table.to_csv(output, index=False)
    elif output.suffix == '.parquet':
        output.write_bytes(write_parquet(found.table))
    else:
        raise click.BadParameter(f'{output} ends in neither .csv nor .parquet', param_hint='--output')
    if output_format == 'json':
        echo_json({'file': output})
    else:
        click.echo(f'wrote {output}')
