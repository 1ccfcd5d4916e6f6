"""Options of all launches: how something is computed, on which machine, and in which queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.params import (
    CHARGE,
    ENGINE,
    EXISTING_FILE,
    FUNCTIONAL,
    HUBBARD_U,
    OVERRIDES,
    PROTOCOL,
    add_method,
    bundle,
    collect_overrides,
    read_mapping,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from aiida.orm import AbstractCode

    from aiida_embarrier.engines.base import Engine

__all__ = (
    'JOBS',
    'METHOD',
    'MIN_DISTANCE',
    'N_IMAGES',
    'POTENTIAL',
    'PREPARE_WITH',
    'QUANTITY',
    'RATTLE',
    'job_inputs',
    'job_options',
    'method_inputs',
)

POTENTIAL = click.option(
    '--potential', metavar='NAME', help='Interatomic potential: chgnet (default) or sevennet; others by --config.'
)

PREPARE_WITH = click.option(
    '--prepare-with',
    metavar='ENGINE',
    help='Cheaper engine that makes the starting band, such as potential before density functionals.',
)

N_IMAGES = click.option('--images', 'n_images', type=int, metavar='N', help='Number of images, the endpoints included.')

MIN_DISTANCE = click.option(
    '--min-distance',
    'min_image_distance',
    type=float,
    metavar='Å',
    help='Distance between periodic images of the ion, with FILE.',
)

RATTLE = click.option(
    '--rattle',
    type=float,
    metavar='Å',
    help='Random displacements of the atoms before endpoints are relaxed, so that these keep no symmetry; try 0.1. '
    'The seed: --set rattle_seed=N.',
)

QUANTITY = click.option(
    '--quantity',
    type=click.Choice(['forward', 'reverse', 'rate_limiting', 'span']),
    help='The barrier that is compared; forward unless given.',
)

#: How a barrier is computed; :func:`method_inputs` takes the mapping `method`.
METHOD = bundle('method', ENGINE, PROTOCOL, FUNCTIONAL, HUBBARD_U, CHARGE, OVERRIDES)

#: The code and the options of its jobs; :func:`job_inputs` takes the mapping `jobs`.
JOBS = bundle(
    'jobs',
    click.option(
        '--code',
        'codes',
        multiple=True,
        metavar='[PROGRAM=]LABEL',
        help='Code of the engine, one for each of its programs; embarrier-worker@localhost, vasp@localhost, '
        'pw@localhost, neb@localhost unless given. Its calculation plugin says of which program, or say pw=LABEL.',
    ),
    click.option(
        '--wall-time',
        type=click.IntRange(min=1),
        metavar='SECONDS',
        help='Wall time of each job; it is continued after that.',
    ),
    click.option(
        '--cores',
        type=click.IntRange(min=1),
        metavar='N',
        help='Cores that each job asks its scheduler for: threads of the worker, MPI ranks of other programs.',
    ),
    click.option('--queue', metavar='NAME', help='Queue or partition of the jobs.'),
    click.option(
        '--options',
        'options_file',
        type=EXISTING_FILE,
        metavar='YAML',
        help='File with further options of the jobs, as AiiDA names them: account, custom_scheduler_commands, ...',
    ),
)


def method_inputs(
    engine: str,
    protocol: str | None,
    functional: str | None,
    hubbard_u: dict[str, float],
    charge: float | None,
    config: Path | None,
    settings: tuple[str, ...],
    potential: str | None = None,
    prepare_with: str | None = None,
    resolve: Callable[..., Any] | None = None,
    further: Mapping[str, Any] | None = None,
    **values: Any,
) -> dict[str, Any]:
    """Return keyword arguments of `get_builder_from_protocol` for the options of :data:`METHOD`.

    :param potential: the option ``--potential``.
    :param prepare_with: the option ``--prepare-with``.
    :param resolve: what resolves the protocol of the process; None for that of barriers.
    :param further: values of the protocol that come from elsewhere; those of the options go before them.
    :param values: keys of the protocol whose own options were given; None for those that were not.
    :raises click.UsageError: for options that do not go with the engine.
    :raises ValueError: for unknown engines, protocols, keys and functionals.
    """
    from aiida_embarrier.workflows.barrier_inputs import barrier_protocol
    from aiida_embarrier.workflows.studies import merge

    overrides = merge(further or {}, collect_overrides(config, settings))
    overrides.update({key: value for key, value in values.items() if value is not None})
    add_method(overrides, engine, functional, hubbard_u)
    if prepare_with is not None:
        overrides.setdefault('preparation', {})['with'] = prepare_with
    if potential is not None:
        place = overrides if engine == 'potential' else overrides.get('preparation', {})
        if engine != 'potential' and place.get('with') != 'potential':
            raise click.UsageError(
                f'--potential goes with --engine potential or --prepare-with potential, not {engine}'
            )
        place.setdefault('engine', {}).setdefault('potential', {})['name'] = potential
    (resolve or barrier_protocol)(engine, protocol, overrides)  # what is misspelt is said before a code is looked for
    given = {} if charge is None else {'charge': charge}
    return {'engine': engine, 'protocol': protocol, 'overrides': overrides, **given}


def job_inputs(
    method: Mapping[str, Any],
    codes: tuple[str, ...],
    wall_time: int | None,
    cores: int | None,
    queue: str | None,
    options_file: Path | None,
) -> dict[str, Any]:
    """Return the codes and the options of their jobs, keyword arguments of `get_builder_from_protocol`.

    :param method: from :func:`method_inputs`.
    :raises click.ClickException: where there is no such code, with the remedy.
    """
    from aiida_embarrier.engines.base import get_engine

    preparer = method['overrides'].get('preparation', {}).get('with')
    engines = [get_engine(name) for name in dict.fromkeys((method['engine'], preparer)) if name is not None]
    return {
        'code': _load_codes(codes, engines),
        'options': job_options(method, wall_time, cores, queue, options_file),
    }


def job_options(
    method: Mapping[str, Any],
    wall_time: int | None,
    cores: int | None,
    queue: str | None,
    options_file: Path | None,
    **_: Any,
) -> dict[str, Any]:
    """Return the options of jobs, for which no code is needed; parameters as of :func:`job_inputs`."""
    from aiida_embarrier.engines.base import get_engine

    options = {} if options_file is None else read_mapping(options_file, '--options')
    if wall_time is not None:
        options['max_wallclock_seconds'] = wall_time
    if queue is not None:
        options['queue_name'] = queue
    if cores is not None:
        options['resources'] = get_engine(method['engine']).resources(cores)
    return options


def _load_codes(labels: tuple[str, ...], engines: list[Engine]) -> AbstractCode | dict[str, AbstractCode] | None:
    """Return the code of each program of engines; one alone where there is one program."""
    programs = {name: plugin for engine in engines for name, plugin in engine.codes.items()}
    codes: dict[str, AbstractCode] = {}
    for text in labels:
        program, equals, label = text.partition('=')
        if equals and program not in programs:
            known = ', '.join(programs) or 'none'
            raise click.BadParameter(
                f'{" and ".join(engine.name for engine in engines)} run no program {program!r}; there is: {known}',
                param_hint='--code',
            )
        code = _load_code(label if equals else text)
        name = program if equals else _program_of(code, programs)
        if name in codes:
            raise click.BadParameter(f'two codes for {name}: name one, or say PROGRAM=LABEL', param_hint='--code')
        codes[name] = code
    for name, plugin in programs.items():
        if name not in codes:
            codes[name] = _load_code(f'{name}@localhost', name, plugin)
    return codes if len(programs) > 1 else next(iter(codes.values()), None)


def _program_of(code: AbstractCode, programs: Mapping[str, str]) -> str:
    """Return which of the programs a code is, by its default calculation plugin."""
    if len(programs) == 1:
        return next(iter(programs))
    plugin = code.default_calc_job_plugin or ''
    exact = [name for name, wanted in programs.items() if wanted == plugin]
    similar = [name for name, wanted in programs.items() if plugin and wanted.split('.')[0] == plugin.split('.')[0]]
    for found in (exact, similar):
        if len(found) == 1:
            return found[0]
    raise click.BadParameter(
        f'which program is the code {code.full_label!r}? Its default calculation plugin is {plugin or "not set"}: say '
        f'{" or ".join(f"{name}={code.full_label}" for name in programs)}',
        param_hint='--code',
    )


def _load_code(label: str, program: str | None = None, plugin: str | None = None) -> AbstractCode:
    """Return a code.

    :param program: the program that was looked for under its usual label.
    :param plugin: the calculation plugin of its code.
    """
    from aiida.common.exceptions import NotExistent
    from aiida.orm import load_code

    try:
        return load_code(label)
    except NotExistent as error:
        if program is None or program == 'embarrier-worker':
            remedy = '`aiida-embarrier setup` makes the one of the worker, `verdi code list` shows what there is'
        else:
            remedy = (
                f'name the code of {program} (--code {program}=LABEL), or make one: `verdi code create '
                f'core.code.installed --label {program} --computer localhost --default-calc-job-plugin {plugin}`'
            )
        raise click.ClickException(f'there is no code {label!r} in this profile: {remedy}') from error
