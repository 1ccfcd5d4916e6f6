"""One band with neb.x, restarted until it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.common import AttributeDict
from aiida.engine import (
    ExitCode,
    ProcessHandlerReport,
    process_handler,
    while_,
)
from aiida.orm import AbstractCode, Dict

from aiida_embarrier.data.band import BandData
from aiida_embarrier.engines.base import why
from aiida_embarrier.engines.chains import HandingOverChain
from aiida_embarrier.engines.quantumespresso.calculation import PATH_FILE, QuantumEspressoNebCalculation
from aiida_embarrier.engines.quantumespresso.collecting import collect_jobs
from aiida_embarrier.engines.quantumespresso.outputs import inner_maximum
from aiida_embarrier.engines.quantumespresso.settings import Settings, check_settings, path_namelist
from aiida_embarrier.engines.quantumespresso.setup import define_shared, job_options, kpoints_node, prepare, refused
from aiida_embarrier.engines.resumption import is_resumed, last_job_before
from aiida_embarrier.jobs.schemas import Status

if TYPE_CHECKING:
    from aiida.engine.processes.workchains.workchain import WorkChainSpec
    from aiida.orm import CalcJobNode, RemoteData

__all__ = ('STATUS_OF_EXIT_CODE', 'QuantumEspressoBandWorkChain')

_CODES = QuantumEspressoNebCalculation.exit_codes

#: How often a band that reached its limit of steps gets as many again.
MAX_EXTENSIONS = 4
#: A band is taken to get nowhere where its largest force has not fallen below this part of what it was.
PROGRESS = 0.8
#: What is tried where self-consistency is not reached, one after the other: entries of the namelist ELECTRONS.
ELECTRONS: tuple[dict[str, Any], ...] = (
    {'mixing_beta': 0.2, 'electron_maxstep': 200},
    {'mixing_beta': 0.1, 'mixing_ndim': 12, 'electron_maxstep': 300},
    {'mixing_beta': 0.1, 'mixing_mode': 'local-TF', 'electron_maxstep': 400},
)
#: What is tried where the diagonalisation fails.
DIAGONALISATIONS = ('david', 'cg', 'paro')

#: How a band ended, by the exit status of its work chain.
STATUS_OF_EXIT_CODE = {
    0: Status.CONVERGED,
    400: Status.INTERRUPTED,
    410: Status.FAILED,
    501: Status.NOT_CONVERGED,
}


class QuantumEspressoBandWorkChain(HandingOverChain):
    """Optimise one band with neb.x.

    Where the highest image is to climb and a threshold for that is set, neb.x first runs without a climbing image down
    to that threshold, and then on from there with it; where an endpoint is the highest image, no image climbs, and it
    goes on to the threshold of the forces as it is. A run that was stopped goes on from its folder, or where that is
    not there from its last band. The last good band is an output in any case.
    """

    _process_class = QuantumEspressoNebCalculation

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define the inputs, the outline, the outputs and the exit codes."""
        super().define(spec)
        spec.input('code', valid_type=AbstractCode, help='The code of neb.x.')
        spec.input('band', valid_type=BandData, help='The starting band.')
        define_shared(spec)
        spec.outline(
            cls.setup,
            cls.take_over,
            while_(cls.should_run_process)(cls.run_process, cls.inspect_process),
            cls.results,
        )
        spec.output('band', valid_type=BandData, required=False, help='The band; the last good one on failure.')
        spec.output('results', valid_type=Dict, required=False, help='How the jobs went, together.')
        spec.exit_code(320, 'ERROR_CARD_IGNORED', message='{message}')
        spec.exit_code(
            400, 'ERROR_WALL_TIME', message='The wall time of a job does not suffice for one iteration: {message}'
        )
        spec.exit_code(
            410,
            'ERROR_ELECTRONS',
            message='Self-consistency was not reached, whatever was tried; the last good band is an output: {message}',
        )
        spec.exit_code(
            501,
            'ERROR_NOT_CONVERGED',
            message='Not converged after {iterations} jobs; the last good band is an output: {message}',
        )

    def setup(self) -> ExitCode | None:
        """Collect the inputs of the first job."""
        super().setup()
        band = self.inputs.band.band
        try:
            settings = check_settings(self.inputs.settings.get_dict())
            charge = self.inputs.charge.value
            prepared = prepare(settings, band.kinds, band.kind_indices, band.lattice_of(0), charge)
        except ValueError as error:
            return refused(self.exit_codes, error)
        self.ctx.climbing = settings.neb.climb and settings.neb.climb_threshold is None
        self.ctx.final = self.ctx.climbing or not settings.neb.climb
        self.ctx.steps = settings.neb.max_steps
        self.ctx.path = {}  # what was changed of the namelist PATH
        self.ctx.n_extensions = self.ctx.n_remedies = 0
        self.ctx.verdict = None
        words = [*settings.command_line_words]
        if settings.nimage is not None:
            words += ['-nimage', str(settings.nimage)]
        inputs = AttributeDict(
            {
                'code': self.inputs.code,
                'band': self.inputs.band,
                'parameters': Dict(prepared.namelists),
                'pseudos': prepared.pseudos,
                'kpoints': kpoints_node(prepared.mesh),
                'metadata': {'options': job_options(self.inputs)},
            }
        )
        if prepared.hubbard:
            inputs.hubbard = Dict(prepared.hubbard)
        self.ctx.inputs = inputs
        self.ctx.words = words
        self._write_path()
        return None

    @property
    def settings(self) -> Settings:
        """The protocol of the engine."""
        return check_settings(self.inputs.settings.get_dict())

    def _write_path(self, folder: RemoteData | None = None) -> None:
        """Fill in what depends on the stage.

        :param folder: of the run to go on from; None to start from the band.
        """
        settings, inputs = self.settings, self.ctx.inputs
        n_images = inputs.band.base.attributes.get('n_images')
        namelist = path_namelist(
            settings, n_images, self.ctx.climbing, self.ctx.steps, folder is not None, final=self.ctx.final
        )
        inputs.path = Dict({**namelist, **self.ctx.path})
        inputs.settings = Dict(
            {
                'functional': settings.resolved_functional.key,
                'charge': self.inputs.charge.value,
                'final': self.ctx.final,
                'spacing_tolerance': settings.neb.spacing_tolerance,
                'command_line': self.ctx.words,
            }
        )
        inputs.pop('parent_folder', None)
        if folder is not None:
            inputs.parent_folder = folder

    def take_over(self) -> None:
        """Go on where an earlier attempt at the same stopped, in a process that `resume` started."""
        self.ctx.resumed = is_resumed(self.node)
        job = last_job_before(self.node) if self.ctx.resumed else None
        if job is None:
            return
        inputs = self.ctx.inputs
        for name in ('band', 'parameters'):
            inputs[name] = job.inputs[name]
        self.ctx.climbing = _climbs(job)
        self.ctx.final = self.ctx.climbing or bool(job.inputs.settings.get('final', self.ctx.final))
        self.ctx.steps = job.inputs.path['nstep_path']
        if job.base.caching.is_valid_cache:
            inputs.path, inputs.settings = job.inputs.path, job.inputs.settings
            if 'parent_folder' in job.inputs:
                inputs.parent_folder = job.inputs.parent_folder
            self.report(f'going on with what job {job.pk} did, which is done')
            return
        self._go_on(job)
        self.report(f'going on with what job {job.pk} did')

    def _go_on(self, job: CalcJobNode) -> None:
        """Let the next job go on from the folder of one, from its last band where the folder is not there any more."""
        folder = job.outputs.remote_folder if 'remote_folder' in job.outputs else None
        if folder is not None and _has_path(folder):
            self._write_path(folder)
            return
        self._start_from_last_band(job)

    def _start_from_last_band(self, job: CalcJobNode) -> None:
        """Let the next job start from the band of one, without its history."""
        if 'band' in job.outputs:
            self.ctx.inputs.band = job.outputs.band
        self._write_path()

    def _exhausted(self) -> ExitCode:
        return self._not_converged(self.ctx.children[-1])

    def _not_converged(self, job: CalcJobNode) -> ExitCode:
        message = why(job) if job.exit_status else f'job {job.pk} was to go on from there'
        code: ExitCode = self.exit_codes.ERROR_NOT_CONVERGED.format(iterations=self.ctx.iteration, message=message)
        return code

    def _attach(self) -> None:
        bands = [job.outputs.band for job in self.ctx.children if 'band' in job.outputs]
        if bands:
            self.out('band', bands[-1])
        reports = [job.outputs.results for job in self.ctx.children if 'results' in job.outputs]
        if reports:
            numbered = {f'job_{number}': report for number, report in enumerate(reports, start=1)}
            self.out('results', collect_jobs(**numbered, metadata={'call_link_label': 'collect'}))

    def _advanced(self, job: CalcJobNode) -> bool:
        """Return whether a job completed an iteration."""
        return 'results' in job.outputs and job.outputs.results['n_steps'] > 0

    @process_handler(priority=600, exit_codes=ExitCode(0))
    def let_it_climb(self, job: CalcJobNode) -> ProcessHandlerReport | None:
        """Go on with a climbing image where the band has come near enough without one, unless an endpoint is highest.

        A band whose highest image is an endpoint goes on without; where it has another highest image then, that climbs.
        """
        if _climbs(job) or not self.settings.neb.climb:
            return None
        inside = inner_maximum(job.outputs.band.band.energies) is not None
        if job.outputs.results['final'] and not inside:
            return None
        self.ctx.climbing, self.ctx.final = inside, True
        self.ctx.path = {}
        # the limit counts the iterations of all runs that go on from each other
        self.ctx.steps = job.inputs.path['nstep_path'] + self.settings.neb.max_steps
        self._go_on(job)
        residual = job.outputs.results['residual_force']
        what = 'now its highest image climbs' if inside else 'an endpoint is its highest image, so that none climbs'
        self.report(f'job {job.pk} brought the band down to {residual:.2f} eV/Å: {what}')
        return ProcessHandlerReport(do_break=True)

    @process_handler(priority=550, exit_codes=[_CODES.ERROR_WALL_TIME, _CODES.ERROR_INTERRUPTED])
    def handle_interruption(self, job: CalcJobNode) -> ProcessHandlerReport:
        """Go on from where a job was stopped, unless two of them in a row did not come through one iteration."""
        before = self.ctx.children[-2] if len(self.ctx.children) > 1 else None
        if before is not None and not self._advanced(job) and not self._advanced(before):
            return self._give_up(self.exit_codes.ERROR_WALL_TIME.format(message=why(job)))
        clean = job.exit_status == _CODES.ERROR_WALL_TIME.status
        if clean or self._advanced(job):
            self._go_on(job)
        else:  # what a run that was killed early left may be damaged
            self._start_from_last_band(job)
        self.report(f'job {job.pk} was stopped before it was done: going on')
        return ProcessHandlerReport(do_break=True)

    @process_handler(priority=540, exit_codes=[_CODES.ERROR_NOT_CONVERGED])
    def handle_steps(self, job: CalcJobNode) -> ProcessHandlerReport:
        """Allow as many steps again where the forces fall; start afresh with another optimiser where they do not."""
        self.ctx.n_extensions += 1
        if self.ctx.n_extensions > MAX_EXTENSIONS:
            return self._give_up(self._not_converged(job))
        forces = job.outputs.results['residual_forces']
        scheme = job.inputs.path['opt_scheme']
        if len(forces) > 1 and min(forces[len(forces) // 2 :]) > PROGRESS * forces[0] and scheme != 'quick-min':
            self.ctx.path['opt_scheme'] = 'quick-min'
            self.ctx.steps = self.settings.neb.max_steps
            self._start_from_last_band(job)
            self.report(f'job {job.pk}: the forces do not fall, starting from its last band with quick-min')
        else:
            self.ctx.steps = job.inputs.path['nstep_path'] + self.settings.neb.max_steps
            self._go_on(job)
            self.report(f'job {job.pk} reached the limit of steps, it gets as many again')
        return ProcessHandlerReport(do_break=True)

    @process_handler(priority=530, exit_codes=[_CODES.ERROR_RESIDUAL_FORCE])
    def handle_residual_force(self, job: CalcJobNode) -> ProcessHandlerReport:
        """Tighten the threshold of neb.x, which is one of components and includes springs."""
        return self._tighten(job, 'not the threshold of the forces')

    @process_handler(priority=525, exit_codes=[_CODES.ERROR_SPACING])
    def handle_spacing(self, job: CalcJobNode) -> ProcessHandlerReport:
        """Tighten the threshold of neb.x, whose springs are a part of it; give up where they are not all the same."""
        path = job.inputs.path
        if path['k_min'] != path['k_max']:
            code: ExitCode = self.exit_codes.ERROR_NOT_CONVERGED.format(
                iterations=self.ctx.iteration,
                message=f'{why(job)} Its springs have different constants, from k_min, {path["k_min"]:g}, to k_max, '
                f'{path["k_max"]:g}: set both to the same, or raise neb.spacing_tolerance',
            )
            return self._give_up(code)
        return self._tighten(job, 'its images are unevenly spaced')

    def _tighten(self, job: CalcJobNode, but: str) -> ProcessHandlerReport:
        """Go on with a smaller path_thr.

        :param but: what is not yet as it is meant to be.
        """
        self.ctx.n_extensions += 1
        if self.ctx.n_extensions > MAX_EXTENSIONS:
            return self._give_up(self._not_converged(job))
        threshold = job.inputs.path['path_thr']
        self.ctx.path['path_thr'] = threshold * 0.7
        self.ctx.steps = job.inputs.path['nstep_path'] + self.settings.neb.max_steps
        self._go_on(job)
        self.report(f'job {job.pk} kept its path_thr of {threshold:.3f}, but {but}: tightened')
        return ProcessHandlerReport(do_break=True)

    @process_handler(priority=520, exit_codes=[_CODES.ERROR_ELECTRONS])
    def handle_electrons(self, job: CalcJobNode) -> ProcessHandlerReport:
        """Mix more carefully, in several steps."""
        if self.ctx.n_remedies >= len(ELECTRONS):
            return self._give_up(self.exit_codes.ERROR_ELECTRONS.format(message=why(job)))
        remedy = ELECTRONS[self.ctx.n_remedies]
        self.ctx.n_remedies += 1
        self._change_electrons(job, remedy)
        return ProcessHandlerReport(do_break=True)

    @process_handler(priority=510, exit_codes=[_CODES.ERROR_DIAGONALISATION])
    def handle_diagonalisation(self, job: CalcJobNode) -> ProcessHandlerReport:
        """Diagonalise by another algorithm."""
        used = {
            child.inputs.parameters.get_dict()['ELECTRONS'].get('diagonalization', 'david')
            for child in self.ctx.children
        }
        left = [name for name in DIAGONALISATIONS if name not in used]
        if not left:
            return self._give_up(self.exit_codes.ERROR_ELECTRONS.format(message=why(job)))
        self._change_electrons(job, {'diagonalization': left[0]})
        return ProcessHandlerReport(do_break=True)

    def _change_electrons(self, job: CalcJobNode, entries: dict[str, Any]) -> None:
        namelists = self.ctx.inputs.parameters.get_dict()
        given = self.settings.namelists.get('ELECTRONS', {})
        beta = min(entries.get('mixing_beta', 1.0), namelists['ELECTRONS']['mixing_beta'])
        namelists['ELECTRONS'] |= entries | {'mixing_beta': beta}
        namelists['ELECTRONS'] |= {key: value for key, value in given.items() if key not in entries}
        self.ctx.inputs.parameters = Dict(namelists)
        # the density that did not converge is no good start
        self._start_from_last_band(job)
        changed = ', '.join(f'{key} = {value}' for key, value in entries.items())
        self.report(f'job {job.pk}: {job.exit_message} Starting from the last good band with {changed}')

    @process_handler(priority=300, exit_codes=[_CODES.ERROR_CARD_IGNORED])
    def handle_ignored_card(self, job: CalcJobNode) -> ProcessHandlerReport:
        """Give up where U was asked for and not computed."""
        return self._give_up(self.exit_codes.ERROR_CARD_IGNORED.format(message=job.exit_message))

    @process_handler(priority=200, exit_codes=[_CODES.ERROR_NO_OUTPUT, _CODES.ERROR_PROGRAM])
    def handle_machine(self, job: CalcJobNode) -> ProcessHandlerReport:
        """Try a job that failed for another reason once more; what fails twice in a row is not handled."""
        before = self.ctx.children[-2] if len(self.ctx.children) > 1 else None
        if before is not None and before.exit_status == job.exit_status:
            return self._give_up(self.exit_codes.ERROR_UNRECOVERABLE.format(message=why(job)))
        self._start_from_last_band(job)
        self.report(f'job {job.pk} failed: {why(job)} Trying once more')
        return ProcessHandlerReport(do_break=True)


def _climbs(job: CalcJobNode) -> bool:
    """Return whether a job lets the highest image climb."""
    return str(job.inputs.path['ci_scheme']).lower() == 'auto'


def _has_path(folder: RemoteData) -> bool:
    """Return whether neb.x can go on from a folder."""
    try:
        return not folder.is_empty and PATH_FILE in folder.listdir()
    except OSError:  # the folder or the machine is gone
        return False
