"""Rows that hold the same crystal."""

import numpy as np
import pandas as pd
import pytest
from property_systems import frame, halides, rock_salt, row, zinc_blende
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure

from aiida_embarrier.datasets.importing.properties import read
from aiida_embarrier.datasets.same_crystals import TOLERANCE, crystal_keys, deviation, shells_of_row
from aiida_embarrier.datasets.schema import structure_of_row


def same(first, second, **labels):
    keys = crystal_keys(frame(row('a', first, **labels), row('b', second, **labels)))
    return keys.iloc[0] == keys.iloc[1]


def hexagonal(length, symbols, coords, height):
    return Structure(Lattice.hexagonal(length, height), symbols, coords)


@pytest.mark.parametrize('kind', ['cubic', 'turned'])
def test_cells_orientations_and_orders_do_not_matter(kind):
    assert same(rock_salt('Na', 'Cl'), rock_salt('Na', 'Cl', kind=kind))


def test_scale_matters_beyond_what_relaxations_differ_by():
    assert same(rock_salt('Na', 'Cl', 5.6), rock_salt('Na', 'Cl', 5.8, 'cubic'))
    assert not same(rock_salt('Na', 'Cl', 5.6), rock_salt('Na', 'Cl', 6.1))


def test_other_structures_of_one_formula():
    assert not same(rock_salt('Na', 'Cl'), zinc_blende('Na', 'Cl'))
    assert not same(rock_salt('Na', 'Cl'), rock_salt('Na', 'Br'))
    fcc = Structure([[0, 2, 2], [2, 0, 2], [2, 2, 0]], ['Al'], [[0, 0, 0]])
    distance = 4.0 / np.sqrt(2)
    hcp = hexagonal(distance, ['Al', 'Al'], [[1 / 3, 2 / 3, 0.25], [2 / 3, 1 / 3, 0.75]], distance * np.sqrt(8 / 3))
    assert not same(fcc, hcp)


def test_elements_that_change_places():
    assert not same(
        Structure(Lattice.cubic(4), ['Cs', 'Cl', 'Cl'], [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0, 0]]),
        Structure(Lattice.cubic(4), ['Cl', 'Cs', 'Cs'], [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0, 0]]),
    )


def test_mirror_images_are_one_crystal():
    quartz = Structure.from_spacegroup(
        'P3_121', Lattice.hexagonal(4.91, 5.40), ['Si', 'O'], [[0.47, 0, 1 / 3], [0.413, 0.267, 0.214 + 1 / 3]]
    )
    mirror = Structure(quartz.lattice, quartz.species, quartz.frac_coords * [1, 1, -1] % 1)
    assert same(quartz, mirror)


def test_layers_with_vacuum():
    coords = [[1 / 3, 2 / 3, 0.5], [2 / 3, 1 / 3, 0.5]]
    layer, wider = (hexagonal(2.5, ['B', 'N'], coords, height) for height in (15.0, 25.0))
    stacked = hexagonal(2.5, ['B', 'N'], coords, 7.9)
    assert same(layer, wider)
    assert not same(layer, stacked)


def test_ordering_of_one_lattice():
    rocksalt = rock_salt('Ni', 'O', 4.2, 'cubic')
    rocksalt.make_supercell([2, 1, 1])
    metals = [number for number, site in enumerate(rocksalt) if site.specie.symbol == 'Ni']
    others = [rocksalt.copy() for _ in range(2)]
    for structure, chosen in zip(others, ([0, 1, 2, 3], [0, 2, 4, 6]), strict=True):
        for number in chosen:
            structure.replace(metals[number], 'Co')
    assert not same(*others) or StructureMatcher().fit(*others)


def test_atoms_moved_a_little():
    rng = np.random.default_rng(1)
    first = rock_salt('Na', 'Cl', kind='cubic')
    moved = first.copy()
    moved.perturb(0.03)
    far = Structure(first.lattice, first.species, first.frac_coords + rng.normal(scale=0.06, size=(len(first), 3)))
    assert same(first, moved)
    assert not same(first, far)


def test_an_id_in_common_is_a_hint_only():
    first, moved = rock_salt('Na', 'Cl', kind='cubic'), rock_salt('Na', 'Cl', kind='cubic')
    moved.translate_sites([0], [0.035, 0, 0])
    assert deviation(shells_of_row(row('a', first)), shells_of_row(row('b', moved))) > TOLERANCE
    assert not same(first, moved)
    assert same(first, moved, material_id='mp-22862')
    assert not same(first, zinc_blende('Na', 'Cl'), material_id='mp-22862')


def test_lone_atoms_farther_apart_than_what_is_compared():
    lone = [Structure(Lattice.cubic(length), ['He'], [[0, 0, 0]]) for length in (12.0, 30.0)]
    keys = crystal_keys(frame(*(row(f'a{number}', one) for number, one in enumerate([*lone, lone[0]]))))
    assert keys[0] == keys[2]


def test_neither_order_nor_names_matter():
    one = pd.concat([halides('a'), halides('b', kind='cubic', scale=1.01)], ignore_index=True)
    keys = crystal_keys(one)
    assert keys.nunique() == 24
    assert (keys[:24].to_numpy() == keys[24:].to_numpy()).all()
    other = one.sample(frac=1, random_state=1).assign(name=[f'x{number}' for number in range(48)])
    assert crystal_keys(other).sort_index().equals(keys)


def test_progress_and_what_is_refused():
    told = []
    crystal_keys(halides(), progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (24, 24)
    with pytest.raises(ValueError, match="the column 'frac_coords' is missing"):
        crystal_keys(halides().drop(columns='frac_coords'))
    with pytest.raises(ValueError, match='these rows are paths in hosts'):
        crystal_keys(halides().assign(path='[]'))
    with pytest.raises(ValueError, match='a tolerance is a positive number in Å, got -1'):
        crystal_keys(halides(), tolerance=-1)


@pytest.mark.slow
def test_real_crystals_against_the_structure_matcher(shared_data):
    """Of the published sets: rows that are the same, and rows of one formula that are not, in cells of few atoms."""
    rows = pd.concat(
        [read(pd.read_parquet(shared_data / 'tl' / f'{tag}.parquet'), tag, None)[0] for tag in ('dc', 'ph', 'pz')],
        ignore_index=True,
    )
    rows['crystal'] = crystal_keys(rows)
    known = rows[rows['material_id'].notna()]
    assert known.groupby('material_id')['crystal'].nunique().max() == 1
    rows['formula'] = rows['crystal'].str.rpartition('-')[0]
    small = rows[(rows['n_atoms'] <= 8)].sort_values('name')
    pairs = [
        (one, other)
        for _, group in small.groupby('formula')
        for one, other in [group.iloc[[0, -1]].to_dict('records')]
        if one['name'] != other['name'] and one['frac_coords'] != other['frac_coords']
    ]
    matcher = StructureMatcher()
    wrong = [
        (one['name'], other['name'])
        for one, other in pairs
        if (one['crystal'] == other['crystal']) != matcher.fit(structure_of_row(one), structure_of_row(other))
    ]
    agree = sum(one['crystal'] == other['crystal'] for one, other in pairs)
    assert len(pairs) - agree > 20
    assert agree > 20
    # The matcher is looser: it takes crystals for the same that differ by half an Å, ours is not.
    assert len(wrong) <= 0.1 * len(pairs), wrong
