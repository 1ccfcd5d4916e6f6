"""Jobs of barriers: paths described, models compared and fitted, rows predicted; stopped, gone on with, refused."""

import json
import os
import signal

import numpy as np
import pandas as pd
import pytest
from barrier_paths import describe_with, hops, path_rows

from aiida_embarrier.datasets.tables import read_parquet, write_parquet
from aiida_embarrier.jobs.model_files import read_any_model_files
from aiida_embarrier.jobs.plain import Outcome
from aiida_embarrier.jobs.prediction import (
    BarrierModelJob,
    BarrierModelResult,
    PathFeaturesJob,
    PathFeaturesResult,
    PredictBarriersJob,
    PredictBarriersResult,
)
from aiida_embarrier.prediction import baselines
from aiida_embarrier.prediction.fitted import read_barrier_model
from aiida_embarrier.prediction.rows import rows_of
from aiida_embarrier.worker.plain import run_plain_job

VALIDATIONS = [{'how': 'random', 'folds': 4, 'seeds': [0, 1]}, {'how': 'family_group', 'folds': 5}]


@pytest.fixture
def run(tmp_path):
    """Return a function that runs a job on rows in a folder of its own."""

    def start(schema, frame=None, files=None, folder='job', **entries):
        place = tmp_path / folder
        place.mkdir(exist_ok=True)
        frame = path_rows() if frame is None else frame
        (place / 'rows.parquet').write_bytes(write_parquet(frame))
        for name, content in (files or {}).items():
            path = place / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else write_parquet(content))
        (place / 'job.json').write_text(schema(dataset='rows.parquet', **entries).model_dump_json())
        return run_plain_job(place / 'job.json'), place

    return start


def table(folder, name):
    return read_parquet((folder / name).read_bytes())


def model_files(folder):
    return {name: (folder / name).read_bytes() for name in ('model.safetensors', 'model.json')}


def test_features(run, monkeypatch):
    frame = path_rows(5)
    frame.loc[1, 'path'] = '[[0,0,0],[0,0,0]]'

    def describe(paths, **given):
        assert given['evaluator'] is None
        if any(path.name == frame['name'][3] for path in paths):
            raise ValueError('an atom is in the way')
        return hops(paths)

    describe_with(monkeypatch, describe)
    result, folder = run(PathFeaturesJob, frame)
    assert isinstance(result, PathFeaturesResult)
    assert result.outcome is Outcome.DONE
    assert (result.n_rows, result.n_described, result.n_features) == (5, 3, 2)
    found = table(folder, 'features.parquet')
    assert found['name'].tolist() == frame['name'].tolist()
    assert found['hop'].isna().tolist() == [False, True, False, True, False]
    assert found['hop'][0] == pytest.approx(0.5 * 4.2)
    assert found['reason'].isna().tolist() == [True, False, True, False, True]
    assert 'an atom is in the way' in result.left_out[frame['name'][3]]
    assert 'same site' in result.left_out[frame['name'][1]]
    assert not (folder / 'features_checkpoint.parquet').exists()


def test_features_that_are_stopped_go_on(run, monkeypatch):
    described = []

    def describe(paths, **_):
        described.extend(path.name for path in paths)
        if len(described) == 16:
            os.kill(os.getpid(), signal.SIGTERM)
        return hops(paths)

    describe_with(monkeypatch, describe)
    result, folder = run(PathFeaturesJob)
    assert result.outcome is Outcome.INTERRUPTED
    assert 'SIGTERM' in result.error
    assert result.checkpoint
    checkpoint = (folder / 'features_checkpoint.parquet').read_bytes()
    assert len(read_parquet(checkpoint)) == 16
    given = {'files': {'restart.parquet': checkpoint}, 'restart': 'restart.parquet'}
    result, again = run(PathFeaturesJob, folder='again', **given)
    assert (result.n_taken_over, result.n_described) == (16, 20)
    assert len(described) == 20
    whole = table(again, 'features.parquet')
    _, afresh = run(PathFeaturesJob, folder='afresh')
    pd.testing.assert_frame_equal(whole, table(afresh, 'features.parquet'))
    # other settings, other numbers: nothing is taken over
    result, _ = run(PathFeaturesJob, folder='other', features={'budget': 7}, **given)
    assert result.n_taken_over == 0


def test_features_that_cannot_be(run, monkeypatch):
    def fail(paths, **_):
        raise ValueError('nothing goes')

    describe_with(monkeypatch, fail)
    result, _ = run(PathFeaturesJob)
    assert result.outcome is Outcome.REFUSED
    assert 'none of the rows can be described' in result.error
    result, _ = run(PathFeaturesJob, features={'potential': {'name': 'chgnet', 'model': '0.3.0', 'sha256': '0' * 64}})
    assert result.error_kind == 'input'
    assert 'are not those that chgnet-0.3.0 asks for' in result.error
    result, _ = run(PathFeaturesJob, files={'restart.parquet': b'nothing'}, restart='restart.parquet')
    assert 'the checkpoint restart.parquet cannot be read' in result.error


def test_comparison_and_the_model_that_is_kept(run):
    result, folder = run(
        BarrierModelJob,
        path_rows(60),
        models=['median', 'class_median', {'label': 'chemistry', 'model': 'chemsys_median'}],
        validations=VALIDATIONS,
        fit='chemistry',
        coverage=0.6,
        n_resamples=200,
        title='medians',
        dataset_hash='abc',
    )
    assert isinstance(result, BarrierModelResult)
    assert result.outcome is Outcome.DONE, result.error
    assert result.n_fits == 3 * (2 * 4 + 5) + 1
    predictions, comparison = table(folder, 'predictions.parquet'), table(folder, 'comparison.parquet')
    assert len(predictions) == 3 * 60 * 3
    frame = path_rows(60).set_index('name')
    assert (predictions['barrier'].to_numpy() == frame['barrier'].loc[predictions['name']].to_numpy()).all()
    for (model, validation), part in predictions.groupby(['model', 'validation']):
        row = comparison[(comparison['model'] == model) & (comparison['validation'] == validation)].iloc[0]
        assert row['mae_eV'] == pytest.approx((part['prediction'] - part['barrier']).abs().mean())
        assert row['mae_eV_low'] < row['mae_eV'] < row['mae_eV_high']
        assert row['coverage'] == pytest.approx(part['barrier'].between(part['lower'], part['upper']).mean())
        assert (row['n'], row['n_seeds']) == (60, 2 if validation == 'random' else 1)
    assert (predictions['flags'] == '[]').any()
    assert predictions['flags'].str.contains('long_hop').any()  # the largest crystal, where it is left out

    _, card = read_any_model_files(folder)
    assert (card.model, card.title, card.coverage) == ('chemsys_median', 'medians', 0.6)
    assert card.ions == {'Li': 20, 'Na': 20, 'Mg': 20}
    assert card.datasets[0].hash == 'abc'
    assert {score.validation for score in card.scores} == {'random', 'family_group'}
    assert card.leakage['random']['shares_host'] > 0
    assert card.leakage['family_group']['shares_host'] == 0
    fitted = read_barrier_model(folder)
    rows, _ = rows_of(path_rows(60))
    own = fitted.predict(rows)
    median = path_rows(60).groupby(['ion', 'formula'])['barrier'].transform('median')
    assert own['prediction'].to_numpy() == pytest.approx(median.to_numpy())
    assert (own['lower'] < own['prediction']).all()
    assert (own['upper'] > own['prediction']).all()


def test_a_split(run):
    parts = ['train'] * 12 + ['validation'] * 4 + ['test'] * 3 + ['unused']
    split = pd.DataFrame({'name': path_rows()['name'], 'part': parts})
    result, folder = run(
        BarrierModelJob,
        files={'split.parquet': split},
        split='split.parquet',
        models=['median'],
        validations=[{'how': 'split'}, {'how': 'random', 'folds': 4}],
        fit='median',
        coverage=0.5,
        n_resamples=50,
    )
    assert (result.rows, result.n_unused) == ({'train': 12, 'validation': 4, 'test': 3}, 1)
    predictions = table(folder, 'predictions.parquet')
    barriers = path_rows()['barrier']
    by = predictions.groupby('validation')['prediction'].first()
    assert by['validation'] == barriers[:12].median()
    assert by['test'] == barriers[:16].median()
    assert predictions['validation'].value_counts().to_dict() == {'random': 16, 'validation': 4, 'test': 3}
    fitted = read_barrier_model(folder)
    assert fitted.model.predict(rows_of(path_rows(2))[0]).tolist() == [barriers[:16].median()] * 2
    assert set(fitted.card.leakage) == {'random', 'validation', 'test'}


def test_definitions_go_with_the_model_and_predictions(run):
    """What a model learned from is what it predicts; rows that test, and those left out, are not counted."""
    frame = path_rows().assign(barrier_definition=pd.Series(['span'] * 12 + ['forward'] * 7 + [None], dtype='str'))
    frame.loc[0, 'path'] = '[[0,0,0],[0,0,0]]'
    split = pd.DataFrame({'name': frame['name'], 'part': ['train'] * 16 + ['test'] * 3 + ['unused']})
    entries = {'models': ['median'], 'validations': [{'how': 'split'}], 'fit': 'median', 'coverage': 0.5}
    result, folder = run(
        BarrierModelJob, frame, {'split.parquet': split}, split='split.parquet', n_resamples=50, **entries
    )
    assert read_any_model_files(folder)[1].barrier_definitions == {'span': 11, 'forward': 4}
    assert any('several definitions at once: mixed; span (11 rows)' in warning for warning in result.warnings)
    assert table(folder, 'predictions.parquet')['barrier_definition'].tolist() == ['forward'] * 3
    of_one, _ = run(BarrierModelJob, path_rows(), folder='one', models=['median'], fit='median')
    assert not any('definition' in warning for warning in of_one.warnings)
    asked, folder = run(PredictBarriersJob, frame, model_files(folder), 'predict')
    assert asked.outcome is Outcome.DONE
    found = table(folder, 'predictions.parquet')['barrier_definition']
    assert found.isna().tolist() == [True] + [False] * 19
    assert set(found.dropna()) == {'span, forward'}


def test_stopped_and_gone_on_with(run, monkeypatch):
    fits = []
    own = baselines.MedianOfGroups.fit

    def fit(self, rows, seed=0):
        fits.append(len(rows))
        if len(fits) == 5:
            os.kill(os.getpid(), signal.SIGTERM)
        own(self, rows, seed)

    monkeypatch.setattr(baselines.MedianOfGroups, 'fit', fit)
    asked = {'models': ['median', 'chemsys_median'], 'validations': VALIDATIONS, 'coverage': 0.5, 'n_resamples': 50}
    result, folder = run(BarrierModelJob, fit='median', **asked)
    assert result.outcome is Outcome.INTERRUPTED
    assert result.checkpoint
    assert result.n_fits == 5
    checkpoint = (folder / 'folds_checkpoint.parquet').read_bytes()
    result, again = run(
        BarrierModelJob,
        fit='median',
        files={'restart.parquet': checkpoint},
        restart='restart.parquet',
        folder='again',
        **asked,
    )
    assert (result.n_taken_over, result.n_fits) == (5, 2 * 13 + 1 - 5)
    _, afresh = run(BarrierModelJob, fit='median', folder='afresh', **asked)
    for name in ('predictions.parquet', 'comparison.parquet'):
        pd.testing.assert_frame_equal(table(again, name), table(afresh, name))
    assert (again / 'model.safetensors').read_bytes() == (afresh / 'model.safetensors').read_bytes()
    # another dataset: nothing is taken over
    frame = path_rows()
    frame['barrier'] += 0.1
    result, _ = run(
        BarrierModelJob,
        frame,
        fit='median',
        files={'restart.parquet': checkpoint},
        restart='restart.parquet',
        folder='other',
        **asked,
    )
    assert result.n_taken_over == 0


@pytest.mark.parametrize(
    ('change', 'entries', 'message'),
    [
        (None, {'models': ['medain']}, "medain: there is no model 'medain' of barriers: did you mean 'median'"),
        (None, {'models': [{'model': 'median', 'settings': {'size': 3}}]}, "has no setting 'size'"),
        (lambda frame: frame.drop(columns='barrier'), {}, 'no column `barrier`'),
        (lambda frame: frame.drop(columns='structural_class'), {'models': ['class_median']}, 'no `structural_group`'),
        (None, {'validations': [{'how': 'host_group', 'folds': 11}]}, '11 folds cannot be made of 10 group'),
        (None, {'models': [{'model': 'model_3', 'parent': 'mp'}]}, "parent model 'mp' is not there"),
    ],
)
def test_jobs_that_are_refused(run, change, entries, message):
    frame = path_rows() if change is None else change(path_rows())
    asked = {'models': ['median'], 'validations': [{'how': 'random', 'folds': 3}], 'n_resamples': 50, **entries}
    result, _ = run(BarrierModelJob, frame, **asked)
    assert result.outcome is Outcome.REFUSED
    assert message in result.error


def test_a_fit_without_validation_has_no_intervals(run):
    result, folder = run(BarrierModelJob, models=['median'], fit='median')
    assert 'the model has no intervals' in result.warnings[0]
    predicted, place = run(PredictBarriersJob, files=model_files(folder), folder='predict')
    assert 'no intervals' in predicted.warnings[0]
    assert table(place, 'predictions.parquet')['lower'].isna().all()


def test_predictions(run):
    fit = {'models': ['chemsys_median'], 'validations': VALIDATIONS, 'fit': 'chemsys_median', 'coverage': 0.6}
    _, folder = run(BarrierModelJob, path_rows(60), **fit)
    frame = path_rows(8)
    asked = frame.drop(columns='barrier')
    asked.loc[2, 'path'] = '[[0,0,0],[0,0,0]]'
    asked.loc[4, 'ion'] = 'K'
    result, place = run(PredictBarriersJob, asked, files=model_files(folder), folder='predict')
    assert isinstance(result, PredictBarriersResult)
    assert result.outcome is Outcome.DONE, result.error
    assert (result.n_rows, result.n_flagged, result.coverage) == (7, 1, 0.6)
    found = table(place, 'predictions.parquet')
    assert found['name'].tolist() == frame['name'].tolist()
    assert found['prediction'].isna().tolist() == [number == 2 for number in range(8)]
    assert 'same site' in found['reason'][2]
    assert json.loads(found['flags'][4]) == ['unknown_ion']
    alike = path_rows(60).query("ion == 'Li' and formula == 'LiTiO2'")
    assert found['prediction'][[0, 1]].tolist() == [alike['barrier'].median()] * 2
    # barriers and labels of the rows make no difference
    _, other = run(PredictBarriersJob, frame, files=model_files(folder), folder='known')
    assert table(other, 'predictions.parquet')['prediction'][5] == found['prediction'][5]


def test_predictions_that_are_refused(run, tmp_path):
    from learned_models import write_model_folder

    write_model_folder(tmp_path / 'property')
    result, _ = run(PredictBarriersJob, files=model_files(tmp_path / 'property'), folder='a')
    assert 'predicts gap of crystals, not migration barriers' in result.error
    _, folder = run(BarrierModelJob, models=['median'], fit='median')
    files = model_files(folder)
    altered = files['model.safetensors'][:-1] + b'\x01'
    result, _ = run(PredictBarriersJob, files={**files, 'model.safetensors': altered}, folder='b')
    assert 'the weights were altered' in result.error
    same = path_rows(2).assign(path='[[0,0,0],[0,0,0]]')
    result, _ = run(PredictBarriersJob, same, files=files, folder='c')
    assert 'none of the rows can be predicted' in result.error


TINY = {'architecture': 'tiny', 'training': {'epochs': 2, 'batch_size': 4, 'early_stopping': None}}


def test_networks_from_a_parent_are_fitted_and_stopped(run, tmp_path, monkeypatch):
    from learned_models import write_model_folder

    from aiida_embarrier.jobs.learning import GraphSettings
    from aiida_embarrier.learning.training import Trainer

    graphs = GraphSettings(doubled=True, coincident='unbonded')
    write_model_folder(tmp_path / 'parent', ('gap',), graphs=graphs)
    parent = {f'parents/mp/{name}': content for name, content in model_files(tmp_path / 'parent').items()}
    spec = {'model': 'model_1_add', 'parent': 'mp', 'settings': {'training': TINY['training']}}
    frame = path_rows(12)
    result, folder = run(BarrierModelJob, frame, files=parent, models=[spec], fit='model_1_add')
    assert result.outcome is Outcome.DONE, result.error
    fitted = read_barrier_model(folder)
    card = json.loads((tmp_path / 'parent' / 'model.json').read_text())
    assert fitted.card.parent == card['weights_sha256']
    assert fitted.card.features == []
    predicted, place = run(PredictBarriersJob, frame, files=model_files(folder), folder='predict')
    assert predicted.n_rows == 12
    found = table(place, 'predictions.parquet')['prediction'].to_numpy()
    assert np.isfinite(found).all()
    assert np.ptp(found) > 0

    own = Trainer.run

    def stop_first(self, hooks):
        os.kill(os.getpid(), signal.SIGTERM)
        return own(self, hooks)

    monkeypatch.setattr(Trainer, 'run', stop_first)
    scratch = {'label': 'scratch', 'model': 'scratch_add', 'settings': TINY}
    result, folder = run(BarrierModelJob, frame, models=[scratch], fit='scratch', folder='stopped')
    assert result.outcome is Outcome.INTERRUPTED
    assert 'SIGTERM' in result.error
    assert not (folder / 'model.json').exists()


def test_what_networks_say_of_their_fits_is_kept_and_taken_over(run, monkeypatch):
    from aiida_embarrier.learning.training import Trainer

    frame = path_rows(12)
    split = pd.DataFrame({'name': frame['name'], 'part': ['train'] * 8 + ['validation'] * 2 + ['test'] * 2})
    network = {'label': 'cc', 'model': 'scratch_cc', 'settings': {**TINY, 'hold_back': 'none'}}
    asked = {'models': ['median', network], 'validations': [{'how': 'split', 'seeds': [1, 2]}], 'n_resamples': 20}
    files = {'split.parquet': split}
    afresh, folder = run(BarrierModelJob, frame, files, split='split.parquet', fit='cc', **asked)
    assert afresh.outcome is Outcome.DONE, afresh.error
    assert list(afresh.learned) == ['cc']
    found = pd.DataFrame(afresh.learned['cc'])
    assert found[['validation', 'seed', 'fold', 'n_training', 'n_validation', 'epochs']].values.tolist() == [
        [part, seed, 0, n, 0, 2] for seed in (1, 2) for part, n in (('validation', 8), ('test', 10))
    ]
    kept = read_any_model_files(folder)[1].state['summary']
    assert (kept['n_training'], set(found['n_parameters'])) == (10, {kept['n_parameters']})
    comparison = table(folder, 'comparison.parquet')
    columns = ['model', 'validation', 'n_parameters', 'n_training', 'epochs']
    assert comparison[columns].fillna(0).values.tolist() == [
        ['median', 'validation', 0, 0, 0],
        ['cc', 'validation', kept['n_parameters'], 8, 2],
        ['median', 'test', 0, 0, 0],
        ['cc', 'test', kept['n_parameters'], 10, 2],
    ]

    own, fits = Trainer.run, []

    def stop_third(self, hooks):
        fits.append(self)
        if len(fits) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return own(self, hooks)

    monkeypatch.setattr(Trainer, 'run', stop_third)
    stopped, folder = run(BarrierModelJob, frame, files, 'stopped', split='split.parquet', **asked)
    assert stopped.outcome is Outcome.INTERRUPTED
    files['restart.parquet'] = (folder / 'folds_checkpoint.parquet').read_bytes()
    whole, _ = run(BarrierModelJob, frame, files, 'again', split='split.parquet', restart='restart.parquet', **asked)
    assert len(fits) == 3 + 2
    assert pd.DataFrame(whole.learned['cc']).drop(columns='seconds').equals(found.drop(columns='seconds'))


def test_a_parent_that_does_not_fit(run, tmp_path):
    from learned_models import write_model_folder

    write_model_folder(tmp_path / 'parent', ('gap',))
    files = {f'parents/mp/{name}': content for name, content in model_files(tmp_path / 'parent').items()}
    spec = {'label': 'x', 'model': 'scratch_add', 'parent': 'mp', 'settings': TINY}
    result, _ = run(BarrierModelJob, files=files, models=[spec], fit='x')
    assert result.outcome is Outcome.REFUSED
    assert 'scratch_add starts from random weights' in result.error
