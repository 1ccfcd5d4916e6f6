"""What the restart work chains of the potential engine share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from aiida.common import AttributeDict
from aiida.engine import ProcessHandlerReport, process_handler, while_
from aiida.orm import AbstractCode, Dict, List, SinglefileData

from aiida_embarrier.calculations.worker import (
    PotentialRelaxCalculation,
    WorkerCalculation,
    validate_potential,
    validate_settings,
)
from aiida_embarrier.engines.base import why
from aiida_embarrier.engines.chains import HandingOverChain, check_options
from aiida_embarrier.engines.resumption import is_resumed, last_checkpoint, last_job_before
from aiida_embarrier.jobs.schemas import GRAVEST_FIRST, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aiida.engine import ExitCode
    from aiida.engine.processes.workchains.workchain import WorkChainSpec
    from aiida.orm import CalcJobNode

    from aiida_embarrier.jobs.schemas import NebTask, RelaxTask

__all__ = ('PotentialRestartWorkChain',)

#: How often a task that reached its step limit gets as many steps again.
MAX_EXTENSIONS = 4

#: Residual force in eV/Å of a band that went through atoms or worse. A sound one that diverges, or begins badly, falls
#: below it within a few steps.
HOPELESS_FORCE = 5.0

#: Jobs that end like this leave a checkpoint from which another job goes on.
CONTINUABLE = tuple(
    WorkerCalculation.exit_codes[name].status
    for name in ('ERROR_WALL_TIME', 'ERROR_NOT_CONVERGED', 'ERROR_WORKER', 'ERROR_RESULTS_UNREADABLE')
)


def validate_options(node: Dict | None, _: Any) -> str | None:
    """Check the options of jobs against those that AiiDA knows."""
    return check_options(node, PotentialRelaxCalculation)


GO_ON = 'continuing from its checkpoint'


@dataclass(frozen=True)
class Remedy:
    """What the next job may do for a task that is not done.

    :param words: what the report says of it.
    :param n_steps: steps that a task has made which gets as many again as its limit allowed; 0 for others.
    :param afresh: whether the task starts afresh, whatever the checkpoint says of it.
    :param shorter: whether the steps are halved.
    """

    words: str
    n_steps: int = 0
    afresh: bool = False
    shorter: bool = False


class PotentialRestartWorkChain(HandingOverChain):
    """Run a job of the worker until each of its tasks is done or cannot be helped.

    Tasks go on from the checkpoint of the job before, or start again with smaller steps; one that fails for good does
    not spoil the others. Whatever happens, the last good result of each task is an output.
    """

    #: The schema of the parameters of the chain's jobs.
    _task: ClassVar[type[RelaxTask | NebTask]]
    #: What the jobs work on, by label: `structures` or `bands`, as input and output.
    _namespace: ClassVar[str]

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define the inputs, the outline and the exit codes."""
        super().define(spec)
        spec.input('code', valid_type=AbstractCode, help='The code of `embarrier-worker`.')
        spec.input('potential', valid_type=Dict, validator=validate_potential, help='The potential, pinned.')
        spec.input('settings', valid_type=Dict, required=False, validator=validate_settings, help='Settings of jobs.')
        spec.input(
            'options',
            valid_type=Dict,
            required=False,
            validator=validate_options,
            help='Options of the jobs: `resources`, `max_wallclock_seconds`, `queue_name`, ...',
        )
        spec.input('checkpoint', valid_type=SinglefileData, required=False, help='Checkpoint to continue from.')
        spec.outline(
            cls.setup,
            cls.take_over,
            while_(cls.should_run_process)(cls.run_process, cls.inspect_process),
            cls.results,
        )
        spec.output('results', valid_type=Dict, required=False, help='Status, steps and energies of each task.')
        spec.output('checkpoint', valid_type=SinglefileData, required=False, help='Where it stopped, if it failed.')
        spec.exit_code(
            310, 'ERROR_UNRECOVERABLE', message='The job failed in a way that a restart does not mend: {message}'
        )
        spec.exit_code(
            501,
            'ERROR_NOT_CONVERGED',
            message='Not converged after {iterations} jobs. The last good result is an output; so is, where another '
            'chain can go on from there, its input `checkpoint`: {message}',
        )
        spec.exit_code(
            502,
            'ERROR_DIVERGED',
            message='The optimisation diverged again with smaller steps. The last good result is an output: {message}',
        )

    def setup(self) -> None:
        """Collect the inputs of the first job."""
        super().setup()
        names = ('code', 'potential', 'settings', 'checkpoint')
        inputs = AttributeDict({name: self.inputs[name] for name in names if name in self.inputs})
        options = self.inputs.options.get_dict() if 'options' in self.inputs else {}
        inputs.metadata = {'options': options}
        inputs.parameters = self.inputs.parameters if 'parameters' in self.inputs else Dict({})
        self.ctx.inputs = inputs
        self.ctx.n_divergences = {}
        self.ctx.n_extensions = {}
        self.ctx.verdict = None

    def take_over(self) -> None:
        """Go on where an earlier attempt at the same stopped, in a process that `resume` started."""
        self.ctx.resumed = is_resumed(self.node)
        job = last_job_before(self.node) if self.ctx.resumed else None
        if job is None:
            return
        inputs, done = self.ctx.inputs, job.base.caching.is_valid_cache
        inputs[self._namespace] = {label: job.inputs[self._namespace][label] for label in job.inputs[self._namespace]}
        for name in ('parameters', 'checkpoint', 'afresh'):
            if name in job.inputs:
                inputs[name] = job.inputs[name]
        checkpoint = None if done else last_checkpoint(job)
        if checkpoint is not None:
            inputs.checkpoint = checkpoint
            inputs.pop('afresh', None)  # that was done
        how = 'which is done' if done else 'from its last checkpoint' if 'checkpoint' in inputs else 'from its start'
        self.report(f'going on with what job {job.pk} did, {how}')

    def _exhausted(self) -> ExitCode:
        message = why(self.ctx.children[-1])
        code: ExitCode = self.exit_codes.ERROR_NOT_CONVERGED.format(iterations=self.ctx.iteration, message=message)
        return code

    def _attach(self) -> None:
        """Attach the last good result of each task, what all jobs took together, and the checkpoint if it fits."""
        last_good: dict[str, Any] = {}
        for label in self.inputs[self._namespace]:
            candidates = [
                node.outputs[self._namespace][label]
                for node in reversed(self.ctx.children)
                if self._namespace in node.outputs and label in node.outputs[self._namespace]
            ]
            good = [result for result in candidates if self._is_good(result)]
            if candidates:
                last_good[label] = (good or candidates)[0]
        if last_good:
            self.out(self._namespace, last_good)
        self._attach_results()
        last = self.ctx.children[-1]
        if last.exit_status in CONTINUABLE and 'checkpoint' in last.outputs and self._started_from_inputs():
            self.out('checkpoint', last.outputs.checkpoint)

    def _started_from_inputs(self) -> bool:
        """Return whether the last job worked on what the chain was given, so that its checkpoint fits the inputs."""
        return True

    def _is_good(self, result: Any) -> bool:  # noqa: ARG002  (bands look at it)
        """Return whether a result is one that was computed, not the input handed back."""
        return True

    def _parameters_now(self) -> dict[str, Any]:
        return self.ctx.inputs.parameters.get_dict()

    def _update_parameters(self, **changes: Any) -> None:
        """Change parameters of the next job, in a new node."""
        if changes:
            self.ctx.inputs.parameters = Dict({**self._parameters_now(), **changes})

    def _continue(self, node: CalcJobNode) -> None:
        """Let the next job go on from the checkpoint of a job; without one it does what that job was to do."""
        if 'checkpoint' in node.outputs:
            self.ctx.inputs.checkpoint = node.outputs.checkpoint
            self.ctx.inputs.pop('afresh', None)  # that was done before the checkpoint was written

    @process_handler(
        priority=500,
        exit_codes=[
            WorkerCalculation.exit_codes.ERROR_WALL_TIME,
            WorkerCalculation.exit_codes.ERROR_NOT_CONVERGED,
            WorkerCalculation.exit_codes.ERROR_DIVERGED,
            WorkerCalculation.exit_codes.ERROR_IMAGES_COLLAPSED,
            WorkerCalculation.exit_codes.ERROR_POTENTIAL,
        ],
    )
    def handle_unfinished_tasks(self, node: CalcJobNode) -> ProcessHandlerReport:
        """Run another job where it helps any task; what has converged, or cannot be helped, stays as it is in it.

        A job that was killed says nothing of its tasks: all of them go on from its checkpoint.
        """
        tasks = node.outputs.results['tasks'] if 'results' in node.outputs else {}
        remedies = {label: remedy for label in tasks if (remedy := self._remedy(label, tasks[label])) is not None}
        if tasks and not remedies:
            code = self.exit_codes[self._exit_code_of(Status(task['status']) for task in tasks.values())]
            return self._give_up(code.format(iterations=self.ctx.iteration, message=why(node)))
        self._continue(node)
        changes = {}
        done = max((remedy.n_steps for remedy in remedies.values()), default=0)
        if done:
            given = self.inputs.parameters.get_dict() if 'parameters' in self.inputs else {}
            changes['max_steps'] = done + self._parameter('max_steps', given)
        if any(remedy.shorter for remedy in remedies.values()):
            changes['max_step_length'] = self._parameter('max_step_length', self._parameters_now()) / 2
        self._update_parameters(**changes)
        self.ctx.inputs.afresh = List([label for label, remedy in remedies.items() if remedy.afresh])
        how = '; '.join(dict.fromkeys(remedy.words for remedy in remedies.values())) or GO_ON
        stopped = ' was stopped before it was done' if how == GO_ON else ''
        self.report(f'job {node.pk}{stopped}: {how}')
        return ProcessHandlerReport(do_break=True)

    def _remedy(self, label: str, task: Mapping[str, Any]) -> Remedy | None:
        """Return what the next job may do for one task, None where it is done or nothing is left to try."""
        status, message = Status(task['status']), task.get('message', '')
        if status is Status.INTERRUPTED:
            return Remedy(GO_ON)
        if status is Status.NOT_CONVERGED:
            self.ctx.n_extensions[label] = self.ctx.n_extensions.get(label, 0) + 1
            if self.ctx.n_extensions[label] > MAX_EXTENSIONS:
                return None
            return Remedy(f'continuing {label!r} from its checkpoint ({message})', n_steps=task['n_steps'])
        shorter = False
        if status is Status.DIVERGED:
            self.ctx.n_divergences[label] = self.ctx.n_divergences.get(label, 0) + 1
            shorter = self.ctx.n_divergences[label] == 1
            if not shorter and self._is_hopeless(task):
                return None
            other = 'shorter steps' if shorter else self._restart_differently(label)
        elif status is Status.COLLAPSED:
            other = self._restart_differently(label)
        else:  # converged, or refused by the potential, which would refuse it again
            return None
        if other is None:
            return None
        return Remedy(f'starting {label!r} again with {other} ({message})', afresh=True, shorter=shorter)

    def _is_hopeless(self, task: Mapping[str, Any]) -> bool:
        """Return whether a task that diverged again is given up, so that the others of the job are not held up by it.

        That is where its forces are beyond reason; a task that is alone gets every chance.
        """
        forces = task.get('residual_forces') or [0.0]
        return len(self.inputs[self._namespace]) > 1 and forces[-1] > HOPELESS_FORCE

    def _restart_differently(self, label: str) -> str | None:  # noqa: ARG002  (bands have another start)
        """Give a task another start and say which, or return None where there is no other."""
        return None

    def _exit_code_of(self, statuses: Iterable[Status]) -> str:
        """Return the name of the exit code of the chain whose tasks ended like this."""
        gravest = min(statuses, key=GRAVEST_FIRST.index)
        return {
            Status.FAILED: 'ERROR_UNRECOVERABLE',
            Status.DIVERGED: 'ERROR_DIVERGED',
            Status.COLLAPSED: 'ERROR_IMAGES_COLLAPSED',
        }.get(gravest, 'ERROR_NOT_CONVERGED')

    @process_handler(
        priority=300,
        exit_codes=[
            WorkerCalculation.exit_codes.ERROR_INVALID_INPUT,
            WorkerCalculation.exit_codes.ERROR_WEIGHTS,
        ],
    )
    def handle_unrecoverable(self, node: CalcJobNode) -> ProcessHandlerReport:
        """Give up where a restart would fail the same way, and say why."""
        return self._give_up(self.exit_codes.ERROR_UNRECOVERABLE.format(message=why(node)))

    @process_handler(
        priority=200,
        exit_codes=[
            WorkerCalculation.exit_codes.ERROR_NO_RESULTS,
            WorkerCalculation.exit_codes.ERROR_RESULTS_UNREADABLE,
            WorkerCalculation.exit_codes.ERROR_WORKER,
        ],
    )
    def handle_machine(self, node: CalcJobNode) -> ProcessHandlerReport | None:
        """Try a job that failed for a reason of the machine once more; what fails twice in a row is not handled."""
        previous = self.ctx.children[-2] if len(self.ctx.children) > 1 else None
        if previous is not None and previous.exit_status == node.exit_status:
            return self._give_up(self.exit_codes.ERROR_UNRECOVERABLE.format(message=why(node)))
        self._continue(node)
        self.report(f'job {node.pk} failed: {why(node)} Trying once more')
        return ProcessHandlerReport(do_break=True)

    def _parameter(self, name: str, given: Mapping[str, Any]) -> Any:
        """Return a parameter of the chain's jobs, its default where it is not given."""
        return given.get(name, self._task.model_fields[name].default)
