"""``evaluate``: scores of a model on a dataset, which the model sees nothing of but its paths."""

import json

import numpy as np
import pandas as pd
import pytest
from barrier_paths import path_rows
from learned_models import write_model_folder
from small_barrier_models import run_jobs_in_this_process, write_small_model

from aiida_embarrier.datasets.tables import content_hash, write_parquet
from aiida_embarrier.jobs.prediction import COLUMNS_OF_PATHS, BarrierSource
from aiida_embarrier.prediction.fitted import FittedModel, read_barrier_model, write_barrier_model


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp('models') / 'small'
    write_small_model(folder)
    return folder


@pytest.fixture
def evaluate(run, monkeypatch, model, no_profile, tmp_path):
    """Return a function that evaluates the model on rows, and what its jobs were given."""
    given = run_jobs_in_this_process(monkeypatch)

    def call(frame, *arguments, code=0, model=model):
        (tmp_path / 'rows.parquet').write_bytes(write_parquet(frame))
        how = ('evaluate', '--model', model, '--data', 'rows.parquet', '--resamples', 50, *arguments)
        return run(*how, code=code)

    call.given = given
    return call


def test_scores_of_all_rows(evaluate):
    frame = path_rows(20)
    frame.loc[3, 'ion'] = 'K'  # flagged, and scored all the same
    frame.loc[5, 'path'] = '[[0,0,0],[0,0,0]]'  # no path at all
    found = json.loads(evaluate(frame, '--format', 'json'))
    assert (found['n_rows'], found['n'], found['n_flagged']) == (20, 19, 1)
    assert found['flagged'] == [frame['name'][3]]
    assert list(found['left_out']) == [frame['name'][5]]
    assert 'same site' in found['left_out'][frame['name'][5]]
    rows = pd.DataFrame(found['rows'])
    assert rows['name'].tolist() == frame['name'].tolist()
    assert rows['barrier'].tolist() == pytest.approx(frame['barrier'].tolist())
    errors = (rows['prediction'] - rows['barrier']).dropna()
    assert len(errors) == 19
    assert found['mae_eV'] == pytest.approx(errors.abs().mean())
    assert found['median_ae_eV'] == pytest.approx(errors.abs().median())
    inside = (rows['lower'] <= rows['barrier']) & (rows['barrier'] <= rows['upper'])
    assert found['coverage'] == pytest.approx(inside.sum() / 19)
    assert found['nominal_coverage'] == 0.5
    assert found['unflagged']['n'] == 18
    for name in ('r2', 'mae_eV', 'rmse_eV', 'median_ae_eV'):
        low, high = found['intervals'][name]
        assert low < found[name] < high
    assert sum(bucket['n'] for bucket in found['buckets']) == 19


def test_implausible_barriers_are_told(evaluate):
    frame = path_rows(20)
    frame.loc[0, 'barrier'] = 300.0
    shown = evaluate(frame)
    assert 'rows have a known defect of path or barrier (1 implausible_barrier, ' in shown
    assert 'are scored like all others: `aiida-embarrier dataset info rows.parquet --defects`' in shown


def test_barriers_and_labels_change_no_prediction(evaluate):
    """The job of the model holds the columns of paths; whatever else the dataset says changes nothing."""
    frame = path_rows(10)
    other = frame.assign(barrier=frame['barrier'][::-1].to_numpy() + 1, structural_class='OLIVINE')
    first, second = (json.loads(evaluate(one, '--format', 'json')) for one in (frame, other))
    asked = [rows for rows in evaluate.given if 'lattice' in rows]
    assert len(asked) == 2
    for rows in asked:
        assert set(rows) <= set(COLUMNS_OF_PATHS)
    assert [row['prediction'] for row in first['rows']] == [row['prediction'] for row in second['rows']]
    assert first['mae_eV'] < second['mae_eV']


def test_tables(evaluate, tmp_path):
    frame = path_rows(12)
    frame.loc[0, 'barrier'] = 4.0
    shown = evaluate(frame, '-o', 'judged.csv')
    assert '12 of 12 rows scored, 0 of them flagged' in shown
    assert 'made to cover 50% of barriers' in shown
    assert '0.1 to 0.3' in shown
    assert 'definition of the known and the predicted barriers: as the literature gives it' in shown
    after = shown[shown.index('largest errors') :]
    assert frame['name'][0] in after.splitlines()[3]
    written = pd.read_csv(tmp_path / 'judged.csv')
    assert written['barrier'][0] == 4.0
    assert (
        evaluate(frame, '--format', 'csv').splitlines()[0]
        == 'name,barrier,prediction,lower,upper,flags,in_training,barrier_definition,reason'
    )


def test_rows_without_a_barrier_are_predicted_and_not_scored(evaluate, run, tmp_path):
    frame = path_rows(8)
    frame.loc[[2, 5], 'barrier'] = np.nan
    found = json.loads(evaluate(frame, '--format', 'json'))
    assert (found['n_rows'], found['n']) == (8, 6)
    assert found['without_barrier'] == frame['name'][[2, 5]].tolist()
    assert found['barrier_definitions'] == {'literature': 6}
    assert [row['barrier'] is None for row in found['rows']] == [number in {2, 5} for number in range(8)]
    assert all(row['prediction'] > 0 for row in found['rows'])
    shown = evaluate(frame)
    after = shown[shown.index('rows without a barrier to compare with (2)') :]
    assert f'{found["rows"][5]["prediction"]:.3f}' in after
    for none in (frame.assign(barrier=np.nan), frame.drop(columns='barrier')):
        shown = ' '.join(evaluate(none, code=1).split())
        assert 'rows.parquet holds no known barrier to compare with' in shown
        assert '`barrier_eV` of a file such as barriers_train.json.gz' in shown


def test_rows_that_the_model_learned_from_are_told(evaluate, model, tmp_path):
    frame = path_rows(24)  # the model learned from the first twenty
    found = json.loads(evaluate(frame, '--format', 'json'))
    assert [row['in_training'] for row in found['rows']] == [True] * 20 + [False] * 4
    assert (found['n'], found['n_in_training'], found['unseen']['n']) == (24, 20, 4)
    unseen = [abs(row['prediction'] - row['barrier']) for row in found['rows'][20:]]
    assert found['unseen']['mae_eV'] == pytest.approx(sum(unseen) / 4)
    assert f'20 of 24 paths are in the training data of the model, {frame["name"][0]} the first' in found['notes'][0]
    assert 'not in the training' in evaluate(frame)
    notes = json.loads(evaluate(frame[20:].reset_index(drop=True), '--format', 'json'))['notes']
    assert not any('training data' in note for note in notes)


def test_a_dataset_that_the_model_learned_from_is_told(evaluate, model, tmp_path):
    """By its hash, where the model keeps nothing of its rows."""
    frame = path_rows(4)
    (tmp_path / 'seen.parquet').write_bytes(write_parquet(frame))
    from aiida_embarrier.datasets.importing import read_dataset

    fitted = read_barrier_model(model)
    source = BarrierSource(hash=content_hash(read_dataset(tmp_path / 'seen.parquet').frame))
    card = fitted.card.model_copy(update={'datasets': [source]})
    (tmp_path / 'again').mkdir()
    write_barrier_model(tmp_path / 'again', FittedModel(fitted.model, card))
    found = json.loads(evaluate(frame, '--format', 'json', model='again'))
    assert {row['in_training'] for row in found['rows']} == {None}
    told = 'the model learned from this dataset: these scores say nothing of what it has not seen'
    assert told in found['notes']
    assert told not in json.loads(evaluate(path_rows(6), '--format', 'json', model='again'))['notes']


def test_barriers_of_another_definition_are_told(evaluate, model, tmp_path):
    frame = path_rows(4)
    found = json.loads(evaluate(frame, '--format', 'json'))
    assert found['barrier_definitions'] == {'literature': 4}
    assert found['model']['barrier_definitions'] == {'literature': 20}
    assert [row['barrier_definition'] for row in found['rows']] == ['literature'] * 4
    other = frame.assign(barrier_definition='span')
    found = json.loads(evaluate(other, '--format', 'json'))
    assert found['barrier_definitions'] == {'span': 4}
    assert any('definition literature, the dataset holds span' in note for note in found['notes'])
    shown = evaluate(other)
    assert 'definition of the known barriers: the highest energy along the path less the lowest one (span)' in shown
    assert 'definition of the predicted barriers: as the literature gives it, definition and' in shown
    # a model that was fitted before definitions were recorded does not say
    fitted = read_barrier_model(model)
    card = fitted.card.model_copy(update={'barrier_definitions': {}})
    (tmp_path / 'old').mkdir()
    write_barrier_model(tmp_path / 'old', FittedModel(fitted.model, card, fitted.intervals, fitted.domain))
    found = json.loads(evaluate(other, '--format', 'json', model='old'))
    assert not any('definition' in note for note in found['notes'])
    assert {row['barrier_definition'] for row in found['rows']} == {None}
    assert 'definition of the predicted barriers: not recorded' in evaluate(other, model='old')


def test_what_cannot_be_evaluated(evaluate, run, tmp_path):
    write_model_folder(tmp_path / 'gaps', ('gap',))
    assert 'not migration barriers' in evaluate(path_rows(4), model='gaps', code=1)
    frame = path_rows(2).assign(path='[[0,0,0],[0,0,0]]')
    assert 'none of the rows can be predicted' in evaluate(frame, code=1)
    assert "there is no file 'gone.parquet'" in run('evaluate', '--data', 'gone.parquet', code=1)
