"""How many cores and how much memory this process may use."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ('available_cores', 'available_memory')

CGROUP = Path('/sys/fs/cgroup')
#: Limit and usage of a control group, versions 2 and 1.
MEMORY_FILES = (
    ('memory.max', 'memory.current'),
    ('memory/memory.limit_in_bytes', 'memory/memory.usage_in_bytes'),
)


def available_cores() -> int:
    """Return the number of cores: the least of the affinity mask, the quota of the control group, and Slurm's word."""
    counts = [len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1]
    quota, period = _cpu_quota()
    if quota is not None:
        counts.append(max(1, int(quota / period)))
    tasks = os.environ.get('SLURM_CPUS_PER_TASK', '')
    if tasks.isdigit() and int(tasks) > 0:
        counts.append(int(tasks))
    return min(counts)


def available_memory() -> int | None:
    """Return the free memory in bytes, within the limit of the control group where there is one; None if unknown."""
    lines = _read(Path('/proc/meminfo')).splitlines()
    limits = [int(line.split()[1]) * 1024 for line in lines if line.startswith('MemAvailable:')]
    for limit, usage in MEMORY_FILES:
        allowed, used = _read(CGROUP / limit).strip(), _read(CGROUP / usage).strip()
        if allowed.isdigit() and used.isdigit():
            limits.append(max(0, int(allowed) - int(used)))
    return min(limits, default=None)


def _cpu_quota() -> tuple[float | None, float]:
    version_2 = _read(CGROUP / 'cpu.max').split()
    if len(version_2) == 2 and version_2[0].isdigit():
        return float(version_2[0]), float(version_2[1])
    quota, period = (_read(CGROUP / 'cpu' / f'cpu.cfs_{name}_us').strip() for name in ('quota', 'period'))
    if quota.isdigit() and period.isdigit():
        return float(quota), float(period)
    return None, 1.0


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ''
