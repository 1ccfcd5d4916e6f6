"""Parsers of jobs that train models and predict with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiida.orm import SinglefileData

from aiida_embarrier.calculations.learning import model_entries
from aiida_embarrier.data.model import ModelData
from aiida_embarrier.data.table import TableData
from aiida_embarrier.datasets.tables import read_parquet
from aiida_embarrier.jobs.learning import (
    CARD_FILE,
    CHECKPOINT_FILE,
    CURVE_FILE,
    PREDICTIONS_FILE,
    WEIGHTS_FILE,
    PredictResult,
    TrainResult,
)
from aiida_embarrier.jobs.model_files import parse_card
from aiida_embarrier.parsers.plain import PlainParser

if TYPE_CHECKING:
    from pathlib import Path

    from aiida.engine import ExitCode

__all__ = ('PredictParser', 'TrainParser')

#: Exit codes by the status of a training that ran to its end.
EXIT_CODES = {'diverged': 'ERROR_DIVERGED', 'stalled': 'ERROR_STALLED'}


class TrainParser(PlainParser):
    """The model of a training, its curve, its predictions; of one that was stopped also its checkpoint."""

    RESULT = TrainResult

    def _out(self, result: TrainResult, temporary: Path | None) -> ExitCode | None:
        failed = EXIT_CODES.get(result.status or '')
        try:
            missing = self._out_files(temporary)
        except (OSError, ValueError) as error:
            return self.exit_codes.ERROR_RESULTS_UNREADABLE.format(message=str(error).splitlines()[0])
        if failed is not None:
            return self.exit_codes[failed].format(message=result.error or '; '.join(result.warnings))
        if missing:
            return self.exit_codes.ERROR_RESULTS_UNREADABLE.format(message=f'{", ".join(missing)} is not there')
        return None

    def _out_unfinished(self, temporary: Path | None) -> None:
        try:
            self._out_files(temporary)
        except (OSError, ValueError) as error:
            self.logger.warning(f'what the training left so far cannot be read: {error}')
        self._out_checkpoint(temporary)

    def _out_killed(self, message: str, temporary: Path | None) -> ExitCode:
        if not self._out_checkpoint(temporary):
            return super()._out_killed(message, temporary)
        return self.exit_codes.ERROR_WALL_TIME.format(message=f'killed without results ({message})')

    def _out_files(self, temporary: Path | None) -> list[str]:
        """Attach model, curve and predictions as far as they are there, and return the files that are not.

        :raises ValueError: for files that cannot be read, or belong to different models.
        """
        missing = []
        for name, label, title in (
            (CURVE_FILE, 'curve', 'learning curve'),
            (PREDICTIONS_FILE, 'predictions', 'predictions of a training'),
        ):
            path = None if temporary is None else temporary / name
            if path is None or not path.is_file():
                missing.append(name)
                continue
            self.out(label, TableData(read_parquet(path.read_bytes()), title=title))
        weights, card = (None if temporary is None else temporary / name for name in (WEIGHTS_FILE, CARD_FILE))
        if weights is None or card is None or not weights.is_file() or not card.is_file():
            return [*missing, WEIGHTS_FILE]
        text = card.read_text(encoding='utf8')
        entries = model_entries(self.node.inputs.parameters.get_dict() if 'parameters' in self.node.inputs else {})
        self.out('model', ModelData(weights, parse_card(text).model_copy(update=entries) if entries else text))
        return missing

    def _out_checkpoint(self, temporary: Path | None) -> bool:
        path = None if temporary is None else temporary / CHECKPOINT_FILE
        if path is None or not path.is_file():
            return False
        self.out('checkpoint', SinglefileData(path, filename=CHECKPOINT_FILE))
        return True


class PredictParser(PlainParser):
    """What a model says of crystals; of a job that was stopped, of those that it came to."""

    RESULT = PredictResult

    def _out(self, result: PredictResult, temporary: Path | None) -> ExitCode | None:  # noqa: ARG002
        try:
            self._out_predictions(temporary)
        except (OSError, ValueError) as error:
            return self.exit_codes.ERROR_RESULTS_UNREADABLE.format(message=str(error).splitlines()[0])
        return None

    def _out_unfinished(self, temporary: Path | None) -> None:
        if temporary is not None and (temporary / PREDICTIONS_FILE).is_file():
            try:
                self._out_predictions(temporary)
            except (OSError, ValueError) as error:
                self.logger.warning(f'what was predicted so far cannot be read: {error}')

    def _out_predictions(self, temporary: Path | None) -> None:
        assert temporary is not None
        table = read_parquet((temporary / PREDICTIONS_FILE).read_bytes())
        card = self.node.inputs.model.property_card
        units = {scaler.label: scaler.unit for scaler in card.scalers}
        found = {units.get(str(label)) for label in table['target'].unique()}
        unit = next(iter(found)) if len(found) == 1 else None
        shared = {} if unit is None else {name: unit for name in ('value', 'prediction') if name in table}
        self.out('predictions', TableData(table, units=shared, title=f'predictions of {card.title or "a model"}'))
