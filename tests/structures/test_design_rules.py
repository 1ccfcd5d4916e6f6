"""Design rules of the literature: what they say of known paths, and what they do not depend on."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Structure

from aiida_embarrier.prediction.paths import MigrationPath
from aiida_embarrier.structures.bending import bent_path
from aiida_embarrier.structures.design_rules import DESIGN_RULES, design_rules, preferred_coordination

#: Differences of the ends, which change sign with the direction.
DIRECTED = {'econ_difference', 'valence_difference'}
FRACTIONS = np.linspace(0, 1, 21)


@pytest.fixture(scope='module')
def rules(literature):
    """Return the descriptors of a row on its bent path, and its barrier."""

    def found(name: str) -> dict[str, float]:
        path = MigrationPath.from_row(literature[name])
        points = bent_path(path.lattice, path.species, path.coords, path.ion, path.at(FRACTIONS))
        described = design_rules(path.lattice, path.species, path.coords, path.ion, points)
        return {**described, 'barrier': literature[name]['barrier']}

    return found


def displaced(structure: Structure, distance: float) -> Structure:
    """Return a crystal whose atoms are off their sites."""
    moves = np.random.default_rng(5).normal(size=(len(structure), 3))
    moves *= distance / np.linalg.norm(moves, axis=1)[:, None]
    return Structure(structure.lattice, structure.species, structure.cart_coords + moves, coords_are_cartesian=True)


@pytest.fixture(scope='module')
def hop(spinel_once: Structure):
    """Return a hop in a spinel whose atoms are off their sites: host and points."""
    crystal = displaced(spinel_once, 0.08)
    lithium = [number for number, site in enumerate(crystal) if site.specie.symbol == 'Li']
    start, end = crystal.frac_coords[lithium]
    # to the nearest image of the other site: through the octahedron between both
    ends = end + np.array(list(product((-1, 0, 1), repeat=3)))
    nearest = ends[np.linalg.norm((ends - start) @ crystal.lattice.matrix, axis=1).argmin()]
    points = np.linspace(start, nearest, 21)
    crystal.remove_sites(lithium)
    return crystal, points


def described(structure: Structure, points, ion: str = 'Li', **options) -> dict[str, float]:
    symbols = [site.specie.symbol for site in structure]
    return design_rules(structure.lattice.matrix, symbols, structure.frac_coords, ion, points, **options)


def assert_same(one, other, but=()):
    names = [name for name in DESIGN_RULES if name not in but]
    assert [one[name] for name in names] == pytest.approx([other[name] for name in names], abs=1e-5, nan_ok=True)


def test_every_descriptor_is_explained(hop):
    found = described(*hop)
    assert list(found) == list(DESIGN_RULES)
    assert all(len(entry) == 2 and entry[1] for entry in DESIGN_RULES.values())


@settings(derandomize=True, deadline=None, max_examples=8)
@given(st.randoms(use_true_random=False), st.tuples(*3 * [st.floats(-2, 2)]))
def test_order_and_origin_are_no_matter(hop, random, shift):
    structure, points = hop
    order = list(range(len(structure)))
    random.shuffle(order)
    moved = Structure(
        structure.lattice,
        [structure[number].specie for number in order],
        structure.frac_coords[order] + np.array(shift),
        to_unit_cell=False,
    )
    assert_same(described(*hop), described(moved, points + np.array(shift)))


@pytest.mark.parametrize('factors', [(2, 1, 1), (1, 2, 2), ([1, 1, 0], [0, 1, 0], [0, 0, 1])])
def test_the_cell_is_no_matter(hop, factors):
    structure, points = hop
    larger = structure.copy()
    larger.make_supercell(np.diag(factors) if np.ndim(factors) == 1 else factors, to_unit_cell=False)
    cartesian = points @ structure.lattice.matrix
    # one ion in more atoms is another concentration
    assert_same(described(*hop), described(larger, larger.lattice.get_fractional_coords(cartesian)), {'metal_charge'})


def test_the_way_back(hop):
    structure, points = hop
    there, back = described(structure, points), described(structure, points[::-1])
    assert_same(there, back, DIRECTED)
    for name in DIRECTED:
        assert there[name] == pytest.approx(-back[name])
        assert abs(there[name]) > 1e-3


def test_atoms_that_move_with_the_ion(hop):
    structure, points = hop
    symbols = [site.specie.symbol for site in structure]
    frames = np.repeat(structure.frac_coords[None], 21, axis=0)
    assert_same(described(*hop), design_rules(structure.lattice.matrix, symbols, frames, 'Li', points))
    frames[10] += 0.01
    moved = design_rules(structure.lattice.matrix, symbols, frames, 'Li', points)
    assert moved['econ_stable'] == pytest.approx(described(*hop)['econ_stable'])
    assert moved['econ_activated'] != pytest.approx(described(*hop)['econ_activated'])


def test_spinel(rules):
    """Of the ions in a spinel, zinc sits where it prefers to be, magnesium and calcium do not (Rong et al.)."""
    found = {ion: rules(f'Mn2O4_{ion}') for ion in ('Li', 'Mg', 'Ca', 'Zn')}
    for entry in found.values():
        assert entry['econ_stable'] == pytest.approx(4.0, abs=0.01)
        assert entry['econ_activated'] == pytest.approx(6.0, abs=0.01)
        assert (entry['coordination_stable'], entry['coordination_range'], entry['window_corners']) == (4, 3, 3)
    preferred = {ion: (entry['stable_preferred'], entry['activated_preferred']) for ion, entry in found.items()}
    assert preferred == {'Li': (1, 1), 'Mg': (0, 1), 'Ca': (0, 0), 'Zn': (1, 0)}
    assert found['Zn']['rong_score'] == -1
    assert found['Mg']['rong_score'] == 1
    # and so it is: zinc is slowest
    assert found['Zn']['barrier'] > found['Mg']['barrier'] > found['Ca']['barrier']


def test_calcium_is_fast_where_it_has_fewer_anions_than_it_prefers(rules):
    for name in ('d-V2O5_Ca', 'Mn2O4_Ca'):
        found = rules(name)
        assert found['mismatch_stable'] < -2
        assert found['stable_preferred'] == 0
    assert rules('d-V2O5_Ca')['barrier'] < rules('d-V2O5_Zn')['barrier'] < rules('d-V2O5_Mg')['barrier']


def test_magnesium_is_slow_in_the_octahedra_that_it_prefers(rules):
    magnesium, zinc = rules('NiO2_Mg'), rules('NiO2_Zn')
    assert magnesium['econ_stable'] == pytest.approx(6.0, abs=0.05)
    assert (magnesium['stable_preferred'], zinc['stable_preferred']) == (1, 0)
    # through a tetrahedron, which zinc prefers and magnesium does not
    assert (magnesium['rong_score'], zinc['rong_score']) == (-1, 1)
    assert magnesium['barrier'] > zinc['barrier']
    # the exception of the rule: calcium prefers more than six anions, and is as slow as magnesium
    assert rules('NiO2_Ca')['stable_preferred'] == 0
    assert rules('NiO2_Ca')['barrier'] > 1


def test_fractions_by_hand(rules):
    found = rules('Mn2O4_Zn')
    edge = 3 * found['window_radius'] / np.sqrt(3)
    assert found['window_area'] == pytest.approx(np.sqrt(3) / 4 * edge**2, rel=1e-3)
    assert found['volume_stable'] == pytest.approx(edge**3 / (6 * np.sqrt(2)), rel=1e-3)
    assert found['volume_fraction_stable'] == pytest.approx(4 / 3 * np.pi * 0.60**3 / found['volume_stable'], rel=1e-3)
    assert found['area_fraction'] == pytest.approx(np.pi * 0.60**2 / found['window_area'], rel=1e-3)
    assert found['diagonal_fraction_stable'] == pytest.approx(1.2 / edge, rel=1e-3)
    assert found['window_free_radius'] == pytest.approx(found['window_radius'] - 1.40)
    assert found['window_excess'] == pytest.approx(found['window_free_radius'] - 0.60)


def test_what_an_ion_prefers_may_be_told(hop):
    plain, told = described(*hop), described(*hop, preferred={'Li': (8.0, 8.0)})
    assert plain['stable_preferred'] == 1
    assert told['stable_preferred'] == 0
    assert told['mismatch_stable'] == pytest.approx(told['econ_stable'] - 8)
    assert preferred_coordination('Li', 'O') == (4, 6)
    # by their radii
    assert preferred_coordination('Sr', 'O') == (8, 8)
    assert preferred_coordination('Rb', 'O') == (12, 12)
    assert np.isnan(preferred_coordination('Sr', 'P')).all()


def test_a_host_without_anions_has_no_rules():
    copper = Structure.from_spacegroup('Fm-3m', [[3.6, 0, 0], [0, 3.6, 0], [0, 0, 3.6]], ['Cu'], [[0, 0, 0]])
    copper.remove_sites([0])
    found = described(copper, np.linspace([0, 0, 0], [0.5, 0.5, 0], 21), 'Cu')
    assert {name for name, value in found.items() if not np.isnan(value)} == {'ion_electronegativity'}


@pytest.mark.slow
def test_all_paths_of_the_literature(literature, recwarn):
    rows = []
    for row in literature.values():
        path = MigrationPath.from_row(row)
        points = bent_path(path.lattice, path.species, path.coords, path.ion, path.at(FRACTIONS))
        rows.append(design_rules(path.lattice, path.species, path.coords, path.ion, points))
    assert len(rows) == 559
    assert not recwarn.list
    for name in ('econ_stable', 'volume_fraction_range', 'window_area', 'valence_mismatch', 'stable_preferred'):
        assert np.isfinite([row[name] for row in rows]).all(), name
    assert not np.isinf([list(row.values()) for row in rows]).any()
    assert {name for name in DESIGN_RULES if np.isnan([row[name] for row in rows]).all()} == set()
