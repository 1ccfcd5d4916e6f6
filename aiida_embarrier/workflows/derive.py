"""From what the literature says of a structure to its ground state in a charge state, and the endpoints of its hops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.engine import if_
from aiida.orm import AbstractCode, Bool, Dict, Float, Int, List, Str, StructureData

from aiida_embarrier.calculations.derivation import charge_state
from aiida_embarrier.calculations.derived import choose_hops
from aiida_embarrier.calculations.network import ends_of
from aiida_embarrier.data.table import TableData
from aiida_embarrier.engines.base import get_engine
from aiida_embarrier.engines.protocols import DEFAULT_PROTOCOL
from aiida_embarrier.workflows.barrier_inputs import port_validator
from aiida_embarrier.workflows.derive_inputs import (
    check_charge_state,
    check_hops,
    check_n_orderings,
    check_substitution,
    derive_protocol,
    validate_derive,
)
from aiida_embarrier.workflows.derive_steps import CrystalWorkChain
from aiida_embarrier.workflows.migration import PROTOCOL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiida.engine import ExitCode, ProcessBuilder
    from aiida.engine.processes.workchains.workchain import WorkChainSpec

    from aiida_embarrier.engines.base import Codes

__all__ = ('DeriveStructureWorkChain',)

#: The program that searches databases and makes orderings.
WORKER = 'embarrier-worker'

#: Inputs of the base class that concern bands.
OF_BANDS = ('relaxed_host', 'n_images', 'interpolation')


class DeriveStructureWorkChain(CrystalWorkChain):
    """The structure that a barrier of the literature belongs to, with any engine.

    It follows the flow chart by which datasets of barriers are made. The crystal is given, found in a database, or
    derived from a parent by exchanging species and scaling the volume. A disordered one is ordered, and the orderings
    of lowest Ewald energy are relaxed to find the ground state. Intercalants are taken out where the barrier is that of
    a charged state: of the crystal as it was before any relaxation, so that sites and hops have the same numbers as
    there. The host in its charge state is relaxed. In the end the endpoints of its hops are made, and relaxed. The
    summary says which branch was taken at each step and why; what there is, is an output, also on failure.
    """

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define the inputs, the outline, the outputs and the exit codes."""
        super().define(spec)
        for name in OF_BANDS:
            del spec.inputs[name]
        del spec.inputs['engine_inputs']['neb']
        del spec.outputs['host']
        spec.input(
            'lookup',
            valid_type=Dict,
            required=False,
            help='Search of a database for the structure: parameters of `embarrier.lookup`, and `entry`, the '
            'identifier of the entry that is taken where there are several; the first of them unless given.',
        )
        spec.input(
            'parent',
            valid_type=StructureData,
            required=False,
            help='Crystal that the structure is derived from where it is not found in the database.',
        )
        spec.input(
            'substitution',
            valid_type=Dict,
            required=False,
            validator=port_validator(check_substitution),
            help='How it is derived from the parent: `substitute` and more, parameters of '
            '`aiida_embarrier.calculations.derivation.substitute_and_scale`.',
        )
        spec.input(
            'orderings',
            valid_type=Dict,
            required=False,
            help='How a disordered crystal is ordered: parameters of `embarrier.orderings`.',
        )
        spec.input(
            'relax_orderings',
            valid_type=Int,
            default=lambda: Int(5),
            validator=port_validator(check_n_orderings),
            help='How many orderings, those of lowest Ewald energy, are relaxed to find the ground state.',
        )
        spec.input(
            'charge_state',
            valid_type=Dict,
            required=False,
            validator=port_validator(check_charge_state),
            help='`ion` and `state` (`discharged`, `charged`, or the share of its sites that are occupied) and more, '
            'parameters of `aiida_embarrier.calculations.derivation.charge_state`.',
        )
        spec.input(
            'hops',
            valid_type=Dict,
            required=False,
            validator=port_validator(check_hops),
            help='The hops whose endpoints are made: `ion`; `number`, `numbers` or `between` (two sites) where not all '
            'are meant; `mechanism`, `max_length`, `extra_vacancies`, `sites`, `symprec`. Without it there are none.',
        )
        spec.input('worker_code', valid_type=AbstractCode, required=False, help='The code of `embarrier-worker`.')
        spec.input('worker_options', valid_type=Dict, required=False, help='Options of its jobs.')
        spec.inputs.validator = validate_derive

        spec.outline(
            cls.setup,
            *cls.source_steps(),
            cls.ordering_steps(),
            if_(cls.has_charge_state)(cls.set_charge_state),
            if_(cls.should_relax_host)(cls.relax_host, cls.inspect_host),
            cls.take_structure,
            if_(cls.has_hops)(cls.choose_hops, cls.make_endpoints, cls.endpoint_steps()),
            cls.finish,
        )

        spec.output('structure', valid_type=StructureData, required=False, help='The structure, relaxed if asked.')
        spec.output('kinds', valid_type=Dict, required=False, help='Moments, oxidation states and U of its kinds.')
        spec.output(
            'unrelaxed',
            valid_type=StructureData,
            required=False,
            help='The structure before any relaxation; the numbers of hops refer to it.',
        )
        spec.output(
            'orderings',
            valid_type=TableData,
            required=False,
            help='Orderings of a disordered crystal: multiplicity, Ewald energy, relaxed energy, rank.',
        )
        spec.output_namespace(
            'endpoints',
            dynamic=True,
            required=False,
            help='`initial` and `final` of each hop, `hop_0`, `hop_1`, ...; relaxed if asked.',
        )
        spec.output('hops', valid_type=Dict, required=False, help='The hops spelt out, and which of them failed.')
        spec.output('summary', valid_type=Dict, required=False, help='Which branches were taken and why, energy, cost.')
        spec.exit_code(202, 'ERROR_DERIVATION', message='The structure cannot be derived: {message}')
        spec.exit_code(
            203,
            'ERROR_NOT_FOUND',
            message='The database has no such structure, and there is no parent to derive it from: {message}',
        )
        spec.exit_code(311, 'ERROR_ENDPOINTS', message='No hop has endpoints: {message}')
        spec.exit_code(313, 'ERROR_LOOKUP', message='The database could not be searched: {message}')
        spec.exit_code(314, 'ERROR_ORDERINGS', message='The orderings could not be made: {message}')
        spec.exit_code(315, 'ERROR_NO_ORDERING', message='None of the orderings could be relaxed: {message}')
        spec.exit_code(
            511,
            'ERROR_SOME_HOPS',
            message='{failed} of {n_hops} hops have no endpoints; those of the others are outputs: {message}',
        )

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: Codes,
        *,
        structure: StructureData | None = None,
        kinds: Dict | None = None,
        lookup: Mapping[str, Any] | None = None,
        parent: StructureData | None = None,
        substitution: Mapping[str, Any] | None = None,
        orderings: Mapping[str, Any] | None = None,
        charge_state: Mapping[str, Any] | None = None,
        hops: Mapping[str, Any] | None = None,
        worker_code: AbstractCode | None = None,
        worker_options: Mapping[str, Any] | None = None,
        engine: str = 'potential',
        protocol: str | None = None,
        overrides: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        charge: float | None = None,
    ) -> ProcessBuilder:
        """Return a builder with everything filled in; every input can still be changed.

        :param code: the code of the engine, or codes by the names of programs, as those of the barrier work chain.
        :param kinds: those of `structure`, or of `parent`.
        :param worker_code: the code of `embarrier-worker`, for lookups and orderings; that among `code` unless given.
        :param worker_options: options of its jobs; those of the engine where it runs the same program.
        :param protocol: `fast`, `balanced` (default) or `stringent`.
        :param overrides: nested mapping of values that replace those of the protocol; a misspelt key is an error.
        :param options: options of the jobs of the engine: `resources`, `max_wallclock_seconds`, `queue_name`, ...
        :param charge: charge of the cell of the endpoints in units of e.
        :raises ValueError: for unknown engines, protocols, keys and functionals, and for codes that are missing.
        """
        resolved = derive_protocol(engine, protocol, overrides)
        builder = cls.get_builder()
        own = _worker_among(code, engine)
        steps = {
            'lookup': lookup,
            'substitution': substitution,
            'orderings': orderings,
            'charge_state': charge_state,
            'hops': hops,
            'worker_options': worker_options or (options if own is not None else None) or None,
        }
        given = {
            'structure': structure,
            'kinds': kinds,
            'parent': parent,
            'worker_code': worker_code or own,
            'charge': None if charge is None else Float(charge),
            'supercell': None if resolved['supercell'] is None else List(resolved['supercell']),
            **{name: None if value is None else Dict(dict(value)) for name, value in steps.items()},
            'engine': Str(engine),
            'relax_host': Str(resolved['relax_host']),
            'relax_orderings': Int(resolved['relax_orderings']),
            'relax_endpoints': Bool(resolved['relax_endpoints']),
            'map_endpoints': Bool(resolved['map_endpoints']),
            'min_image_distance': Float(resolved['min_image_distance']),
            **(
                {'rattle': Float(resolved['rattle']), 'rattle_seed': Int(resolved['rattle_seed'])}
                if resolved['rattle']
                else {}
            ),
        }
        for name, node in given.items():
            if node is not None:
                setattr(builder, name, node)
        changed = ', with changes' if overrides else ''
        builder.metadata.description = f'{PROTOCOL}{protocol or DEFAULT_PROTOCOL}{changed}'
        inputs = get_engine(engine).inputs_from_protocol(resolved['engine'], code=code, options=options)
        builder.engine_inputs['relax'] = inputs['relax']
        return builder

    # ---------------------------------------------------------------- charge state and relaxation

    def has_charge_state(self) -> bool:
        """Return whether the structure is brought into a charge state."""
        return 'charge_state' in self.inputs

    def set_charge_state(self) -> ExitCode | None:
        """Take intercalants out, if any, of the structure as it was before orderings were relaxed."""
        outputs, node = charge_state.run_get_node(
            structure=self.ctx.crystal,
            parameters=self.inputs.charge_state,
            **self._kinds(),
            metadata={'call_link_label': 'charge_state'},
        )
        if not node.is_finished_ok:
            return self._end('ERROR_DERIVATION', node.exit_message)
        self.ctx.state = outputs['results']
        self._warn(self.ctx.state['warnings'])
        removed, kept = len(self.ctx.state['removed']), len(self.ctx.state['kept'])
        if removed:
            self.ctx.host = self.ctx.crystal = outputs['structure']
            self.ctx.kinds = outputs['kinds']
            self.ctx.relaxed_in = None  # an ordering that was relaxed is another structure
        ion = self.ctx.state['ion']
        name = self.ctx.state['state']
        reason = f'{removed} {ion} taken out, {kept} left' if removed else f'all {kept} {ion} stay'
        self._branch('charge state', name if isinstance(name, str) else f'{name:g} of the sites', reason)
        return None

    def should_relax_host(self) -> bool:
        """Return whether the structure is to be relaxed: not where it is an ordering that was."""
        return self.should_relax() and self.ctx.host.uuid == self.ctx.crystal.uuid

    def inspect_host(self) -> ExitCode | None:
        """Take the relaxed structure."""
        failure = self._take_crystal('relax_host')
        if failure is None:
            self.ctx.relaxed_in = ['relax_host', 'host']
            return None
        if 'structures' in self.ctx.relax_host.outputs:
            self.out('structure', self.ctx.relax_host.outputs.structures['host'])
        self._summarise_derivation(failure.message)
        return failure

    def take_structure(self) -> None:
        """Attach the structure, whatever comes of its hops."""
        relaxed = self.ctx.relaxed_in is not None and self.ctx.host.uuid != self.ctx.crystal.uuid
        self._branch(
            'relaxation',
            self.inputs.relax_host.value if relaxed else 'not relaxed',
            f'by {self.engine.name}' if relaxed else 'relax_host is none',
        )
        self.out('structure', self.ctx.host)
        if self.ctx.kinds is not None:
            self.out('kinds', self.ctx.kinds)
        if relaxed:
            self.out('unrelaxed', self.ctx.crystal)

    # ---------------------------------------------------------------- hops

    def has_hops(self) -> bool:
        """Return whether endpoints are to be made."""
        return 'hops' in self.inputs

    def choose_hops(self) -> ExitCode | None:
        """Say which hops are meant."""
        outputs, node = choose_hops.run_get_node(
            host=self.ctx.crystal,
            hops=self.inputs.hops,
            **self._kinds(),
            **({} if self.ctx.state is None else {'charge_state': self.ctx.state}),
            metadata={'call_link_label': 'choose_hops'},
        )
        if not node.is_finished_ok:
            return self._end('ERROR_DERIVATION', node.exit_message)
        self.ctx.hops = outputs['hops']
        return None

    def make_endpoints(self) -> ExitCode | None:
        """Make the endpoints of the hops."""
        failure = self._make_endpoints(self.ctx.hops, self.ctx.crystal)
        if failure is not None:
            self._summarise_derivation(failure.message)
            return failure
        self.out('hops', self.ctx.plan)
        mechanism = self.ctx.hops.get_dict().get('mechanism', 'vacancy')
        self._branch('endpoints', mechanism, f'{len(self.ctx.paths)} of {len(self.ctx.plan["hops"])} hop(s)')
        return None

    def finish(self) -> ExitCode | None:
        """Attach the endpoints and the summary."""
        if self.ctx.hops is None:
            self._summarise_derivation()
            return None
        ready = [label for label in self.ctx.paths if label not in self.ctx.failures]
        for label in ready:
            self.ctx.warnings += self.ctx.paths[label]['warnings']
        if ready:
            ends = {label: {side: self.ctx.relaxed[end] for side, end in ends_of(label).items()} for label in ready}
            self.out('endpoints', ends)
        message = '; '.join(f'{label}: {text}' for label, text in self.ctx.failures.items())
        if not ready:
            return self._end('ERROR_ENDPOINTS', message)
        if self.ctx.failures:
            n_hops = len(self.ctx.plan['hops'])
            return self._end('ERROR_SOME_HOPS', message, failed=len(self.ctx.failures), n_hops=n_hops)
        self._summarise_derivation()
        return None


def _worker_among(code: Codes, engine: str) -> AbstractCode | None:
    """Return the code of the worker among those of an engine, None where it has none."""
    if isinstance(code, AbstractCode):
        return code if list(get_engine(engine).codes) == [WORKER] else None
    return None if code is None else code.get(WORKER)
