"""``predict``: crystals and datasets, with a stand-in for the worker; one test runs the real one."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from learned_models import rocksalts, write_model_folder

from aiida_embarrier.datasets.tables import read_parquet, write_parquet
from aiida_embarrier.jobs import here
from aiida_embarrier.jobs.learning import PredictJob, PredictResult, Score


@pytest.fixture
def folder(run, tmp_path):
    write_model_folder(tmp_path / 'model', ('gap', 'width'))
    (tmp_path / 'gaps.parquet').write_bytes(write_parquet(rocksalts()))
    return tmp_path / 'model'


@pytest.fixture
def asked(monkeypatch):
    """Stand in for the worker: the prediction of a row is its number, and rows named in `left_out` have none."""
    jobs = []
    answers = {'left_out': {}, 'error': None, 'warnings': []}

    def answer(command, **_):
        path = Path(command[2])
        job = PredictJob.model_validate_json(path.read_text())
        rows = read_parquet((path.parent / job.dataset).read_bytes())
        jobs.append((job, rows))
        rows = rows[~rows['name'].isin(answers['left_out'])].reset_index(drop=True)
        tables = [
            pd.DataFrame(
                {
                    'name': rows['name'],
                    'target': label,
                    'value': rows['target'] if label == job.known else None,
                    'prediction': rows.index + 10.0 * number,
                }
            ).astype({'value': float})
            for number, label in enumerate(job.labels)
        ]
        (path.parent / 'predictions.parquet').write_bytes(write_parquet(pd.concat(tables, ignore_index=True)))
        scores = [Score(label=job.known, part='all', n=len(rows), mae=1.5, rmse=2.0)] if job.known else []
        kind = None if answers['error'] is None else 'input'
        result = PredictResult(n_rows=len(rows), scores=scores, error_kind=kind, **answers)
        (path.parent / 'results.json').write_text(result.model_dump_json())
        return SimpleNamespace(returncode=0, stderr='')

    monkeypatch.setattr(here.subprocess, 'run', answer)
    return SimpleNamespace(jobs=jobs, answers=answers)


def test_crystals(run, folder, asked, no_profile):
    shown = run('predict', 'model', 'Al.cif', 'A.vasp')
    lines = [line.split() for line in shown.splitlines()]
    assert ['crystal', 'gap', '(eV)', 'width', '(eV)'] in lines
    assert ['Al.cif', '0', '10'] in lines
    assert ['A.vasp', '1', '11'] in lines
    ((job, rows),) = asked.jobs
    assert job.known is None
    assert rows['n_atoms'].tolist() == [4, 31]
    found = json.loads(run('predict', 'model', 'Al.cif', '--target', 'width', '--format', 'json'))
    assert found['predictions'] == [{'name': 'Al.cif', 'width': 0.0}]
    assert found['units'] == {'width': 'eV'}


def test_dataset_whose_property_the_model_does_not_know(run, folder, asked):
    shown = run('predict', 'model', 'dc.parquet', code=1)
    assert "there is no file 'dc.parquet'" in shown
    found = json.loads(run('predict', 'model', 'gaps.parquet', '--format', 'json'))
    assert len(found['predictions']) == 16
    assert found['scores'] == []
    assert found['notes'] == [
        'the dataset holds a property without a name, which the model does not say it predicts: nothing is compared, '
        'unless --known tells'
    ]


def test_dataset_that_is_compared(run, folder, asked, tmp_path):
    shown = run('predict', 'model', 'gaps.parquet', '--known', 'gap', '-o', 'found.parquet')
    assert 'gap, known (eV)' in shown
    assert ['gap', 'all', '16', '1.5', '2', '-', '-'] in [line.split() for line in shown.splitlines()]
    table = read_parquet((tmp_path / 'found.parquet').read_bytes())
    assert list(table) == ['name', 'gap_known', 'gap', 'width']
    assert table['gap_known'].tolist() == rocksalts()['target'].tolist()
    assert asked.jobs[0][0].known == 'gap'
    assert 'is there already' in run('predict', 'model', 'gaps.parquet', '-o', 'found.parquet', code=1)


def test_csv(run, folder, asked):
    shown = run('predict', 'model', 'Al.cif', '--format', 'csv')
    assert shown.splitlines() == ['name,gap,width', 'Al.cif,0.0,10.0']


def test_rows_that_are_left_out_are_named(run, folder, asked):
    asked.answers['left_out'] = {'A.vasp': 'the element Og has no features'}
    shown = run('predict', 'model', 'Al.cif', 'A.vasp')
    assert 'not predicted: A.vasp: the element Og has no features' in shown


def test_files_that_are_no_crystals_are_all_named(run, folder, asked, tmp_path):
    for name in ('one.cif', 'two.cif'):
        (tmp_path / name).write_text('nothing')
    shown = run('predict', 'model', 'Al.cif', 'one.cif', 'two.cif', code=1)
    assert "'one.cif' cannot be read as a crystal" in shown
    assert "'two.cif' cannot be read as a crystal" in shown
    assert asked.jobs == []


@pytest.mark.parametrize(
    ('arguments', 'message', 'code'),
    [
        (('Al.cif', '--target', 'gab'), "the model predicts gap, width, not 'gab'", 2),
        (('Al.cif', '--known', 'gap'), '--known is for datasets', 2),
        (('Al.cif', 'gaps.parquet'), 'gaps.parquet is a dataset: predict it alone', 2),
        (('Al.cif', 'nowhere.cif'), "there is no file 'nowhere.cif'", 1),
        (('Al.cif', '--code', 'x@y'), '--code goes with --store', 2),
    ],
)
def test_what_makes_no_sense(run, folder, asked, arguments, message, code):
    assert message in ' '.join(run('predict', 'model', *arguments, code=code).split())
    assert asked.jobs == []


def test_worker_that_refuses_and_one_that_dies(run, folder, asked, monkeypatch):
    asked.answers['error'] = 'GPU asked for and there is none'
    assert 'Error: GPU asked for and there is none' in run('predict', 'model', 'Al.cif', '--device', 'cuda', code=1)
    dead = SimpleNamespace(returncode=-9, stderr='Killed')
    monkeypatch.setattr(here.subprocess, 'run', lambda *_, **__: dead)
    assert 'the worker ended without results (-9): Killed' in run('predict', 'model', 'Al.cif', code=1)


def test_files_of_one_name_in_two_folders(run, folder, asked, tmp_path):
    (tmp_path / 'other').mkdir()
    (tmp_path / 'other' / 'Al.cif').write_bytes((tmp_path / 'Al.cif').read_bytes())
    found = json.loads(run('predict', 'model', 'Al.cif', 'other/Al.cif', '--format', 'json'))
    assert [row['name'] for row in found['predictions']] == ['Al.cif', 'other/Al.cif']


def test_a_model_of_a_folder_is_stored_once(run, folder, monkeypatch):
    """Predictions one after the other start from one node, so that they can be found by it."""
    given = []

    def run_worker(*_, **inputs):
        given.append(inputs)
        table = pd.DataFrame({'name': ['Al.cif'], 'target': ['gap'], 'value': [float('nan')], 'prediction': [1.0]})
        outputs = SimpleNamespace(
            predictions=SimpleNamespace(table=table, pk=3),
            results=SimpleNamespace(get_dict=lambda: {'scores': [], 'warnings': []}),
        )
        return SimpleNamespace(pk=2, uuid='two', outputs=outputs)

    monkeypatch.setattr('aiida_embarrier.cli.dataset.running.run_worker', run_worker)
    for _ in range(2):
        found = json.loads(run('predict', 'model', 'Al.cif', '--target', 'gap', '--store', '--format', 'json'))
        assert found['predictions'] == [{'name': 'Al.cif', 'gap': 1.0}]
    first, second = (inputs['model'] for inputs in given)
    assert first.is_stored
    assert first.pk == second.pk


def test_files_leave_no_trace_of_aiida(run, folder, tmp_path):
    """Who has no profile gets no folder for one, and no warning of it."""
    program = f'import sys; from aiida_embarrier.cli import main; main({["predict", "model", "Al.cif"]!r})'
    home = tmp_path / 'home'
    home.mkdir()
    environment = {**os.environ, 'AIIDA_PATH': str(home), 'OMP_NUM_THREADS': '1'}
    ended = subprocess.run(
        [sys.executable, '-c', program], env=environment, capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert 'Al.cif' in ended.stdout
    assert 'AiiDA' not in ended.stderr
    assert list(home.iterdir()) == []


@pytest.mark.slow
def test_the_worker_itself_with_and_without_a_profile(run, folder, worker_code):
    """The same numbers come from a temporary folder and from a process whose inputs and outputs are nodes."""
    arguments = ('predict', 'model', 'Al.cif', 'A.vasp', '--threads', '1', '--format', 'json')
    here = json.loads(run(*arguments))
    stored = json.loads(run(*arguments, '--store'))
    assert here['predictions'] == stored['predictions']
    assert [row['name'] for row in here['predictions']] == ['Al.cif', 'A.vasp']
    assert len({row['gap'] for row in here['predictions']}) == 2
    assert isinstance(stored['process'], int)
