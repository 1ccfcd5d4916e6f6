"""What is tried where a job failed, in which order."""

import pytest

from aiida_embarrier.engines.vasp.remedies import electronic_ladder, is_falling, next_optimiser


def test_ladders_differ_for_meta_ggas():
    gga, meta = electronic_ladder({'GGA': 'PE'}), electronic_ladder({'METAGGA': 'SCAN'})
    assert [remedy.tags['ALGO'] for remedy in gga] == ['Normal', 'All', 'Damped']
    assert [remedy.tags['ALGO'] for remedy in meta] == ['All', 'Damped', 'Normal']
    for ladder in (gga, meta):
        assert [remedy.steps for remedy in ladder] == [2, 3, 4]


@pytest.mark.parametrize(
    ('residuals', 'falling'),
    [
        ([1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3], True),
        ([0.3, 0.31, 0.29, 0.3, 0.3, 0.31, 0.3, 0.29], False),
        ([0.3, 0.4, 0.5, 0.6, 0.7], False),
        ([1.0, 2.0, 0.5, 0.2, 0.9, 0.3], True),
        ([0.3, None, 0.4], True),  # too few to tell
        ([], True),
    ],
)
def test_trend_of_forces(residuals, falling):
    assert is_falling(residuals) is falling


def test_optimisers_are_tried_one_after_the_other():
    assert next_optimiser('vtst', ['lbfgs']) == 'quick_min'
    assert next_optimiser('vtst', ['lbfgs', 'quick_min']) == 'fire'
    assert next_optimiser('vtst', ['fire', 'lbfgs', 'quick_min']) is None
    assert next_optimiser('stock', ['quick_min']) == 'rmm_diis'
