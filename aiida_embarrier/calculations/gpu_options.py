"""Options of jobs that want GPUs, as each scheduler takes them.

AiiDA knows no GPUs: Slurm and LSF get lines of their own. PBS wants GPUs in the same line as nodes and cores, which
AiiDA's plugins write themselves; :mod:`aiida_embarrier.calculations.gpu_schedulers` has two that add them there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ('gpu_options', 'gpu_settings')

#: What a name of a partition, an account or a kind of GPU may hold: it stands in a line of the job script.
_WORD = re.compile(r'[\w.:+@/-]+')


@dataclass(frozen=True)
class _Wish:
    """What a job wants: GPUs per node, nodes, cores per GPU, and the kind of GPU."""

    gpus: int
    nodes: int
    cpus_per_gpu: int
    gpu_type: str | None

    @property
    def with_mpi(self) -> bool:
        """Whether the scheduler starts the processes; on one node the worker does, so that no launcher is needed."""
        return self.nodes > 1

    @property
    def tasks(self) -> int:
        """Processes per node that the scheduler starts."""
        return self.gpus if self.with_mpi else 1

    @property
    def cpus_per_task(self) -> int:
        return self.cpus_per_gpu if self.with_mpi else self.gpus * self.cpus_per_gpu

    def resources(self, **more: int) -> dict[str, int]:
        return {'num_machines': self.nodes, 'num_mpiprocs_per_machine': self.tasks, **more}


def gpu_settings(gpus: int, nodes: int = 1) -> dict[str, Any]:
    """Return the `settings` of a job with the options that :func:`gpu_options` gives.

    :param gpus: GPUs of each node; 0 for none.
    :param nodes: number of nodes.
    """
    return {'device': 'cuda', 'devices': gpus, 'nodes': nodes} if gpus else {'device': 'cpu', 'nodes': nodes}


def gpu_options(
    scheduler: str,
    gpus: int,
    *,
    nodes: int = 1,
    cpus_per_gpu: int = 8,
    gpu_type: str | None = None,
    queue: str | None = None,
    account: str | None = None,
    wall_seconds: int | None = None,
    memory_gb: float | None = None,
    gres: bool = False,
) -> dict[str, Any]:
    """Return the options (`metadata.options`) of a job with GPUs; :func:`gpu_settings` are the settings beside them.

    On several nodes the scheduler starts one process per GPU, with the command that the computer has for MPI (for Slurm
    `srun`: ``computer.set_mpirun_command(['srun', '-n', '{tot_num_mpiprocs}'])``); on one, the worker does.

    :param scheduler: of the computer, as AiiDA names it (``computer.scheduler_type``), with or without `core.`:
        `slurm`, `embarrier.pbspro`, `embarrier.torque`, `lsf`, or `direct` for none.
    :param gpus: GPUs of each node.
    :param nodes: number of nodes.
    :param cpus_per_gpu: cores for each GPU, which build graphs and batches.
    :param gpu_type: kind of GPU by the name that the cluster gives it (`a100`); Slurm and LSF only.
    :param queue: partition or queue.
    :param account: account or project.
    :param wall_seconds: wall time; the worker stops itself at 0.95 of it.
    :param memory_gb: memory of each node in GB.
    :param gres: for a Slurm that knows ``--gres=gpu:...`` only.
    :raises ValueError: for schedulers that this does not know, and for what cannot be, with the remedy.
    """
    wall = 1 if wall_seconds is None else wall_seconds
    for name, number in (('gpus', gpus), ('nodes', nodes), ('cpus_per_gpu', cpus_per_gpu), ('wall_seconds', wall)):
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise ValueError(f'`{name}` is a whole number above 0, got {number!r}')
    if memory_gb is not None and not memory_gb > 0:
        raise ValueError(f'`memory_gb` is a number above 0, got {memory_gb!r}')
    for name, word in (('gpu_type', gpu_type), ('queue', queue), ('account', account)):
        if word is not None and not _WORD.fullmatch(word):
            raise ValueError(f'`{name}` is a word as the scheduler knows it, got {word!r}')
    kind = scheduler.removeprefix('core.')
    if kind not in _WRITERS:
        raise ValueError(_unknown(kind))
    wish = _Wish(gpus, nodes, cpus_per_gpu, gpu_type)
    if kind == 'direct' and nodes > 1:
        raise ValueError('without a scheduler there is one node: leave `nodes` at 1')
    if gpu_type is not None and kind not in {'slurm', 'lsf'}:
        raise ValueError(f'{kind} has no common way to ask for a kind of GPU ({gpu_type!r}): choose a `queue` with it')
    options = _WRITERS[kind](wish, gres) if kind == 'slurm' else _WRITERS[kind](wish)
    options['withmpi'] = wish.with_mpi
    if kind == 'direct':
        return {**options, **({'max_wallclock_seconds': wall_seconds} if wall_seconds else {})}
    memory = None if memory_gb is None else int(memory_gb * 1e6)
    named = {
        'queue_name': queue,
        'account': account,
        'max_wallclock_seconds': wall_seconds,
        'max_memory_kb': memory,
    }
    return {**options, **{name: value for name, value in named.items() if value is not None}}


def _slurm(wish: _Wish, gres: bool) -> dict[str, Any]:
    kind = '' if wish.gpu_type is None else f'{wish.gpu_type}:'
    line = f'--gres=gpu:{kind}{wish.gpus}' if gres else f'--gpus-per-node={kind}{wish.gpus}'
    options: dict[str, Any] = {
        'resources': wish.resources(num_cores_per_mpiproc=wish.cpus_per_task),
        'custom_scheduler_commands': f'#SBATCH {line}',
    }
    if wish.with_mpi:  # since Slurm 22.05 a step does not take the cores per task from its job
        options['prepend_text'] = 'export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK'
    return options


def _pbs(wish: _Wish) -> dict[str, Any]:
    cores = wish.gpus * wish.cpus_per_gpu
    return {'resources': wish.resources(num_cores_per_machine=cores, num_gpus_per_machine=wish.gpus)}


def _lsf(wish: _Wish) -> dict[str, Any]:
    kind = '' if wish.gpu_type is None else f':gmodel={wish.gpu_type}'
    lines = [f'#BSUB -gpu "num={wish.gpus}/host{kind}:mode=shared:j_exclusive=yes"']
    if wish.with_mpi:  # a slot is a process, and gets cores
        slots = wish.nodes * wish.tasks
        lines.append(f'#BSUB -R "span[ptile={wish.tasks}] affinity[core({wish.cpus_per_task})]"')
    else:  # a slot is a core of the one process
        slots = wish.cpus_per_task
        lines.append('#BSUB -R "span[hosts=1]"')
    return {'resources': {'tot_num_mpiprocs': slots}, 'custom_scheduler_commands': '\n'.join(lines)}


def _direct(wish: _Wish) -> dict[str, Any]:
    return {'resources': wish.resources()}


_WRITERS: dict[str, Callable[..., dict[str, Any]]] = {
    'slurm': _slurm,
    'embarrier.pbspro': _pbs,
    'embarrier.torque': _pbs,
    'lsf': _lsf,
    'direct': _direct,
}


def _unknown(kind: str) -> str:
    if kind in {'pbs', 'pbspro', 'torque'}:
        own = 'torque' if kind == 'torque' else 'pbspro'
        return (
            f"AiiDA's own plugin for {kind} cannot ask for GPUs: set the computer up with the scheduler "
            f'`embarrier.{own}`, which does all that it does and that, too'
        )
    return (
        f'how to ask the scheduler {kind!r} for GPUs is not known here ({", ".join(_WRITERS)} are): write the options '
        'yourself, with `custom_scheduler_commands` as your cluster wants them'
    )
