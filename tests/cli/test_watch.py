"""Watching a process: its jobs on this machine and on others, and what it came to."""

import json
import time

import pytest
from aiida.common.links import LinkType
from aiida.manage import get_manager
from aiida.orm import CalcJobNode, Dict, RemoteData, WorkChainNode
from aiida.schedulers import JobState
from click.testing import CliRunner
from plumpy import ProcessState
from systems import computed_band

from aiida_embarrier.cli import following, main, watch
from aiida_embarrier.cli import running as cli_running
from aiida_embarrier.cli.following import ProgressFollower, running_jobs
from aiida_embarrier.cli.running import TERMINAL, this_terminal
from aiida_embarrier.cli.watch import Screen, Watcher
from aiida_embarrier.cli.watching import frame_of, news_of
from aiida_embarrier.workflows.pool import TASKS

NOW = 1.79e9


def step(number, force, task='band', status='running', **entries):
    return {
        'event': 'step',
        'time': NOW + 3 + 2 * number,
        'task': task,
        'step': number,
        'n_evaluations': 7 + 5 * number,
        'status': status,
        'residual_force': force,
        'force_threshold': 0.05,
        'barrier': 0.41,
        'climbing_image': None,
        **entries,
    }


class Running:
    """A barrier that seems to run, with one job whose progress file is written by the test."""

    def __init__(self, computer, folder, caller=None, call=None):
        self.barrier = self._process(WorkChainNode(), 'MigrationBarrierWorkChain', caller, call)
        self.neb = self._process(WorkChainNode(), 'PotentialNebWorkChain', self.barrier)
        self.job = self._process(CalcJobNode(computer=computer), 'PotentialNebCalculation', self.neb)
        self.job.set_process_status('Monitoring scheduler: job state RUNNING')
        self.job.set_remote_workdir(str(folder))
        self.file = folder / 'progress.jsonl'

    def _process(self, node, label, caller, call='neb'):
        node.set_process_label(label)
        if isinstance(node, CalcJobNode):
            node.set_option('resources', {'num_machines': 1, 'num_mpiprocs_per_machine': 1})
        if caller is not None:
            kind = LinkType.CALL_CALC if isinstance(node, CalcJobNode) else LinkType.CALL_WORK
            node.base.links.add_incoming(caller, link_type=kind, link_label=call)
        node.store()
        node.set_process_state(ProcessState.WAITING)
        return node

    def write(self, *lines):
        with self.file.open('a') as handle:
            handle.writelines(json.dumps(line) + '\n' for line in lines)

    def end(self, state=ProcessState.FINISHED, exit_status=0, message=''):
        for node in (self.job, self.neb, self.barrier):
            node.set_process_state(state)
            if state is ProcessState.FINISHED:
                node.set_exit_status(exit_status)
                node.set_exit_message(message)


@pytest.fixture
def running(aiida_profile_clean, aiida_localhost, tmp_path):
    return Running(aiida_localhost, tmp_path)


def run(*arguments, code=0):
    result = CliRunner().invoke(main, ['watch', *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result.output


def test_what_is_counted_is_told_with_its_total(running, worker_code):
    counted = {'event': 'step', 'task': 'orderings', 'total': 1467648, 'unit': 'arrangements', 'status': 'running'}
    running.write({'event': 'start', 'time': NOW})
    running.write({**counted, 'time': NOW + 1, 'step': 0}, {**counted, 'time': NOW + 11, 'step': 366912})
    with ProgressFollower() as follower:
        look = Watcher(running.barrier, follower).look()
    task = look['jobs'][0]['tasks'][0]
    assert (task['step'], task['total'], task['unit']) == (366912, 1467648, 'arrangements')
    assert task['left_s'] == pytest.approx(30)
    assert '366912 of 1467648 arrangements' in '\n'.join(frame_of(look))
    assert news_of(look, {})[0].endswith('orderings: running, 366912 of 1467648 arrangements, in 0:00:11, 0:00:30 left')


def test_a_training_is_told_with_loss_and_error(running, worker_code):
    epoch = {'event': 'step', 'task': 'training', 'total': 50, 'unit': 'epochs', 'status': 'running', 'lr': 1e-3}
    running.write({'event': 'start', 'time': NOW})
    running.write(
        {**epoch, 'time': NOW + 10, 'step': 1, 'loss': 0.75, 'mae': None},
        {**epoch, 'time': NOW + 20, 'step': 2, 'loss': 0.5, 'mae': 0.25},
    )
    with ProgressFollower() as follower:
        look = Watcher(running.barrier, follower).look()
    shown = '\n'.join(frame_of(look))
    assert 'validation MAE (scaled)' in shown
    assert 'eV/Å' not in shown
    assert news_of(look, {})[0].endswith(
        'training: running, 2 of 50 epochs, loss 0.5, validation MAE 0.25 (scaled), in 0:00:20, 0:08:00 left'
    )


def test_of_a_study_is_told_how_far_it_is(running):
    """Of many processes, how many have ended, whatever the jobs tell of those that run."""
    with ProgressFollower() as follower:
        watcher = Watcher(running.barrier, follower)
        assert watcher.look()['tasks'] is None
        running.barrier.base.extras.set(TASKS, {'total': 106, 'ended': 12, 'running': 2})
        look, told = watcher.look(), {}
        assert '12 of 106 have ended, 2 running, 92 waiting' in frame_of(look)
        assert news_of(look, told)[0].endswith(f'[{running.barrier.pk}] 12 of 106 have ended, 2 running, 92 waiting')
        assert news_of(watcher.look(), told) == []
        running.neb.set_process_state(ProcessState.FINISHED)
        running.neb.set_exit_status(400)
        running.barrier.base.extras.set(TASKS, {'total': 106, 'ended': 13, 'running': 2})
        assert news_of(watcher.look(), told)[0].endswith('13 of 106 have ended, 1 failed, 2 running, 91 waiting')


# ---------------------------------------------------------------- reading files


@pytest.fixture(params=[False, True], ids=['here', 'through transport'])
def follower(request):
    with ProgressFollower(through_transport=request.param) as made:
        yield made


def test_only_what_is_new_is_read(running, follower):
    assert follower.read(running.job) == []
    running.write({'event': 'start', 'time': NOW}, step(0, 1.0))
    assert [line['event'] for line in follower.read(running.job)] == ['start', 'step']
    assert follower.read(running.job) == []
    whole = json.dumps(step(1, 0.9)) + '\n'
    with running.file.open('a') as handle:
        handle.write(whole[:30])
        handle.flush()
        assert follower.read(running.job) == []
        handle.write(whole[30:])
    assert [line['step'] for line in follower.read(running.job)] == [1]


def test_of_a_long_file_the_first_line_and_the_end_are_read(running, follower, monkeypatch):
    monkeypatch.setattr(following, 'LONGEST_TAIL', 1000)
    running.write({'event': 'start', 'time': NOW}, *(step(number, 1.0) for number in range(100)))
    lines = follower.read(running.job)
    assert lines[0]['event'] == 'start'
    steps = [line['step'] for line in lines[1:]]
    assert steps == list(range(steps[0], 100))
    assert 2 <= len(steps) <= 6
    running.write(step(100, 1.0))
    assert [line['step'] for line in follower.read(running.job)] == [100]


def test_file_that_begins_again(running, follower):
    running.write({'event': 'start', 'time': NOW}, step(0, 1.0), step(1, 1.0))
    follower.read(running.job)
    running.file.unlink()
    running.write({'event': 'start', 'time': NOW + 60})
    assert [line['time'] for line in follower.read(running.job)] == [NOW + 60]


def test_one_connection_and_no_more_bytes_than_there_are_new(running, monkeypatch):
    from aiida.transports.plugins.local import LocalTransport

    opened, travelled = [], []
    whole, execute = LocalTransport.open, LocalTransport.exec_command_wait_bytes
    monkeypatch.setattr(LocalTransport, 'open', lambda self: (opened.append(1), whole(self))[1])

    def count(self, command, *args, **kwargs):
        found = execute(self, command, *args, **kwargs)
        travelled.append(len(found[1]))
        return found

    monkeypatch.setattr(LocalTransport, 'exec_command_wait_bytes', count)
    with ProgressFollower(through_transport=True) as follower:
        running.write({'event': 'start', 'time': NOW}, *(step(number, 1.0) for number in range(50)))
        follower.read(running.job)
        travelled.clear()
        running.write(step(50, 1.0))
        assert len(follower.read(running.job)) == 1
        assert follower.connects(running.job)
    assert sum(travelled) < 400
    assert len(opened) == 1


def test_computer_that_does_not_answer(running, monkeypatch):
    from aiida.transports.plugins.local import LocalTransport

    running.write({'event': 'start', 'time': NOW}, step(0, 1.0))
    with ProgressFollower(through_transport=True) as follower:
        with monkeypatch.context() as patch:
            patch.setattr(LocalTransport, 'open', lambda _: 1 / 0)
            look = Watcher(running.barrier, follower).look()
        assert 'localhost cannot be read from' in '\n'.join(frame_of(look))
        assert len(follower.read(running.job)) == 2  # it answers again


def test_job_that_has_no_folder_yet(running, follower):
    running.job.base.attributes.delete('remote_workdir')
    assert follower.read(running.job) == []
    assert running_jobs(running.barrier) == [running.job] == running_jobs(running.job)


# ---------------------------------------------------------------- what is shown


def test_frame(running):
    running.write(
        {'event': 'start', 'time': NOW},
        *(step(number, 0.8 * 2 ** (9 - number), n_images=5, energies=[0, 0.2, 0.41, 0.2, 0]) for number in range(10)),
    )
    shown = run(running.barrier.pk, '--once')
    row = next(line for line in shown.splitlines() if line.startswith('band'))
    assert row.split() == ['band', '9', '0.410', '0.800', '(0.05)', '5', '52', '0:00:21', '0:00:08']
    assert '●' in shown
    assert '0.410 ┤' in shown
    assert 'force 410 █' in shown
    assert '0.8, aim 0.05 eV/Å' in shown
    # the job alone, and its work chain
    assert row in run(running.job.pk, '--once')
    assert row in run(running.neb.pk, '--once')


def test_lines_without_energies(running):
    running.write({'event': 'start', 'time': NOW}, step(0, 0.8))
    shown = run(running.barrier.pk, '--once')
    assert '●' not in shown
    assert shown.splitlines()[-1].split()[-1] == '?'


def test_json_is_one_look(running):
    running.write({'event': 'start', 'time': NOW}, step(0, 0.8))
    look = json.loads(run(running.barrier.pk, '--format', 'json'))
    assert look['ended'] is False
    (task,) = look['jobs'][0]['tasks']
    assert (task['task'], task['step'], task['force'], task['left_s']) == ('band', 0, 0.8, None)


def test_several_bands(running):
    running.write(
        {'event': 'start', 'time': NOW},
        step(0, 0.8, 'a', energies=[0, 0.1, 0]),
        step(0, 0.04, 'b', 'converged', energies=[0, 0.9, 0]),
        {'event': 'end', 'time': NOW + 5, 'task': 'b', 'status': 'converged', 'message': 'converged in 0 steps'},
    )
    shown = run(running.barrier.pk, '--once')
    assert 'energy path of a' in shown
    assert next(line for line in shown.splitlines() if line.startswith('b ')).split()[-1] == 'converged'
    assert 'energy path of b' in run(running.barrier.pk, '--once', '--task', 'b')
    assert "no running job has a task 'c'; there are: a, b" in run(running.barrier.pk, '--once', '--task', 'c', code=1)


def test_job_that_has_not_begun(running):
    assert 'on localhost: Monitoring scheduler: job state RUNNING' in run(running.barrier.pk, '--once')
    running.job.set_scheduler_state(JobState.QUEUED)
    assert 'model' not in run(running.barrier.pk, '--once')
    running.job.set_scheduler_state(JobState.RUNNING)
    assert 'on localhost: the model is being loaded' in run(running.barrier.pk, '--once')
    running.write({'event': 'start', 'time': NOW}, step(0, 0.8))
    assert 'model' not in run(running.barrier.pk, '--once')


def test_runs_of_a_study_are_told_apart(aiida_profile_clean, aiida_localhost, tmp_path):
    study = WorkChainNode()
    variable = {'key': 'n_images', 'values': [5, 7], 'runs': ['base', 'n_images_7']}
    study.base.links.add_incoming(Dict({'variables': [variable]}).store(), LinkType.INPUT_WORK, 'study')
    study.set_process_label('ConvergenceWorkChain')
    study.store().set_process_state(ProcessState.WAITING)
    running = Running(aiida_localhost, tmp_path, study, 'run_n_images_7')
    running.write({'event': 'start', 'time': NOW}, step(0, 0.8, energies=[0, 0.1, 0]))
    shown = run(study.pk, '--once')
    assert 'energy path of n_images = 7' in shown
    assert 'energy path of band' in run(running.barrier.pk, '--once')


def test_job_of_another_program_shows_what_it_printed_last(running, monkeypatch):
    monkeypatch.setattr(following, 'output_name', lambda _: 'vasp_output')
    file = running.file.with_name('vasp_output')
    shown = run(running.barrier.pk, '--once')
    assert f'job {running.job.pk} (PotentialNebCalculation, neb / neb) on localhost' in shown
    assert 'vasp_output' not in shown, 'it has printed nothing yet'
    file.write_text('x' * 20000 + '\n   1 F= -.2085E+02 E0= -.2085E+02\n\n')
    assert '    vasp_output: 1 F= -.2085E+02 E0= -.2085E+02' in run(running.barrier.pk, '--once').splitlines()
    (job,) = json.loads(run(running.barrier.pk, '--format', 'json'))['jobs']
    assert job['output'] == {'file': 'vasp_output', 'line': '1 F= -.2085E+02 E0= -.2085E+02'}
    told = {}
    with ProgressFollower(through_transport=True) as follower:
        watcher = Watcher(running.barrier, follower)
        (line,) = news_of(watcher.look(), told)
        assert line.endswith(f'[{running.job.pk}] neb / neb: 1 F= -.2085E+02 E0= -.2085E+02')
        assert news_of(watcher.look(), told) == []
        file.write_text('   2 F= -.2086E+02\n')
        assert len(news_of(watcher.look(), told)) == 1


def test_where_a_program_prints_to(aiida_profile, aiida_localhost):
    job = CalcJobNode(computer=aiida_localhost)
    assert following.output_name(job) is None
    job.base.repository.put_object_from_bytes(b'{"codes_info": [{"stdout_name": "aiida.out"}]}', '.aiida/calcinfo.json')
    assert following.output_name(job) == 'aiida.out'
    other = CalcJobNode(computer=aiida_localhost)
    other.base.repository.put_object_from_bytes(b'{"codes_info": []}', '.aiida/calcinfo.json')
    assert following.output_name(other) is None


def test_paused(running):
    running.job.pause()
    running.job.set_process_status('Pausing after failed transport task: retrieve_calculation failed 5 times')
    shown = run(running.barrier.pk, '--once')
    assert f'process {running.job.pk} (PotentialNebCalculation) is paused: Pausing after failed' in shown
    assert f'`aiida-embarrier resume {running.barrier.pk}`' in shown


def test_terminal_that_is_gone(running):
    terminal = this_terminal()
    running.barrier.base.extras.set(TERMINAL, terminal)
    assert 'resume' not in run(running.job.pk, '--once')
    running.barrier.base.extras.set(TERMINAL, {**terminal, 'started': 0.0})
    shown = run(running.job.pk, '--once')
    assert f'the terminal in which it ran is gone: `aiida-embarrier resume {running.barrier.pk}`' in shown


def test_daemon_that_does_not_listen(running, monkeypatch):
    class Broker:
        subscribers = 0

        def probe_service_status(self):
            return {'task_subscribers': self.subscribers}

    manager = get_manager()
    monkeypatch.setattr(type(manager.get_profile()), 'process_control_backend', 'core.zeromq')
    monkeypatch.setattr(type(manager), 'get_broker', lambda _: Broker())
    monkeypatch.setattr(cli_running, 'daemon_runs', lambda: False)
    assert 'the daemon does not run: `verdi daemon start`' in run(running.barrier.pk, '--once')
    monkeypatch.setattr(cli_running, 'daemon_runs', lambda: True)
    assert '`verdi daemon restart`' in run(running.barrier.pk, '--once')
    Broker.subscribers = 1
    assert 'daemon' not in run(running.barrier.pk, '--once')


def test_news_are_told_once(running):
    told = {}
    with ProgressFollower() as follower:
        watcher = Watcher(running.barrier, follower)
        running.write({'event': 'start', 'time': NOW}, step(0, 0.8))
        (line,) = news_of(watcher.look(), told)
        assert 'band: running, step 0, barrier 0.410 eV, force 0.800 (0.05) eV/Å, 7 evaluations' in line
        assert news_of(watcher.look(), told) == []
        running.write(step(1, 0.7), step(2, 0.6))
        (line,) = news_of(watcher.look(), told)
        assert 'step 2' in line


def test_watching_ends_with_the_process(running, monkeypatch):
    from aiida_embarrier.data.band import BandData

    band = BandData(computed_band()).store()
    band.base.links.add_incoming(running.barrier, link_type=LinkType.RETURN, link_label='band')
    running.write({'event': 'start', 'time': NOW}, step(0, 0.8))
    monkeypatch.setattr(time, 'sleep', lambda _: running.end())
    shown = run(running.barrier.pk)
    assert 'step 0' in shown
    assert 'finished [0]' in shown
    assert '0.600' in shown
    assert 'resume' not in shown


def test_process_that_failed(running):
    running.end(exit_status=312, message='The band could not be computed: why')
    shown = run(running.barrier.pk)
    assert 'finished [312]' in shown
    assert 'The band could not be computed: why' in shown
    assert f'aiida-embarrier resume {running.barrier.pk}' in shown


def test_ctrl_c_ends_the_watching_only(running, monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(watch.time, 'sleep', interrupt)
    assert f'no longer watching; process {running.barrier.pk} goes on' in run(running.barrier.pk)


def test_interval_is_longer_where_a_connection_is_needed(running, monkeypatch):
    slept = []

    def sleep(seconds):
        slept.append(seconds)
        raise KeyboardInterrupt

    monkeypatch.setattr(watch.time, 'sleep', sleep)
    run(running.barrier.pk)
    monkeypatch.setattr(following, 'is_here', lambda _: False)
    run(running.barrier.pk)
    run(running.barrier.pk, '--interval', 3)
    assert slept == [1.0, 10.0, 3.0]


def test_node_that_is_no_process(aiida_profile_clean, tmp_path, aiida_localhost):
    data = RemoteData(computer=aiida_localhost, remote_path=str(tmp_path)).store()
    assert 'is not a process but a RemoteData' in run(data.pk, code=1)


def test_screen_keeps_to_the_terminal(monkeypatch, capsys):
    import os

    monkeypatch.setattr(watch.shutil, 'get_terminal_size', lambda: os.terminal_size((20, 5)))
    screen = Screen()
    screen.show(['x' * 30, 'b'])
    screen.show([str(number) for number in range(10)])
    first, second = capsys.readouterr().out.split('\x1b[2F')  # back up over the two lines drawn first
    assert first == '\x1b[J' + 'x' * 19 + '\nb\n'
    assert second == '\x1b[J0\n1\n2\n... 7 more lines\n'
