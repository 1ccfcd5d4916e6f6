"""``model analyse``: from predictions in files and nodes to tables and a page."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from aiida.orm import FolderData, SinglefileData
from barrier_paths import path_rows
from barrier_predictions import predicted_rows, predictions_of
from small_barrier_models import run_jobs_in_this_process, write_small_model

from aiida_embarrier.data.dataset import DatasetData
from aiida_embarrier.data.table import TableData
from aiida_embarrier.datasets.tables import write_parquet
from aiida_embarrier.jobs import here
from aiida_embarrier.jobs.barrier_analysis import tables_to_json
from aiida_embarrier.prediction.analysis import analyse
from aiida_embarrier.worker.plain import run_plain_job

FRAME = predicted_rows()
PREDICTIONS = predictions_of(FRAME)
FAST = ('--resamples', 20)


@pytest.fixture
def files(run, tmp_path):
    (tmp_path / 'barriers.parquet').write_bytes(write_parquet(FRAME))
    (tmp_path / 'predictions.parquet').write_bytes(write_parquet(PREDICTIONS))
    return 'predictions.parquet', '--data', 'barriers.parquet'


@pytest.fixture
def at_hand(monkeypatch):
    """Let the worker do its job in this process."""

    def answer(command, **_):
        run_plain_job(Path(command[2]))
        return SimpleNamespace(returncode=0, stderr='')

    monkeypatch.setattr(here.subprocess, 'run', answer)


def test_tables(run, files, at_hand, no_profile):
    text = run('model', 'analyse', *files, *FAST)
    expected = analyse(PREDICTIONS, FRAME, n_resamples=20)['comparison']
    for row in expected.itertuples():
        line = next(line for line in text.splitlines() if row.model in line and row.validation in line)
        assert f'{row.mae_eV:.3f}' in line
        assert f'{row.mae_eV_low:.3f} to {row.mae_eV_high:.3f}' in line
    assert 'written' not in text


def test_json(run, files, at_hand, no_profile):
    found = json.loads(run('model', 'analyse', *files, *FAST, '--format', 'json'))
    expected = analyse(PREDICTIONS, FRAME, n_resamples=20)
    assert set(expected) < set(found['tables']), 'a file is completed when it is read: with charge states, say'
    assert found['tables']['by_ion'][0]['mae_eV'] == expected['by_ion']['mae_eV'].iloc[0]


def test_parts_that_were_learned_from(run, files, at_hand, no_profile, tmp_path):
    parts = [*['train'] * 4, 'test', *['unused'] * 3] * 7  # four paths of each material
    FRAME[['name']].assign(part=parts).to_csv(tmp_path / 'split.csv', index=False)
    tested = PREDICTIONS['name'].isin(FRAME['name'][[part == 'test' for part in parts]])
    held = (
        PREDICTIONS[tested & (PREDICTIONS['validation'] == 'random')]
        .assign(validation='test', fold=0)
        .reset_index(drop=True)
    )
    (tmp_path / 'predictions.parquet').write_bytes(write_parquet(held))
    found = json.loads(run('model', 'analyse', *files, *FAST, '--split', 'split.csv', '--format', 'json'))
    split = pd.read_csv(tmp_path / 'split.csv')
    expected = analyse(held, FRAME, split, n_resamples=20)['leakage']
    assert pd.DataFrame(found['tables']['leakage'])['fraction'].tolist() == expected['fraction'].tolist()
    assert expected['fraction'].tolist() != analyse(held, FRAME, n_resamples=20)['leakage']['fraction'].tolist()


@pytest.mark.slow
def test_folder_by_the_real_worker(run, files, no_profile, tmp_path):
    text = run('model', 'analyse', *files, *FAST, '-o', 'analysis', '--model', 'median', '--title', 'Toy')
    assert 'written: analysis/index.html' in text
    assert '<h1>Toy</h1>' in (tmp_path / 'analysis' / 'index.html').read_text()
    assert json.loads((tmp_path / 'analysis' / 'analysis.json').read_text())['model'] == 'median'
    assert len(pd.read_csv(tmp_path / 'analysis' / 'tables' / 'by_ion.csv')) == 8
    assert 'replace it with --overwrite' in run('model', 'analyse', *files, '-o', 'analysis', code=1)


def test_nodes(run, at_hand):
    dataset = DatasetData(FRAME, schema='barrier').store()
    predictions = TableData(PREDICTIONS).store()
    assert 'trees' in run('model', 'analyse', predictions.pk, '--data', dataset.pk, *FAST)
    text = run('model', 'analyse', dataset.pk, '--data', dataset.pk, code=1)
    assert "predictions without 'model' cannot be analysed" in text


def test_the_analysis_of_a_process(run, make_calcjob_node, tmp_path):
    """Tables and folder are those that it made; nothing is computed."""
    tables = analyse(PREDICTIONS, FRAME, n_resamples=20, compare_hops=False)
    (tmp_path / 'made' / 'figures').mkdir(parents=True)
    for name in ('index.html', 'analysis.json', 'figures/parity.png'):
        (tmp_path / 'made' / name).write_bytes(f'{name} of before'.encode())
    outputs = {'analysis': SinglefileData.from_string(tables_to_json(tables), 'barrier_analysis.json')}
    node = make_calcjob_node('embarrier.barrier_analysis', {}, outputs=dict(outputs))
    assert f'{tables["comparison"]["mae_eV"].iloc[0]:.3f}' in run('model', 'analyse', node.pk)
    assert f'node {node.pk} has no output `figures`' in run('model', 'analyse', node.pk, '-o', 'analysis', code=1)
    outputs = {name: value.clone() for name, value in outputs.items()}
    node = make_calcjob_node(
        'embarrier.barrier_analysis', {}, outputs={**outputs, 'figures': FolderData(tree=tmp_path / 'made')}
    )
    found = json.loads(run('model', 'analyse', node.pk, '-o', 'analysis', '--format', 'json'))
    assert found['files'] == [f'analysis/{name}' for name in ('analysis.json', 'figures/parity.png', 'index.html')]
    assert (tmp_path / 'analysis' / 'figures' / 'parity.png').read_text() == 'figures/parity.png of before'
    assert 'replace it with --overwrite' in run('model', 'analyse', node.pk, '-o', 'analysis', code=1)
    assert 'written' in run('model', 'analyse', node.pk, '-o', 'analysis', '--overwrite')
    text = run('model', 'analyse', node.pk, '--resamples', 3, code=2)
    assert 'are for a new analysis: name the dataset that was predicted with --data' in text
    table = TableData(PREDICTIONS).store()
    assert f'node {table.pk} has no output `analysis`: name the dataset' in run('model', 'analyse', table.pk, code=1)


@pytest.mark.parametrize('name', ['judged.csv', 'judged.parquet'])
def test_what_evaluate_writes(run, monkeypatch, no_profile, tmp_path, name):
    run_jobs_in_this_process(monkeypatch)
    write_small_model(tmp_path / 'small')
    rows = path_rows(12)
    rows.loc[3, 'path'] = '[[0,0,0],[0,0,0]]'  # is not predicted
    rows.loc[5, 'barrier'] = np.nan
    rows.loc[7, 'name'] = '007'
    (tmp_path / 'rows.parquet').write_bytes(write_parquet(rows))
    run('evaluate', '--model', 'small', '--data', 'rows.parquet', '--resamples', 20, '-o', name)
    found = json.loads(run('model', 'analyse', name, '--data', 'rows.parquet', *FAST, '--format', 'json'))['tables']
    (row,) = found['comparison']
    assert (row['model'], row['validation'], row['n']) == ('judged', 'evaluated', 10)
    judged = (pd.read_csv if name.endswith('csv') else pd.read_parquet)(tmp_path / name)
    assert row['mae_eV'] == pytest.approx((judged['prediction'] - judged['barrier']).abs().mean())
    assert found['by_flag']
    # what the model learned from is no part of the dataset
    assert not {'leakage', 'by_scenario'} & set(found)
    run('model', 'analyse', name, '--data', 'rows.parquet', *FAST, '-o', 'analysis')
    assert 'numbers and rows are those of evaluated rows' in (tmp_path / 'analysis' / 'index.html').read_text()


def test_what_is_refused(run, files, at_hand, tmp_path):
    (tmp_path / 'rubbish.parquet').write_bytes(b'no table')
    options = ('--data', 'barriers.parquet')
    assert 'rubbish.parquet holds no table' in run('model', 'analyse', 'rubbish.parquet', *options, code=1)
    assert "there is no file 'gone.parquet'" in run('model', 'analyse', 'gone.parquet', *options, code=1)
    assert 'are for the folder that --output writes' in run('model', 'analyse', *files, '--title', 'x', code=2)
    assert 'is a file: name the dataset' in run('model', 'analyse', 'predictions.parquet', code=2)
    text = run('model', 'analyse', *files, *FAST, '-o', 'analysis', '--model', 'forest', code=1)
    assert "there is no model 'forest': choose from median, trees" in text
    assert not (tmp_path / 'analysis').exists()
