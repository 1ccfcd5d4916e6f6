"""Parsers of jobs of `embarrier-worker` that need no potential: what they share."""

from __future__ import annotations

import json
from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from aiida.orm import Dict
from aiida.parsers import Parser
from pydantic import ValidationError

from aiida_embarrier.calculations.worker import read_error
from aiida_embarrier.jobs.plain import Outcome, PlainResult
from aiida_embarrier.jobs.schemas import NUMERICS_VERSION, RESULT_FILE

if TYPE_CHECKING:
    from aiida.engine import ExitCode

__all__ = ('PlainParser',)

#: Exit codes by the outcome of a job.
EXIT_CODES = {
    Outcome.REFUSED: 'ERROR_INVALID_INPUT',
    Outcome.INTERRUPTED: 'ERROR_WALL_TIME',
    Outcome.FAILED: 'ERROR_WORKER',
}
#: Of jobs that were refused, those with an exit code of their own.
EXIT_CODES_OF_KINDS = {'parent': 'ERROR_PARENT', 'device': 'ERROR_DEVICE'}


class PlainParser(Parser):
    """Results of a job without a potential: its summary, and what subclasses make of its files.

    Subclasses set :attr:`RESULT`, the schema of the results, and write :meth:`_out`.
    """

    CACHE_VERSION = NUMERICS_VERSION

    RESULT: ClassVar[type[PlainResult]] = PlainResult
    #: Entries of the results that outputs hold already, left out of the node `results`.
    LEFT_OUT: ClassVar[frozenset[str]] = frozenset()

    def parse(self, retrieved_temporary_folder: str | None = None, **kwargs: Any) -> ExitCode | None:  # noqa: ARG002
        """Attach the results; of a job that was stopped or refused its message."""
        temporary = None if retrieved_temporary_folder is None else Path(retrieved_temporary_folder)
        repository = self.retrieved.base.repository
        names = repository.list_object_names()
        if RESULT_FILE not in names:
            error = read_error(repository.get_object_content('worker.err')) if 'worker.err' in names else ''
            message = ' | '.join(part for part in (self.node.exit_message or '', error) if part)
            return self._out_killed(message, temporary)
        try:
            result = self.RESULT.model_validate_json(repository.get_object_content(RESULT_FILE))
        except ValidationError as error:
            return self.exit_codes.ERROR_RESULTS_UNREADABLE.format(message=str(error).splitlines()[0])
        summary = json.loads(result.model_dump_json(exclude=set(self.LEFT_OUT), exclude_none=True))
        self.out('results', Dict(summary))
        if result.outcome is not Outcome.DONE:
            self._out_unfinished(temporary)
            name = EXIT_CODES_OF_KINDS.get(result.error_kind or '', EXIT_CODES[result.outcome])
            return self.exit_codes[name].format(message=result.error)
        return self._out(result, temporary)

    @abstractmethod
    def _out(self, result: Any, temporary: Path | None) -> ExitCode | None:
        """Attach the outputs of a job that is done."""

    def _out_unfinished(self, temporary: Path | None) -> None:
        """Attach what a job left that is not done; most kinds have nothing to hand over."""

    def _out_killed(self, message: str, temporary: Path | None) -> ExitCode:  # noqa: ARG002  (for those that leave files)
        """Attach what a job left that could not write its results.

        :param message: what scheduler and standard error say of it.
        """
        return self.exit_codes.ERROR_NO_RESULTS.format(message=message)
