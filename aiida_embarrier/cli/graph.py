"""``aiida-embarrier graph``: the provenance of a node as a picture."""

from __future__ import annotations

from pathlib import Path

import click

from aiida_embarrier.cli.output import echo_json
from aiida_embarrier.cli.params import FORMAT, with_profile

__all__ = ('command',)


@click.command('graph')
@click.argument('node')
@click.option(
    '-o',
    '--output',
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path('provenance'),
    show_default=True,
    help='Files to write; their suffixes, .dot and .svg, may be left out.',
)
@FORMAT
@with_profile
def command(node: str, output: Path, output_format: str) -> None:
    """Write the provenance graph of NODE: DOT text, and SVG where graphviz is installed."""
    from aiida.orm import load_node

    from aiida_embarrier.publishing.graph import provenance_graph

    files = provenance_graph(load_node(node), output)
    if output_format == 'json':
        echo_json({'files': files})
    else:
        click.echo(f'wrote {" and ".join(map(str, files))}')
