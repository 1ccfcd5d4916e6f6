"""Which of the processes that train a model together this one is; plain Python, known before torch is there."""

from __future__ import annotations

import os
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ('Place', 'place_of')

#: Number of processes, number of this one, and of this one on its node, as launchers of processes say it: torchrun and
#: the worker itself, srun, mpirun of Open MPI, mpiexec of MPICH and Intel MPI.
_LAUNCHERS = (
    ('WORLD_SIZE', 'RANK', 'LOCAL_RANK'),
    ('SLURM_STEP_NUM_TASKS', 'SLURM_PROCID', 'SLURM_LOCALID'),
    ('OMPI_COMM_WORLD_SIZE', 'OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_LOCAL_RANK'),
    ('PMI_SIZE', 'PMI_RANK', 'MPI_LOCALRANKID'),
)

#: What tells one job of a scheduler from another, of which the port is made.
_JOBS = ('SLURM_JOB_ID', 'SLURM_STEP_ID', 'SLURM_RESTART_COUNT', 'PBS_JOBID', 'LSB_JOBID', 'PMIX_NAMESPACE')


@dataclass(frozen=True)
class Place:
    """One of the processes that do a job.

    :param rank: its number; the first one, 0, writes what is written.
    :param world: how many there are.
    :param local_rank: its number on its node.
    :param address: where the first one is.
    :param port: where it listens.
    """

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    address: str = '127.0.0.1'
    port: int = 0

    @property
    def first(self) -> bool:
        """Whether this is the one that writes."""
        return self.rank == 0

    def environment(self) -> dict[str, str]:
        """Return the variables that tell a process its place."""
        return {
            'RANK': str(self.rank),
            'WORLD_SIZE': str(self.world),
            'LOCAL_RANK': str(self.local_rank),
            'MASTER_ADDR': self.address,
            'MASTER_PORT': str(self.port),
        }


def place_of(environment: Mapping[str, str] | None = None) -> Place:
    """Return the place of this process, as what started it says; alone where nothing does.

    :param environment: variables; None for those of the process.
    """
    variables = os.environ if environment is None else environment
    for size, rank, local in _LAUNCHERS:
        world = variables.get(size, '')
        if world.isdigit() and int(world) > 1 and variables.get(rank, '').isdigit():
            number = int(variables[rank])
            address = variables.get('MASTER_ADDR') or _first_host(variables)
            port = int(variables.get('MASTER_PORT') or _port(variables))
            return Place(number, int(world), int(variables.get(local, number)), address, port)
    return Place()


def _first_host(variables: Mapping[str, str]) -> str:
    """Return the node of the first process: the first one that the scheduler lists."""
    nodes = variables.get('SLURM_STEP_NODELIST') or variables.get('SLURM_JOB_NODELIST')
    if nodes:  # node[02-04,7],other
        name, _, numbers = nodes.partition('[')
        number = re.match(r'\d+', numbers)
        return name.partition(',')[0] if number is None or ',' in name else name + number.group()
    for variable in ('PBS_NODEFILE', 'LSB_DJOB_HOSTFILE'):
        if variable in variables:
            lines = Path(variables[variable]).read_text().split()
            if lines:
                return lines[0]
    return '127.0.0.1'


def _port(variables: Mapping[str, str]) -> int:
    """Return a port that all processes of a job find without a word: 15000 to 34999, by the names of the job."""
    names = '/'.join(variables.get(name, '') for name in _JOBS)
    return 15000 + zlib.crc32(names.encode()) % 20000
