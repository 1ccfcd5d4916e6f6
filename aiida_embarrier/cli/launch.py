"""``aiida-embarrier launch``: start a process, in this terminal or through the daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.output import echo_json
from aiida_embarrier.cli.params import (
    ENGINE,
    EXISTING_FILE,
    FORMAT,
    OVERRIDES,
    PROTOCOL,
    collect_overrides,
    last_band,
    load_band,
    read_mapping,
    with_profile,
)

if TYPE_CHECKING:
    from pathlib import Path

    from aiida.engine import ProcessBuilder
    from aiida.orm import AbstractCode, ProcessNode

__all__ = ('command',)

EXAMPLES = """\b
Examples:
  aiida-embarrier launch barrier LiFePO4.cif --ion Li --hop 0
  aiida-embarrier launch barrier --initial A.vasp --final B.vasp --images 5"""

NO_DAEMON = """the daemon is not running, so nothing was submitted. Start it, or leave out --submit to run here:

    verdi daemon start"""


@click.group('launch')
def command() -> None:
    """Start a process, in this terminal or (--submit) through the daemon."""


@command.command('barrier', epilog=EXAMPLES)
@click.argument('structure', metavar='[FILE]', type=EXISTING_FILE, required=False)
@click.option('--ion', metavar='SYMBOL', help='The migrating ion, with FILE.')
@click.option('--hop', type=int, metavar='N', help='Number of the hop, as `hops` lists them.')
@click.option(
    '--mechanism',
    type=click.Choice(['vacancy', 'interstitial', 'any']),
    default='vacancy',
    show_default=True,
    help='Mechanism; `any` lets several ions move between two given endpoints.',
)
@click.option('--max-length', type=float, metavar='Å', help='Longest hop, as given to `hops`; 5 Å.')
@click.option('--extra-vacancies', type=int, default=0, metavar='N', help='Further vacancies, as given to `hops`.')
@click.option('--symprec', type=float, metavar='Å', help='Tolerance of symmetry, as given to `hops`.')
@click.option('--initial', type=EXISTING_FILE, metavar='FILE', help='Initial endpoint, instead of FILE and --hop.')
@click.option('--final', type=EXISTING_FILE, metavar='FILE', help='Final endpoint.')
@click.option(
    '--lattice-policy',
    type=click.Choice(['refuse', 'initial', 'mean']),
    help='What to do with two endpoints whose lattices differ: take that of the initial one, or the mean.',
)
@click.option(
    '--as-written',
    is_flag=True,
    help='Let the ion move between the two endpoints as their coordinates say, not by the shortest way.',
)
@click.option('--min-distance', type=float, metavar='Å', help='Distance between periodic images of the ion, with FILE.')
@click.option(
    '--band', metavar='NODE', help='Band to go on from, instead of FILE: PK or UUID of a band or of a process.'
)
@ENGINE
@PROTOCOL
@OVERRIDES
@click.option(
    '--potential', metavar='NAME', help='Interatomic potential: chgnet (default) or sevennet; others by --config.'
)
@click.option('--images', type=int, metavar='N', help='Number of images, the endpoints included.')
@click.option('--code', metavar='LABEL', help='Code of the engine; embarrier-worker@localhost unless given.')
@click.option(
    '--wall-time',
    type=click.IntRange(min=1),
    metavar='SECONDS',
    help='Wall time of each job; it is continued after that.',
)
@click.option(
    '--cores',
    type=click.IntRange(min=1),
    metavar='N',
    help='Cores that each job asks its scheduler for; 1 unless given.',
)
@click.option('--queue', metavar='NAME', help='Queue or partition of the jobs.')
@click.option(
    '--options',
    'options_file',
    type=EXISTING_FILE,
    metavar='YAML',
    help='File with further options of the jobs, as AiiDA names them: account, custom_scheduler_commands, ...',
)
@click.option('--label', help='Label of the process node.')
@click.option('--submit', is_flag=True, help='Submit to the daemon and return at once.')
@FORMAT
@with_profile
def barrier(submit: bool, label: str | None, output_format: str, **given: Any) -> None:
    """Compute a migration barrier: of hop N of an ion in the crystal in FILE, between two endpoints, or from a band."""
    builder = _builder(**given)
    if label is not None:
        builder.metadata.label = label
    if submit:
        node = _submit(builder)
        result: dict[str, Any] = {'pk': node.pk, 'uuid': node.uuid, 'state': node.process_state.value}
        if output_format == 'json':
            echo_json(result)
        else:
            click.echo(f'submitted {node.process_label} {node.pk}\n')
            click.echo(f'how it goes:     verdi process report {node.pk}')
            click.echo(f'when it is done: aiida-embarrier show {node.pk}')
        return
    _report(_run(builder), output_format)


def _builder(
    structure: Path | None,
    ion: str | None,
    hop: int | None,
    mechanism: str,
    max_length: float | None,
    extra_vacancies: int,
    symprec: float | None,
    initial: Path | None,
    final: Path | None,
    lattice_policy: str | None,
    as_written: bool,
    min_distance: float | None,
    band: str | None,
    engine: str,
    protocol: str | None,
    config: Path | None,
    settings: tuple[str, ...],
    potential: str | None,
    images: int | None,
    code: str | None,
    **job: Any,
) -> ProcessBuilder:
    from aiida_embarrier.data.convert import node_from_structure
    from aiida_embarrier.structures.reading import read_structure
    from aiida_embarrier.workflows.barrier import MigrationBarrierWorkChain

    overrides = collect_overrides(config, settings)
    if images is not None:
        overrides['n_images'] = images
    if min_distance is not None:
        overrides['min_image_distance'] = min_distance
    if potential is not None:
        overrides.setdefault('engine', {}).setdefault('potential', {})['name'] = potential
    inputs: dict[str, Any] = {
        'engine': engine,
        'protocol': protocol,
        'overrides': overrides,
        'options': _job_options(**job),
    }
    if band is not None:
        if any(value is not None for value in (structure, ion, hop, initial, final)):
            raise click.UsageError('--band stands alone: leave out FILE, --ion, --hop, --initial and --final')
        inputs['band'] = load_band(band)
    elif structure is not None:
        if initial is not None or final is not None or lattice_policy is not None or as_written:
            raise click.UsageError(
                'give FILE with --ion and --hop, or --initial and --final, not both; '
                '--lattice-policy and --as-written go with the latter'
            )
        if ion is None or hop is None:
            raise click.UsageError(
                f'--ion and --hop are needed with FILE; `aiida-embarrier hops {structure} --ion ...` lists the hops'
            )
        crystal, kinds = node_from_structure(read_structure(structure))
        inputs.update(structure=crystal, kinds=kinds)
        inputs['hop'] = {'ion': ion, 'number': hop, 'mechanism': mechanism}
        if max_length is not None:
            inputs['hop']['max_length'] = max_length
        if symprec is not None:
            inputs['hop']['symprec'] = symprec
        if extra_vacancies:
            inputs['hop']['extra_vacancies'] = extra_vacancies
    elif initial is not None and final is not None:
        if ion is not None or hop is not None or max_length is not None or extra_vacancies:
            raise click.UsageError(
                'leave out --ion, --hop, --max-length and --extra-vacancies: two endpoints say themselves what moves'
            )
        inputs['alignment'] = {
            **({} if lattice_policy is None else {'lattice_policy': lattice_policy}),
            **({'keep_images': True} if as_written else {}),
        } or None
        first, kinds = node_from_structure(read_structure(initial))
        last, _ = node_from_structure(read_structure(final))
        inputs.update(initial=first, final=last, kinds=kinds, mechanism=mechanism)
    else:
        raise click.UsageError('give a crystal FILE with --ion and --hop, or both --initial and --final, or a --band')
    return MigrationBarrierWorkChain.get_builder_from_protocol(_load_code(code), **inputs)


def _job_options(
    wall_time: int | None, cores: int | None, queue: str | None, options_file: Path | None
) -> dict[str, Any]:
    """Return the options of the jobs."""
    options = {} if options_file is None else read_mapping(options_file, '--options')
    if wall_time is not None:
        options['max_wallclock_seconds'] = wall_time
    if queue is not None:
        options['queue_name'] = queue
    if cores is not None:
        options['resources'] = {'num_machines': 1, 'num_mpiprocs_per_machine': 1, 'num_cores_per_mpiproc': cores}
    return options


def _load_code(label: str | None) -> AbstractCode:
    from aiida.common.exceptions import NotExistent
    from aiida.orm import load_code

    wanted = label or 'embarrier-worker@localhost'
    try:
        return load_code(wanted)
    except NotExistent as error:
        raise click.ClickException(
            f'there is no code {wanted!r} in this profile: `aiida-embarrier setup` makes the one of the worker, '
            '`verdi code list` shows what there is'
        ) from error


def _submit(builder: ProcessBuilder) -> ProcessNode:
    from aiida.common.exceptions import InvalidOperation
    from aiida.engine import submit
    from aiida.manage import get_manager

    profile = get_manager().get_profile()
    if profile is not None and profile.process_control_backend is None:
        raise click.ClickException(
            'this profile has no broker, so nothing can be submitted: leave out --submit, or '
            '`verdi profile configure-broker core.zeromq`'
        )
    if not get_manager().get_daemon_client().is_daemon_running:
        raise click.ClickException(NO_DAEMON)
    try:
        return submit(builder)
    except InvalidOperation as error:
        raise click.ClickException(f'{NO_DAEMON}\n\n({error})') from error


def _run(builder: ProcessBuilder) -> ProcessNode:
    from aiida_embarrier.cli.running import Interrupted, run_in_terminal

    try:
        return run_in_terminal(builder)
    except Interrupted as interrupt:
        band = last_band(interrupt.node)
        rest = (
            'nothing was computed of the band yet'
            if band is None
            else f'its last band is node {band.pk}, go on from it: aiida-embarrier launch barrier --band {band.pk}'
        )
        raise click.ClickException(f'interrupted: process {interrupt.node.pk} was ended; {rest}') from interrupt


def _report(node: ProcessNode, output_format: str) -> None:
    """Print the result of a process; end with exit code 1 where it failed."""
    from aiida_embarrier.cli.show import describe_band, echo_band
    from aiida_embarrier.engines.base import why

    description = describe_band(node.outputs.band) if 'band' in node.outputs else None
    if output_format == 'json':
        result = {'pk': node.pk, 'uuid': node.uuid, 'exit_status': node.exit_status, 'exit_message': node.exit_message}
        echo_json({**result, 'band': description})
    elif description is not None:
        echo_band(description)
    if not node.is_finished_ok:
        raise click.ClickException(
            f'process {node.pk} failed [{node.exit_status}]: {why(node)}\n'
            f'`verdi process report {node.pk}` tells how far it came'
        )
    if output_format == 'text':
        click.echo(f'\ndraw it:  aiida-embarrier plot {node.pk} -o energy_path.png')
        click.echo(f'share it: aiida-embarrier export {node.pk} -o barrier.aiida')
