"""``verdi data embarrier``: the nodes of this package, where users of AiiDA look for them."""

from __future__ import annotations

from pathlib import Path

import click

from aiida_embarrier.cli import list as list_module
from aiida_embarrier.cli import plot, show
from aiida_embarrier.cli.output import echo_json
from aiida_embarrier.cli.params import FORMAT, load_band, with_profile

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
