"""Which hops of a derived crystal are meant, told before any process runs."""

import pytest

from aiida_embarrier.calculations.derived import hops_in_state

#: Of the lithium atoms 1, 3 and 5 the first two are gone.
PARTIAL = {'ion': 'Li', 'mechanism': 'interstitial', 'sites': [[0, 0, 0], [0.5, 0, 0]], 'removed': [1, 3], 'kept': [5]}
FULL = {'ion': 'Li', 'mechanism': 'vacancy', 'sites': [], 'removed': [], 'kept': [1, 3, 5]}


def test_sites_are_those_of_the_crystal_before_ions_were_taken_out():
    assert hops_in_state({'between': [3, 1]}, PARTIAL) == {
        'ion': 'Li',
        'mechanism': 'interstitial',
        'sites': PARTIAL['sites'],
        'between': [1, 0],
    }
    assert hops_in_state({'between': [3, 5], 'ion': 'Li'}, FULL)['between'] == [3, 5]
    vacancies = {**PARTIAL, 'mechanism': 'vacancy', 'removed': [1], 'kept': [3, 5]}
    assert hops_in_state({'between': [3, 5]}, vacancies)['between'] == [2, 4]


def test_coordinates_and_sites_that_were_named_stay_as_they_are():
    assert hops_in_state({'between': [[0, 0, 0], 3]}, PARTIAL)['between'] == [[0, 0, 0], 1]
    own = {'between': [1, 0], 'sites': [[0, 0, 0.5], [0.5, 0, 0.5]]}
    assert hops_in_state(own, PARTIAL) == {'ion': 'Li', 'mechanism': 'interstitial', **own}
    assert hops_in_state({'between': [0, 1], 'ion': 'Na'}, PARTIAL) == {'ion': 'Na', 'between': [0, 1]}


def test_a_site_that_no_ion_left_is_refused():
    with pytest.raises(ValueError, match=r'site 5 is none of the emptied ones: choose from \[1, 3\]'):
        hops_in_state({'between': [1, 5]}, PARTIAL)
    with pytest.raises(ValueError, match='site 0 is none of the occupied ones'):
        hops_in_state({'between': [0, 1]}, FULL)
