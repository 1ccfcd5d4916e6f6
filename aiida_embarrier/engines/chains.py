"""What the restart work chains of all engines share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiida.engine import BaseRestartWorkChain, WorkChain

from aiida_embarrier.engines.protocols import closest
from aiida_embarrier.engines.resumption import taking_finished_jobs

if TYPE_CHECKING:
    from aiida.engine import CalcJob, ToContext
    from aiida.orm import Dict

__all__ = ('JobChain', 'check_options')


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
