"""Jobs on this machine: what they write comes back, and what goes wrong is said."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from aiida_embarrier.jobs import barriers_here, here
from aiida_embarrier.jobs.barriers_here import barrier_files
from aiida_embarrier.jobs.here import WorkerError, run_here
from aiida_embarrier.jobs.learning import ModelCard
from aiida_embarrier.jobs.model_files import ModelFilesError, barrier_card
from aiida_embarrier.jobs.schemas import PROGRESS_FILE, RESULT_FILE
from aiida_embarrier.jobs.scoring import ScoreBarriersJob, ScoreBarriersResult

JOB = ScoreBarriersJob(table='judged.parquet')


def test_no_worker(monkeypatch):
    monkeypatch.setattr(here, 'find_worker', lambda: None)
    with pytest.raises(WorkerError, match='install aiida-embarrier again'):
        run_here(JOB, {}, ScoreBarriersResult, [])


def test_a_worker_that_dies(monkeypatch):
    dead = SimpleNamespace(returncode=-9, stderr='Killed')
    monkeypatch.setattr(subprocess, 'run', lambda *_, **__: dead)
    with pytest.raises(WorkerError, match=r'without results \(-9\): Killed'):
        run_here(JOB, {}, ScoreBarriersResult, [])


def test_files_of_folders_come_too(monkeypatch):
    def run(command, **_):
        folder = Path(command[2]).parent
        (folder / 'pictures' / 'small').mkdir(parents=True)
        for name in ('pictures/a.png', 'pictures/small/b.png', 'one.json', 'other.json'):
            (folder / name).write_bytes(name.encode())
        (folder / RESULT_FILE).write_text(ScoreBarriersResult().model_dump_json())
        return SimpleNamespace(returncode=0, stderr='')

    monkeypatch.setattr(subprocess, 'run', run)
    _, files = run_here(JOB, {}, ScoreBarriersResult, ['one.json', 'pictures'])
    assert files == {name: name.encode() for name in ('one.json', 'pictures/a.png', 'pictures/small/b.png')}


def test_a_process_that_is_ended_leaves_nothing(tmp_path):
    """Neither the folder of the job nor its worker, which would go on for nobody."""
    worker = tmp_path / 'worker'
    worker.write_text('#!/bin/sh\necho $$ > "$(dirname "$2")/../pid"\nexec sleep 60\n')
    worker.chmod(0o755)
    (tmp_path / 'jobs').mkdir()
    code = (
        'from aiida_embarrier.jobs import here\n'
        'from aiida_embarrier.jobs.scoring import ScoreBarriersJob, ScoreBarriersResult\n'
        f'here.find_worker = lambda: {str(worker)!r}\n'
        'here.run_here(ScoreBarriersJob(table="judged.parquet"), {}, ScoreBarriersResult, [])\n'
    )
    process = subprocess.Popen([sys.executable, '-c', code], env={**os.environ, 'TMPDIR': str(tmp_path / 'jobs')})
    pid = tmp_path / 'jobs' / 'pid'
    until(lambda: pid.is_file() and pid.read_text().strip())
    process.terminate()
    assert process.wait(timeout=30) == 128 + signal.SIGTERM
    assert [path.name for path in (tmp_path / 'jobs').iterdir()] == ['pid']
    until(lambda: not Path('/proc', pid.read_text().strip()).exists())


def until(happened):
    """Wait for something, half a minute at most."""
    for _ in range(300):
        if happened():
            return
        time.sleep(0.1)
    raise AssertionError('it did not happen')


def test_a_package_without_its_model(monkeypatch, tmp_path):
    monkeypatch.setattr(barriers_here, '__file__', str(tmp_path / 'jobs' / 'barriers_here.py'))
    with pytest.raises(ModelFilesError, match=r'lacks model\.safetensors and model\.json: install'):
        barrier_files('released')
    folder = tmp_path / 'prediction' / 'released'
    folder.mkdir(parents=True)
    (folder / 'model.json').write_text('{}')
    with pytest.raises(ModelFilesError, match=r'lacks model\.safetensors: install'):
        barrier_files('released')
    with pytest.raises(ModelFilesError, match='there is no file'):
        barrier_files(tmp_path / 'nowhere')
    with pytest.raises(ModelFilesError, match='not migration barriers'):
        barrier_card(ModelCard.model_construct(scalers=[]))


def test_progress_is_told_as_it_is_written(monkeypatch):
    """Lines come while the worker runs, each once, also one that was written in two parts, and the last ones."""
    told, seen_before_the_end = [], []

    def run(command, **_):
        path = Path(command[2]).parent / PROGRESS_FILE
        with path.open('w') as file:
            for text in ('{"n": 1}\n{"n"', ': 2}\n'):
                file.write(text)
                file.flush()
                time.sleep(0.15)
            seen_before_the_end.extend(told)
            file.write('{"n": 3}\n')
        return SimpleNamespace(returncode=1, stderr='')

    monkeypatch.setattr(subprocess, 'run', run)
    monkeypatch.setattr(here, '_INTERVAL', 0.01)
    with pytest.raises(WorkerError, match='without results'):
        run_here(JOB, {}, ScoreBarriersResult, [], told.append)
    assert seen_before_the_end == [{'n': 1}, {'n': 2}]
    assert told == [{'n': 1}, {'n': 2}, {'n': 3}]
