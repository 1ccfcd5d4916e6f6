"""The same path by several methods."""

import numpy as np
import pytest
from systems import computed_band, straight_band

from aiida_embarrier.data.band import BandData
from aiida_embarrier.queries.same_path import PATH_COLUMNS, same_path


def store(band):
    return BandData(band).store()


@pytest.fixture
def first(aiida_profile_clean):
    """Return a stored band of EMT."""
    return store(computed_band())


def vasp(band=None, functional='pbe', **info):
    """Return a band as if another engine had computed it: all atoms elsewhere by a little, another volume."""
    band = computed_band() if band is None else band
    moved = band.positions + 0.05 * np.random.default_rng(1).standard_normal(band.positions.shape[1:])
    return band.replace(
        lattice=1.02 * band.lattice,
        positions=1.02 * moved,
        engine='vasp',
        potential=None,
        functional=functional,
        **info,
    )


def turned(band):
    """Return the mirror image of a band by a symmetry of the crystal, its atoms in another order."""
    turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    order = [0, *range(len(band.elements) - 1, 0, -1)]
    return band.replace(positions=(band.positions @ turn)[:, order], forces=None)


def test_other_methods_for_a_path(first):
    other = store(vasp())
    found = same_path(first)
    assert list(found.columns) == list(PATH_COLUMNS)
    assert found['pk'].tolist() == [first.pk, other.pk]
    assert found['match'].tolist() == ['first', 'order']
    assert found['functional'].isna().tolist() == [True, False]
    assert found['barrier_forward'].tolist() == pytest.approx([0.6, 0.6])
    assert same_path(other)['pk'].tolist() == [other.pk, first.pk], 'the one asked for comes first'
    assert same_path()['pk'].tolist() == [first.pk, other.pk]


def test_barriers_of_a_path_backwards_are_turned(first):
    store(vasp().reversed())
    found = same_path(first)
    assert found['reversed'].tolist() == [False, True]
    assert found['barrier_forward'].tolist() == pytest.approx([0.6, 0.6])
    assert found['barrier_reverse'].tolist() == pytest.approx([0.5, 0.5])


def test_hops_that_symmetry_makes_of_each_other_are_one(first):
    other = store(vasp(turned(computed_band())))
    found = same_path(first)
    assert found['pk'].tolist() == [first.pk, other.pk]
    assert found['match'].tolist() == ['first', 'symmetry']


def test_other_hops_and_crystals_are_others(first):
    band = computed_band()
    long = band.positions.copy()
    long[:, 0] += np.linspace(0, 1, 5)[:, None] * (band.positions[-1, 0] - band.positions[0, 0])
    for other in (
        vasp(band.replace(positions=long)),
        vasp(
            straight_band(5, engine='potential').replace(energies=[0.0, 0.1, 0.2, 0.1, 0.0], lattice=1.3 * band.lattice)
        ),
    ):
        store(other)
    assert same_path(first)['pk'].tolist() == [first.pk]
    assert same_path().empty


def test_one_method_alone_is_nothing_to_compare(first):
    store(computed_band())
    assert same_path().empty
    assert len(same_path(first)) == 2
    store(computed_band(charge=0.0))
    assert len(same_path()) == 3, 'charge is part of the method'


def test_filters_and_tolerance(first):
    store(vasp())
    store(vasp(functional='scan'))
    assert set(same_path(first, engine='vasp')['functional'].dropna()) == {'pbe', 'scan'}
    assert same_path(first, functional='scan')['pk'].tolist()[0] == first.pk, 'the band asked for stays in'
    assert same_path(first, tolerance=0.001)['pk'].tolist() == [first.pk]
    with pytest.raises(ValueError, match='the tolerance is a distance in Å and positive, not -1'):
        same_path(first, tolerance=-1)


def test_starting_bands_have_no_barrier_to_compare(aiida_profile_clean):
    with pytest.raises(ValueError, match='has no energies'):
        same_path(BandData(straight_band()).store())
    assert same_path().empty
