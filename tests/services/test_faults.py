"""What becomes of a band when a process, the daemon or the machine is killed: nothing that was saved is repeated.

Every evaluation is written into a file by the calculator. The evaluations of a run with a fault are compared with those
of one without: what there is beyond them was in vain, and may only be what came after the last checkpoint.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import time

import pytest
from services.bench import LINE, SECONDS, WORKER, Bench, saved, unfinished, wait_until
from shell import add_far_computer, make_shell

pytestmark = pytest.mark.slow

#: Seconds of an evaluation where a command has to be typed while the band runs.
SLOW = 0.15


@pytest.fixture(scope='module')
def bench(tmp_path_factory):
    shell = make_shell(tmp_path_factory.mktemp('faults'))
    shell.start_daemon()
    made = Bench(shell)
    yield made
    shell.kill(*WORKER, 'start-circus', 'daemon worker', 'daemon broker', 'circus import stats')


@pytest.fixture
def reference(bench):
    """Return the bench once it knows what a run without faults evaluates."""
    if not bench.expected:
        bench.shell(*bench.arguments('reference'))
        bench.expected = bench.evaluated('reference')
    assert bench.expected.total() > 60
    return bench


def test_daemon_is_killed_and_started_again(reference):
    pk = reference.submit('daemon')
    reference.wait_for_band('daemon')
    reference.shell.kill_daemon()
    assert reference.shell.processes('embarrier-worker')
    time.sleep(1)
    reference.shell.start_daemon()
    assert reference.shell.wait_for_end(pk)[:2] == ('finished', 0)
    assert reference.in_vain('daemon') == 0
    assert reference.jobs(pk) == [[0, None]]


def test_machine_is_started_again(reference):
    pk = reference.submit('machine')
    folder = reference.wait_for_band('machine')
    reference.shell.kill_daemon()
    reference.shell.kill(*WORKER)
    lost = reference.evaluated('machine').total() - saved(folder / 'checkpoint.npz')
    reference.shell.start_daemon()
    assert reference.shell.wait_for_end(pk)[:2] == ('finished', 0)
    assert reference.in_vain('machine') == lost
    assert [status for status, _ in reference.jobs(pk)] == [401, 0]


def test_worker_is_killed(reference):
    pk = reference.submit('worker')
    folder = reference.wait_for_band('worker')
    reference.shell.kill(*WORKER)
    lost = reference.evaluated('worker').total() - saved(folder / 'checkpoint.npz')
    assert reference.shell.wait_for_end(pk)[:2] == ('finished', 0)
    assert reference.in_vain('worker') == lost
    assert [status for status, _ in reference.jobs(pk)] == [401, 0]


def test_scheduler_ends_the_job_with_sigterm(reference):
    pk = reference.submit('sigterm')
    reference.wait_for_band('sigterm')
    for process in reference.shell.processes('embarrier-worker'):
        process.send_signal(signal.SIGTERM)
    assert reference.shell.wait_for_end(pk)[:2] == ('finished', 0)
    assert reference.in_vain('sigterm') == 0
    assert [status for status, _ in reference.jobs(pk)] == [401, 0]


def test_wall_time(reference):
    # a quarter of the whole run, and time to start
    seconds = 6 + round(reference.expected.total() * SECONDS / 4)
    pk = reference.submit('wall', '--wall-time', seconds)
    assert reference.shell.wait_for_end(pk)[:2] == ('finished', 0)
    assert reference.in_vain('wall') == 0
    statuses = [status for status, _ in reference.jobs(pk)]
    assert statuses[0] == 401
    assert statuses[-1] == 0


def test_folder_is_deleted_while_the_worker_runs(reference):
    pk = reference.submit('deleted')
    shutil.rmtree(reference.wait_for_band('deleted'))
    assert reference.shell.wait_for_end(pk)[:2] == ('finished', 0)
    assert reference.in_vain('deleted') == 0
    assert reference.jobs(pk) == [[0, None]]


def test_folder_is_deleted_before_retrieval(reference):
    """What lay only there is lost; what was in the database is not: the chain goes on from there by itself."""
    pk = reference.submit('lost')
    reference.wait_for_band('lost')
    for process in reference.shell.processes('embarrier-worker'):
        process.send_signal(signal.SIGTERM)
    reference.wait_for_band('lost', reference.evaluated('lost').total() + 10)  # the second job, from a checkpoint
    first = reference.evaluated('lost').total()
    with_daemon_stopped(reference, lambda: kill_and_delete(reference))
    lost = reference.evaluated('lost').total()
    assert reference.shell.wait_for_end(pk)[:2] == ('finished', 0)
    assert reference.in_vain('lost') <= lost - (first - 10)
    assert [status for status, _ in reference.jobs(pk)] == [401, 301, 0]


def with_daemon_stopped(bench, action) -> None:
    """Do something while the daemon does not look."""
    bench.shell.kill_daemon()
    action()
    bench.shell.start_daemon()


def kill_and_delete(bench) -> None:
    folders = bench.running_folders()
    bench.shell.kill(*WORKER)
    for folder in folders:
        shutil.rmtree(folder)


def test_full_disk_and_resume(reference, tmp_path):
    """The limit on the size of files stands in for a disk that is full until somebody makes space."""
    limit = tmp_path / 'limit'
    limit.write_text('unlimited')
    options = tmp_path / 'options.yaml'
    options.write_text(f'prepend_text: ulimit -f $(cat {limit})')
    pk = reference.submit('full', '--options', options, '--wall-time', 600)
    folder = reference.wait_for_band('full')
    limit.write_text('8')  # kB, from the next job on: enough for results, not for a checkpoint
    for process in reference.shell.processes('embarrier-worker'):
        process.send_signal(signal.SIGTERM)
    state, _, message = reference.shell.wait_for_end(pk)
    assert state == 'finished'
    assert 'the checkpoint cannot be written' in message
    assert [status for status, _ in reference.jobs(pk)] == [401, 303, 303]
    lost = reference.evaluated('full').total() - saved(folder / 'checkpoint.npz')

    limit.write_text('unlimited')
    done = reference.shell('aiida-embarrier', 'resume', pk, '--format', 'json')
    assert json.loads(done.stdout)['exit_status'] == 0
    assert reference.in_vain('full') == lost


def test_killed_process_is_resumed(reference):
    pk = reference.submit('killed', seconds=SLOW)
    folder = reference.wait_for_band('killed')
    refused = reference.shell('aiida-embarrier', 'resume', pk, code=1)
    assert 'has not ended' in refused.stderr
    reference.shell('verdi', 'process', 'kill', pk)
    assert reference.shell.wait_for_end(pk)[0] == 'killed'
    done = reference.shell('aiida-embarrier', 'resume', pk, '--submit', '--format', 'json')
    assert re.search(r'the checkpoint of job \d+ was fetched from here', done.stderr)
    assert (folder / 'checkpoint.npz').exists()
    again = json.loads(done.stdout)['pk']
    assert reference.shell.wait_for_end(again)[:2] == ('finished', 0)
    assert reference.in_vain('killed') == 0
    refused = reference.shell('aiida-embarrier', 'resume', pk, code=1)
    assert f'process {again} went on with {pk} and is done' in refused.stderr
    assert 'is done: aiida-embarrier show' in reference.shell('aiida-embarrier', 'resume', again, code=1).stderr


def test_finished_jobs_are_taken_from_the_database(reference):
    """With relaxed endpoints: their job is done when the process is killed, and is not done again."""
    options = ('--set', 'relax_endpoints=true', '--label', 'named')
    pk = reference.submit('relaxed', *options, seconds=SLOW)
    reference.wait_for_band('relaxed', 40)
    reference.shell('verdi', 'process', 'kill', pk)
    reference.shell.wait_for_end(pk)
    done = reference.shell('aiida-embarrier', 'resume', pk, '--format', 'json')
    again = json.loads(done.stdout)['pk']
    *relaxations, band = reference.jobs(again)
    assert {status for status, _ in (*relaxations, band)} == {0}
    assert all(source is not None for _, source in relaxations)
    assert band[1] is None
    assert reference.shell.query(f'print(json.dumps(orm.load_node({again}).label))') == 'named'
    whole = reference.evaluated('relaxed')
    reference.shell(*reference.arguments('relaxed-reference'), '--set', 'relax_endpoints=true')
    assert whole == reference.evaluated('relaxed-reference')


def test_terminal_is_killed(reference):
    process = reference.shell.start(*reference.arguments('terminal', SLOW))
    reference.wait_for_band('terminal')
    output = process.stdout
    assert output is not None
    pk = int(re.search(r'\[(\d+)\] migration barrier', output.readline())[1])
    refused = reference.shell('aiida-embarrier', 'resume', pk, code=1)
    assert f'(process {process.pid} there)' in refused.stderr
    process.kill()
    process.wait()
    done = reference.shell('aiida-embarrier', 'resume', pk, '--format', 'json')
    assert f'the terminal in which process {pk} ran is gone' in done.stderr
    assert 'waiting for it to write its checkpoint' in done.stderr
    assert json.loads(done.stdout)['exit_status'] == 0
    assert reference.in_vain('terminal') == 0
    assert unfinished(reference) == []


def test_interrupted_terminal_is_resumed(reference):
    process = reference.shell.start(*reference.arguments('interrupted', SLOW))
    reference.wait_for_band('interrupted')
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    pk = int(re.search(r'go on from there: aiida-embarrier resume (\d+)', output)[1])
    assert unfinished(reference) == []
    assert not reference.shell.processes('embarrier-worker')
    reference.shell('aiida-embarrier', 'resume', pk)
    assert reference.in_vain('interrupted') == 0


def test_interrupted_job_on_another_computer_is_resumed(reference):
    add_far_computer(reference.shell)
    process = reference.shell.start(*reference.arguments('far', SLOW, code='embarrier-worker@far'))
    reference.wait_for_band('far')
    pk = int(re.search(r'\[(\d+)\] migration barrier', process.stdout.readline())[1])
    look = json.loads(reference.shell('aiida-embarrier', 'watch', pk, '--format', 'json').stdout)
    assert look['jobs'][0]['computer'] == 'far'
    assert look['jobs'][0]['tasks'][0]['step'] > 0
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)
    assert unfinished(reference) == []
    wait_until(lambda: not reference.shell.processes(*WORKER))
    done = reference.shell('aiida-embarrier', 'resume', pk, '--format', 'json')
    assert re.search(r'the checkpoint of job \d+ was fetched from far', done.stderr)
    assert reference.in_vain('far') == 0


def test_interrupted_network_is_resumed(bench):
    """Several bands in one job, below work chains of work chains."""

    def arguments(name, seconds=SECONDS):
        given = [word for word in bench.arguments(name, seconds) if word not in LINE and word != 'barrier']
        hops = ('Al.cif', '--ion', 'Al', '--hops', '0,1', '--images', '5')
        return [*given[:2], 'network', *hops, *given[2:], '--set', 'min_image_distance=7.5']

    bench.shell(*arguments('network-reference'))
    whole = bench.evaluated('network-reference')
    process = bench.shell.start(*arguments('network', SLOW))
    bench.wait_for_band('network', whole.total() // 2)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    pk = int(re.search(r'go on from there: aiida-embarrier resume (\d+)', output)[1])
    assert unfinished(bench) == []
    assert not bench.shell.processes(*WORKER)
    bench.shell('aiida-embarrier', 'resume', pk)
    assert bench.evaluated('network') == whole


def test_paused_process_goes_on(reference):
    pk = reference.submit('paused', seconds=SLOW)
    reference.wait_for_band('paused')
    reference.shell('verdi', 'process', 'pause', pk)
    shown = reference.shell('aiida-embarrier', 'watch', pk, '--once').stdout
    assert f'process {pk} (MigrationBarrierWorkChain) is paused' in shown
    assert 'left' in shown
    done = reference.shell('aiida-embarrier', 'resume', pk)
    assert 'what was paused goes on now' in done.stderr
    assert reference.shell.wait_for_end(pk)[:2] == ('finished', 0)
    assert reference.in_vain('paused') == 0


def test_process_that_was_paused_when_the_daemon_was_killed(reference):
    """AiiDA takes it for paused when the daemon starts again, though it was let go on."""
    pk = reference.submit('let-go', seconds=SLOW)
    reference.wait_for_band('let-go')
    for action in ('pause', 'play'):
        reference.shell('verdi', 'process', action, pk)
    reference.shell.kill_daemon()
    reference.shell.start_daemon()
    wait_until(lambda: not reference.shell.processes(*WORKER))
    # whether the process still sat there or was done by then
    shown = reference.shell('aiida-embarrier', 'watch', pk, '--format', 'json').stdout
    if not json.loads(shown)['ended']:
        reference.shell('aiida-embarrier', 'resume', pk)
    assert reference.shell.wait_for_end(pk)[:2] == ('finished', 0)
    assert reference.in_vain('let-go') == 0


def test_daemon_that_does_not_run(reference):
    pk = reference.submit('stopped', seconds=SLOW)
    reference.wait_for_band('stopped')
    reference.shell.kill_daemon()
    assert 'the daemon does not run' in reference.shell('aiida-embarrier', 'watch', pk, '--once').stdout
    assert '`verdi daemon start`' in reference.shell('aiida-embarrier', 'resume', pk, code=1).stderr
    reference.shell.start_daemon()
    assert reference.shell.wait_for_end(pk)[:2] == ('finished', 0)
    assert reference.in_vain('stopped') == 0


def test_nothing_is_left(reference):
    assert unfinished(reference) == []
    assert not reference.shell.processes(*WORKER)
