"""Options of launches whose jobs may use GPUs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.params import bundle

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiida.orm import AbstractCode

__all__ = ('GPUS', 'gpu_inputs', 'hardware_asked')

#: Which GPUs a job asks for; :func:`gpu_inputs` takes the mapping `gpus`.
GPUS = bundle(
    'gpus',
    click.option(
        '--gpus', 'n_gpus', type=click.IntRange(min=1), metavar='N', help='GPUs that each job asks for on each node.'
    ),
    click.option('--nodes', type=click.IntRange(min=1), metavar='N', help='With --gpus: nodes of each job; 1.'),
    click.option('--gpu-type', metavar='NAME', help='With --gpus: kind of GPU as the cluster calls it, such as a100.'),
    click.option(
        '--cpus-per-gpu',
        type=click.IntRange(min=1),
        metavar='N',
        help='With --gpus: cores for each of them, which build graphs and batches; 8.',
    ),
)


def hardware_asked(
    hardware: Mapping[str, Any],
    n_gpus: int | None,
    nodes: int | None,
    gpu_type: str | None,
    cpus_per_gpu: int | None,
) -> tuple[dict[str, Any], int | None, dict[str, Any]]:
    """Return the `settings` of jobs, the GPUs of each node (None for none), and what else is asked of the scheduler.

    :param hardware: what a file says of the machine; where that asks for `cuda`, its `devices` and `nodes` are asked of
        the scheduler as if the options of the command line said so. Those win.
    :raises click.UsageError: for options that need `--gpus`.
    """
    from aiida_embarrier.calculations.gpu_options import gpu_settings

    settings = dict(hardware)
    if settings.get('device') == 'cuda':
        n_gpus, nodes = n_gpus or settings.get('devices', 1), nodes or settings.get('nodes')
    further: dict[str, Any] = {'nodes': nodes, 'gpu_type': gpu_type, 'cpus_per_gpu': cpus_per_gpu}
    given = {name: value for name, value in further.items() if value is not None}
    if n_gpus is not None:
        settings |= gpu_settings(n_gpus, given.get('nodes', 1))
    elif given:
        name = next(iter(given)).replace('_', '-')
        raise click.UsageError(f'--{name} goes with --gpus, or with `device: cuda` under `hardware` in the file')
    return settings, n_gpus, given


def gpu_inputs(
    code: AbstractCode,
    hardware: Mapping[str, Any],
    **asked: Any,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the `settings` of jobs, and their options for the scheduler of a code's computer.

    :param hardware: what a file says of the machine.
    :param asked: what the command line says, as :func:`hardware_asked` takes it.
    :raises click.UsageError: for options that need `--gpus`.
    :raises ValueError: for schedulers that have no known way to ask for GPUs, with the remedy.
    """
    from aiida_embarrier.calculations.gpu_options import gpu_options

    settings, n_gpus, further = hardware_asked(hardware, **asked)
    return settings, {} if n_gpus is None else gpu_options(code.computer.scheduler_type, n_gpus, **further)
