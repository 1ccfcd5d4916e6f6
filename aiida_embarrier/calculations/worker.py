"""CalcJobs of `embarrier-worker`: they write its job file. The parsers read its results."""

from __future__ import annotations

import json
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from aiida.common.datastructures import CalcInfo, CodeInfo
from aiida.engine import CalcJob
from aiida.orm import Dict, List, SinglefileData, StructureData
from pydantic import ValidationError

from aiida_embarrier.data.band import BandData
from aiida_embarrier.jobs.messages import describe
from aiida_embarrier.jobs.potentials import PotentialSpec
from aiida_embarrier.jobs.schemas import (
    CHECKPOINT_FILE,
    JOB_FILE,
    NUMERICS_VERSION,
    PROGRESS_FILE,
    RESULT_FILE,
    Job,
    JobResult,
    NebTask,
    RelaxTask,
    Status,
)

if TYPE_CHECKING:
    from aiida.common.folders import Folder
    from aiida.engine import CalcJobProcessSpec
    from pydantic import BaseModel

__all__ = (
    'EXIT_CODE_OF_STATUS',
    'PotentialNebCalculation',
    'PotentialRelaxCalculation',
    'WorkerCalculation',
    'call_worker',
)

RESTART_FILE = 'restart.npz'

#: SIGTERM of a scheduler reaches the shell of a job, too. It has to wait for the worker to write its checkpoint: if it
#: died, Slurm would take the job for ended, and files would be retrieved, or the worker killed, before that is done.
KEEP_SHELL = 'trap : TERM'

#: Settings of a job that do not change its physics.
SETTINGS = ('device', 'processes')

#: Settings are checked before there is a job: any potential and any structure stand in.
_ANY_POTENTIAL = {'name': 'chgnet', 'model': '0.3.0'}
_ANY_STRUCTURE = {'lattice': [[1, 0, 0], [0, 1, 0], [0, 0, 1]], 'elements': ['H'], 'positions': [[0, 0, 0]]}

EXIT_CODE_OF_STATUS = {
    Status.FAILED: 'ERROR_POTENTIAL',
    Status.INTERRUPTED: 'ERROR_WALL_TIME',
    Status.DIVERGED: 'ERROR_DIVERGED',
    Status.COLLAPSED: 'ERROR_IMAGES_COLLAPSED',
    Status.NOT_CONVERGED: 'ERROR_NOT_CONVERGED',
}


def validate_potential(node: Dict | None, _: Any) -> str | None:
    """Check that a potential is one the worker knows."""
    if node is None:
        return None
    try:
        PotentialSpec.model_validate(node.get_dict())
    except ValidationError as error:
        return describe(error)
    return None


def validate_settings(node: Dict | None, _: Any) -> str | None:
    """Check the settings of a job."""
    if node is None:
        return None
    unknown = set(node.get_dict()) - set(SETTINGS)
    if unknown:
        return f'unknown settings {sorted(unknown)}: choose from {", ".join(SETTINGS)}'
    try:
        Job.model_validate({'potential': _ANY_POTENTIAL, 'tasks': [NebTask(label='x')], **node.get_dict()})
    except ValidationError as error:
        return describe(error)
    return None


def task_validator(task: type[RelaxTask | NebTask], **required: Any) -> Any:
    """Return a validator of the parameters of a task."""

    def validate(node: Dict | None, _: Any) -> str | None:
        if node is None:
            return None
        try:
            task.model_validate({'label': 'x', **required, **node.get_dict()})
        except ValidationError as error:
            return describe(error)
        return None

    return validate


validate_relax_parameters = task_validator(RelaxTask, structure=_ANY_STRUCTURE)
validate_neb_parameters = task_validator(NebTask)


def call_worker(code_uuid: str, *kept: str) -> CalcInfo:
    """Return how the worker is called in the folder of its job, and which of its files are kept.

    :param kept: names of result files beside those that every job has.
    """
    code = CodeInfo()
    code.code_uuid = code_uuid
    code.cmdline_params = ['run', JOB_FILE]
    code.stdout_name = 'worker.out'
    code.stderr_name = 'worker.err'
    calc = CalcInfo()
    calc.codes_info = [code]
    calc.prepend_text = KEEP_SHELL
    calc.retrieve_list = [RESULT_FILE, PROGRESS_FILE, 'worker.out', 'worker.err', *kept]
    return calc


class WorkerCalculation(CalcJob):
    """What the jobs of the worker share: potential, settings, checkpoint and exit codes."""

    # The worker's numbers change when NUMERICS_VERSION does, and cached results must not outlive that.
    CACHE_VERSION = NUMERICS_VERSION

    _parser: ClassVar[str | None] = None

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define the inputs, outputs and exit codes."""
        super().define(spec)
        spec.input(
            'potential',
            valid_type=Dict,
            validator=validate_potential,
            help='The interatomic potential, pinned: see `aiida_embarrier.jobs.potentials.PotentialSpec`.',
        )
        spec.input(
            'settings',
            valid_type=Dict,
            required=False,
            validator=validate_settings,
            help=f'How the job runs on its machine: {", ".join(SETTINGS)}.',
        )
        spec.input(
            'checkpoint', valid_type=SinglefileData, required=False, help='Checkpoint of an earlier job to continue.'
        )
        spec.input(
            'afresh',
            valid_type=List,
            required=False,
            help='Labels of tasks that start afresh, whatever the checkpoint says of them.',
        )
        options = spec.inputs['metadata']['options']
        options['resources'].default = lambda: {'num_machines': 1, 'num_mpiprocs_per_machine': 1}
        options['withmpi'].default = False
        options['parser_name'].default = cls._parser

        spec.output('results', valid_type=Dict, help='Status, steps, evaluations and energies of each task, versions.')
        spec.output(
            'checkpoint',
            valid_type=SinglefileData,
            required=False,
            help='Where the job stopped, if it did not converge: input of the job that continues it.',
        )
        spec.exit_code(201, 'ERROR_INVALID_INPUT', message='The worker refused the job: {message}')
        spec.exit_code(
            202, 'ERROR_WEIGHTS', message='The potential is missing or altered: {message}', invalidates_cache=True
        )
        spec.exit_code(
            301,
            'ERROR_NO_RESULTS',
            message='The job left no results and no checkpoint. Look at its standard error: {message}',
            invalidates_cache=True,
        )
        spec.exit_code(
            302, 'ERROR_RESULTS_UNREADABLE', message='The results cannot be read: {message}', invalidates_cache=True
        )
        spec.exit_code(303, 'ERROR_WORKER', message='The worker failed: {message}', invalidates_cache=True)
        spec.exit_code(310, 'ERROR_POTENTIAL', message='The potential gave no usable energies: {message}')
        spec.exit_code(
            401,
            'ERROR_WALL_TIME',
            message='The job was stopped before it converged; its checkpoint continues it: {message}',
            invalidates_cache=True,
        )
        spec.exit_code(501, 'ERROR_NOT_CONVERGED', message='Not converged within the step limit: {message}')
        spec.exit_code(502, 'ERROR_DIVERGED', message='The optimisation diverged: {message}')
        spec.exit_code(503, 'ERROR_IMAGES_COLLAPSED', message='Images of the band fell onto each other: {message}')

    @abstractmethod
    def _tasks(self, folder: Folder) -> list[BaseModel]:
        """Return the tasks of the job, with their files written into its folder."""

    def _temporary_files(self) -> list[str]:
        """Return names of result files that the parser needs and that need not be kept."""
        return [CHECKPOINT_FILE]

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write the job file."""
        settings = self.inputs.settings.get_dict() if 'settings' in self.inputs else {}
        copies = []
        if 'checkpoint' in self.inputs:
            checkpoint = self.inputs.checkpoint
            copies.append((checkpoint.uuid, checkpoint.filename, RESTART_FILE))
        job = Job(
            potential=PotentialSpec.model_validate(self.inputs.potential.get_dict()),
            tasks=self._tasks(folder),
            max_seconds=self.inputs.metadata.options.get('max_wallclock_seconds'),
            restart=RESTART_FILE if copies else None,
            afresh=self.inputs.afresh.get_list() if 'afresh' in self.inputs else [],
            **settings,
        )
        with folder.open(JOB_FILE, 'w', encoding='utf8') as handle:
            handle.write(job.model_dump_json(indent=1))
        calc = call_worker(self.inputs.code.uuid)
        calc.local_copy_list = copies
        calc.retrieve_temporary_list = self._temporary_files()
        return calc


class PotentialRelaxCalculation(WorkerCalculation):
    """Relaxations of one or more structures with an interatomic potential, side by side in one job."""

    _parser = 'embarrier.potential.relax'

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define the inputs and outputs."""
        super().define(spec)
        spec.input_namespace(
            'structures', valid_type=StructureData, dynamic=True, help='The structures by their labels.'
        )
        spec.inputs['structures'].validator = validate_structures
        spec.input('kinds', valid_type=Dict, required=False, help='Properties of the kinds, by name of the kind.')
        spec.input(
            'parameters',
            valid_type=Dict,
            required=False,
            validator=validate_relax_parameters,
            help='Entries of `aiida_embarrier.jobs.schemas.RelaxTask`, the same for all structures.',
        )
        spec.output_namespace(
            'structures', valid_type=StructureData, dynamic=True, required=False, help='The relaxed structures.'
        )

    def _tasks(self, folder: Folder) -> list[BaseModel]:  # noqa: ARG002  (no files beside the job file)
        from aiida_embarrier.data.convert import geometry_from_node

        parameters = self.inputs.parameters.get_dict() if 'parameters' in self.inputs else {}
        return [
            RelaxTask(label=label, structure=geometry_from_node(node, self.inputs.get('kinds')), **parameters)
            for label, node in sorted(self.inputs.structures.items())
        ]


class PotentialNebCalculation(WorkerCalculation):
    """Nudged elastic bands with an interatomic potential, side by side in one job."""

    _parser = 'embarrier.potential.neb'

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define the inputs and outputs."""
        super().define(spec)
        spec.input_namespace('bands', valid_type=BandData, dynamic=True, help='The starting bands by their labels.')
        spec.inputs['bands'].validator = validate_bands
        spec.input(
            'parameters',
            valid_type=Dict,
            required=False,
            validator=validate_neb_parameters,
            help='Entries of `aiida_embarrier.jobs.schemas.NebTask`, the same for all bands.',
        )
        spec.output_namespace(
            'bands', valid_type=BandData, dynamic=True, required=False, help='The bands, converged or last good.'
        )

    @property
    def _neb_tasks(self) -> list[NebTask]:
        parameters = self.inputs.parameters.get_dict() if 'parameters' in self.inputs else {}
        return [NebTask(label=label, **parameters) for label in sorted(self.inputs.bands)]

    def _tasks(self, folder: Folder) -> list[BaseModel]:
        from aiida_embarrier.bands.io import write_npz

        tasks = self._neb_tasks
        for task in tasks:
            with folder.open(task.band_file, 'wb') as handle:
                write_npz(handle, self.inputs.bands[task.label].band)
        return list(tasks)

    def _temporary_files(self) -> list[str]:
        return [*super()._temporary_files(), *(task.result_file for task in self._neb_tasks)]


def validate_structures(structures: Any, _: Any) -> str | None:
    """Check that there are structures, and that they are ordered."""
    if not structures:
        return 'no structure to relax'
    for label, node in structures.items():
        disordered = [kind.name for kind in node.kinds if len(kind.symbols) != 1 or kind.has_vacancies]
        if disordered:
            return f'structure {label!r} is disordered (kinds {", ".join(disordered)}): order it first'
    return None


def validate_bands(bands: Any, _: Any) -> str | None:
    """Check that there are bands, and that the potential can describe them."""
    if not bands:
        return 'no band to optimise'
    for label, node in bands.items():
        charge = node.base.attributes.get('charge', None)
        if charge:
            return f'band {label!r} has the charge {charge}: interatomic potentials describe neutral cells only'
        if node.base.attributes.get('n_images', 0) < 3:
            return f'band {label!r} has no image between its endpoints: interpolate it first'
    return None


def read_error(text: str, lines: int = 5) -> str:
    """Return the last lines of a standard error in one line.

    Python's own complaint about semaphores that a killed process left says nothing of why it was killed.
    """
    written = (line.strip() for line in text.splitlines())
    kept = [line for line in written if line and 'resource_tracker' not in line][-lines:]
    return ' | '.join(kept) or 'it is empty'


def summary_of(result: JobResult) -> dict[str, Any]:
    """Return the results of a job as a node stores them: tasks by their labels, without geometries."""
    summary = json.loads(result.model_dump_json(exclude={'results': {'__all__': {'structure'}}}, exclude_none=True))
    summary['tasks'] = {task.pop('label'): task for task in summary.pop('results')}
    return summary
