"""Nudged elastic band with an interatomic potential, restarted until it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.engine import ProcessHandlerReport, process_handler
from aiida.orm import Dict

from aiida_embarrier.calculations.paths import reinterpolate
from aiida_embarrier.calculations.worker import PotentialNebCalculation, validate_bands
from aiida_embarrier.data.band import BandData
from aiida_embarrier.engines.base import why
from aiida_embarrier.engines.potential.base import PotentialRestartWorkChain
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
    _task = NebTask

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define the inputs, outputs and exit codes."""
        super().define(spec)
        spec.input('band', valid_type=BandData, validator=validate_band, help='The starting band.')
        spec.expose_inputs(PotentialNebCalculation, include=('parameters',))
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
        remedy = self._reinterpolate()
        if remedy is None:
            return self._give_up(self.exit_codes.ERROR_IMAGES_COLLAPSED.format(message=why(node)))
        self.report(f'job {node.pk}: {why(node)} Starting again from {remedy}')
        return ProcessHandlerReport(do_break=True)

    def _remedy_of_divergence(self) -> str | None:
        return super()._remedy_of_divergence() or self._reinterpolate()

    def _reinterpolate(self) -> str | None:
        """Take another starting band: the same path by the other interpolation.

        Only once, and only where this package made the starting band: what somebody else put into a band would be lost.
        """
        maker = self.inputs.band.creator
        if self.ctx.reinterpolated or maker is None or maker.process_label != 'interpolate':
            return None
        self.ctx.reinterpolated = True
        given = maker.inputs.parameters.get_dict()
        other = 'linear' if given['interpolation'] == 'idpp' else 'idpp'
        band = reinterpolate(self.inputs.band, Dict({**given, 'interpolation': other}))
        self.ctx.inputs.bands = {LABEL: band}
        return f'band {band.pk}, the {other} interpolation'

    def _has_result(self, node: CalcJobNode) -> bool:
        return 'bands' in node.outputs

    def _outputs_of(self, node: CalcJobNode) -> dict[str, Any]:
        return {'band': node.outputs.bands[LABEL]}

    def _is_good(self, node: CalcJobNode) -> bool:
        # A job that fails at its first evaluation hands back the starting band, without energies.
        return node.outputs.bands[LABEL].base.attributes.get('barrier_forward') is not None

    def _started_from_inputs(self) -> bool:
        return not self.ctx.reinterpolated
