"""Parser of jobs that analyse predicted barriers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.orm import FolderData, SinglefileData

from aiida_embarrier.jobs.barrier_analysis import (
    ANALYSIS_FILE,
    FIGURES_FOLDER,
    BarrierAnalysisResult,
    tables_from_json,
)
from aiida_embarrier.parsers.plain import PlainParser

if TYPE_CHECKING:
    from pathlib import Path

    from aiida.engine import ExitCode

__all__ = ('BarrierAnalysisParser',)


class BarrierAnalysisParser(PlainParser):
    """The tables of an analysis, also where a job ended while it drew them, and the folder with their figures."""

    RESULT = BarrierAnalysisResult
    LEFT_OUT = frozenset({'figures'})

    def _out(self, result: Any, temporary: Path | None) -> ExitCode | None:
        assert temporary is not None
        try:
            self._out_tables(temporary)
        except (OSError, ValueError) as error:
            return self.exit_codes.ERROR_RESULTS_UNREADABLE.format(message=str(error).splitlines()[0])
        folder = temporary / FIGURES_FOLDER
        missing = [name for name in result.figures if not (folder / name).is_file()]
        if missing:
            return self.exit_codes.ERROR_RESULTS_UNREADABLE.format(message=f'{", ".join(missing)} is not there')
        if result.figures:
            self.out('figures', FolderData(tree=folder))
        return None

    def _out_tables(self, temporary: Path) -> None:
        """Attach the tables.

        :raises OSError: where they are not there.
        :raises ValueError: where they cannot be read.
        """
        path = temporary / ANALYSIS_FILE
        tables_from_json(path.read_text(encoding='utf8'))
        self.out('analysis', SinglefileData(path, filename=ANALYSIS_FILE))

    def _out_unfinished(self, temporary: Path | None) -> None:
        if temporary is None or not (temporary / ANALYSIS_FILE).is_file():
            return
        try:
            self._out_tables(temporary)
        except (OSError, ValueError) as error:
            self.logger.warning(f'the tables that were there already cannot be read: {error}')

    def _out_killed(self, message: str, temporary: Path | None) -> ExitCode:
        self._out_unfinished(temporary)
        return super()._out_killed(message, temporary)
