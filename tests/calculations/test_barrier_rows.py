"""What of a dataset, a split and features does not do for models, told before anything is computed."""

import numpy as np
import pandas as pd
import pytest
from barrier_paths import path_rows

from aiida_embarrier.calculations.barrier_rows import check_barrier_rows, notes_on_coverage, part_of_rows
from aiida_embarrier.calculations.prediction_inputs import resolve_models


def asked(**entries):
    return resolve_models({'models': ['median'], 'validations': [{'how': 'random', 'folds': 5}], **entries})


def split_of(frame, parts):
    return pd.DataFrame({'name': frame['name'], 'part': [parts[number % len(parts)] for number in range(len(frame))]})


def test_rows_and_their_parts():
    frame = path_rows(10)
    assert part_of_rows(frame, None).tolist() == ['train'] * 10
    some = split_of(frame, ['train', 'test']).iloc[:8]
    assert part_of_rows(frame, some).tolist()[:2] == ['train', 'test']
    assert part_of_rows(frame, some).isna().sum() == 2
    assert check_barrier_rows(frame, asked(validations=[{'how': 'random', 'folds': 4}]), some) is None


@pytest.mark.parametrize(
    ('entries', 'parts', 'message'),
    [
        ({'validations': [{'how': 'random', 'folds': 11}]}, None, '11 folds of 10 row'),
        ({'validations': [{'how': 'family_group', 'folds': 6}]}, None, '6 folds of 5 group'),
        ({}, ['train', 'testing'], "'testing'"),
        ({}, ['test'], 'no row of the part `train`'),
        ({'validations': [{'how': 'split'}]}, ['train'], 'the split has none'),
    ],
)
def test_what_is_refused(entries, parts, message):
    frame = path_rows(10)
    split = None if parts is None else split_of(frame, parts)
    assert message in check_barrier_rows(frame, asked(**entries), split)


def test_features_of_other_rows():
    frame = path_rows(10)
    features = pd.DataFrame({'name': frame['name'], 'hop': np.arange(10.0)})
    assert check_barrier_rows(frame, asked(), features=features) is None
    wrong = check_barrier_rows(frame, asked(), features=features.iloc[3:])
    assert wrong.startswith('3 of 10 rows have no features')
    assert "'hop'" in check_barrier_rows(frame, asked(), features=features.assign(hop='long'))


@pytest.mark.parametrize(('coverage', 'told'), [(0.8, 0), (0.9, 1), (0.95, 1)])
def test_coverages_that_the_other_folds_cannot_promise(coverage, told):
    """All 36 rows could promise 0.91, the 32 beside each fold 0.899."""
    frame = path_rows(36)
    plan = asked(validations=[{'how': 'random', 'folds': 9}], coverage=coverage)
    notes = notes_on_coverage(frame, part_of_rows(frame, None), plan)
    assert len(notes) == told
    assert all('the 32 rows beside each fold' in note and '0.899' in note for note in notes)
