"""The CalcJob that analyses predicted barriers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.orm import AbstractCode, Dict, FolderData, SinglefileData
from pydantic import ValidationError

from aiida_embarrier.calculations.parameters import check_keys
from aiida_embarrier.calculations.plain import PlainCalculation
from aiida_embarrier.data.dataset import DatasetData
from aiida_embarrier.data.table import FILE, TableData
from aiida_embarrier.jobs.barrier_analysis import ANALYSIS_FILE, FIGURES_FOLDER, BarrierAnalysisJob
from aiida_embarrier.jobs.messages import describe

if TYPE_CHECKING:
    from aiida.common.datastructures import CalcInfo
    from aiida.common.folders import Folder
    from aiida.engine import CalcJobProcessSpec

__all__ = ('BarrierAnalysisCalculation',)

#: Entries of the parameters.
PARAMETERS = ('n_resamples', 'limits', 'thresholds', 'ranges', 'compare_hops', 'figures')

_ROWS_FILE, _PREDICTIONS_FILE, _SPLIT_FILE = 'rows.parquet', 'predictions.parquet', 'split.parquet'


class BarrierAnalysisCalculation(PlainCalculation):
    """Errors of predicted barriers by ion, structure, range, flag and scenario, models side by side, and what leaks."""

    _parser = 'embarrier.barrier_analysis'

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define the inputs and outputs."""
        super().define(spec)
        spec.input('code', valid_type=AbstractCode, help='The worker.')
        spec.input('dataset', valid_type=DatasetData, help='Barriers: rows that were learned from, and predicted ones.')
        spec.input('predictions', valid_type=TableData, help='From `embarrier.barrier_model`.')
        spec.input(
            'split',
            valid_type=TableData,
            required=False,
            help='`name` and `part` of the rows, where models were fitted by a split.',
        )
        spec.input(
            'parameters',
            valid_type=Dict,
            required=False,
            validator=validate_parameters,
            help='`n_resamples`, `limits`, `thresholds`, `ranges`, `compare_hops` and `figures`: entries of '
            '`aiida_embarrier.jobs.barrier_analysis.BarrierAnalysisJob`. Without `figures` tables alone are made.',
        )
        spec.output(
            'analysis',
            valid_type=SinglefileData,
            required=False,
            help='All tables as JSON; `aiida_embarrier.jobs.barrier_analysis.tables_from_json` reads them.',
        )
        spec.output(
            'figures',
            valid_type=FolderData,
            required=False,
            help='Where `figures` were asked for: a page for a browser (`index.html`), pictures as PNG and SVG, tables '
            'as CSV and a summary (`analysis.json`).',
        )

    def _parameters(self) -> dict[str, Any]:
        return self.inputs.parameters.get_dict() if 'parameters' in self.inputs else {}

    def _job(self, folder: Folder) -> BarrierAnalysisJob:  # noqa: ARG002  (its files are copied from the repository)
        split = _SPLIT_FILE if 'split' in self.inputs else None
        parameters = self._parameters()
        return BarrierAnalysisJob(dataset=_ROWS_FILE, predictions=_PREDICTIONS_FILE, split=split, **parameters)

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write the job file, and have tables copied from the repository."""
        calc = super().prepare_for_submission(folder)
        calc.local_copy_list = [
            (self.inputs.dataset.uuid, FILE, _ROWS_FILE),
            (self.inputs.predictions.uuid, FILE, _PREDICTIONS_FILE),
        ]
        if 'split' in self.inputs:
            calc.local_copy_list.append((self.inputs.split.uuid, FILE, _SPLIT_FILE))
        return calc

    def _temporary_files(self) -> list[str]:
        return [ANALYSIS_FILE] if self._parameters().get('figures') is None else [ANALYSIS_FILE, FIGURES_FOLDER]


def validate_parameters(node: Dict | None, _: Any) -> str | None:
    """Check what is asked of an analysis."""
    parameters = {} if node is None else node.get_dict()
    try:
        check_keys(parameters, PARAMETERS)
        BarrierAnalysisJob(dataset='x', predictions='x', **parameters)
    except ValidationError as error:
        return describe(error)
    except ValueError as error:
        return str(error)
    return None
