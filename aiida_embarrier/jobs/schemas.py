"""Worker jobs and their results.

Bands travel beside the job file as ``.npz`` files (:mod:`aiida_embarrier.bands.io`).
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from aiida_embarrier.jobs.potentials import PotentialSpec

__all__ = (
    'NUMERICS_VERSION',
    'Geometry',
    'Job',
    'JobResult',
    'NebResult',
    'NebTask',
    'RelaxResult',
    'RelaxTask',
    'Schema',
    'Status',
)

#: Raised whenever the same job would give other numbers; the CACHE_VERSION of the CalcJobs is tied to it.
NUMERICS_VERSION = 2

JOB_FILE = 'job.json'
RESULT_FILE = 'results.json'
PROGRESS_FILE = 'progress.jsonl'
CHECKPOINT_FILE = 'checkpoint.npz'
#: Whoever writes this file into the folder of a job asks the worker to stop after the round it is in.
STOP_FILE = 'stop'


class Status(StrEnum):
    """How a task ended."""

    CONVERGED = 'converged'
    NOT_CONVERGED = 'not_converged'  # step limit
    INTERRUPTED = 'interrupted'  # wall time or SIGTERM: continue from the checkpoint
    DIVERGED = 'diverged'  # energies or forces beyond reason, or not finite
    COLLAPSED = 'collapsed'  # two images of a band fell onto each other
    FAILED = 'failed'  # the potential refused the structure


#: Of several tasks of one job, the first of these that any of them ended with says how the job went.
GRAVEST_FIRST = (
    Status.FAILED,
    Status.DIVERGED,
    Status.COLLAPSED,
    Status.INTERRUPTED,
    Status.NOT_CONVERGED,
    Status.CONVERGED,
)


class Schema(BaseModel):
    """What is written into job and result files: unknown entries are errors."""

    model_config = ConfigDict(extra='forbid', frozen=True)


class Geometry(Schema):
    """A periodic structure.

    :param lattice: lattice vectors as rows in Å.
    :param elements: chemical symbols.
    :param positions: Cartesian positions in Å, one row per atom.
    :param magnetic_moments: initial magnetic moments in Bohr magnetons, None where there are none.
    """

    lattice: list[list[float]]
    elements: list[str]
    positions: list[list[float]]
    magnetic_moments: list[float] | None = None

    @model_validator(mode='after')
    def _shapes(self) -> Geometry:
        n_atoms = len(self.elements)
        if n_atoms == 0:
            raise ValueError('a structure needs at least one atom')
        for name, rows, count in (('lattice', self.lattice, 3), ('positions', self.positions, n_atoms)):
            if len(rows) != count or any(len(row) != 3 for row in rows):
                raise ValueError(f'{name} must have {count} rows of 3 numbers')
            if not all(math.isfinite(number) for row in rows for number in row):
                raise ValueError(f'{name} must be finite numbers')
        if self.magnetic_moments is not None and len(self.magnetic_moments) != n_atoms:
            raise ValueError(f'magnetic_moments must have {n_atoms} numbers, got {len(self.magnetic_moments)}')
        return self


#: Labels are parts of file names. Those of the worker's own files are taken.
Label = Annotated[str, Field(pattern=r'^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$')]
TAKEN_LABELS = ('checkpoint', 'restart')


class RelaxTask(Schema):
    """Relaxation of one structure.

    :param label: names the task and its results inside the job.
    :param cell: `fixed`, or `full` to relax all six strain components too.
    :param force_threshold: largest force on an atom in eV/Å.
    :param stress_threshold: largest component of the stress in eV/Å³, used for `full`.
    :param max_steps: limit on optimisation steps.
    :param max_step_length: longest step of an atom in Å.
    """

    kind: Literal['relax'] = 'relax'
    label: Label
    structure: Geometry
    cell: Literal['fixed', 'full'] = 'fixed'
    force_threshold: float = Field(0.03, gt=0)
    stress_threshold: float = Field(0.0006, gt=0)
    max_steps: int = Field(500, ge=0)
    max_step_length: float = Field(0.1, gt=0)


class NebTask(Schema):
    """Nudged elastic band from a starting band.

    :param label: names the task; the starting band is read from ``<label>.npz``, the result written to
        ``<label>_result.npz``.
    :param method: tangent and spring forces: `improvedtangent`, or `eb` as in recipes published with ASE.
    :param spring_constant: in eV/Å².
    :param climb: let the highest image climb once the band is within `climb_threshold`.
    :param climb_threshold: largest perpendicular force in eV/Å at which climbing starts.
    :param force_threshold: largest perpendicular force in eV/Å of a converged band.
    :param spacing_tolerance: largest allowed deviation of a distance between neighbouring images from its mean (on
        either side of the climbing image), relative to that mean.
    :param max_steps: limit on optimisation steps, both stages together.
    :param optimiser: `quasi_newton`, which learns the curvature from all images, or `fire`.
    :param time_step: initial time step of `fire`.
    :param max_step_length: longest step of an atom in Å.
    :param use_symmetry: where a symmetry operation reverses the path, evaluate one half of it and map the other.
    """

    kind: Literal['neb'] = 'neb'
    label: Label
    method: Literal['improvedtangent', 'eb'] = 'improvedtangent'
    spring_constant: float = Field(5.0, gt=0)
    climb: bool = True
    climb_threshold: float = Field(0.25, gt=0)
    force_threshold: float = Field(0.05, gt=0)
    spacing_tolerance: float = Field(0.3, gt=0)
    max_steps: int = Field(500, ge=0)
    optimiser: Literal['quasi_newton', 'fire'] = 'quasi_newton'
    time_step: float = Field(0.1, gt=0)
    max_step_length: float = Field(0.1, gt=0)
    use_symmetry: bool = True

    @property
    def band_file(self) -> str:
        """Name of the file with the starting band."""
        return f'{self.label}.npz'

    @property
    def result_file(self) -> str:
        """Name of the file with the resulting band, written at every checkpoint and at the end."""
        return f'{self.label}_result.npz'


Task = Annotated[RelaxTask | NebTask, Field(discriminator='kind')]


class Job(Schema):
    """What the worker is asked to do.

    :param potential: the potential, pinned.
    :param tasks: relaxations and bands, worked on side by side; their labels differ.
    :param max_seconds: wall time that the scheduler gives; the worker stops itself at 0.95 of it.
    :param device: `cpu`, `cuda`, or `auto` for a GPU where there is one; an argument `device` of an ASE calculator
        prevails.
    :param processes: one-thread processes on a CPU; None for as many as cores and memory allow.
    :param restart: name of a checkpoint file to continue from, None to start afresh. Thresholds and limits may differ
        from those of the job that wrote it. Steps and evaluations go on counting: `max_steps` is a limit on all of
        them. Diverged, collapsed and failed tasks stay as they are unless they are named in `afresh`.
    :param afresh: labels of tasks that start afresh, whatever the checkpoint says of them.
    """

    numerics_version: int = NUMERICS_VERSION
    potential: PotentialSpec
    tasks: list[Task] = Field(min_length=1)
    max_seconds: float | None = Field(None, gt=0)
    device: Literal['auto', 'cpu', 'cuda'] = 'auto'
    processes: int | None = Field(None, ge=1)
    restart: str | None = None
    afresh: list[str] = Field(default_factory=list)

    @model_validator(mode='after')
    def _labels_differ(self) -> Job:
        labels = [task.label for task in self.tasks]
        if len(set(labels)) != len(labels):
            raise ValueError(f'task labels must differ, got {labels}')
        files = [name for task in self.tasks if task.kind == 'neb' for name in (task.band_file, task.result_file)]
        if len(set(files)) != len(files) or not set(files).isdisjoint(f'{label}.npz' for label in TAKEN_LABELS):
            raise ValueError(f'labels of bands must not be {" or ".join(TAKEN_LABELS)}, nor end in _result: {labels}')
        if self.numerics_version != NUMERICS_VERSION:
            raise ValueError(
                f'the job was written for numerics version {self.numerics_version}, this worker has '
                f'{NUMERICS_VERSION}: install the same aiida-embarrier on both machines'
            )
        return self


class _Result(Schema):
    label: str
    status: Status
    message: str
    n_steps: int
    n_evaluations: int


class RelaxResult(_Result):
    """Outcome of a relaxation; the last good structure also where it did not converge.

    :param energy: in eV, None where nothing could be evaluated.
    :param max_force: largest force on an atom in eV/Å.
    :param max_stress: largest component of the stress in eV/Å³, None at fixed cell.
    :param energies: energy of each step in eV.
    """

    kind: Literal['relax'] = 'relax'
    structure: Geometry
    energy: float | None
    max_force: float | None
    max_stress: float | None = None
    energies: list[float] = Field(default_factory=list)


class NebResult(_Result):
    """Outcome of a band; the band itself lies in the task's result file, also where it did not converge.

    :param residual_force: largest force by the definition of convergence in eV/Å.
    :param climbing_image: index of the climbing image, None where no image climbs.
    :param spacing: relative deviation of the distances between images, by the definition of `spacing_tolerance`.
    :param mirrored: whether one half of the path was mapped from the other by symmetry instead of evaluated.
    :param residual_forces: residual force of each step.
    :param barriers: forward barrier (largest energy minus that of the first image) of each step in eV.
    """

    kind: Literal['neb'] = 'neb'
    residual_force: float | None
    climbing_image: int | None = None
    spacing: float | None = None
    mirrored: bool = False
    residual_forces: list[float] = Field(default_factory=list)
    barriers: list[float] = Field(default_factory=list)


class JobResult(Schema):
    """What the worker did.

    :param results: one per task, in the order of the tasks.
    :param versions: versions of the packages that decided the numbers.
    :param device: device that the potential ran on.
    :param processes: processes that evaluated the potential.
    :param wall_s: wall time of the worker in seconds, its start and the loading of the potential included.
    :param load_s: of which importing and loading the potential.
    :param n_evaluations: force evaluations of this job; the counts in its results include those before a restart.
    :param error: message where the job could not be done, else None; there may be results up to where it failed.
    :param error_kind: `input`, `weights`, `potential`, `folder` or `unexpected` where `error` is set.
    """

    results: list[Annotated[RelaxResult | NebResult, Field(discriminator='kind')]] = Field(default_factory=list)
    versions: dict[str, str] = Field(default_factory=dict)
    potential: PotentialSpec | None = None
    device: str | None = None
    processes: int | None = None
    wall_s: float = 0.0
    load_s: float = 0.0
    n_evaluations: int = 0
    error: str | None = None
    error_kind: Literal['input', 'weights', 'potential', 'folder', 'unexpected'] | None = None
