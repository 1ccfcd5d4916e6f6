"""``aiida-embarrier show``: a result and what a reader must know about it."""

from __future__ import annotations

import click

from aiida_embarrier.cli.output import echo_json
from aiida_embarrier.cli.params import FORMAT, find_node, with_profile

__all__ = ('command',)


@click.command('show')
@click.argument('node')
@FORMAT
@with_profile
def command(node: str, output_format: str) -> None:
    """Show NODE (PK or UUID): the barriers of a band, or of the process that computed one, or what a study found."""
    from aiida_embarrier.cli.views import view_of

    found = find_node(node)
    view = view_of(found)
    description = view.describe(found)
    if output_format == 'json':
        echo_json(description)
    else:
        view.echo(description)
