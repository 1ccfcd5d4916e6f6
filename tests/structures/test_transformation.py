"""pymatgen's order-disorder transformation behind the same result as the exact mode."""

import numpy as np
import pytest
from disordered_crystals import pair_of_sets, rock_salt

from aiida_embarrier.structures.orderings import find_orderings
from aiida_embarrier.structures.reading_disordered import read_disordered


def assert_same(exact, proposed):
    assert len(proposed.multiplicities) == exact.count.n_distinct == proposed.count.n_distinct
    assert sorted(proposed.multiplicities.tolist()) == sorted(exact.multiplicities.tolist())
    np.testing.assert_allclose(np.sort(proposed.energies), np.sort(exact.energies), atol=1e-6)


@pytest.mark.parametrize('algorithm', ['fast', 'best_first'])
@pytest.mark.parametrize(
    ('crystal', 'states'),
    [
        (rock_salt({'Mg2+': 0.5}, 'Cl-'), None),
        (rock_salt({'Li+': 0.5, 'Al3+': 0.25}, {'O2-': 0.75, 'F-': 0.25}), None),
        (pair_of_sets(), {'Li': 1, 'Na': 1, 'K': 1, 'Cl': -1}),
        (rock_salt('Li+', 'Cl-'), None),
    ],
)
def test_all_that_is_asked_for_are_the_exact_ones(crystal, states, algorithm):
    exact = find_orderings(crystal, oxidation_states=states)
    proposed = find_orderings(crystal, oxidation_states=states, exact=False, algorithm=algorithm)
    assert_same(exact, proposed)
    formulas = {ordering.structure.composition.formula for ordering in proposed.orderings}
    assert formulas == {exact.orderings[0].structure.composition.formula}


@pytest.mark.slow
@pytest.mark.parametrize('name', ['obelix_jqc', 'obelix_hja', 'obelix_nhq', 'obelix_xz4', 'pymatgen_Cu7Te5'])
def test_real_crystals(shared_data, name):
    crystal = read_disordered(shared_data / 'disordered_cifs' / f'{name}.cif')
    exact = find_orderings(crystal, supercell='fit', keep=0)
    assert_same(exact, find_orderings(crystal, supercell='fit', keep=0, exact=False))


def test_rounded_sets_that_look_alike_stay_apart():
    """0.45 and 0.55 of four sites are both two: pymatgen would share four among eight sites."""
    crystal = rock_salt({'Mg2+': 0.45}, {'Cl-': 0.55})
    exact = find_orderings(crystal)
    assert exact.count.n_arrangements == 36
    assert_same(exact, find_orderings(crystal, exact=False))


def test_fewer_than_all_are_said_to_be_fewer():
    found = find_orderings(rock_salt({'Mg2+': 0.5}, 'Cl-'), supercell=[2, 1, 1], exact=False, limit=5)
    assert found.multiplicities.sum() == 5
    assert any('pymatgen proposed 5 of 70 arrangements' in warning for warning in found.warnings)
    exact = find_orderings(rock_salt({'Mg2+': 0.5}, 'Cl-'), supercell=[2, 1, 1], keep=0)
    assert found.energies[0] == pytest.approx(exact.energies[0])


def test_metals_need_the_exact_mode():
    with pytest.raises(ValueError, match='needs oxidation states, and there are none'):
        find_orderings(rock_salt({'Nb': 0.5, 'Zr': 0.5}, 'Ti'), exact=False)


def test_unknown_algorithm():
    with pytest.raises(ValueError, match="unknown algorithm 'complete': choose one of fast, best_first"):
        find_orderings(rock_salt({'Mg2+': 0.5}, 'Cl-'), exact=False, algorithm='complete')
