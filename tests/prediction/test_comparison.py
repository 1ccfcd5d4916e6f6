"""Comparisons: scores by hand, intervals of other folds, and what predicted rows share with those learned from."""

import json

import numpy as np
import pandas as pd
import pytest
from barrier_paths import path_rows

from aiida_embarrier.prediction.comparison import (
    calibrated,
    comparison_table,
    scores_of,
    shared_rows,
    with_intervals,
)
from aiida_embarrier.prediction.rows import rows_of
from aiida_embarrier.prediction.validation import folds_of, parted

N = 60


@pytest.fixture(scope='module')
def rows():
    return rows_of(path_rows(N))[0]


@pytest.fixture(scope='module')
def predictions(rows):
    """Two seeds at random and one by families, with errors whose size the difficulty tells."""
    random = np.random.default_rng(1)
    tables = []
    for how, seed in (('random', 0), ('random', 1), ('family_group', 0)):
        difficulty = random.uniform(0.01, 0.3, N)
        tables.append(
            pd.DataFrame(
                {
                    'model': 'made_up',
                    'validation': how,
                    'seed': seed,
                    'fold': folds_of(rows, how, 5, seed),
                    'name': [path.name for path in rows.paths],
                    'barrier': rows.barriers,
                    'prediction': rows.barriers + difficulty * random.standard_normal(N),
                    'difficulty': [json.dumps([value]) for value in difficulty],
                    'flags': '[]',
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


def test_scores(rows, predictions):
    found, notes = with_intervals(predictions, rows, 0.8)
    assert not notes
    scores = {score.validation: score for score in scores_of(found, n_resamples=300)}
    errors = predictions['prediction'] - predictions['barrier']
    at_random = errors[predictions['validation'] == 'random']
    assert scores['random'].values['mae_eV'].value == pytest.approx(at_random.abs().mean())
    assert scores['random'].seeds == [0, 1]
    assert scores['random'].values['mae_eV_of_seeds'].low < scores['random'].values['mae_eV'].value
    assert 'mae_eV_of_seeds' not in scores['family_group'].values
    for validation, part in found.groupby('validation'):
        inside = part['barrier'].between(part['lower'], part['upper']).mean()
        assert scores[validation].values['coverage'].value == pytest.approx(inside)
        assert inside > 0.6
    table = comparison_table(list(scores.values()))
    assert table['n'].tolist() == [N, N]
    assert table['folds'].tolist() == [5, 5]
    assert table['mae_eV_of_seeds_low'].isna().tolist() == [False, True]


def test_wide_intervals_where_rows_are_hard(rows, predictions):
    found, _ = with_intervals(predictions, rows, 0.8)
    hard = np.array([json.loads(text)[0] for text in found['difficulty']])
    widths = (found['upper'] - found['lower']).to_numpy()
    assert widths[hard > 0.2].mean() > 1.5 * widths[hard < 0.1].mean()


def test_intervals_do_not_know_their_own_fold(rows, predictions):
    """Whatever the barriers of a fold are, its intervals stay the same."""
    before, _ = with_intervals(predictions, rows, 0.8)
    other = predictions.copy()
    own = (other['validation'] == 'family_group') & (other['fold'] == 2)
    other.loc[own, 'barrier'] += 5.0
    after, _ = with_intervals(other, rows, 0.8)
    for end in ('lower', 'upper'):
        assert after.loc[own, end].tolist() == before.loc[own, end].tolist()
    rest = (other['validation'] == 'family_group') & (other['fold'] != 2)
    assert (after.loc[rest, 'upper'] > before.loc[rest, 'upper']).all()


def test_calibration_takes_the_most_honest_validation(rows, predictions):
    intervals, how = calibrated(predictions, rows, 'made_up', 0.8)
    assert how == 'family_group'
    assert len(intervals.residuals) == N
    intervals, how = calibrated(predictions[predictions['validation'] == 'random'], rows, 'made_up', 0.8)
    assert (how, len(intervals.residuals)) == ('random', 2 * N)
    assert calibrated(predictions, rows, 'other', 0.8) == (None, None)
    with pytest.raises(ValueError, match='takes more groups than the validation family_group has'):
        calibrated(predictions, rows, 'made_up', 0.99)


def test_too_few_groups_are_told(rows, predictions):
    found, notes = with_intervals(predictions, rows, 0.99)
    assert found['lower'].isna().all()
    assert {note.split(':')[0] for note in notes} == {
        'made_up has no intervals in the validation random',
        'made_up has no intervals in the validation family_group',
    }


def test_shared_rows(rows):
    frame = path_rows(N)
    parts = np.full(N, 'train')
    whole = shared_rows(frame, rows, parted(rows, parts, 'host_group', 5, 0))['host_group']
    assert whole['shares_host'] == 0
    torn = shared_rows(frame, rows, parted(rows, parts, 'random', 5, 0))['random']
    assert torn['shares_host'] > 0.5
    assert sum(value for name, value in torn.items() if name.startswith('scenario_')) == N
