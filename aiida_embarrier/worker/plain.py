"""Run one job that needs no potential: read it, call what does its kind, and write down how it went."""

from __future__ import annotations

import importlib
import json
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import click
from pydantic import ValidationError

from aiida_embarrier.jobs.messages import describe
from aiida_embarrier.jobs.plain import Outcome, PlainJob, PlainResult
from aiida_embarrier.jobs.schemas import PROGRESS_FILE
from aiida_embarrier.learning.places import place_of
from aiida_embarrier.worker.folder import JobFolder
from aiida_embarrier.worker.stopping import Signals, deadline_of, out_of_time
from aiida_embarrier.worker.versions import versions_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = (
    'KINDS',
    'JobContext',
    'NoDeviceError',
    'ParentError',
    'RefusedError',
    'Stopped',
    'kind_of',
    'run_plain_job',
)

#: Modules that do the kinds of jobs. Each holds `JOB`, the schema of its job, and `run(job, context)`, which returns
#: its :class:`~aiida_embarrier.jobs.plain.PlainResult`.
KINDS = {
    'orderings': 'aiida_embarrier.worker.orderings',
    'lookup': 'aiida_embarrier.worker.lookup',
    'dataset.import': 'aiida_embarrier.worker.datasets_import',
    'dataset.assemble': 'aiida_embarrier.worker.datasets_assemble',
    'train': 'aiida_embarrier.worker.train',
    'predict': 'aiida_embarrier.worker.predict',
    'relations': 'aiida_embarrier.worker.relations',
    'path_features': 'aiida_embarrier.worker.path_features',
    'barrier_model': 'aiida_embarrier.worker.barrier_model',
    'predict_barriers': 'aiida_embarrier.worker.predict_barriers',
    'neb_barriers': 'aiida_embarrier.worker.neb_barriers',
    'score_barriers': 'aiida_embarrier.worker.score_barriers',
    'barrier_analysis': 'aiida_embarrier.worker.barrier_analysis',
}

#: Kinds of jobs that several processes may do together. The first one writes what is written; the others only help.
SHARED_KINDS = frozenset({'train'})


class RefusedError(ValueError):
    """The input of a job cannot be treated as it is; the message says what to do."""

    kind: ClassVar[Literal['input', 'parent', 'device']] = 'input'


class ParentError(RefusedError):
    """The model that a job starts from cannot be used: it is altered, or another than what is asked for."""

    kind = 'parent'


class NoDeviceError(RefusedError):
    """The machine lacks what a job asks for, such as a GPU: on another one the same job can be done."""

    kind = 'device'


class Stopped(Exception):  # noqa: N818  (no error: it was asked to)
    """The job was stopped; the message says by what."""


@dataclass(frozen=True)
class JobContext:
    """What a job may use beside what it was asked.

    :param folder: where its files lie and are written to.
    :param reason_to_stop: returns why the job is to stop now, None while it goes on.
    :param log: writes a line of progress, see :meth:`progress`.
    :param file: the job file.
    """

    folder: Path
    reason_to_stop: Callable[[], str | None]
    log: Callable[[dict[str, Any]], None]
    file: Path

    def progress(
        self, task: str, done: int, total: int | None = None, unit: str = 'steps', **numbers: float | None
    ) -> None:
        """Say how far a part of the job is, and stop here where that was asked for.

        :param task: what is being done, in a word or two.
        :param done: how much of it is done.
        :param total: out of how much, None where that is not known.
        :param unit: what is counted.
        :param numbers: what else is worth watching, by names.
        :raises Stopped: where the job is to stop.
        """
        status = 'done' if total is not None and done >= total else 'running'
        self.log({'task': task, 'step': done, 'total': total, 'unit': unit, 'status': status, **numbers})
        reason = self.reason_to_stop()
        if reason is not None:
            raise Stopped(reason)


def kind_of(path: Path) -> str | None:
    """Return the kind of the job in a file, None for one of a potential and for what is no JSON."""
    with suppress(ValueError):
        entries = json.loads(path.read_text())
        if isinstance(entries, dict):
            return entries.get('job')
    return None


def run_plain_job(path: Path, started: float | None = None) -> PlainResult:
    """Run the job in a file and write its results beside it.

    :param path: the job file.
    :param started: when the wall time began, on the monotonic clock; None for now.
    :returns: what was also written to `results.json`; not by a process that only helps another one with the job.
    :raises OSError: where the results cannot be written.
    """
    start = time.monotonic() if started is None else started
    folder = JobFolder(path.absolute().parent)
    if kind_of(path) in SHARED_KINDS and not place_of().first:
        with Signals() as signals:
            result = _run(path, folder, start, signals, helps=True)
        # the first process says the same; an error here would have mpirun end it before it has written that
        told = result.outcome is Outcome.INTERRUPTED or result.error_kind in {'input', 'parent'}
        return result.model_copy(update={'error': None}) if told else result
    with folder.locked(), Signals() as signals:
        folder.remove_result()
        result = _run(path, folder, start, signals, helps=False)
        result = result.model_copy(update={'wall_s': time.monotonic() - start})
        folder.write_result(result)
        return result


def _run(path: Path, folder: JobFolder, start: float, signals: Signals, helps: bool) -> PlainResult:
    versions = versions_of('numpy', 'scipy', 'pymatgen', 'spglib', 'pandas')
    try:
        module = _module(kind_of(path))
        try:
            job: PlainJob = module.JOB.model_validate_json(path.read_text())
        except ValidationError as error:
            raise RefusedError(f'{path.name} is not a job: {describe(error)}') from error
        deadline = deadline_of(start, job.max_seconds)

        def reason_to_stop() -> str | None:
            if helps:  # the first process says when: it would wait for one that stopped by itself
                return None
            return signals.received or folder.asked_to_stop() or out_of_time(deadline, 0.0)

        context = JobContext(
            folder.path,
            reason_to_stop,
            _say_nothing if helps else _Log(folder.path / PROGRESS_FILE),
            path,
        )
        result: PlainResult = module.run(job, context)
    except Stopped as error:
        return PlainResult(outcome=Outcome.INTERRUPTED, error=str(error), versions=versions)
    except RefusedError as error:
        return PlainResult(outcome=Outcome.REFUSED, error=str(error), error_kind=error.kind, versions=versions)
    except OSError as error:
        message = f'{error}; see that the folder is writable and that its disk and your quota have space'
        return PlainResult(outcome=Outcome.FAILED, error=message, error_kind='folder', versions=versions)
    except Exception as error:
        traceback.print_exc()
        message = f'{type(error).__name__}: {error}'
        return PlainResult(outcome=Outcome.FAILED, error=message, error_kind='unexpected', versions=versions)
    return result.model_copy(update={'versions': {**versions, **result.versions}})


def _module(kind: str | None) -> Any:
    if kind not in KINDS:
        raise RefusedError(
            f'this worker knows no job of the kind {kind!r}, only {", ".join(KINDS)}: install the same aiida-embarrier '
            'on both machines'
        )
    return importlib.import_module(KINDS[kind])


def _say_nothing(_: dict[str, Any]) -> None:
    pass


class _Log:
    """Writes lines of progress, at most four a second of one task; one that cannot be written is left out."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last: tuple[str, float] = ('', 0.0)
        self._write({'event': 'start'})

    def __call__(self, entries: dict[str, Any]) -> None:
        now = time.monotonic()
        if entries['status'] == 'running' and self._last[0] == entries['task'] and now - self._last[1] < 0.25:
            return
        self._last = entries['task'], now
        self._write({'event': 'step', **entries})
        total = '' if entries['total'] is None else f' of {entries["total"]}'
        with suppress(OSError):
            click.echo(f'{entries["task"]}: {entries["step"]}{total} {entries["unit"]}{_numbers_of(entries)}')

    def _write(self, entries: dict[str, Any]) -> None:
        line = json.dumps({'event': entries.pop('event'), 'time': round(time.time(), 3), **entries}) + '\n'
        with suppress(OSError), self._path.open('a', encoding='utf8') as handle:
            handle.write(line)


def _numbers_of(entries: dict[str, Any]) -> str:
    """Return what a line of progress tells beside the count, for people."""
    counted = {'task', 'step', 'total', 'unit', 'status'}
    return ''.join(
        f', {name} {value:.4g}' for name, value in entries.items() if name not in counted and value is not None
    )
