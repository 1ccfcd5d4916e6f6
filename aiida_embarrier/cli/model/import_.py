"""``aiida-embarrier model import``: a model of others as a node."""

from __future__ import annotations

from pathlib import Path

import click

from aiida_embarrier.cli.output import echo_json
from aiida_embarrier.cli.params import FORMAT, with_profile

__all__ = ('command',)


@click.command('import')
@click.argument('folder', type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option('--label', help='Label of the node.')
@FORMAT
@with_profile
def command(folder: Path, label: str | None, output_format: str) -> None:
    """Take in a model from FOLDER with model.safetensors and model.json, once its weights are those of the card.

    A model that the profile holds already stays one node.
    """
    from aiida_embarrier.cli.launch.datasets import model_node

    node = model_node(str(folder))
    if label is not None:
        node.label = label
    if output_format == 'json':
        echo_json({'pk': node.pk, 'uuid': node.uuid, 'weights_sha256': node.base.attributes.get('weights_sha256')})
    else:
        click.echo(f'model {node.pk} ({node.uuid})')
        click.echo(f'look at it: aiida-embarrier model show {node.pk}')
