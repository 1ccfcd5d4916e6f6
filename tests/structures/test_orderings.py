"""Orderings of crystals: counts, structures, limits, and real disordered crystals against brute force."""

from collections import Counter

import numpy as np
import pytest
from disordered_crystals import pair_of_sets, rock_salt
from ordering_brute_force import arrangements, orbits, permutations_by_pymatgen

from aiida_embarrier.structures.occupancies import fix_contents
from aiida_embarrier.structures.orderings import TooManyOrderingsError, count_orderings, find_orderings
from aiida_embarrier.structures.reading_disordered import read_disordered

#: Arrangements and distinct orderings of cells that hold whole atoms within the tolerance: the smallest diagonal one.
REAL = {
    'obelix_2t8': (6, 4),
    'obelix_97b': (64, 6),
    'obelix_e6b': (70, 14),
    'obelix_ei3': (360, 30),
    'obelix_gxz': (168, 30),
    'obelix_hja': (12, 2),
    'obelix_hx7': (3, 1),
    'obelix_ia5': (6, 3),
    'obelix_jqc': (8, 4),
    'obelix_mn3': (70, 14),
    'obelix_nhq': (16, 2),
    'obelix_ob9': (225, 42),
    'obelix_oi6': (8, 4),
    'obelix_u8r': (6, 1),
    'obelix_xz4': (6, 2),
    'pymatgen_Cu7Te5': (15, 3),
    'pymatgen_PF_sd_1011081': (4, 1),
    'pymatgen_PF_sd_1500382': (15, 3),
    'pymatgen_PF_sd_1615854': (28, 16),
}


def by_brute_force(crystal, **cell):
    """Return the sizes of all orbits, sorted."""
    contents = fix_contents(crystal, **cell)
    sites = [site for entry in contents.sets for site in entry.sites]
    rows = arrangements([entry.all_counts for entry in contents.sets])
    return orbits(rows, permutations_by_pymatgen(contents.structure, sites)).tolist()


def test_files_of_the_table_are_all_there_are(shared_data):
    files = {path.stem for path in (shared_data / 'disordered_cifs').glob('*.cif')}
    assert files == {*REAL, 'pymatgen_Li10GeP2S12', 'pymatgen_srycoo'}


@pytest.mark.parametrize('name', REAL)
def test_real_crystals_against_brute_force(shared_data, name):
    crystal = read_disordered(shared_data / 'disordered_cifs' / f'{name}.cif')
    found = find_orderings(crystal, supercell='fit', keep=1)
    assert (found.count.n_arrangements, found.count.n_distinct) == REAL[name]
    assert len(found.multiplicities) == found.count.n_distinct
    assert found.multiplicities.sum() == found.count.n_arrangements
    assert sorted(found.multiplicities.tolist()) == by_brute_force(crystal, supercell='fit')


@pytest.mark.slow
@pytest.mark.parametrize(
    ('name', 'counts'), [('pymatgen_srycoo', (122304, 6634)), ('pymatgen_Li10GeP2S12', (1467648, 91728))]
)
def test_large_real_crystals_against_brute_force(shared_data, name, counts):
    crystal = read_disordered(shared_data / 'disordered_cifs' / f'{name}.cif')
    found = find_orderings(crystal, keep=3)
    assert (found.count.n_arrangements, found.count.n_distinct) == counts
    assert len(found.multiplicities) == found.count.n_distinct
    assert found.multiplicities.sum() == found.count.n_arrangements
    assert sorted(found.multiplicities.tolist()) == by_brute_force(crystal)


@pytest.mark.parametrize(
    ('name', 'cell'),
    [
        ('obelix_97b', {'supercell': [1, 1, 5], 'tolerance': 0.001}),
        ('obelix_hx7', {'supercell': [2, 1, 1]}),
        ('obelix_hx7', {'supercell': [[1, 1, 0], [-1, 1, 0], [0, 0, 1]]}),
        ('obelix_2t8', {'supercell': [1, 2, 1]}),
        ('obelix_ei3', {'fix': 'orbit'}),
        ('pymatgen_PF_sd_1615854', {'fix': 'orbit', 'supercell': [2, 1, 1]}),
    ],
)
def test_supercells_and_orbits_against_brute_force(shared_data, name, cell):
    crystal = read_disordered(shared_data / 'disordered_cifs' / f'{name}.cif')
    found = find_orderings(crystal, **cell, keep=0)
    assert found.multiplicities.sum() == found.count.n_arrangements
    assert sorted(found.multiplicities.tolist()) == by_brute_force(crystal, **cell)


def test_known_number_of_orderings_of_a_supercell():
    """Half-filled fcc sites: one ordering in the cubic cell (L1_0), more in two of them, one behind the other."""
    crystal = rock_salt({'Li': 0.5})
    assert (count_orderings(crystal).n_arrangements, count_orderings(crystal).n_distinct) == (6, 1)
    double = count_orderings(crystal, supercell=[2, 1, 1])
    assert double.n_arrangements == 70
    assert sum(by_brute_force(crystal, supercell=[2, 1, 1])) == 70
    assert double.n_distinct == len(by_brute_force(crystal, supercell=[2, 1, 1]))


def test_moments_part_the_sites_for_symmetry_but_not_their_atoms():
    crystal = rock_salt({'Li': 0.5})
    crystal.add_site_property('magmom', [1.0, 1.0, -1.0, -1.0, 0.0, 0.0, 0.0, 0.0])
    found = find_orderings(crystal)
    assert found.count.n_arrangements == 6
    # both on one sublattice (either), or one on each
    assert sorted(found.multiplicities.tolist()) == [1, 1, 4]


def test_structures_hold_what_the_count_says():
    crystal = rock_salt({'Li+': 0.5, 'Al3+': 0.25}, {'O2-': 0.5, 'F-': 0.5})
    crystal.add_site_property('magmom', [0.0] * 4 + [1.0] * 4)
    found = find_orderings(crystal)
    structures = [ordering.structure for ordering in found.orderings]
    assert len(structures) == found.count.n_distinct
    assert [ordering.number for ordering in found.orderings] == list(range(len(structures)))
    for structure in structures:
        assert structure.is_ordered
        assert structure.composition.formula == 'Li2 Al1 O2 F2'
        assert Counter(str(site.specie) for site in structure) == {'Li+': 2, 'Al3+': 1, 'O2-': 2, 'F-': 2}
        assert [site.properties['magmom'] for site in structure] == [0.0] * 3 + [1.0] * 4
        nearest = crystal.lattice.get_all_distances(structure.frac_coords, crystal.frac_coords).min(axis=1)
        assert nearest.max() < 1e-9
    matrices = {tuple(sorted((str(site.specie), *np.round(site.frac_coords, 3)) for site in s)) for s in structures}
    assert len(matrices) == len(structures)


def test_only_some_structures_are_made():
    found = find_orderings(rock_salt({'Mg': 0.5}), supercell=[2, 1, 1], keep=2)
    assert len(found.orderings) == 2
    assert len(found.multiplicities) == len(found.energies) == found.count.n_distinct > 2
    assert found.orderings[0].ewald_energy == found.energies[0] == min(found.energies)
    assert find_orderings(rock_salt({'Mg': 0.5}), keep=0).orderings == ()
    with pytest.raises(ValueError, match='not negative, got -1'):
        find_orderings(rock_salt({'Mg': 0.5}), keep=-1)


def test_an_ordered_crystal_has_one_ordering():
    found = find_orderings(rock_salt('Li'))
    assert (found.count.n_arrangements, found.count.n_distinct) == (1, 1)
    assert found.orderings[0].structure.composition.formula == 'Li4 Cl4'
    assert found.orderings[0].multiplicity == 1


def test_a_limit_is_refused_with_both_counts():
    with pytest.raises(TooManyOrderingsError) as caught:
        find_orderings(rock_salt({'Li': 0.5}), supercell=[2, 1, 1], limit=69)
    error = caught.value
    count = count_orderings(rock_salt({'Li': 0.5}), supercell=[2, 1, 1])
    assert (error.n_arrangements, error.n_distinct) == (70, count.n_distinct)
    assert f'Li4 Cl8 has 70 arrangements, {count.n_distinct} of them distinct, more than the limit of 69' in str(error)
    assert 'take a smaller cell, raise the limit (about 100 MB of memory), or let pymatgen propose' in str(error)
    assert find_orderings(rock_salt({'Li': 0.5}), supercell=[2, 1, 1], limit=70, keep=0).multiplicities.sum() == 70


def test_large_cells_are_counted_at_once():
    crystal = rock_salt({'Li': 0.5, 'Na': 0.25})
    count = count_orderings(crystal, supercell=[3, 3, 2])
    assert count.n_arrangements > 10**30
    assert count.n_arrangements < count.n_distinct * count.n_operations < 2 * count.n_arrangements
    with pytest.raises(TooManyOrderingsError, match='take a smaller cell, or let pymatgen propose'):
        find_orderings(crystal, supercell=[3, 3, 2])


def test_close_sites_are_said():
    crystal = pair_of_sets()
    crystal.translate_sites([0], [0, 0, -0.05])
    crystal.translate_sites([1], [0, 0, 0.05])
    count = count_orderings(crystal)
    assert 'partly occupied sites are only 0.90 Å apart' in count.warnings[0]
    assert count_orderings(pair_of_sets()).warnings == ()


def test_progress_counts_arrangements_then_structures():
    told = []
    find_orderings(rock_salt({'Mg': 0.5}), supercell=[2, 1, 1], progress=lambda *entries: told.append(entries))
    assert ('orderings', 70, 70, 'arrangements') in told
    assert told[-1][0] == 'structures'
    steps = [done for task, done, _, _ in told if task == 'orderings']
    assert steps == sorted(steps)


def test_what_progress_raises_stops_the_search():
    def stop(*_):
        raise InterruptedError('enough')

    with pytest.raises(InterruptedError, match='enough'):
        find_orderings(rock_salt({'Mg': 0.5}), progress=stop)
