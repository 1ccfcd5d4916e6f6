"""aiida-quantumespresso's restart work chain of pw.x, which `resume` lets go on where an earlier attempt stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiida_quantumespresso.workflows.pw.base import PwBaseWorkChain

from aiida_embarrier.engines.resumption import is_resumed, last_job_before, taking_finished_jobs

if TYPE_CHECKING:
    from aiida.engine import ToContext

__all__ = ('PwWorkChain',)

#: The jobs of the plugin, as the configuration of AiiDA's caching names them.
PW_JOBS = 'aiida.calculations:quantumespresso.*'


class PwWorkChain(PwBaseWorkChain):
    """Run pw.x with the restarts of aiida-quantumespresso; what an earlier attempt did is not done again."""

    def setup(self) -> None:
        """Collect the inputs of the first job, from the last one of an earlier attempt where there was one."""
        super().setup()
        self.ctx.resumed = is_resumed(self.node)
        job = last_job_before(self.node) if self.ctx.resumed else None
        if job is None:
            return
        # One that ended is asked for as it was, and found in the database; one that was killed is run again.
        self.ctx.inputs.structure = job.inputs.structure
        self.ctx.inputs.parameters = job.inputs.parameters.get_dict()
        if 'parent_folder' in job.inputs:
            self.ctx.inputs.parent_folder = job.inputs.parent_folder
        self.report(f'going on with what job {job.pk} did')

    def run_process(self) -> ToContext:
        """Run the next job; one that was done before is taken from the database in a process that `resume` started."""
        with taking_finished_jobs(self.ctx.resumed, PW_JOBS):
            return super().run_process()
