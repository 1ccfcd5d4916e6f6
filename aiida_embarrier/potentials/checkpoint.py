"""Checkpoints: the states of all tasks of a job in one file that is never half written and never executed."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from aiida_embarrier.jobs.schemas import NUMERICS_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from aiida_embarrier.jobs.potentials import PotentialSpec
    from aiida_embarrier.potentials.task import State

__all__ = ('CheckpointError', 'fingerprint', 'read_checkpoint', 'write_checkpoint')


class CheckpointError(ValueError):
    """A checkpoint cannot be read, or belongs to another job."""


def fingerprint(potential: PotentialSpec, *parts: Any) -> str:
    """Return a short name of what a task computes: two tasks with the same one may share a checkpoint.

    :param parts: JSON values and arrays.
    """
    digest = hashlib.sha256()
    entries = potential.model_dump(mode='json', exclude={'weights'})  # the same weights may lie elsewhere
    for part in (NUMERICS_VERSION, entries, *parts):
        if isinstance(part, np.ndarray):
            digest.update(np.ascontiguousarray(part, dtype=float).tobytes())
        else:
            digest.update(json.dumps(part, sort_keys=True).encode())
    return digest.hexdigest()[:16]


def write_checkpoint(path: Path, states: Mapping[str, State], fingerprints: Mapping[str, str]) -> None:
    """Write the states of tasks.

    :param states: state of each task by its label.
    :param fingerprints: what each task computes, by its label.
    :raises OSError: where it cannot be written; a checkpoint that was there before still is.
    """
    arrays: dict[str, np.ndarray] = {}
    header: dict[str, Any] = {'fingerprints': dict(fingerprints), 'tasks': {}}
    for number, (label, state) in enumerate(states.items()):
        values = header['tasks'][label] = {}
        for name, value in state.items():
            if isinstance(value, np.ndarray):
                arrays[f'{number}/{name}'] = value
            else:
                values[name] = value
    partial = path.with_name(f'{path.name}.partial')
    try:
        with partial.open('wb') as handle:
            np.savez(handle, header=np.array(json.dumps(header)), **arrays)  # type: ignore[arg-type]
            handle.flush()
            os.fsync(handle.fileno())
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)  # on a full disk it takes the space that messages need
        raise


def read_checkpoint(path: Path, fingerprints: Mapping[str, str]) -> dict[str, State]:
    """Return the states of tasks by their labels.

    :param fingerprints: what each task computes that is to go on, by its label; the checkpoint may hold others too.
    :raises CheckpointError: where the file cannot be read or belongs to other tasks or another potential.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        header = json.loads(str(arrays.pop('header')))
        found, tasks = header['fingerprints'], header['tasks']
    except FileNotFoundError:
        raise CheckpointError(f'the checkpoint {path} does not exist: name the right file, or start afresh') from None
    except Exception as error:
        raise CheckpointError(f'the checkpoint {path} cannot be read ({error}): start afresh without it') from error
    if not set(fingerprints) <= set(found):
        raise CheckpointError(
            f'the checkpoint {path} holds the tasks {sorted(found)}, the job has {sorted(fingerprints)}: '
            'take the checkpoint of this job, or start afresh without it'
        )
    for label, expected in fingerprints.items():
        if found[label] != expected:
            raise CheckpointError(
                f'task {label!r} of the checkpoint {path} has another starting structure, method or potential than '
                'this job: take the checkpoint of this job, or start afresh without it'
            )
    states: dict[str, State] = {label: dict(values) for label, values in tasks.items()}
    for number, label in enumerate(tasks):
        prefix = f'{number}/'
        states[label] |= {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}
    return {label: states[label] for label in fingerprints}
