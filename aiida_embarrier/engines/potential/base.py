"""What the restart work chains of the potential engine share."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from aiida.common import AttributeDict
from aiida.engine import BaseRestartWorkChain, ProcessHandlerReport, WorkChain, process_handler, while_
from aiida.orm import AbstractCode, Dict, SinglefileData

from aiida_embarrier.calculations.results import add_up
from aiida_embarrier.calculations.worker import (
    PotentialRelaxCalculation,
    WorkerCalculation,
    validate_potential,
    validate_settings,
)
from aiida_embarrier.engines.base import why
from aiida_embarrier.engines.protocols import closest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiida.engine import ExitCode
    from aiida.engine.processes.workchains.workchain import WorkChainSpec
    from aiida.orm import CalcJobNode

    from aiida_embarrier.jobs.schemas import NebTask, RelaxTask

__all__ = ('PotentialRestartWorkChain',)

#: How often a task that reached its step limit gets as many steps again.
MAX_EXTENSIONS = 4

#: Jobs that end like this leave a checkpoint from which another job goes on.
CONTINUABLE = tuple(
    WorkerCalculation.exit_codes[name].status
    for name in ('ERROR_WALL_TIME', 'ERROR_NOT_CONVERGED', 'ERROR_WORKER', 'ERROR_RESULTS_UNREADABLE')
)


def validate_options(node: Dict | None, _: Any) -> str | None:
    """Check the options of jobs against those that AiiDA knows."""
    if node is None:
        return None
    port = PotentialRelaxCalculation.spec().inputs['metadata']['options']
    unknown = [name for name in node.get_dict() if name not in port]
    if unknown:
        return f'unknown option {unknown[0]!r} of a job{closest(unknown[0], port)}'
    error = port.validate({'resources': port['resources'].default(), **node.get_dict()})
    return None if error is None else f'options of a job: {error.message}'


class PotentialRestartWorkChain(BaseRestartWorkChain):
    """Run a job of the worker until it is done: continue it from its checkpoint, or start again with smaller steps.

    Whatever happens, the results of the last job that gave any are outputs.
    """

    #: The schema of the parameters of the chain's jobs.
    _task: ClassVar[type[RelaxTask | NebTask]]

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
        self.ctx.n_divergences = 0
        self.ctx.n_extensions = 0
        self.ctx.verdict = None

    def inspect_process(self) -> ExitCode | None:
        """Handle the outcome of a job; attach what there is when the chain ends in failure."""
        exit_code = super().inspect_process()
        if exit_code is None or exit_code.status == 0:
            return exit_code
        self._attach()
        if exit_code == self.exit_codes.ERROR_MAXIMUM_ITERATIONS_EXCEEDED:
            # Where this was the last job allowed, AiiDA does not look at what the handler found.
            message = why(self.ctx.children[-1])
            return self.ctx.verdict or self.exit_codes.ERROR_NOT_CONVERGED.format(
                iterations=self.ctx.iteration, message=message
            )
        return exit_code

    def results(self) -> None:
        """Attach the results of the last job."""
        self._attach()

    def on_terminated(self) -> None:
        """Clean the folders of the jobs if asked; AiiDA's own method reports it also where nothing is cleaned."""
        if self.inputs.clean_workdir.value:
            super().on_terminated()
        else:
            WorkChain.on_terminated(self)

    def _attach(self) -> None:
        """Attach the last good result, what all jobs took together, and the checkpoint if it continues the inputs."""
        candidates = [node for node in reversed(self.ctx.children) if self._has_result(node)]
        good = [node for node in candidates if self._is_good(node)]
        for node in (good or candidates)[:1]:
            self.out_many(self._outputs_of(node))
        reports = [node.outputs.results for node in self.ctx.children if 'results' in node.outputs]
        if len(reports) == 1:
            self.out('results', reports[0])
        elif reports:
            self.out('results', add_up(**{f'job_{number}': report for number, report in enumerate(reports, start=1)}))
        last = self.ctx.children[-1]
        if last.exit_status in CONTINUABLE and 'checkpoint' in last.outputs and self._started_from_inputs():
            self.out('checkpoint', last.outputs.checkpoint)

    def _started_from_inputs(self) -> bool:
        """Return whether the last job worked on what the chain was given, so that its checkpoint fits the inputs."""
        return True

    @abstractmethod
    def _has_result(self, node: CalcJobNode) -> bool:
        """Return whether a job gave what the chain is for."""

    def _is_good(self, node: CalcJobNode) -> bool:  # noqa: ARG002  (bands look at the node)
        """Return whether that result is one that was computed, not the input handed back."""
        return True

    @abstractmethod
    def _outputs_of(self, node: CalcJobNode) -> dict[str, Any]:
        """Return the outputs of a job under the names of the chain."""

    def _give_up(self, exit_code: ExitCode) -> ProcessHandlerReport:
        self.ctx.verdict = exit_code
        return ProcessHandlerReport(do_break=True, exit_code=exit_code)

    def _update_parameters(self, **changes: Any) -> None:
        """Change parameters of the next job, in a new node."""
        self.ctx.inputs.parameters = Dict({**self.ctx.inputs.parameters.get_dict(), **changes})

    def _continue(self, node: CalcJobNode) -> None:
        if 'checkpoint' in node.outputs:
            self.ctx.inputs.checkpoint = node.outputs.checkpoint

    @process_handler(priority=600, exit_codes=[WorkerCalculation.exit_codes.ERROR_WALL_TIME])
    def handle_wall_time(self, node: CalcJobNode) -> ProcessHandlerReport:
        """Continue a job that ran out of time or was killed from its checkpoint."""
        self._continue(node)
        self.report(f'job {node.pk} was stopped before it was done: continuing from its checkpoint')
        return ProcessHandlerReport(do_break=True)

    @process_handler(priority=500, exit_codes=[WorkerCalculation.exit_codes.ERROR_NOT_CONVERGED])
    def handle_not_converged(self, node: CalcJobNode) -> ProcessHandlerReport:
        """Continue a job that reached its step limit from its checkpoint, with as many steps again."""
        self.ctx.n_extensions += 1
        if self.ctx.n_extensions > MAX_EXTENSIONS:
            return self._give_up(
                self.exit_codes.ERROR_NOT_CONVERGED.format(iterations=self.ctx.iteration, message=why(node))
            )
        self._continue(node)
        given = self.inputs.parameters.get_dict() if 'parameters' in self.inputs else {}
        done = max((task['n_steps'] for task in node.outputs.results['tasks'].values()), default=0)
        self._update_parameters(max_steps=done + self._parameter('max_steps', given))
        self.report(f'job {node.pk} did not converge: {why(node)} Continuing from its checkpoint')
        return ProcessHandlerReport(do_break=True)

    @process_handler(priority=400, exit_codes=[WorkerCalculation.exit_codes.ERROR_DIVERGED])
    def handle_diverged(self, node: CalcJobNode) -> ProcessHandlerReport:
        """Start a job that diverged again: with half the step length, then with another way to start, then give up."""
        self.ctx.n_divergences += 1
        self.ctx.inputs.pop('checkpoint', None)
        remedy = self._remedy_of_divergence()
        if remedy is None:
            return self._give_up(self.exit_codes.ERROR_DIVERGED.format(message=why(node)))
        self.report(f'job {node.pk} diverged: {why(node)} Starting again with {remedy}')
        return ProcessHandlerReport(do_break=True)

    @process_handler(
        priority=300,
        exit_codes=[
            WorkerCalculation.exit_codes.ERROR_INVALID_INPUT,
            WorkerCalculation.exit_codes.ERROR_WEIGHTS,
            WorkerCalculation.exit_codes.ERROR_POTENTIAL,
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

    def _remedy_of_divergence(self) -> str | None:
        """Change the inputs after a divergence and say how, or return None where nothing is left to try."""
        if self.ctx.n_divergences > 1:
            return None
        length = self._parameter('max_step_length', self.ctx.inputs.parameters.get_dict()) / 2
        self._update_parameters(max_step_length=length)
        return f'steps of at most {length} Å'
