"""Relaxation of crystals with VASP, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.orm import Dict, Str, StructureData

from aiida_embarrier.engines.vasp.many import VaspManyWorkChain
from aiida_embarrier.engines.vasp.structure import VaspStructureWorkChain

if TYPE_CHECKING:
    from aiida.engine.processes.workchains.workchain import WorkChainSpec

__all__ = ('VaspRelaxWorkChain',)


def validate_cell(node: Str | None, _: Any) -> str | None:
    """Check what of the cell is relaxed."""
    if node is not None and node.value not in ('fixed', 'full'):
        return f'unknown treatment of the cell {node.value!r}: choose fixed or full'
    return None


class VaspRelaxWorkChain(VaspManyWorkChain):
    """Relax crystals, at fixed cell or with it; one that fails does not spoil the others."""

    _chain = VaspStructureWorkChain
    _namespace = 'structures'
    _subject = 'structure'

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define the inputs and outputs."""
        super().define(spec)
        spec.input_namespace('structures', valid_type=StructureData, dynamic=True, help='Crystals by label.')
        spec.input('kinds', valid_type=Dict, required=False, help='Moments and U by the names of the kinds.')
        spec.input('cell', valid_type=Str, default=lambda: Str('fixed'), validator=validate_cell, help='fixed or full.')
        spec.output_namespace('structures', valid_type=StructureData, dynamic=True, required=False)

    def _further(self) -> dict[str, Any]:
        kinds = {'kinds': self.inputs.kinds} if 'kinds' in self.inputs else {}
        return {'task': Str(self.inputs.cell.value), **kinds}
