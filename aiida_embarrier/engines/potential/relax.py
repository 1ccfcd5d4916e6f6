"""Relaxation with an interatomic potential, restarted until it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.orm import Dict, Str, StructureData

from aiida_embarrier.calculations.worker import (
    PotentialRelaxCalculation,
    validate_relax_parameters,
    validate_structures,
)
from aiida_embarrier.engines.potential.base import PotentialRestartWorkChain
from aiida_embarrier.jobs.schemas import RelaxTask

if TYPE_CHECKING:
    from aiida.engine.processes.workchains.workchain import WorkChainSpec
    from aiida.orm import CalcJobNode

__all__ = ('PotentialRelaxWorkChain',)


def validate_cell(node: Str | None, _: Any) -> str | None:
    """Check what of the cell is relaxed."""
    if node is not None and node.value not in ('fixed', 'full'):
        return f'unknown treatment of the cell {node.value!r}: choose fixed or full'
    return None


class PotentialRelaxWorkChain(PotentialRestartWorkChain):
    """Relax structures with an interatomic potential, side by side in one job."""

    _process_class = PotentialRelaxCalculation

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define the inputs and outputs."""
        super().define(spec)
        spec.input_namespace(
            'structures', valid_type=StructureData, dynamic=True, help='The structures by their labels.'
        )
        spec.inputs['structures'].validator = validate_structures
        spec.input('kinds', valid_type=Dict, required=False, help='Properties of the kinds, by name of the kind.')
        spec.input('cell', valid_type=Str, default=lambda: Str('fixed'), validator=validate_cell, help='fixed or full.')
        spec.input(
            'parameters',
            valid_type=Dict,
            required=False,
            validator=validate_relax_parameters,
            help='Entries of `aiida_embarrier.jobs.schemas.RelaxTask`.',
        )
        spec.output_namespace(
            'structures', valid_type=StructureData, dynamic=True, required=False, help='The relaxed structures.'
        )

    def setup(self) -> None:
        """Collect the inputs of the first job."""
        super().setup()
        self.ctx.inputs.structures = dict(self.inputs.structures)
        if 'kinds' in self.inputs:
            self.ctx.inputs.kinds = self.inputs.kinds
        self._update_parameters(cell=self.inputs.cell.value)

    def _has_result(self, node: CalcJobNode) -> bool:
        return 'structures' in node.outputs

    def _outputs_of(self, node: CalcJobNode) -> dict[str, Any]:
        structures = node.outputs.structures
        return {'structures': {label: structures[label] for label in structures}}

    def _default_parameters(self) -> dict[str, Any]:
        return defaults_of(RelaxTask)


def defaults_of(task: Any) -> dict[str, Any]:
    """Return the defaults of the parameters of a task."""
    return {name: field.default for name, field in task.model_fields.items() if not field.is_required()}
