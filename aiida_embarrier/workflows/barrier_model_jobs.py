"""The jobs of a model of barriers, each in as many pieces as it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiida_embarrier.calculations.prediction import (
    BarrierModelCalculation,
    PathFeaturesCalculation,
    validate_model_inputs,
    validate_paths,
)
from aiida_embarrier.workflows.checkpointed import CheckpointedChain

if TYPE_CHECKING:
    from aiida.engine.processes.workchains.workchain import WorkChainSpec

__all__ = ('FitBarrierModelWorkChain', 'PathFeaturesWorkChain')

NOT_DONE = (
    'Not done after {iterations} jobs. Where the output `checkpoint` is there, another chain goes on from it: {message}'
)


class PathFeaturesWorkChain(CheckpointedChain):
    """Describe migration paths by numbers, job after job; no path is described twice."""

    _process_class = PathFeaturesCalculation

    PASSED = ('code', 'dataset', 'parameters', 'settings', 'checkpoint')
    HANDED_OVER = ('features',)

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define what the jobs need beside what all chains with checkpoints have."""
        super().define(spec)
        spec.inputs.validator = validate_paths
        spec.exit_code(501, 'ERROR_NOT_DONE', message=NOT_DONE)


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
