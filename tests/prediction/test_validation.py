"""Validations: no model learns from what it predicts, nor from what belongs together with it."""

import numpy as np
import pytest
from barrier_paths import path_rows

from aiida_embarrier.prediction.base import BarrierModel
from aiida_embarrier.prediction.registry import make_model
from aiida_embarrier.prediction.rows import rows_of
from aiida_embarrier.prediction.validation import HOWS, folds_of, parted, predict_fold


@pytest.fixture(scope='module')
def rows():
    return rows_of(path_rows(24))[0]


@pytest.mark.parametrize('how', HOWS)
def test_folds_keep_groups_together(rows, how):
    folds = folds_of(rows, how, 3, seed=4)
    assert sorted(set(folds)) == [0, 1, 2]
    if how != 'random':
        for label in set(rows.labels[how]):
            assert len(set(folds[rows.labels[how] == label])) == 1
    if how == 'random':
        assert np.bincount(folds).tolist() == [8, 8, 8]
        assert not np.array_equal(folds, folds_of(rows, how, 3, seed=5))


def test_folds_do_not_depend_on_the_order_of_the_rows(rows):
    order = np.random.default_rng(0).permutation(len(rows))
    for how in ('random', 'host_group'):
        assert folds_of(rows.take(order), how, 4, seed=1).tolist() == folds_of(rows, how, 4, seed=1)[order].tolist()


class Recorder(BarrierModel):
    """Remembers what it was shown."""

    name = 'recorder'
    shown: list = []  # noqa: RUF012  (shared on purpose)

    def fit(self, rows, seed=0):  # noqa: ARG002
        self.learned = {path.name for path in rows.paths}

    def predict(self, rows):
        self.shown.append((self.learned, {path.name for path in rows.paths}, rows.barriers))
        return np.ones(len(rows))

    def state(self):
        return {}, {}

    @classmethod
    def from_state(cls, arrays, values):  # noqa: ARG003
        return cls()


def test_each_row_is_predicted_once_by_a_model_that_has_not_seen_it(rows):
    Recorder.shown.clear()
    judged = []
    for fold in parted(rows, np.full(len(rows), 'train'), 'host_group', 4, 2):
        predict_fold(rows, Recorder, fold.training, fold.judged)
        judged += fold.judged.tolist()
    assert sorted(judged) == list(range(len(rows)))
    assert len(Recorder.shown) == 4
    hosts = dict(zip((path.name for path in rows.paths), rows.labels['host_group'], strict=True))
    for learned, judged, barriers in Recorder.shown:
        assert barriers is None  # a model that predicts sees none
        assert len(learned) + len(judged) == len(rows)
        assert not {hosts[name] for name in learned} & {hosts[name] for name in judged}


def test_medians_of_the_other_folds(rows):
    for fold in parted(rows, np.full(len(rows), 'train'), 'random', 4, 0):
        found, _ = predict_fold(rows, lambda: make_model('median'), fold.training, fold.judged)
        others = np.delete(rows.barriers, fold.judged)
        assert set(found) == {np.median(others)}


def test_test_rows_of_a_split(rows):
    parts = np.array(['train'] * 14 + ['validation'] * 4 + ['test'] * 6)
    split = {fold.validation: fold for fold in parted(rows, parts, 'split', 10, 0)}
    assert split['validation'].training.tolist() == list(range(14))
    assert split['validation'].judged.tolist() == [14, 15, 16, 17]
    assert split['test'].training.tolist() == list(range(18))
    folds = parted(rows, parts, 'random', 3, 0)
    assert sorted(np.concatenate([fold.judged for fold in folds])) == list(range(18))
    assert max(fold.training.max() for fold in folds) < 18


@pytest.mark.parametrize(
    ('how', 'folds', 'message'),
    [('hosts', 3, "parted by 'hosts': choose from random"), ('host_group', 13, '13 folds cannot be made of 12 group')],
)
def test_what_cannot_be_parted(rows, how, folds, message):
    with pytest.raises(ValueError, match=message):
        folds_of(rows, how, folds)


def test_predictions_that_are_not_finite(rows):
    class Broken(Recorder):
        def predict(self, rows):
            return np.full(len(rows), np.nan)

    with pytest.raises(ValueError, match=rf'no finite number for 2 of 2 rows, {rows.paths[0].name} the first'):
        predict_fold(rows, Broken, np.arange(2, 24), np.arange(2))
