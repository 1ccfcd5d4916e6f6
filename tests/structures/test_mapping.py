"""Endpoints made of each other by symmetry: against isometries found without spglib, and against pymatgen's matcher."""

import gzip
import itertools
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure

from aiida_embarrier.bands.geometry import minimum_image
from aiida_embarrier.structures.endpoints import make_endpoints
from aiida_embarrier.structures.hops import find_hops
from aiida_embarrier.structures.mapping import map_state, mapping_operations, plan_states, rebuild_host
from aiida_embarrier.structures.supercells import Supercell
from aiida_embarrier.structures.symmetry import symmetry_operations


def host_of(structure, ends):
    return Supercell(structure, ends.supercell).structure


def endpoints_or_none(structure, hop, supercell):
    """Return the ends of a hop, None where they coincide in a supercell so small."""
    try:
        return make_endpoints(structure, hop, supercell, min_distance=1.0)
    except ValueError as error:
        if 'periodic images of each other' in str(error):
            return None
        raise


def plan_of(structure, ends):
    return plan_states(host_of(structure, ends), {'initial': ends.initial, 'final': ends.final})


def moments_of(structure):
    return np.array(structure.site_properties.get('magmom', np.zeros(len(structure))), dtype=float)


def isometries(start, end, tolerance=0.05):
    """Return all isometries of the lattice that take one structure to another, found without any symmetry finder.

    Rotations are the integer matrices that keep the metric, translations those that take one atom of the rarest element
    to any of its kind.
    """
    matrix = start.lattice.matrix
    metric = matrix @ matrix.T
    lengths = np.sqrt(np.diag(metric))
    vectors = np.array(list(itertools.product(range(-2, 3), repeat=3)))
    norms = np.linalg.norm(vectors @ matrix, axis=1)
    near = [vectors[np.abs(norms - length) < 1e-3] for length in lengths]
    rotations = [
        np.array(rows)
        for rows in itertools.product(*near)
        if np.allclose(np.array(rows) @ metric @ np.array(rows).T, metric, atol=1e-3)
    ]
    elements = np.array([site.specie.symbol for site in start])
    others = np.array([site.specie.symbol for site in end])
    rarest = min(set(elements), key=lambda element: int(np.sum(elements == element)))
    anchor = np.flatnonzero(elements == rarest)[0]
    found = []
    for rows in rotations:  # images of the lattice vectors: x' = x @ rows
        turned = start.frac_coords @ rows
        for target in np.flatnonzero(others == rarest):
            moved = turned + (end.frac_coords[target] - turned[anchor])
            differences = moved[:, None] - end.frac_coords[None]
            differences -= np.rint(differences)
            distances = np.linalg.norm(differences @ matrix, axis=-1)
            targets = distances.argmin(axis=1)
            if distances.min(axis=1).max() > tolerance or len(set(targets)) < len(targets):
                continue
            if np.any(elements != others[targets]):
                continue
            before, after = moments_of(start), moments_of(end)[targets]
            if np.allclose(before, after) or np.allclose(before, -after):
                found.append((rows, targets))
    return found


def shaken(structure, seed, size=0.15):
    """Return a structure as a relaxation may leave it: every atom elsewhere, no symmetry left."""
    generator = np.random.default_rng(seed)
    moved = structure.copy()
    for index, shift in enumerate(generator.normal(scale=size / 2, size=(len(structure), 3))):
        moved.translate_sites([index], shift, frac_coords=False, to_unit_cell=False)
    return moved


def assert_same_crystal(one, other):
    """The same crystal in another place: all distances between elements agree, and pymatgen finds them equal."""
    for first, second in itertools.combinations_with_replacement(sorted({s.specie.symbol for s in one}), 2):
        spectra = []
        for structure in (one, other):
            symbols = np.array([site.specie.symbol for site in structure])
            distances = structure.distance_matrix[np.ix_(symbols == first, symbols == second)]
            spectra.append(np.sort(distances.ravel()))
        assert np.allclose(*spectra, atol=2e-3), (first, second)
    matcher = StructureMatcher(primitive_cell=False, scale=False, attempt_supercell=False, stol=0.1)
    rms = matcher.get_rms_dist(one, other)
    assert rms is not None
    assert rms[1] < 5e-3


def assert_mapped(relaxed, ends, mapped):
    assert_same_crystal(relaxed, mapped.structure)
    assert mapped.structure.species == ends.final.species
    shifts = mapped.structure.cart_coords - ends.final.cart_coords
    farthest = np.linalg.norm(relaxed.cart_coords - ends.initial.cart_coords, axis=1).max()
    assert np.linalg.norm(shifts, axis=1).max() < farthest + 0.01, 'next to the site, in its periodic image'
    others = np.arange(len(relaxed)) != ends.mobile
    apart = (mapped.structure.cart_coords - relaxed.cart_coords)[others]
    assert mapped.motion == pytest.approx(np.sqrt(np.mean(np.sum(apart**2, axis=1))), abs=1e-6)


# ---------------------------------------------------------------- against brute force


def crystal(request, name):
    return request.getfixturevalue(name)


@pytest.mark.parametrize(
    ('name', 'options', 'supercell'),
    [
        ('olivine', {'max_length': 6.0}, (1, 2, 2)),
        ('olivine', {'max_length': 6.0}, (1, 2, 1)),
        ('layered', {}, (2, 2, 2)),
        ('layered', {}, (3, 2, 1)),
        ('layered', {'extra_vacancies': 1, 'max_length': 3.0}, (3, 3, 2)),
        ('antiferromagnetic_spinel', {}, (2, 1, 1)),
        ('spinel', {}, (1, 1, 2)),
    ],
)
def test_operations_are_those_that_brute_force_finds(request, name, options, supercell):
    structure = crystal(request, name)
    for hop in find_hops(structure, 'Li', **options):
        ends = endpoints_or_none(structure, hop, supercell)
        if ends is None:
            continue
        plan = plan_of(structure, ends)
        expected = isometries(ends.initial, ends.final)
        assert ('final' in plan.mapped) == bool(expected), hop.label
        if expected:
            found = plan.mapped['final'][1]
            assert {tuple(rows.ravel()) for rows, _ in expected} == {tuple(g.rotation.T.ravel()) for g in found}
            relaxed = shaken(ends.initial, 3)
            mapped = map_state(relaxed, ends.initial, ends.final, found, [(relaxed, ends.initial)])
            assert_mapped(relaxed, ends, mapped)


def test_in_cells_as_symmetric_as_the_crystal_equivalent_ends_are_mapped(spinel, layered, olivine):
    mapped = 0
    for structure, supercell in ((spinel, 2), (layered, 3), (olivine, 1)):
        for hop in find_hops(structure, 'Li'):
            ends = endpoints_or_none(structure, hop, supercell)
            if ends is None:
                continue
            assert ('final' in plan_of(structure, ends).mapped) == hop.equivalent_ends
            mapped += hop.equivalent_ends
    assert mapped >= 4


def test_a_supercell_may_have_less_symmetry_than_its_crystal():
    """Ends that a threefold axis makes of each other differ where the supercell is longer in one direction."""
    crystal = Structure.from_spacegroup(
        'P3', Lattice.hexagonal(7.0, 5.0), ['Li', 'O', 'Fe'], [[0.3, 0.05, 0.0], [0.5, 0.35, 0.3], [1 / 3, 2 / 3, 0.1]]
    )
    hop = find_hops(crystal, 'Li')[0]
    assert hop.equivalent_ends
    for supercell, mapped in (((1, 1, 2), True), ((2, 2, 1), True), ((2, 1, 1), False)):
        ends = make_endpoints(crystal, hop, supercell, min_distance=1.0)
        assert ('final' in plan_of(crystal, ends).mapped) is mapped
        assert bool(isometries(ends.initial, ends.final)) is mapped


def test_least_motion_of_the_other_atoms(olivine):
    """Where relaxation broke the symmetry, the operation is the best of all by trying each."""
    hop = find_hops(olivine, 'Li')[0]
    ends = make_endpoints(olivine, hop, (1, 2, 2))
    [(_, operations)] = plan_of(olivine, ends).mapped.values()
    assert len(operations) > 1
    for direction in ([0.1, 0.1, 0.1], [0.1, -0.05, 0.1], [0.0, 0.1, 0.0]):
        relaxed = shaken(ends.initial, 1, 0.02)
        oxygen = [index for index, site in enumerate(relaxed) if site.specie.symbol == 'O']
        relaxed.translate_sites(oxygen, direction, frac_coords=False, to_unit_cell=False)
        beside = [(relaxed, ends.initial)]
        each = [map_state(relaxed, ends.initial, ends.final, [one], beside).motion for one in operations]
        assert max(each) > min(each) + 0.02
        for order in (operations, operations[::-1]):
            best = map_state(relaxed, ends.initial, ends.final, order, beside)
            assert best.motion == min(each)


# ---------------------------------------------------------------- magnetism


@pytest.fixture
def reversed_chain():
    """Return a crystal in which only a translation that reverses all moments takes one Li to the other."""
    sites = [[0, 0, 0], [0, 0, 0.5], [0.5, 0.5, 0.2], [0.5, 0.5, 0.7], [0.5, 0, 0.06], [0.5, 0, 0.56]]
    structure = Structure(Lattice.orthorhombic(4.0, 4.7, 6.0), ['Fe', 'Fe', 'Li', 'Li', 'O', 'O'], sites)
    structure.add_site_property('magmom', [4.0, -4.0, 0.0, 0.0, 0.0, 0.0])
    return structure


def test_an_operation_that_reverses_all_moments(reversed_chain):
    ends = make_endpoints(reversed_chain, find_hops(reversed_chain, 'Li')[0], (2, 2, 1), min_distance=1.0)
    [(_, operations)] = plan_of(reversed_chain, ends).mapped.values()
    assert all(operation.time_reversal for operation in operations)
    relaxed = shaken(ends.initial, 1)
    mapped = map_state(relaxed, ends.initial, ends.final, operations, [(relaxed, ends.initial)])
    assert_mapped(relaxed, ends, mapped)
    assert mapped.structure.site_properties['magmom'] == ends.final.site_properties['magmom']
    # each atom is now where the other spin was
    distances = relaxed.lattice.get_all_distances(
        mapped.operation.apply(relaxed.frac_coords), mapped.structure.frac_coords
    )
    targets = distances.argmin(axis=1)
    assert np.array_equal(moments_of(mapped.structure)[targets], -moments_of(relaxed))


def test_moments_that_do_not_fit_forbid_a_mapping(reversed_chain):
    reversed_chain.replace(1, 'Fe', properties={'magmom': -2.0})
    ends = make_endpoints(reversed_chain, find_hops(reversed_chain, 'Li')[0], (2, 2, 1), min_distance=1.0)
    plain = reversed_chain.copy()
    plain.remove_site_property('magmom')
    without = make_endpoints(plain, find_hops(plain, 'Li')[0], (2, 2, 1), min_distance=1.0)
    assert plan_of(reversed_chain, ends).representatives == ('initial', 'final')
    assert plan_of(plain, without).representatives == ('initial',)


def test_oxidation_states_and_u_tell_sites_apart(layered):
    structure = layered * (2, 1, 1)
    hop = find_hops(structure, 'Li', max_length=3.0)[0]
    ends = make_endpoints(structure, hop, (1, 2, 2), min_distance=1.0)
    host = host_of(structure, ends)
    operations = symmetry_operations(host)
    assert mapping_operations(host, ends.initial, ends.final, operations)
    for state in (ends.initial, ends.final):
        state.add_site_property('hubbard_u', [3.0 if i == len(state) // 2 else 0.0 for i in range(len(state))])
    assert len(mapping_operations(host, ends.initial, ends.final, operations)) < len(operations)


# ---------------------------------------------------------------- several hops, one host


def test_many_hops_share_few_states(layered):
    """All vacancies of the layered oxide are one state; where ends of hops coincide they are copies."""
    hops = find_hops(layered, 'Li', max_length=5.0)
    made = [make_endpoints(layered, hop, (3, 3, 3)) for hop in hops]
    states = {f'{side}_{i}': getattr(ends, side) for i, ends in enumerate(made) for side in ('initial', 'final')}
    host = host_of(layered, made[0])
    plan = plan_states(host, states)
    assert plan.representatives == ('initial_0',)
    assert len(plan.mapped) + len(plan.copies) == len(states) - 1
    relaxed = shaken(states['initial_0'], 2)
    for label, (name, operations) in plan.mapped.items():
        mapped = map_state(relaxed, states[name], states[label], operations)
        assert_same_crystal(relaxed, mapped.structure)
        assert np.isnan(mapped.motion), 'nothing stands beside it'
    for label, name in plan.copies.items():
        distances = states[name].lattice.get_all_distances(states[name].frac_coords, states[label].frac_coords)
        assert distances.min(axis=1).max() < 1e-6


def test_interstitial_states(olivine):
    empty = olivine.copy()
    empty.remove_species(['Li'])
    hop = find_hops(empty, 'Li', mechanism='interstitial', sites=[[0, 0, 0]])[0]
    ends = make_endpoints(empty, hop, (1, 2, 2))
    plan = plan_of(empty, ends)
    relaxed = shaken(ends.initial, 4)
    mapped = map_state(relaxed, ends.initial, ends.final, plan.mapped['final'][1], [(relaxed, ends.initial)])
    assert_mapped(relaxed, ends, mapped)
    rebuilt = rebuild_host(ends.initial, ends.final, [ends.mobile], 'interstitial')
    assert StructureMatcher(primitive_cell=False).fit(rebuilt, host_of(empty, ends))


# ---------------------------------------------------------------- given endpoints


def published(shared_data, kind):
    with gzip.open(shared_data / 'barriers_train' / 'barriers_train.json.gz', 'rt') as file:
        entries = json.load(file)
    return [entry for entry in entries if entry['endpoint_symmetry'] == kind and len(entry['species']) <= 80]


def ends_of(entry):
    lattice = Lattice(entry['lattice'])
    species = [entry['mobile_species'], *(s for s in entry['species'])]
    return [Structure(lattice, species, [entry['path_frac'][k], *entry['frac_coords']]) for k in (0, -1)]


def test_published_endpoints(shared_data):
    """Hosts rebuilt from both ends of published paths: what brute force maps is mapped, and the other way round."""
    counts = {'vacancy': 0, 'interstitial': 0}
    for entry in published(shared_data, 'symmetric')[::12]:
        initial, final = ends_of(entry)
        expected = bool(isometries(initial, final))
        found = False
        for mechanism in counts:
            host = rebuild_host(initial, final, [0], mechanism)
            try:
                plan = plan_states(host, {'initial': initial, 'final': final}, symprec=0.05)
            except ValueError:  # both places of the ion are nearly one
                continue
            if 'final' in plan.mapped:
                found = True
                counts[mechanism] += 1
                relaxed = shaken(initial, 5)
                beside = [(relaxed, initial)]
                mapped = map_state(relaxed, initial, final, plan.mapped['final'][1], beside)
                assert_same_crystal(relaxed, mapped.structure)
        assert found == expected, entry['sys_name']
    assert min(counts.values()) > 3


def test_hosts_that_cannot_be_rebuilt(olivine):
    ends = make_endpoints(olivine, find_hops(olivine, 'Li')[0], (1, 2, 1))
    assert rebuild_host(ends.initial, ends.final, [0], 'any') is None
    assert rebuild_host(ends.initial, ends.final, [0, 1], 'vacancy') is None
    assert rebuild_host(shaken(ends.initial, 1), shaken(ends.final, 2), [0], 'vacancy') is None
    rebuilt = rebuild_host(ends.initial, ends.final, [0], 'vacancy')
    assert rebuilt.composition == (olivine * (1, 2, 1)).composition
    # states that were relaxed apart have no operation between them
    relaxed = [shaken(ends.initial, 1, 0.02), shaken(ends.final, 1, 0.02)]
    host = rebuild_host(*relaxed, [0], 'vacancy')
    assert plan_states(host, dict(zip(('a', 'b'), relaxed, strict=True))).representatives == ('a', 'b')


# ---------------------------------------------------------------- properties


@settings(derandomize=True, deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    number=st.integers(0, 20),
    seed=st.integers(0, 1000),
    shear=st.lists(st.integers(-2, 2), min_size=3, max_size=3),
    cells=st.integers(-2, 2),
)
def test_mapping_in_any_cell_order_and_wrapping(layered, number, seed, shear, cells):
    """Neither the choice of cell vectors, nor the order of sites, nor their periodic images change what is mapped."""
    hops = [hop for hop in find_hops(layered, 'Li', max_length=5.0) if hop.equivalent_ends]
    a, b, c = shear
    matrix = np.array([[1, a, b], [0, 1, c], [0, 0, 1]]) @ np.diag([2, 2, 2])
    ends = make_endpoints(layered, hops[number % len(hops)], matrix, min_distance=1.0)
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(ends.final))
    images = generator.integers(-abs(cells), abs(cells) + 1, size=(len(ends.final), 3))
    final = Structure(ends.final.lattice, [ends.final[i].specie for i in order], ends.final.frac_coords[order] + images)
    host = host_of(layered, ends)
    operations = mapping_operations(host, ends.initial, final, symmetry_operations(host))
    assert operations
    relaxed = shaken(ends.initial, seed)
    wrapped = Structure(relaxed.lattice, relaxed.species, relaxed.frac_coords % 1)
    mapped = map_state(wrapped, ends.initial, final, operations, [(wrapped, ends.initial)])
    assert_same_crystal(relaxed, mapped.structure)
    shifts = mapped.structure.cart_coords - final.cart_coords
    moves = minimum_image(wrapped.cart_coords - ends.initial.cart_coords, relaxed.lattice.matrix)
    lengths = [np.sort(np.linalg.norm(vectors, axis=1)) for vectors in (shifts, moves)]
    assert np.allclose(*lengths, atol=1e-6), 'the relaxation is the same, turned'
