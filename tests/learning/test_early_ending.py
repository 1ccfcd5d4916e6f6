"""When a training ends before its last epoch."""

import math

import pytest

from aiida_embarrier.jobs.learning import TrainingSettings
from aiida_embarrier.learning.early_ending import best_epoch, ending_of

SETTINGS = TrainingSettings(epochs=100, early_stopping=3)


def curve(losses, errors=None):
    errors = [None] * len(losses) if errors is None else errors
    return [
        {'loss_train': loss, 'loss_validation': error, 'mae_validation': error}
        for loss, error in zip(losses, errors, strict=True)
    ]


@pytest.mark.parametrize(
    ('losses', 'errors', 'status'),
    [
        ([], None, None),
        ([1.0, 0.5], None, None),
        ([1.0] * 100, None, 'stalled'),
        ([1.0, math.nan], None, 'diverged'),
        ([math.inf], None, 'diverged'),
        ([1.0, 2000.0], None, 'diverged'),
        ([1.0, 500.0], None, None),
        ([1e-6, 0.5], None, None),  # from far below the mean to near it
        ([1.0, 0.5], [1.0, math.nan], 'diverged'),
        ([0.9, 0.8, 0.7, 0.6], [0.1, 0.2, 0.3, 0.4], 'stopped_early'),
        ([0.9, 0.8, 0.7, 0.6], [0.1, 0.2, 0.3, 0.05], None),
        ([0.9, 0.8, 0.7], [0.1, 0.1, 0.1], None),  # the first of equals is the best
        ([0.9, 0.8, 0.7, 0.6], [0.1, 0.1, 0.1, 0.1], 'stopped_early'),
    ],
)
def test_endings(losses, errors, status):
    assert ending_of(curve(losses, errors), SETTINGS, loss_of_mean=0.9) == status


def test_a_loss_that_rests_below_that_of_the_mean_is_no_stall():
    assert ending_of(curve([0.5] * 30), SETTINGS, loss_of_mean=0.9) is None
    assert ending_of(curve([1.0] * 20), SETTINGS, loss_of_mean=0.9) is None  # not long enough
    assert ending_of(curve([1.0] * 21), SETTINGS, loss_of_mean=0.9) == 'stalled'
    assert ending_of(curve([1.0 + 1e-5 * number for number in range(30)]), SETTINGS, loss_of_mean=0.9) is None


def test_all_epochs_are_trained_without_early_stopping():
    settings = TrainingSettings(epochs=5, early_stopping=None)
    entries = curve([0.9] * 5, [0.1, 0.2, 0.3, 0.4, 0.5])
    assert [ending_of(entries[:number], settings, 1.0) for number in (4, 5)] == [None, 'trained']


def test_best_epoch():
    assert best_epoch(curve([1.0, 1.0])) is None
    assert best_epoch(curve([1.0] * 4, [0.3, 0.2, math.nan, 0.2])) == 2
