"""What the restart work chains of all engines share."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from aiida.engine import BaseRestartWorkChain, ProcessHandlerReport, WorkChain

from aiida_embarrier.calculations.results import add_up
from aiida_embarrier.engines.protocols import closest
from aiida_embarrier.engines.resumption import taking_finished_jobs

if TYPE_CHECKING:
    from aiida.engine import CalcJob, ExitCode, ToContext
    from aiida.orm import Dict

__all__ = ('HandingOverChain', 'JobChain', 'check_options')


class JobChain(BaseRestartWorkChain):
    """A restart work chain that `resume` can start again; it sets `ctx.resumed` before its first job."""

    def run_process(self) -> ToContext:
        """Run the next job; one that was done before is taken from the database in a process that `resume` started."""
        with taking_finished_jobs(self.ctx.resumed):
            return super().run_process()

    def on_terminated(self) -> None:
        """Clean the folders of the jobs if asked; AiiDA's own method reports it also where nothing is cleaned."""
        if self.inputs.clean_workdir.value:
            super().on_terminated()
        else:
            WorkChain.on_terminated(self)


class HandingOverChain(JobChain):
    """A chain that attaches what its jobs came to however it ends; it sets `ctx.verdict` to None before its first job.

    Subclasses write :meth:`_attach` and :meth:`_exhausted`; handlers that end the chain return :meth:`_give_up`.
    """

    def inspect_process(self) -> ExitCode | None:
        """Handle the outcome of a job; attach what there is when the chain ends in failure."""
        exit_code = super().inspect_process()
        if exit_code is None or exit_code.status == 0:
            return exit_code
        self._attach()
        if exit_code == self.exit_codes.ERROR_MAXIMUM_ITERATIONS_EXCEEDED:
            # Where this was the last job allowed, AiiDA does not look at what the handler found.
            return self.ctx.verdict or self._exhausted()
        return exit_code

    def results(self) -> None:
        """Attach what the jobs came to."""
        self._attach()

    @abstractmethod
    def _attach(self) -> None:
        """Attach the outputs, as far as the jobs came."""

    @abstractmethod
    def _exhausted(self) -> ExitCode:
        """Return how the chain ends where its last job was not enough."""

    def _attach_results(self) -> None:
        """Attach the results of the last job, with what all jobs took together."""
        reports = [node.outputs.results for node in self.ctx.children if 'results' in node.outputs]
        if len(reports) == 1:
            self.out('results', reports[0])
        elif reports:
            self.out('results', add_up(**{f'job_{number}': report for number, report in enumerate(reports, start=1)}))

    def _give_up(self, exit_code: ExitCode) -> ProcessHandlerReport:
        self.ctx.verdict = exit_code
        return ProcessHandlerReport(do_break=True, exit_code=exit_code)


def check_options(node: Dict | None, job: type[CalcJob]) -> str | None:
    """Return what is wrong with the options of jobs, None where nothing is.

    :param node: the options; None where none are given.
    :param job: the class of the jobs, which knows the options that there are.
    """
    if node is None:
        return None
    port = job.spec().inputs['metadata']['options']
    unknown = [name for name in node.get_dict() if name not in port]
    if unknown:
        return f'unknown option {unknown[0]!r} of a job{closest(unknown[0], port)}'
    resources = {'num_machines': 1, 'num_mpiprocs_per_machine': 1}  # what the engines fill in where none are given
    error = port.validate({'resources': resources, **node.get_dict()})
    return None if error is None else f'options of a job: {error.message}'
