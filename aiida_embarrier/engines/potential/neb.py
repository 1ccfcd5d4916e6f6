"""Nudged elastic band with an interatomic potential, restarted until it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.engine import ProcessHandlerReport, process_handler
from aiida.orm import Dict

from aiida_embarrier.calculations.paths import reinterpolate
from aiida_embarrier.calculations.worker import PotentialNebCalculation, validate_bands, validate_neb_parameters
from aiida_embarrier.data.band import BandData
from aiida_embarrier.engines.potential.base import PotentialRestartWorkChain
from aiida_embarrier.engines.potential.relax import defaults_of
from aiida_embarrier.jobs.schemas import NebTask

if TYPE_CHECKING:
    from aiida.engine.processes.workchains.workchain import WorkChainSpec
    from aiida.orm import CalcJobNode

__all__ = ('PotentialNebWorkChain',)

LABEL = 'band'


def validate_band(node: BandData | None, _: Any) -> str | None:
    """Check that the potential can describe a band."""
    return None if node is None else validate_bands({LABEL: node}, None)


class PotentialNebWorkChain(PotentialRestartWorkChain):
    """Optimise a band with an interatomic potential: nudged elastic band, then climbing image."""

    _process_class = PotentialNebCalculation

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define the inputs, outputs and exit codes."""
        super().define(spec)
        spec.input('band', valid_type=BandData, validator=validate_band, help='The starting band.')
        spec.input(
            'parameters',
            valid_type=Dict,
            required=False,
            validator=validate_neb_parameters,
            help='Entries of `aiida_embarrier.jobs.schemas.NebTask`.',
        )
        spec.output(
            'band', valid_type=BandData, required=False, help='The band; the last good one where it did not converge.'
        )
        spec.exit_code(
            503,
            'ERROR_IMAGES_COLLAPSED',
            message='Images fell onto each other again from another starting band. The last good band is an output: '
            '{message}',
        )

    def setup(self) -> None:
        """Collect the inputs of the first job."""
        super().setup()
        self.ctx.inputs.bands = {LABEL: self.inputs.band}
        self.ctx.reinterpolated = False

    @process_handler(priority=450, exit_codes=[PotentialNebCalculation.exit_codes.ERROR_IMAGES_COLLAPSED])
    def handle_collapsed(self, node: CalcJobNode) -> ProcessHandlerReport:
        """Start again from another interpolation once images fell onto each other."""
        self.ctx.inputs.pop('checkpoint', None)
        if self.ctx.reinterpolated:
            exit_code = self.exit_codes.ERROR_IMAGES_COLLAPSED.format(message=node.exit_message)
            return ProcessHandlerReport(do_break=True, exit_code=exit_code)
        self.report(f'job {node.pk}: {node.exit_message} Starting again from {self._reinterpolate()}')
        return ProcessHandlerReport(do_break=True)

    def _remedy_of_divergence(self) -> str | None:
        remedy = super()._remedy_of_divergence()
        if remedy is not None or self.ctx.reinterpolated:
            return remedy
        return self._reinterpolate()

    def _reinterpolate(self) -> str:
        """Take another starting band between the same endpoints."""
        self.ctx.reinterpolated = True
        band = reinterpolate(self.inputs.band)
        self.ctx.inputs.bands = {LABEL: band}
        return f'another interpolation between the endpoints, band {band.pk}'

    def _has_result(self, node: CalcJobNode) -> bool:
        return 'bands' in node.outputs

    def _outputs_of(self, node: CalcJobNode) -> dict[str, Any]:
        return {**super()._outputs_of(node), 'band': node.outputs.bands[LABEL]}

    def _default_parameters(self) -> dict[str, Any]:
        return defaults_of(NebTask)
