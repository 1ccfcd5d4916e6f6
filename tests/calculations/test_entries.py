"""Functionals of literature rows under the names that publications, engines and potentials give them."""

import pytest

from aiida_embarrier.calculations.entries import functionals_meant


@pytest.mark.parametrize(
    ('published', 'computed', 'same'),
    [
        ('GGA', 'pbe', True),
        ('GGA', 'PBE', True),
        ('GGA+U', 'pbe+u', True),
        ('SCAN', 'scan', True),
        ('LDA', 'lda', True),
        ('GGA', 'PBE/PBE+U (MPtrj)', True),
        ('GGA+U', 'PBE/PBE+U (MPtrj)', True),
        ('GGA+U', 'PBE/PBE+U (MPtrj), modality PBE', False),
        ('GGA', 'pbe+u', False),
        ('GGA', 'pbesol', False),
        ('GGA', 'pbe-d3bj', False),
        ('SCAN', 'r2scan', False),
        ('PW91', 'pbe', False),
        ('LDA', 'PBE/PBE+U (MPtrj)', False),
    ],
)
def test_which_names_mean_the_same_functional(published, computed, same):
    assert bool(functionals_meant(published) & functionals_meant(computed)) is same
