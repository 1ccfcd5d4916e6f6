"""Parser of jobs that make datasets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida_embarrier.data.dataset import DatasetData
from aiida_embarrier.data.table import TableData
from aiida_embarrier.datasets.tables import read_parquet
from aiida_embarrier.jobs.datasets import DATASET_FILE, DEFECTS_FILE, REPAIRS_FILE, DatasetResult
from aiida_embarrier.parsers.plain import PlainParser

if TYPE_CHECKING:
    from pathlib import Path

    from aiida.engine import ExitCode

__all__ = ('DatasetParser',)


class DatasetParser(PlainParser):
    """The dataset of a job, its defects and what was repaired."""

    RESULT = DatasetResult

    def _out(self, result: Any, temporary: Path | None) -> ExitCode | None:
        assert temporary is not None
        try:
            tables = [
                read_parquet((temporary / name).read_bytes()) for name in (DATASET_FILE, DEFECTS_FILE, REPAIRS_FILE)
            ]
        except (OSError, ValueError) as error:
            return self.exit_codes.ERROR_RESULTS_UNREADABLE.format(message=str(error).splitlines()[0])
        frame, defects, repairs = tables
        about = self.node.inputs.parameters.get_dict() if 'parameters' in self.node.inputs else {}
        self.out(
            'dataset',
            DatasetData(
                frame,
                schema=result.schema_name,
                target=result.target,
                target_unit=result.target_unit,
                title=about.get('title'),
                source=about.get('source'),
            ),
        )
        self.out('defects', TableData(defects, title='known defects'))
        if len(repairs):
            self.out('repairs', TableData(repairs, title='repairs'))
        return None
