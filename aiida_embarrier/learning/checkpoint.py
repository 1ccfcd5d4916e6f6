"""Checkpoints of a training: tensors as safetensors, everything else as JSON in their header; nothing is pickled."""

from __future__ import annotations

import json
import os
import random
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = (
    'CheckpointError',
    'check_fingerprints',
    'random_state',
    'read_checkpoint',
    'restore_random_state',
    'write_checkpoint',
)

FORMAT = 'embarrier-training-1'


class CheckpointError(ValueError):
    """A checkpoint cannot be read, or belongs to another training."""


def write_checkpoint(path: Path, tensors: Mapping[str, torch.Tensor], header: Mapping[str, Any]) -> None:
    """Write a checkpoint.

    :param tensors: by their names, on any device.
    :param header: JSON values; `fingerprints` says what the training computes, see :func:`check_fingerprints`.
    :raises OSError: where it cannot be written; a checkpoint that was there before still is.
    """
    path.parent.mkdir(parents=True, exist_ok=True)  # somebody may have deleted the folder
    partial = path.with_name(f'{path.name}.partial')
    own = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    try:
        save_file(own, partial, metadata={'format': FORMAT, 'header': json.dumps(header)})
        with partial.open('rb') as handle:
            os.fsync(handle.fileno())
        partial.replace(path)
    except (OSError, SafetensorError) as error:
        partial.unlink(missing_ok=True)  # on a full disk it takes the space that messages need
        if isinstance(error, OSError):
            raise
        raise OSError(f'{path} cannot be written: {error}') from error


def read_checkpoint(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Return tensors and header of a checkpoint.

    :raises CheckpointError: where there is none, or it is cut off or something else.
    """
    if not path.is_file():
        raise CheckpointError(f'the checkpoint {path} does not exist: name the right file, or start afresh')
    try:
        with safe_open(path, framework='pt') as archive:
            metadata = archive.metadata() or {}
            tensors = {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118  (no mapping)
        header = json.loads(metadata.get('header', 'null'))
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise CheckpointError(f'the checkpoint {path} cannot be read ({error}): start afresh without it') from error
    if metadata.get('format') != FORMAT:
        raise CheckpointError(
            f'{path} is no checkpoint of a training but of the format {metadata.get("format")!r}: '
            'start afresh without it; a model to start from is the parent of a job'
        )
    return tensors, header


def check_fingerprints(path: Path, found: Mapping[str, str], expected: Mapping[str, str]) -> None:
    """Check that a checkpoint is of this training.

    :param path: of the checkpoint, for the message.
    :param found: what each part of the training is, as the checkpoint says.
    :param expected: what it is in this job.
    :raises CheckpointError: naming the parts that differ.
    """
    different = [name for name, value in expected.items() if found.get(name) != value]
    if different:
        raise CheckpointError(
            f'the checkpoint {path} is of another training: {" and ".join(different)} differ; go on with the same job '
            'as before, or start afresh without the checkpoint'
        )


def random_state(device: torch.device) -> dict[str, torch.Tensor]:
    """Return the states of all random numbers of this process as tensors."""
    version, numbers, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state()  # noqa: NPY002  (what others may draw from)
    assert (version, name) == (3, 'MT19937')
    states = {
        'torch': torch.get_rng_state(),
        'python': torch.tensor(numbers, dtype=torch.int64),
        'python_gauss': torch.tensor(float('nan') if gauss is None else gauss, dtype=torch.float64),
        'numpy': torch.tensor([*map(int, keys), position, has_gauss], dtype=torch.int64),
        'numpy_gauss': torch.tensor(cached, dtype=torch.float64),
    }
    if device.type == 'cuda':
        states['cuda'] = torch.cuda.get_rng_state(device)
    return states


def restore_random_state(states: Mapping[str, torch.Tensor], device: torch.device) -> None:
    """Go on with the random numbers where :func:`random_state` stopped."""
    torch.set_rng_state(states['torch'])
    gauss = float(states['python_gauss'])
    random.setstate((3, tuple(states['python'].tolist()), None if np.isnan(gauss) else gauss))
    *keys, position, has_gauss = states['numpy'].tolist()
    np.random.set_state(  # noqa: NPY002
        ('MT19937', np.array(keys, dtype=np.uint32), position, has_gauss, float(states['numpy_gauss']))
    )
    if device.type == 'cuda' and 'cuda' in states:
        torch.cuda.set_rng_state(states['cuda'], device)
