"""Paths that are asked for: their rows are the hops, whatever the order of atoms; what is no hop is refused."""

import numpy as np
import pytest
from barrier_paths import path_rows
from pymatgen.core import Lattice, Structure
from systems import aluminium, aluminium_vacancy_ends

from aiida_embarrier.bands.alignment import AlignmentError
from aiida_embarrier.datasets import asked_paths
from aiida_embarrier.datasets.asked_paths import asked_hops, asked_path, asked_rows
from aiida_embarrier.prediction.paths import MigrationPath
from aiida_embarrier.structures.endpoints import make_endpoints
from aiida_embarrier.structures.hops import find_hops


def halite():
    return Structure.from_spacegroup('Fm-3m', Lattice.cubic(5.1), ['Li', 'Cl'], [[0, 0, 0], [0.5, 0, 0]])


def test_rows_are_the_hops():
    hops = find_hops(halite(), 'Li', max_length=5.5)
    asked = asked_hops(halite(), 'Li', max_length=5.5, functional='GGA')
    assert [row['number'] for row in asked.about] == list(range(len(hops)))
    assert len(asked.rows) == len(hops) > 1
    for hop, (_, row) in zip(hops, asked.rows.iterrows(), strict=True):
        path = MigrationPath.from_row(row)
        assert path.hop_length == pytest.approx(hop.length, abs=1e-4)
        assert path.n_atoms == 63  # 2 x 2 x 2 cells without one lithium
        assert path.functional == 'GGA'
    assert 'barrier' not in asked.rows
    assert not asked.left_out
    assert asked_hops(halite(), 'Li', max_length=5.5, numbers=[1]).rows['name'].tolist() == [asked.about[1]['name']]


def test_hops_without_room_are_left_out_and_said():
    asked = asked_hops(halite(), 'Li', max_length=5.5, supercell=1)
    assert 'take a larger supercell' in asked.left_out[asked.about[-1]['name']]
    assert len(asked.rows) + len(asked.left_out) == len(asked.about)
    assert len(asked.rows) == 1
    assert 'finite size' in asked.warnings[0]
    table = asked.with_predictions(asked.rows[['name']].assign(prediction=0.3))
    assert table['prediction'].isna().tolist() == [False] + [True] * len(asked.left_out)


def test_an_added_ion():
    asked = asked_hops(aluminium((1, 1, 1)), 'Li', mechanism='interstitial', max_length=3.0)
    path = MigrationPath.from_row(asked.rows.iloc[0])
    assert path.ion == 'Li'
    assert set(path.species) == {'Al'}
    assert path.n_atoms == 33


def test_no_hops():
    with pytest.raises(ValueError, match='allow longer hops with max_length'):
        asked_hops(halite(), 'Li', max_length=1.0)
    with pytest.raises(ValueError, match='there is no hop 7'):
        asked_hops(halite(), 'Li', numbers=[7])


def test_ends_in_another_order():
    initial, final = aluminium_vacancy_ends()
    shuffled = Structure.from_sites([final[index] for index in np.random.default_rng(0).permutation(len(final))])
    asked = asked_path(initial, shuffled)
    path = MigrationPath.from_row(asked.rows.iloc[0])
    assert path.hop_length == pytest.approx(aluminium((1, 1, 1)).lattice.a / np.sqrt(2), abs=0.05)
    assert asked.about[0]['ion'] == 'Al'


def test_ends_that_are_no_hop():
    initial, final = aluminium_vacancy_ends()
    with pytest.raises(ValueError, match='give two different endpoints'):
        asked_path(initial, initial)
    with pytest.raises(ValueError, match='contain no Li'):
        asked_path(initial, final, 'Li')
    moved = halite() * (2, 2, 2)
    both = moved.copy()
    for index in moved.indices_from_symbol('Li')[:2]:
        both.translate_sites([index], [0.125, 0.125, 0.125])
    with pytest.raises(ValueError, match=r'2 atom\(s\) move farther'):
        asked_path(moved, both, 'Li')


@pytest.fixture
def ends():
    found = make_endpoints(halite(), find_hops(halite(), 'Li')[0])
    return found.initial, found.final


def disturbed(crystal):
    """Return the crystal without any symmetry: each of its hops is a hop of its own."""
    shifts = np.random.default_rng(0).normal(0, 0.01, (len(crystal), 3))
    return Structure(crystal.lattice, crystal.species, crystal.frac_coords + shifts)


def test_a_crystal_with_too_many_hops_is_not_begun(monkeypatch):
    odd = disturbed(halite())
    count = len(find_hops(odd, 'Li'))
    assert count > 20
    with pytest.raises(ValueError, match=r'more than 20 distinct hops, 8 atoms and 1 symmetry operation.*--max-length'):
        asked_hops(odd, 'Li', max_hops=20)
    assert len(asked_hops(odd, 'Li', max_hops=count).rows) == count
    assert len(asked_hops(odd, 'Li', numbers=[0, 3], max_hops=1).rows) == 2  # who names hops knows of them
    monkeypatch.setattr(asked_paths, 'MAX_HOPS', 20)
    with pytest.raises(ValueError, match='more than 20 distinct hops'):
        asked_hops(odd, 'Li')
    for which in ({'supercell': [10, 10, 10]}, {'min_distance': 50.0}):  # of 1000 cells, and of 666 at least
        with pytest.raises(ValueError, match=r'would have [58]\d{3} atoms or more, and 5000 are the most'):
            asked_hops(odd, 'Li', **which)
    monkeypatch.setattr(asked_paths, 'MAX_ATOMS', 7)
    with pytest.raises(ValueError, match='has 8 atoms, more than 7: give its primitive cell'):
        asked_hops(odd, 'Li')


def test_two_movers_get_a_remedy_that_there_is(ends):
    initial, final = ends
    final.translate_sites([5], [0.12, 0.12, 0.12])
    with pytest.raises(ValueError, match=r'Li \(site 5\) by 2\.\d\d Å.*predicted for one moving ion') as caught:
        asked_path(initial, final)
    assert 'threshold' not in str(caught.value)


def test_ends_in_different_lattices(ends):
    initial, final = ends
    final.lattice = Lattice(final.lattice.matrix * 1.01)
    with pytest.raises(AlignmentError, match=r'\+3\.03 %.*--lattice-policy'):
        asked_path(initial, final)
    lengths = [
        asked_path(initial, final, lattice_policy=policy).rows['hop_length'][0] for policy in ('initial', 'mean')
    ]
    assert lengths == pytest.approx([5.1 / np.sqrt(2), 5.1 / np.sqrt(2) * 1.005], abs=1e-4)


@pytest.mark.parametrize(('functional', 'said'), [('GGA+U', False), ('r2SCAN', False), ('gga', False), ('HSE', True)])
def test_functionals_that_make_no_difference(ends, functional, said):
    for asked in (asked_hops(halite(), 'Li', functional=functional), asked_path(*ends, functional=functional)):
        assert any(f"functional '{functional}' changes nothing" in warning for warning in asked.warnings) == said
        assert asked.rows['functional'].tolist() == [functional]


def test_paths_of_a_dataset_without_lengths():
    """Those that a file is read from have lengths; a table that somebody made may have none."""
    asked = asked_rows(path_rows(3))
    assert len(asked.rows) == len(asked.about) == 3
    assert 'barrier' not in asked.rows
