"""``aiida-embarrier query from``: everything computed from a crystal."""

from __future__ import annotations

from pathlib import Path

import click

from aiida_embarrier.cli.bands import BAND_TABLE
from aiida_embarrier.cli.output import Column, echo_json, echo_table
from aiida_embarrier.cli.params import FORMAT, find_node, with_profile
from aiida_embarrier.cli.tables import records

__all__ = ('command',)

CRYSTALS = (Column('PK', 'pk', 'd'), Column('crystal', 'name'), Column('found by', 'match'))
PROCESSES = (
    Column('PK', 'pk', 'd'),
    Column('process', 'process'),
    Column('label', 'label'),
    Column('state', 'state'),
    Column('exit', 'exit_status', 'd'),
    Column('steps', 'n_steps', 'd'),
    Column('started', lambda row: f'{row["ctime"]:%Y-%m-%d %H:%M}'),
)


@click.command('from')
@click.argument('crystal')
@click.option(
    '--all', 'replaced', is_flag=True, help='Also bands in place of which a later job of the same process left another.'
)
@FORMAT
@with_profile
def command(crystal: str, replaced: bool, output_format: str) -> None:
    """Everything computed from CRYSTAL, a node (PK or UUID) or a file.

    Of a file, all crystals of the database that are the same: by content, or by pymatgen's StructureMatcher among those
    that no process made.
    """
    from aiida.orm import ProcessNode

    from aiida_embarrier.queries.computed_from import bands_from, crystal_of, find_crystals, processes_from

    if Path(crystal).is_file():
        crystals = find_crystals(crystal)
    else:
        if '.' in crystal or '/' in crystal:
            raise click.ClickException(f'there is no file {crystal!r}')
        node = find_node(crystal)
        if isinstance(node, ProcessNode):
            raise click.ClickException(f'node {node.pk} is a process ({node.process_label}): name the crystal it used')
        crystals = crystal_of(node.pk)
    bands, processes = (
        question(crystals['pk']) for question in (lambda pks: bands_from(pks, replaced), processes_from)
    )
    found = {'crystals': records(crystals), 'bands': records(bands), 'processes': records(processes)}
    if output_format == 'json':
        echo_json(found)
        return
    if not found['crystals']:
        click.echo(f'The crystal in {crystal} is not in this profile.')
        return
    echo_table(found['crystals'], CRYSTALS)
    click.echo()
    if not found['processes']:
        click.echo('Nothing has been computed from it.')
        return
    echo_table(found['processes'], PROCESSES)
    click.echo()
    if found['bands']:
        echo_table(found['bands'], BAND_TABLE)
    else:
        click.echo('No band with energies came of it.')
