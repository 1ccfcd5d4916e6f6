"""The jobs of a model of barriers, each in as many pieces as it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiida_embarrier.calculations.prediction import (
    BarrierModelCalculation,
    PathFeaturesCalculation,
    validate_model_inputs,
    validate_paths,
)
from aiida_embarrier.engines.resumption import taking_finished_jobs
from aiida_embarrier.workflows.checkpointed import CheckpointedChain

if TYPE_CHECKING:
    from aiida.engine import ToContext
    from aiida.engine.processes.workchains.workchain import WorkChainSpec

__all__ = ('FitBarrierModelWorkChain', 'PathFeaturesWorkChain')

NOT_DONE = (
    'Not done after {iterations} jobs. Where the output `checkpoint` is there, another chain goes on from it: {message}'
)


#: Jobs that describe paths, as AiiDA's caching names them; who disables it for their exact name has them done anew.
DESCRIBING = 'aiida.calculations:embarrier.path_features*'


class PathFeaturesWorkChain(CheckpointedChain):
    """Describe migration paths by numbers, job after job; no path is described twice.

    What a job with the same inputs came to is taken from the database, as it may have taken hours.
    """

    _process_class = PathFeaturesCalculation

    PASSED = ('code', 'dataset', 'parameters', 'settings', 'checkpoint')
    HANDED_OVER = ('features',)

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define what the jobs need beside what all chains with checkpoints have."""
        super().define(spec)
        spec.inputs.validator = validate_paths
        spec.exit_code(501, 'ERROR_NOT_DONE', message=NOT_DONE)

    def run_process(self) -> ToContext:
        """Run the next job, or take it from the database where it was done before."""
        with taking_finished_jobs(True, DESCRIBING):
            return super().run_process()


class FitBarrierModelWorkChain(CheckpointedChain):
    """Compare models of barriers and fit one, job after job; no model is fitted twice to the same rows."""

    _process_class = BarrierModelCalculation

    PASSED = ('code', 'dataset', 'features', 'split', 'parameters', 'parents', 'settings', 'checkpoint')
    HANDED_OVER = ('model', 'predictions', 'comparison')

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define what the jobs need beside what all chains with checkpoints have."""
        super().define(spec)
        spec.inputs.validator = validate_model_inputs
        spec.exit_code(501, 'ERROR_NOT_DONE', message=NOT_DONE)
