"""Nudged elastic bands with VASP, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiida_embarrier.data.band import BandData
from aiida_embarrier.engines.vasp.band import VaspBandWorkChain
from aiida_embarrier.engines.vasp.many import VaspManyWorkChain

if TYPE_CHECKING:
    from aiida.engine.processes.workchains.workchain import WorkChainSpec

__all__ = ('VaspNebWorkChain',)


class VaspNebWorkChain(VaspManyWorkChain):
    """Optimise bands; one that fails does not spoil the others."""

    _chain = VaspBandWorkChain
    _namespace = 'bands'
    _subject = 'band'

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define the inputs and outputs."""
        super().define(spec)
        spec.input_namespace('bands', valid_type=BandData, dynamic=True, help='Interpolated paths by label.')
        spec.output_namespace('bands', valid_type=BandData, dynamic=True, required=False)
