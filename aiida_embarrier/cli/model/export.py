"""``aiida-embarrier model export``: a model as files for others."""

from __future__ import annotations

from pathlib import Path

import click

from aiida_embarrier.cli.output import echo_json
from aiida_embarrier.cli.params import FORMAT

__all__ = ('command',)


@click.command('export')
@click.argument('model', metavar='FOLDER-OR-NODE')
@click.option(
    '-o',
    '--output',
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    metavar='FOLDER',
    help='Folder for model.safetensors and model.json; made if there is none.',
)
@click.option('--title', help='One line for people, instead of that of the card.')
@click.option('--licence', help='Licence of the weights.')
@click.option('--limits', help='What the model is not good for.')
@click.option('--source', help='Address or DOI of its origin.')
@click.option('--overwrite', is_flag=True, help='Replace the files of a model that are there.')
@click.option('-p', '--profile', metavar='NAME', envvar='AIIDA_PROFILE', help='AiiDA profile to look for nodes in.')
@FORMAT
def command(
    model: str, output: Path, overwrite: bool, profile: str | None, output_format: str, **about: str | None
) -> None:
    """Write a model for others: its weights (safetensors) and its card (JSON), which were checked before.

    The node is a model, or a process that made one. What --title and the like say is in the card that is written.
    """
    from aiida_embarrier.cli.model.loading import load_any_model
    from aiida_embarrier.jobs.learning import CARD_FILE, WEIGHTS_FILE

    found = load_any_model(model, profile)
    files = output / WEIGHTS_FILE, output / CARD_FILE
    there = [path for path in files if path.exists()]
    if there and not overwrite:
        raise click.ClickException(
            f'{there[0]} is there already: choose another folder, or replace it with --overwrite'
        )
    changes = {key: value for key, value in about.items() if value is not None}
    if found.node is not None and found.card.source is None and 'source' not in changes:
        changes['source'] = f'AiiDA node {found.node.uuid}'
    text = found.card.model_copy(update=changes).model_dump_json(indent=1)
    output.mkdir(parents=True, exist_ok=True)
    for path, content in zip(files, (found.weights, text.encode()), strict=True):
        partial = path.with_name(f'.{path.name}.part')
        partial.write_bytes(content)
        partial.replace(path)
    if output_format == 'json':
        echo_json({'files': files, 'weights_sha256': found.card.weights_sha256})
        return
    for path in files:
        click.echo(f'wrote {path} ({path.stat().st_size:,} bytes)')
    if changes.get('licence', found.card.licence) is None:
        click.echo('\nthe card names no licence: say under which others may use the weights with --licence')
