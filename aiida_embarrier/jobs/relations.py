"""Jobs that say how the properties of datasets relate."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from aiida_embarrier.jobs.plain import PlainJob, PlainResult
from aiida_embarrier.jobs.schemas import Schema

__all__ = ('RELATIONS_FILE', 'RelatedDataset', 'RelationsJob', 'RelationsResult')

#: The table of a job that is done.
RELATIONS_FILE = 'relations.parquet'


class RelatedDataset(Schema):
    """A dataset of a property.

    :param file: its rows, as :func:`~aiida_embarrier.datasets.tables.write_parquet` writes them.
    :param unit: of its target; None for pure numbers.
    """

    file: str
    unit: str | None = None


class RelationsJob(PlainJob):
    """Datasets to compare, each two of them, as source of a pre-training and as target.

    :param datasets: two or more, by their labels.
    """

    job: Literal['relations'] = 'relations'
    datasets: dict[str, RelatedDataset] = Field(min_length=2)


class RelationsResult(PlainResult):
    """How it went; the table lies beside it.

    :param n_rows: rows of each dataset.
    :param n_pairs: pairs of a source and a target, the rows of the table.
    """

    n_rows: dict[str, int] = Field(default_factory=dict)
    n_pairs: int = 0
