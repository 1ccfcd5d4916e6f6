"""``aiida-embarrier import``: finished calculations of other programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.output import Column, echo_json, echo_table
from aiida_embarrier.cli.params import FORMAT, with_profile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from aiida.orm import ProcessNode

__all__ = ('command',)

TABLE = (
    Column('process', 'process', 'd'),
    Column('folder', 'folder', width=40),
    Column('formula', 'formula'),
    Column('ion', 'mobile_ion'),
    Column('functional', 'functional'),
    Column('converged', 'converged'),
    Column('forward (eV)', 'barrier_forward', '.3f'),
    Column('warnings', 'n_warnings', 'd'),
)


@click.group('import')
def command() -> None:
    """Import finished calculations that did not run through AiiDA."""


def _options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command what all imports take."""
    import pathlib

    for option in reversed(
        (
            click.argument(
                'folders',
                nargs=-1,
                required=True,
                metavar='FOLDER...',
                type=click.Path(exists=True, file_okay=False, path_type=pathlib.Path),
            ),
            click.option(
                '--mechanism',
                type=click.Choice(['vacancy', 'interstitial', 'any']),
                help='How the ion moves, which files do not tell; `any` is found where several atoms hop.',
            ),
            click.option(
                '--computer',
                default='localhost',
                show_default=True,
                metavar='LABEL',
                help='The computer that the folder is recorded to lie on; it has to be readable here.',
            ),
            click.option('-G', '--group', metavar='LABEL', help='Put the imported processes into this group.'),
            FORMAT,
            with_profile,
        )
    ):
        function = option(function)
    return function


@command.command('vasp')
@_options
def import_vasp(**options: Any) -> None:
    """Import NEB calculations of VASP, each from the FOLDER that holds INCAR and 00, 01, ... NN.

    Files may be compressed (gz, xz, bz2). What is missing stays unknown: energies of endpoints need their OUTCARs in
    their folders, as nebresults.pl of the VTST tools does. No POTCAR is stored.
    """
    _import('embarrier.import.vasp', **options)


@command.command('quantumespresso')
@_options
def import_quantumespresso(**options: Any) -> None:
    """Import runs of neb.x of Quantum ESPRESSO, each from the FOLDER in which it ran."""
    _import('embarrier.import.quantumespresso', **options)


def _import(
    entry_point: str,
    folders: tuple[Path, ...],
    mechanism: str | None,
    computer: str,
    group: str | None,
    output_format: str,
) -> None:
    """Import folders one after another; one that cannot be imported does not end the others."""
    imported: list[tuple[Path, ProcessNode]] = []
    refused: dict[Path, str] = {}
    for folder in folders:
        try:
            process = _run(entry_point, folder.resolve(), mechanism, computer)
        except ValueError as error:
            refused[folder] = str(error)
            continue
        if process.is_finished_ok:
            imported.append((folder, process))
        else:
            refused[folder] = process.exit_message or f'`verdi process report {process.pk}` tells more'
    if group is not None and imported:
        from aiida.orm import Group

        Group.collection.get_or_create(label=group)[0].add_nodes([process for _, process in imported])
    _report(imported, single=len(folders) == 1, output_format=output_format)
    if refused:
        raise click.ClickException('\n'.join(f'{folder}: {reason}' for folder, reason in refused.items()))


def _run(entry_point: str, folder: Path, mechanism: str | None, computer: str) -> ProcessNode:
    """Import one folder and return its process.

    :raises ValueError: for a folder that holds no such calculation.
    """
    from aiida.orm import RemoteData, load_computer
    from aiida.plugins import CalcJobImporterFactory, CalculationFactory

    from aiida_embarrier.cli.running import run_in_terminal
    from aiida_embarrier.engines.potential.setup import setup_computer

    machine = setup_computer()[0] if computer == 'localhost' else load_computer(computer)
    remote = RemoteData(remote_path=str(folder), computer=machine)
    builder = CalculationFactory(entry_point).get_builder()
    inputs = CalcJobImporterFactory(entry_point).parse_remote_data(remote, mechanism=mechanism)
    for name, value in {'remote_folder': remote, **inputs}.items():
        setattr(builder, name, value)
    builder.metadata.label = folder.name
    builder.metadata.description = f'imported from {folder}'
    return run_in_terminal(builder)


def _report(imported: list[tuple[Path, ProcessNode]], *, single: bool, output_format: str) -> None:
    from aiida_embarrier.cli.views import band as view

    descriptions = [(folder, process, view.describe(process)) for folder, process in imported]
    if output_format == 'json':
        results = [{'folder': folder, 'process': process.pk, **entry} for folder, process, entry in descriptions]
        echo_json(results[0] if single and results else results)
    elif single:
        for _, _, entry in descriptions:
            view.echo(entry)
    elif descriptions:
        echo_table(
            [
                {
                    **entry,
                    'folder': str(folder),
                    'process': process.pk,
                    'n_warnings': len(entry['summary']['warnings']),
                }
                for folder, process, entry in descriptions
            ],
            TABLE,
        )
        click.echo('\n`aiida-embarrier show PROCESS` tells barriers and warnings')
