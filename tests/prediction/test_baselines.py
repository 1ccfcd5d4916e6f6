"""Baselines: medians of groups, by hand; what they do not know, and their state."""

import json

import numpy as np
import pytest
from barrier_paths import path_rows

from aiida_embarrier.prediction.base import Rows
from aiida_embarrier.prediction.registry import make_model, restore_model
from aiida_embarrier.prediction.rows import rows_of

NAMES = ('median', 'class_median', 'chemsys_median')


@pytest.fixture(scope='module')
def rows():
    return rows_of(path_rows(20))[0]


def fitted(name, rows):
    model = make_model(name)
    model.fit(rows)
    return model


def test_medians(rows):
    frame = path_rows(20)
    assert fitted('median', rows).predict(rows).tolist() == [frame['barrier'].median()] * 20
    of_class = frame.groupby('structural_class')['barrier'].transform('median')
    assert fitted('class_median', rows).predict(rows) == pytest.approx(of_class.to_numpy())
    of_system = frame.groupby(['ion', 'formula'])['barrier'].transform('median')
    assert fitted('chemsys_median', rows).predict(rows) == pytest.approx(of_system.to_numpy())


def test_wider_groups_where_one_is_not_known(rows):
    frame = path_rows(20)
    lithium = np.flatnonzero(frame['ion'] == 'Li')
    rest = [number for number in range(20) if number not in lithium[:2]]
    model = fitted('chemsys_median', rows.take(rest))
    same_ion = frame['barrier'][lithium[2:]].median()
    assert model.predict(rows.take(lithium[:2])) == pytest.approx([same_ion] * 2)
    without = fitted('chemsys_median', rows.take(np.flatnonzero(frame['ion'] != 'Li')))
    assert without.predict(rows.take([0])) == pytest.approx([frame['barrier'][frame['ion'] != 'Li'].median()])


@pytest.mark.parametrize('name', NAMES)
def test_state_predicts_the_same(rows, name):
    model = fitted(name, rows)
    arrays, values = model.state()
    again = restore_model(name, arrays, json.loads(json.dumps(values)))
    assert again.predict(rows).tolist() == model.predict(rows).tolist()


def test_what_is_missing(rows):
    with pytest.raises(ValueError, match='was not fitted'):
        make_model('median').predict(rows)
    with pytest.raises(ValueError, match='no barriers to learn from'):
        make_model('median').fit(Rows(rows.paths))
    with pytest.raises(ValueError, match='no `structural_group`'):
        fitted('class_median', Rows(rows.paths, barriers=rows.barriers))
