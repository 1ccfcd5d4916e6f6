"""What the restart work chains of one structure and of one band share."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from aiida.common import AttributeDict
from aiida.engine import ProcessHandlerReport, process_handler
from aiida.orm import AbstractCode, Dict, Float, KpointsData, SinglefileData

from aiida_embarrier.engines.base import why
from aiida_embarrier.engines.chains import JobChain, check_options
from aiida_embarrier.engines.functionals import load_functionals
from aiida_embarrier.engines.resumption import is_resumed, last_job_before
from aiida_embarrier.engines.vasp import FUNCTIONALS
from aiida_embarrier.engines.vasp.calculation import VaspStructureCalculation, layout_of
from aiida_embarrier.engines.vasp.incar import kpoint_mesh, make_incar
from aiida_embarrier.engines.vasp.potcars import check_exchange, cutoff_warning, find_potcars, n_valence
from aiida_embarrier.engines.vasp.remedies import ELECTRONIC, SYMMETRY, electronic_ladder
from aiida_embarrier.engines.vasp.results import conclude
from aiida_embarrier.jobs.schemas import Status

if TYPE_CHECKING:
    import numpy as np
    from aiida.engine import ExitCode
    from aiida.engine.processes.workchains.workchain import WorkChainSpec
    from aiida.orm import CalcJobNode

    from aiida_embarrier.bands.band import Kind
    from aiida_embarrier.engines.functionals import Functional
    from aiida_embarrier.engines.vasp.incar import Task
    from aiida_embarrier.engines.vasp.layout import Layout

__all__ = ('VaspRestartWorkChain', 'define_shared_inputs', 'validate_options')

CODES = VaspStructureCalculation.exit_codes

#: Exit status of a job that a monitor stopped.
STOPPED_BY_MONITOR = 150

#: How often a structure or band that reached its step limit gets as many steps again.
MAX_EXTENSIONS = 4


def validate_options(node: Dict | None, _: Any) -> str | None:
    """Check the options of jobs against those that AiiDA knows."""
    return check_options(node, VaspStructureCalculation)


def define_shared_inputs(spec: WorkChainSpec) -> None:
    """Define the inputs that all work chains of this engine have."""
    spec.input('code', valid_type=AbstractCode, help='The code of VASP.')
    spec.input('protocol', valid_type=Dict, help='The resolved protocol of the engine.')
    spec.input(
        'charge', valid_type=Float, default=lambda: Float(0.0), help='Charge of the cell in units of e; not on hosts.'
    )
    spec.input(
        'options',
        valid_type=Dict,
        required=False,
        validator=validate_options,
        help='Options of the jobs: `resources`, `max_wallclock_seconds`, `queue_name`, ...',
    )
    spec.input('vdw_kernel', valid_type=SinglefileData, required=False, help='vdw_kernel.bindat, for rVV10.')


class VaspRestartWorkChain(JobChain):
    """Run jobs of VASP until one is done or nothing is left to try; the last good result is always an output."""

    #: Name of what is computed, as input and output: `structure` or `band`.
    _subject: ClassVar[str]

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define the inputs and the exit codes."""
        super().define(spec)
        define_shared_inputs(spec)
        spec.output('results', valid_type=Dict, required=False, help='Status, energies, steps and cost.')
        spec.exit_code(201, 'ERROR_INVALID_INPUT', message='{message}')
        spec.exit_code(310, 'ERROR_UNRECOVERABLE', message='VASP failed in a way that is not mended here: {message}')
        spec.exit_code(
            410,
            'ERROR_ELECTRONIC_NOT_CONVERGED',
            message='The electrons do not converge, whatever was tried. The last good result is an output: {message}',
        )
        spec.exit_code(
            420,
            'ERROR_WALL_TIME',
            message='Two jobs in a row ended before their second ionic step, so that nothing moved: give them more '
            'wall time (max_wallclock_seconds) or more cores, or look in the last one for a crash. The last good '
            'result is an output: {message}',
        )
        spec.exit_code(
            501,
            'ERROR_NOT_CONVERGED',
            message='Not converged after {iterations} jobs. The last good result is an output: {message}',
        )
        spec.exit_code(
            502,
            'ERROR_DIVERGED',
            message='The optimisation diverged again with shorter steps. The last good result is an output: {message}',
        )

    # ---------------------------------------------------------------- what subclasses say

    @abstractmethod
    def _kinds(self) -> tuple[tuple[Kind, ...], Any]:
        """Return the kinds of atoms, and the index of the kind of each atom."""

    @abstractmethod
    def _lattice(self) -> np.ndarray:
        """Return the lattice vectors as rows in Å."""

    @abstractmethod
    def _task(self) -> Task:
        """Return what the next job does."""

    @abstractmethod
    def _criteria(self) -> dict[str, Any]:
        """Return what its parser needs to judge convergence."""

    @abstractmethod
    def _shorter_steps(self) -> dict[str, Any]:
        """Return tags that halve the steps of the optimiser."""

    # ---------------------------------------------------------------- setup

    def setup(self) -> ExitCode | None:
        """Collect the inputs of the first job; what is wrong with them ends the chain before anything runs."""
        super().setup()
        self.ctx.protocol = self.inputs.protocol.get_dict()
        self.ctx.changed_tags = {}
        self.ctx.electronic_tags = {}
        self.ctx.n_electronic = 0
        self.ctx.n_stalls = 0
        self.ctx.n_extensions = 0
        self.ctx.n_divergences = 0
        self.ctx.verdict = None
        self.ctx.status = str(Status.FAILED)
        self.ctx.message = ''
        self.ctx.resumed = is_resumed(self.node)
        inputs = AttributeDict({'code': self.inputs.code, 'protocol': self.inputs.protocol})
        if 'vdw_kernel' in self.inputs:
            inputs.vdw_kernel = self.inputs.vdw_kernel
        limit = self.ctx.protocol['max_energy_change']
        inputs.monitors = {'energy': Dict({'entry_point': 'embarrier.vasp', 'kwargs': {'max_energy_change': limit}})}
        options = self.inputs.options.get_dict() if 'options' in self.inputs else {}
        if self.inputs.code.with_mpi is None:
            options.setdefault('withmpi', True)
        options.setdefault('resources', {'num_machines': 1})
        inputs.metadata = {'options': options}
        self.ctx.inputs = inputs
        inputs[self._subject] = self.inputs[self._subject]
        try:
            layout = self._layout()
            potcars = find_potcars(
                self.ctx.protocol['paw']['family'], self.ctx.protocol['paw']['mapping'], layout.elements
            )
            check_exchange(self._functional(), potcars)
            self.ctx.n_valence = n_valence(layout, potcars)
            inputs.potential = {group.name: potcars[group.element] for group in layout.groups}
            self._renew_parameters()
            warning = cutoff_warning(self.ctx.protocol['encut'], potcars)
        except ValueError as error:
            return self._refuse(str(error))
        if warning is not None:
            self.report(f'warning: {warning}')
        kpoints = KpointsData()
        kpoints.set_kpoints_mesh(kpoint_mesh(self._lattice(), self.ctx.protocol))
        inputs.kpoints = kpoints
        return None

    def _refuse(self, message: str) -> ExitCode:
        """End the chain before it ran anything, and say why in its results too."""
        self.ctx.message = message
        self._conclude()
        return self.exit_codes.ERROR_INVALID_INPUT.format(message=message)

    def _layout(self) -> Layout:
        return layout_of(*self._kinds(), self.ctx.protocol)

    def _functional(self) -> Functional:
        return load_functionals(FUNCTIONALS).resolve(self.ctx.protocol['functional'], self.ctx.protocol['hubbard_u'])

    def _incar(self) -> dict[str, Any]:
        """Return the INCAR of the next job."""
        tags = make_incar(
            self._layout(),
            self.ctx.protocol,
            self._functional(),
            self._task(),
            charge=self.inputs.charge.value,
            n_valence=self.ctx.n_valence,
        )
        return {**tags, **self.ctx.electronic_tags, **self.ctx.changed_tags}

    def _renew_parameters(self) -> None:
        """Write the INCAR of the next job anew, and what its parser judges by."""
        tags = self._incar()
        self.ctx.inputs.parameters = Dict({name.lower(): value for name, value in tags.items()})
        self.ctx.inputs.criteria = Dict(
            {
                'functional': self._functional().key,
                'charge': self.inputs.charge.value,
                **self._criteria(),
            }
        )

    # ---------------------------------------------------------------- going on after an interruption

    def take_over(self) -> None:
        """Go on where an earlier attempt at the same stopped, in a process that `resume` started."""
        job = last_job_before(self.node) if self.ctx.resumed else None
        if job is None:
            return
        inputs = self.ctx.inputs
        if job.base.caching.is_valid_cache:  # it is done, and will be taken from the database
            self._adopt(job)
            for name in (self._subject, 'parameters', 'criteria', 'restart_folder'):
                if name in job.inputs:
                    inputs[name] = job.inputs[name]
            self.report(f'going on with what job {job.pk} did')
            return
        left = self._left_by(job)
        if left is None:
            return
        self._adopt(job)
        inputs[self._subject] = left
        if self.ctx.protocol['wavefunctions'] and 'remote_folder' in job.outputs:
            inputs.restart_folder = job.outputs.remote_folder
        self._renew_parameters()
        self.report(f'going on from the last step of job {job.pk}')

    def _adopt(self, job: CalcJobNode) -> None:
        """Take over how far an earlier attempt had come by the inputs of its last job."""

    def _left_by(self, job: CalcJobNode) -> Any:
        """Return the last good result of a job that was not done, None where it has none."""
        if self._subject in job.outputs:
            return job.outputs[self._subject]
        if 'remote_folder' not in job.outputs:
            return None
        try:
            return self._fetch(job)
        except (OSError, ValueError) as error:
            self.report(f'nothing to go on from is left of job {job.pk}: {error}')
            return None

    @abstractmethod
    def _fetch(self, job: CalcJobNode) -> Any:
        """Return the last good result in the folder of a job that was killed before its files were retrieved."""

    # ---------------------------------------------------------------- running

    def inspect_process(self) -> ExitCode | None:
        """Handle the outcome of a job; attach what there is when the chain ends in failure."""
        exit_code = super().inspect_process()
        if exit_code is None:
            self.ctx.status, self.ctx.message = str(Status.CONVERGED), self._last_message()
            return None
        if exit_code.status == 0:
            return exit_code
        if exit_code == self.exit_codes.ERROR_MAXIMUM_ITERATIONS_EXCEEDED:
            # where this was the last job allowed, AiiDA does not look at what the handler found
            if self.ctx.verdict is None:
                self.ctx.status = str(Status.NOT_CONVERGED)
            exit_code = self.ctx.verdict or self.exit_codes.ERROR_NOT_CONVERGED.format(
                iterations=self.ctx.iteration, message=self._last_message()
            )
        self.ctx.message = exit_code.message
        self._attach()
        return exit_code

    def results(self) -> None:
        """Attach the last good result, and what all jobs took together."""
        self._attach()

    def _last_message(self) -> str:
        """Return why the last job ended as it did, in its own words where it has some."""
        node = self.ctx.children[-1]
        told = node.outputs.results.get_dict().get('message') if 'results' in node.outputs else None
        return ': '.join(filter(None, (None if node.is_finished_ok else why(node).rstrip('.'), told)))

    def _attach(self) -> None:
        """Attach the last good result and the results of all jobs together."""
        self.out(self._subject, self._last_good())
        self._conclude()

    def _conclude(self) -> None:
        """Attach how the chain ended and what its jobs took."""
        reports = {
            f'job_{number}': node.outputs.results for number, node in enumerate(self._jobs_with_results(), start=1)
        }
        verdict = Dict({'status': self.ctx.status, 'message': self.ctx.message})
        self.out('results', conclude(verdict=verdict, **reports, **self._further_reports()))

    def _jobs_with_results(self) -> list[CalcJobNode]:
        return [node for node in self.ctx.get('children', []) if 'results' in node.outputs]

    def _further_reports(self) -> dict[str, Dict]:
        """Return results of further calculations that count as cost."""
        return {}

    def _last_good(self) -> Any:
        """Return the last good result, what the chain was given where there is none."""
        for node in reversed(self.ctx.get('children', [])):
            if self._subject in node.outputs:
                return node.outputs[self._subject]
        return self.ctx.inputs[self._subject]

    # ---------------------------------------------------------------- handlers

    def _give_up(self, name: str, status: Status = Status.FAILED) -> ProcessHandlerReport:
        """End the chain with one of its exit codes."""
        self.ctx.status = str(status)
        code = self.exit_codes[name].format(iterations=self.ctx.iteration, message=self._last_message())
        self.ctx.verdict = code
        return ProcessHandlerReport(do_break=True, exit_code=code)

    def _again(self, node: CalcJobNode, words: str, *, wavefunctions: bool = True) -> ProcessHandlerReport:
        """Run another job from the last good result of this one.

        :param words: what it does differently.
        :param wavefunctions: whether it starts from those of this job.
        """
        if self._subject in node.outputs:
            self.ctx.inputs[self._subject] = node.outputs[self._subject]
        self.ctx.inputs.pop('restart_folder', None)
        if wavefunctions and self.ctx.protocol['wavefunctions'] and 'remote_folder' in node.outputs:
            self.ctx.inputs.restart_folder = node.outputs.remote_folder
        self._renew_parameters()
        self.report(f'job {node.pk}: {self._last_message() or "done"}; {words}')
        return ProcessHandlerReport(do_break=True)

    @process_handler(
        priority=600,
        exit_codes=[
            CODES.ERROR_VASP_DID_NOT_EXECUTE,
            CODES.ERROR_NO_RETRIEVED_FOLDER,
            CODES.ERROR_NO_RETRIEVED_TEMPORARY_FOLDER,
            CODES.ERROR_CRITICAL_MISSING_OBJECT,
            CODES.ERROR_SCHEDULER_NODE_FAILURE,
        ],
    )
    def handle_machine(self, node: CalcJobNode) -> ProcessHandlerReport:
        """Try a job that failed for a reason of the machine once more; what fails twice in a row is for a person."""
        previous = self.ctx.children[-2] if len(self.ctx.children) > 1 else None
        if previous is not None and previous.exit_status == node.exit_status:
            return self._give_up('ERROR_UNRECOVERABLE')
        return self._again(node, 'trying once more')

    @process_handler(priority=590, exit_codes=[CODES.ERROR_SCHEDULER_OUT_OF_MEMORY])
    def handle_memory(self, node: CalcJobNode) -> ProcessHandlerReport:  # noqa: ARG002
        """Give up: the same job would need as much memory again."""
        return self._give_up('ERROR_UNRECOVERABLE')

    @process_handler(priority=500, exit_codes=[CODES.ERROR_DID_NOT_FINISH, CODES.ERROR_SCHEDULER_OUT_OF_WALLTIME])
    def handle_unfinished(self, node: CalcJobNode) -> ProcessHandlerReport:
        """Go on from where a job was stopped, by the wall time or by the failure of one image."""
        results = node.outputs.results.get_dict() if 'results' in node.outputs else {}
        # with a completed first step only, the next job begins where this one did
        self.ctx.n_stalls = 0 if results.get('n_steps', 0) > 1 else self.ctx.n_stalls + 1
        if self.ctx.n_stalls > 1:
            return self._give_up('ERROR_WALL_TIME', Status.INTERRUPTED)
        images = results.get('unfinished_images', [])
        which = ''
        if images and len(images) < len(results['steps_of_images']):
            which = f' (image {", ".join(map(str, images))} stopped before the others)'
        return self._again(node, f'going on from its last step{which}')

    @process_handler(priority=480, exit_codes=[CODES.ERROR_ELECTRONIC_NOT_CONVERGED])
    def handle_electronic(self, node: CalcJobNode) -> ProcessHandlerReport:
        """Climb the ladder of remedies for electrons that did not converge, which differs for meta-GGAs."""
        results = node.outputs.results.get_dict()
        images = results.get('unconverged_images', [])
        where = f' in image {", ".join(map(str, images))}' if images else ''
        return self._next_rung(node, where)

    def _next_rung(self, node: CalcJobNode, where: str = '') -> ProcessHandlerReport:
        ladder = electronic_ladder(self._incar())
        if self.ctx.n_electronic >= len(ladder):
            return self._give_up('ERROR_ELECTRONIC_NOT_CONVERGED')
        remedy = ladder[self.ctx.n_electronic]
        self.ctx.n_electronic += 1
        self.ctx.electronic_tags = {**remedy.tags, 'NELM': remedy.steps * self.ctx.protocol['nelm']}
        # densities that sloshed are no start
        return self._again(node, f'trying{where} with {remedy.words}', wavefunctions=False)

    @process_handler(priority=450)
    def handle_monitor(self, node: CalcJobNode) -> ProcessHandlerReport | None:
        """Take shorter steps where a monitor saw a job diverge."""
        return self._shorten(node) if node.exit_status == STOPPED_BY_MONITOR else None

    @process_handler(priority=440, exit_codes=[CODES.ERROR_VASP_CRITICAL_ERROR])
    def handle_critical(self, node: CalcJobNode) -> ProcessHandlerReport:
        """Mend what VASP complained of, where there is a remedy."""
        results = node.outputs.results.get_dict()
        complaints = set(results.get('notifications', []))
        if results.get('broken_images') or 'are no numbers' in (node.exit_message or ''):
            return self._shorten(node)
        if complaints & ELECTRONIC:
            return self._next_rung(node)
        if complaints & SYMMETRY and self.ctx.changed_tags.get('ISYM') != 0:
            self.ctx.changed_tags = {**self.ctx.changed_tags, 'ISYM': 0, 'SYMPREC': 1e-8}
            return self._again(node, 'trying without symmetry', wavefunctions=False)
        if 'zbrent' in complaints and self._incar().get('IBRION') == 2:
            self.ctx.changed_tags = {**self.ctx.changed_tags, 'IBRION': 1, 'POTIM': 0.3}
            return self._again(node, 'relaxing by quasi-Newton steps (IBRION = 1)')
        return self._give_up('ERROR_UNRECOVERABLE')

    def _shorten(self, node: CalcJobNode) -> ProcessHandlerReport:
        """Start again from the last good result with shorter steps, once."""
        self.ctx.n_divergences += 1
        if self.ctx.n_divergences > 1:
            return self._give_up('ERROR_DIVERGED', Status.DIVERGED)
        self.ctx.changed_tags = {**self.ctx.changed_tags, **self._shorter_steps()}
        return self._again(node, 'starting from the last good step with shorter ones', wavefunctions=False)

    def _may_extend(self) -> bool:
        """Count another job for what reached its step limit, and return whether it is allowed."""
        self.ctx.n_extensions += 1
        return bool(self.ctx.n_extensions <= MAX_EXTENSIONS)
