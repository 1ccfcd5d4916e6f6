"""The device of a job, chosen without Lightning Fabric, whose import takes seconds that a prediction need not wait."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal

import torch

if TYPE_CHECKING:
    from aiida_embarrier.jobs.learning import Hardware

__all__ = ('Precision', 'choose_device')

Precision = Literal['32-true', 'bf16-mixed', '16-mixed']


def choose_device(hardware: Hardware, precision: Precision, local_rank: int = 0) -> torch.device:
    """Return the device of this process.

    :raises ValueError: for a GPU that is asked for and absent, fewer than asked for, or a precision that needs one.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if hardware.device == 'cuda' and not count:
        raise ValueError(
            'the job asks for a GPU (`device: cuda`), but torch finds none here: ask the scheduler for one, install a '
            'torch that was built for it, or take `device: cpu`'
        )
    if hardware.device == 'cpu' or not count:
        if precision == '16-mixed':
            raise ValueError('the precision 16-mixed needs a GPU: take bf16-mixed or 32-true')
        return torch.device('cpu')
    if count == 1:  # the only one, or each process sees the one that is its own, as srun does with --gpus-per-task
        if hardware.devices > 1 and local_rank == 0 and 'SLURM_STEP_GPUS' not in os.environ:
            raise ValueError(f'the job asks for {hardware.devices} GPUs, here is 1: ask the scheduler for more')
        return torch.device('cuda', 0)
    if hardware.devices > count:
        raise ValueError(f'the job asks for {hardware.devices} GPUs, here are {count}: ask the scheduler for more')
    return torch.device('cuda', local_rank)
