"""Nudged elastic band with an interatomic potential, restarted until it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiida.orm import Dict

from aiida_embarrier.calculations.paths import reinterpolate
from aiida_embarrier.calculations.worker import PotentialNebCalculation
from aiida_embarrier.engines.potential.base import PotentialRestartWorkChain
from aiida_embarrier.jobs.schemas import NebTask

if TYPE_CHECKING:
    from aiida.engine.processes.workchains.workchain import WorkChainSpec

    from aiida_embarrier.data.band import BandData

__all__ = ('PotentialNebWorkChain',)


class PotentialNebWorkChain(PotentialRestartWorkChain):
    """Optimise bands with an interatomic potential, side by side in one job."""

    _process_class = PotentialNebCalculation
    _task = NebTask
    _namespace = 'bands'

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define the inputs and outputs."""
        super().define(spec)
        spec.expose_inputs(PotentialNebCalculation, include=('bands', 'parameters'))
        spec.expose_outputs(PotentialNebCalculation, include=('bands',))
        spec.exit_code(
            503,
            'ERROR_IMAGES_COLLAPSED',
            message='Images fell onto each other again from another starting band. The last good band is an output: '
            '{message}',
        )

    def setup(self) -> None:
        """Collect the inputs of the first job."""
        super().setup()
        self.ctx.inputs.bands = dict(self.inputs.bands)
        self.ctx.reinterpolated = []

    def take_over(self) -> None:
        """Go on where an earlier attempt at the same stopped; some bands may have got another start there."""
        super().take_over()
        self.ctx.reinterpolated = [
            label
            for label, band in self.ctx.inputs.bands.items()
            if band.base.caching.get_hash() != self.inputs.bands[label].base.caching.get_hash()
        ]

    def _restart_differently(self, label: str) -> str | None:
        """Take another starting band: the same path by the other interpolation.

        Only once, and only where this package made the starting band: what somebody else put into a band would be lost.
        """
        maker = self.inputs.bands[label].creator
        if label in self.ctx.reinterpolated or maker is None or maker.process_label != 'interpolate':
            return None
        self.ctx.reinterpolated.append(label)
        given = maker.inputs.parameters.get_dict()
        other = 'linear' if given['interpolation'] == 'idpp' else 'idpp'
        band = reinterpolate(self.inputs.bands[label], Dict({**given, 'interpolation': other}))
        self.ctx.inputs.bands = {**self.ctx.inputs.bands, label: band}
        return f'band {band.pk}, the {other} interpolation'

    def _is_good(self, result: BandData) -> bool:
        return result.is_computed

    def _started_from_inputs(self) -> bool:
        return not self.ctx.reinterpolated
