"""Say how the properties of datasets relate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiida_embarrier.datasets.relations import relations
from aiida_embarrier.datasets.tables import read_parquet, write_parquet
from aiida_embarrier.jobs.relations import RELATIONS_FILE, RelationsJob, RelationsResult
from aiida_embarrier.worker.plain import RefusedError

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from aiida_embarrier.jobs.relations import RelatedDataset
    from aiida_embarrier.worker.plain import JobContext

__all__ = ('JOB', 'run')

JOB = RelationsJob


def run(job: RelationsJob, context: JobContext) -> RelationsResult:
    """Compare the datasets of a job."""
    frames = {label: _read(context.folder, label, entry) for label, entry in job.datasets.items()}
    units = {label: entry.unit for label, entry in job.datasets.items()}
    try:
        table = relations(
            frames, units=units, progress=lambda done, total: context.progress('crystals', done, total, 'rows')
        )
    except ValueError as error:
        raise RefusedError(str(error)) from error
    (context.folder / RELATIONS_FILE).write_bytes(write_parquet(table))
    return RelationsResult(n_rows={label: len(frame) for label, frame in frames.items()}, n_pairs=len(table))


def _read(folder: Path, label: str, entry: RelatedDataset) -> pd.DataFrame:
    path = folder / entry.file
    if not path.is_file():
        raise RefusedError(f'there is no file {entry.file} in the folder of the job')
    try:
        frame = read_parquet(path.read_bytes())
    except ValueError as error:
        raise RefusedError(f'{entry.file} cannot be read: {error}') from error
    missing = [name for name in ('name', 'lattice', 'species', 'frac_coords', 'target') if name not in frame]
    if missing:
        raise RefusedError(f'{label} is no dataset of a property: it lacks the column {missing[0]!r}')
    if not len(frame):
        raise RefusedError(f'{label} has no rows: leave it out')
    return frame
