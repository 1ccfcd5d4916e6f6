"""From a barrier of the literature to a computed one beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.engine import ToContext, WorkChain, if_
from aiida.orm import Dict, Str, StructureData

from aiida_embarrier.calculations.entries import make_entry, take_hop, take_row
from aiida_embarrier.data.band import BandData
from aiida_embarrier.data.table import TableData
from aiida_embarrier.engines.base import why
from aiida_embarrier.workflows.barrier import MigrationBarrierWorkChain
from aiida_embarrier.workflows.barrier_inputs import barrier_protocol, port_validator
from aiida_embarrier.workflows.derive import DeriveStructureWorkChain
from aiida_embarrier.workflows.derive_inputs import derive_protocol
from aiida_embarrier.workflows.entry_inputs import STEPS, check_row, validate_entry
from aiida_embarrier.workflows.studies import merge, same_inputs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiida.engine import ExitCode, ProcessBuilder
    from aiida.engine.processes.workchains.workchain import WorkChainSpec

    from aiida_embarrier.engines.base import Codes

__all__ = ('DatasetEntryWorkChain',)

#: Inputs of the barrier work chain that say which path: this work chain fills them in.
OF_PATH = ('structure', 'kinds', 'hop', 'initial', 'final', 'band', 'relaxed_host', 'mechanism', 'alignment')


class DatasetEntryWorkChain(WorkChain):
    """An entry of a dataset of barriers: what the literature says, and what is computed for the same path.

    A literature row names a structure and how it is derived: the derivation makes the host, and the barrier work chain
    the band of its hop. Of a row of a dataset, which holds its path, the endpoints are taken as they are. The output
    `entry` has the computed barrier by the definition of the literature beside the literature value.
    """

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define the inputs, the outline, the outputs and the exit codes."""
        super().define(spec)
        spec.input(
            'row',
            valid_type=Dict,
            required=False,
            validator=port_validator(check_row),
            help='What the literature says: `name`, `barrier` in eV, `barrier_definition`, `source`, `ion`, and where '
            'known `functional` and `notes`.',
        )
        spec.input('dataset', valid_type=TableData, required=False, help='A dataset of barriers, instead of `row`.')
        spec.input('row_name', valid_type=Str, required=False, help='Name of the row of the dataset.')
        spec.expose_inputs(
            DeriveStructureWorkChain,
            namespace='derive',
            exclude=('metadata',),
            namespace_options={'required': False, 'populate_defaults': False},
        )
        spec.expose_inputs(MigrationBarrierWorkChain, namespace='barrier', exclude=('metadata', *OF_PATH))
        spec.inputs['barrier'].validator = None  # which wants a path, and that is what is made here
        spec.inputs.validator = validate_entry

        spec.outline(
            cls.setup,
            if_(cls.has_dataset)(cls.take_row).else_(cls.run_derivation, cls.inspect_derivation),
            cls.run_barrier,
            cls.inspect_barrier,
        )

        spec.output('entry', valid_type=Dict, required=False, help='Literature and computed barrier side by side.')
        spec.output('band', valid_type=BandData, required=False, help='The band; the last good one on failure.')
        spec.output('summary', valid_type=Dict, required=False, help='Summary of the barrier.')
        spec.output('structure', valid_type=StructureData, required=False, help='The derived structure.')
        spec.output('kinds', valid_type=Dict, required=False, help='Moments, oxidation states and U of its kinds.')
        spec.output('derivation', valid_type=Dict, required=False, help='Which branches led to it, and why.')
        spec.output('orderings', valid_type=TableData, required=False, help='Orderings of a disordered crystal.')
        spec.exit_code(201, 'ERROR_ROW', message='The row cannot be used: {message}')
        spec.exit_code(310, 'ERROR_DERIVATION', message='The structure could not be derived: {message}')
        spec.exit_code(312, 'ERROR_BARRIER', message='The barrier could not be computed: {message}')
        spec.exit_code(
            510,
            'ERROR_BAND_NOT_CONVERGED',
            message='The band did not converge; `entry` has the barrier of the last good one: {message}',
        )

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: Codes,
        *,
        row: Mapping[str, Any] | None = None,
        derive: Mapping[str, Any] | None = None,
        dataset: TableData | None = None,
        row_name: str | None = None,
        relax_orderings: int | None = None,
        worker_code: Any = None,
        engine: str = 'potential',
        protocol: str | None = None,
        overrides: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        charge: float | None = None,
    ) -> ProcessBuilder:
        """Return a builder with everything filled in; every input can still be changed.

        :param code: the code of the engine, or codes by the names of programs, as those of the barrier work chain.
        :param row: what the literature says.
        :param derive: how its structure is derived: `structure`, `kinds`, `lookup`, `parent`, `substitution`,
            `orderings`, `charge_state` and `hops`, as
            :meth:`~aiida_embarrier.workflows.derive.DeriveStructureWorkChain.get_builder_from_protocol` takes them.
        :param dataset: a dataset of barriers, instead of `row` and `derive`, with `row_name`.
        :param relax_orderings: how many orderings are relaxed; None for what the protocol says.
        :param worker_code: the code of `embarrier-worker`, for lookups and orderings; that among `code` unless given.
        :param protocol: `fast`, `balanced` (default) or `stringent`.
        :param overrides: nested mapping of values that replace those of the protocol of barriers; those that the
            derivation has too hold for both.
        :param options: options of all jobs: `resources`, `max_wallclock_seconds`, `queue_name`, ...
        :param charge: charge of the cell of endpoints and band in units of e.
        :raises ValueError: for unknown steps, engines, protocols and keys, and for codes that are missing.
        """
        steps = dict(derive or {})
        unknown = sorted(set(steps) - set(STEPS))
        if unknown:
            raise ValueError(f'a derivation has no step {unknown[0]!r}: choose from {", ".join(STEPS)}')
        barrier = MigrationBarrierWorkChain.get_builder_from_protocol(
            code, engine=engine, protocol=protocol, overrides=overrides, options=options, charge=charge
        )
        builder = cls.get_builder()
        builder.barrier = {name: value for name, value in merge(barrier, {}).items() if name != 'metadata'}
        builder.metadata.description = barrier.metadata.description
        if steps:
            changes = _shared(engine, protocol, overrides)
            if relax_orderings is not None:
                changes['relax_orderings'] = relax_orderings
            # the endpoints are relaxed by the barrier work chain, which maps and checks them
            derivation = DeriveStructureWorkChain.get_builder_from_protocol(
                code,
                **steps,
                worker_code=worker_code,
                engine=engine,
                protocol=protocol,
                overrides={**changes, 'relax_endpoints': False},
                options=options,
            )
            builder.derive = {name: value for name, value in merge(derivation, {}).items() if name != 'metadata'}
        for name, node in (
            ('row', None if row is None else Dict(dict(row))),
            ('dataset', dataset),
            ('row_name', None if row_name is None else Str(row_name)),
        ):
            if node is not None:
                setattr(builder, name, node)
        return builder

    # ---------------------------------------------------------------- the path

    def setup(self) -> None:
        """Say what is going to happen."""
        self.ctx.row = self.inputs.get('row')
        self.ctx.path = {}
        self.ctx.derivation = None
        name = self.inputs.row_name.value if self.has_dataset() else self.ctx.row['name']
        self.report(f'computing the barrier of row {name}, engine {self.inputs.barrier.engine.value}')

    def has_dataset(self) -> bool:
        """Return whether the row is one of a dataset."""
        return 'dataset' in self.inputs

    def take_row(self) -> ExitCode | None:
        """Take the endpoints of the row of a dataset."""
        outputs, node = take_row.run_get_node(
            dataset=self.inputs.dataset,
            parameters=Dict({'name': self.inputs.row_name.value}),
            metadata={'call_link_label': 'take_row'},
        )
        if not node.is_finished_ok:
            return self.exit_codes.ERROR_ROW.format(message=node.exit_message)
        self.ctx.row = outputs['row']
        self.ctx.path = {name: outputs[name] for name in ('initial', 'final', 'mechanism', 'alignment')}
        for warning in self.ctx.row['warnings']:
            self.report(f'warning: {warning}')
        self._say_literature()
        return None

    def _say_literature(self) -> None:
        row = self.ctx.row.get_dict()
        functional = f', {row["functional"]}' if row.get('functional') else ''
        self.report(f'literature: {row["barrier"]:.3f} eV{functional} ({row["source"]})')

    def run_derivation(self) -> Any:
        """Derive the structure of a literature row."""
        self._say_literature()
        node = self.submit(
            DeriveStructureWorkChain, **self.inputs.derive, metadata={'call_link_label': 'derive_structure'}
        )
        self.report(f'deriving its structure: {node.pk}')
        return ToContext(derive=node)

    def inspect_derivation(self) -> ExitCode | None:
        """Take the structure and its hop."""
        node = self.ctx.derive
        for name, output in (('structure', 'structure'), ('kinds', 'kinds'), ('orderings', 'orderings')):
            if output in node.outputs:
                self.out(name, node.outputs[output])
        if 'summary' in node.outputs:
            self.ctx.derivation = node.outputs.summary
            self.out('derivation', node.outputs.summary)
        if not node.is_finished_ok:
            return self.exit_codes.ERROR_DERIVATION.format(message=why(node))
        hop, calculation = take_hop.run_get_node(node.outputs.hops, metadata={'call_link_label': 'take_hop'})
        if not calculation.is_finished_ok:
            return self.exit_codes.ERROR_DERIVATION.format(message=calculation.exit_message)
        self.ctx.path = {'hop': hop, **self._host(node.outputs)}
        return None

    def _host(self, outputs: Any) -> dict[str, Any]:
        """Return the host for the barrier work chain: relaxed already, where it would be relaxed the same way."""
        kinds = {'kinds': outputs.kinds} if 'kinds' in outputs else {}
        derive, barrier = self.inputs.derive, self.inputs.barrier
        same = all(derive[name].value == barrier[name].value for name in ('engine', 'relax_host')) and same_inputs(
            *(inputs.get('engine_inputs', {}).get('relax', {}) for inputs in (derive, barrier))
        )
        if not same and 'unrelaxed' in outputs and barrier.relax_host.value != 'none':
            self.report('the host is relaxed again: the barrier has other inputs for that than the derivation')
        if same and 'unrelaxed' in outputs:
            return {'structure': outputs.unrelaxed, 'relaxed_host': outputs.structure, **kinds}
        return {'structure': outputs.structure, **kinds}

    # ---------------------------------------------------------------- the barrier

    def run_barrier(self) -> Any:
        """Compute the barrier."""
        node = self.submit(
            MigrationBarrierWorkChain,
            **self.ctx.path,
            **self.inputs.barrier,
            metadata={'call_link_label': 'compute_barrier'},
        )
        self.report(f'computing the barrier: {node.pk}')
        return ToContext(barrier=node)

    def inspect_barrier(self) -> ExitCode | None:
        """Set the computed barrier beside the one of the literature."""
        node = self.ctx.barrier
        for name in ('band', 'summary'):
            if name in node.outputs:
                self.out(name, node.outputs[name])
        if 'summary' not in node.outputs:
            return self.exit_codes.ERROR_BARRIER.format(message=why(node))
        structure = self.ctx.derive.outputs.structure if 'derive' in self.ctx else None
        further = {'derivation': self.ctx.derivation, 'structure': structure}
        entry = make_entry(
            row=self.ctx.row,
            summary=node.outputs.summary,
            band=node.outputs.band,
            **{name: value for name, value in further.items() if value is not None},
            metadata={'call_link_label': 'make_entry'},
        )
        self.out('entry', entry)
        found = entry['comparison']
        self.report(
            f'{entry["name"]}: {found["computed"]:.3f} eV computed, {found["literature"]:.3f} eV in the literature '
            f'({found["definition"]}, {found["difference"]:+.3f} eV)'
        )
        if not node.is_finished_ok:
            return self.exit_codes.ERROR_BAND_NOT_CONVERGED.format(message=why(node))
        return None


def _shared(engine: str, protocol: str | None, overrides: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what a protocol of barriers says with overrides, of the keys that a derivation has too.

    The resolved values are given, not the overrides, so that both do the same whatever their protocols say.
    """
    resolved = barrier_protocol(engine, protocol, overrides)
    known = derive_protocol(engine, protocol)
    return {key: value for key, value in resolved.items() if key in known and key != 'engine'} | {
        'engine': dict((overrides or {}).get('engine', {}))
    }
