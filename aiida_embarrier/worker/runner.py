"""Run one job: read it, set up potential and tasks, drive them, and write down how it went."""

from __future__ import annotations

import time
import traceback
from typing import TYPE_CHECKING, Any

import click
from pydantic import ValidationError

from aiida_embarrier.bands.io import read_npz
from aiida_embarrier.jobs.schemas import PROGRESS_FILE, Job, JobResult, NebTask
from aiida_embarrier.potentials.checkpoint import CheckpointError, fingerprint
from aiida_embarrier.potentials.driver import run_tasks
from aiida_embarrier.potentials.evaluator import PotentialError, WeightsError
from aiida_embarrier.potentials.loading import open_evaluator, verify_potential
from aiida_embarrier.potentials.neb import NudgedElasticBand
from aiida_embarrier.potentials.relaxation import Relaxation
from aiida_embarrier.worker.folder import FolderError, JobFolder
from aiida_embarrier.worker.progress import ProgressLog
from aiida_embarrier.worker.stopping import Signals, deadline_of, out_of_time
from aiida_embarrier.worker.versions import versions_of

if TYPE_CHECKING:
    from pathlib import Path

    from aiida_embarrier.jobs.potentials import PotentialSpec
    from aiida_embarrier.jobs.schemas import NebTask, RelaxTask
    from aiida_embarrier.potentials.task import OptimisationTask

__all__ = ('run_job',)


class InputError(ValueError):
    """The job cannot be done as it is written."""


def run_job(path: Path, started: float | None = None) -> JobResult:
    """Run the job in a file and write its results beside it.

    SIGTERM, SIGINT, a file named `stop` beside it and 0.95 of the wall time stop it: it writes a checkpoint, and
    unfinished tasks are `interrupted`.

    :param path: the job file.
    :param started: when the wall time began, on the monotonic clock; None for now.
    :returns: what was also written to `results.json`; `error` is set where the job could not be done at all.
    :raises OSError: where the results cannot be written.
    """
    folder = JobFolder(path.absolute().parent)
    with folder.locked():
        folder.remove_result()
        return _run(_Run(path, folder, time.monotonic() if started is None else started))


def _run(run: _Run) -> JobResult:
    try:
        run.execute()
    except (InputError, CheckpointError) as error:
        run.fail('input', str(error))
    except WeightsError as error:
        run.fail('weights', str(error))
    except PotentialError as error:
        run.fail('potential', str(error))
    except FolderError as error:
        run.fail('folder', str(error))
    except Exception as error:
        traceback.print_exc()
        run.fail('unexpected', f'{type(error).__name__}: {error}')
    return run.write_result()


class _Run:
    def __init__(self, path: Path, folder: JobFolder, start: float) -> None:
        self._path = path
        self._folder = folder
        self._start = start
        self._entries: dict[str, Any] = {}
        self._tasks: list[OptimisationTask] = []
        self._fingerprints: dict[str, str] = {}
        self._written: dict[str, tuple[int, str | None]] = {}

    def execute(self) -> None:
        job = self._read_job()
        potential = verify_potential(job.potential)
        self._entries |= {'potential': potential, 'versions': _versions(potential)}
        if potential.version is None:
            click.echo(
                f'warning: no version of {potential.label} is recorded, as {potential.calculator} belongs to no '
                'installed distribution that could be found: name `distribution` in the potential if there is one'
            )
        self._make_tasks(job, potential)
        states = self._folder.read_checkpoint(self._fingerprints, job.restart, job.afresh)
        for task in self._tasks:
            if task.label in states:
                task.restore(states[task.label])
        before = sum(task.n_evaluations for task in self._tasks)
        largest = max((len(atoms) for task in self._tasks for atoms in task.ask()), default=0)
        deadline = deadline_of(self._start, job.max_seconds)
        log = ProgressLog(self._folder.path / PROGRESS_FILE)
        with Signals() as signals:
            if any(not task.finished for task in self._tasks):
                loading = time.monotonic()
                with open_evaluator(potential, job.device, job.processes, largest) as evaluator:
                    self._entries |= {
                        'device': evaluator.device,
                        'processes': evaluator.processes,
                        'load_s': time.monotonic() - loading,
                    }
                    log.start(potential.label, evaluator.device, evaluator.processes, self._tasks)
                    try:
                        run_tasks(
                            self._tasks,
                            evaluator,
                            reason_to_stop=lambda longest: (
                                signals.received or self._folder.asked_to_stop() or out_of_time(deadline, longest)
                            ),
                            on_step=log.step,
                            on_checkpoint=self._write_checkpoint,
                        )
                    except PotentialError:
                        self._interrupt('stopped by an error of the potential')
                        self._write_checkpoint()
                        self._keep_results(before)
                        raise
                    except FolderError:
                        self._interrupt('stopped as the checkpoint could not be written')
                        self._keep_results(before)
                        raise
            self._write_checkpoint()
            self._keep_results(before)
            log.end(self._tasks)

    def _interrupt(self, reason: str) -> None:
        for task in self._tasks:
            task.interrupt(reason)

    def _keep_results(self, n_evaluations_before: int) -> None:
        self._entries['results'] = [task.result() for task in self._tasks]
        self._entries['n_evaluations'] = sum(task.n_evaluations for task in self._tasks) - n_evaluations_before

    def _read_job(self) -> Job:
        try:
            return Job.model_validate_json(self._path.read_text())
        except ValidationError as error:
            problems = '; '.join(
                f'{".".join(str(place) for place in entry["loc"]) or "job"}: {entry["msg"]}' for entry in error.errors()
            )
            raise InputError(f'{self._path.name} is not a job: {problems}') from error

    def _make_tasks(self, job: Job, potential: PotentialSpec) -> None:
        for settings in job.tasks:
            try:
                task, *parts = self._make_task(settings, potential)
            except (ValueError, OSError) as error:
                raise InputError(f'task {settings.label!r}: {error}') from error
            self._tasks.append(task)
            self._fingerprints[task.label] = fingerprint(potential, settings.kind, *parts)

    def _make_task(self, settings: RelaxTask | NebTask, potential: PotentialSpec) -> tuple[Any, ...]:
        """Return the task, and what two tasks must share to share a checkpoint: limits and thresholds may differ."""
        if settings.kind == 'relax':
            return Relaxation(settings), settings.structure.model_dump(), settings.cell
        band = read_npz(self._folder.path / settings.band_file)
        method = [settings.method, settings.spring_constant, settings.climb, band.elements]
        return NudgedElasticBand(settings, band, potential), method, band.lattice, band.positions

    def _write_checkpoint(self) -> None:
        states = {task.label: task.state() for task in self._tasks}
        # a folder of many bands is not written anew each time one of them makes a step
        moved = [
            task
            for task in self._tasks
            if isinstance(task, NudgedElasticBand) and self._written.get(task.label) != (task.n_steps, task.status)
        ]
        bands = {f'{task.label}_result.npz': task.band for task in moved}
        self._folder.write_checkpoint(states, self._fingerprints, bands)
        self._written |= {task.label: (task.n_steps, task.status) for task in moved}

    def fail(self, kind: str, message: str) -> None:
        self._entries |= {'error': message, 'error_kind': kind}

    def write_result(self) -> JobResult:
        result = JobResult(wall_s=time.monotonic() - self._start, **self._entries)
        self._folder.write_result(result)
        return result


def _versions(potential: PotentialSpec) -> dict[str, str]:
    """Return the versions of the packages that decide the numbers."""
    names = ('numpy', 'scipy', 'ase', 'pymatgen', 'torch', potential.distribution)
    return versions_of(*(name for name in names if name))
