"""Jobs that make datasets: from a file, and from bands."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from aiida_embarrier.jobs.plain import PlainJob, PlainResult
from aiida_embarrier.jobs.schemas import Schema

__all__ = (
    'DATASET_FILE',
    'DEFECTS_FILE',
    'REPAIRS_FILE',
    'AssembleDatasetJob',
    'BandEntry',
    'DatasetResult',
    'ImportDatasetJob',
    'check_repairs',
)

#: Files of a job that is done, as :func:`~aiida_embarrier.datasets.tables.write_parquet` writes them.
DATASET_FILE, DEFECTS_FILE, REPAIRS_FILE = 'dataset.parquet', 'defects.parquet', 'repairs.parquet'


def check_repairs(repairs: list[str]) -> list[str]:
    """Refuse repairs that there are not.

    :raises ValueError: naming the ones that there are.
    """
    from aiida_embarrier.datasets.repairs import check_key

    for key in repairs:
        check_key(key)
    return repairs


class ImportDatasetJob(PlainJob):
    """A dataset to read from a file in the folder of the job.

    :param file: its name there.
    :param name: its name where it came from.
    :param format: one of :data:`~aiida_embarrier.datasets.importing.reading.FORMATS`; None to tell by content.
    :param repairs: defects to repair.
    :param source: citation, DOI or address, for rows that have none.
    :param target: name of the property, where the file does not tell.
    :param target_unit: its unit.
    """

    job: Literal['dataset.import'] = 'dataset.import'
    file: str
    name: str
    format: str | None = None
    repairs: list[str] = Field(default_factory=list)
    source: str | None = None
    target: str | None = None
    target_unit: str | None = None

    @field_validator('repairs')
    @classmethod
    def _known_repairs(cls, value: list[str]) -> list[str]:
        return check_repairs(value)

    @field_validator('format')
    @classmethod
    def _known_format(cls, value: str | None) -> str | None:
        from aiida_embarrier.datasets.importing import FORMATS

        if value is not None and value not in FORMATS:
            raise ValueError(f'there is no format {value!r} of datasets: choose from {", ".join(FORMATS)}')
        return value

    @model_validator(mode='after')
    def _unit_of_a_target(self) -> ImportDatasetJob:
        if self.target_unit is not None and self.target is None:
            raise ValueError(f'a unit, {self.target_unit!r}, is given and no target: say which property it is of')
        return self


class BandEntry(Schema):
    """A band that becomes a row.

    :param file: of the band, in the folder of the job.
    :param name: of the row.
    :param labels: further columns of the row.
    """

    file: str
    name: str
    labels: dict[str, Any] = Field(default_factory=dict)


class AssembleDatasetJob(PlainJob):
    """A dataset to make of bands.

    :param bands: the bands by their labels.
    :param definition: of the barriers.
    :param include_unconverged: whether bands that did not converge become rows, too.
    :param repairs: defects to repair.
    """

    job: Literal['dataset.assemble'] = 'dataset.assemble'
    bands: dict[str, BandEntry] = Field(min_length=1)
    definition: Literal['forward', 'reverse', 'rate_limiting', 'span'] = 'forward'
    include_unconverged: bool = False
    repairs: list[str] = Field(default_factory=list)

    @field_validator('repairs')
    @classmethod
    def _known_repairs(cls, value: list[str]) -> list[str]:
        return check_repairs(value)


class DatasetResult(PlainResult):
    """What was made; the tables lie beside it.

    :param schema_name: `barrier` or `property`.
    :param target: what the numbers are.
    :param target_unit: their unit, None for pure numbers.
    :param format: of the file that was read.
    :param sha256: of that file.
    :param n_rows: number of rows.
    :param n_flagged: number of rows with a defect.
    :param found: number of rows with each defect before repairs.
    :param flags: the same after them.
    :param repairs: number of rows with each repair.
    :param left_out: why bands became no rows, by their labels.
    """

    schema_name: Literal['barrier', 'property'] | None = None
    target: str | None = None
    target_unit: str | None = None
    format: str | None = None
    sha256: str | None = None
    n_rows: int = 0
    n_flagged: int = 0
    found: dict[str, int] = Field(default_factory=dict)
    flags: dict[str, int] = Field(default_factory=dict)
    repairs: dict[str, int] = Field(default_factory=dict)
    left_out: dict[str, str] = Field(default_factory=dict)
