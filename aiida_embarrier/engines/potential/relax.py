"""Relaxation with an interatomic potential, restarted until it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.orm import Str

from aiida_embarrier.calculations.worker import PotentialRelaxCalculation
from aiida_embarrier.engines.potential.base import PotentialRestartWorkChain
from aiida_embarrier.jobs.schemas import RelaxTask

if TYPE_CHECKING:
    from aiida.engine.processes.workchains.workchain import WorkChainSpec

__all__ = ('PotentialRelaxWorkChain',)


def validate_cell(node: Str | None, _: Any) -> str | None:
    """Check what of the cell is relaxed."""
    if node is not None and node.value not in ('fixed', 'full'):
        return f'unknown treatment of the cell {node.value!r}: choose fixed or full'
    return None


class PotentialRelaxWorkChain(PotentialRestartWorkChain):
    """Relax structures with an interatomic potential, side by side in one job."""

    _process_class = PotentialRelaxCalculation
    _task = RelaxTask
    _namespace = 'structures'

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define the inputs and outputs."""
        super().define(spec)
        spec.expose_inputs(PotentialRelaxCalculation, include=('structures', 'kinds', 'parameters'))
        spec.input('cell', valid_type=Str, default=lambda: Str('fixed'), validator=validate_cell, help='fixed or full.')
        spec.expose_outputs(PotentialRelaxCalculation, include=('structures',))

    def setup(self) -> None:
        """Collect the inputs of the first job."""
        super().setup()
        self.ctx.inputs.structures = dict(self.inputs.structures)
        if 'kinds' in self.inputs:
            self.ctx.inputs.kinds = self.inputs.kinds
        self._update_parameters(cell=self.inputs.cell.value)
