"""Relaxation with pw.x, through aiida-quantumespresso's restart work chain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.engine import ToContext, WorkChain, while_
from aiida.orm import AbstractCode, CalcJobNode, Dict, Int, Str, StructureData
from aiida.plugins import WorkflowFactory

from aiida_embarrier.data.convert import structure_from_node
from aiida_embarrier.engines.base import why
from aiida_embarrier.engines.quantumespresso.collecting import add_hubbard, collect_relaxations, place_atoms
from aiida_embarrier.engines.quantumespresso.parser import cores_of
from aiida_embarrier.engines.quantumespresso.settings import Settings, check_settings
from aiida_embarrier.engines.quantumespresso.setup import (
    Prepared,
    define_shared,
    job_options,
    kpoints_node,
    prepare,
    refused,
)
from aiida_embarrier.jobs.schemas import GRAVEST_FIRST, Status

if TYPE_CHECKING:
    from aiida.engine import ExitCode
    from aiida.engine.processes.workchains.workchain import WorkChainSpec
    from aiida.orm import ProcessNode, WorkChainNode

__all__ = ('PwChain', 'QuantumEspressoRelaxWorkChain', 'knows_card', 'pw_inputs_of')

#: Exit status of pw.x: the cell is relaxed, but not in the basis that belongs to it.
PULAY = 501
#: How often a cell is relaxed again in the basis that belongs to it.
MAX_PULAY = 4
#: Exit statuses of aiida-quantumespresso's PwBaseWorkChain, and of pw.x below it, that say how it ended.
OUT_OF_TIME = (340, 400, 503)
IONS_NOT_CONVERGED = (500, 501, 502, 520, 521)


def validate_cell(node: Str | None, _: Any) -> str | None:
    """Check what of the cell is relaxed."""
    if node is not None and node.value not in ('fixed', 'full'):
        return f'unknown treatment of the cell {node.value!r}: choose fixed or full'
    return None


def pw_inputs_of(
    structure: StructureData, prepared: Prepared, settings: Settings, code: AbstractCode, options: dict[str, Any]
) -> dict[str, Any]:
    """Return the inputs of aiida-quantumespresso's PwBaseWorkChain.

    :param structure: with its Hubbard U, where it has one and the card HUBBARD is used.
    """
    if code.with_mpi is not None:  # the work chain spells out its own default, which must not contradict the code
        options = {'withmpi': code.with_mpi, **options}
    further: dict[str, Any] = {'gamma_only': True} if prepared.mesh == (1, 1, 1) else {}
    if settings.command_line:
        further['cmdline'] = settings.command_line
    pw: dict[str, Any] = {
        'code': code,
        'structure': structure,
        'parameters': Dict(prepared.namelists),
        'pseudos': prepared.pseudos,
        'metadata': {'options': options},
    }
    if further:
        pw['settings'] = Dict(further)
    if settings.npool is not None:
        pw['parallelization'] = Dict({'npool': settings.npool})
    return {
        'pw': pw,
        'kpoints': kpoints_node(prepared.mesh),
        'max_iterations': Int(settings.max_iterations),
        'on_unhandled_failure': Str('restart_once'),  # a machine may fail, a program that cannot fails again
    }


def knows_card(version: str | None) -> bool:
    """Return whether a version of Quantum ESPRESSO, such as `7.4` or `6.7MaX`, knows the card HUBBARD."""
    import re

    found = re.match(r'v?\.?(\d+)\.(\d+)', version or '')
    return found is None or (int(found[1]), int(found[2])) >= (7, 1)


class PwChain:
    """What a finished PwBaseWorkChain tells.

    :param node: the work chain.
    """

    def __init__(self, node: WorkChainNode) -> None:
        self.node = node
        self.jobs = sorted((job for job in node.called if isinstance(job, CalcJobNode)), key=lambda job: job.pk)

    def last_output(self, label: str) -> Any:
        """Return the last output of this label that a job of the chain left, None where there is none."""
        for job in reversed(self.jobs):
            if label in job.outputs:
                return job.outputs[label]
        return None

    @property
    def version(self) -> str | None:
        """Version of pw.x."""
        parameters = self.last_output('output_parameters')
        return None if parameters is None else parameters.get('creator_version', parameters.get('code_version', None))

    @property
    def status(self) -> Status:
        """How it ended, in the words of the engine contract."""
        if self.node.is_finished_ok:
            return Status.CONVERGED
        last = self.jobs[-1].exit_status if self.jobs else None
        if self.node.exit_status in IONS_NOT_CONVERGED or last in IONS_NOT_CONVERGED:
            return Status.NOT_CONVERGED
        if last in OUT_OF_TIME:
            return Status.INTERRUPTED
        return Status.FAILED

    @property
    def message(self) -> str:
        """Why it ended like this; empty where it converged."""
        if self.node.is_finished_ok:
            return ''
        job = self.jobs[-1] if self.jobs else None
        return why(self.node) if job is None or job.is_finished_ok else f'{why(self.node)} Its last job: {why(job)}'


class QuantumEspressoRelaxWorkChain(WorkChain):
    """Relax structures with pw.x, side by side, each in its own jobs.

    The restarts of a job are those of aiida-quantumespresso. A cell is relaxed again until it is in
    the basis that belongs to it. One that fails does not spoil the others, and the last good structure is an output in
    any case.
    """

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define the inputs, the outline, the outputs and the exit codes."""
        super().define(spec)
        spec.input('code', valid_type=AbstractCode, help='The code of pw.x.')
        spec.input_namespace('structures', valid_type=StructureData, dynamic=True, help='Structures by their labels.')
        spec.input('kinds', valid_type=Dict, required=False, help='Properties of the kinds, by name of the kind.')
        spec.input('cell', valid_type=Str, default=lambda: Str('fixed'), validator=validate_cell, help='fixed or full.')
        define_shared(spec)
        spec.outline(cls.setup, while_(cls.is_unfinished)(cls.relax, cls.inspect), cls.results)
        spec.output_namespace(
            'structures', valid_type=StructureData, dynamic=True, required=False, help='The relaxed structures.'
        )
        spec.output('results', valid_type=Dict, required=False, help='Energy, steps and status of each relaxation.')
        spec.exit_code(
            320,
            'ERROR_CARD_IGNORED',
            message='pw.x {version} does not know the card HUBBARD and computed without U: set `hubbard_card: false`, '
            'or use a code of Quantum ESPRESSO 7.1 or newer.',
        )
        spec.exit_code(400, 'ERROR_WALL_TIME', message='The wall time of the jobs did not suffice: {message}')
        spec.exit_code(
            501,
            'ERROR_NOT_CONVERGED',
            message='Not converged; the last good structures are an output: {message}',
        )

    def setup(self) -> ExitCode | None:
        """Find out what each structure needs."""
        self.ctx.states = {}
        task = 'vc-relax' if self.inputs.cell.value == 'full' else 'relax'
        try:
            settings = check_settings(self.inputs.settings.get_dict())
            for label in self.inputs.structures:
                prepared = self._prepare(settings, label, task)
                structure = self.inputs.structures[label]
                if prepared.hubbard:
                    structure = add_hubbard(
                        structure, Dict(prepared.hubbard), metadata={'call_link_label': f'add_hubbard_{label}'}
                    )
                self.ctx.states[label] = {
                    'structure': structure,
                    'chains': [],
                    'done': False,
                    'card': bool(prepared.hubbard),
                }
        except ValueError as error:
            return refused(self.exit_codes, error)
        return None

    def _prepare(self, settings: Settings, label: str, task: str) -> Prepared:
        from aiida_embarrier.bands.band import kinds_of

        crystal = structure_from_node(self.inputs.structures[label], self.inputs.get('kinds'))
        return prepare(settings, *kinds_of(crystal), crystal.lattice.matrix, self.inputs.charge.value, task)

    def is_unfinished(self) -> bool:
        """Return whether a structure is to be relaxed further."""
        return any(not state['done'] for state in self.ctx.states.values())

    def relax(self) -> Any:
        """Run a chain for each structure that is not done."""
        settings = check_settings(self.inputs.settings.get_dict())
        task = 'vc-relax' if self.inputs.cell.value == 'full' else 'relax'
        awaited = {}
        for label, state in self.ctx.states.items():
            if state['done']:
                continue
            inputs = pw_inputs_of(
                state['structure'],
                self._prepare(settings, label, task),
                settings,
                self.inputs.code,
                job_options(self.inputs),
            )
            name = f'{label}_{len(state["chains"]) + 1}'
            node = self.submit(
                WorkflowFactory('embarrier.quantumespresso.pw'), **inputs, metadata={'call_link_label': f'relax_{name}'}
            )
            state['chains'].append(name)
            awaited[f'chain_{name}'] = node
            self.report(
                f'relaxing {label} ({len(state["structure"].sites)} atoms, {self.inputs.cell.value} cell): {node.pk}'
            )
        return ToContext(**awaited)

    def inspect(self) -> None:
        """See which structures are done."""
        for state in self.ctx.states.values():
            if state['done']:
                continue
            chain = self._chain(state)
            structure = chain.last_output('output_structure')
            if structure is not None:
                state['structure'] = structure
            state['done'] = True
            if chain.node.exit_status == PULAY and structure is not None and len(state['chains']) < MAX_PULAY:
                self.report(
                    f'chain {chain.node.pk}: the cell has changed so that its basis has to follow, relaxing again'
                )
                state['done'] = False

    def _chain(self, state: dict[str, Any], number: int = -1) -> PwChain:
        return PwChain(self.ctx[f'chain_{state["chains"][number]}'])

    def results(self) -> ExitCode | None:
        """Attach structures and results."""
        described, jobs, failed = {}, {}, {}
        for label, state in self.ctx.states.items():
            chain = self._chain(state)
            rows = []
            for index, name in enumerate(state['chains']):
                for number, job in enumerate(self._chain(state, index).jobs, start=1):
                    row = f'{name}_{number}'
                    rows.append({'name': row, 'cores': cores_of(job)})
                    jobs.update(_outputs_of(job, row))
            extra = len(rows) if self.inputs.cell.value == 'full' else 0
            described[label] = {
                'status': chain.status.value,
                'message': chain.message,
                'jobs': rows,
                'extra': extra,
            }
            if chain.status is not Status.CONVERGED:
                failed[label] = chain
            if state['card'] and not knows_card(chain.version):
                return self.exit_codes.ERROR_CARD_IGNORED.format(version=chain.version)
        self.out('structures', self._relaxed())
        self.out('results', collect_relaxations(Dict(described), **jobs, metadata={'call_link_label': 'collect'}))
        return self._verdict(failed)

    def _relaxed(self) -> dict[str, StructureData]:
        return {
            label: place_atoms(
                self.inputs.structures[label],
                state['structure'],
                self.inputs.cell,
                metadata={'call_link_label': f'place_{label}'},
            )
            for label, state in self.ctx.states.items()
        }

    def _verdict(self, failed: dict[str, PwChain]) -> ExitCode | None:
        if not failed:
            return None
        message = '; '.join(f'{label}: {chain.message}' for label, chain in failed.items())
        gravest = min((chain.status for chain in failed.values()), key=GRAVEST_FIRST.index)
        code = {Status.NOT_CONVERGED: 'ERROR_NOT_CONVERGED', Status.INTERRUPTED: 'ERROR_WALL_TIME'}
        return self.exit_codes[code.get(gravest, 'ERROR_UNRECOVERABLE')].format(message=message)


def _outputs_of(job: ProcessNode, name: str) -> dict[str, Any]:
    """Return the outputs of a job of pw.x from which results are collected."""
    labels = {'output_parameters': f'{name}_parameters', 'output_trajectory': f'{name}_trajectory'}
    return {key: job.outputs[label] for label, key in labels.items() if label in job.outputs}
