"""Run one job that needs no potential: read it, call what does its kind, and write down how it went."""

from __future__ import annotations

import importlib
import json
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
from pydantic import ValidationError

from aiida_embarrier.jobs.messages import describe
from aiida_embarrier.jobs.plain import Outcome, PlainJob, PlainResult
from aiida_embarrier.jobs.schemas import PROGRESS_FILE
from aiida_embarrier.worker.folder import JobFolder
from aiida_embarrier.worker.stopping import Signals, deadline_of, out_of_time
from aiida_embarrier.worker.versions import versions_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ('KINDS', 'JobContext', 'RefusedError', 'Stopped', 'kind_of', 'run_plain_job')

#: Modules that do the kinds of jobs. Each holds `JOB`, the schema of its job, and `run(job, context)`, which returns
#: its :class:`~aiida_embarrier.jobs.plain.PlainResult`.
KINDS = {
    'orderings': 'aiida_embarrier.worker.orderings',
    'lookup': 'aiida_embarrier.worker.lookup',
    'dataset.import': 'aiida_embarrier.worker.datasets_import',
    'dataset.assemble': 'aiida_embarrier.worker.datasets_assemble',
}


class RefusedError(ValueError):
    """The input of a job cannot be treated as it is; the message says what to do."""


class Stopped(Exception):  # noqa: N818  (no error: it was asked to)
    """The job was stopped; the message says by what."""


@dataclass(frozen=True)
class JobContext:
    """What a job may use beside what it was asked.

    :param folder: where its files lie and are written to.
    :param reason_to_stop: returns why the job is to stop now, None while it goes on.
    :param log: writes a line of progress, see :meth:`progress`.
    """

    folder: Path
    reason_to_stop: Callable[[], str | None]
    log: Callable[[dict[str, Any]], None]

    def progress(self, task: str, done: int, total: int | None = None, unit: str = 'steps') -> None:
        """Say how far a part of the job is, and stop here where that was asked for.

        :param task: what is being done, in a word or two.
        :param done: how much of it is done.
        :param total: out of how much, None where that is not known.
        :param unit: what is counted.
        :raises Stopped: where the job is to stop.
        """
        status = 'done' if total is not None and done >= total else 'running'
        self.log({'task': task, 'step': done, 'total': total, 'unit': unit, 'status': status})
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
    :returns: what was also written to `results.json`.
    :raises OSError: where the results cannot be written.
    """
    start = time.monotonic() if started is None else started
    folder = JobFolder(path.absolute().parent)
    with folder.locked(), Signals() as signals:
        folder.remove_result()
        result = _run(path, folder, start, signals)
        result = result.model_copy(update={'wall_s': time.monotonic() - start})
        folder.write_result(result)
        return result


def _run(path: Path, folder: JobFolder, start: float, signals: Signals) -> PlainResult:
    versions = versions_of('numpy', 'scipy', 'pymatgen', 'spglib', 'pandas')
    try:
        module = _module(kind_of(path))
        try:
            job: PlainJob = module.JOB.model_validate_json(path.read_text())
        except ValidationError as error:
            raise RefusedError(f'{path.name} is not a job: {describe(error)}') from error
        deadline = deadline_of(start, job.max_seconds)
        context = JobContext(
            folder.path,
            lambda: signals.received or folder.asked_to_stop() or out_of_time(deadline, 0.0),
            _Log(folder.path / PROGRESS_FILE),
        )
        result: PlainResult = module.run(job, context)
    except Stopped as error:
        return PlainResult(outcome=Outcome.INTERRUPTED, error=str(error), versions=versions)
    except RefusedError as error:
        return PlainResult(outcome=Outcome.REFUSED, error=str(error), error_kind='input', versions=versions)
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
            click.echo(f'{entries["task"]}: {entries["step"]}{total} {entries["unit"]}')

    def _write(self, entries: dict[str, Any]) -> None:
        line = json.dumps({'event': entries.pop('event'), 'time': round(time.time(), 3), **entries}) + '\n'
        with suppress(OSError), self._path.open('a', encoding='utf8') as handle:
            handle.write(line)
