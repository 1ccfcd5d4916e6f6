"""Parsers of jobs of barriers: what is missing, altered, or left by a job that was stopped or killed."""

import json

import numpy as np
import pandas as pd
import pytest
from aiida.orm import Dict
from barrier_paths import path_rows

from aiida_embarrier.data.table import TableData
from aiida_embarrier.datasets.tables import write_parquet
from aiida_embarrier.jobs.prediction import (
    BarrierModelCard,
    BarrierModelResult,
    BarrierScore,
    PathFeaturesResult,
)
from aiida_embarrier.parsers.prediction import BarrierModelParser, PathFeaturesParser, PredictBarriersParser
from aiida_embarrier.prediction.fitted import FittedModel, write_barrier_model
from aiida_embarrier.prediction.registry import make_model
from aiida_embarrier.prediction.rows import rows_of

TABLE = pd.DataFrame({'name': ['a', 'b'], 'prediction': [0.1, np.nan], 'hop': [1.0, 2.0]})


@pytest.fixture
def parse(make_calcjob_node, tmp_path):
    """Return a function that parses files of a job, and returns exit code and outputs."""

    def run(parser, entry_point, result, files):
        for name, content in files.items():
            (tmp_path / name).write_bytes(content)
        kept = (
            {} if result is None else {'results.json': result if isinstance(result, str) else result.model_dump_json()}
        )
        node = make_calcjob_node(f'embarrier.{entry_point}', {'dataset': TableData(TABLE)}, kept)
        made = parser(node)
        exit_code = made.parse(retrieved_temporary_folder=str(tmp_path))
        return exit_code, made.outputs

    return run


def model_files(folder):
    rows, _ = rows_of(path_rows(4))
    model = make_model('median')
    model.fit(rows)
    write_barrier_model(folder, FittedModel(model, BarrierModelCard(model='median')))
    return {name: (folder / name).read_bytes() for name in ('model.safetensors', 'model.json')}


def test_features(parse):
    exit_code, outputs = parse(
        PathFeaturesParser, 'path_features', PathFeaturesResult(n_rows=2), {'features.parquet': write_parquet(TABLE)}
    )
    assert exit_code is None
    assert outputs['features'].table.equals(TABLE)
    assert outputs['features'].base.attributes.get('columns')[1]['unit'] == 'eV'


def test_a_job_that_was_stopped_leaves_its_checkpoint(parse):
    result = PathFeaturesResult(outcome='interrupted', error='stopped by SIGTERM', checkpoint=True)
    exit_code, outputs = parse(PathFeaturesParser, 'path_features', result, {'features_checkpoint.parquet': b'state'})
    assert (exit_code.status, exit_code.message.split(': ')[-1]) == (401, 'stopped by SIGTERM')
    assert outputs['checkpoint'].get_content('rb') == b'state'
    assert 'features' not in outputs


def test_a_job_that_was_killed_leaves_its_checkpoint(parse):
    exit_code, outputs = parse(BarrierModelParser, 'barrier_model', None, {'folds_checkpoint.parquet': b'state'})
    assert exit_code.status == 401
    assert 'checkpoint' in outputs


def test_a_job_that_left_nothing(parse):
    exit_code, outputs = parse(BarrierModelParser, 'barrier_model', None, {})
    assert exit_code.status == 301
    assert not list(outputs)
    exit_code, _ = parse(BarrierModelParser, 'barrier_model', '{', {})
    assert exit_code.status == 302


def test_model_and_tables(parse, tmp_path):
    folder = tmp_path / 'model'
    folder.mkdir()
    score = BarrierScore(model='median', validation='random', n=2, folds=2, seeds=[0])
    tables = {name: write_parquet(TABLE) for name in ('predictions.parquet', 'comparison.parquet')}
    result = BarrierModelResult(scores=[score], fitted='median')
    exit_code, outputs = parse(BarrierModelParser, 'barrier_model', result, {**tables, **model_files(folder)})
    assert exit_code is None
    assert outputs['model'].card.model == 'median'
    assert set(outputs) == {'results', 'predictions', 'comparison', 'model'}


@pytest.mark.parametrize('missing', ['predictions.parquet', 'model.safetensors'])
def test_files_that_are_missing(parse, tmp_path, missing):
    folder = tmp_path / 'model'
    folder.mkdir()
    files = {
        'predictions.parquet': write_parquet(TABLE),
        'comparison.parquet': write_parquet(TABLE),
        **model_files(folder),
    }
    del files[missing]
    score = BarrierScore(model='median', validation='random', n=2, seeds=[0])
    result = BarrierModelResult(scores=[score], fitted='median')
    exit_code, _ = parse(BarrierModelParser, 'barrier_model', result, files)
    assert exit_code.status == 302
    assert f'{missing} is not there' in exit_code.message


def test_a_model_that_was_altered(parse, tmp_path):
    folder = tmp_path / 'model'
    folder.mkdir()
    files = model_files(folder)
    files['model.safetensors'] = files['model.safetensors'][:-1]
    exit_code, _ = parse(BarrierModelParser, 'barrier_model', BarrierModelResult(fitted='median'), files)
    assert exit_code.status == 302
    assert 'truncated' in exit_code.message


def test_refusals(parse):
    refused = {'outcome': 'refused', 'error': 'no such parent', 'error_kind': 'parent'}
    exit_code, _ = parse(BarrierModelParser, 'barrier_model', json.dumps(refused), {})
    assert (exit_code.status, exit_code.message) == (203, 'A parent model cannot be used: no such parent')
    refused = {'outcome': 'refused', 'error': 'no GPU', 'error_kind': 'device'}
    assert parse(PathFeaturesParser, 'path_features', json.dumps(refused), {})[0].status == 204


def test_predictions_of_a_job_that_was_stopped(parse):
    stopped = json.dumps({'outcome': 'interrupted', 'error': 'out of time', 'n_rows': 1})
    files = {'predictions.parquet': write_parquet(TABLE)}
    exit_code, outputs = parse(PredictBarriersParser, 'predict_barriers', stopped, files)
    assert exit_code.status == 401
    assert len(outputs['predictions'].table) == 2
    assert isinstance(outputs['results'], Dict)
