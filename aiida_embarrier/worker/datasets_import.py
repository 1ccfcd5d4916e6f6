"""Make a dataset of a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiida_embarrier.datasets.importing import DatasetError, Target, read_dataset
from aiida_embarrier.datasets.tables import write_parquet
from aiida_embarrier.jobs.datasets import DATASET_FILE, DEFECTS_FILE, REPAIRS_FILE, DatasetResult, ImportDatasetJob
from aiida_embarrier.worker.plain import RefusedError

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from aiida_embarrier.worker.plain import JobContext

__all__ = ('JOB', 'run', 'write_tables')

JOB = ImportDatasetJob


def run(job: ImportDatasetJob, context: JobContext) -> DatasetResult:
    """Read the file of a job."""
    path = context.folder / job.file
    if not path.is_file():
        raise RefusedError(f'there is no file {job.file} in the folder of the job')
    target = None if job.target is None else Target(job.target, job.target_unit)
    try:
        found = read_dataset(
            path.read_bytes(),
            job.format,
            target=target,
            repairs=job.repairs,
            name=job.name,
            source_text=job.source,
            progress=lambda task, done, total: context.progress(task, done, total, 'rows'),
        )
    except DatasetError as error:
        raise RefusedError(str(error)) from error
    write_tables(context.folder, found.frame, found.defects, found.repairs)
    report = {key: value for key, value in found.report.items() if key not in {'file', 'notes'}}
    return DatasetResult(
        schema_name=found.schema,
        target=found.target.name,
        target_unit=found.target.unit,
        warnings=found.report['notes'],
        **report,
    )


def write_tables(folder: Path, frame: pd.DataFrame, defects: pd.DataFrame, repairs: pd.DataFrame) -> None:
    """Write the tables of a job that is done."""
    for name, table in ((DATASET_FILE, frame), (DEFECTS_FILE, defects), (REPAIRS_FILE, repairs)):
        (folder / name).write_bytes(write_parquet(table))
