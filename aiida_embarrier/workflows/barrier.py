"""From a crystal and a hop, from two endpoints, or from a ready band, to the migration barrier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.engine import ToContext, WorkChain, if_
from aiida.orm import Bool, Dict, Float, Int, List, Str, StructureData
from aiida.plugins import WorkflowFactory

from aiida_embarrier.calculations.paths import align, create_endpoints, interpolate, summarise
from aiida_embarrier.data.band import BandData
from aiida_embarrier.engines.base import get_engine, why
from aiida_embarrier.workflows.barrier_inputs import (
    MECHANISMS,
    PROTOCOL_CHECKS,
    alignment_of,
    barrier_protocol,
    check_alignment,
    check_distance,
    check_engine,
    check_n_images,
    check_supercell,
    check_waypoints,
    one_of,
    port_validator,
    validate_inputs,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiida.engine import ExitCode, ProcessBuilder
    from aiida.engine.processes.workchains.workchain import WorkChainSpec
    from aiida.orm import AbstractCode

    from aiida_embarrier.engines.base import Engine

__all__ = ('MigrationBarrierWorkChain',)


class MigrationBarrierWorkChain(WorkChain):
    """The migration barrier of an ion, with any engine.

    It starts from a crystal and a hop, from two endpoints, or from a band. The host is relaxed, the endpoints are made
    in a supercell and relaxed at fixed cell, a band is interpolated between them and optimised, and the barrier is
    summarised by every definition. Each step is a node; the last good band is an output also on failure.
    """

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define the inputs, the outline, the outputs and the exit codes."""
        super().define(spec)
        spec.input('structure', valid_type=StructureData, required=False, help='The crystal.')
        spec.input(
            'hop',
            valid_type=Dict,
            required=False,
            help='The hop: `{ion, number}` as `aiida-embarrier hops` lists them, with the mechanism and limits that '
            'were given there, or a hop spelt out (`aiida_embarrier.structures.hops.Hop.to_dict`).',
        )
        spec.input('initial', valid_type=StructureData, required=False, help='The initial endpoint.')
        spec.input('final', valid_type=StructureData, required=False, help='The final endpoint.')
        spec.input('band', valid_type=BandData, required=False, help='A band to start from; nothing is relaxed first.')
        spec.input(
            'kinds', valid_type=Dict, required=False, help='Moments, oxidation states and U by the names of the kinds.'
        )
        spec.input(
            'mechanism',
            valid_type=Str,
            default=lambda: Str('vacancy'),
            validator=port_validator(one_of(*MECHANISMS)),
            help='For two given endpoints: how many ions may move. A hop says itself.',
        )
        spec.input(
            'relax_host',
            valid_type=Str,
            default=lambda: Str('cell'),
            validator=port_validator(PROTOCOL_CHECKS['relax_host']),
            help='What of the crystal is relaxed before hops are made: none, positions or cell.',
        )
        spec.input('relax_endpoints', valid_type=Bool, default=lambda: Bool(True), help='Relax the endpoints.')
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
            'waypoints',
            valid_type=List,
            required=False,
            validator=port_validator(check_waypoints),
            help='Positions in Å which the ion passes on its way.',
        )
        spec.input(
            'alignment',
            valid_type=Dict,
            required=False,
            validator=port_validator(check_alignment),
            help='For two given endpoints: `ion`, `lattice_policy`, `threshold`, `keep_images`, see '
            '`aiida_embarrier.bands.alignment.align_endpoints`.',
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
            'engine',
            valid_type=Str,
            default=lambda: Str('potential'),
            validator=port_validator(check_engine),
            help='Name of the engine.',
        )
        spec.input_namespace('engine_inputs', dynamic=True, help='Inputs of the work chains of the engine.')
        for kind in ('relax', 'neb'):
            spec.input_namespace(f'engine_inputs.{kind}', dynamic=True, required=False)
        spec.inputs.validator = validate_inputs

        spec.outline(
            cls.setup,
            if_(cls.should_relax_host)(cls.relax_host, cls.inspect_host),
            if_(cls.has_crystal)(cls.make_endpoints),
            if_(cls.has_endpoints)(cls.align_endpoints),
            if_(cls.should_relax_endpoints)(cls.relax_endpoints, cls.inspect_endpoints),
            if_(cls.has_no_band)(cls.interpolate),
            cls.run_neb,
            cls.inspect_neb,
        )

        spec.output('band', valid_type=BandData, required=False, help='The band; the last good one on failure.')
        spec.output('summary', valid_type=Dict, required=False, help='Barriers, convergence, cost and warnings.')
        spec.output('host', valid_type=StructureData, required=False, help='The relaxed host.')
        spec.output('initial', valid_type=StructureData, required=False, help='The initial endpoint, relaxed if asked.')
        spec.output('final', valid_type=StructureData, required=False, help='The final endpoint, relaxed if asked.')
        spec.exit_code(201, 'ERROR_INVALID_PATH', message='No path can be made of the input: {message}')
        spec.exit_code(310, 'ERROR_HOST', message='The relaxation of the host failed: {message}')
        spec.exit_code(311, 'ERROR_ENDPOINTS', message='The relaxation of the endpoints failed: {message}')
        spec.exit_code(312, 'ERROR_NEB', message='The band could not be computed: {message}')
        spec.exit_code(
            510,
            'ERROR_BAND_NOT_CONVERGED',
            message='The band did not converge; the last good one is the output `band`: {message}',
        )

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: AbstractCode,
        *,
        structure: StructureData | None = None,
        hop: Mapping[str, Any] | Dict | None = None,
        initial: StructureData | None = None,
        final: StructureData | None = None,
        band: BandData | None = None,
        kinds: Dict | None = None,
        mechanism: str | None = None,
        waypoints: list[list[float]] | None = None,
        alignment: Mapping[str, Any] | None = None,
        engine: str = 'potential',
        protocol: str | None = None,
        overrides: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> ProcessBuilder:
        """Return a builder with everything filled in; every input can still be changed.

        :param code: the code of the engine; for the potential engine that of `embarrier-worker`.
        :param protocol: `fast`, `balanced` (default) or `stringent`.
        :param overrides: nested mapping of values that replace those of the protocol; a misspelt key is an error.
            `aiida-embarrier show-protocol` prints all keys.
        :param waypoints: positions in Å which the ion passes on its way.
        :param alignment: how two given endpoints are aligned: `ion`, `lattice_policy`, `threshold`, `keep_images`.
        :param options: options of all jobs: `resources`, `max_wallclock_seconds`, `queue_name`, ...
        :raises ValueError: for unknown engines, protocols and keys.
        """
        resolved = barrier_protocol(engine, protocol, overrides)
        builder = cls.get_builder()
        given = {'structure': structure, 'initial': initial, 'final': final, 'band': band, 'kinds': kinds}
        for name, node in given.items():
            if node is not None:
                setattr(builder, name, node)
        if hop is not None:
            builder.hop = hop if isinstance(hop, Dict) else Dict(dict(hop))
        if mechanism is not None:
            builder.mechanism = Str(mechanism)
        if waypoints is not None:
            builder.waypoints = List(waypoints)
        if alignment is not None:
            builder.alignment = Dict(dict(alignment))
        builder.engine = Str(engine)
        builder.relax_host = Str(resolved['relax_host'])
        builder.relax_endpoints = Bool(resolved['relax_endpoints'])
        builder.n_images = Int(resolved['n_images'])
        builder.interpolation = Str(resolved['interpolation'])
        builder.min_image_distance = Float(resolved['min_image_distance'])
        if resolved['supercell'] is not None:
            builder.supercell = List(resolved['supercell'])
        inputs = get_engine(engine).inputs_from_protocol(resolved['engine'], code=code, options=options)
        for kind, values in inputs.items():
            builder.engine_inputs[kind] = values
        return builder

    @property
    def engine(self) -> Engine:
        """The engine; not kept in the context, which is written to the database at every step."""
        return get_engine(self.inputs.engine.value)

    # ---------------------------------------------------------------- which steps

    def has_crystal(self) -> bool:
        """Return whether the path is made from a crystal and a hop."""
        return 'structure' in self.inputs

    def has_endpoints(self) -> bool:
        """Return whether two endpoints were given."""
        return 'initial' in self.inputs

    def has_no_band(self) -> bool:
        """Return whether a band has to be made."""
        return 'band' not in self.inputs

    def should_relax_host(self) -> bool:
        """Return whether the host is to be relaxed."""
        return self.has_crystal() and self.inputs.relax_host.value != 'none'

    def should_relax_endpoints(self) -> bool:
        """Return whether the endpoints are to be relaxed."""
        return self.has_no_band() and self.inputs.relax_endpoints.value

    # ---------------------------------------------------------------- steps

    def setup(self) -> None:
        """Say what is going to happen."""
        self.ctx.path = None
        self.ctx.results = {}
        self.ctx.host = self.inputs.get('structure')
        self.ctx.band = self.inputs.get('band')
        if self.has_crystal():
            hop = self.inputs.hop.get_dict()
            start = f'{self.ctx.host.get_formula()}, hop {hop.get("number", "")} of {hop.get("ion", "the ion")}'
        elif self.has_endpoints():
            start = f'two endpoints of {self.inputs.initial.get_formula()}'
        else:
            start = f'band {self.ctx.band.pk} of {self.ctx.band.base.attributes.get("formula")}'
        self.report(f'migration barrier from {start}, engine {self.engine.name}')

    def _kinds(self) -> dict[str, Dict]:
        return {'kinds': self.inputs.kinds} if 'kinds' in self.inputs else {}

    def _submit_relax(self, structures: dict[str, StructureData], cell: str, label: str) -> Any:
        return self.submit(
            WorkflowFactory(self.engine.relax),
            structures=structures,
            cell=Str(cell),
            metadata={'call_link_label': label},
            **self._kinds(),
            **self.inputs.engine_inputs.relax,
        )

    def relax_host(self) -> Any:
        """Relax the crystal."""
        what = self.inputs.relax_host.value
        node = self._submit_relax({'host': self.ctx.host}, 'full' if what == 'cell' else 'fixed', 'relax_host')
        atoms = len(self.ctx.host.sites)
        self.report(f'relaxing the host ({atoms} atoms, {"positions and cell" if what == "cell" else what}): {node.pk}')
        return ToContext(relax_host=node)

    def inspect_host(self) -> ExitCode | None:
        """Take the relaxed host."""
        node = self.ctx.relax_host
        if not node.is_finished_ok:
            self._out_last_good(node, 'host')
            return self.exit_codes.ERROR_HOST.format(message=why(node))
        before, self.ctx.host = self.ctx.host, node.outputs.structures.host
        self.ctx.results['relax_host'] = node.outputs.results
        self.out('host', self.ctx.host)
        change = 100 * (self.ctx.host.get_cell_volume() / before.get_cell_volume() - 1)
        task = node.outputs.results['tasks']['host']
        self.report(f'host relaxed: {task["energy"]:.3f} eV after {task["n_steps"]} steps, volume {change:+.1f} %')
        return None

    def make_endpoints(self) -> ExitCode | None:
        """Make the endpoints of the hop in a supercell of the host."""
        parameters: dict[str, Any] = {'min_image_distance': self.inputs.min_image_distance.value}
        if 'supercell' in self.inputs:
            parameters['supercell'] = self.inputs.supercell.get_list()
        outputs, node = create_endpoints.run_get_node(
            host=self.ctx.host,
            hop=self.inputs.hop,
            parameters=Dict(parameters),
            crystal=self.inputs.structure,
            **self._kinds(),
            metadata={'call_link_label': 'create_endpoints'},
        )
        return self._take_endpoints(outputs, node)

    def align_endpoints(self) -> ExitCode | None:
        """Bring the given endpoints into the same order."""
        outputs, node = align.run_get_node(
            initial=self.inputs.initial,
            final=self.inputs.final,
            parameters=Dict({**alignment_of(self.inputs), 'min_image_distance': self.inputs.min_image_distance.value}),
            **self._kinds(),
            metadata={'call_link_label': 'align_endpoints'},
        )
        return self._take_endpoints(outputs, node)

    def _take_endpoints(self, outputs: Any, node: Any) -> ExitCode | None:
        if not node.is_finished_ok:
            return self.exit_codes.ERROR_INVALID_PATH.format(message=node.exit_message)
        self.ctx.initial, self.ctx.final, self.ctx.path = outputs['initial'], outputs['final'], outputs['path']
        for warning in self.ctx.path['warnings']:
            self.report(f'warning: {warning}')
        if not self.inputs.relax_endpoints.value:
            self._out_endpoints()
        self.report(f'endpoints made: {len(self.ctx.initial.sites)} atoms, {self.ctx.path["mechanism"]} mechanism')
        return None

    def _out_endpoints(self) -> None:
        self.out('initial', self.ctx.initial)
        self.out('final', self.ctx.final)

    def _out_last_good(self, node: Any, *labels: str) -> None:
        """Attach what a relaxation that failed left."""
        if 'structures' in node.outputs:
            self.out_many(
                {label: node.outputs.structures[label] for label in labels if label in node.outputs.structures}
            )

    def relax_endpoints(self) -> Any:
        """Relax both endpoints at fixed cell."""
        structures = {'initial': self.ctx.initial, 'final': self.ctx.final}
        node = self._submit_relax(structures, 'fixed', 'relax_endpoints')
        self.report(f'relaxing both endpoints at fixed cell: {node.pk}')
        return ToContext(relax_endpoints=node)

    def inspect_endpoints(self) -> ExitCode | None:
        """Take the relaxed endpoints."""
        node = self.ctx.relax_endpoints
        if not node.is_finished_ok:
            self._out_last_good(node, 'initial', 'final')
            return self.exit_codes.ERROR_ENDPOINTS.format(message=why(node))
        self.ctx.initial, self.ctx.final = (node.outputs.structures[label] for label in ('initial', 'final'))
        self.ctx.results['relax_endpoints'] = node.outputs.results
        self._out_endpoints()
        energies = {label: task['energy'] for label, task in node.outputs.results['tasks'].items()}
        self.report(f'endpoints relaxed: final minus initial {energies["final"] - energies["initial"]:+.3f} eV')
        return None

    def interpolate(self) -> ExitCode | None:
        """Make the starting band."""
        parameters: dict[str, Any] = {
            'n_images': self.inputs.n_images.value,
            'interpolation': self.inputs.interpolation.value,
        }
        if self.has_crystal():
            parameters['host_treatment'] = self.inputs.relax_host.value
        if 'waypoints' in self.inputs:
            parameters['waypoints'] = self.inputs.waypoints.get_list()
        band, node = interpolate.run_get_node(
            initial=self.ctx.initial,
            final=self.ctx.final,
            path=self.ctx.path,
            parameters=Dict(parameters),
            **self._kinds(),
            metadata={'call_link_label': 'interpolate'},
        )
        if not node.is_finished_ok:
            return self.exit_codes.ERROR_INVALID_PATH.format(message=node.exit_message)
        self.ctx.band = band
        length = band.base.attributes.get('hop_length')
        self.report(
            f'band of {parameters["n_images"]} images made ({parameters["interpolation"]})'
            + ('' if length is None else f', the ion moves {length:.2f} Å')
        )
        return None

    def run_neb(self) -> Any:
        """Optimise the band."""
        node = self.submit(
            WorkflowFactory(self.engine.neb),
            bands={'band': self.ctx.band},
            metadata={'call_link_label': 'neb'},
            **self.inputs.engine_inputs.neb,
        )
        self.report(f'optimising the band: {node.pk}')
        return ToContext(neb=node)

    def inspect_neb(self) -> ExitCode | None:
        """Attach the band and its summary, also of a band that did not converge."""
        node = self.ctx.neb
        message = why(node)
        if 'bands' not in node.outputs:
            return self.exit_codes.ERROR_NEB.format(message=message)
        band = node.outputs.bands.band
        self.out('band', band)
        results = dict(self.ctx.results)
        if 'results' in node.outputs:
            results['neb'] = node.outputs.results
        if self.ctx.path is not None:
            results.update(path=self.ctx.path, guess=self.ctx.band)
        summary, calculation = summarise.run_get_node(band=band, **results, metadata={'call_link_label': 'summarise'})
        if calculation.is_finished_ok:
            self.out('summary', summary)
            attributes = band.base.attributes
            self.report(
                f'barrier {attributes.get("barrier_forward"):.3f} eV forward, '
                f'{attributes.get("barrier_reverse"):.3f} eV reverse; residual force '
                f'{attributes.get("residual_force"):.3f} eV/Å'
            )
        if not node.is_finished_ok:
            return self.exit_codes.ERROR_BAND_NOT_CONVERGED.format(message=message)
        return None
