"""Compute barriers of paths by whole elastic bands of a potential."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd

from aiida_embarrier.datasets.tables import write_parquet
from aiida_embarrier.jobs.neb_barriers import NEB_BARRIERS_FILE, NebBarriersJob, NebBarriersResult
from aiida_embarrier.jobs.progress import residual
from aiida_embarrier.prediction.neb_barriers import neb_barrier
from aiida_embarrier.prediction.rows import paths_of
from aiida_embarrier.worker.path_features import open_potential, read_rows
from aiida_embarrier.worker.plain import RefusedError
from aiida_embarrier.worker.versions import versions_of

if TYPE_CHECKING:
    from aiida_embarrier.potentials.task import OptimisationTask
    from aiida_embarrier.prediction.neb_barriers import NebBarrier
    from aiida_embarrier.worker.plain import JobContext

__all__ = ('JOB', 'run')

JOB = NebBarriersJob

_TEXTS = ('name', 'status', 'message', 'energies', 'warnings')


def run(job: NebBarriersJob, context: JobContext) -> NebBarriersResult:
    """Compute the barriers of a job.

    :raises RefusedError: where there is no path, and where the potential is not there or other than asked for.
    :raises Stopped: where the job is to stop: bands are not gone on with.
    """
    frame = read_rows(context.folder / job.dataset)
    try:
        paths, left_out = paths_of(frame)
    except ValueError as error:
        raise RefusedError(str(error)) from error
    if not paths:
        raise RefusedError(f'none of the rows is a path: {next(iter(left_out.values()))}')
    largest = max(path.n_atoms for path in paths)
    if job.neb.max_atoms is not None and largest > job.neb.max_atoms:
        raise RefusedError(f'a path has {largest} atoms, `max_atoms` allows {job.neb.max_atoms}: leave it out')
    potential, opened = open_potential(job.potential, job.hardware, largest)
    found = []
    with opened as evaluator:
        for number, path in enumerate(paths, start=1):
            what = f'{path.name} ({number} of {len(paths)})'
            found.append(neb_barrier(path, evaluator, potential, job.neb, partial(_tell, context, what)))
    rows = [{'name': path.name, **_row(one)} for path, one in zip(paths, found, strict=True)]
    table = pd.DataFrame(rows).astype(dict.fromkeys(_TEXTS, 'str'))
    (context.folder / NEB_BARRIERS_FILE).write_bytes(write_parquet(table))
    return NebBarriersResult(
        n_converged=sum(one.converged for one in found),
        n_evaluations=sum(one.n_evaluations for one in found),
        left_out=left_out,
        potential=potential,
        device=evaluator.device,
        versions=versions_of('torch', 'ase', *([potential.distribution] if potential.distribution else [])),
    )


def _tell(context: JobContext, what: str, task: OptimisationTask) -> None:
    """Say how a relaxation or a band stands."""
    known = task.progress()
    numbers = {name: known.get(name) for name in ('force_threshold', 'barrier')}
    numbers['residual_force'] = residual(known)
    context.progress(f'{what}, {task.label}', task.n_evaluations, None, 'evaluations', **numbers)


def _row(found: NebBarrier) -> dict[str, Any]:
    gap = float('nan')
    numbers = {name: getattr(found, name) for name in ('forward', 'reverse', 'span', 'residual_force')}
    return {
        **{name: gap if value is None else value for name, value in numbers.items()},
        'status': str(found.status),
        'message': found.message,
        'n_evaluations': found.n_evaluations,
        'mirrored': found.mirrored,
        'energies': json.dumps(found.energies.tolist()),
        'warnings': json.dumps(found.warnings),
    }
