"""One band with VASP, restarted until it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.engine import ExitCode, ProcessHandlerReport, ToContext, process_handler, while_
from aiida.orm import Dict, Str

from aiida_embarrier.data.band import BandData
from aiida_embarrier.engines.base import why
from aiida_embarrier.engines.vasp.assembly import climbing_image
from aiida_embarrier.engines.vasp.base import CODES, VaspRestartWorkChain
from aiida_embarrier.engines.vasp.calculation import VaspBandCalculation
from aiida_embarrier.engines.vasp.incar import OPTIMISERS, Task, climbs_at_once, climbs_later
from aiida_embarrier.engines.vasp.parallel import check_ranks
from aiida_embarrier.engines.vasp.remedies import is_falling, next_optimiser
from aiida_embarrier.engines.vasp.results import endpoints_of, fetch_band, start_band
from aiida_embarrier.engines.vasp.structure import VaspStructureWorkChain
from aiida_embarrier.jobs.schemas import Status

if TYPE_CHECKING:
    import numpy as np
    from aiida.engine.processes.workchains.workchain import WorkChainSpec
    from aiida.orm import CalcJobNode

__all__ = ('VaspBandWorkChain',)

ENDS = ('initial', 'final')

#: How often VASP's own criterion is tightened where it stops before the band has converged by ours.
MAX_TIGHTENINGS = 3


class VaspBandWorkChain(VaspRestartWorkChain):
    """Optimise one band: first the energies of its endpoints, then jobs of the band, at identical settings."""

    _process_class = VaspBandCalculation
    _subject = 'band'

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define the inputs, the outline, the outputs and the exit codes."""
        super().define(spec)
        spec.input('band', valid_type=BandData, help='The interpolated path.')
        spec.outline(
            cls.setup,
            cls.run_endpoints,
            cls.inspect_endpoints,
            cls.take_over,
            while_(cls.should_run_process)(cls.run_process, cls.inspect_process),
            cls.results,
        )
        spec.output('band', valid_type=BandData, required=False, help='The last good band.')
        spec.exit_code(311, 'ERROR_ENDPOINTS', message='The energy of an endpoint could not be computed: {message}')
        spec.exit_code(
            312,
            'ERROR_NO_VTST',
            message='The code is a build of VASP without the VTST patch: it ignored optimiser and climbing image '
            '(IOPT, LCLIMB). Use a code with the patch, or neb.build: stock with neb.climb: false. The last band is an '
            'output: {message}',
        )

    # ---------------------------------------------------------------- what is computed

    @property
    def _band(self) -> Any:
        return self.inputs.band.band

    def _kinds(self) -> Any:
        band = self._band
        return band.kinds, band.kind_indices

    def _lattice(self) -> np.ndarray:
        lattice: np.ndarray = self._band.lattice_of(0)
        return lattice

    def _task(self) -> Task:
        return Task(
            'neb',
            n_images=self.inputs.band.base.attributes.get('n_images'),
            climb=self.ctx.climbs,
            final=self.ctx.final,
            end_energies=self.ctx.end_energies,
        )

    def _criteria(self) -> dict[str, Any]:
        neb = self.ctx.protocol['neb']
        return {
            'force_threshold': neb['force_threshold'],
            'spacing_tolerance': neb['spacing_tolerance'],
            'climb': neb['climb'],
            'climbs': self.ctx.climbs,
            'final': self.ctx.final,
        }

    def _shorter_steps(self) -> dict[str, Any]:
        incar = self._incar()
        return {name: incar[name] / 2 for name in ('MAXMOVE', 'TIMESTEP', 'POTIM') if incar.get(name)}

    def _info(self) -> Dict:
        criteria = self.ctx.inputs.criteria.get_dict()
        return Dict({name: criteria[name] for name in ('functional', 'charge')})

    # ---------------------------------------------------------------- steps

    def setup(self) -> ExitCode | None:
        """Collect the inputs of the first job."""
        neb = self.inputs.protocol.get_dict()['neb']
        self.ctx.climbs = climbs_at_once(neb)
        self.ctx.final = False
        self.ctx.optimisers = [neb['optimiser'] or next(iter(OPTIMISERS.get(neb['build'], {'': {}})))]
        self.ctx.n_tightenings = 0
        self.ctx.end_energies = None
        exit_code = super().setup()
        if exit_code is not None:
            return exit_code
        band = self._band
        if band.n_images < 3:
            return self._refuse('the band has no image between its endpoints: interpolate it first')
        if band.lattice.ndim == 3:
            return self._refuse('the endpoints have different lattices: bring the band to one lattice')
        options = self.ctx.inputs.metadata['options']
        message = check_ranks(options, self.inputs.code, band.n_images, self.ctx.protocol)
        return None if message is None else self._refuse(message)

    def run_endpoints(self) -> Any:
        """Compute the energies of both endpoints at the settings of the band."""
        nodes = endpoints_of(self.inputs.band)
        shared = {
            name: self.inputs[name]
            for name in ('code', 'protocol', 'charge', 'options', 'vdw_kernel', 'max_iterations')
            if name in self.inputs
        }
        chains = {
            f'endpoint_{name}': self.submit(
                VaspStructureWorkChain,
                structure=nodes[name],
                kinds=nodes['kinds'],
                task=Str('endpoint'),
                metadata={'call_link_label': f'endpoint_{name}'},
                **shared,
            )
            for name in ENDS
        }
        self.report('computing the energies of both endpoints: ' + ', '.join(str(node.pk) for node in chains.values()))
        return ToContext(**chains)

    def inspect_endpoints(self) -> ExitCode | None:
        """Take the energies of the endpoints."""
        chains = {name: self.ctx[f'endpoint_{name}'] for name in ENDS}
        done = {name: node.outputs.results for name, node in chains.items() if node.is_finished_ok}
        band = start_band(band=self.inputs.band, info=self._info(), **done)
        self.ctx.inputs.band = band
        failed = [(name, node) for name, node in chains.items() if name not in done]
        if not failed:
            self.ctx.end_energies = tuple(done[name]['energy'] for name in ENDS)
            self._renew_parameters()
            return None
        name, chain = failed[0]
        self.ctx.message = f'the {name} endpoint: {why(chain)}'
        self._attach()
        if chain.exit_status in {code.status for code in self.exit_codes.values()}:
            return ExitCode(chain.exit_status, self.ctx.message)  # electrons, wall time or input: as of a band
        return self.exit_codes.ERROR_ENDPOINTS.format(message=self.ctx.message)

    def _adopt(self, job: CalcJobNode) -> None:
        self.ctx.climbs, self.ctx.final = (job.inputs.criteria[name] for name in ('climbs', 'final'))

    def _fetch(self, job: CalcJobNode) -> BandData:
        info = Dict({**self._info().get_dict(), 'climbing': job.inputs.criteria['climbs']})
        return fetch_band(job.inputs.band, job.outputs.remote_folder, self.inputs.protocol, info)

    def _further_reports(self) -> dict[str, Dict]:
        found = {name: self.ctx.get(f'endpoint_{name}') for name in ENDS}
        return {
            name: node.outputs.results for name, node in found.items() if node is not None and 'results' in node.outputs
        }

    # ---------------------------------------------------------------- handlers

    @process_handler(priority=620)
    def handle_build(self, node: CalcJobNode) -> ProcessHandlerReport | None:
        """Give up where a build without the VTST patch was given what only that understands."""
        neb = self.ctx.protocol['neb']
        if neb['build'] != 'vtst' or neb['max_steps'] == 0 or 'results' not in node.outputs:
            return None
        results = node.outputs.results.get_dict()
        if results.get('vtst', True) or not results['n_steps']:
            return None
        return self._give_up('ERROR_NO_VTST')

    @process_handler(priority=470, exit_codes=[CODES.ERROR_IONIC_NOT_CONVERGED])
    def handle_ionic(self, node: CalcJobNode) -> ProcessHandlerReport:
        """Let the highest image climb, go on where forces fall, and try another optimiser where they do not."""
        neb, results = self.ctx.protocol['neb'], node.outputs.results.get_dict()
        residual = results['residual_force']
        if neb['max_steps'] == 0 or residual is None:
            return self._give_up('ERROR_NOT_CONVERGED', Status.NOT_CONVERGED)
        if climbs_later(neb) and not self.ctx.climbs and residual < neb['climb_threshold']:
            has_saddle = 'band' in node.outputs and climbing_image(node.outputs.band.band.energies) is not None
            if has_saddle or not self.ctx.final:
                return self._begin_last_stage(node, climbs=has_saddle)
        limit = neb['max_steps']
        if results['n_steps'] < limit and self.ctx.n_tightenings < MAX_TIGHTENINGS:
            # VASP stopped by its own criterion: that of stock VASP is another, and none asks for even spacing
            self.ctx.n_tightenings += 1
            self.ctx.changed_tags = {**self.ctx.changed_tags, 'EDIFFG': self._incar()['EDIFFG'] / 2}
            return self._again(node, 'VASP stopped by its own criterion, which is tightened')
        if not self._may_extend():
            return self._give_up('ERROR_NOT_CONVERGED', Status.NOT_CONVERGED)
        if is_falling(results['residual_forces']):
            return self._again(node, 'forces fall: going on')
        other = next_optimiser(neb['build'], self.ctx.optimisers)
        if other is None:
            return self._give_up('ERROR_NOT_CONVERGED', Status.NOT_CONVERGED)
        self.ctx.optimisers = [*self.ctx.optimisers, other]
        self.ctx.protocol = {**self.ctx.protocol, 'neb': {**neb, 'optimiser': other}}
        return self._again(node, f'forces do not fall: going on with the optimiser {other}')

    def _begin_last_stage(self, node: CalcJobNode, climbs: bool) -> ProcessHandlerReport:
        """Go down to the force threshold, with the highest image climbing unless that is an endpoint."""
        self.ctx.climbs, self.ctx.final, self.ctx.n_tightenings = climbs, True, 0
        # what was tightened was the criterion of the stage before
        self.ctx.changed_tags = {name: value for name, value in self.ctx.changed_tags.items() if name != 'EDIFFG'}
        if climbs:
            return self._again(node, 'the highest image climbs from here')
        return self._again(node, 'an endpoint is the highest image, so that none climbs: going on without')
