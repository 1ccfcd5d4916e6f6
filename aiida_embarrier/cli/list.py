"""``aiida-embarrier list``: the bands of a profile, filtered."""

from __future__ import annotations

from typing import Any

import click

from aiida_embarrier.cli.bands import BAND_FILTERS, BAND_TABLE, find_listed, nothing_found
from aiida_embarrier.cli.output import echo_json, echo_table
from aiida_embarrier.cli.params import FORMAT, with_profile
from aiida_embarrier.cli.tables import records

__all__ = ('command',)


@click.command('list')
@BAND_FILTERS
@FORMAT
@with_profile
def command(filters: dict[str, Any], output_format: str) -> None:
    """List the bands with energies, the newest first, with the process that somebody started for them."""
    rows = records(find_listed(filters))
    if output_format == 'json':
        echo_json(rows)
    elif rows:
        echo_table(rows, BAND_TABLE)
    else:
        click.echo(nothing_found())
