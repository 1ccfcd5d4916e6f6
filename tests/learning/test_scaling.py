"""Scaling of targets: what it is fitted on, that it is undone exactly, and what it cannot be fitted on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiida_embarrier.jobs.learning import Scaler
from aiida_embarrier.learning.scaling import fit_scaler, scale, unscale

VALUES = np.array([1.0, 3.0, 2.0, 7.0, np.nan, 11.0])
PARTS = ['train', 'train', 'train', 'validation', 'train', 'test']


def fit(method: str, values=VALUES, parts=PARTS) -> Scaler:
    return fit_scaler('gap', 'band gap', 'eV', values, method, parts)


def test_minmax_sees_training_rows_only():
    scaler = fit('minmax')
    assert (scaler.label, scaler.property, scaler.unit, scaler.leaks) == ('gap', 'band gap', 'eV', False)
    np.testing.assert_allclose(scale(scaler, VALUES), [-1, 1, 0, 5, np.nan, 9])


def test_standard_sees_training_rows_only():
    scaled = scale(fit('standard'), VALUES)[:3]
    assert scaled.mean() == pytest.approx(0)
    assert scaled.std() == pytest.approx(1)


def test_whole_set_sees_the_test_and_says_so():
    scaler = fit('whole_set')
    assert scaler.leaks
    np.testing.assert_allclose(scale(scaler, VALUES), [-1, -0.6, -0.8, 0.2, np.nan, 1])


def test_none_leaves_values_as_they_are():
    scaler = fit('none', [2.0, 2.0], ['test', 'test'])
    assert (scaler.centre, scaler.width, scaler.method) == (0, 1, 'none')
    np.testing.assert_array_equal(scale(scaler, VALUES), VALUES)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(
    st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=9, unique=True).filter(lambda values: np.ptp(values) > 1e-3),
    st.sampled_from(['minmax', 'standard', 'none', 'whole_set']),
)
def test_scaling_is_undone(values, method):
    scaler = fit(method, values, ['train'] * len(values))
    np.testing.assert_allclose(unscale(scaler, scale(scaler, values)), values, atol=1e-9, rtol=1e-12)


@pytest.mark.parametrize(
    ('values', 'parts', 'method', 'message'),
    [
        ([2.0, 2.0], ['train', 'train'], 'minmax', "all 2 values of gap .* 'minmax' .* are 2: .* the scaling 'none'"),
        ([0.1 + 0.2, 0.3], ['train', 'train'], 'standard', 'all 2 values of gap'),
        ([0.0], ['train'], 'whole_set', 'all 1 values of gap'),
        ([1.0, 2.0], ['test', 'validation'], 'minmax', 'no training row has a value of gap'),
        ([np.nan, 2.0], ['train', 'test'], 'standard', 'no training row has a value of gap'),
        ([np.inf, 2.0], ['train', 'train'], 'minmax', 'gap is infinite'),
        ([1.0, 2.0], ['train', 'train'], 'max', "no scaling 'max': choose from minmax, standard, none, whole_set"),
    ],
)
def test_what_cannot_be_scaled(values, parts, method, message):
    with pytest.raises(ValueError, match=message):
        fit(method, values, parts)
