"""What restart chains share whose jobs leave a checkpoint, from which the next one goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from aiida.common import AttributeDict
from aiida.engine import ProcessHandlerReport, process_handler, while_
from aiida.orm import Dict, Int

from aiida_embarrier.calculations.plain import PlainCalculation
from aiida_embarrier.engines.base import why
from aiida_embarrier.engines.chains import HandingOverChain, check_options
from aiida_embarrier.engines.resumption import is_resumed, last_checkpoint, last_job_before

if TYPE_CHECKING:
    from aiida.engine import ExitCode
    from aiida.engine.processes.workchains.workchain import WorkChainSpec
    from aiida.orm import CalcJobNode

__all__ = ('CheckpointedChain', 'came_further')

CODES = PlainCalculation.exit_codes

#: Jobs that end like this leave a checkpoint from which another job goes on.
CONTINUABLE = tuple(
    CODES[name].status for name in ('ERROR_WALL_TIME', 'ERROR_WORKER', 'ERROR_NO_RESULTS', 'ERROR_RESULTS_UNREADABLE')
)


class CheckpointedChain(HandingOverChain):
    """One job of the worker in as many pieces as it takes.

    Subclasses set the class of their jobs, what they pass to them and what these hand over.
    """

    #: What a chain passes to its jobs as it is.
    PASSED: ClassVar[tuple[str, ...]] = ()
    #: What jobs hand over, also those that failed.
    HANDED_OVER: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define the inputs, the outputs and the exit codes that all have."""
        super().define(spec)
        spec.expose_inputs(cls._process_class, include=cls.PASSED)
        spec.input(
            'options',
            valid_type=Dict,
            required=False,
            validator=lambda node, _: check_options(node, cls._process_class),
            help='Options of the jobs: `resources`, `max_wallclock_seconds`, `queue_name`, ...; for GPUs see '
            '`aiida_embarrier.calculations.gpu_options`.',
        )
        spec.inputs['max_iterations'].default = lambda: Int(20)
        spec.outline(
            cls.setup,
            cls.take_over,
            while_(cls.should_run_process)(cls.run_process, cls.inspect_process),
            cls.results,
        )
        spec.expose_outputs(cls._process_class, include=(*cls.HANDED_OVER, 'checkpoint'))
        spec.output(
            'results', valid_type=Dict, required=False, help='Status, scores and times, those of all jobs together.'
        )
        spec.exit_code(
            310, 'ERROR_UNRECOVERABLE', message='The job failed in a way that a restart does not mend: {message}'
        )
        spec.exit_code(
            410,
            'ERROR_NO_PROGRESS',
            message='Two jobs in a row were stopped before they could write a checkpoint that is further than the one '
            'before: give the jobs more wall time, or a shorter `checkpoint_seconds` in `settings`: {message}',
        )

    def setup(self) -> None:
        """Collect the inputs of the first job."""
        super().setup()
        inputs = AttributeDict({name: self.inputs[name] for name in self.PASSED if name in self.inputs})
        inputs.metadata = {'options': self.inputs.options.get_dict() if 'options' in self.inputs else {}}
        self.ctx.inputs = inputs
        self.ctx.verdict = None

    def take_over(self) -> None:
        """Go on where an earlier attempt at the same stopped, in a process that `resume` started."""
        self.ctx.resumed = is_resumed(self.node)
        job = last_job_before(self.node) if self.ctx.resumed else None
        if job is None:
            return
        inputs, done = self.ctx.inputs, job.base.caching.is_valid_cache
        if 'parameters' in job.inputs:
            inputs.parameters = job.inputs.parameters
        inputs.pop('checkpoint', None)
        checkpoint = job.inputs.checkpoint if 'checkpoint' in job.inputs else None
        if not done:
            checkpoint = last_checkpoint(job) or checkpoint
        if checkpoint is not None:
            inputs.checkpoint = checkpoint
        how = 'which is done' if done else 'from its start' if checkpoint is None else 'from its last checkpoint'
        self.report(f'going on with what job {job.pk} did, {how}')

    def _exhausted(self) -> ExitCode:
        message = why(self.ctx.children[-1])
        code: ExitCode = self.exit_codes.ERROR_NOT_DONE.format(iterations=self.ctx.iteration, message=message)
        return code

    def _attach(self) -> None:
        """Attach what the last job handed over, what all of them took together, and the checkpoint if it fits."""
        for name in self.HANDED_OVER:
            having = [node for node in self.ctx.children if name in node.outputs]
            if having:
                self.out(name, having[-1].outputs[name])
        self._attach_results()
        self._attach_checkpoint()

    def _attach_checkpoint(self) -> None:
        """Attach the last checkpoint of jobs that another one could go on with."""
        if self.ctx.children[-1].exit_status in CONTINUABLE:
            # the last one may have been killed before it wrote its own
            having = [node for node in self.ctx.children if 'checkpoint' in node.outputs]
            if having:
                self.out('checkpoint', having[-1].outputs.checkpoint)

    def _job_before(self) -> CalcJobNode | None:
        return self.ctx.children[-2] if len(self.ctx.children) > 1 else None

    def _how_far(self, node: CalcJobNode) -> str:  # noqa: ARG002  (some know)
        """Return how far a job came, in words that follow its number; empty where that is not known."""
        return ''

    @process_handler(priority=500, exit_codes=[CODES.ERROR_WALL_TIME])
    def handle_wall_time(self, node: CalcJobNode) -> ProcessHandlerReport:
        """Go on from the checkpoint of a job that was stopped, unless two in a row came no further."""
        before = self._job_before()
        stuck = before is not None and before.exit_status == node.exit_status and not came_further(before)
        if stuck and not came_further(node):
            return self._give_up(self.exit_codes.ERROR_NO_PROGRESS.format(message=why(node)))
        if 'checkpoint' in node.outputs:
            self.ctx.inputs.checkpoint = node.outputs.checkpoint
        how = (
            'continuing from its checkpoint' if 'checkpoint' in node.outputs else 'which left no checkpoint: once more'
        )
        self.report(f'job {node.pk} was stopped{self._how_far(node)}: {how}')
        return ProcessHandlerReport(do_break=True)

    # PARENT and DEVICE are no exit codes of all jobs; their numbers are the same in all that have them
    @process_handler(priority=300)
    def handle_unrecoverable(self, node: CalcJobNode) -> ProcessHandlerReport | None:
        """Give up where a restart would fail the same way, and say why."""
        codes = self._process_class.exit_codes
        names = ('ERROR_INVALID_INPUT', 'ERROR_PARENT', 'ERROR_DEVICE')
        if node.exit_status not in {codes[name].status for name in names if name in codes}:
            return None
        return self._give_up(self.exit_codes.ERROR_UNRECOVERABLE.format(message=why(node)))

    @process_handler(
        priority=200,
        exit_codes=[CODES.ERROR_NO_RESULTS, CODES.ERROR_RESULTS_UNREADABLE, CODES.ERROR_WORKER],
    )
    def handle_machine(self, node: CalcJobNode) -> ProcessHandlerReport:
        """Try a job that failed for a reason of the machine once more; what fails twice in a row is given up."""
        before = self._job_before()
        if before is not None and before.exit_status == node.exit_status:
            return self._give_up(self.exit_codes.ERROR_UNRECOVERABLE.format(message=why(node)))
        if 'checkpoint' in node.outputs:
            self.ctx.inputs.checkpoint = node.outputs.checkpoint
        self.report(f'job {node.pk} failed: {why(node)} Trying once more')
        return ProcessHandlerReport(do_break=True)


def came_further(job: CalcJobNode) -> bool:
    """Return whether a job left a checkpoint that is another than the one that it went on from."""
    if 'checkpoint' not in job.outputs:
        return False
    return 'checkpoint' not in job.inputs or job.outputs.checkpoint.get_content(
        'rb'
    ) != job.inputs.checkpoint.get_content('rb')
