"""``aiida-embarrier export``: an archive for publication."""

from __future__ import annotations

from pathlib import Path

import click

from aiida_embarrier.cli.output import echo_json
from aiida_embarrier.cli.params import FORMAT, with_profile

__all__ = ('command',)


@click.command('export')
@click.argument('nodes', nargs=-1, metavar='[NODE]...')
@click.option('-G', '--group', 'groups', multiple=True, metavar='LABEL', help='Group to export; may be repeated.')
@click.option(
    '-o', '--output', type=click.Path(dir_okay=False, path_type=Path), required=True, help='Archive to write (.aiida).'
)
@click.option('--overwrite', is_flag=True, help='Replace the archive if it exists.')
@FORMAT
@with_profile
def command(nodes: tuple[str, ...], groups: tuple[str, ...], output: Path, overwrite: bool, output_format: str) -> None:
    """Write an archive of NODEs (PKs or UUIDs) and groups, with everything they came from.

    Licensed files are refused. The archive is read by `verdi archive import`, and by the explorers of Materials Cloud.
    """
    from aiida.common.log import LOG_LEVEL_REPORT, override_log_level
    from aiida.orm import load_group, load_node

    from aiida_embarrier.publishing.archive import export_archive

    entities = [load_node(node) for node in nodes], [load_group(label) for label in groups]
    with override_log_level(LOG_LEVEL_REPORT):  # it reports fifty lines of defaults
        path = export_archive(output, *entities, overwrite=overwrite)
    size = path.stat().st_size
    if output_format == 'json':
        echo_json({'file': path, 'bytes': size})
    else:
        click.echo(f'wrote {path} ({size / 1e6:.1f} MB)')
