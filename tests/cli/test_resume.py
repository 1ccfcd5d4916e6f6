"""``resume``: what it refuses, what it ends first, and the checkpoints that it fetches."""

import io
import os
import socket
import subprocess
import time

import psutil
import pytest
from aiida.common.links import LinkType
from aiida.manage import get_manager
from aiida.orm import CalcJobNode, Int, List, QueryBuilder, RemoteData, SinglefileData, WorkChainNode, load_node
from click.testing import CliRunner
from plumpy import ProcessState
from systems import straight_band

from aiida_embarrier.cli import main, resume, running
from aiida_embarrier.cli.running import TERMINAL, still_there, this_terminal
from aiida_embarrier.data.band import BandData
from aiida_embarrier.engines.resumption import RESUMES


@pytest.fixture
def barrier(aiida_profile_clean, aiida_localhost, tmp_path):
    """Return a barrier that waits for its job, which has a folder with a checkpoint."""
    root = WorkChainNode(process_type='aiida.workflows:embarrier.barrier')
    root.set_process_label('MigrationBarrierWorkChain')
    root.label = 'named'
    root.store()
    job = CalcJobNode(computer=aiida_localhost, process_type='aiida.calculations:embarrier.potential.neb')
    job.set_option('resources', {'num_machines': 1, 'num_mpiprocs_per_machine': 1})
    job.base.links.add_incoming(root, link_type=LinkType.CALL_CALC, link_label='iteration_01')
    job.store()
    job.set_remote_workdir(str(tmp_path))
    folder = RemoteData(computer=aiida_localhost, remote_path=str(tmp_path))
    folder.base.links.add_incoming(job, link_type=LinkType.CREATE, link_label='remote_folder')
    folder.store()
    for node in (root, job):
        node.set_process_state(ProcessState.WAITING)
    (tmp_path / 'checkpoint.npz').write_bytes(b'state')
    return root


@pytest.fixture
def started(monkeypatch):
    """Return what would have been started."""
    calls = []
    monkeypatch.setattr(resume, 'start', lambda builder, **options: calls.append({'builder': builder, **options}))
    return calls


def end(root, state=ProcessState.KILLED, exit_status=None):
    for node in (root, *root.called):
        node.set_process_state(state)
        if exit_status is not None:
            node.set_exit_status(exit_status)


def run(*arguments, code=0):
    result = CliRunner().invoke(main, ['resume', *map(str, arguments)])
    assert result.exit_code == code, result.output
    return ' '.join(result.output.split())


def test_checkpoint_is_fetched_once(barrier, started):
    end(barrier)
    (job,) = barrier.called
    assert f'the checkpoint of job {job.pk} was fetched from localhost' in run(job.pk, '--submit')
    fetched = QueryBuilder().append(SinglefileData).all(flat=True)
    assert [node.content for node in fetched] == [b'state']
    assert 'was fetched' not in run(barrier.pk)
    assert QueryBuilder().append(SinglefileData).count() == 1
    assert [call['resumes'].pk for call in started] == [barrier.pk] * 2
    assert [call['submit'] for call in started] == [True, False]
    assert {call['label'] for call in started} == {'named'}
    assert run(barrier.pk, '--label', 'other') == ''
    assert started[-1]['label'] == 'other'


def test_part_of_a_process_stands_for_the_whole(barrier, started):
    end(barrier)
    (job,) = barrier.called
    assert f'process {job.pk} is a part of MigrationBarrierWorkChain {barrier.pk}, which is resumed' in run(job.pk)


def test_job_of_its_own_gets_its_checkpoint(aiida_profile_clean, make_calcjob_node, started):
    inputs = {'bands__band': BandData(straight_band()), 'afresh': List(['band'])}
    outputs = {'checkpoint': SinglefileData(io.BytesIO(b'state'))}
    job = make_calcjob_node('embarrier.potential.neb', inputs, outputs=outputs, exit_status=401)
    run(job.pk)
    builder = started[0]['builder']
    assert builder.checkpoint.uuid == job.outputs.checkpoint.uuid
    assert builder.bands['band'].uuid == job.inputs.bands.band.uuid
    assert 'afresh' not in builder


def test_folder_that_cannot_be_looked_into(barrier, started, monkeypatch):
    from aiida.transports.plugins.local import LocalTransport

    end(barrier)
    monkeypatch.setattr(LocalTransport, 'open', lambda _: 1 / 0)
    assert '--no-fetch goes on from what is in the database' in run(barrier.pk, code=1)
    assert not started
    assert run(barrier.pk, '--no-fetch') == ''
    assert len(started) == 1


def test_folder_that_is_gone(barrier, started, tmp_path):
    end(barrier)
    (tmp_path / 'checkpoint.npz').unlink()
    tmp_path.rmdir()
    assert run(barrier.pk) == ''
    assert len(started) == 1


def test_worker_that_still_runs_is_asked_to_stop(barrier, started, tmp_path):
    end(barrier)
    (job,) = barrier.called
    script = 'while [ ! -e stop ]; do sleep 0.1; done; echo later > checkpoint.npz'
    with subprocess.Popen(['bash', '-c', script], cwd=tmp_path) as worker:
        job.base.attributes.set('job_id', str(worker.pid))
        beginning = time.monotonic()
        while psutil.Process(worker.pid).cwd() != str(tmp_path):
            assert time.monotonic() < beginning + 5
        # a zombie counts as done for the scheduler, as it does for AiiDA
        assert f'the worker of job {job.pk} still runs' in run(barrier.pk)
    (fetched,) = QueryBuilder().append(SinglefileData).all(flat=True)
    assert fetched.content == b'later\n'


def test_another_program_is_killed(barrier, started, tmp_path, monkeypatch):
    """Only the worker looks for the file that asks it to stop."""
    monkeypatch.setattr(resume, 'WORKER_JOBS', 'aiida.calculations:vasp.')
    end(barrier)
    (job,) = barrier.called
    with subprocess.Popen(['sleep', '60'], cwd=tmp_path) as program:
        job.base.attributes.set('job_id', str(program.pid))
        beginning = time.monotonic()
        while psutil.Process(program.pid).cwd() != str(tmp_path):
            assert time.monotonic() < beginning + 5
        assert 'still runs' not in run(barrier.pk)
        assert program.wait(5) < 0
    assert not (tmp_path / 'stop').exists()
    assert started


def test_another_process_with_the_number_of_the_worker_is_left_alone(barrier, started, tmp_path):
    end(barrier)
    (job,) = barrier.called
    job.base.attributes.set('job_id', str(os.getpid()))
    assert 'still runs' not in run(barrier.pk)
    assert not (tmp_path / 'stop').exists()


def test_worker_that_does_not_stop(barrier, started, tmp_path, monkeypatch):
    end(barrier)
    (job,) = barrier.called
    monkeypatch.setattr(resume, 'PATIENCE', 0.5)
    with subprocess.Popen(['sleep', '60'], cwd=tmp_path) as worker:
        job.base.attributes.set('job_id', str(worker.pid))
        assert f'(number {worker.pid} on localhost) did not end within' in run(barrier.pk, code=1)
        worker.kill()
    assert not started


# ---------------------------------------------------------------- what is refused


def test_what_is_done_is_refused(barrier, started):
    end(barrier, ProcessState.FINISHED, 0)
    assert f'process {barrier.pk} is done: aiida-embarrier show {barrier.pk}' in run(barrier.pk, code=1)
    assert not started


def test_what_another_process_went_on_with_is_refused(barrier, started):
    end(barrier)
    successor = WorkChainNode(process_type=barrier.process_type)
    successor.base.extras.set(RESUMES, barrier.uuid)
    successor.store()
    successor.set_process_state(ProcessState.KILLED)
    assert f'aiida-embarrier resume {successor.pk}' in run(barrier.pk, code=1)
    successor.set_process_state(ProcessState.FINISHED)
    successor.set_exit_status(0)
    assert f'aiida-embarrier show {successor.pk}' in run(barrier.pk, code=1)
    assert not started


def test_other_nodes(aiida_profile_clean):
    assert 'is not a process but a Int' in run(Int(1).store().pk, code=1)
    assert "there is no node '99999'" in run('99999', code=1)


def test_terminal_that_is_there_is_left_alone(barrier, started):
    barrier.base.extras.set(TERMINAL, this_terminal())
    assert 'end it there with Ctrl-C first' in run(barrier.pk, code=1)
    assert 'end it there with Ctrl-C first' in run(barrier.pk, '--abandoned', code=1)
    assert not barrier.is_terminated


def test_process_whose_terminal_is_gone_is_marked_as_killed(barrier, started):
    terminal = this_terminal()
    barrier.base.extras.set(TERMINAL, {**terminal, 'started': terminal['started'] - 1000})  # its number, another one
    assert f'the terminal in which process {barrier.pk} ran is gone' in run(barrier.pk)
    for node in (barrier, *barrier.called):
        assert load_node(node.pk).is_killed
        assert load_node(node.pk).is_sealed
    assert len(started) == 1


def test_terminals():
    here = this_terminal()
    assert still_there(here)
    assert not still_there({**here, 'started': here['started'] - 5})
    with subprocess.Popen(['true']) as process:
        process.wait()
    assert not still_there({**here, 'pid': process.pid})
    assert still_there({**here, 'pid': process.pid, 'host': f'not-{socket.gethostname()}'})


def test_process_of_a_script_without_a_daemon(barrier, started):
    assert f'aiida-embarrier resume {barrier.pk} --abandoned' in run(barrier.pk, code=1)
    run(barrier.pk, '--abandoned')
    assert load_node(barrier.pk).is_killed
    assert len(started) == 1


@pytest.fixture
def daemon(monkeypatch):
    """Return the PKs that a daemon, which is well, was told to let go on."""
    from aiida.engine.processes import control

    told = []
    monkeypatch.setattr(type(get_manager().get_profile()), 'process_control_backend', 'core.zeromq')
    monkeypatch.setattr(running, 'daemon_trouble', lambda: None)
    monkeypatch.setattr(control, 'play_processes', lambda nodes, **_: told.extend(node.pk for node in nodes))
    return told


def test_running_process_is_left_alone(barrier, started, daemon):
    assert f'process {barrier.pk} has not ended' in run(barrier.pk, code=1)
    assert not daemon
    assert not started


def test_paused_process_is_let_go_on(barrier, started, daemon):
    (job,) = barrier.called
    job.pause()
    job.set_process_status('Pausing after failed transport task')
    shown = run(barrier.pk)
    assert f'{job.process_label} {job.pk} is paused: Pausing after failed transport task' in shown
    assert 'what was paused goes on now' in shown
    assert daemon == [job.pk]
    assert not started


@pytest.mark.parametrize(('checkpoint', 'found'), [('_paused:\n  _done: 1\n', True), ('_paused: null\n', False)])
def test_process_that_is_paused_in_its_checkpoint_only(barrier, started, daemon, checkpoint, found):
    barrier.set_checkpoint(checkpoint)
    run(barrier.pk, code=0 if found else 1)
    assert daemon == ([barrier.pk] if found else [])


def test_job_that_is_paused_and_has_lost_its_folder_is_killed(barrier, started, daemon, tmp_path, monkeypatch):
    from aiida.engine.processes import control

    (job,) = barrier.called
    job.pause()
    (tmp_path / 'checkpoint.npz').unlink()
    tmp_path.rmdir()
    monkeypatch.setattr(control, 'kill_processes', lambda nodes, **_: end(*nodes))
    assert f'the folder of job {job.pk} is gone' in run(barrier.pk)
    assert not daemon
    assert [call['resumes'].pk for call in started] == [barrier.pk]
