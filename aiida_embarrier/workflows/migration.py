"""What all work chains share that go from a crystal to barriers: host, endpoints, and bands."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from aiida.engine import ToContext, WorkChain, if_
from aiida.orm import Bool, Dict, Float, Int, List, Str, StructureData
from aiida.plugins import WorkflowFactory

from aiida_embarrier.bands.barriers import TIE_TOLERANCE
from aiida_embarrier.calculations.mapping import map_endpoints, verdict
from aiida_embarrier.calculations.paths import interpolate, rattle, summarise
from aiida_embarrier.engines.base import get_engine, status_of, why
from aiida_embarrier.engines.protocols import DEFAULT_PROTOCOL
from aiida_embarrier.jobs.schemas import Status
from aiida_embarrier.workflows.barrier_inputs import (
    PROTOCOL_CHECKS,
    barrier_protocol,
    check_distance,
    check_n_images,
    check_supercell,
    define_engine_inputs,
    port_validator,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aiida.engine import ExitCode, ProcessBuilder
    from aiida.engine.processes.workchains.workchain import WorkChainSpec
    from aiida.orm import ProcessNode

    from aiida_embarrier.data.band import BandData
    from aiida_embarrier.engines.base import Codes, Engine

__all__ = ('PROTOCOL', 'MigrationWorkChain')

#: The description of a process begins like this, and goes on with the protocol that its inputs were made with.
PROTOCOL = 'protocol '

#: What the lab book says of a mapped endpoint.
WORDS = {
    'verified': 'confirmed by one evaluation',
    'relaxed_further': 'had to be relaxed further',
    'energy_differs': 'has another energy, so it is relaxed itself',
    'failed': 'could not be computed, so it is relaxed itself',
}


class MigrationWorkChain(WorkChain):
    """The steps from a crystal to bands.

    States are the endpoints to be had, by their labels: `ctx.unrelaxed` before, and `ctx.relaxed` after relaxation.
    Where `ctx.plan` is set, only some of them are relaxed, and the others mapped from these by symmetry and checked.
    """

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define the inputs and exit codes."""
        super().define(spec)
        spec.input('structure', valid_type=StructureData, required=False, help='The crystal.')
        spec.input(
            'kinds', valid_type=Dict, required=False, help='Moments, oxidation states and U by the names of the kinds.'
        )
        spec.input(
            'relax_host',
            valid_type=Str,
            default=lambda: Str('cell'),
            validator=port_validator(PROTOCOL_CHECKS['relax_host']),
            help='What of the crystal is relaxed before hops are made: none, positions or cell.',
        )
        spec.input(
            'relaxed_host',
            valid_type=StructureData,
            required=False,
            help='The crystal as it was relaxed before, as `relax_host` says, by the same engine with the same inputs: '
            'it is not relaxed again. The number of a hop still refers to `structure`.',
        )
        spec.input('relax_endpoints', valid_type=Bool, default=lambda: Bool(True), help='Relax the endpoints.')
        spec.input(
            'map_endpoints',
            valid_type=Bool,
            default=lambda: Bool(True),
            help='Relax only one of endpoints that symmetry makes of each other, and map it onto the others. A mapped '
            'endpoint is checked by one evaluation; where that does not confirm it, it is relaxed.',
        )
        spec.input(
            'rattle',
            valid_type=Float,
            required=False,
            validator=port_validator(PROTOCOL_CHECKS['rattle']),
            help='Standard deviation of random displacements in Å, in each direction, before endpoints are relaxed. '
            'A relaxation keeps the symmetry that it starts with, and stops on a saddle if the symmetric place is one.',
        )
        spec.input(
            'rattle_seed',
            valid_type=Int,
            required=False,
            validator=port_validator(PROTOCOL_CHECKS['rattle_seed']),
            help='Seed of these displacements; 0 unless given.',
        )
        spec.input(
            'n_images',
            valid_type=Int,
            default=lambda: Int(7),
            validator=port_validator(check_n_images),
            help='Number of images, the endpoints included.',
        )
        spec.input(
            'interpolation',
            valid_type=Str,
            default=lambda: Str('idpp'),
            validator=port_validator(PROTOCOL_CHECKS['interpolation']),
            help='idpp or linear.',
        )
        spec.input(
            'min_image_distance',
            valid_type=Float,
            default=lambda: Float(8.0),
            validator=port_validator(check_distance),
            help='Smallest distance between periodic images of the migrating ion in Å.',
        )
        spec.input(
            'supercell',
            valid_type=List,
            required=False,
            validator=port_validator(check_supercell),
            help='Supercell, three numbers or a matrix, instead of the smallest that keeps `min_image_distance`.',
        )
        spec.input(
            'charge',
            valid_type=Float,
            default=lambda: Float(0.0),
            help='Charge of the cell of endpoints and bands in units of e, compensated by a uniform background; the '
            'host is neutral. A lithium ion taken out of a discharged host without its electron is -1.',
        )
        define_engine_inputs(spec)
        spec.output('host', valid_type=StructureData, required=False, help='The relaxed host.')
        spec.exit_code(201, 'ERROR_INVALID_PATH', message='No path can be made of the input: {message}')
        spec.exit_code(310, 'ERROR_HOST', message='The relaxation of the host failed: {message}')

    @classmethod
    def host_steps(cls) -> Any:
        """Return the part of an outline that relaxes the host."""
        return if_(cls.should_relax_host)(cls.relax_host, cls.inspect_host)

    @classmethod
    def endpoint_steps(cls) -> Any:
        """Return the part of an outline that relaxes the endpoints, or maps and checks them."""
        return if_(cls.should_relax_endpoints)(
            cls.relax_endpoints,
            cls.inspect_endpoints,
            if_(cls.has_mapped_endpoints)(
                cls.map_endpoints,
                cls.inspect_mapped_endpoints,
                if_(cls.has_refused_endpoints)(cls.relax_refused_endpoints, cls.inspect_refused_endpoints),
            ),
            cls.take_endpoints,
        )

    @classmethod
    def _fill(
        cls,
        code: Codes,
        given: Mapping[str, Any],
        *,
        engine: str,
        protocol: str | None,
        overrides: Mapping[str, Any] | None,
        options: Mapping[str, Any] | None,
        charge: float | None,
    ) -> ProcessBuilder:
        """Return a builder with the inputs of a protocol.

        :param given: further inputs by their names; what is None is left out.
        """
        resolved = barrier_protocol(engine, protocol, overrides)
        builder = cls.get_builder()
        for name, node in given.items():
            if node is not None:
                setattr(builder, name, node)
        builder.engine = Str(engine)
        builder.relax_host = Str(resolved['relax_host'])
        builder.relax_endpoints = Bool(resolved['relax_endpoints'])
        builder.map_endpoints = Bool(resolved['map_endpoints'])
        builder.n_images = Int(resolved['n_images'])
        builder.interpolation = Str(resolved['interpolation'])
        builder.min_image_distance = Float(resolved['min_image_distance'])
        if resolved['rattle']:
            builder.rattle = Float(resolved['rattle'])
            builder.rattle_seed = Int(resolved['rattle_seed'])
        if resolved['supercell'] is not None:
            builder.supercell = List(resolved['supercell'])
        if charge is not None:
            builder.charge = Float(charge)
        changed = ', with changes' if overrides else ''
        builder.metadata.description = f'{PROTOCOL}{protocol or DEFAULT_PROTOCOL}{changed}'
        inputs = get_engine(engine).inputs_from_protocol(resolved['engine'], code=code, options=options)
        for kind, values in inputs.items():
            builder.engine_inputs[kind] = values
        return builder

    @property
    def engine(self) -> Engine:
        """The engine; not kept in the context, which is written to the database at every step."""
        return get_engine(self.inputs.engine.value)

    def setup(self) -> None:
        """Begin with an empty context."""
        self.ctx.results = {}
        self.ctx.host = self.inputs.get('relaxed_host', self.inputs.get('structure'))
        self.ctx.plan = None
        self.ctx.unrelaxed = {}
        self.ctx.relaxed = {}
        self.ctx.refused = []

    def _kinds(self) -> dict[str, Dict]:
        return {'kinds': self.inputs.kinds} if 'kinds' in self.inputs else {}

    def _endpoint_parameters(self) -> dict[str, Any]:
        """Return what all calcfunctions that make endpoints need."""
        return {
            'min_image_distance': self.inputs.min_image_distance.value,
            'map_endpoints': self.inputs.map_endpoints.value and self.inputs.relax_endpoints.value,
        }

    def _supercell_parameters(self) -> dict[str, Any]:
        """Return what those need that make a supercell."""
        supercell = {'supercell': self.inputs.supercell.get_list()} if 'supercell' in self.inputs else {}
        return {**self._endpoint_parameters(), **supercell}

    def _submit_relax(self, structures: dict[str, StructureData], cell: str, label: str, **further: Any) -> Any:
        return self.submit(
            WorkflowFactory(self.engine.relax),
            structures=structures,
            cell=Str(cell),
            metadata={'call_link_label': label},
            **self._kinds(),
            **further,
            **self.inputs.engine_inputs.relax,
        )

    def _relax_states(self, structures: dict[str, StructureData], label: str) -> Any:
        """Relax states at fixed cell, with the charge of the band."""
        return self._submit_relax(structures, 'fixed', label, **self._charge())

    def _charge(self, engine: Engine | None = None) -> dict[str, Float]:
        """Return the charge for work chains of engines that know charges; `validate_engine_inputs` sees to others."""
        return {'charge': self.inputs.charge} if 'charge' in (engine or self.engine).capabilities else {}

    def _take_results(self, name: str, node: ProcessNode) -> dict[str, Any]:
        """Keep the results of a step for the summary, and return its tasks."""
        if 'results' not in node.outputs:
            return {}
        self.ctx.results[name] = node.outputs.results
        tasks: dict[str, Any] = node.outputs.results['tasks']
        return tasks

    # ---------------------------------------------------------------- the host

    def should_relax_host(self) -> bool:
        """Return whether the host is to be relaxed."""
        given = 'structure' in self.inputs and 'relaxed_host' not in self.inputs
        return given and self.inputs.relax_host.value != 'none'

    def relax_host(self) -> Any:
        """Relax the crystal."""
        return self._relax_crystal('relax_host')

    def inspect_host(self) -> ExitCode | None:
        """Take the relaxed host."""
        failure = self._take_crystal('relax_host')
        if failure is None:
            self.out('host', self.ctx.host)
        else:
            self._out_last_good(self.ctx.relax_host, 'host')
        return failure

    def _relax_crystal(self, step: str) -> Any:
        """Relax the host as it is now, as `relax_host` says.

        :param step: name of the step.
        """
        what = self.inputs.relax_host.value
        node = self._submit_relax({'host': self.ctx.host}, 'full' if what == 'cell' else 'fixed', step)
        atoms = len(self.ctx.host.sites)
        self.report(f'relaxing the host ({atoms} atoms, {"positions and cell" if what == "cell" else what}): {node.pk}')
        return ToContext(**{step: node})

    def _take_crystal(self, step: str) -> ExitCode | None:
        """Go on with the host that a step relaxed."""
        node = self.ctx[step]
        if not node.is_finished_ok:
            return self.exit_codes.ERROR_HOST.format(message=why(node))
        before, self.ctx.host = self.ctx.host, node.outputs.structures.host
        task = self._take_results(step, node)['host']
        change = 100 * (self.ctx.host.get_cell_volume() / before.get_cell_volume() - 1)
        self.report(f'host relaxed: {task["energy"]:.3f} eV after {task["n_steps"]} steps, volume {change:+.1f} %')
        return None

    def _out_last_good(self, node: ProcessNode, *labels: str) -> None:
        """Attach what a relaxation that failed left."""
        if 'structures' in node.outputs:
            self.out_many(
                {label: node.outputs.structures[label] for label in labels if label in node.outputs.structures}
            )

    # ---------------------------------------------------------------- the endpoints

    def should_relax_endpoints(self) -> bool:
        """Return whether the endpoints are to be relaxed."""
        return bool(self.ctx.unrelaxed) and self.inputs.relax_endpoints.value

    @property
    def _states(self) -> dict[str, Any]:
        """How the states follow from each other; empty where each is relaxed."""
        return {} if self.ctx.plan is None else self.ctx.plan.get('states', {})

    def relax_endpoints(self) -> Any:
        """Relax the endpoints at fixed cell: of those that symmetry makes of each other one."""
        labels = self._states.get('representatives', list(self.ctx.unrelaxed))
        node = self._relax_states(self._to_relax(labels, 'rattle_endpoints'), 'relax_endpoints')
        mapped = len(self._states.get('mapped', {}))
        rest = f', {mapped} more follow(s) by symmetry' if mapped else ''
        self.report(f'relaxing {len(labels)} endpoint(s) at fixed cell{rest}: {node.pk}')
        return ToContext(relax_endpoints=node)

    def _to_relax(self, labels: Iterable[str], step: str) -> dict[str, StructureData]:
        """Return states as their relaxation starts: where asked for rattled. Mappings go on from what they were before.

        :param step: name of the step that rattles them.
        """
        states: dict[str, StructureData] = {label: self.ctx.unrelaxed[label] for label in labels}
        if 'rattle' not in self.inputs or self.inputs.rattle.value == 0:
            return states
        seed = self.inputs.rattle_seed.value if 'rattle_seed' in self.inputs else 0
        self.report(f'rattling {len(states)} endpoint(s) by {self.inputs.rattle.value:g} Å, seed {seed}')
        rattled: dict[str, StructureData] = rattle(
            parameters=Dict({'amplitude': self.inputs.rattle.value, 'seed': seed}),
            **states,
            metadata={'call_link_label': step},
        )
        return rattled

    def inspect_endpoints(self) -> None:
        """Take the relaxed endpoints."""
        self._take_relaxed('relax_endpoints', self.ctx.relax_endpoints)

    def _take_relaxed(self, name: str, node: ProcessNode) -> None:
        """Take what was relaxed to its end."""
        for label, task in self._take_results(name, node).items():
            if status_of(task, node) is Status.CONVERGED:
                self.ctx.relaxed[label] = node.outputs.structures[label]

    def _why_not_relaxed(self, label: str) -> str:
        """Return why there is no relaxed structure of a state."""
        state = self._states.get('copies', {}).get(label, label)
        name = 'relax_refused_endpoints' if state in self.ctx.refused else 'relax_endpoints'
        state = state if state in self.ctx.refused else self._states.get('mapped', {}).get(state, {}).get('from', state)
        tasks = self.ctx.results[name]['tasks'] if name in self.ctx.results else {}
        return tasks.get(state, {}).get('message') or why(self.ctx[name])

    def has_mapped_endpoints(self) -> bool:
        """Return whether endpoints follow from those that were relaxed."""
        return any(entry['from'] in self.ctx.relaxed for entry in self._states.get('mapped', {}).values())

    def map_endpoints(self) -> Any:
        """Map relaxed endpoints onto others by symmetry, and check these by one evaluation each."""
        relaxed = dict(self.ctx.relaxed)
        mapped = [label for label, entry in self._states['mapped'].items() if entry['from'] in relaxed]
        outputs, calculation = map_endpoints.run_get_node(
            plan=self.ctx.plan,
            **{f'relaxed_{label}': node for label, node in relaxed.items()},
            **{f'unrelaxed_{label}': self.ctx.unrelaxed[label] for label in [*relaxed, *mapped]},
            metadata={'call_link_label': 'map_endpoints'},
        )
        if not calculation.is_finished_ok:
            self.report(f'endpoints are relaxed themselves: {calculation.exit_message}')
            self.ctx.refused = mapped
            return None
        # A relaxation that has converged at its first evaluation is the check; one that has not goes on by itself.
        node = self._relax_states({label: outputs[label] for label in mapped}, 'verify_endpoints')
        self.report(f'{len(mapped)} endpoint(s) mapped by symmetry, checking forces and energies: {node.pk}')
        return ToContext(verify_endpoints=node)

    def inspect_mapped_endpoints(self) -> None:
        """Take the mapped endpoints that were confirmed, or relaxed a little further."""
        if self.ctx.refused:
            return
        node = self.ctx.verify_endpoints
        checked = self._take_results('verify_endpoints', node)
        energies = {label: task['energy'] for label, task in self.ctx.results['relax_endpoints']['tasks'].items()}
        for label, entry in self._states['mapped'].items():
            if entry['from'] not in self.ctx.relaxed:
                continue
            found = verdict(energies[entry['from']], checked.get(label))
            self.report(f'endpoint {label} {WORDS[found]}')
            if found in ('verified', 'relaxed_further'):
                self.ctx.relaxed[label] = node.outputs.structures[label]
            else:
                self.ctx.refused.append(label)

    def has_refused_endpoints(self) -> bool:
        """Return whether mapped endpoints have to be relaxed from scratch."""
        return bool(self.ctx.refused)

    def relax_refused_endpoints(self) -> Any:
        """Relax the endpoints that no mapping holds for."""
        structures = self._to_relax(self.ctx.refused, 'rattle_refused_endpoints')
        node = self._relax_states(structures, 'relax_refused_endpoints')
        self.report(f'relaxing {len(structures)} endpoint(s) from scratch: {node.pk}')
        return ToContext(relax_refused_endpoints=node)

    def inspect_refused_endpoints(self) -> None:
        """Take the endpoints that were relaxed from scratch."""
        self._take_relaxed('relax_refused_endpoints', self.ctx.relax_refused_endpoints)

    def _energies(self) -> dict[str, float]:
        """Return the energies of the relaxed states in eV."""
        energies: dict[str, float] = {}
        for name in ('relax_endpoints', 'verify_endpoints', 'relax_refused_endpoints'):
            tasks = self.ctx.results[name]['tasks'] if name in self.ctx.results else {}
            energies |= {label: task['energy'] for label, task in tasks.items() if label in self.ctx.relaxed}
        return energies

    @abstractmethod
    def take_endpoints(self) -> ExitCode | None:
        """Go on with the relaxed endpoints."""

    # ---------------------------------------------------------------- the bands

    def _interpolate(
        self, initial: StructureData, final: StructureData, path: Dict, label: str
    ) -> tuple[BandData | None, str]:
        """Return the starting band, or None and what forbids one.

        :param label: name of the step.
        """
        parameters: dict[str, Any] = {
            'n_images': self.inputs.n_images.value,
            'interpolation': self.inputs.interpolation.value,
            **({'waypoints': self.inputs.waypoints.get_list()} if 'waypoints' in self.inputs else {}),
        }
        if 'structure' in self.inputs:
            parameters['host_treatment'] = self.inputs.relax_host.value
        band, node = interpolate.run_get_node(
            initial=initial,
            final=final,
            path=path,
            parameters=Dict(parameters),
            **self._kinds(),
            metadata={'call_link_label': label},
        )
        return (band, '') if node.is_finished_ok else (None, node.exit_message)

    def _submit_neb(self, bands: dict[str, BandData]) -> Any:
        return self.submit(
            WorkflowFactory(self.engine.neb),
            bands=bands,
            metadata={'call_link_label': 'neb'},
            **self._charge(),
            **self.inputs.engine_inputs.neb,
        )

    def _summarise(self, band: BandData, step: str, **inputs: Any) -> Dict | None:
        """Return the summary of a band, None where it has no energies; say its barriers in the lab book.

        :param step: name of the step.
        :param inputs: of :func:`~aiida_embarrier.calculations.paths.summarise`.
        """
        summary, calculation = summarise.run_get_node(
            band=band, **inputs, **self.ctx.results, metadata={'call_link_label': step}
        )
        if not calculation.is_finished_ok:
            return None
        attributes = band.base.attributes
        which = f'{inputs["label"].value}: ' if 'label' in inputs else ''
        rise = attributes.get('barrier_rate_limiting')
        other = rise is not None and rise - attributes.get('barrier_forward') > TIE_TOLERANCE
        limiting = f', {rise:.3f} eV rate-limiting' if other else ''
        self.report(
            f'{which}barrier {attributes.get("barrier_forward"):.3f} eV forward, '
            f'{attributes.get("barrier_reverse"):.3f} eV reverse{limiting}; residual force '
            f'{attributes.get("residual_force"):.3f} eV/Å'
        )
        return summary
