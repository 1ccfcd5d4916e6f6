"""Parsers of jobs that describe paths, fit models of barriers and predict with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from aiida.orm import SinglefileData

from aiida_embarrier.data.model import ModelData
from aiida_embarrier.data.table import TableData
from aiida_embarrier.datasets.tables import read_parquet
from aiida_embarrier.jobs.learning import CARD_FILE, WEIGHTS_FILE
from aiida_embarrier.jobs.prediction import (
    BARRIERS_FILE,
    COMPARISON_FILE,
    FEATURES_CHECKPOINT_FILE,
    FEATURES_FILE,
    MODEL_CHECKPOINT_FILE,
    BarrierModelResult,
    PathFeaturesResult,
    PredictBarriersResult,
)
from aiida_embarrier.parsers.plain import PlainParser

if TYPE_CHECKING:
    from pathlib import Path

    from aiida.engine import ExitCode

    from aiida_embarrier.jobs.plain import PlainResult

__all__ = ('BarrierModelParser', 'PathFeaturesParser', 'PredictBarriersParser')

#: Columns of predictions that are in eV.
_IN_EV = ('barrier', 'prediction', 'lower', 'upper')


class BarrierParser(PlainParser):
    """Tables of a job, as far as they are there; of one that was stopped also its checkpoint.

    Subclasses set :attr:`TABLES`, and :attr:`CHECKPOINT` where there is one.
    """

    #: File, output and title of each table.
    TABLES: ClassVar[tuple[tuple[str, str, str], ...]] = ()
    CHECKPOINT: ClassVar[str | None] = None

    def _out(self, result: PlainResult, temporary: Path | None) -> ExitCode | None:
        try:
            missing = [name for name in self._out_files(temporary) if name in self._expected(result)]
        except (OSError, ValueError) as error:
            return self.exit_codes.ERROR_RESULTS_UNREADABLE.format(message=str(error).splitlines()[0])
        if missing:
            return self.exit_codes.ERROR_RESULTS_UNREADABLE.format(message=f'{", ".join(missing)} is not there')
        return None

    def _expected(self, result: PlainResult) -> set[str]:  # noqa: ARG002  (what some jobs leave depends on it)
        """Return the files that a job that is done must have left."""
        return {file for file, _, _ in self.TABLES}

    def _out_files(self, temporary: Path | None) -> list[str]:
        """Attach the tables as far as they are there, and return the files that are not."""
        missing = []
        for file, label, title in self.TABLES:
            path = None if temporary is None else temporary / file
            if path is None or not path.is_file():
                missing.append(file)
                continue
            table = read_parquet(path.read_bytes())
            units = {name: 'eV' for name in table.columns if name in _IN_EV or '_eV' in name}
            self.out(label, TableData(table, units=units, title=title))
        return missing

    def _out_unfinished(self, temporary: Path | None) -> None:
        self._out_checkpoint(temporary)

    def _out_killed(self, message: str, temporary: Path | None) -> ExitCode:
        if not self._out_checkpoint(temporary):
            return super()._out_killed(message, temporary)
        return self.exit_codes.ERROR_WALL_TIME.format(message=f'killed without results ({message})')

    def _out_checkpoint(self, temporary: Path | None) -> bool:
        if self.CHECKPOINT is None or temporary is None or not (temporary / self.CHECKPOINT).is_file():
            return False
        self.out('checkpoint', SinglefileData(temporary / self.CHECKPOINT, filename=self.CHECKPOINT))
        return True


class PathFeaturesParser(BarrierParser):
    """Numbers that describe paths."""

    RESULT = PathFeaturesResult
    TABLES = ((FEATURES_FILE, 'features', 'numbers that describe migration paths'),)
    CHECKPOINT = FEATURES_CHECKPOINT_FILE


class BarrierModelParser(BarrierParser):
    """Predictions of models, their comparison, and the model that was kept."""

    RESULT = BarrierModelResult
    TABLES = (
        (BARRIERS_FILE, 'predictions', 'barriers that models predict without having learned from them'),
        (COMPARISON_FILE, 'comparison', 'errors of models of barriers'),
    )
    CHECKPOINT = MODEL_CHECKPOINT_FILE

    def _expected(self, result: PlainResult) -> set[str]:
        assert isinstance(result, BarrierModelResult)
        tables = super()._expected(result) if result.scores else set()
        return tables if result.fitted is None else {*tables, WEIGHTS_FILE}

    def _out_files(self, temporary: Path | None) -> list[str]:
        missing = super()._out_files(temporary)
        files = None if temporary is None else (temporary / WEIGHTS_FILE, temporary / CARD_FILE)
        if files is None or not all(path.is_file() for path in files):
            return [*missing, WEIGHTS_FILE]
        self.out('model', ModelData(files[0], files[1].read_text(encoding='utf8')))
        return missing


class PredictBarriersParser(BarrierParser):
    """What a model says of paths; of a job that was stopped, of those that it came to."""

    RESULT = PredictBarriersResult
    TABLES = ((BARRIERS_FILE, 'predictions', 'predicted migration barriers'),)

    def _out_unfinished(self, temporary: Path | None) -> None:
        try:
            self._out_files(temporary)
        except (OSError, ValueError) as error:
            self.logger.warning(f'what was predicted so far cannot be read: {error}')
