"""From a crystal and a hop, from two endpoints, or from a ready band, to the migration barrier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.engine import ToContext, if_
from aiida.orm import Dict, List, Str, StructureData

from aiida_embarrier.calculations.paths import align, create_endpoints
from aiida_embarrier.data.band import BandData
from aiida_embarrier.engines.base import status_of, why
from aiida_embarrier.jobs.schemas import Status
from aiida_embarrier.workflows.barrier_inputs import (
    MECHANISMS,
    alignment_of,
    check_alignment,
    check_waypoints,
    one_of,
    port_validator,
    validate_inputs,
)
from aiida_embarrier.workflows.preparation import PreparedMigrationWorkChain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiida.engine import ExitCode, ProcessBuilder
    from aiida.engine.processes.workchains.workchain import WorkChainSpec

    from aiida_embarrier.engines.base import Codes

__all__ = ('MigrationBarrierWorkChain',)

ENDS = ('initial', 'final')

#: Label of the only band.
BAND = 'band'


class MigrationBarrierWorkChain(PreparedMigrationWorkChain):
    """The migration barrier of an ion, with any engine.

    It starts from a crystal and a hop, from two endpoints, or from a band. The host is relaxed, the endpoints are made
    in a supercell and relaxed at fixed cell, a band is interpolated between them and optimised, and the barrier is
    summarised by every definition. Each step is a node; the last good band is an output also on failure.
    """

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define the inputs, the outline, the outputs and the exit codes."""
        super().define(spec)
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
            'mechanism',
            valid_type=Str,
            default=lambda: Str('vacancy'),
            validator=port_validator(one_of(*MECHANISMS)),
            help='For two given endpoints: how many ions may move. A hop says itself.',
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
        spec.inputs.validator = validate_inputs

        spec.outline(
            cls.setup,
            cls.host_steps(),
            if_(cls.has_crystal)(cls.make_endpoints),
            if_(cls.has_endpoints)(cls.align_endpoints),
            cls.endpoint_steps(),
            if_(cls.has_no_band)(cls.interpolate, cls.preparation_steps()),
            cls.run_neb,
            cls.inspect_neb,
        )

        spec.output('band', valid_type=BandData, required=False, help='The band; the last good one on failure.')
        spec.output('summary', valid_type=Dict, required=False, help='Barriers, convergence, cost and warnings.')
        spec.output('initial', valid_type=StructureData, required=False, help='The initial endpoint, relaxed if asked.')
        spec.output('final', valid_type=StructureData, required=False, help='The final endpoint, relaxed if asked.')
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
        code: Codes,
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
        charge: float | None = None,
    ) -> ProcessBuilder:
        """Return a builder with everything filled in; every input can still be changed.

        :param code: the code of the engine; for the potential engine that of `embarrier-worker`. For an engine with
            several programs, and where another engine prepares the band, a mapping of the names of the programs to
            codes, as `codes` of :class:`~aiida_embarrier.engines.base.Engine` has them.
        :param protocol: `fast`, `balanced` (default) or `stringent`.
        :param overrides: nested mapping of values that replace those of the protocol; a misspelt key is an error.
            `aiida-embarrier show-protocol` prints all keys.
        :param waypoints: positions in Å which the ion passes on its way.
        :param alignment: how two given endpoints are aligned: `ion`, `lattice_policy`, `threshold`, `keep_images`.
        :param options: options of all jobs: `resources`, `max_wallclock_seconds`, `queue_name`, ...; those of an engine
            that prepares the band stand in the protocol.
        :param charge: charge of the cell of endpoints and band in units of e.
        :raises ValueError: for unknown engines, protocols, keys and functionals, and for codes that are missing.
        """
        given = {
            'structure': structure,
            'hop': hop if hop is None or isinstance(hop, Dict) else Dict(dict(hop)),
            'initial': initial,
            'final': final,
            'band': band,
            'kinds': kinds,
            'mechanism': None if mechanism is None else Str(mechanism),
            'waypoints': None if waypoints is None else List(waypoints),
            'alignment': None if alignment is None else Dict(dict(alignment)),
        }
        return cls._fill(
            code, given, engine=engine, protocol=protocol, overrides=overrides, options=options, charge=charge
        )

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

    # ---------------------------------------------------------------- steps

    def setup(self) -> None:
        """Say what is going to happen."""
        super().setup()
        self.ctx.path = None
        if self.has_crystal():
            hop = self.inputs.hop.get_dict()
            start = f'{self.ctx.host.get_formula()}, hop {hop.get("number", "")} of {hop.get("ion", "the ion")}'
        elif self.has_endpoints():
            start = f'two endpoints of {self.inputs.initial.get_formula()}'
        else:
            start = f'band {self.inputs.band.pk} of {self.inputs.band.base.attributes.get("formula")}'
        self.report(f'migration barrier from {start}, engine {self.engine.name}')

    def make_endpoints(self) -> ExitCode | None:
        """Make the endpoints of the hop in a supercell of the host."""
        outputs, node = create_endpoints.run_get_node(
            host=self.ctx.host,
            hop=self.inputs.hop,
            parameters=Dict(self._supercell_parameters()),
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
            parameters=Dict({**alignment_of(self.inputs), **self._endpoint_parameters()}),
            **self._kinds(),
            metadata={'call_link_label': 'align_endpoints'},
        )
        return self._take_endpoints(outputs, node)

    def _take_endpoints(self, outputs: Any, node: Any) -> ExitCode | None:
        if not node.is_finished_ok:
            return self.exit_codes.ERROR_INVALID_PATH.format(message=node.exit_message)
        self.ctx.unrelaxed = {label: outputs[label] for label in ENDS}
        self.ctx.path = self.ctx.plan = outputs['path']
        for warning in self.ctx.path['warnings']:
            self.report(f'warning: {warning}')
        if not self.inputs.relax_endpoints.value:
            self.ctx.relaxed = self.ctx.unrelaxed
            self.out_many(self.ctx.unrelaxed)
        atoms = len(self.ctx.unrelaxed['initial'].sites)
        self.report(f'endpoints made: {atoms} atoms, {self.ctx.path["mechanism"]} mechanism')
        return None

    def take_endpoints(self) -> ExitCode | None:
        """Go on with the relaxed endpoints."""
        if set(self.ctx.relaxed) < set(ENDS):
            node = self.ctx.relax_refused_endpoints if self.ctx.refused else self.ctx.relax_endpoints
            self._out_last_good(node, *ENDS)
            return self.exit_codes.ERROR_ENDPOINTS.format(message=why(node))
        self.out_many(self.ctx.relaxed)
        energies = self._energies()
        self.report(f'endpoints relaxed: final minus initial {energies["final"] - energies["initial"]:+.3f} eV')
        return None

    def interpolate(self) -> ExitCode | None:
        """Make the starting band."""
        band, message = self._interpolate(**self.ctx.relaxed, path=self.ctx.path, label='interpolate')
        if band is None:
            return self.exit_codes.ERROR_INVALID_PATH.format(message=message)
        self.ctx.guesses = {BAND: band}
        self.ctx.paths = {BAND: self.ctx.path}
        length = band.base.attributes.get('hop_length')
        self.report(
            f'band of {self.inputs.n_images.value} images made ({self.inputs.interpolation.value})'
            + ('' if length is None else f', the ion moves {length:.2f} Å')
        )
        return None

    def _ends_of(self, label: str) -> dict[str, str]:  # noqa: ARG002  (there is one band only)
        return {end: end for end in ENDS}

    def run_neb(self) -> Any:
        """Optimise the band."""
        node = self._submit_neb({BAND: self.inputs.band} if 'band' in self.inputs else self._starting_bands())
        self.report(f'optimising the band: {node.pk}')
        return ToContext(neb=node)

    def inspect_neb(self) -> ExitCode | None:
        """Attach the band and its summary, also of a band that did not converge."""
        node = self.ctx.neb
        tasks = self._take_results('neb', node)
        bands = node.outputs.bands if 'bands' in node.outputs else {}
        # where the interpolated band was computed too, the chain may have ended because of that one
        alone = len(node.inputs.bands) == 1
        message = why(node) if alone else tasks.get(BAND, {}).get('message') or why(node)
        if BAND not in bands:
            return self.exit_codes.ERROR_NEB.format(message=message)
        band = bands[BAND]
        self.out('band', band)
        made = {} if self.ctx.path is None else {'path': self.ctx.path, 'guess': self._starting_bands()[BAND]}
        summary = self._summarise(band, 'summarise', **made, **self._of_preparation(BAND, node))
        if summary is not None:
            self.out('summary', summary)
        status = status_of(tasks.get(BAND, {}), node)
        only_evaluated = node.is_finished_ok and status is Status.NOT_CONVERGED  # as it was asked to
        if status is not Status.CONVERGED and not only_evaluated:
            return self.exit_codes.ERROR_BAND_NOT_CONVERGED.format(message=message)
        return None
