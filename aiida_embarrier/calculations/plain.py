"""CalcJobs of `embarrier-worker` that need no potential: what they share."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from aiida.engine import CalcJob
from aiida.orm import Dict

from aiida_embarrier.calculations.worker import call_worker
from aiida_embarrier.jobs.schemas import JOB_FILE, NUMERICS_VERSION

if TYPE_CHECKING:
    from aiida.common.datastructures import CalcInfo
    from aiida.common.folders import Folder
    from aiida.engine import CalcJobProcessSpec

    from aiida_embarrier.jobs.plain import PlainJob

__all__ = ('PlainCalculation',)


class PlainCalculation(CalcJob):
    """A job of the worker without a potential: it writes the job file, its parser reads the results.

    Subclasses set :attr:`_parser` and write :meth:`_job`.
    """

    CACHE_VERSION = NUMERICS_VERSION

    _parser: ClassVar[str | None] = None

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define the inputs, outputs and exit codes."""
        super().define(spec)
        options = spec.inputs['metadata']['options']
        options['resources'].default = lambda: {'num_machines': 1, 'num_mpiprocs_per_machine': 1}
        options['withmpi'].default = False
        options['parser_name'].default = cls._parser

        spec.output('results', valid_type=Dict, help='How the job went: outcome, numbers, warnings, versions.')
        # a refusal takes a moment, and may be for a potential that is missing on that machine
        spec.exit_code(
            201, 'ERROR_INVALID_INPUT', message='The worker refused the job: {message}', invalidates_cache=True
        )
        spec.exit_code(
            301,
            'ERROR_NO_RESULTS',
            message='The job left no results. Look at its standard error: {message}',
            invalidates_cache=True,
        )
        spec.exit_code(
            302, 'ERROR_RESULTS_UNREADABLE', message='The results cannot be read: {message}', invalidates_cache=True
        )
        spec.exit_code(303, 'ERROR_WORKER', message='The worker failed: {message}', invalidates_cache=True)
        spec.exit_code(
            401,
            'ERROR_WALL_TIME',
            message='The job was stopped before it was done: {message}',
            invalidates_cache=True,
        )

    @abstractmethod
    def _job(self, folder: Folder) -> PlainJob:
        """Return the job, with its files written into the folder; `max_seconds` is filled in."""

    def _retrieved_files(self) -> list[str]:
        """Return names of result files, beside those that every job has, that are kept."""
        return []

    def _temporary_files(self) -> list[str]:
        """Return names of result files that the parser needs and that need not be kept."""
        return []

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write the job file."""
        max_seconds = self.inputs.metadata.options.get('max_wallclock_seconds')
        job = self._job(folder).model_copy(update={'max_seconds': max_seconds})
        with folder.open(JOB_FILE, 'w', encoding='utf8') as handle:
            handle.write(job.model_dump_json(indent=1))
        calc = call_worker(self.inputs.code.uuid, *self._retrieved_files())
        calc.retrieve_temporary_list = self._temporary_files()
        return calc
