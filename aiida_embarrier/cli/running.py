"""Run a process in this terminal: a progress bar while it runs, and Ctrl-C ends everything and keeps what there is."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import signal
import socket
import sys
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from aiida.engine.runners import Runner
from aiida.manage import get_manager
from aiida.schedulers import JobState
from plumpy.greenback_bridge import run_with_portal
from plumpy.process_states import KillInterruption
from tqdm import tqdm

from aiida_embarrier.calculations.worker import WorkerCalculation
from aiida_embarrier.cli.bars import percent_bar, show_line
from aiida_embarrier.cli.following import ProgressFollower, is_here, running_jobs
from aiida_embarrier.engines.resumption import RESUMES
from aiida_embarrier.jobs.progress import JobHistory, latest_line
from aiida_embarrier.jobs.schemas import STOP_FILE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiida.engine import Process, ProcessBuilder
    from aiida.orm import ProcessNode

__all__ = ('TERMINAL', 'Interrupted', 'daemon_runs', 'daemon_trouble', 'run_in_terminal', 'still_there')

POLL_INTERVAL = 0.5  # s
#: Seconds between two looks after a child that has not ended; without a pause they would keep a processor busy.
CHILD_INTERVAL = 0.2

#: Extra of a process that runs in a terminal: which, so that one that was left behind is known.
TERMINAL = 'embarrier_terminal'


def daemon_runs() -> bool:
    """Return whether the daemon of the profile runs; AiiDA looks for a file only, which a killed one leaves behind."""
    number = get_manager().get_daemon_client().get_daemon_pid()
    try:
        return number is not None and 'start-circus' in psutil.Process(number).cmdline()
    except psutil.Error:
        return False


def daemon_trouble() -> str | None:
    """Return what keeps the daemon of the profile from going on with processes and what to do, None where it is well.

    A ZeroMQ broker that was killed leaves behind where its socket was. A daemon worker that starts sooner than the next
    broker looks for it there and waits for ever (aiida-core 2.9.4).
    """
    if not daemon_runs():
        return 'the daemon does not run: `verdi daemon start`'
    manager = get_manager()
    profile = manager.get_profile()
    assert profile is not None
    if profile.process_control_backend != 'core.zeromq':
        return None
    if manager.get_broker().probe_service_status().get('task_subscribers') == 0:
        return 'no worker of the daemon listens: unless it is only just starting, `verdi daemon restart`'
    return None


def this_terminal() -> dict[str, Any]:
    """Return what a process that runs in this terminal says of it."""
    return {'host': socket.gethostname(), 'pid': os.getpid(), 'started': psutil.Process().create_time()}


def still_there(terminal: dict[str, Any]) -> bool:
    """Return whether a terminal of :func:`this_terminal` is still there; one of another machine is taken to be."""
    if terminal['host'] != socket.gethostname():
        return True
    try:
        # another process may have got the number since
        return abs(psutil.Process(terminal['pid']).create_time() - terminal['started']) < 1
    except psutil.NoSuchProcess:
        return False


class Interrupted(Exception):  # noqa: N818  (an outcome, not an error)
    """A process was ended from the terminal.

    :param node: the process.
    """

    def __init__(self, node: ProcessNode) -> None:
        super().__init__(f'process {node.pk} was ended from the terminal')
        self.node = node


class TerminalRunner(Runner):
    """A runner that knows its processes, so that an interrupt can end all of them.

    AiiDA's own runner kills the outermost process only, and its children wait for ever.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.processes: list[Process] = []

    def instantiate_process(self, process: Any, **inputs: Any) -> Process:
        """Make a process and remember it."""
        instance = super().instantiate_process(process, **inputs)
        self.processes.append(instance)
        return instance

    def stop_all(self) -> None:
        """Ask jobs to stop, so that their checkpoints and bands are retrieved, and kill what is above them."""
        for process in reversed(self.processes):
            if not process.has_terminated() and not ask_to_stop(process):
                process.kill(msg_text='ended from the terminal')

    def kill_all(self) -> None:
        """Kill all processes that are not done, children before their parents."""
        for process in reversed(self.processes):
            if not process.has_terminated():
                process.kill(msg_text='ended from the terminal')

    async def all_done(self) -> None:
        """Wait until every process is done."""
        while not all(process.has_terminated() for process in self.processes):
            await asyncio.sleep(0.2)


def ask_to_stop(process: Process) -> bool:
    """Ask a job of the worker on this machine to stop after the round it is in; return whether it could be asked."""
    if not isinstance(process, WorkerCalculation):
        return False
    if process.node.get_scheduler_state() != JobState.RUNNING:  # one in a queue would have to start first
        return False
    folder = process.node.get_remote_workdir()
    if folder is None or not is_here(process.node) or not Path(folder).is_dir():
        return False
    (Path(folder) / STOP_FILE).touch()
    return True


def run_in_terminal(builder: ProcessBuilder, resumes: ProcessNode | None = None) -> ProcessNode:
    """Run a process to its end and return its node; without a terminal there is no bar.

    An interrupt asks running jobs to stop and waits for their results; a second one kills them.

    :param resumes: an earlier process that it goes on from.
    :raises Interrupted: after an interrupt, once every process has been ended.
    """
    runner = TerminalRunner(
        broker_submit=False,
        communicator=None,
        persister=get_manager().get_persister(),
        # Without a communicator only a look tells that a child has ended; many profiles have a minute between two.
        poll_interval=CHILD_INTERVAL,
    )
    runner.loop.set_exception_handler(_ignore_kills)
    process = runner.instantiate_process(builder)
    process.node.base.extras.set(TERMINAL, this_terminal())
    if resumes is not None:
        process.node.base.extras.set(RESUMES, resumes.uuid)
    interrupts = 0

    def interrupt(*_: Any) -> None:
        nonlocal interrupts
        interrupts += 1
        if interrupts == 1:
            tqdm.write('stopping: waiting for the running job to write its checkpoint', file=sys.stderr)
        action = runner.stop_all if interrupts == 1 else runner.kill_all
        # A job is killed by a coroutine that AiiDA awaits inside `kill`: that needs a portal.
        runner.loop.call_soon_threadsafe(lambda: runner.loop.create_task(run_with_portal(action)))

    with percent_bar() as bar, _lab_book(), _on_signal(signal.SIGINT, interrupt), _on_signal(signal.SIGTERM, interrupt):
        watch = runner.loop.create_task(_watch(process.node, bar))
        try:
            runner.run_until_complete(process.step_until_terminated())
            runner.run_until_complete(runner.all_done())
        finally:
            watch.cancel()
    if interrupts:
        raise Interrupted(process.node)
    return process.node


def _ignore_kills(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Keep quiet about processes that were killed: the task of each ends with an exception that nobody awaits."""
    if not isinstance(context.get('exception'), KillInterruption):
        loop.default_exception_handler(context)


@contextmanager
def _on_signal(number: int, handler: Any) -> Iterator[None]:
    original = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, original)


class LabBookHandler(logging.Handler):
    """Writes reports of processes as lines for people, above the bar."""

    #: AiiDA puts process, class and method before a report; the process is enough for people.
    _PREFIX = re.compile(r'^\[(\d+)\|[^\]]*\]: ')

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        clock = datetime.fromtimestamp(record.created).strftime('%H:%M:%S')
        message = self._PREFIX.sub(r'[\1] ', record.getMessage())
        tqdm.write(f'{clock} {message}', file=sys.stderr)


@contextmanager
def _lab_book() -> Iterator[None]:
    """Show reports as lines for people while a process runs; the handlers that store them in the database stay."""
    log = logging.getLogger('aiida')
    original = list(log.handlers)
    level = get_manager().get_option('logging.terminal_handler')
    handler = LabBookHandler(level=getattr(level, 'value', level))  # an enumeration or plain text
    log.handlers = [handler, *(kept for kept in original if type(kept) is not logging.StreamHandler)]
    try:
        yield
    finally:
        log.handlers = original


async def _watch(node: ProcessNode, bar: tqdm | None) -> None:
    """Show how the running jobs of a process on this machine stand until cancelled."""
    if bar is None:
        return
    histories: dict[str, JobHistory] = {}
    with ProgressFollower() as follower:
        while True:
            for job in running_jobs(node):
                if follower.connects(job):  # which would hold up the process that runs here
                    continue
                history = histories.setdefault(job.uuid, JobHistory())
                history.add(follower.read(job))
                line = latest_line(history)
                if line is not None:
                    show_line(bar, line)
            bar.refresh()
            await asyncio.sleep(POLL_INTERVAL)
