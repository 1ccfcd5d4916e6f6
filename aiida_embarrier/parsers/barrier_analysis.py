"""Parser of jobs that analyse predicted barriers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.orm import SinglefileData

from aiida_embarrier.jobs.barrier_analysis import ANALYSIS_FILE, BarrierAnalysisResult, tables_from_json
from aiida_embarrier.parsers.plain import PlainParser

if TYPE_CHECKING:
    from pathlib import Path

    from aiida.engine import ExitCode

__all__ = ('BarrierAnalysisParser',)


class BarrierAnalysisParser(PlainParser):
    """The tables of an analysis."""

    RESULT = BarrierAnalysisResult

    def _out(self, result: Any, temporary: Path | None) -> ExitCode | None:  # noqa: ARG002
        assert temporary is not None
        path = temporary / ANALYSIS_FILE
        try:
            tables_from_json(path.read_text(encoding='utf8'))
        except (OSError, ValueError) as error:
            return self.exit_codes.ERROR_RESULTS_UNREADABLE.format(message=str(error).splitlines()[0])
        self.out('analysis', SinglefileData(path, filename=ANALYSIS_FILE))
        return None
