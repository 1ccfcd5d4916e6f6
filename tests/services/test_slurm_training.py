"""Trainings through Slurm: its wall time, a killed job, several processes.

Whatever stops a training, its weights are those of one that nothing stopped, bit for bit.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from services.bench import WORKER, unfinished, wait_until
from services.test_slurm import services
from shell import Shell

from aiida_embarrier.jobs.learning import CHECKPOINT_FILE

if TYPE_CHECKING:
    import psutil

__all__ = ('services',)

pytestmark = [pytest.mark.slow, pytest.mark.services, pytest.mark.timeout(1800)]

#: Slurm looks at time limits every half minute. A training that is to meet one of a minute begins late, and takes
#: longer than what is then left, in s.
LONG = 90
LATE = '[ -e restart.safetensors ] || sleep 20'
#: Seconds of trainings that are to be stopped in another way.
STOPPED = 30
#: Epochs of the training that shows how many of them these are on this machine.
FIRST_EPOCHS = 200

SUBMIT = """
from aiida.engine import submit
from training_nodes import PARAMETERS, dataset, split
from aiida_embarrier.workflows.train import TrainModelWorkChain
epochs, settings, options = json.loads({given!r})
parameters = {{**PARAMETERS, 'training': {{**PARAMETERS['training'], 'epochs': epochs, 'early_stopping': None}}}}
builder = TrainModelWorkChain.get_builder_from(
    orm.load_code('embarrier-worker@cluster'), {{'gap': dataset()}}, {{'gap': split()}}, parameters=parameters,
    settings={{'threads': 1, 'checkpoint_seconds': 1, **settings}}, options=options,
)
print(submit(builder).pk)
"""

RESULT = """
node = orm.load_node({pk})
jobs = sorted((job for job in node.called if isinstance(job, orm.CalcJobNode)), key=lambda job: job.pk)
table = node.outputs.predictions.table if 'predictions' in node.outputs else None
print(json.dumps({{
    'exit_statuses': [job.exit_status for job in jobs],
    'messages': [job.exit_message for job in jobs],
    'weights': node.outputs.model.base.attributes.get('weights_sha256'),
    'epochs': node.outputs.results['epochs'],
    'results': node.outputs.results.get_dict(),
    'predictions': table['prediction'].tolist(),
}}))
"""


class Trainings:
    """Trainings through Slurm, in a profile of their own.

    :param shell: of the profile.
    """

    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        self.known: dict[int, dict] = {}

    def submit(self, epochs: int, settings: dict | None = None, **options: object) -> int:
        """Submit a training and return the PK."""
        pk = self.shell.query(SUBMIT.format(given=json.dumps([epochs, settings or {}, options])))
        assert isinstance(pk, int)
        return pk

    def result(self, pk: int, seconds: float = 900) -> dict:
        """Return how a training went, once it has ended well."""
        state, exit_status, message = self.shell.wait_for_end(pk, seconds)
        assert (state, exit_status) == ('finished', 0), message
        found = self.shell.query(RESULT.format(pk=pk))
        assert isinstance(found, dict)
        return found

    def whole(self, epochs: int) -> dict:
        """Return a training of so many epochs that nothing disturbs."""
        if epochs not in self.known:
            self.known[epochs] = self.result(self.submit(epochs))
            assert self.known[epochs]['exit_statuses'] == [0]
        return self.known[epochs]

    def workers(self) -> list[psutil.Process]:
        """Return the workers that have written a checkpoint."""
        found = self.shell.processes('embarrier-worker')
        return [process for process in found if (Path(process.cwd()) / CHECKPOINT_FILE).is_file()]


@pytest.fixture(scope='module')
def trainings(services, tmp_path_factory):
    folder = tmp_path_factory.mktemp('slurm_training')
    shell = Shell(folder, SLURM_CONF=services['slurm_conf'], OMP_NUM_THREADS='1')
    shell('verdi', 'presto', '--use-zeromq', '-n', '-p', 'test')
    cluster = ('--computer', 'cluster', '--scheduler', 'core.slurm', '--work-dir', folder / 'cluster')
    shell('aiida-embarrier', 'setup', *cluster)
    shell.query("orm.load_computer('cluster').set_mpirun_command(['srun', '-n', '{tot_num_mpiprocs}'])\nprint('null')")
    shell.start_daemon()
    yield Trainings(shell)
    shell.kill('start-circus', 'daemon worker', 'daemon broker', 'circus import stats')
    shell.kill(*WORKER)


@pytest.fixture(scope='module')
def epochs(trainings):
    """Return how many epochs it takes for a training to take so long that it can be stopped."""
    return int(FIRST_EPOCHS * STOPPED / trainings.whole(FIRST_EPOCHS)['results']['training_s'])


@pytest.fixture(scope='module')
def limited(trainings, epochs):
    """Return a training that Slurm ends after a minute, and the same without a limit; both run while others do."""
    many = int(epochs * LONG / trainings.whole(epochs)['results']['training_s'])
    return trainings.submit(many, queue_name='minute', prepend_text=LATE), trainings.submit(many)


def test_wall_time_that_the_worker_keeps(trainings, epochs, limited):
    whole = trainings.whole(epochs)
    training = whole['results']['training_s']
    start = whole['results']['wall_s'] - training
    found = trainings.result(trainings.submit(epochs, max_wallclock_seconds=int(start + 0.6 * training) + 1))
    assert found['exit_statuses'][0] == 401
    assert 'stopped at 0.95 of the wall time' in found['messages'][0]
    assert found['weights'] == whole['weights']
    assert found['epochs'] == epochs


def test_killed_job(trainings, epochs):
    """With SIGKILL, as for want of memory: the job after it goes on from the checkpoint that was written last."""
    before = trainings.workers()
    pk = trainings.submit(epochs)
    wait_until(lambda: set(trainings.workers()) - set(before), 300)
    (worker,) = set(trainings.workers()) - set(before)
    worker.kill()
    found = trainings.result(pk)
    assert found['exit_statuses'] == [401, 0]
    assert 'killed without results' in found['messages'][0]
    assert found['weights'] == trainings.whole(epochs)['weights']


def test_two_processes(trainings):
    """Two tasks that srun starts train together what one process does: layer normalisation knows no other rows."""
    resources = {'num_machines': 1, 'num_mpiprocs_per_machine': 2}
    found = trainings.result(trainings.submit(20, {'devices': 2}, withmpi=True, resources=resources))
    alone = trainings.whole(20)
    assert (found['results']['n_processes'], alone['results']['n_processes']) == (2, 1)
    assert found['predictions'] == pytest.approx(alone['predictions'], rel=1e-3)


def test_wall_time_that_slurm_ends(trainings, limited):
    """The limit is that of the partition, of which the worker is not told: Slurm sends SIGTERM when it is over."""
    ended, whole = (trainings.result(pk) for pk in limited)
    assert ended['exit_statuses'][0] == 401
    assert 'SIGTERM' in ended['messages'][0]
    assert (ended['exit_statuses'][-1], whole['exit_statuses']) == (0, [0])
    assert ended['epochs'] == whole['epochs']
    assert ended['weights'] == whole['weights']


def test_nothing_is_left(trainings):
    wait_until(lambda: not trainings.shell.processes(*WORKER), 60)
    assert unfinished(trainings) == []
