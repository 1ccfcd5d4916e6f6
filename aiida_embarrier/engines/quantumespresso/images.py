"""The energies and forces of the images of a band as they are, with pw.x: neb.x would move them first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.engine import ToContext, WorkChain
from aiida.orm import AbstractCode, Dict
from aiida.plugins import WorkflowFactory

from aiida_embarrier.data.band import BandData
from aiida_embarrier.engines.quantumespresso.collecting import add_hubbard, assemble_band, image_structures
from aiida_embarrier.engines.quantumespresso.parser import cores_of
from aiida_embarrier.engines.quantumespresso.relax import PwChain, knows_card, pw_inputs_of
from aiida_embarrier.engines.quantumespresso.settings import check_settings
from aiida_embarrier.engines.quantumespresso.setup import define_shared, job_options, prepare, refused

if TYPE_CHECKING:
    from aiida.engine import ExitCode
    from aiida.engine.processes.workchains.workchain import WorkChainSpec

__all__ = ('QuantumEspressoImagesWorkChain',)


class QuantumEspressoImagesWorkChain(WorkChain):
    """Evaluate the images of a band with pw.x, side by side, and move none.

    neb.x spaces the images it is given evenly before it computes them, so that it cannot evaluate a band as it is.
    """

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define the inputs, the outline, the outputs and the exit codes."""
        super().define(spec)
        spec.input('code', valid_type=AbstractCode, help='The code of pw.x.')
        spec.input('band', valid_type=BandData, help='The band.')
        define_shared(spec)
        spec.outline(cls.evaluate, cls.assemble)
        spec.output('band', valid_type=BandData, required=False, help='The band with energies and forces.')
        spec.output('results', valid_type=Dict, required=False, help='How the jobs went, together.')
        spec.exit_code(320, 'ERROR_CARD_IGNORED', message='{message}')

    def evaluate(self) -> Any:
        """Run pw.x for each image."""
        band = self.inputs.band.band
        try:
            settings = check_settings(self.inputs.settings.get_dict())
            charge = self.inputs.charge.value
            prepared = prepare(settings, band.kinds, band.kind_indices, band.lattice_of(0), charge)
        except ValueError as error:
            return refused(self.exit_codes, error)
        self.ctx.card = bool(prepared.hubbard)
        awaited = {}
        for label, image in image_structures(self.inputs.band).items():
            structure = image
            if prepared.hubbard:
                structure = add_hubbard(
                    image, Dict(prepared.hubbard), metadata={'call_link_label': f'add_hubbard_{label}'}
                )
            inputs = pw_inputs_of(structure, prepared, settings, self.inputs.code, job_options(self.inputs))
            awaited[label] = self.submit(
                WorkflowFactory('embarrier.quantumespresso.pw'), **inputs, metadata={'call_link_label': label}
            )
        self.ctx.labels = sorted(awaited)
        self.report(f'evaluating {len(awaited)} images: {", ".join(str(node.pk) for node in awaited.values())}')
        return ToContext(**awaited)

    def assemble(self) -> ExitCode | None:
        """Attach the band with energies and forces."""
        chains = {label: PwChain(self.ctx[label]) for label in self.ctx.labels}
        failed = {label: chain.message for label, chain in chains.items() if not chain.node.is_finished_ok}
        described = {
            'functional': check_settings(self.inputs.settings.get_dict()).resolved_functional.key,
            'charge': self.inputs.charge.value,
            'message': '; '.join(f'{label}: {message}' for label, message in failed.items()),
            'cores': max((cores_of(job) for chain in chains.values() for job in chain.jobs), default=1),
        }
        outputs = {}
        for label, chain in chains.items():
            if self.ctx.card and not knows_card(chain.version):
                message = f'pw.x {chain.version} does not know the card HUBBARD: set `hubbard_card: false`.'
                return self.exit_codes.ERROR_CARD_IGNORED.format(message=message)
            if label not in failed:
                outputs[f'{label}_parameters'] = chain.last_output('output_parameters')
                outputs[f'{label}_trajectory'] = chain.last_output('output_trajectory')
        made = assemble_band(self.inputs.band, Dict(described), **outputs, metadata={'call_link_label': 'assemble'})
        self.out_many(made)
        if failed:
            return self.exit_codes.ERROR_UNRECOVERABLE.format(message=described['message'])
        return None
