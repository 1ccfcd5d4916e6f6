"""Parsers of `embarrier-worker`: its result files to nodes and exit codes."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiida.orm import Dict, SinglefileData
from aiida.parsers import Parser
from pydantic import ValidationError

from aiida_embarrier.calculations.worker import EXIT_CODE_OF_STATUS, read_error, summary_of
from aiida_embarrier.jobs.schemas import (
    CHECKPOINT_FILE,
    GRAVEST_FIRST,
    NUMERICS_VERSION,
    RESULT_FILE,
    JobResult,
    Status,
)

if TYPE_CHECKING:
    from aiida.engine import ExitCode

    from aiida_embarrier.jobs.schemas import NebResult, RelaxResult

__all__ = ('PotentialNebParser', 'PotentialRelaxParser')


class WorkerParser(Parser):
    """What the parsers of the worker share."""

    CACHE_VERSION = NUMERICS_VERSION

    def parse(self, retrieved_temporary_folder: str | None = None, **kwargs: Any) -> ExitCode | None:  # noqa: ARG002
        """Attach the results, also those of a job that did not converge or was killed."""
        temporary = Path(retrieved_temporary_folder) if retrieved_temporary_folder else None
        codes = self.exit_codes
        names = self.retrieved.base.repository.list_object_names()
        if RESULT_FILE not in names:
            return self._parse_killed(temporary)
        try:
            result = JobResult.model_validate_json(self.retrieved.base.repository.get_object_content(RESULT_FILE))
        except ValidationError as error:
            return codes.ERROR_RESULTS_UNREADABLE.format(message=str(error).splitlines()[0])
        self.out('results', Dict(summary_of(result)))
        for task in result.results:
            self._out_task(task, temporary)
        if result.error is not None:
            self._out_checkpoint(temporary)
            kinds = {'input': codes.ERROR_INVALID_INPUT, 'weights': codes.ERROR_WEIGHTS}
            return kinds.get(result.error_kind or '', codes.ERROR_WORKER).format(message=result.error)
        unconverged = [
            task for task in result.results if task.status is not Status.CONVERGED and not self._is_done(task)
        ]
        if not unconverged:
            return None
        self._out_checkpoint(temporary)
        gravest = min(unconverged, key=lambda task: GRAVEST_FIRST.index(task.status))
        message = '; '.join(f'{task.label}: {task.message}' for task in unconverged)
        return codes[EXIT_CODE_OF_STATUS[gravest.status]].format(message=message)

    def _parse_killed(self, temporary: Path | None) -> ExitCode:
        """Attach what a job left that was killed before it could write its results."""
        error = ''
        if 'worker.err' in self.retrieved.base.repository.list_object_names():
            error = read_error(self.retrieved.base.repository.get_object_content('worker.err'))
        scheduler = self.node.exit_message or ''
        message = ' | '.join(part for part in (scheduler, error) if part)
        if not self._out_checkpoint(temporary):
            return self.exit_codes.ERROR_NO_RESULTS.format(message=message)
        self._out_partial(temporary)
        return self.exit_codes.ERROR_WALL_TIME.format(message=f'killed without results ({message})')

    def _out_checkpoint(self, temporary: Path | None) -> bool:
        path = None if temporary is None else temporary / CHECKPOINT_FILE
        if path is None or not path.is_file():
            return False
        self.out('checkpoint', SinglefileData(path, filename=CHECKPOINT_FILE))
        return True

    @abstractmethod
    def _out_task(self, task: Any, temporary: Path | None) -> None:
        """Attach the result of one task."""

    def _is_done(self, task: Any) -> bool:  # noqa: ARG002  (single points of bands are)
        """Return whether a task did all that it was asked for though it did not converge."""
        return False

    def _out_partial(self, temporary: Path | None) -> None:
        """Attach results that were written before the job was killed; relaxations write none."""


class PotentialRelaxParser(WorkerParser):
    """Relaxed structures."""

    def _out_task(self, task: RelaxResult, temporary: Path | None) -> None:  # noqa: ARG002
        from aiida_embarrier.data.convert import node_from_geometry

        if task.energy is not None:
            like = self.node.inputs.structures[task.label]
            self.out(f'structures.{task.label}', node_from_geometry(task.structure, like))


class PotentialNebParser(WorkerParser):
    """Bands."""

    def _is_done(self, task: NebResult) -> bool:
        """Return whether the images were to be evaluated only, without a step."""
        single_point = 'parameters' in self.node.inputs and self.node.inputs.parameters.get('max_steps', None) == 0
        return single_point and task.status is Status.NOT_CONVERGED

    def _out_task(self, task: NebResult, temporary: Path | None) -> None:
        self._out_band(task.label, temporary)

    def _out_partial(self, temporary: Path | None) -> None:
        for label in self.node.inputs.bands:
            self._out_band(label, temporary)

    def _out_band(self, label: str, temporary: Path | None) -> None:
        from aiida_embarrier.bands.io import read_npz
        from aiida_embarrier.data.band import BandData
        from aiida_embarrier.jobs.schemas import NebTask

        path = None if temporary is None else temporary / NebTask(label=label).result_file
        if path is not None and path.is_file():
            self.out(f'bands.{label}', BandData(read_npz(path)))
