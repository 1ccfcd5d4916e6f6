"""Alignment of endpoints: whatever the order, wrapping and cell, the same hop; what is no hop is refused by name."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.analysis.diffusion.neb.full_path_mapper import MigrationGraph
from pymatgen.core import Lattice, Structure

from aiida_embarrier.bands.alignment import AlignmentError, align_endpoints

CELLS = {
    'skewed': Lattice.rhombohedral(9.0, 33.0),
    'orthorhombic': Lattice.orthorhombic(6.0, 7.0, 8.0),
    'layered': Lattice.hexagonal(5.8, 14.0),
}


def crystal(lattice: Lattice, seed: int = 0) -> tuple[Structure, Structure]:
    """Return two ends of a Li hop of known direction in a host that relaxes by up to 0.3 A."""
    rng = np.random.default_rng(seed)
    grid = np.array([[x, y, z] for x in (0, 0.5) for y in (0, 0.5) for z in (0.1, 0.35, 0.6, 0.85)], dtype=float)
    species = ['Li', 'Li', 'Li'] + ['Fe'] * 4 + ['O'] * 9
    initial = Structure(lattice, species, grid)
    relaxed = lattice.get_cartesian_coords(grid)
    shifts = rng.normal(size=relaxed.shape)
    relaxed += 0.3 * rng.random((len(grid), 1)) * shifts / np.linalg.norm(shifts, axis=1)[:, None]
    direction = rng.normal(size=3)
    relaxed[1] += HOP * direction / np.linalg.norm(direction)
    return initial, Structure(lattice, species, relaxed, coords_are_cartesian=True)


HOP = 1.7


def moves(band) -> np.ndarray:
    return band.displacements[0]


@pytest.mark.parametrize('name', CELLS)
def test_ends_in_order_stay_as_they_are(name):
    initial, final = crystal(CELLS[name])
    band = align_endpoints(initial, final, ion='Li')
    assert band.mobile == (1,)
    assert band.info.mechanism == 'vacancy'
    np.testing.assert_allclose(band.positions[0], initial.cart_coords, rtol=0, atol=1e-12)
    np.testing.assert_allclose(band.positions[1], final.cart_coords, rtol=0, atol=1e-12)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(data=st.data(), name=st.sampled_from(sorted(CELLS)), seed=st.integers(0, 20))
def test_order_wrapping_and_rotation_do_not_matter(data, name, seed):
    initial, final = crystal(CELLS[name], seed)
    plain = align_endpoints(initial, final)
    order = data.draw(st.permutations(range(len(final))))
    cells = np.array(data.draw(st.lists(st.integers(-3, 3), min_size=3 * len(final), max_size=3 * len(final))))
    shuffled = Structure(
        final.lattice,
        [final[index].specie for index in order],
        final.frac_coords[list(order)] + cells.reshape(-1, 3),
    )
    band = align_endpoints(initial, shuffled)
    assert band.mobile == plain.mobile
    assert band.elements == plain.elements
    np.testing.assert_allclose(moves(band), moves(plain), rtol=0, atol=1e-8)

    # both ends turned, the final one around another axis on top: only the initial frame counts
    turn, other = (np.linalg.qr(np.random.default_rng(seed + k).normal(size=(3, 3)))[0] for k in (1, 2))
    turn, other = turn * np.linalg.det(turn), other * np.linalg.det(other)
    turned = align_endpoints(rotated(initial, turn), rotated(shuffled, other))
    np.testing.assert_allclose(moves(turned), moves(plain) @ turn, rtol=0, atol=1e-8)


def rotated(structure: Structure, turn: np.ndarray) -> Structure:
    return Structure(Lattice(structure.lattice.matrix @ turn), structure.species, structure.frac_coords)


@settings(derandomize=True, deadline=None, max_examples=30)
@given(shears=st.lists(st.integers(-2, 2), min_size=3, max_size=3), both=st.booleans())
def test_the_choice_of_cell_vectors_does_not_matter(shears, both):
    initial, final = crystal(CELLS['skewed'], 3)
    plain = align_endpoints(initial, final)
    change = np.array([[1, shears[0], shears[1]], [0, 1, shears[2]], [0, 0, 1]])

    def in_other_cell(structure):
        lattice = Lattice(change @ structure.lattice.matrix)
        return Structure(lattice, structure.species, structure.cart_coords, coords_are_cartesian=True)

    band = align_endpoints(in_other_cell(initial) if both else initial, in_other_cell(final))
    assert band.mobile == plain.mobile
    np.testing.assert_allclose(moves(band), moves(plain), rtol=0, atol=1e-8)


def test_walking_back_gives_the_opposite_displacements():
    initial, final = crystal(CELLS['layered'], 5)
    forth, back = align_endpoints(initial, final), align_endpoints(final, initial)
    np.testing.assert_allclose(moves(back), -moves(forth), rtol=0, atol=1e-10)


# ---------------------------------------------------------------- real structures


@pytest.mark.parametrize(
    ('first', 'last', 'ion', 'length'),
    [
        ('pmg_diffusion_paths/Mg3VOPO4_sc_i.vasp', 'pmg_diffusion_paths/Mg3VOPO4_sc_e.vasp', 'Mg', 3.948),
        ('pmg_diffusion_io/POSCAR_ep0', 'pmg_diffusion_io/POSCAR_ep1', 'Na', 6.346),
    ],
)
def test_published_endpoints_with_shuffled_sites(shared_data, first, last, ion, length):
    folder = shared_data / 'neb_vasp_fixtures'
    initial, final = (Structure.from_str((folder / name).read_text(), 'poscar') for name in (first, last))
    order = np.random.default_rng(3).permutation(len(final))
    shuffled = Structure.from_sites([final[int(index)] for index in order], to_unit_cell=True)
    band = align_endpoints(initial, shuffled, mechanism='interstitial')
    assert (band.mobile_ion, band.mobile) == (ion, (0,))
    assert band.hop_length == pytest.approx(length, abs=1e-3)
    assert np.delete(np.linalg.norm(moves(band), axis=1), 0).max() < 1e-4


def test_endpoints_of_pymatgen_analysis_diffusion_pair_sites_that_are_no_pair():
    """Its sites of LiFePO4's 3.0 A hop are in another order at the other end: paired by index, several atoms hop."""
    lattice = Lattice.orthorhombic(10.332, 6.01, 4.692)
    species = ['Li', 'Fe', 'P', 'O', 'O', 'O']
    sites = [
        [0, 0, 0],
        [0.28222, 0.25, 0.97472],
        [0.09482, 0.25, 0.41820],
        [0.09678, 0.25, 0.74279],
        [0.45710, 0.25, 0.20602],
        [0.16558, 0.04646, 0.28478],
    ]
    olivine = Structure.from_spacegroup('Pnma', lattice, species, sites)
    assert len(olivine) == 28
    hops = MigrationGraph.with_distance(olivine, 'Li', 4.0).unique_hops
    assert len(hops) == 1
    initial, final, *_ = next(iter(hops.values()))['hop'].get_sc_structures(vac_mode=True)
    by_index = final.frac_coords - initial.frac_coords
    by_index = np.linalg.norm((by_index - np.round(by_index)) @ initial.lattice.matrix, axis=1)
    assert (by_index > 0.5).sum() > 1  # the trap is still there

    band = align_endpoints(initial, final, ion='Li')
    distances = np.linalg.norm(moves(band), axis=1)
    assert (distances > 1e-6).sum() == 1
    assert band.hop_length == pytest.approx(6.01 / 2, abs=1e-6)
    assert band.mobile_ion == 'Li'


def different_lattices(shared_data) -> list[Structure]:
    folder = shared_data / 'neb_refs' / 'dft_neb_Ca0.5Mn2P3O12'
    return [Structure.from_str((folder / name).read_text(), 'poscar') for name in ('00_POSCAR', '08_POSCAR')]


def test_different_lattices_are_refused_with_the_difference_and_the_choices(shared_data):
    with pytest.raises(AlignmentError, match=r"lattices.*8\.710.*\+5\.00 %.*'initial'.*'mean'"):
        align_endpoints(*different_lattices(shared_data))


@pytest.mark.parametrize('policy', ['initial', 'mean', 'per_image'])
def test_policies_for_different_lattices(shared_data, policy):
    ends = different_lattices(shared_data)
    matrices = [end.lattice.matrix for end in ends]
    band = align_endpoints(*ends, ion='Ca', lattice_policy=policy)
    expected = {'initial': matrices[0], 'mean': sum(matrices) / 2, 'per_image': np.stack(matrices)}[policy]
    np.testing.assert_allclose(band.lattice, expected, rtol=0, atol=1e-12)
    for image, end in enumerate(ends):
        difference = band.fractional[image] - end.frac_coords
        np.testing.assert_allclose(difference, np.round(difference), rtol=0, atol=1e-9)
    assert band.mobile_ion == 'Ca'
    distances = np.linalg.norm(moves(band), axis=1)
    # the framework relaxes by up to 0.40 A and nothing of it is removed
    assert 0.3 < np.sort(distances)[-2] < 0.45
    assert band.hop_length == pytest.approx(3.15, abs=0.03)


def test_rounded_lattices_are_the_same():
    initial, final = crystal(CELLS['layered'])
    rounded = Structure(Lattice(np.round(final.lattice.matrix, 4)), final.species, final.frac_coords)
    band = align_endpoints(initial, rounded)
    np.testing.assert_array_equal(band.lattice, initial.lattice.matrix)


# ---------------------------------------------------------------- which atom is which


def row(positions, elements=None, length=12.0, **properties) -> Structure:
    coordinates = [[0.0, 0.0, z] for z in positions]
    return Structure(
        Lattice.orthorhombic(6.0, 6.0, length),
        elements or ['Li'] * len(positions),
        coordinates,
        coords_are_cartesian=True,
        site_properties=properties,
    )


def test_a_vacancy_hop_is_one_long_hop_and_any_a_chain_of_short_ones():
    initial, final = row([0.0, 2.5]), row([2.5, 5.0])
    one = align_endpoints(initial, final, mechanism='vacancy')
    assert one.mobile == (0,)
    assert one.hop_length == pytest.approx(5.0)
    chain = align_endpoints(initial, final, mechanism='any')
    assert chain.mobile == (0, 1)
    np.testing.assert_allclose(moves(chain)[:, 2], [2.5, 2.5])


def test_kinds_are_those_of_the_initial_structure_and_break_ties():
    # two Fe leave for two places that are equally far: the moments say which is which
    elements = ['Fe', 'Fe', 'O']
    initial = row([3.0, 9.0, 0.0], elements, magmom=[4.0, -4.0, 0.0])
    final = row([6.0, 6.0, 0.0], elements, magmom=[-3.7, 3.7, 0.1])
    final.translate_sites([0], [1 / 3, 0, 0])
    final.translate_sites([1], [-1 / 3, 0, 0])
    band = align_endpoints(initial, final, mechanism='any')
    assert [kind.magnetic_moment for kind in band.kinds] == [4.0, -4.0, 0.0]
    assert moves(band)[0, 0] == pytest.approx(-2.0)
    assert moves(band)[1, 0] == pytest.approx(2.0)
    # but a moment never outweighs a place
    swapped = row([3.1, 9.1, 2.0], elements, magmom=[-4.0, 4.0, 0.0])
    assert align_endpoints(initial, swapped).mobile == (2,)


def test_a_short_hop_below_the_threshold_names_the_atom_that_moved_most():
    band = align_endpoints(row([0.0, 3.0, 6.0]), row([0.1, 3.8, 6.0]), ion='Li')
    assert band.mobile == (1,)


def test_a_hop_longer_than_half_the_cell_is_shortened_unless_meant():
    initial, final = row([0.0, 1.5], ['Li', 'O'], length=5.0), row([3.5, 1.5], ['Li', 'O'], length=5.0)
    assert moves(align_endpoints(initial, final))[0, 2] == pytest.approx(-1.5)
    meant = align_endpoints(initial, final, keep_images=True)
    assert moves(meant)[0, 2] == pytest.approx(3.5)
    assert meant.hop_length == pytest.approx(3.5)


def test_a_hop_to_a_periodic_image():
    initial = row([0.0, 1.5, 3.0], ['Li', 'O', 'O'], length=5.0)
    final = row([5.0, 1.5, 3.0], ['Li', 'O', 'O'], length=5.0)
    with pytest.raises(AlignmentError, match=r'no Li moves.*keep_images=True'):
        align_endpoints(initial, final, ion='Li')
    band = align_endpoints(initial, final, ion='Li', keep_images=True)
    assert band.mobile == (0,)
    assert band.hop_length == pytest.approx(5.0)
    elsewhere = row([5.0, 6.5, 8.0], ['Li', 'O', 'O'], length=5.0)
    assert align_endpoints(initial, elsewhere, ion='Li', keep_images=True).mobile == (0,)
    with pytest.raises(AlignmentError, match=r'3 atoms are written.*Li \(site 0\).*O \(site 1\)'):
        align_endpoints(initial, elsewhere, keep_images=True)


@pytest.mark.parametrize('sign', [1, -1])
def test_half_the_cell_goes_the_way_that_is_written(sign):
    initial, final = row([0.0, 0.0], ['Li', 'O']), row([sign * 6.0, 0.0], ['Li', 'O'])
    initial.translate_sites([1], [0.5, 0.5, 0])
    final.translate_sites([1], [0.5, 0.5, 0], to_unit_cell=True)
    assert moves(align_endpoints(initial, final))[0, 2] == pytest.approx(sign * 6.0)


# ---------------------------------------------------------------- refusals


def test_more_atoms_move_than_the_mechanism_allows():
    initial = row([0.0, 3.0, 6.0, 9.0], ['Li', 'Li', 'O', 'O'])
    final = initial.copy()
    final.translate_sites([0], [0.5, 0, 0])
    final.translate_sites([3], [0.5, 0, 0])
    with pytest.raises(
        AlignmentError, match=r'2 atom.*vacancy allows one.*Li \(site 0\) by 3\.00.*O \(site 3\) by 3\.00'
    ):
        align_endpoints(initial, final)
    assert align_endpoints(initial, final, mechanism='any').mobile == (0, 3)
    with pytest.raises(AlignmentError, match='only Li may move'):
        align_endpoints(initial, final, mechanism='any', ion='Li')


def test_another_atom_moves_than_the_named_ion():
    with pytest.raises(AlignmentError, match=r'only Li may move: O \(site 1\) by 3\.00 Å'):
        align_endpoints(row([0.0, 3.0], ['Li', 'O']), row([0.0, 6.0], ['Li', 'O']), ion='Li')


def test_a_host_that_drifted_as_one_body_is_told():
    initial, final = crystal(CELLS['orthorhombic'])
    final.translate_sites(range(len(final)), [1.0, 0.0, 0.0], frac_coords=False)
    band = align_endpoints(initial, final, ion='Li', threshold=1.5, mechanism='any')
    assert np.median(moves(band)[:, 0]) == pytest.approx(1.0, abs=0.2)  # kept
    with pytest.raises(AlignmentError, match=r'the others move by 0\.[5-9]\d Å on average as one body'):
        align_endpoints(initial, final, ion='Li', threshold=0.95)


@pytest.mark.parametrize(
    ('final', 'options', 'message'),
    [
        (row([0.0, 3.0], ['Li', 'O']), {}, r'no atom moves.*0\.000 Å'),
        (row([0.0, 3.0], ['Li', 'O']), {'ion': 'Na'}, 'contain no Na, only Li, O'),
        (row([5.0, 3.0], ['Li', 'O']), {'mechanism': 'kickout'}, "unknown mechanism 'kickout': choose one of vacancy"),
        (row([5.0, 3.0], ['Li', 'O']), {'lattice_policy': 'guess'}, "unknown lattice policy 'guess'.*per_image"),
        (row([5.0, 3.0, 9.0], ['Li', 'O', 'O']), {}, r'number of atoms, 2 and 3 atoms \(O 1 and 2\)'),
        (row([5.0, 3.0], ['Na', 'O']), {}, r'composition.*\(Li 1 and 0, Na 0 and 1\)'),
        (row([2.8, 3.0], ['Li', 'O']), {}, r'final structure Li \(site 0\) and O \(site 1\) are 0\.20 Å apart'),
        (row([5.0, 3.0], [{'Li': 0.5, 'Na': 0.5}, 'O']), {}, 'final structure has partially occupied sites'),
    ],
)
def test_bad_input_is_refused_with_what_and_why(final, options, message):
    with pytest.raises(AlignmentError, match=message):
        align_endpoints(row([0.0, 3.0], ['Li', 'O']), final, **options)
