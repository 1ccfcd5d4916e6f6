"""Both ends of a hop: one atom moves, by what the hop says, and all others stay under their index."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure

from aiida_embarrier.bands.band import Band
from aiida_embarrier.structures.endpoints import make_endpoints
from aiida_embarrier.structures.hops import find_hops


def assert_one_atom_moves(ends):
    assert ends.initial.species == ends.final.species
    assert np.array_equal(ends.initial.lattice.matrix, ends.final.lattice.matrix)
    moves = ends.final.cart_coords - ends.initial.cart_coords
    assert np.linalg.norm(moves[ends.mobile]) == pytest.approx(ends.hop.length)
    assert ends.initial[ends.mobile].specie.symbol == ends.hop.ion
    others = np.delete(moves, ends.mobile, axis=0)
    assert not others.any(), 'all other atoms stay where they are, exactly'


def test_the_demo_cell(olivine):
    ends = make_endpoints(olivine, find_hops(olivine, 'Li')[0])
    assert_one_atom_moves(ends)
    assert len(ends.initial) == 111
    assert ends.image_distance == pytest.approx(9.384)
    assert ends.warnings == ()
    assert ends.mobile == 0
    band = ends.band(engine='potential')
    assert isinstance(band, Band)
    assert band.hop_length == pytest.approx(3.005)
    assert (band.info.mechanism, band.info.host, band.info.engine) == ('vacancy', 'LiFePO4', 'potential')
    assert band.periodic_image_distance == pytest.approx(ends.image_distance)


def test_each_end_is_the_supercell_without_the_right_ion(olivine):
    """Adding the missing ion to one end gives the perfect crystal, and the vacancy is at the other end of the hop."""
    for hop in find_hops(olivine, 'Li', max_length=6.5, through=True):
        ends = make_endpoints(olivine, hop, (1, 2, 2))
        perfect = olivine * (1, 2, 2)
        for full, empty in ((ends.initial, ends.final), (ends.final, ends.initial)):
            filled = full.copy()
            filled.append('Li', empty[0].coords, coords_are_cartesian=True)
            distances = perfect.lattice.get_all_distances(perfect.frac_coords, filled.frac_coords)
            assert distances.min(axis=1).max() < 1e-6
            nearest = distances.argmin(axis=1)
            assert len(set(nearest)) == len(perfect) == len(filled)
            assert [filled[index].specie for index in nearest] == [site.specie for site in perfect]


def test_a_hop_longer_than_half_the_supercell_keeps_its_way(layered):
    """In a cell of 2.8 Å across the layer a hop of 4.9 Å has shorter images: it is made as it was meant."""
    hop = next(hop for hop in find_hops(layered, 'Li') if hop.length > 4.8)
    supercell = next(
        matrix
        for matrix in ((1, 1, 2), (1, 2, 2), (2, 2, 3), (2, 3, 3))
        if not np.allclose(np.mod(hop.displacement / np.array(matrix), 1), 0)
        and (layered * matrix).lattice.get_all_distances([[0, 0, 0]], [hop.displacement / np.array(matrix)])[0, 0]
        < hop.length - 0.1
    )
    ends = make_endpoints(layered, hop, supercell, min_distance=1.0)
    assert_one_atom_moves(ends)
    assert ends.band().hop_length == pytest.approx(hop.length)


def test_a_supercell_in_which_the_ends_coincide_is_refused(layered):
    hop = find_hops(layered, 'Li')[0]
    with pytest.raises(ValueError, match='take a larger supercell'):
        make_endpoints(layered, hop, 1)
    layered.remove_species(['Li'])
    hop = find_hops(layered, 'Li', mechanism='interstitial', sites=[[0.5] * 3])[0]
    with pytest.raises(ValueError, match='take a larger supercell'):
        make_endpoints(layered, hop, 1)


def test_a_small_cell_is_made_with_a_warning_that_says_what_would_do(olivine):
    ends = make_endpoints(olivine, find_hops(olivine, 'Li')[0], 1)
    [warning] = ends.warnings
    assert '4.69 Å apart' in warning
    assert '1x2x2' in warning


def test_divacancy_hop(layered):
    hop = find_hops(layered, 'Li', extra_vacancies=1)[0]
    ends = make_endpoints(layered, hop, (3, 3, 3))
    assert_one_atom_moves(ends)
    assert len(ends.initial) == 27 * 4 - 2
    assert ends.initial.composition['Li'] == 25
    # both ends have two neighbouring vacancies, and the crystal makes one of the other
    lattice = ends.initial.lattice
    third = np.array(hop.further_vacancies[0].coords) @ layered.lattice.matrix
    for end in (ends.initial, ends.final):
        distances = lattice.get_all_distances(lattice.get_fractional_coords(third), end.frac_coords)
        assert distances.min() > 1.5, 'the further vacancy is empty'
    assert StructureMatcher(primitive_cell=False).fit(ends.initial, ends.final)


def test_interstitial_hop(olivine):
    full = find_hops(olivine, 'Li')[0]
    empty = olivine.copy()
    empty.remove_species(['Li'])
    empty.add_site_property('magmom', [4.0 if site.specie.symbol == 'Fe' else 0.0 for site in empty])
    hop = find_hops(empty, 'Li', mechanism='interstitial', sites=[[0, 0, 0]])[0]
    ends = make_endpoints(empty, hop, (1, 2, 2))
    assert_one_atom_moves(ends)
    assert len(ends.initial) == 4 * 24 + 1
    assert hop.length == pytest.approx(full.length)
    assert ends.initial[0].properties['magmom'] == 0
    assert {site.properties['magmom'] for site in ends.final if site.specie.symbol == 'Fe'} == {4.0}
    assert ends.band().info.mechanism == 'interstitial'
    assert ends.band().info.host == 'FePO4'


def test_properties_of_the_sites_travel(antiferromagnetic_spinel):
    crystal = antiferromagnetic_spinel
    crystal.add_site_property('hubbard_u', [3.9 if site.specie.symbol == 'Mn' else 0.0 for site in crystal])
    ends = make_endpoints(crystal, find_hops(crystal, 'Li')[0], 2)
    for end in (ends.initial, ends.final):
        moments = [site.properties['magmom'] for site in end if site.specie.symbol == 'Mn']
        assert sorted(set(moments)) == [-4.0, 4.0]
        assert sum(moments) == 0
    kinds = {(kind.element, kind.magnetic_moment, kind.hubbard_u) for kind in ends.band().kinds}
    assert kinds == {('Li', 0.0, 0.0), ('Mn', 4.0, 3.9), ('Mn', -4.0, 3.9), ('O', 0.0, 0.0)}


def test_a_host_relaxed_after_its_hops_were_found(olivine):
    hop = find_hops(olivine, 'Li')[0]
    generator = np.random.default_rng(1)
    relaxed = Structure(
        Lattice(olivine.lattice.matrix * 1.02 + generator.normal(scale=0.02, size=(3, 3))),
        olivine.species,
        olivine.frac_coords + generator.normal(scale=0.003, size=(28, 3)),
    )
    ends = make_endpoints(relaxed, hop, (1, 2, 2))
    vector = ends.final[0].coords - ends.initial[0].coords
    i, j = hop.initial.index, hop.final.index
    wanted = (relaxed[j].frac_coords + hop.final.image - relaxed[i].frac_coords) @ relaxed.lattice.matrix
    assert np.allclose(vector, wanted)
    assert not np.allclose(ends.final.cart_coords[1:], make_endpoints(olivine, hop, (1, 2, 2)).final.cart_coords[1:])


@settings(max_examples=8, deadline=None, derandomize=True)
@given(shifts=st.lists(st.tuples(*[st.integers(-2, 2)] * 3), min_size=4, max_size=4), number=st.integers(0, 2))
def test_hosts_with_atoms_outside_the_cell(shifts, number):
    """Where the atoms of the host stand, whichever cell each is written in, makes no difference to the ends."""
    lattice = Lattice.rhombohedral(4.96, 32.99)
    coordinates = np.array([[0.5] * 3, [0.0] * 3, [0.26] * 3, [0.74] * 3])
    hosts = [Structure(lattice, ['Li', 'Co', 'O', 'O'], coordinates + shift) for shift in (np.zeros((4, 3)), shifts)]
    ends = [make_endpoints(host, find_hops(host, 'Li', extra_vacancies=1)[number], (3, 3, 3)) for host in hosts]
    for one in ends:
        assert_one_atom_moves(one)
    assert StructureMatcher(primitive_cell=False, scale=False).fit(ends[0].initial, ends[1].initial)


def test_nothing_but_the_ion_moves_whatever_the_hop_and_the_supercell(olivine):
    hops = find_hops(olivine, 'Li', max_length=7.0)
    assert len(hops) > 3
    for hop, cell in itertools.product(hops, (None, (2, 2, 2), [[1, 0, 1], [0, 2, 0], [-1, 0, 1]])):
        assert_one_atom_moves(make_endpoints(olivine, hop, cell))


# ---------------------------------------------------------------- bad input


def test_a_hop_of_another_host_is_refused(olivine, layered):
    hop = find_hops(olivine, 'Li')[0]
    with pytest.raises(ValueError, match='does not belong to this LiCoO2: its site 2 is no Li'):
        make_endpoints(layered, hop)


def test_an_ion_on_top_of_an_atom_is_refused(olivine):
    empty = olivine.copy()
    empty.remove_species(['Li'])
    hop = find_hops(empty, 'Li', mechanism='interstitial', sites=[[0, 0, 0]])[0]
    empty.translate_sites([0], np.array([0.02, 0.0, 0.05]) - empty[0].frac_coords)
    with pytest.raises(ValueError, match=r'in the initial state the migrating ion Li .* Å from Fe'):
        make_endpoints(empty, hop, (1, 2, 2))


def test_ends_of_different_kinds_are_named():
    crystal = Structure(Lattice.cubic(4.0), ['Fe', 'Fe', 'O'], [[0, 0, 0], [0.5, 0.5, 0], [0.5, 0.5, 0.5]])
    crystal.add_site_property('magmom', [4.0, -4.0, 0.0])
    hop = next(hop for hop in find_hops(crystal, 'Fe') if hop.initial.index != hop.final.index)
    ends = make_endpoints(crystal, hop, 2, min_distance=5.0)
    [warning] = ends.warnings
    assert 'differ in magmom (4.0 and -4.0)' in warning
    assert ends.final[0].properties['magmom'] == 4.0
