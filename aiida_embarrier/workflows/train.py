"""Train a model in as many jobs as it takes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from aiida.engine import ProcessHandlerReport, process_handler
from aiida.orm import Dict

from aiida_embarrier.calculations.learning import TrainCalculation, validate_training
from aiida_embarrier.engines.base import why
from aiida_embarrier.jobs.learning import TrainingSettings
from aiida_embarrier.workflows.checkpointed import CheckpointedChain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiida.engine import ProcessBuilder
    from aiida.engine.processes.workchains.workchain import WorkChainSpec
    from aiida.orm import AbstractCode, CalcJobNode, SinglefileData

    from aiida_embarrier.data.dataset import DatasetData
    from aiida_embarrier.data.model import ModelData
    from aiida_embarrier.data.table import TableData

__all__ = ('TrainModelWorkChain',)

#: How often the learning rate of a training that diverged is halved.
MAX_HALVINGS = 2


def validate_inputs(inputs: Any, port: Any) -> str | None:
    """Check what the jobs would be given."""
    options = inputs['options'].get_dict() if 'options' in inputs else {}
    return validate_training({**inputs, 'metadata': {'options': options}}, port)


class TrainModelWorkChain(CheckpointedChain):
    """Train a model, job after job: each goes on from the checkpoint of the one before, as if nothing had stopped it.

    A training that diverges starts again with half the learning rate, twice at most. One that learns nothing is given
    up. Whatever happens, the best model so far is an output.
    """

    _process_class = TrainCalculation

    PASSED = ('code', 'datasets', 'splits', 'parameters', 'parent', 'checkpoint', 'settings')
    HANDED_OVER = ('model', 'curve', 'predictions')

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define the inputs, the outline, the outputs and the exit codes."""
        super().define(spec)
        spec.inputs.validator = validate_inputs
        spec.output(
            'parameters',
            valid_type=Dict,
            required=False,
            help='What the model was trained with, where that is not what was asked for: the learning rate was halved.',
        )
        spec.exit_code(
            501,
            'ERROR_NOT_DONE',
            message='Not done after {iterations} jobs. The best model so far is an output; where the output '
            '`checkpoint` is there, another chain goes on from it: {message}',
        )
        spec.exit_code(
            502,
            'ERROR_DIVERGED',
            message='The training diverged, with lower learning rates, too. The best model so far is an output: '
            '{message}',
        )
        spec.exit_code(503, 'ERROR_STALLED', message='The training learned nothing: {message}')

    @classmethod
    def get_builder_from(
        cls,
        code: AbstractCode,
        datasets: Mapping[str, DatasetData],
        splits: Mapping[str, TableData],
        *,
        parameters: Mapping[str, Any] | None = None,
        parent: ModelData | None = None,
        checkpoint: SinglefileData | None = None,
        settings: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> ProcessBuilder:
        """Return a builder; what is None is left out.

        :param code: of `embarrier-worker`.
        :param datasets: by the labels of the targets.
        :param splits: for each of them `name` and `part` of its rows.
        :param parameters: `architecture`, `graphs`, `training`, `transfer`.
        :param parent: the model to start from.
        :param checkpoint: of an earlier training with the same inputs.
        :param settings: how a job uses its machine.
        :param options: of the jobs.
        """
        builder = cls.get_builder()
        builder.code = code
        builder.datasets = dict(datasets)
        builder.splits = dict(splits)
        for name, entries in (('parameters', parameters), ('settings', settings), ('options', options)):
            if entries is not None:
                builder[name] = Dict(dict(entries))
        for name, node in (('parent', parent), ('checkpoint', checkpoint)):
            if node is not None:
                builder[name] = node
        return builder

    def _attach_checkpoint(self) -> None:
        """Attach the last checkpoint, unless it is that of another learning rate than was asked for."""
        if self._n_halvings() > 0:
            self.out('parameters', self.ctx.children[-1].inputs.parameters)
        else:
            super()._attach_checkpoint()

    def _how_far(self, node: CalcJobNode) -> str:
        return f' after {node.outputs.results["epochs"]} epochs' if 'results' in node.outputs else ''

    def _learning_rate(self, parameters: Dict | None) -> float:
        given = {} if parameters is None else parameters.get_dict().get('training') or {}
        return float(given.get('lr', TrainingSettings.model_fields['lr'].default))

    def _n_halvings(self) -> int:
        """Return how often the learning rate was halved, in the processes before this one, too."""
        asked, now = self._learning_rate(self.inputs.get('parameters')), self._learning_rate(self._parameters_now())
        return round(math.log2(asked / now))

    def _parameters_now(self) -> Dict | None:
        return self.ctx.inputs.get('parameters')

    @process_handler(priority=400, exit_codes=[TrainCalculation.exit_codes.ERROR_DIVERGED])
    def handle_divergence(self, node: CalcJobNode) -> ProcessHandlerReport:
        """Start a training that diverged again, with half the learning rate."""
        if self._n_halvings() >= MAX_HALVINGS:
            return self._give_up(self.exit_codes.ERROR_DIVERGED.format(message=why(node)))
        now = self._parameters_now()
        parameters = {} if now is None else now.get_dict()
        lr = self._learning_rate(now) / 2
        self.ctx.inputs.parameters = Dict({**parameters, 'training': {**(parameters.get('training') or {}), 'lr': lr}})
        self.ctx.inputs.pop('checkpoint', None)  # it is that of the higher learning rate
        self.report(f'job {node.pk} diverged: starting again with half the learning rate, {lr:g}')
        return ProcessHandlerReport(do_break=True)

    @process_handler(priority=400, exit_codes=[TrainCalculation.exit_codes.ERROR_STALLED])
    def handle_stall(self, node: CalcJobNode) -> ProcessHandlerReport:
        """Give up a training that learns nothing: the same again would learn nothing, either."""
        return self._give_up(self.exit_codes.ERROR_STALLED.format(message=why(node)))
