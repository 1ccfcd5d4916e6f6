"""The CalcJob that says how the properties of datasets relate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.orm import AbstractCode

from aiida_embarrier.calculations.plain import PlainCalculation
from aiida_embarrier.data.dataset import DatasetData
from aiida_embarrier.data.table import FILE, TableData
from aiida_embarrier.jobs.relations import RELATIONS_FILE, RelatedDataset, RelationsJob

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiida.common.datastructures import CalcInfo
    from aiida.common.folders import Folder
    from aiida.engine import CalcJobProcessSpec

__all__ = ('RelationsCalculation',)


class RelationsCalculation(PlainCalculation):
    """How each two properties relate, as source of a pre-training and as target, to stand beside what is gained by it.

    Crystals are compared where several datasets have their formula, which took 17 s for the 18,136 rows of two sets and
    40 s for the 31,635 of eight.
    """

    _parser = 'embarrier.relations'

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define the inputs and outputs."""
        super().define(spec)
        spec.input('code', valid_type=AbstractCode, help='The worker.')
        spec.input_namespace(
            'datasets',
            valid_type=DatasetData,
            dynamic=True,
            validator=validate_datasets,
            help='Two or more datasets of properties by their labels.',
        )
        spec.output(
            'relations',
            valid_type=TableData,
            required=False,
            help='A row for each source and target; what its columns are `datasets.relations.COLUMNS` says.',
        )

    def _job(self, folder: Folder) -> RelationsJob:  # noqa: ARG002  (its files are copied from the repository)
        return RelationsJob(
            datasets={
                label: RelatedDataset(file=_file(label), unit=node.base.attributes.get('target_unit', None))
                for label, node in sorted(self.inputs.datasets.items())
            }
        )

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write the job file, and have tables copied from the repository."""
        calc = super().prepare_for_submission(folder)
        calc.local_copy_list = [(node.uuid, FILE, _file(label)) for label, node in self.inputs.datasets.items()]
        return calc

    def _temporary_files(self) -> list[str]:
        return [RELATIONS_FILE]


def _file(label: str) -> str:
    return f'{label}.parquet'


def validate_datasets(datasets: Mapping[str, DatasetData], _: Any) -> str | None:
    """Check that there are two datasets of properties at least."""
    if len(datasets) < 2:
        return f'relations are those of two or more datasets, got {", ".join(datasets) or "none"}'
    for label, node in datasets.items():
        if node.schema != 'property':
            return f'relations are those of properties, and {label!r} is a dataset of {node.schema}s'
    return None
