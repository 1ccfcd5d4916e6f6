"""Barriers through Slurm, from a profile on PostgreSQL and RabbitMQ: wall time, killed jobs, a killed daemon, Ctrl-C.

As in test_faults.py every evaluation is counted, and those of a run with a fault are compared with those without one.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import psycopg
import pytest
from services.bench import WORKER, Bench, saved, unfinished, wait_until
from shell import Shell, write_structures

from aiida_embarrier.potentials.resources import available_cores

pytestmark = [pytest.mark.slow, pytest.mark.services]

STATE = Path(os.environ.get('EMBARRIER_SERVICES', '/var/lib/embarrier-services'))
DATABASE = 'embarrier_test'
#: How long runs take beside their overhead, in s: long enough to be met before they end. Slurm looks at time limits
#: every half minute: a run that is to meet one of a minute takes longer than both.
RUN, LONG = 10, 100


class SlurmBench(Bench):
    """Runs through Slurm whose evaluations are counted.

    :param shell: of the profile.
    """

    code = 'embarrier-worker@cluster'

    @property
    def pace(self) -> float:
        """Return how long an evaluation takes, in s, where the run is to take :data:`RUN`."""
        return RUN / self.expected.total()

    def wait_for_band(self, name: str, evaluations: int | None = None) -> Path:
        """Wait until a run has made a third of its evaluations and written a checkpoint; return its job's folder."""
        return super().wait_for_band(name, evaluations or self.expected.total() // 3)

    def running_folders(self) -> list[Path]:
        """Return the folders in which workers are at work, without that of the run that meets its limit meanwhile."""
        limited = str(self.log('limited'))
        jobs = [folder / 'job.json' for folder in super().running_folders()]
        return [job.parent for job in jobs if job.is_file() and limited not in job.read_text()]

    def slurm(self, *command: object) -> str:
        """Return what a command of Slurm prints."""
        return subprocess.run(
            list(map(str, command)), env=self.shell.environment, check=True, capture_output=True, text=True
        ).stdout

    def states(self) -> dict[str, str]:
        """Return the states of the jobs that Slurm has not done with, by their numbers."""
        return dict(line.split() for line in self.slurm('squeue', '--noheader', '--format=%A %t').splitlines())

    def numbers(self, pk: int) -> list[str]:
        """Return Slurm's numbers of the jobs below a process."""
        found = self.shell.query(
            f'jobs = [node for node in orm.load_node({pk}).called_descendants if isinstance(node, orm.CalcJobNode)]\n'
            'print(json.dumps([job.get_job_id() for job in sorted(jobs, key=lambda node: node.pk)]))'
        )
        assert isinstance(found, list)
        return found

    def ended(self, pk: int) -> bool:
        """Return whether a process and all below it have ended."""
        found = self.shell.query(
            f'node = orm.load_node({pk})\n'
            'print(json.dumps(all(process.is_terminated for process in (node, *node.called_descendants))))'
        )
        return found is True

    def number_of(self, folder: Path) -> str:
        """Return Slurm's number of the job in a folder."""
        for process in self.shell.processes('embarrier-worker'):
            if Path(process.cwd()) == folder:
                return process.environ()['SLURM_JOB_ID']
        raise AssertionError(f'no worker runs in {folder}')


@pytest.fixture(scope='module')
def services():
    """Return where the services are found."""
    description = STATE / 'services.json'
    if not description.is_file():
        pytest.skip(f'there is no {description}: start the services with `make services`')
    return json.loads(description.read_text())


@pytest.fixture(scope='module')
def database(services):
    """Return the options of AiiDA for a database that is empty."""
    server = services['postgresql']
    given = {key: value for key, value in server.items() if key != 'hostname'}
    with psycopg.connect(
        host=server['hostname'],
        port=server['port'],
        user=server['username'],
        password=server['password'],
        dbname='postgres',
        autocommit=True,
    ) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)')
        connection.execute(f'CREATE DATABASE {DATABASE}')
    options = {'hostname': server['hostname'], **given, 'name': DATABASE}
    return [word for key, value in options.items() for word in (f'--database-{key}', value)]


@pytest.fixture(scope='module')
def bench(services, database, tmp_path_factory):
    folder = tmp_path_factory.mktemp('slurm')
    shell = Shell(folder, SLURM_CONF=services['slurm_conf'])
    profile = ('-n', '--profile-name', 'test', '--set-as-default', '--email', 'tests@localhost', '--broker', 'none')
    repository = ('--repository-uri', (folder / 'repository').as_uri())
    shell('verdi', 'profile', 'setup', 'core.psql_dos', *profile, *database, *repository)
    broker = {'protocol': 'amqp', 'virtual-host': '', **services['rabbitmq']}
    options = [word for key, value in broker.items() for word in (f'--broker-{key}', value)]
    shell('verdi', 'profile', 'configure-broker', 'core.rabbitmq', '-f', '-n', *options, 'test')
    cluster = ('--computer', 'cluster', '--scheduler', 'core.slurm', '--work-dir', folder / 'cluster')
    shell('aiida-embarrier', 'setup', *cluster)
    write_structures(folder)
    shell('verdi', 'daemon', 'start', '1')
    made = SlurmBench(shell)
    yield made
    shell.kill('start-circus', 'daemon worker', 'daemon broker', 'circus import stats')
    if made.states():
        made.slurm('scancel', '--full', '--signal=KILL', *made.states())
    shell.kill(*WORKER)


@pytest.fixture(scope='module')
def reference(bench):
    """Return the bench once it knows what a run without faults evaluates; one that Slurm ends goes on meanwhile."""
    bench.shell(*bench.arguments('reference'))
    bench.expected = bench.evaluated('reference')
    assert bench.expected.total() > 30
    bench.limited = bench.submit('limited', '--queue', 'minute', seconds=LONG / bench.expected.total())
    wait_until(lambda: bench.evaluated('limited').total() > 0)
    return bench


def test_barrier(reference):
    processes = ('--cores', '2', '--set', 'engine.settings.processes=null')
    pk = reference.submit('barrier', *processes, seconds=reference.pace)
    folder = reference.wait_for_band('barrier')
    assert reference.states()[reference.number_of(folder)] == 'R'
    shown = reference.shell('aiida-embarrier', 'watch', pk, '--once').stdout
    assert re.search(r'^band +\d+ +\d\.\d{3} ', shown, re.MULTILINE)
    assert 'energy path of band' in shown
    assert reference.shell.wait_for_end(pk)[:2] == ('finished', 0)
    assert reference.in_vain('barrier') == 0
    assert reference.jobs(pk) == [[0, None]]
    result = json.loads((folder / 'results.json').read_text())
    assert result['processes'] == min(2, available_cores())
    assert 'forward' in reference.shell('aiida-embarrier', 'show', pk).stdout


def test_wall_time_that_the_worker_keeps(reference):
    wall_time = 12 + RUN  # a part of the run, and time to start
    pk = reference.submit('wall', '--wall-time', wall_time, seconds=3 * reference.pace)
    assert reference.shell.wait_for_end(pk)[:2] == ('finished', 0)
    assert reference.in_vain('wall') == 0
    statuses = [status for status, _ in reference.jobs(pk)]
    assert (statuses[0], statuses[-1]) == (401, 0)


def test_cancelled_job(reference):
    """Slurm sends SIGTERM to the shell and to the worker: the job lasts until the worker has written its checkpoint."""
    pk = reference.submit('cancelled', seconds=2 * reference.pace)
    folder = reference.wait_for_band('cancelled')
    number = reference.number_of(folder)
    reference.slurm('scancel', number)
    while True:
        listed = number in reference.states()
        if folder not in reference.running_folders():
            break
        assert listed
    assert reference.shell.wait_for_end(pk)[:2] == ('finished', 0)
    assert reference.in_vain('cancelled') == 0
    assert [status for status, _ in reference.jobs(pk)] == [401, 0]


def test_killed_job(reference):
    """With SIGKILL, as for want of memory."""
    pk = reference.submit('killed', seconds=reference.pace)
    folder = reference.wait_for_band('killed')
    reference.slurm('scancel', '--full', '--signal=KILL', reference.number_of(folder))
    wait_until(lambda: folder not in reference.running_folders())
    lost = reference.evaluated('killed').total() - saved(folder / 'checkpoint.npz')
    assert reference.shell.wait_for_end(pk)[:2] == ('finished', 0)
    assert reference.in_vain('killed') == lost
    assert [status for status, _ in reference.jobs(pk)] == [401, 0]


def test_daemon_is_killed_and_started_again(reference):
    pk = reference.submit('daemon', seconds=reference.pace)
    number = reference.number_of(reference.wait_for_band('daemon'))
    reference.shell.kill_daemon()
    assert reference.states()[number] == 'R'
    reference.shell('verdi', 'daemon', 'start', '1')
    assert reference.shell.wait_for_end(pk)[:2] == ('finished', 0)
    assert reference.in_vain('daemon') == 0
    assert reference.jobs(pk) == [[0, None]]


def test_killed_process_ends_its_job_and_is_resumed(reference):
    pk = reference.submit('process', seconds=reference.pace)
    number = reference.number_of(reference.wait_for_band('process'))
    reference.shell('verdi', 'process', 'kill', pk)
    assert reference.shell.wait_for_end(pk)[0] == 'killed'
    done = reference.shell('aiida-embarrier', 'resume', pk, '--submit', '--format', 'json')
    assert re.search(r'the checkpoint of job \d+ was fetched from cluster', done.stderr)
    assert number not in reference.states()
    assert reference.shell.wait_for_end(json.loads(done.stdout)['pk'])[:2] == ('finished', 0)
    assert reference.in_vain('process') == 0


def test_interrupted_terminal_ends_its_job_and_is_resumed(reference):
    process = reference.shell.start(*reference.arguments('interrupted', reference.pace))
    number = reference.number_of(reference.wait_for_band('interrupted'))
    pk = interrupt(process)
    assert reference.ended(pk)
    assert number not in reference.states()
    reference.shell('aiida-embarrier', 'resume', pk)
    assert reference.in_vain('interrupted') == 0


def test_interrupted_terminal_takes_its_job_out_of_the_queue(reference, tmp_path):
    options = tmp_path / 'options.yaml'
    options.write_text('custom_scheduler_commands: "#SBATCH --hold"')
    before = reference.states()
    process = reference.shell.start(*reference.arguments('held'), '--options', options)
    wait_until(lambda: 'PD' in reference.states().values())
    pk = interrupt(process)
    assert reference.ended(pk)
    assert set(reference.states()) <= set(before)
    assert reference.evaluated('held').total() == 0


def test_killed_terminal_is_resumed(reference):
    process = reference.shell.start(*reference.arguments('terminal', reference.pace))
    number = reference.number_of(reference.wait_for_band('terminal'))
    assert process.stdout is not None
    pk = int(re.search(r'\[(\d+)\] migration barrier', process.stdout.readline())[1])
    process.kill()
    process.wait()
    assert reference.states()[number] == 'R'
    done = reference.shell('aiida-embarrier', 'resume', pk, '--format', 'json')
    assert 'waiting for it to write its checkpoint' in done.stderr
    assert json.loads(done.stdout)['exit_status'] == 0
    assert reference.in_vain('terminal') == 0


def test_wall_time_that_slurm_ends(reference):
    """The limit is that of the partition, of which the worker is not told: Slurm sends SIGTERM, as on `scancel`."""
    assert reference.shell.wait_for_end(reference.limited)[:2] == ('finished', 0)
    assert reference.in_vain('limited') == 0
    assert [status for status, _ in reference.jobs(reference.limited)] == [401, 0]


def test_nothing_is_left(reference):
    wait_until(lambda: not reference.states())
    assert not reference.shell.processes(*WORKER)
    assert unfinished(reference) == []


def interrupt(process: subprocess.Popen[str]) -> int:
    """Interrupt a launch as Ctrl-C does, and return the PK of its process."""
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    return int(re.search(r'go on from there: aiida-embarrier resume (\d+)', output)[1])
