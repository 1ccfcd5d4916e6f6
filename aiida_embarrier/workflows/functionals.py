"""Barriers of several systems by several density functionals, neutral and charged, with and without climbing image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aiida.orm import CalcJobNode, Dict, Float, Int, Str, StructureData
from aiida.plugins import WorkflowFactory

from aiida_embarrier.bands.barriers import QUANTITIES
from aiida_embarrier.calculations.functionals import tabulate_functionals
from aiida_embarrier.data.band import BandData
from aiida_embarrier.data.table import TableData
from aiida_embarrier.datasets.functionals import ERRORS
from aiida_embarrier.engines.base import get_engine, why
from aiida_embarrier.engines.protocols import closest
from aiida_embarrier.workflows.barrier import MigrationBarrierWorkChain
from aiida_embarrier.workflows.barrier_inputs import check_engine, one_of, port_validator, validate_engine_inputs
from aiida_embarrier.workflows.barrier_inputs import validate_inputs as validate_barrier_inputs
from aiida_embarrier.workflows.functionals_inputs import (
    METHOD,
    check_study,
    estimate_of,
    factorised,
    inputs_of_builders,
    inputs_of_cell,
    make_study,
    settings_of,
)
from aiida_embarrier.workflows.pool import PoolWorkChain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiida.engine import ExitCode, ProcessBuilder
    from aiida.engine.processes.workchains.workchain import WorkChainSpec
    from aiida.orm import AbstractCode, ProcessNode

    from aiida_embarrier.workflows.functionals_inputs import ComparedSystem

__all__ = ('FunctionalComparisonWorkChain',)

#: Exit codes that AiiDA's schedulers set; 150 is that of monitors, which stop what diverges.
SCHEDULER = range(100, 150)
#: Words in the labels of exit codes of jobs that are no problem but go on in another job: they ran out of time or of
#: steps, or from there on the highest image climbs.
GOES_ON = ('WALL', 'INTERRUPT', 'NOT_FINISH', 'IONIC', 'ERROR_NOT_CONVERGED')


def check_min_systems(value: Any) -> str | None:
    """Check from how many systems on something is concluded."""
    return None if value >= 2 else f'a mean error of {value} system(s) says nothing: ask for at least 2'


def barrier_inputs(inputs: Any, cell: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs of the barrier work chain for a cell that starts from a crystal or from endpoints."""
    common = inputs_of_cell(inputs, cell['system'], cell['functional'])
    given = {name: value for name, value in common.items() if name not in METHOD}
    neb = common.get('climbing' if cell['climbing'] else 'neb', {})
    engine_inputs = {'relax': common.get('relax', {}), 'neb': neb}
    return {**given, 'engine': inputs['engine'], 'charge': Float(cell['charge']), 'engine_inputs': engine_inputs}


def validate_inputs(inputs: Any, _: Any) -> str | None:
    """Check the inputs of all cells as the barrier work chain would."""
    study = inputs['study'].get_dict()
    for kind, namespace in (('systems', 'systems'), ('functionals', 'methods')):
        for entry in study[kind]:
            if entry['label'] not in inputs.get(namespace, {}):
                return f'{namespace}.{entry["label"]} is missing: fill the inputs with `get_builder_from_protocol`'
    ports = MigrationBarrierWorkChain.spec().inputs
    checked: set[str] = set()
    for cell in study['cells']:
        given = barrier_inputs(inputs, cell)
        for name, value in given.items():
            if name not in ports or name in ('band', 'relaxed_host'):
                return f'{cell["label"]}: the barrier work chain has no input {name!r} here{closest(name, ports)}'
            if isinstance(value, Mapping):
                continue
            error = ports[name].validate(value)
            if error is not None:
                return f'{cell["label"]}: {name}: {error.message}'
        defaults = {name: port.default for name, port in ports.items() if port.has_default() and name not in given}
        given |= {name: value() if callable(value) else value for name, value in defaults.items()}
        # Hops are sought once for each system: the functional has no influence on them.
        known = cell['system'] in checked
        message = validate_engine_inputs(given) if known else validate_barrier_inputs(given, None)
        if message is not None:
            return f'{cell["label"]}: {message}'
        checked.add(cell['system'])
    return None


class FunctionalComparisonWorkChain(PoolWorkChain):
    """Compare density functionals by the barriers of several systems, in accuracy and in cost.

    Each system is computed by each functional, with each charge, without and with climbing image. The host is relaxed
    once for each system and functional, neutral; the endpoints once for each charge; and the band with climbing image
    starts from the converged one without. Nothing else is shared. A cell that fails is a row that says why, and the
    others go on.
    """

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define the inputs, the outline, the outputs and the exit codes."""
        super().define(spec)
        spec.input('engine', valid_type=Str, validator=port_validator(check_engine), help='Name of the engine.')
        spec.input(
            'study',
            valid_type=Dict,
            validator=port_validator(check_study),
            help='The plan: systems, functionals, hosts and cells, '
            'see `aiida_embarrier.workflows.functionals_inputs.make_study`.',
        )
        spec.input('estimate', valid_type=Dict, required=False, help='What it was expected to take.')
        spec.input_namespace(
            'systems', dynamic=True, help='For each system the inputs of the barrier work chain that say which path.'
        )
        spec.input_namespace(
            'methods',
            dynamic=True,
            help='For each functional the inputs of the engine: `relax`, `neb`, and, with climbing image, `climbing`.',
        )
        spec.input_namespace(
            'variations', dynamic=True, required=False, help='What differs, by the labels of system and functional.'
        )
        spec.input(
            'quantity',
            valid_type=Str,
            default=lambda: Str('forward'),
            validator=port_validator(one_of(*QUANTITIES)),
            help=f'The barrier that is compared: {", ".join(QUANTITIES)}.',
        )
        spec.input(
            'range_error',
            valid_type=Str,
            default=lambda: Str('nearest'),
            validator=port_validator(one_of(*ERRORS)),
            help='How the error against a range of experimental values is counted: from its nearer end, 0 inside, or '
            'from its middle.',
        )
        spec.input(
            'min_systems',
            valid_type=Int,
            default=lambda: Int(3),
            validator=port_validator(check_min_systems),
            help='From fewer systems nothing is concluded from errors.',
        )
        spec.inputs.validator = validate_inputs
        spec.outline(cls.setup, cls.pool_steps(), cls.tabulate)
        spec.output('cells', valid_type=TableData, required=False, help='Barrier, error, cost and state of each cell.')
        spec.output('functionals', valid_type=TableData, required=False, help='Errors and costs of each functional.')
        spec.output('effects', valid_type=TableData, required=False, help='What charge and climbing image change.')
        spec.output('recommendation', valid_type=Dict, required=False, help='The quick and the better choice, and why.')
        spec.output_namespace('bands', valid_type=BandData, required=False, dynamic=True, help='The band of each cell.')
        spec.output_namespace('summaries', valid_type=Dict, required=False, dynamic=True, help='Their summaries.')
        spec.output_namespace('hosts', valid_type=StructureData, required=False, dynamic=True, help='Relaxed hosts.')
        spec.exit_code(310, 'ERROR_NO_BARRIER', message='No cell gave a barrier; the first of them: {message}')
        spec.exit_code(
            511,
            'ERROR_SOME_CELLS',
            message='{failed} of {n_cells} cells gave no converged barrier; tables and what the others gave are '
            'outputs. {message}',
        )

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: AbstractCode | Mapping[str, AbstractCode],
        *,
        systems: Sequence[ComparedSystem],
        functionals: Sequence[str],
        engine: str,
        charges: Sequence[float] = (0.0,),
        climbing: Sequence[bool] = (False, True),
        protocol: str | None = None,
        overrides: Mapping[str, Any] | None = None,
        functional_overrides: Mapping[str, Mapping[str, Any]] | None = None,
        options: Mapping[str, Any] | None = None,
        quantity: str | None = None,
        range_error: str | None = None,
        min_systems: int | None = None,
        reference: str | None = None,
        max_concurrent: int | None = None,
        estimate: Mapping[str, Any] | None = None,
    ) -> ProcessBuilder:
        """Return a builder with everything filled in; every input can still be changed.

        :param code: the code of the engine, or of each of its programs.
        :param systems: what is computed.
        :param functionals: keys of functionals of the engine.
        :param charges: charges of the cells in units of e, for systems that have none of their own.
        :param climbing: False for NEB, True for NEB with climbing image.
        :param protocol: `fast`, `balanced` (default) or `stringent`.
        :param overrides: for all cells; those of a functional, and those of a system, win over them.
        :param functional_overrides: by the keys of functionals.
        :param options: options of all jobs.
        :param quantity: the barrier that is compared; None for the forward barrier.
        :param range_error: `nearest` (default) or `middle`.
        :param min_systems: from fewer systems nothing is concluded from errors; None for 3.
        :param reference: the functional that costs are relative to; None for PBE, or the first where there is no PBE.
        :param max_concurrent: how many relaxations and barriers run at a time; None for all that can.
        :param estimate: what it is expected to take, where that was found already.
        :raises ValueError: for unknown engines, protocols, keys and functionals, and for hops that are none.
        """
        study = make_study(systems, functionals, charges, climbing, reference)
        if estimate is None:
            estimate = estimate_of(
                systems,
                study,
                engine=engine,
                protocol=protocol,
                overrides=overrides,
                functional_overrides=functional_overrides,
            )
        given: dict[tuple[str, str], dict[str, Any]] = {}
        for entry, system in zip(study['systems'], systems, strict=True):
            nodes = system.inputs()
            for method in study['functionals']:
                key = method['key']
                further = (overrides or {}, (functional_overrides or {}).get(key, {}), system.overrides or {})
                builders = {
                    climbs: MigrationBarrierWorkChain.get_builder_from_protocol(
                        code,
                        engine=engine,
                        protocol=protocol,
                        overrides=settings_of(engine, key, climbs, *further),
                        options=options,
                        **nodes,
                    )
                    for climbs in sorted(climbing)
                }
                given[entry['label'], method['label']] = inputs_of_builders(builders)
        builder = cls.get_builder()
        for name, filled in factorised(given, Str(engine)).items():
            if filled:
                builder[name] = filled
        builder.engine = Str(engine)
        builder.study = Dict(study)
        builder.estimate = Dict(dict(estimate))
        for name, value in (('quantity', quantity), ('range_error', range_error)):
            if value is not None:
                builder[name] = Str(value)
        for name, number in (('min_systems', min_systems), ('max_concurrent', max_concurrent)):
            if number is not None:
                builder[name] = Int(number)
        return builder

    # ---------------------------------------------------------------- tasks

    def _planned(self, kind: str) -> dict[str, dict[str, Any]]:
        """Return the `hosts` or `cells` of the plan by label."""
        return {entry['label']: entry for entry in self.inputs.study[kind]}

    def _common_inputs(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        return inputs_of_cell(self.inputs, entry['system'], entry['functional'])

    def setup(self) -> None:
        """Begin with the hosts, and say what is going to happen."""
        study = self.inputs.study.get_dict()
        self.ctx.left_out = {}
        hosts = {
            (host['system'], host['functional']): label
            for label, host in self._planned('hosts').items()
            if self._common_inputs(host)['relax_host'].value != 'none'
        }
        self.ctx.hosts = list(hosts.values())
        # what a task starts from: a cell from a band or a host, hosts from nothing
        self.ctx.stands_on = {
            cell['label']: cell['starts_from'] or hosts.get((cell['system'], cell['functional']))
            for cell in study['cells']
        }
        self.fill_pool([*self.ctx.hosts, *self.ctx.stands_on])
        names = ', '.join(method['key'] for method in study['functionals'])
        limit = f', {self.inputs.max_concurrent.value} at a time' if 'max_concurrent' in self.inputs else ''
        self.report(
            f'comparing {names}: {len(study["cells"])} barriers of {len(study["systems"])} system(s) and {len(hosts)} '
            f'hosts by the engine {self.inputs.engine.value}{limit}'
        )

    def is_ready(self, task: str) -> bool:
        """Return whether the host or the band that a task starts from is there, or will never be."""
        before = self.ctx.stands_on.get(task)
        return before is None or self.has_ended(before)

    def start_task(self, task: str) -> ProcessNode | None:
        """Relax a host, or compute a cell."""
        if task in self.ctx.stands_on:
            inputs, message = self._start_of(task)
            if message is not None:
                self.ctx.left_out = {**self.ctx.left_out, task: message}
                self.report(f'{task} is left out: {message}')
                return None
            node = self.submit(MigrationBarrierWorkChain, metadata={'call_link_label': task}, **inputs)
        else:
            node = self._relax_host(task)
        self.report(f'{task}: {node.pk}')
        return node

    def _relax_host(self, task: str) -> ProcessNode:
        inputs = self._common_inputs(self._planned('hosts')[task])
        kinds = {'kinds': inputs['kinds']} if 'kinds' in inputs else {}
        return self.submit(
            WorkflowFactory(get_engine(self.inputs.engine.value).relax),
            structures={'host': inputs['structure']},
            cell=Str('full' if inputs['relax_host'].value == 'cell' else 'fixed'),
            metadata={'call_link_label': task},
            **kinds,
            **inputs['relax'],
        )

    def _start_of(self, task: str) -> tuple[dict[str, Any], str | None]:
        """Return the inputs of a cell, and why it cannot start, None where it can."""
        cell, before = self._planned('cells')[task], self.ctx.stands_on[task]
        inputs = barrier_inputs(self.inputs, cell)
        if before is None:
            return inputs, None
        node = self.ctx.get(before)
        if cell['starts_from'] is None:
            if not node.is_finished_ok:
                return {}, f'the relaxation of its host failed: {why(node)}'
            return {**inputs, 'relaxed_host': node.outputs.structures.host}, None
        if node is None or not node.is_finished_ok:
            reason = self.ctx.left_out[before] if node is None else why(node)
            return {}, f'the band that it starts from, {before}, did not converge: {reason}'
        return {
            'band': node.outputs.band,
            'n_images': inputs['n_images'],
            'engine': inputs['engine'],
            'charge': inputs['charge'],
            'engine_inputs': {'neb': inputs['engine_inputs']['neb']},
        }, None

    # ---------------------------------------------------------------- what came of it

    def tabulate(self) -> ExitCode | None:
        """Gather what there is in tables, and attach it."""
        nodes: dict[str, Any] = {}
        failures = dict(self.ctx.left_out)
        for label in self.ctx.hosts:
            node = self.ctx[label]
            if not node.is_finished_ok:
                failures[label] = why(node)
                continue
            nodes |= {f'host_{label}': node.outputs.structures.host, f'relaxed_{label}': node.outputs.results}
        for label, host in self._planned('hosts').items():
            if label not in self.ctx.hosts:  # it was taken as it was given
                nodes[f'host_{label}'] = self._common_inputs(host)['structure']
        bands, summaries = {}, {}
        for label in self.ctx.stands_on:
            node = self.ctx.get(label)
            if node is None:
                continue
            if 'summary' in node.outputs:
                bands[label], summaries[label] = node.outputs.band, node.outputs.summary
                nodes[f'summary_{label}'] = node.outputs.summary
                neb = node.base.links.get_outgoing(link_label_filter='neb').first()
                if neb is not None and 'results' in neb.node.outputs:
                    nodes[f'neb_{label}'] = neb.node.outputs.results
            if not node.is_finished_ok:
                failures[label] = why(node)
        tasks = [*self.ctx.hosts, *self.ctx.stands_on]
        parameters = {
            'study': self.inputs.study.get_dict(),
            'quantity': self.inputs.quantity.value,
            'range_error': self.inputs.range_error.value,
            'min_systems': self.inputs.min_systems.value,
            'failures': failures,
            'not_run': list(self.ctx.left_out),
            'problems': {label: problems_of(self.ctx[label]) for label in tasks if label in self.ctx},
            'bands': {label: band.uuid for label, band in bands.items()},
        }
        tables = tabulate_functionals(Dict(parameters), **nodes, metadata={'call_link_label': 'tabulate'})
        self.out_many(tables)
        if bands:
            self.out('bands', bands)
            self.out('summaries', summaries)
        hosts = {label: nodes[f'host_{label}'] for label in self.ctx.hosts if f'host_{label}' in nodes}
        if hosts:
            self.out('hosts', hosts)
        return self._end(tables, failures)

    def _end(self, tables: Mapping[str, Any], failures: Mapping[str, str]) -> ExitCode | None:
        """Say what was found, and return the exit code."""
        for choice in ('quick', 'better'):
            self.report(f'{choice} choice: {tables["recommendation"][choice]["reason"]}')
        cells = tables['cells'].table
        failed = cells[cells['status'] != 'converged']
        reasons: dict[str, list[str]] = {}
        for label in failed['cell']:
            reasons.setdefault(failures.get(label, 'its band did not converge'), []).append(label)
        message = '; '.join(f'{", ".join(labels)}: {reason}' for reason, labels in reasons.items())
        if cells['barrier'].isna().all():
            return self.exit_codes.ERROR_NO_BARRIER.format(message=message)
        if len(failed):
            return self.exit_codes.ERROR_SOME_CELLS.format(failed=len(failed), n_cells=len(cells), message=message)
        return None


def problems_of(process: ProcessNode) -> list[str]:
    """Return which jobs below a process ended with a problem; those that ran out of time or steps only went on."""
    jobs = [process, *process.called_descendants]
    return [
        f'job {job.pk} [{job.exit_status}]: {job.exit_message or "failed"}'
        for job in jobs
        if isinstance(job, CalcJobNode) and job.exit_status and not _goes_on(job)
    ]


def _goes_on(job: CalcJobNode) -> bool:
    """Return whether a job was stopped by its scheduler, its wall time or its limit of steps."""
    if job.exit_status in SCHEDULER:
        return True
    try:
        codes = job.process_class.exit_codes
    except ValueError:  # its plugin is not installed here
        return False
    labels = [label for label, code in codes.items() if code.status == job.exit_status]
    return any(word in label for label in labels for word in GOES_ON)
