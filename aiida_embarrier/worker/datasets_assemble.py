"""Make a dataset of bands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiida_embarrier.bands.io import read_npz
from aiida_embarrier.datasets.assembling import band_row, why_left_out
from aiida_embarrier.datasets.completing import complete
from aiida_embarrier.datasets.importing.base import BARRIER_TARGET, frame_of
from aiida_embarrier.datasets.schema import check_rows
from aiida_embarrier.datasets.tables import check_table
from aiida_embarrier.jobs.datasets import AssembleDatasetJob, DatasetResult
from aiida_embarrier.worker.datasets_import import write_tables
from aiida_embarrier.worker.plain import RefusedError

if TYPE_CHECKING:
    from aiida_embarrier.worker.plain import JobContext

__all__ = ('JOB', 'run')

JOB = AssembleDatasetJob


def run(job: AssembleDatasetJob, context: JobContext) -> DatasetResult:
    """Gather the bands of a job; those that cannot be rows are left out and named."""
    rows, left_out = [], {}
    for number, (label, entry) in enumerate(job.bands.items()):
        band = read_npz(context.folder / entry.file)
        reason = why_left_out(band, job.include_unconverged)
        if reason is None:
            rows.append(band_row(entry.name, band, job.definition, entry.labels))
        else:
            left_out[label] = reason
        context.progress('bands', number + 1, len(job.bands), 'bands')
    if not rows:
        raise RefusedError('no band is left: ' + '; '.join(f'{label}: {reason}' for label, reason in left_out.items()))
    try:
        frame = frame_of(rows, 'barrier')
        check_rows(frame, 'barrier')
        check_table(frame)
        done = complete(
            frame, 'barrier', job.repairs, lambda task, now, total: context.progress(task, now, total, 'rows')
        )
    except ValueError as error:
        raise RefusedError(str(error)) from error
    write_tables(context.folder, done.frame, done.left.table, done.repairs)
    return DatasetResult(
        schema_name='barrier',
        target=BARRIER_TARGET.name,
        target_unit=BARRIER_TARGET.unit,
        left_out=left_out,
        warnings=[*(f'{label} was left out: {reason}' for label, reason in left_out.items()), *done.notes],
        **done.summary(),
    )
