"""How many cores and how much memory this process may use."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ('available_cores', 'available_memory')

PROC = Path('/proc')
CGROUP = Path('/sys/fs/cgroup')


class _MemoryFiles(NamedTuple):
    """Names in the folder of a control group: its limit, its use, and the entry of memory.stat for cold page cache."""

    limit: str
    usage: str
    cache: str


MEMORY_FILES = (
    _MemoryFiles('memory.max', 'memory.current', 'inactive_file'),  # version 2
    _MemoryFiles('memory.limit_in_bytes', 'memory.usage_in_bytes', 'total_inactive_file'),  # version 1
)


def available_cores(proc: Path = PROC, cgroup: Path = CGROUP) -> int:
    """Return the number of cores: the least of the affinity mask, the quotas of control groups, and Slurm's word.

    :param proc: where the files of processes are.
    :param cgroup: where control groups are mounted.
    """
    counts = [len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1]
    for group in _groups('cpu', proc, cgroup):
        quota, period = [*_read(group / 'cpu.max').split(), '', ''][:2]
        if not quota:
            quota, period = (_read(group / f'cpu.cfs_{name}_us').strip() for name in ('quota', 'period'))
        if quota.isdigit() and period.isdigit():
            counts.append(max(1, int(quota) // int(period)))
    tasks = _slurm('CPUS_PER_TASK')
    if tasks:
        counts.append(tasks)
    return min(counts)


def available_memory(proc: Path = PROC, cgroup: Path = CGROUP) -> int | None:
    """Return the free memory in bytes; None if unknown.

    It is the least of what the machine has free, what is left in the control group of this process and in those around
    it (page cache that is not in use counts as free there), and what Slurm gave the job on this node.

    :param proc: where the files of processes are.
    :param cgroup: where control groups are mounted.
    """
    lines = _read(proc / 'meminfo').splitlines()
    free = [int(line.split()[1]) * 1024 for line in lines if line.startswith('MemAvailable:')]
    for group in _groups('memory', proc, cgroup):
        for files in MEMORY_FILES:
            limit, usage = _read(group / files.limit).strip(), _read(group / files.usage).strip()
            if limit.isdigit() and usage.isdigit():
                used = max(0, int(usage) - _entry(group / 'memory.stat', files.cache))
                free.append(max(0, int(limit) - used))
    cores = _slurm('CPUS_ON_NODE') or available_cores(proc, cgroup)
    allotted = _slurm('MEM_PER_NODE') or _slurm('MEM_PER_CPU') * cores
    if allotted:
        free.append(allotted * 1024**2)
    return min(free, default=None)


def _groups(controller: str, proc: Path, cgroup: Path) -> Iterator[Path]:
    """Yield the folders of the control groups of this process for a controller, innermost first.

    Both versions may be mounted at once. In a container the path of a group may be that outside, which cannot be seen
    here; the root of what is mounted is the container's own then.
    """
    for line in _read(proc / 'self' / 'cgroup').splitlines() or ['0::/', f'1:{controller}:/']:
        _, names, path = line.split(':', 2)
        if names and controller not in names.split(','):
            continue
        mounts = [cgroup / controller] if names else [cgroup, cgroup / 'unified']
        group = Path(path.lstrip('/'))
        inner = [] if '..' in group.parts else [group, *group.parents]
        for mount in mounts:
            yield from (mount / part for part in inner or [Path()])


def _slurm(name: str) -> int:
    """Return a number that Slurm set in the environment of the job, 0 where it did not; memory is in MiB."""
    value = os.environ.get(f'SLURM_{name}', '')
    return int(value) if value.isdigit() else 0


def _entry(path: Path, name: str) -> int:
    """Return a number from a file of lines `name number`, 0 where it is not there."""
    return next((int(line.split()[1]) for line in _read(path).splitlines() if line.startswith(f'{name} ')), 0)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ''
