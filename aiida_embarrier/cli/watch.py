"""``aiida-embarrier watch``: how a process stands, again and again until it ends."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.output import echo_json
from aiida_embarrier.cli.params import FORMAT, find_node, with_profile
from aiida_embarrier.cli.watching import frame_of, how_to_resume, news_of

if TYPE_CHECKING:
    from aiida.orm import CalcJobNode, ProcessNode

    from aiida_embarrier.cli.following import ProgressFollower
    from aiida_embarrier.jobs.progress import JobHistory, TaskHistory

__all__ = ('command',)

#: Seconds between two looks, on this machine and at others.
INTERVAL_HERE = 1.0
INTERVAL_THERE = 10.0

#: Jobs of the worker, and what one does between its start and its first step.
WORKER_JOBS = ('PotentialRelaxCalculation', 'PotentialNebCalculation')
LOADING = 'the model is being loaded, then the first images are evaluated'


@click.command('watch')
@click.argument('node', metavar='NODE')
@click.option('--task', metavar='LABEL', help='Band to draw; the one that moved last unless given.')
@click.option(
    '--interval', type=click.FloatRange(min=0.1), metavar='SECONDS', help='Between two looks; 1, for other machines 10.'
)
@click.option('--once', is_flag=True, help='Look once and end, for scripts.')
@FORMAT
@with_profile
def command(node: str, task: str | None, interval: float | None, once: bool, output_format: str) -> None:
    """Watch the running process NODE until it ends: barrier so far, force, energy path and time left of each band.

    JSON is one look. Ctrl-C ends the watching, not the process. Where the output is no terminal, each step is a line.
    """
    from aiida.orm import ProcessNode

    from aiida_embarrier.cli.following import ProgressFollower

    process = find_node(node)
    if not isinstance(process, ProcessNode):
        raise click.ClickException(f'node {process.pk} is not a process but a {type(process).__name__}')
    with ProgressFollower() as follower:
        watcher = Watcher(process, follower)
        if once or output_format == 'json':
            look = watcher.look()
            if output_format == 'json':
                echo_json(look)
            else:
                click.echo('\n'.join(frame_of(look, task)))
            return
        try:
            _watch(watcher, task, interval)
        except KeyboardInterrupt:
            click.echo(f'\nno longer watching; process {process.pk} goes on', err=True)


def _watch(watcher: Watcher, task: str | None, interval: float | None) -> None:
    screen = Screen() if sys.stdout.isatty() else None
    told: dict[tuple[int, str], Any] = {}
    while True:
        look = watcher.look()
        if screen is not None:
            screen.show(frame_of(look, task))
        else:
            for line in news_of(look, told):
                click.echo(line)
        if look['ended']:
            if screen is None:
                click.echo('\n'.join(frame_of(look, task)))
            return
        time.sleep(interval or (INTERVAL_THERE if watcher.connected else INTERVAL_HERE))


class Watcher:
    """Looks at a process and the jobs below it.

    :param process: the process.
    :param follower: reads the progress files of its jobs.
    """

    def __init__(self, process: ProcessNode, follower: ProgressFollower) -> None:
        self.process = process
        self.connected = False
        self._follower = follower
        self._histories: dict[str, JobHistory] = {}

    def look(self) -> dict[str, Any]:
        """Return how things stand, as JSON values."""
        from aiida_embarrier.cli.following import refresh_database, running_jobs

        refresh_database()
        process = self.process
        state = process.process_state.value if process.process_state else 'unknown'
        look: dict[str, Any] = {
            'pk': process.pk,
            'process': process.process_label,
            'label': process.label,
            'state': state,
            'ended': process.is_terminated,
            'exit_status': process.exit_status,
            'exit_message': process.exit_message,
            'report': _last_report(process),
            'paused': [
                {'pk': node.pk, 'process': node.process_label, 'status': node.process_status}
                for node in paused(process)
            ],
            'trouble': None if process.is_terminated else _trouble(process),
            'tasks': tasks_of(process),
            'jobs': [],
            'barriers': _barriers(process) if process.is_terminated else None,
        }
        if not process.is_terminated:
            look['jobs'] = [self._look_at(job) for job in running_jobs(process)]
        return look

    def _look_at(self, job: CalcJobNode) -> dict[str, Any]:
        from aiida_embarrier.jobs.progress import JobHistory
        from aiida_embarrier.queries.runs import run_of

        run = run_of(job, self.process)
        history = self._histories.setdefault(job.uuid, JobHistory())
        problem = output = None
        self.connected |= self._follower.connects(job)
        try:
            history.add(self._follower.read(job))
            if not history.tasks:  # no job of the worker, or one that is only starting
                output = self._follower.last_line(job)
        except OSError as error:
            problem = str(error)
        return {
            'pk': job.pk,
            'process': job.process_label,
            'computer': job.computer.label,
            'status': LOADING if not history.tasks and _has_worker_begun(job) else job.process_status,
            'step': _way_to(job, self.process),
            'problem': problem,
            'output': None if output is None else dict(zip(('file', 'line'), output, strict=True)),
            'tasks': [_describe(task, job.pk, run) for task in history.tasks.values()],
        }


def tasks_of(process: ProcessNode) -> dict[str, int] | None:
    """Return how many of the processes that a study runs have `ended`, `failed` and are `running`, of a `total`.

    :return: None for a process that is no study, or that has not begun.
    """
    from aiida_embarrier.workflows.pool import TASKS

    told = process.base.extras.get(TASKS, None)
    if told is None:
        return None
    return {**told, 'failed': sum(child.is_terminated and not child.is_finished_ok for child in process.called)}


def _has_worker_begun(job: CalcJobNode) -> bool:
    """Return whether a job of the worker runs, so that it loads its model until it makes a step."""
    from aiida.schedulers import JobState

    return job.process_label in WORKER_JOBS and job.get_scheduler_state() == JobState.RUNNING


def _describe(task: TaskHistory, job: int, run: str | None = None) -> dict[str, Any]:
    from aiida_embarrier.jobs.progress import residual
    from aiida_embarrier.queries.runs import task_name

    last = task.last if task.steps else {}
    return {
        'job': job,
        'task': task_name(run, task.label),
        'state': last.get('status', 'running') if task.steps else 'ended',
        'message': task.message,
        'step': last.get('step'),
        'total': last.get('total'),
        'unit': last.get('unit'),
        'barrier': last.get('barrier'),
        'force': residual(last),
        'force_threshold': last.get('force_threshold'),
        'n_images': last.get('n_images'),
        'n_evaluations': last.get('n_evaluations'),
        'elapsed_s': task.elapsed,
        'left_s': task.time_left,
        'time': last.get('time'),
        'loss': last.get('loss'),
        'mae': last.get('mae'),
        'lr': last.get('lr'),
        'energies': last.get('energies'),
        'forces': [force for force in map(residual, task.steps) if force is not None],
    }


def _way_to(job: CalcJobNode, process: ProcessNode) -> str:
    """Return which step of a process a job is: the names of the calls from one to the other."""
    from aiida.common.links import LinkType

    names: list[str] = []
    node: ProcessNode = job
    while node.pk != process.pk and node.caller is not None:
        calls = node.base.links.get_incoming(link_type=(LinkType.CALL_CALC, LinkType.CALL_WORK)).all()
        names.insert(0, calls[0].link_label)
        node = node.caller
    return ' / '.join(names)


def paused(process: ProcessNode) -> list[ProcessNode]:
    """Return the processes that are paused among a process and those below it that have not ended."""
    if process.is_terminated:
        return []
    below = [node for child in process.called for node in paused(child)]
    return [process, *below] if process.paused else below


def _trouble(process: ProcessNode) -> str | None:
    """Return why nothing goes on with a process that the daemon is to run, None where nothing is wrong."""
    from aiida.manage import get_manager

    from aiida_embarrier.cli.running import TERMINAL, daemon_trouble, still_there
    from aiida_embarrier.engines.resumption import root_of

    root = root_of(process)
    terminal = root.base.extras.get(TERMINAL, None)
    if terminal is not None:
        return None if still_there(terminal) else 'the terminal in which it ran is gone: ' + how_to_resume(root.pk)
    profile = get_manager().get_profile()
    # without a broker a script runs it, of which nothing is known here
    return None if profile is None or profile.process_control_backend is None else daemon_trouble()


def _last_report(process: ProcessNode) -> str | None:
    from aiida.orm import Log

    logs = Log.collection.find({'dbnode_id': process.pk, 'levelname': 'REPORT'}, order_by=[{'id': 'desc'}], limit=1)
    return logs[0].message.partition(']: ')[2] or logs[0].message if logs else None


def _barriers(process: ProcessNode) -> list[dict[str, Any]]:
    """Return the barriers of the bands that a process returned."""
    from aiida_embarrier.data.band import BandData

    names = ('barrier_forward', 'barrier_reverse', 'residual_force', 'converged')
    return [
        {'band': link.link_label, 'pk': link.node.pk, **{name: link.node.base.attributes.get(name) for name in names}}
        for link in process.base.links.get_outgoing(node_class=BandData).all()
    ]


class Screen:
    """The lower part of a terminal, drawn over again and again."""

    def __init__(self) -> None:
        self._drawn = 0

    def show(self, lines: list[str]) -> None:
        """Draw lines over those of the last call, no more and no longer than the terminal has room for."""
        size = shutil.get_terminal_size()
        kept = [line[: size.columns - 1] for line in lines]
        if len(kept) > size.lines - 1:
            kept = [*kept[: size.lines - 2], f'... {len(kept) - size.lines + 2} more lines']
        up = f'\x1b[{self._drawn}F' if self._drawn else ''
        click.echo(f'{up}\x1b[J' + '\n'.join(kept), color=True)
        self._drawn = len(kept)
