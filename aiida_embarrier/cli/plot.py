"""``aiida-embarrier plot``: the energy path, or the way through the crystal, as a picture."""

from __future__ import annotations

from pathlib import Path

import click

from aiida_embarrier.cli.output import echo_json
from aiida_embarrier.cli.params import FORMAT, load_band, with_profile

__all__ = ('command',)


@click.command('plot')
@click.argument('nodes', nargs=-1, required=True, metavar='NODE...')
@click.option(
    '-o',
    '--output',
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path('energy_path.png'),
    show_default=True,
    help='File to write: PNG, SVG or PDF.',
)
@click.option(
    '--path', 'through_crystal', is_flag=True, help='Draw the way through the crystal instead of the energies.'
)
@click.option(
    '--direction',
    type=int,
    nargs=3,
    metavar='U V W',
    help='With --path: lattice direction along which to look at the crystal; the one that shows the path best unless '
    'given.',
)
@FORMAT
@with_profile
def command(
    nodes: tuple[str, ...],
    output: Path,
    through_crystal: bool,
    direction: tuple[int, int, int] | None,
    output_format: str,
) -> None:
    """Draw the energy path of one or more bands (PKs or UUIDs of bands or of processes)."""
    from aiida_embarrier.figures.energy_path import energy_path
    from aiida_embarrier.figures.migration_path import migration_path
    from aiida_embarrier.figures.style import save

    bands = [load_band(node).band for node in nodes]
    if through_crystal and len(bands) > 1:
        raise click.UsageError('--path draws one band at a time')
    if direction is not None and not through_crystal:
        raise click.UsageError('--direction is that of the way through the crystal: add --path')
    save(migration_path(bands[0], direction=direction) if through_crystal else energy_path(bands), output)
    if output_format == 'json':
        echo_json({'file': output})
    else:
        click.echo(f'wrote {output}')
