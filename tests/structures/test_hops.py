"""The hops of an ion, against an enumeration that knows nothing of orbits, and against pymatgen-analysis-diffusion."""

import itertools
import json
import time

import numpy as np
import pytest
import spglib
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.analysis.diffusion.neb.full_path_mapper import MigrationGraph
from pymatgen.core import Lattice, Structure

from aiida_embarrier.structures.hops import Hop, find_hops, select_hop


def naive_operations(structure, labels):
    """Return rotations and translations of the lattice with labelled atoms that also keep or reverse all moments."""
    numbers = [sorted(set(labels)).index(label) for label in labels]
    cell = (structure.lattice.matrix.tolist(), structure.frac_coords.tolist(), numbers)
    found = spglib.get_symmetry_dataset(cell, symprec=0.01)
    moments = np.array(structure.site_properties.get('magmom', np.zeros(len(structure))), dtype=float)
    kept = []
    for rotation, translation in zip(found.rotations, found.translations, strict=True):
        targets = []
        for x in structure.frac_coords:
            difference = structure.frac_coords - (rotation @ x + translation)
            targets.append(int(np.argmin(np.abs(difference - np.rint(difference)).max(axis=1))))
        if np.allclose(moments[targets], moments) or np.allclose(moments[targets], -moments):
            kept.append((rotation, translation))
    return kept


def naive_hops(structure, points, max_length, labels=None, reach=3):
    """Return length and multiplicity of each class of pairs of points, found by comparing coordinates with coordinates.

    Each pair is taken to every other by every operation, once as it is and once the other way round.
    """
    labels = [site.specie.symbol for site in structure] if labels is None else labels
    operations = naive_operations(structure, labels)
    pairs = []
    for a, b in itertools.product(points, repeat=2):
        for image in itertools.product(range(-reach, reach + 1), repeat=3):
            length = np.linalg.norm((b + image - a) @ structure.lattice.matrix)
            if 1e-3 < length <= max_length:
                pairs.append((a, b + image, length))
    ends = np.array([[a, b] for a, b, _ in pairs])
    group = -np.ones(len(pairs), dtype=int)
    classes = []
    for number, pair in enumerate(ends):
        if group[number] >= 0:
            continue
        for rotation, translation in operations:
            for way in (pair, pair[::-1]):
                moved = way @ rotation.T + translation
                difference = ends - moved
                difference -= np.rint(difference[:, :1, :])  # one lattice translation for both ends
                group[np.abs(difference).max(axis=(1, 2)) < 1e-3] = len(classes)
        size = int(np.sum(group == len(classes)))
        assert size % 2 == 0, 'a pair and its reverse are two entries of one class'
        classes.append((round(float(pairs[number][2]), 3), size // 2))
    return sorted(classes)


def summary(hops):
    return sorted((round(hop.length, 3), hop.multiplicity) for hop in hops)


def ion_points(structure, ion):
    return [site.frac_coords for site in structure if site.specie.symbol == ion]


# ---------------------------------------------------------------- known crystals


def test_the_first_hop_of_the_olivine_runs_along_its_channel(olivine):
    start = time.perf_counter()
    hops = find_hops(olivine, 'Li')
    assert time.perf_counter() - start < 1
    first = hops[0]
    assert first.length == pytest.approx(3.005, abs=1e-6)
    assert (first.direction, first.multiplicity, first.number) == ('[010]', 4, 0)
    assert first.equivalent_ends
    assert first.symmetric
    assert first.label == 'hop 0: Li vacancy, 3.00 Å along [010]'
    assert [hop.number for hop in hops] == list(range(len(hops)))
    assert [hop.length for hop in hops] == sorted(hop.length for hop in hops)


def test_clearance_is_the_distance_of_the_line_from_the_nearest_atom(olivine):
    hop = find_hops(olivine, 'Li')[0]
    line = np.linspace(hop.initial.coords, hop.final.coords, 2001)
    others = [i for i in range(len(olivine)) if i not in {hop.initial.index, hop.final.index}]
    sampled = olivine.lattice.get_all_distances(line, olivine.frac_coords[others]).min()
    assert hop.clearance == pytest.approx(sampled, abs=1e-3)


def test_hops_through_another_ion_are_left_out_unless_asked_for(olivine):
    shown = find_hops(olivine, 'Li', max_length=6.2)
    every = find_hops(olivine, 'Li', max_length=6.2, through=True)
    assert '[010]' in {hop.direction for hop in every if hop.length > 6}
    assert not [hop for hop in shown if hop.length > 6 and hop.direction == '[010]']
    assert {hop.label.split(':')[1] for hop in shown} < {hop.label.split(':')[1] for hop in every}


def test_a_site_behind_the_start_is_not_on_the_way():
    """Of three sites in a row with 0.8 Å between the first two, the middle one is in the way of the outer two only."""
    tilted = Structure(Lattice.from_parameters(11, 12, 13, 81, 85, 77), ['Xe'], [[0, 0, 0]])
    sites = tilted.lattice.get_fractional_coords([[4, 4, 4], [4, 4, 4.8], [4, 4, 6.8]])
    # inversion makes three more, far away
    hops = find_hops(tilted, 'Li', mechanism='interstitial', sites=sites, max_length=3.0)
    assert [round(hop.length, 3) for hop in hops] == [0.8, 2.0]
    every = find_hops(tilted, 'Li', mechanism='interstitial', sites=sites, max_length=3.0, through=True)
    assert [round(hop.length, 3) for hop in every] == [0.8, 2.0, 2.8]


@pytest.mark.parametrize('max_length', [3.0, 5.0, 6.5])
def test_olivine_against_brute_force(olivine, max_length):
    expected = naive_hops(olivine, ion_points(olivine, 'Li'), max_length)
    assert summary(find_hops(olivine, 'Li', max_length=max_length, through=True)) == expected


def test_skewed_layered_cell_against_brute_force(layered):
    # 8 Å reaches third neighbours in the layer, and other layers along directions with indices up to 3
    expected = naive_hops(layered, ion_points(layered, 'Li'), 8.0, reach=5)
    hops = find_hops(layered, 'Li', max_length=8.0, through=True)
    assert summary(hops) == expected
    assert hops[0].multiplicity == 3
    assert hops[0].length < min(layered.lattice.abc), 'the nearest site is not along a lattice vector of the cell'


def test_a_hop_longer_than_half_the_cell(layered):
    """Every hop of the primitive cell leads to a periodic image, beyond half the cell, and keeps its way."""
    for hop in find_hops(layered, 'Li', max_length=6.0):
        assert hop.final.index == hop.initial.index
        assert any(hop.final.image)
        vector = hop.displacement @ layered.lattice.matrix
        assert np.linalg.norm(vector) == pytest.approx(hop.length, abs=1e-9)


def test_antiferromagnetic_spinel_against_brute_force(antiferromagnetic_spinel):
    crystal = antiferromagnetic_spinel
    magnetic = summary(find_hops(crystal, 'Li', max_length=6.2, through=True))
    assert magnetic == naive_hops(crystal, ion_points(crystal, 'Li'), 6.2)
    # A reversal of all moments must count: with up and down as different atoms there are fewer symmetries.
    labels = [f'{site.specie.symbol}{np.sign(site.properties["magmom"]):.0f}' for site in crystal]
    plain = crystal.copy()
    plain.remove_site_property('magmom')
    apart = naive_hops(plain, ion_points(plain, 'Li'), 6.2, labels=labels)
    nonmagnetic = summary(find_hops(plain, 'Li', max_length=6.2, through=True))
    assert len(nonmagnetic) < len(magnetic) < len(apart)
    for hops in (magnetic, apart):  # the same pairs, divided differently
        assert sum(count for _, count in hops) == sum(count for _, count in nonmagnetic)


def test_moments_that_differ_little_are_equal(antiferromagnetic_spinel):
    crystal = antiferromagnetic_spinel
    expected = summary(find_hops(crystal, 'Li'))
    noise = np.random.default_rng(0).uniform(-0.02, 0.02, len(crystal))
    crystal.add_site_property('magmom', list(np.array(crystal.site_properties['magmom']) + noise))
    assert summary(find_hops(crystal, 'Li')) == expected
    assert len(find_hops(crystal, 'Li', moment_tolerance=1e-4)) > len(expected)


@pytest.mark.parametrize('name', ['oxidation_state', 'hubbard_u'])
def test_atoms_of_different_kinds_are_not_equivalent(spinel, name):
    values = iter([3.0, 4.0, 4.0, 4.0])
    plain = summary(find_hops(spinel, 'Li'))
    labels = []
    properties = []
    for site in spinel:
        properties.append(next(values) if site.specie.symbol == 'Mn' else 1.0)
        labels.append(f'{site.specie.symbol}{properties[-1]}')
    spinel.add_site_property(name, properties)
    hops = summary(find_hops(spinel, 'Li'))
    assert hops == naive_hops(spinel, ion_points(spinel, 'Li'), 5.0, labels=labels)
    assert hops != plain


def test_inequivalent_ends():
    """Two lithium sites in one cell, one between oxygen atoms and one not."""
    crystal = Structure(
        Lattice.tetragonal(4.0, 6.0), ['Li', 'Li', 'O', 'O'], [[0, 0, 0], [0.5, 0.5, 0.5], [0, 0, 0.35], [0.5, 0.5, 0]]
    )
    hops = find_hops(crystal, 'Li', max_length=4.5)
    assert summary(hops) == naive_hops(crystal, ion_points(crystal, 'Li'), 4.5)
    mixed = [hop for hop in hops if hop.initial.index != hop.final.index]
    alike = [hop for hop in hops if hop.initial.index == hop.final.index]
    assert mixed
    assert alike
    assert not any(hop.equivalent_ends or hop.symmetric for hop in mixed)
    assert all(hop.equivalent_ends for hop in alike)


def test_equivalent_ends_do_not_make_a_hop_symmetric():
    """In a polar screw chain each site is like the last one but no operation swaps two of them."""
    lattice = Lattice.hexagonal(5.0, 6.0)
    crystal = Structure.from_spacegroup('P3_1', lattice, ['Li', 'O'], [[0.2, 0.05, 0.0], [0.5, 0.3, 0.13]])
    first = find_hops(crystal, 'Li')[0]
    assert first.initial.index != first.final.index
    assert first.equivalent_ends
    assert not first.symmetric


# ---------------------------------------------------------------- further vacancies


def naive_triangles(structure, points, side):
    """Return the number of (hop, third site) with all three sites at one distance, per cell."""
    cells = np.array(list(itertools.product(range(-3, 4), repeat=3)))
    every = np.array([point + cell for point in points for cell in cells])
    count = 0
    for point in points:
        near = every[np.abs(np.linalg.norm((every - point) @ structure.lattice.matrix, axis=1) - side) < 1e-3]
        for end, third in itertools.permutations(near, 2):
            count += abs(np.linalg.norm((end - third) @ structure.lattice.matrix) - side) < 1e-3
    return count // 2


def test_divacancy_hop_of_the_layered_oxide(layered):
    hop = find_hops(layered, 'Li', extra_vacancies=1)[0]
    single = find_hops(layered, 'Li')[0]
    assert hop.length == single.length
    [third] = hop.further_vacancies
    sides = [
        np.linalg.norm((np.array(third.coords) - end.coords) @ layered.lattice.matrix)
        for end in (hop.initial, hop.final)
    ]
    assert sides == pytest.approx([hop.length, hop.length])
    # two triangles share each of the three hops of a lithium ion, and symmetry takes one to the other
    assert hop.multiplicity == naive_triangles(layered, ion_points(layered, 'Li'), hop.length) == 6
    assert hop.equivalent_ends
    assert 'with 1 further' in hop.label


def test_sets_of_further_vacancies_are_complete(layered):
    """All hops with one further vacancy together are all hops times their common neighbours."""
    cut = 5.0
    hops = find_hops(layered, 'Li', extra_vacancies=1, max_length=cut, through=True)
    cells = np.array(list(itertools.product(range(-5, 6), repeat=3))) @ layered.lattice.matrix
    near = cells[(np.linalg.norm(cells, axis=1) <= cut + 1e-6) & (np.linalg.norm(cells, axis=1) > 1e-3)]
    pairs = sum(1 for end in near for third in near if 1e-3 < np.linalg.norm(end - third) <= cut + 1e-6)
    assert sum(hop.multiplicity for hop in hops) == pairs // 2


def test_ends_with_unlike_pairs_of_vacancies_are_not_equivalent(layered):
    near, far = (
        next(hop for hop in find_hops(layered, 'Li', extra_vacancies=1) if hop.equivalent_ends is equivalent)
        for equivalent in (True, False)
    )
    lengths = [
        np.linalg.norm((np.array(far.further_vacancies[0].coords) - end.coords) @ layered.lattice.matrix)
        for end in (far.initial, far.final)
    ]
    assert lengths[0] != pytest.approx(lengths[1])
    assert near.symmetric


def test_too_many_vacancies_are_refused(layered):
    with pytest.raises(ValueError, match='lower max_length'):
        find_hops(layered, 'Li', extra_vacancies=6, max_length=9.0)


# ---------------------------------------------------------------- interstitials


def test_interstitial_hops_of_the_emptied_olivine_are_those_of_the_full_one(olivine):
    full = find_hops(olivine, 'Li')
    empty = olivine.copy()
    empty.remove_species(['Li'])
    hops = find_hops(empty, 'Li', mechanism='interstitial', sites=[[0, 0, 0]])
    assert [h.length for h in hops] == pytest.approx([h.length for h in full])
    assert [(h.multiplicity, h.direction) for h in hops] == [(h.multiplicity, h.direction) for h in full]
    assert hops[0].initial.index is None
    assert hops[0].initial.coords == (0, 0, 0)


def test_interstitial_hops_between_unlike_sites_against_brute_force(layered):
    layered.remove_species(['Li'])
    octahedral, tetrahedral = np.array([0.5] * 3), np.array([0.62] * 3)
    points = [octahedral, tetrahedral, 1 - tetrahedral]
    hops = find_hops(
        layered, 'Li', mechanism='interstitial', sites=[octahedral, tetrahedral], max_length=4.0, through=True
    )
    assert summary(hops) == naive_hops(layered, points, 4.0, reach=4)
    assert not hops[0].equivalent_ends


def test_an_ion_may_be_added_to_a_host_that_contains_it(olivine):
    hops = find_hops(olivine, 'Li', mechanism='interstitial', sites=[[0, 0, 0.5]], max_length=6.0)
    assert hops
    assert all(hop.initial.index is None for hop in hops)


# ---------------------------------------------------------------- properties


def scrambled(structure, order, shifts, turn):
    """Return the same crystal with its sites in another order and cell, and its axes replaced and turned."""
    chosen = [structure[index] for index in order]
    matrix = np.array([[1, 0, 0], [1, 1, 0], [-1, 1, 1]])
    rotation, _ = np.linalg.qr(np.array(turn))
    rotation *= np.sign(np.linalg.det(rotation))
    lattice = Lattice(matrix @ structure.lattice.matrix @ rotation)
    coordinates = [site.frac_coords @ np.linalg.inv(matrix) + shift for site, shift in zip(chosen, shifts, strict=True)]
    return Structure(lattice, [site.species for site in chosen], coordinates)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(data=st.data())
def test_hops_do_not_depend_on_how_the_crystal_is_written(data):
    crystal = Structure.from_spacegroup(
        'Cmcm', Lattice.orthorhombic(3.1, 9.2, 7.4), ['Na', 'Mn', 'O'], [[0, 0.3, 0.25], [0, 0, 0], [0, 0.62, 0.06]]
    )
    order = data.draw(st.permutations(range(len(crystal))))
    cell = st.tuples(*[st.integers(-2, 2)] * 3)
    shifts = data.draw(st.lists(cell, min_size=len(crystal), max_size=len(crystal)))
    turn = np.random.default_rng(data.draw(st.integers(0, 99))).normal(size=(3, 3))
    hops = find_hops(crystal, 'Na')
    others = find_hops(scrambled(crystal, order, shifts, turn), 'Na')

    def what(found):
        return sorted((round(h.length, 4), h.multiplicity, h.equivalent_ends, h.symmetric) for h in found)

    assert what(others) == what(hops)


def test_multiplicities_add_up_to_the_number_of_pairs_and_grow_with_the_cell(olivine):
    repeated = olivine * (1, 2, 1)
    for crystal, cells in ((olivine, 1), (repeated, 2)):
        points = np.array(ion_points(crystal, 'Li'))
        cell = np.array(list(itertools.product(range(-2, 3), repeat=3)))
        vectors = (points[:, None, None] - points[None, :, None] + cell) @ crystal.lattice.matrix
        lengths = np.linalg.norm(vectors, axis=-1).round(3)
        hops = find_hops(crystal, 'Li', max_length=7.0, through=True)
        for shell in {round(hop.length, 3) for hop in hops}:
            count = sum(hop.multiplicity for hop in hops if round(hop.length, 3) == shell)
            assert count == np.sum(lengths == shell) / 2
        assert sum(hop.multiplicity for hop in hops) % cells == 0


def test_numbering_survives_small_noise(olivine):
    hops = find_hops(olivine, 'Li', max_length=7.0)
    for seed in range(3):
        noisy = olivine.copy()
        noise = np.random.default_rng(seed).uniform(-5e-4, 5e-4, (len(olivine), 3))
        noisy = Structure(noisy.lattice, noisy.species, noisy.cart_coords + noise, coords_are_cartesian=True)
        again = find_hops(noisy, 'Li', max_length=7.0)
        assert [(h.initial.index, h.final.index, h.final.image) for h in again] == [
            (h.initial.index, h.final.index, h.final.image) for h in hops
        ]


def test_a_hop_survives_json(layered):
    for mechanism, sites in (('vacancy', None), ('interstitial', [[0.25, 0.25, 0.75]])):
        extra = 1 if mechanism == 'vacancy' else 0
        hop = find_hops(layered, 'Li', mechanism=mechanism, sites=sites, extra_vacancies=extra)[0]
        assert Hop.from_dict(json.loads(json.dumps(hop.to_dict()))) == hop
    with pytest.raises(ValueError, match='unknown entries'):
        Hop.from_dict({**hop.to_dict(), 'size': 1})


# ---------------------------------------------------------------- peers


@pytest.mark.parametrize(
    ('file', 'cut'),
    [
        ('LYPS.cif', 4.0),
        ('MnO2_full_Li.vasp', 4.0),
        pytest.param('Li6MnO4.cif', 3.5, marks=pytest.mark.slow),
    ],
)
def test_multiplicities_agree_with_pymatgen_analysis_diffusion(shared_data, file, cut):
    crystal = Structure.from_file(shared_data / 'neb_vasp_fixtures/pmg_diffusion_paths' / file)
    graph = MigrationGraph.with_distance(crystal, 'Li', max_distance=cut, symprec=0.01)
    edges = [data for *_, data in graph.m_graph.graph.edges(data=True)]
    labels = [data['hop_label'] for data in edges]
    theirs = {
        label: (round(next(d['hop'].length for d in edges if d['hop_label'] == label), 2), labels.count(label))
        for label in set(labels)
    }
    ours = [(round(h.length, 2), h.multiplicity) for h in find_hops(crystal, 'Li', max_length=cut, through=True)]
    assert sorted(theirs.values()) == sorted(ours)


# ---------------------------------------------------------------- bad input


def test_an_unknown_ion_is_refused_with_what_there_is(olivine):
    with pytest.raises(ValueError, match="no 'Na' in LiFePO4: it consists of Fe, Li, O, P"):
        find_hops(olivine, 'Na')
    with pytest.raises(ValueError, match="for an added ion choose mechanism='interstitial'"):
        find_hops(olivine, 'Na')
    with pytest.raises(ValueError, match=r"no 'li' in LiFePO4: .*O, P; did you mean Li\?"):
        find_hops(olivine, 'li')
    with pytest.raises(ValueError, match=r"'NA' is no element: .*; did you mean Na\?"):
        find_hops(olivine, 'NA', mechanism='interstitial')


def test_a_hop_that_does_not_exist_is_refused_with_how_many_there_are(olivine):
    hops = find_hops(olivine, 'Li')
    assert select_hop(hops, 1) is hops[1]
    with pytest.raises(ValueError, match=r'no hop 7: Li has 2 distinct .* numbered 0 to 1; a larger max_length'):
        select_hop(hops, 7)
    with pytest.raises(ValueError, match='no hop -1'):
        select_hop(hops, -1)
    with pytest.raises(ValueError, match='max_length'):
        select_hop(find_hops(olivine, 'Li', max_length=1.0), 0)


def test_the_longest_hop_reaches_the_next_site_where_that_is_far():
    crystal = Structure(Lattice.cubic(6.3), ['K', 'O'], [[0, 0, 0], [0.5, 0.5, 0.5]])
    [hop] = find_hops(crystal, 'K')
    assert hop.length == pytest.approx(6.3)
    assert hop.multiplicity == 3


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'mechanism': 'exchange'}, 'choose vacancy or interstitial'),
        ({'max_length': -1.0}, 'positive length'),
        ({'extra_vacancies': -1}, 'negative'),
        ({'extra_vacancies': 99}, r'not enough sites for 99 .* at most \d+ other'),
        ({'symprec': 0.0}, 'symprec must be a positive distance in Å, got 0.0'),
        ({'sites': [[0, 0, 0]]}, 'leave them out'),
        ({'mechanism': 'interstitial', 'sites': [[0, 0, 0.05]]}, 'from Li'),
        ({'mechanism': 'interstitial', 'sites': [0, 0, 0.5]}, 'three numbers each'),
        ({'mechanism': 'interstitial', 'sites': [[0, 0.03, 0.5]]}, 'give the site between them'),
        ({'mechanism': 'interstitial', 'extra_vacancies': 1}, 'leave extra_vacancies'),
    ],
)
def test_arguments_that_make_no_sense_are_refused(olivine, arguments, message):
    with pytest.raises(ValueError, match=message):
        find_hops(olivine, 'Li', **arguments)


def test_no_element_is_refused_as_interstitial(olivine):
    with pytest.raises(ValueError, match="'Lithium' is no element"):
        find_hops(olivine, 'Lithium', mechanism='interstitial')
