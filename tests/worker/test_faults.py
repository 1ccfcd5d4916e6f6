"""What a worker loses when it is killed, its folder is deleted, or the disk is full: nothing that it had saved."""

import collections
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from potential_systems import surface
from worker.test_runner import COMMAND, bent_line, events, finish, start, write_job

from aiida_embarrier.bands.io import read_npz
from aiida_embarrier.jobs.schemas import JobResult, NebTask, Status

pytestmark = pytest.mark.slow

LABELS = ('a', 'b')


@pytest.fixture
def job(tmp_path):
    """Return a factory of folders with a job of two slow bands, and a function that returns what was evaluated."""

    def make(name, seconds=0.01, **settings):
        log = tmp_path / 'log'
        spec = surface('SlowCosine', seconds=seconds, log=str(log))
        bands = {label: bent_line(n_images) for label, n_images in zip(LABELS, (5, 6), strict=True)}
        tasks = [NebTask(label=label, force_threshold=0.03) for label in LABELS]
        return write_job(tmp_path / name, tasks, spec, bands, **settings)

    def evaluated():
        path = tmp_path / 'log'
        return collections.Counter(path.read_text().splitlines() if path.exists() else [])

    def forget():
        (tmp_path / 'log').unlink(missing_ok=True)

    make.evaluated, make.forget = evaluated, forget
    return make


@pytest.fixture
def expected(job):
    """Return the folder of the job done without any fault, and what it evaluated."""
    folder = job('whole')
    code, _, err = finish(start(folder))
    assert code == 0, err
    words = job.evaluated()
    job.forget()
    return folder, words


def wait_for(condition, process, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def steps(folder):
    path = folder / 'progress.jsonl'
    return sum(event['event'] == 'step' for event in events(folder)) if path.exists() else 0


def saved(folder):
    """Return how many evaluations the checkpoint in a folder stands for."""
    with np.load(folder / 'checkpoint.npz') as archive:
        return sum(task['n_evaluations'] for task in json.loads(str(archive['header']))['tasks'].values())


def assert_same_results(folder, whole):
    found, right = (JobResult.model_validate_json((path / 'results.json').read_text()) for path in (folder, whole))
    assert found.error is None
    assert found.results == right.results
    assert {result.status for result in found.results} == {Status.CONVERGED}
    for label in LABELS:
        bands = [read_npz(path / f'{label}_result.npz') for path in (folder, whole)]
        np.testing.assert_array_equal(bands[0].positions, bands[1].positions)


def test_killed_worker_that_is_started_again_goes_on_in_its_folder(job, expected):
    whole, words = expected
    folder = job('killed')
    lost = 0
    for number in range(1, 4):
        process = start(folder)
        wait_for(lambda number=number: steps(folder) >= 8 * number and (folder / 'checkpoint.npz').exists(), process)
        process.send_signal(signal.SIGKILL)
        process.wait()
        time.sleep(0.3)  # its pool ends with it
        lost = job.evaluated().total() - saved(folder)  # what was evaluated in vain, from all the times before too
    code, out, err = finish(start(folder))
    assert code == 0, err
    assert 'going on from checkpoint.npz' in out
    assert_same_results(folder, whole)
    repeated = job.evaluated() - words
    assert repeated.total() == lost
    assert lost < words.total()  # how much depends on how dear a checkpoint is here beside these cheap evaluations
    assert set(job.evaluated()) == set(words)


def test_folder_that_is_deleted_meanwhile(job, expected):
    whole, words = expected
    folder = job('deleted')
    process = start(folder)
    wait_for(lambda: steps(folder) >= 4, process)
    shutil.rmtree(folder.rename(folder.with_name('away')))  # at once, whatever the worker writes just now
    code, _, err = finish(process)
    assert code == 0, err
    assert_same_results(folder, whole)
    assert job.evaluated() == words
    assert steps(folder) > 4


def test_full_disk_ends_the_job_and_the_checkpoint_before_survives(job, expected):
    whole, words = expected
    folder = job('full')
    process = start(folder)
    wait_for(lambda: steps(folder) >= 6 and (folder / 'checkpoint.npz').exists(), process)
    process.send_signal(signal.SIGTERM)
    assert finish(process)[0] == 0
    before, at_first = (folder / 'checkpoint.npz').read_bytes(), job.evaluated()
    assert saved(folder) == at_first.total()

    limit = len(before) // 2
    limited = subprocess.Popen(
        [*COMMAND, 'run', folder / 'job.json'],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    code, _, err = finish(limited)
    assert code == 1
    assert f'the checkpoint cannot be written to {folder}' in err
    assert 'your quota' in err
    assert 'Traceback' not in err
    assert (folder / 'checkpoint.npz').read_bytes() == before
    assert not list(folder.glob('*.partial'))
    result = JobResult.model_validate_json((folder / 'results.json').read_text())
    assert result.error_kind == 'folder'
    assert Status.INTERRUPTED in {task.status for task in result.results}
    in_vain = job.evaluated().total() - at_first.total()
    assert in_vain > 0

    code, _, err = finish(start(folder))
    assert code == 0, err
    assert_same_results(folder, whole)
    assert (job.evaluated() - words).total() == in_vain


def test_second_worker_in_a_folder_waits_and_repeats_nothing(job, expected):
    whole, words = expected
    folder = job('twice')
    first = start(folder)
    wait_for(lambda: steps(folder) >= 2, first)
    first.send_signal(signal.SIGSTOP)  # or it might be done before the other has started, which takes seconds
    second = start(folder)
    assert 'another worker is at work' in second.stdout.readline()
    first.send_signal(signal.SIGCONT)
    assert finish(first)[0] == 0
    code, _, err = finish(second)
    assert code == 0, err
    assert_same_results(folder, whole)
    assert job.evaluated() == words
