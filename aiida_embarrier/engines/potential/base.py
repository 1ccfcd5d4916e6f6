"""What the restart work chains of the potential engine share."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from aiida.common import AttributeDict
from aiida.engine import BaseRestartWorkChain, ProcessHandlerReport, WorkChain, process_handler
from aiida.orm import AbstractCode, Dict, SinglefileData

from aiida_embarrier.calculations.worker import WorkerCalculation, validate_potential, validate_settings

if TYPE_CHECKING:
    from aiida.engine import ExitCode
    from aiida.engine.processes.workchains.workchain import WorkChainSpec
    from aiida.orm import CalcJobNode

__all__ = ('PotentialRestartWorkChain',)


class PotentialRestartWorkChain(BaseRestartWorkChain):
    """Run a job of the worker until it is done: continue it from its checkpoint, or start again with smaller steps.

    Whatever happens, the results of the last job that gave any are outputs.
    """

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
            help='Options of the jobs: `resources`, `max_wallclock_seconds`, `queue_name`, ...',
        )
        spec.input('checkpoint', valid_type=SinglefileData, required=False, help='Checkpoint to continue from.')
        spec.outline(
            cls.setup,
            cls.while_outline(),
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
            message='Not converged after {iterations} jobs. The last good result is an output, and the output '
            '`checkpoint` continues from there: {message}',
        )
        spec.exit_code(
            502,
            'ERROR_DIVERGED',
            message='The optimisation diverged again with smaller steps. The last good result is an output: {message}',
        )

    @classmethod
    def while_outline(cls) -> Any:
        """Return the loop of the outline."""
        from aiida.engine import while_

        return while_(cls.should_run_process)(cls.run_process, cls.inspect_process)

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

    def inspect_process(self) -> ExitCode | None:
        """Handle the outcome of a job; attach what there is when the chain ends in failure."""
        exit_code = super().inspect_process()
        if exit_code is None or exit_code.status == 0:
            return exit_code
        self._attach()
        if exit_code == self.exit_codes.ERROR_MAXIMUM_ITERATIONS_EXCEEDED:
            node = self.ctx.children[-1]
            return self.exit_codes.ERROR_NOT_CONVERGED.format(
                iterations=self.ctx.iteration, message=node.exit_message or node.process_state
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
        """Attach the outputs of the last job that gave any."""
        for node in reversed(self.ctx.children):
            if self._has_result(node):
                self.out_many(self._outputs_of(node))
                break
        last = self.ctx.children[-1]
        if not last.is_finished_ok and 'checkpoint' in last.outputs:
            self.out('checkpoint', last.outputs.checkpoint)

    def _has_result(self, node: CalcJobNode) -> bool:
        return 'results' in node.outputs

    def _outputs_of(self, node: CalcJobNode) -> dict[str, Any]:
        return {'results': node.outputs.results} if 'results' in node.outputs else {}

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
        self._continue(node)
        steps = self._default_parameters() | self.ctx.inputs.parameters.get_dict()
        first = self._default_parameters() | (self.inputs.parameters.get_dict() if 'parameters' in self.inputs else {})
        self._update_parameters(max_steps=steps['max_steps'] + first['max_steps'])
        self.report(f'job {node.pk} did not converge: {node.exit_message} Continuing from its checkpoint')
        return ProcessHandlerReport(do_break=True)

    @process_handler(priority=400, exit_codes=[WorkerCalculation.exit_codes.ERROR_DIVERGED])
    def handle_diverged(self, node: CalcJobNode) -> ProcessHandlerReport:
        """Start a job that diverged again: with half the step length, then with another way to start, then give up."""
        self.ctx.n_divergences += 1
        self.ctx.inputs.pop('checkpoint', None)
        remedy = self._remedy_of_divergence()
        if remedy is None:
            exit_code = self.exit_codes.ERROR_DIVERGED.format(message=node.exit_message)
            return ProcessHandlerReport(do_break=True, exit_code=exit_code)
        self.report(f'job {node.pk} diverged: {node.exit_message} Starting again with {remedy}')
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
        exit_code = self.exit_codes.ERROR_UNRECOVERABLE.format(message=node.exit_message)
        return ProcessHandlerReport(do_break=True, exit_code=exit_code)

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
            exit_code = self.exit_codes.ERROR_UNRECOVERABLE.format(message=node.exit_message)
            return ProcessHandlerReport(do_break=True, exit_code=exit_code)
        self._continue(node)
        self.report(f'job {node.pk} failed: {node.exit_message} Trying once more')
        return ProcessHandlerReport(do_break=True)

    @abstractmethod
    def _default_parameters(self) -> dict[str, Any]:
        """Return the defaults of the parameters of the chain's task."""

    def _remedy_of_divergence(self) -> str | None:
        """Change the inputs after a divergence and say how, or return None where nothing is left to try."""
        if self.ctx.n_divergences > 1:
            return None
        length = (self._default_parameters() | self.ctx.inputs.parameters.get_dict())['max_step_length'] / 2
        self._update_parameters(max_step_length=length)
        return f'steps of at most {length} Å'
