"""``aiida-embarrier resume``: go on with a process that ended before it was done."""

from __future__ import annotations

import re
import shlex
import time
from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.launch.start import START, start
from aiida_embarrier.cli.params import find_node, with_profile

if TYPE_CHECKING:
    from aiida.engine import ProcessBuilder
    from aiida.orm import CalcJobNode, ProcessNode
    from aiida.transports import Transport

__all__ = ('command',)

#: How the process types of jobs of the worker begin that write checkpoints.
WORKER_JOBS = (
    'aiida.calculations:embarrier.potential.',
    'aiida.calculations:embarrier.train',
    'aiida.calculations:embarrier.path_features',
    'aiida.calculations:embarrier.barrier_model',
)

#: Seconds that a worker is given to end the step it is in and to write its checkpoint.
PATIENCE = 120.0


@click.command('resume')
@click.argument('node', metavar='PROCESS')
@click.option(
    '--no-fetch',
    is_flag=True,
    help='Do not look for checkpoints in folders of jobs that were killed: where their computer cannot be reached.',
)
@click.option(
    '--abandoned',
    is_flag=True,
    help='Nothing runs PROCESS any more, as the script that ran it was killed: mark it as killed first.',
)
@START
@with_profile
def command(node: str, no_fetch: bool, abandoned: bool, label: str | None, submit: bool, output_format: str) -> None:
    """Go on with PROCESS, which was killed, failed, or is paused (PK or UUID).

    It is started again with the same inputs. Jobs that were done are taken from the database, and the one that was not
    goes on from its last checkpoint.
    """
    from aiida.orm import ProcessNode

    from aiida_embarrier.engines.resumption import root_of

    found = find_node(node)
    if not isinstance(found, ProcessNode):
        raise click.ClickException(f'node {found.pk} is not a process but a {type(found).__name__}')
    root = root_of(found)
    if root.pk != found.pk:
        _say(f'process {found.pk} is a part of {root.process_label} {root.pk}, which is resumed')
    if not root.is_terminated and not _end(root, abandoned):
        return
    _refuse_what_goes_on(root)
    if not no_fetch:
        _fetch_checkpoints(root)
    start(
        _builder(root),
        label=label or root.label,
        submit=submit,
        output_format=output_format,
        resumes=root,
    )


def _builder(root: ProcessNode) -> ProcessBuilder:
    """Return the inputs of a process again; a job that nobody called gets its checkpoint itself."""
    from aiida.orm import CalcJobNode

    from aiida_embarrier.engines.resumption import last_checkpoint

    builder = root.get_builder_restart()
    checkpoint = last_checkpoint(root) if isinstance(root, CalcJobNode) else None
    if checkpoint is not None:
        builder.checkpoint = checkpoint
        builder.pop('afresh', None)  # that was done before it was written
    return builder


def _say(text: str) -> None:
    click.echo(text, err=True)


def _refuse_what_goes_on(root: ProcessNode) -> None:
    """Refuse a process that is done, or that another one goes on with.

    :raises click.ClickException: if so.
    """
    from aiida.orm import ProcessNode, QueryBuilder

    from aiida_embarrier.engines.resumption import RESUMES

    if root.is_finished_ok:
        raise click.ClickException(f'process {root.pk} is done: aiida-embarrier show {root.pk}')
    query = QueryBuilder().append(ProcessNode, filters={f'extras.{RESUMES}': root.uuid})
    for successor in query.all(flat=True):
        if successor.is_finished_ok:
            raise click.ClickException(
                f'process {successor.pk} went on with {root.pk} and is done: aiida-embarrier show {successor.pk}'
            )
        raise click.ClickException(
            f'process {successor.pk} went on with {root.pk} already: aiida-embarrier resume {successor.pk}'
        )


# ---------------------------------------------------------------- processes that have not ended


def _end(root: ProcessNode, abandoned: bool) -> bool:
    """End a process that does not go on by itself; return False where it was only paused and goes on now.

    :param abandoned: whether the user says that nothing runs it any more.
    :raises click.ClickException: where it runs, or will run by itself, with what to do.
    """
    from aiida.engine.processes.control import kill_processes, play_processes
    from aiida.manage import get_manager
    from aiida.orm import CalcJobNode

    from aiida_embarrier.cli.running import TERMINAL, daemon_trouble, still_there
    from aiida_embarrier.cli.watch import paused

    terminal = root.base.extras.get(TERMINAL, None)
    if terminal is not None:
        if still_there(terminal):
            raise click.ClickException(
                f'process {root.pk} runs in a terminal on {terminal["host"]} (process {terminal["pid"]} there): '
                'end it there with Ctrl-C first'
            )
        _say(f'the terminal in which process {root.pk} ran is gone: it is marked as killed')
        abandoned = True
    if abandoned:
        _mark_as_killed(root)
        return True
    profile = get_manager().get_profile()
    if profile is None or profile.process_control_backend is None:
        raise click.ClickException(
            f'process {root.pk} has not ended, and this profile has no daemon: a script runs it; where that was '
            f'killed, `aiida-embarrier resume {root.pk} --abandoned`'
        )
    trouble = daemon_trouble()
    if trouble is not None:
        raise click.ClickException(
            f'process {root.pk} is in the hands of the daemon and goes on by itself with it, but {trouble}; where a '
            f'script ran the process that was killed, `aiida-embarrier resume {root.pk} --abandoned`'
        )
    stuck = paused(root) or _still_paused_in_their_checkpoints(root)
    if not stuck:
        raise click.ClickException(
            f'process {root.pk} has not ended: `aiida-embarrier watch {root.pk}` shows how it stands, '
            f'`verdi process kill {root.pk}` ends it; where nothing runs it any more, --abandoned'
        )
    for node in stuck:
        _say(f'{node.process_label} {node.pk} is paused: {node.process_status or "it was asked to"}')
    lost = [node for node in stuck if isinstance(node, CalcJobNode) and _has_lost_its_folder(node)]
    if not lost:
        play_processes(stuck, timeout=30)
        _say(f'what was paused goes on now, so process {root.pk} does: aiida-embarrier watch {root.pk}')
        return False
    _say(f'the folder of job {lost[0].pk} is gone, so it cannot go on: process {root.pk} is killed and started again')
    kill_processes([root], timeout=30)
    _wait_for_end(root)
    return True


def _still_paused_in_their_checkpoints(root: ProcessNode) -> list[ProcessNode]:
    """Return the processes that a daemon would take for paused, though they were let go on.

    AiiDA does not write down that a process goes on: where the daemon was killed after that, the process sits there
    paused without looking so (aiida-core 2.9.4). To let one go on that does so already does no harm.
    """
    if root.is_terminated:
        return []
    below = [node for child in root.called for node in _still_paused_in_their_checkpoints(child)]
    waits = re.search(r'^_paused:(?! null)', root.checkpoint or '', re.MULTILINE) is not None
    return [root, *below] if waits else below


def _mark_as_killed(node: ProcessNode) -> None:
    """Let a process that nothing runs any more, and all below it, be killed ones in the database."""
    from aiida.orm import CalcJobNode
    from plumpy import ProcessState

    for child in node.called:
        if not child.is_terminated:
            _mark_as_killed(child)
    node.set_process_state(ProcessState.KILLED)
    node.set_process_status('marked as killed by `aiida-embarrier resume`: nothing ran it any more')
    node.delete_checkpoint()
    if isinstance(node, CalcJobNode):
        node.delete_state()
    node.seal()


def _wait_for_end(process: ProcessNode) -> None:
    from aiida_embarrier.cli.following import refresh_database

    deadline = time.monotonic() + PATIENCE
    while not process.is_terminated:
        if time.monotonic() > deadline:
            raise click.ClickException(
                f'process {process.pk} did not end within {PATIENCE:.0f} s after it was killed: '
                f'`verdi process kill --force {process.pk}`, then resume it again'
            )
        time.sleep(0.5)
        refresh_database()


def _has_lost_its_folder(job: CalcJobNode) -> bool:
    folder = job.get_remote_workdir()
    if folder is None:
        return False
    with job.get_authinfo().get_transport() as transport:
        return not transport.path_exists(folder)


# ---------------------------------------------------------------- what killed jobs left in their folders


def _fetch_checkpoints(root: ProcessNode) -> None:
    """Bring the checkpoints of jobs that were killed before they were retrieved into the database.

    :raises click.ClickException: where a computer cannot be reached, or a worker does not end.
    """
    from aiida.orm import CalcJobNode

    from aiida_embarrier.calculations.checkpoints import CHECKPOINTS, fetch_checkpoint
    from aiida_embarrier.engines.resumption import last_checkpoint

    for job in [root, *root.called_descendants]:
        if not isinstance(job, CalcJobNode) or 'remote_folder' not in job.outputs or 'retrieved' in job.outputs:
            continue
        if last_checkpoint(job) is not None:
            continue
        folder = job.get_remote_workdir()
        try:
            with job.get_authinfo().get_transport() as transport:
                _end_worker(job, transport)
                left = any(transport.isfile(f'{folder}/{name}') for name in CHECKPOINTS)
        except click.ClickException:
            raise
        except Exception as error:  # each kind of transport has its own
            raise click.ClickException(
                f'the folder of job {job.pk} on {job.computer.label} cannot be looked into: {error}; try again when '
                'the computer can be reached, or --no-fetch goes on from what is in the database'
            ) from error
        if left:
            checkpoint = fetch_checkpoint(folder=job.outputs.remote_folder)
            _say(f'the checkpoint of job {job.pk} was fetched from {job.computer.label}: node {checkpoint.pk}')


def _end_worker(job: CalcJobNode, transport: Transport) -> None:
    """End the worker of a job that AiiDA has given up, if it still runs, so that its checkpoint is its last.

    :raises click.ClickException: where it does not end.
    """
    from aiida.schedulers import JobState

    from aiida_embarrier.jobs.schemas import STOP_FILE

    scheduler = job.computer.get_scheduler()
    scheduler.set_transport(transport)
    state = _scheduler_state(job, scheduler, transport)
    if state is None:
        return
    folder = shlex.quote(job.get_remote_workdir())
    ours = str(job.process_type).startswith(WORKER_JOBS)  # other programs would not look at the file
    asked = transport.exec_command_wait(f'touch {folder}/{STOP_FILE}')[0] == 0 if ours else False
    if not asked or state in (JobState.QUEUED, JobState.QUEUED_HELD):
        scheduler.kill_job(job.get_job_id())
    else:
        _say(f'the worker of job {job.pk} still runs: waiting for it to write its checkpoint')
    deadline = time.monotonic() + PATIENCE
    while _scheduler_state(job, scheduler, transport) is not None:
        if time.monotonic() > deadline:
            raise click.ClickException(
                f'the worker of job {job.pk} (number {job.get_job_id()} on {job.computer.label}) did not end within '
                f'{PATIENCE:.0f} s: end it there, then resume again'
            )
        time.sleep(1)


def _scheduler_state(job: CalcJobNode, scheduler: Any, transport: Transport) -> Any | None:
    """Return the state of a job that its scheduler knows, None where it is done or unknown."""
    from aiida.schedulers import JobState

    number = job.get_job_id()
    if number is None:
        return None
    if job.computer.scheduler_type == 'core.direct':
        # Its numbers are those of processes, which are given again to others: ours works in the folder of the job.
        _, place, _ = transport.exec_command_wait(f'readlink /proc/{number}/cwd')
        if place.strip() not in ('', job.get_remote_workdir()):
            return None
    by_user = scheduler.get_feature('can_query_by_user')
    known = scheduler.get_jobs(**({'user': '$USER'} if by_user else {'jobs': [number]}), as_dict=True)
    state = known[number].job_state if number in known else JobState.DONE
    return None if state == JobState.DONE else state
