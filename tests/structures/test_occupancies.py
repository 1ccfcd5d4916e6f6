"""Whole atoms from occupancies: nearest numbers, warnings, refusals with a remedy."""

import itertools

import numpy as np
import pytest
from disordered_crystals import pair_of_sets, rock_salt
from hypothesis import given, settings
from hypothesis import strategies as st

from aiida_embarrier.structures.occupancies import fix_contents, nearest_counts


def test_whole_numbers_need_no_warning():
    contents = fix_contents(rock_salt({'Li': 0.5, 'Na': 0.25}))
    (entry,) = contents.sets
    assert {str(name): count for name, count in zip(entry.species, entry.counts, strict=True)} == {'Li': 2, 'Na': 1}
    assert entry.vacancies == 1
    assert entry.deviation == 0
    assert contents.warnings == ()
    assert contents.formula == 'Na1 Li2 Cl4'
    assert entry.to_dict()['counts'] == {'Li': 2, 'Na': 1}


def test_three_digits_of_two_thirds_are_whole():
    contents = fix_contents(rock_salt({'Li': 0.667, 'Na': 0.333}), [3, 1, 1])
    assert sorted(contents.sets[0].counts) == [4, 8]
    assert contents.warnings == ()


def test_rounding_is_told_with_both_compositions():
    contents = fix_contents(rock_salt({'Li': 0.55}), tolerance=0.05)
    assert contents.sets[0].counts == (2,)
    assert contents.sets[0].deviation == pytest.approx(0.05)
    assert 'the 4 sites with Li:0.55 were rounded to 2 Li and 2 empty' in contents.warnings[0]
    assert 'by up to 0.050' in contents.warnings[0]
    assert contents.warnings[1] == 'the composition is Li2 Cl4 instead of Li2.2 Cl4'


def test_refusal_names_cell_and_tolerance():
    with pytest.raises(ValueError, match='hold no whole numbers of atoms') as caught:
        fix_contents(rock_salt({'Li': 0.9}))
    message = str(caught.value)
    assert 'the 4 site(s) with Li:0.9' in message
    assert 'the nearest are 4 Li and 0 empty' in message
    assert 'a supercell of 2 cells would do (--supercell fit finds one)' in message
    assert 'so would a tolerance of 0.1' in message
    assert fix_contents(rock_salt({'Li': 0.9}), tolerance=0.1).sets[0].counts == (4,)
    assert fix_contents(rock_salt({'Li': 0.9}), [2, 1, 1]).sets[0].counts == (7,)


def test_fit_finds_the_smallest_supercell():
    crystal = rock_salt({'Li': 0.9})
    contents = fix_contents(crystal, 'fit', tolerance=0.001)
    assert np.linalg.det(contents.supercell) == pytest.approx(5)
    assert contents.sets[0].counts == (18,)
    # of equal sizes the one whose periodic images are farthest apart
    flat = pair_of_sets()
    flat.replace_species({'Li': {'Li': 0.5}})  # a quarter of two sites
    assert fix_contents(flat, 'fit', tolerance=0.001).supercell.diagonal().tolist() == [1, 2, 1]


def test_no_supercell_fits():
    with pytest.raises(ValueError, match='no supercell of up to 24 cells'):
        fix_contents(rock_salt({'Li': 0.5123}), 'fit', tolerance=0.0)


def test_sets_share_an_occupancy_or_an_orbit(shared_data):
    crystal = pair_of_sets()
    crystal.replace_species({'Cl': {'Li': 0.5}})  # another orbit with the same occupancy
    by_occupancy = fix_contents(crystal)
    assert sorted(len(entry.sites) for entry in by_occupancy.sets) == [2, 4]
    by_orbit = fix_contents(crystal, fix='orbit')
    assert sorted(len(entry.sites) for entry in by_orbit.sets) == [2, 2, 2]
    # orbits are those of the crystal, also in a supercell that has less symmetry
    assert sorted(len(entry.sites) for entry in fix_contents(crystal, [2, 1, 1], fix='orbit').sets) == [4, 4, 4]


def test_a_species_that_nearly_nobody_is():
    contents = fix_contents(rock_salt({'Li': 0.975, 'Na': 0.025}))
    assert contents.formula == 'Li4 Cl4'
    assert contents.sets[0].counts in {(4, 0), (0, 4)}


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'fix': 'site'}, "unknown fix 'site': choose one of occupancy, orbit"),
        ({'tolerance': -0.1}, 'a number from 0 to 1, got -0.1'),
        ({'tolerance': float('nan')}, 'a number from 0 to 1'),
        ({'supercell': 'fits'}, "'fits' is neither 'fit' nor"),
        ({'supercell': [0, 1, 1]}, 'is no supercell'),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(ValueError, match=message):
        fix_contents(rock_salt({'Li': 0.5}), **arguments)


@settings(derandomize=True, max_examples=150, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=3), st.integers(1, 7))
def test_no_other_numbers_are_nearer(parts, n_sites):
    total = max(sum(parts), 1) + 7
    occupancies = [part / total for part in parts]
    counts = nearest_counts(occupancies, n_sites)
    assert sum(counts) <= n_sites

    def deviation(numbers):
        empty = 1 - sum(occupancies) - (n_sites - sum(numbers)) / n_sites
        return max(
            abs(empty), *(abs(number / n_sites - value) for number, value in zip(numbers, occupancies, strict=True))
        )

    others = itertools.product(range(n_sites + 1), repeat=len(parts))
    best = min(deviation(numbers) for numbers in others if sum(numbers) <= n_sites)
    assert deviation(counts) == pytest.approx(best)
