"""Options of all launches: how something is computed, on which machine, and in which queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.params import (
    ENGINE,
    EXISTING_FILE,
    OVERRIDES,
    PROTOCOL,
    bundle,
    collect_overrides,
    read_mapping,
)

if TYPE_CHECKING:
    from pathlib import Path

    from aiida.orm import AbstractCode

__all__ = ('JOBS', 'METHOD', 'MIN_DISTANCE', 'N_IMAGES', 'POTENTIAL', 'QUANTITY', 'job_inputs', 'method_inputs')

POTENTIAL = click.option(
    '--potential', metavar='NAME', help='Interatomic potential: chgnet (default) or sevennet; others by --config.'
)

N_IMAGES = click.option('--images', 'n_images', type=int, metavar='N', help='Number of images, the endpoints included.')

MIN_DISTANCE = click.option(
    '--min-distance',
    'min_image_distance',
    type=float,
    metavar='Å',
    help='Distance between periodic images of the ion, with FILE.',
)

QUANTITY = click.option(
    '--quantity',
    type=click.Choice(['forward', 'reverse', 'rate_limiting', 'span']),
    help='The barrier that is compared; forward unless given.',
)

#: How a barrier is computed; :func:`method_inputs` takes the mapping `method`.
METHOD = bundle('method', ENGINE, PROTOCOL, OVERRIDES)

#: The code and the options of its jobs; :func:`job_inputs` takes the mapping `jobs`.
JOBS = bundle(
    'jobs',
    click.option('--code', metavar='LABEL', help='Code of the engine; embarrier-worker@localhost unless given.'),
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
        help='Cores that each job asks its scheduler for; 1 unless given.',
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
    config: Path | None,
    settings: tuple[str, ...],
    potential: str | None = None,
    **values: Any,
) -> dict[str, Any]:
    """Return keyword arguments of `get_builder_from_protocol` for the options of :data:`METHOD`.

    :param potential: the option ``--potential``.
    :param values: keys of the protocol whose own options were given; None for those that were not.
    """
    overrides = collect_overrides(config, settings)
    overrides.update({key: value for key, value in values.items() if value is not None})
    if potential is not None:
        overrides.setdefault('engine', {}).setdefault('potential', {})['name'] = potential
    return {'engine': engine, 'protocol': protocol, 'overrides': overrides}


def job_inputs(
    code: str | None, wall_time: int | None, cores: int | None, queue: str | None, options_file: Path | None
) -> dict[str, Any]:
    """Return the code and the options of its jobs, keyword arguments of `get_builder_from_protocol`.

    :raises click.ClickException: where there is no such code, with the remedy.
    """
    options = {} if options_file is None else read_mapping(options_file, '--options')
    if wall_time is not None:
        options['max_wallclock_seconds'] = wall_time
    if queue is not None:
        options['queue_name'] = queue
    if cores is not None:
        options['resources'] = {'num_machines': 1, 'num_mpiprocs_per_machine': 1, 'num_cores_per_mpiproc': cores}
    return {'code': _load_code(code), 'options': options}


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
