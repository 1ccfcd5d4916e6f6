"""Device, precision and processes of a training, through Lightning Fabric."""

from __future__ import annotations

import atexit
import os
import socket
import subprocess
import sys
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments import ClusterEnvironment, LightningEnvironment
from lightning_fabric.strategies import DDPStrategy

from aiida_embarrier.learning.places import Place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from aiida_embarrier.jobs.learning import Hardware
    from aiida_embarrier.learning.devices import Precision

__all__ = ('OtherProcessError', 'all_or_none', 'deterministic', 'open_fabric', 'others_started', 'wanted_processes')

#: How long processes wait for the others to start.
_ARRIVAL = timedelta(minutes=10)

#: How long they wait for each other later, for instance until the first one has made the graphs of a large dataset.
_PATIENCE = timedelta(hours=2)


class OtherProcessError(RuntimeError):
    """Another of the processes that do a job together cannot go on; it says itself why."""


def wanted_processes(hardware: Hardware, place: Place) -> int:
    """Return how many processes do a job.

    :raises ValueError: where those that were started are not those that the job asks for.
    """
    wanted = hardware.devices * hardware.nodes
    if place.world not in {1, wanted} or (place.world == 1 and hardware.nodes > 1):
        raise ValueError(
            f'the job asks for {hardware.nodes} nodes with {hardware.devices} processes each, but {place.world} were '
            f'started: start {wanted}, for instance by `srun --ntasks-per-node={hardware.devices}` on '
            f'{hardware.nodes} nodes; on one node a single one starts the others itself'
        )
    return wanted


class _Processes(ClusterEnvironment):
    """Says Fabric what is known already. Each process is a node with one device, so that it counts nothing."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self._place = place

    creates_processes_externally = True

    @property
    def main_address(self) -> str:
        return self._place.address

    @property
    def main_port(self) -> int:
        return self._place.port

    @staticmethod
    def detect() -> bool:
        return False

    def world_size(self) -> int:
        return self._place.world

    def set_world_size(self, size: int) -> None:
        assert size == self._place.world

    def global_rank(self) -> int:
        return self._place.rank

    def set_global_rank(self, rank: int) -> None:
        assert rank == self._place.rank

    def local_rank(self) -> int:
        return 0

    def node_rank(self) -> int:
        return self._place.rank


def open_fabric(device: torch.device, precision: Precision, place: Place) -> Fabric:
    """Return Fabric for this process; with several of them it waits until all are there.

    :param device: of this process.
    :param precision: as :class:`~aiida_embarrier.jobs.learning.TrainingSettings` names it.
    :param place: which one it is.
    :raises RuntimeError: where the others do not come.
    """
    devices = [device.index] if device.type == 'cuda' else 1
    if place.world == 1:
        # else Fabric would believe what Slurm says of the job, whatever this process is of it
        fabric = Fabric(accelerator=device.type, devices=devices, precision=precision, plugins=[LightningEnvironment()])
    else:
        _meet(device, place)
        strategy = DDPStrategy(cluster_environment=_Processes(place), timeout=_PATIENCE)
        fabric = Fabric(
            accelerator=device.type, devices=devices, num_nodes=place.world, strategy=strategy, precision=precision
        )
    fabric.launch()
    return fabric


def _meet(device: torch.device, place: Place) -> None:
    """Wait until all processes are there.

    Fabric would wait for them as long as for anything later: a process that ended before would be waited for in vain.
    """
    backend = 'nccl' if device.type == 'cuda' else 'gloo'
    try:
        store = torch.distributed.TCPStore(place.address, place.port, place.world, place.first, _ARRIVAL)
    except RuntimeError as error:
        raise RuntimeError(
            f'not all of {place.world} processes met at {place.address}:{place.port} within {_ARRIVAL}: see what the '
            f'others say, and that this port is free ({error})'
        ) from error
    torch.distributed.init_process_group(
        backend, store=store, rank=place.rank, world_size=place.world, timeout=_PATIENCE
    )
    atexit.register(torch.distributed.destroy_process_group)


@contextmanager
def all_or_none(fabric: Fabric, place: Place) -> Iterator[None]:
    """Let all processes come through a part of a job, or none: where one fails there, no other waits for it in vain.

    :param fabric: of this process.
    :param place: which one it is.
    :raises OtherProcessError: where this process came through and another one did not.
    """

    def fails(own: float) -> bool:
        if place.world == 1:
            return bool(own)
        return bool(fabric.all_reduce(torch.tensor(own, device=fabric.device), reduce_op='sum'))

    try:
        yield
    except BaseException:
        with suppress(RuntimeError):  # the others are gone
            fails(1.0)
        raise
    if fails(0.0):
        raise OtherProcessError('another process of the job cannot go on: see what it says')


@contextmanager
def others_started(job: Path, place: Place, wanted: int) -> Iterator[Place]:
    """Start the other processes of a job on this node where nothing else did; end those that are left behind.

    :param job: its file.
    :param place: of this process.
    :param wanted: how many processes there are to be.
    """
    if place.world == wanted:
        yield place
        return
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    first = Place(0, wanted, 0, '127.0.0.1', port)
    command = [sys.executable, '-m', 'aiida_embarrier.worker.main', 'run', str(job)]
    others = [
        subprocess.Popen(command, env=os.environ | replace(first, rank=rank, local_rank=rank).environment())  # noqa: S603
        for rank in range(1, wanted)
    ]
    try:
        yield first
        for process in others:
            with suppress(subprocess.TimeoutExpired):
                process.wait(60)
    finally:
        for process in others:
            process.kill()
            process.wait()


@contextmanager
def deterministic(wanted: bool) -> Iterator[None]:
    """Let torch compute the same bits each time, or as it likes; afterwards it is as before."""
    before = torch.are_deterministic_algorithms_enabled()
    memory: Any = torch.utils.deterministic
    filling = memory.fill_uninitialized_memory
    if wanted:
        os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')
        torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(wanted)
    memory.fill_uninitialized_memory = False  # it costs time and finds only what reads such memory
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        memory.fill_uninitialized_memory = filling
