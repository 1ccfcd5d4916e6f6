"""Nudged elastic bands with neb.x."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.engine import ToContext, WorkChain
from aiida.orm import AbstractCode, Dict, Int

from aiida_embarrier.data.band import BandData
from aiida_embarrier.engines.base import why
from aiida_embarrier.engines.quantumespresso.band import STATUS_OF_EXIT_CODE, QuantumEspressoBandWorkChain
from aiida_embarrier.engines.quantumespresso.collecting import collect_bands
from aiida_embarrier.engines.quantumespresso.images import QuantumEspressoImagesWorkChain
from aiida_embarrier.engines.quantumespresso.settings import check_settings
from aiida_embarrier.engines.quantumespresso.setup import define_shared
from aiida_embarrier.jobs.schemas import GRAVEST_FIRST, Status

if TYPE_CHECKING:
    from aiida.engine import ExitCode
    from aiida.engine.processes.workchains.workchain import WorkChainSpec

__all__ = ('QuantumEspressoNebWorkChain',)

#: Exit statuses of the work chain of a band that failed which are those of all bands.
SAME_CODE = {201: 'ERROR_INVALID_INPUT', 320: 'ERROR_CARD_IGNORED', 410: 'ERROR_ELECTRONS'}


def validate_bands(bands: Any, _: Any) -> str | None:
    """Check that there are bands with moving images and one lattice."""
    from aiida_embarrier.engines.quantumespresso.calculation import validate_band

    if not bands:
        return 'no band to optimise'
    for label, node in bands.items():
        message = validate_band(node, None)
        if message is not None:
            return f'band {label!r}: {message}'
    return None


class QuantumEspressoNebWorkChain(WorkChain):
    """Optimise bands with neb.x, side by side, each in its own jobs; with `max_steps` 0 only evaluate their images.

    A band that fails does not spoil the others. The last good bands are outputs in any case.
    """

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define the inputs, the outline, the outputs and the exit codes."""
        super().define(spec)
        spec.input('code', valid_type=AbstractCode, help='The code of neb.x.')
        spec.input('pw_code', valid_type=AbstractCode, help='The code of pw.x, for images that are not to be moved.')
        spec.input_namespace('bands', valid_type=BandData, dynamic=True, help='The starting bands by their labels.')
        spec.inputs['bands'].validator = validate_bands
        define_shared(spec)
        spec.outline(cls.run_bands, cls.results)
        spec.output_namespace(
            'bands', valid_type=BandData, dynamic=True, required=False, help='The bands, converged or last good.'
        )
        spec.output('results', valid_type=Dict, required=False, help='Status, steps and forces of each band.')
        spec.exit_code(320, 'ERROR_CARD_IGNORED', message='{message}')
        spec.exit_code(400, 'ERROR_WALL_TIME', message='The wall time of the jobs does not suffice: {message}')
        spec.exit_code(410, 'ERROR_ELECTRONS', message='{message}')
        spec.exit_code(
            501,
            'ERROR_NOT_CONVERGED',
            message='Not converged; the last good bands are outputs: {message}',
        )

    @property
    def only_evaluates(self) -> bool:
        """Whether the images are not to be moved."""
        return check_settings(self.inputs.settings.get_dict()).neb.max_steps == 0

    def run_bands(self) -> Any:
        """Run a work chain for each band."""
        shared = {name: self.inputs[name] for name in ('settings', 'charge', 'options') if name in self.inputs}
        chain: type[WorkChain] = QuantumEspressoImagesWorkChain
        if self.only_evaluates:
            shared['code'] = self.inputs.pw_code
        else:
            chain, shared['code'] = QuantumEspressoBandWorkChain, self.inputs.code
            shared['max_iterations'] = Int(check_settings(self.inputs.settings.get_dict()).max_iterations)
        awaited = {}
        for label, band in self.inputs.bands.items():
            awaited[f'band_{label}'] = self.submit(
                chain, band=band, metadata={'call_link_label': f'band_{label}'}, **shared
            )
            self.report(f'band {label}: {awaited[f"band_{label}"].pk}')
        return ToContext(**awaited)

    def results(self) -> ExitCode | None:
        """Attach bands and results."""
        bands, reports, described = {}, {}, {}
        for label in self.inputs.bands:
            node = self.ctx[f'band_{label}']
            status = STATUS_OF_EXIT_CODE.get(node.exit_status, Status.FAILED)
            if self.only_evaluates and node.is_finished_ok:
                status = Status.NOT_CONVERGED  # as it was asked for
            described[label] = {'status': status.value, 'message': '' if node.is_finished_ok else why(node)}
            if 'band' in node.outputs:
                bands[label] = node.outputs.band
            if 'results' in node.outputs:
                reports[label] = node.outputs.results
        if bands:
            self.out('bands', bands)
        self.out('results', collect_bands(Dict(described), **reports, metadata={'call_link_label': 'collect'}))
        failed = {label: entry for label, entry in described.items() if not self.ctx[f'band_{label}'].is_finished_ok}
        if not failed and not self.only_evaluates:
            return None
        message = '; '.join(f'{label}: {entry["message"]}' for label, entry in failed.items())
        gravest = min((Status(entry['status']) for entry in described.values()), key=GRAVEST_FIRST.index)
        codes = {Status.NOT_CONVERGED: 'ERROR_NOT_CONVERGED', Status.INTERRUPTED: 'ERROR_WALL_TIME'}
        if gravest is Status.FAILED:
            ends = {self.ctx[f'band_{label}'].exit_status for label in failed}
            codes[gravest] = next((code for status, code in SAME_CODE.items() if status in ends), 'ERROR_UNRECOVERABLE')
        return self.exit_codes[codes.get(gravest, 'ERROR_UNRECOVERABLE')].format(
            message=message or 'the images were evaluated as they are'
        )
