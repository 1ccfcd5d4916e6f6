"""Jobs that predict: from the files in a folder to predictions, and every question that is refused."""

import json
import re

import numpy as np
import pandas as pd
import pytest
import torch

from aiida_embarrier.datasets.tables import content_hash, read_parquet, write_parquet
from aiida_embarrier.jobs.learning import (
    ARCHITECTURES,
    GraphSettings,
    ModelCard,
    PredictJob,
    PredictResult,
    Scaler,
    Source,
    Target,
    TrainingSettings,
    TrainJob,
)
from aiida_embarrier.jobs.plain import Outcome
from aiida_embarrier.jobs.progress import read_lines
from aiida_embarrier.learning import graph_store
from aiida_embarrier.learning.alignn import ALIGNN
from aiida_embarrier.learning.elements import features
from aiida_embarrier.learning.graph_store import graphs_of
from aiida_embarrier.learning.graphs import build_graph
from aiida_embarrier.learning.model_files import read_model, write_model
from aiida_embarrier.learning.predicting import predict
from aiida_embarrier.worker.folder import JobFolder
from aiida_embarrier.worker.plain import run_plain_job

SCALERS = [
    Scaler(label='gap', property='band gap', unit='eV', method='minmax', centre=4.0, width=2.0),
    Scaler(label='n', property='refractive index', method='standard', centre=2.0, width=0.3),
]


def rows(n: int = 8) -> pd.DataFrame:
    """Return rocksalts of growing size with a known gap, the first of which is not known."""
    pairs = [('Na', 'Cl'), ('Li', 'F'), ('Mg', 'O'), ('Ca', 'O'), ('K', 'Br'), ('Sr', 'O'), ('Mn', 'O'), ('Ni', 'O')]
    gaps = [np.nan, 8.7, 4.5, 3.6, 4.3, 3.3, 0.9, 0.6]
    half = 0.5 * (1 - np.eye(3))
    return pd.DataFrame(
        {
            'name': [f'{a}{b}' for a, b in pairs[:n]],
            'lattice': [json.dumps((constant * half).tolist()) for constant in np.linspace(4.0, 6.0, n)],
            'species': [json.dumps(pair) for pair in pairs[:n]],
            'frac_coords': '[[0,0,0],[0.5,0.5,0.5]]',
            'n_atoms': pd.array([2] * n, dtype='Int64'),
            'target': gaps[:n],
        }
    )


@pytest.fixture
def run(tmp_path):
    """Return a function that predicts rows in a folder with a model, and returns the result."""
    torch.manual_seed(5)
    model = ALIGNN(ARCHITECTURES['tiny'], ['gap', 'n'])
    card = ModelCard(
        architecture=ARCHITECTURES['tiny'],
        graphs=GraphSettings(),
        scalers=SCALERS,
        training=TrainingSettings(),
        datasets=[Source(label='gap', hash=content_hash(rows()), rows={'train': 5, 'validation': 1, 'test': 2})],
    )
    write_model(tmp_path, model, card)

    def run(frame: pd.DataFrame, **entries) -> PredictResult:
        entries = {'hardware': {'device': 'cpu'}, **entries}
        (tmp_path / 'rows.parquet').write_bytes(write_parquet(frame))
        path = tmp_path / 'job.json'
        path.write_text(PredictJob(dataset='rows.parquet', **entries).model_dump_json())
        result = run_plain_job(path)
        written = type(result).model_validate_json((tmp_path / 'results.json').read_text())
        assert written == result
        return result

    return run


def predictions(folder) -> pd.DataFrame:
    return read_parquet((folder / 'predictions.parquet').read_bytes())


def test_all_targets(run, tmp_path):
    result = run(rows(), known='gap', property='band gap', unit='eV')
    assert (result.outcome, result.error, result.n_rows, result.left_out) == (Outcome.DONE, None, 8, {})
    assert result.device == 'cpu'
    assert result.rows_per_s > 0
    assert torch.__version__.startswith(result.versions['torch'].partition('+')[0])
    table = predictions(tmp_path)
    assert table['name'].tolist() == rows()['name'].tolist() * 2
    assert table['target'].tolist() == ['gap'] * 8 + ['n'] * 8
    assert set(table['part']) == {'all'}
    model, card = read_model(tmp_path)
    expected = predict(model, card, graphs_of(rows(), card.graphs))
    np.testing.assert_allclose(table['prediction'], expected.T.ravel(), rtol=1e-5)
    np.testing.assert_array_equal(table['value'], [*rows()['target'], *[np.nan] * 8])
    errors = np.abs(expected[1:, 0] - rows()['target'][1:])
    assert [(score.label, score.part, score.n) for score in result.scores] == [('gap', 'all', 7)]
    assert result.scores[0].mae == pytest.approx(errors.mean(), rel=1e-5)
    assert result.scores[0].mae_scaled == pytest.approx(errors.mean() / 2, rel=1e-5)
    lines = read_lines((tmp_path / 'progress.jsonl').read_text())
    assert {(line['task'], line['step'], line['total']) for line in lines if line.get('status') == 'done'} == {
        ('graphs', 8, 8),
        ('predicting', 8, 8),
    }


def test_one_target_of_crystals_of_which_nothing_is_known(run, tmp_path):
    result = run(rows().drop(columns='target'), labels=['n'])
    assert (result.outcome, result.scores, result.warnings) == (Outcome.DONE, [], [])
    table = predictions(tmp_path)
    assert table['target'].unique().tolist() == ['n']
    assert table['value'].isna().all()


def test_rows_that_the_model_was_trained_on(run):
    result = run(rows(), known='gap', unit='eV')
    assert len(result.warnings) == 1
    assert 'was trained on 6 rows of this very dataset (gap): its errors for them say nothing' in result.warnings[0]
    assert run(rows(6), known='gap', unit='eV').warnings == []


def test_rows_that_cannot_become_graphs_are_left_out_with_the_reason(run, tmp_path, monkeypatch):
    """The other rows are predicted with the graphs that were built beside them: none is built twice."""
    frame, built = rows(), []
    monkeypatch.setattr(graph_store, 'build_graph', lambda *row: built.append(row) or build_graph(*row))
    frame.loc[2, 'species'] = '["Mg", "Xx"]'
    frame.loc[5, 'frac_coords'] = '[[0,0,0],[0,0,0]]'
    result = run(frame, labels=['gap'], known='gap', unit='eV')
    assert (result.outcome, result.n_rows) == (Outcome.DONE, 6)
    assert sorted(result.left_out) == ['MgO', 'SrO']
    assert 'Xx' in result.left_out['MgO']
    assert predictions(tmp_path)['name'].tolist() == ['NaCl', 'LiF', 'CaO', 'KBr', 'MnO', 'NiO']
    assert len(built) == 7  # the unknown element is found before
    model, card = read_model(tmp_path)
    left = frame.drop(index=[2, 5]).reset_index(drop=True)
    expected = predict(model, card, graphs_of(left, card.graphs), ['gap'])[:, 0]
    np.testing.assert_allclose(predictions(tmp_path)['prediction'], expected, rtol=1e-5)
    assert result.scores[0].n == 5


def test_the_cache_of_graphs_is_kept(run, tmp_path):
    first = run(rows(), hardware={'device': 'cpu', 'cache': str(tmp_path / 'graphs')})
    assert len(list((tmp_path / 'graphs').iterdir())) == 1
    before = predictions(tmp_path)
    (tmp_path / 'progress.jsonl').unlink()
    assert run(rows(), hardware={'device': 'cpu', 'cache': str(tmp_path / 'graphs')}).n_rows == first.n_rows
    pd.testing.assert_frame_equal(predictions(tmp_path), before)
    assert not [line for line in read_lines((tmp_path / 'progress.jsonl').read_text()) if line.get('task') == 'graphs']


@pytest.mark.parametrize(
    ('frame', 'entries', 'message'),
    [
        (rows(), {'labels': ['gap', 'modulus']}, "predicts gap, n, not 'modulus'"),
        (rows(), {'known': 'modulus'}, "'modulus' is said to be known, and is not among what is predicted: gap, n"),
        (rows(), {'labels': ['n'], 'known': 'gap', 'unit': 'eV'}, "'gap' is said to be known, .* predicted: n"),
        (rows(), {'known': 'gap', 'unit': 'meV'}, 'the rows are in meV, the model predicts gap in eV: convert'),
        (rows(), {'known': 'gap'}, 'the rows are in no unit, the model predicts gap in eV'),
        (rows(), {'known': 'n', 'unit': 'eV'}, 'the rows are in eV, the model predicts n in no unit'),
        (
            rows(),
            {'known': 'gap', 'unit': 'eV', 'property': 'formation energy'},
            "hold 'formation energy', the model predicts 'band gap' as gap",
        ),
        (rows().drop(columns='target'), {'known': 'gap', 'unit': 'eV'}, 'no column `target` of numbers'),
        (rows().assign(target='wide'), {'known': 'gap', 'unit': 'eV'}, 'no column `target` of numbers'),
        (
            rows().assign(target=np.inf),
            {'known': 'gap', 'unit': 'eV'},
            '8 of 8 rows have a value of gap that is not fi',
        ),
        (rows().drop(columns='lattice'), {}, "no column 'lattice': they need name, lattice, species, frac_coords"),
        (rows().iloc[:0], {}, 'there are no rows to predict'),
        (rows().assign(name='salt'), {}, "the name 'salt' is there more than once"),
        (
            rows().assign(species='["Xx", "O"]'),
            {},
            'none of the rows can be predicted: 8 of 8 rows cannot .* NaCl: .*Xx',
        ),
    ],
)
def test_questions_that_are_refused(run, frame, entries, message, tmp_path):
    result = run(frame, **entries)
    assert (result.outcome, result.error_kind) == (Outcome.REFUSED, 'input')
    assert re.search(message, result.error), result.error
    assert not (tmp_path / 'predictions.parquet').exists()


def test_a_model_that_was_altered(run, tmp_path):
    path = tmp_path / 'model.safetensors'
    path.write_bytes(path.read_bytes()[:-8])
    result = run(rows())
    assert (result.outcome, result.error_kind) == (Outcome.REFUSED, 'input')
    assert 'truncated' in result.error


def test_predictions_that_are_not_finite(run, tmp_path):
    """Rows without a number are left out; where there are no others, the model is no good."""
    whole = run(rows(), labels=['gap'])
    assert (whole.n_rows, whole.left_out) == (8, {})
    finite = predictions(tmp_path)
    model, card = read_model(tmp_path)
    lithium = int(features()[3].nonzero()[0][-1])  # which no other element of the rows has, oxygen and fluorine neither
    model.atom_embedding.layer.linear.weight.data[:, lithium] = 3e38
    write_model(tmp_path, model, card)
    result = run(rows(), labels=['gap'])
    assert (result.outcome, result.n_rows) == (Outcome.DONE, 8 - len(result.left_out))
    assert 'LiF' in result.left_out
    assert set(result.left_out.values()) == {'the model gives no finite number for it'}
    table = predictions(tmp_path)
    assert list(table['name']) == [name for name in finite['name'] if name not in result.left_out]

    model.heads['gap'][0].weight.data[:] = 1e30
    model.atom_embedding.layer.norm.bias.data[:] = 1e30
    write_model(tmp_path, model, card)
    (tmp_path / 'predictions.parquet').unlink()
    result = run(rows())
    assert result.outcome == Outcome.REFUSED
    assert 'none of the rows can be predicted: the model gives no finite number' in result.error
    assert not (tmp_path / 'predictions.parquet').exists()


def test_a_gpu_that_is_not_there(run, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    result = run(rows(), hardware={'device': 'cuda'})
    assert (result.outcome, result.error_kind) == (Outcome.REFUSED, 'device')
    assert 'asks for a GPU' in result.error


def test_a_job_that_is_to_stop(run, tmp_path):
    (tmp_path / 'stop').touch()
    result = run(rows())
    assert (result.outcome, result.error) == (Outcome.INTERRUPTED, "stopped by the file 'stop'")
    assert not (tmp_path / 'predictions.parquet').exists()


def test_a_job_that_is_stopped_on_its_way_hands_over_what_was_predicted(run, tmp_path, monkeypatch):
    run(rows())
    whole = predictions(tmp_path).set_index(['name', 'target'])['prediction']
    asked = iter(range(100))
    # the first time is after the graphs were built
    monkeypatch.setattr(JobFolder, 'asked_to_stop', lambda _: 'enough' if next(asked) == 2 else None)
    result = run(rows(), batch_size=3, known='gap', unit='eV')
    assert (result.outcome, result.error, result.n_rows) == (Outcome.INTERRUPTED, 'enough', 6)
    assert '6 of 8 rows were predicted before the job was stopped' in result.warnings
    found = predictions(tmp_path).set_index(['name', 'target'])['prediction']
    assert len(found) == 12
    np.testing.assert_allclose(found, whole.loc[found.index], rtol=1e-5)
    assert result.scores[0].n in {5, 6}  # the value of one row is not known


def test_a_trained_model_predicts_what_its_training_said_of_the_rows(tmp_path):
    frame = rows().assign(target=np.linspace(0.0, 7.0, 8))
    split = pd.DataFrame({'name': frame['name'], 'part': ['train'] * 5 + ['validation', 'test', 'test']})
    for name, table in (('rows', frame), ('split', split)):
        (tmp_path / f'{name}.parquet').write_bytes(write_parquet(table))
    target = Target(label='gap', property='band gap', unit='eV', dataset='rows.parquet', split='split.parquet')
    train = TrainJob(
        targets=[target],
        architecture=ARCHITECTURES['tiny'],
        training=TrainingSettings(epochs=3, batch_size=3),
        hardware={'device': 'cpu', 'threads': 1},
    )
    (tmp_path / 'job.json').write_text(train.model_dump_json())
    assert run_plain_job(tmp_path / 'job.json').error is None
    said = predictions(tmp_path).set_index('name')
    trained = PredictJob(
        dataset='rows.parquet', known='gap', property='band gap', unit='eV', hardware={'device': 'cpu', 'threads': 1}
    )
    (tmp_path / 'job.json').write_text(trained.model_dump_json())
    assert run_plain_job(tmp_path / 'job.json').error is None
    found = predictions(tmp_path).set_index('name').loc[said.index]
    np.testing.assert_allclose(found['prediction'], said['prediction'], rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(found['value'], said['value'])
