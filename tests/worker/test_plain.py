"""Jobs without a potential: how the worker finds what does them, and every way in which one can end."""

import importlib
import json
import os
import re
import signal
import types
from typing import Literal

import pytest

from aiida_embarrier.jobs.plain import Outcome, PlainJob, PlainResult
from aiida_embarrier.jobs.progress import JobHistory, describe_progress, fraction_done, read_lines
from aiida_embarrier.worker import plain
from aiida_embarrier.worker.plain import KINDS, RefusedError, kind_of, run_plain_job


class CountingJob(PlainJob):
    """Add up the numbers to a last one."""

    job: Literal['counting'] = 'counting'
    up_to: int
    how: str = 'well'


class CountingResult(PlainResult):
    """Their sum."""

    total: int = 0


def count(job, context):
    total = 0
    for number in range(1, job.up_to + 1):
        total += number
        if number == 3 and job.how == 'stopped':
            (context.folder / 'stop').touch()
        if number == 3 and job.how == 'killed':
            os.kill(os.getpid(), signal.SIGTERM)
        if number == 3 and job.how == 'refused':
            raise RefusedError('3 is no number to count to: take 2')
        if number == 3 and job.how == 'broken':
            raise KeyError('three')
        if number == 3 and job.how == 'full disk':
            raise OSError(28, 'No space left on device')
        context.progress('counting', number, job.up_to, 'numbers')
    return CountingResult(total=total, versions={'fingers': '10'})


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Return a function that runs a counting job and returns its result, as written, and its folder."""
    module = types.SimpleNamespace(JOB=CountingJob, run=count)
    monkeypatch.setitem(KINDS, 'counting', 'counting')
    monkeypatch.setattr(plain.importlib, 'import_module', lambda _: module)

    def run(**settings):
        path = tmp_path / 'job.json'
        path.write_text(CountingJob.model_construct(job='counting', **settings).model_dump_json())
        result = run_plain_job(path)
        written = type(result).model_validate_json((tmp_path / 'results.json').read_text())
        assert written == result
        return result, tmp_path

    return run


def test_done(run):
    result, folder = run(up_to=5)
    assert (result.outcome, result.total, result.error) == (Outcome.DONE, 15, None)
    assert result.versions['fingers'] == '10'
    assert result.versions['pymatgen']
    lines = read_lines((folder / 'progress.jsonl').read_text())
    assert lines[0]['event'] == 'start'
    assert lines[-1] | {'time': 0} == {
        'event': 'step',
        'time': 0,
        'task': 'counting',
        'step': 5,
        'total': 5,
        'unit': 'numbers',
        'status': 'done',
    }


@pytest.mark.parametrize(
    ('how', 'outcome', 'kind', 'message'),
    [
        ('stopped', Outcome.INTERRUPTED, None, "stopped by the file 'stop'"),
        ('killed', Outcome.INTERRUPTED, None, 'stopped by SIGTERM'),
        ('refused', Outcome.REFUSED, 'input', '3 is no number to count to: take 2'),
        ('broken', Outcome.FAILED, 'unexpected', "KeyError: 'three'"),
        ('full disk', Outcome.FAILED, 'folder', 'No space left on device'),
    ],
)
def test_ends_that_are_not_good(run, how, outcome, kind, message):
    result, _ = run(up_to=5, how=how)
    assert (result.outcome, result.error_kind) == (outcome, kind)
    assert message in result.error


def test_wall_time_that_is_over(run):
    result, _ = run(up_to=5, max_seconds=1e-9)
    assert result.outcome is Outcome.INTERRUPTED
    assert 'wall time' in result.error


@pytest.mark.parametrize(
    ('settings', 'message'),
    [({'up_to': 'many'}, "up_to: .*many'"), ({'up_to': 1, 'numerics_version': -1}, 'numerics version -1')],
)
def test_wrong_jobs_are_refused(run, settings, message):
    result, _ = run(**settings)
    assert result.outcome is Outcome.REFUSED
    assert re.search(message, result.error)


def test_unknown_kind_names_those_that_there_are(tmp_path):
    path = tmp_path / 'job.json'
    path.write_text('{"job": "divination"}')
    result = run_plain_job(path)
    assert result.outcome is Outcome.REFUSED
    assert "no job of the kind 'divination', only orderings," in result.error


def test_kind_of_a_file(tmp_path):
    path = tmp_path / 'job.json'
    for text, kind in (('{"job": "lookup"}', 'lookup'), ('{"tasks": []}', None), ('[1]', None), ('{', None)):
        path.write_text(text)
        assert kind_of(path) == kind


@pytest.mark.parametrize('kind', KINDS)
def test_every_kind_has_its_module(kind):
    module = importlib.import_module(KINDS[kind])
    assert issubclass(module.JOB, PlainJob)
    assert module.JOB.model_fields['job'].default == kind
    assert callable(module.run)


def test_progress_of_what_is_counted():
    history = JobHistory()
    lines = [
        {'event': 'start', 'time': 1.0},
        {'event': 'step', 'time': 2.0, 'task': 'orbits', 'step': 5, 'total': 20, 'unit': 'orbits', 'status': 'running'},
    ]
    history.add(json.loads(json.dumps(lines)))
    last = history.tasks['orbits'].last
    assert describe_progress(last) == 'orbits: 5 of 20 orbits'
    assert fraction_done(last) == 0.25
