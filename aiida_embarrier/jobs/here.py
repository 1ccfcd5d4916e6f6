"""Run a job of the worker on this machine in a temporary folder: what needs neither a profile nor a code."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from aiida_embarrier.jobs.executable import WORKER, find_worker
from aiida_embarrier.jobs.plain import PlainResult
from aiida_embarrier.jobs.progress import read_lines
from aiida_embarrier.jobs.schemas import JOB_FILE, PROGRESS_FILE, RESULT_FILE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from aiida_embarrier.jobs.plain import PlainJob

__all__ = ('WorkerError', 'run_here')

#: Seconds between two looks at the progress of a job.
_INTERVAL = 0.3

#: Signals that end a process which does not handle them: of `kill` and schedulers, and of a terminal that is closed.
_ENDING = (signal.SIGTERM, signal.SIGHUP)

ResultT = TypeVar('ResultT', bound=PlainResult)


class WorkerError(ValueError):
    """The worker could not do a job; the message says why."""


def run_here(
    job: PlainJob,
    files: Mapping[str, bytes],
    schema: type[ResultT],
    wanted: Sequence[str],
    on_progress: Callable[[dict[str, Any]], Any] | None = None,
) -> tuple[ResultT, dict[str, bytes]]:
    """Run a job by the worker of this environment, a process of its own, and return what it answered.

    :param files: what the job reads, by names.
    :param schema: of the answer.
    :param wanted: names of files that the job writes, and of folders: of these all files come, by their paths.
    :param on_progress: called from another thread with each line of progress of the job, see
        :mod:`aiida_embarrier.jobs.progress`; where it is None, lines for people go to standard error if that is a
        terminal.
    :returns: the answer, and the content of these files.
    :raises WorkerError: where there is no worker, and where the job was not done.
    :raises SystemExit: for a signal that ends this process, whose worker and folder go first.
    """
    worker = find_worker()
    if worker is None:
        raise WorkerError(f'there is no {WORKER} beside this Python or on the PATH: install aiida-embarrier again')
    with _orderly_end(), tempfile.TemporaryDirectory(prefix='embarrier-') as name:
        folder = Path(name)
        for own, content in files.items():
            (folder / own).write_bytes(content)
        (folder / JOB_FILE).write_text(job.model_dump_json(), encoding='utf8')
        # what it prints is progress, which belongs beside the results and not between them
        progress = sys.stderr if on_progress is None and sys.stderr.isatty() else subprocess.DEVNULL
        command = [worker, 'run', str(folder / JOB_FILE)]
        with _followed(folder / PROGRESS_FILE, on_progress):
            ended = subprocess.run(command, stdout=progress, stderr=subprocess.PIPE, text=True, check=False)  # noqa: S603  (ours)
        if not (folder / RESULT_FILE).is_file():
            raise WorkerError(f'the worker ended without results ({ended.returncode}): {ended.stderr.strip()}')
        result = schema.model_validate_json((folder / RESULT_FILE).read_text(encoding='utf8'))
        if result.error is not None:
            raise WorkerError(result.error)
        paths = [path for own in wanted for path in _files_of(folder / own)]
        return result, {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def _files_of(path: Path) -> list[Path]:
    return [found for found in path.rglob('*') if found.is_file()] if path.is_dir() else [path]


@contextmanager
def _orderly_end() -> Iterator[None]:
    """Let signals that would end this process at once raise SystemExit, so that nothing is left behind.

    Python runs handlers in the main thread; signals that somebody else handles are left to them.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    ours = [number for number in _ENDING if signal.getsignal(number) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def _followed(path: Path, on_progress: Callable[[dict[str, Any]], Any] | None) -> Iterator[None]:
    """Call a function with each line that is added to a file of progress while the block runs."""
    if on_progress is None:
        yield
        return
    ended = threading.Event()

    def follow() -> None:
        n_told, over = 0, False
        while not over:
            over = ended.wait(_INTERVAL)  # what was written until then is still read
            lines = read_lines(path.read_text(encoding='utf8')) if path.is_file() else []
            for line in lines[n_told:]:
                on_progress(line)
            n_told = len(lines)

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
