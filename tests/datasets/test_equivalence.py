"""Copies of a hop are found again, and other hops are not taken for it."""

import json

import numpy as np
import pandas as pd
import pytest
from conftest import EXAMPLES
from pymatgen.core import Lattice, Structure

from aiida_embarrier.datasets.equivalence import deviation, environment_of_row, equivalent_hops
from aiida_embarrier.datasets.schema import to_json
from aiida_embarrier.structures.endpoints import make_endpoints
from aiida_embarrier.structures.hops import find_hops
from aiida_embarrier.structures.reading import read_structure


def row_of(initial, final, name, n_images=5):
    """Return the row of a straight path between two structures whose first atom moves."""
    steps = np.linspace(0.0, 1.0, n_images)[:, None]
    path = initial.frac_coords[0] + steps * (final.frac_coords[0] - initial.frac_coords[0])
    return {
        'name': name,
        'lattice': to_json(initial.lattice.matrix),
        'species': json.dumps([site.specie.symbol for site in initial[1:]]),
        'frac_coords': to_json(initial.frac_coords[1:]),
        'ion': initial[0].specie.symbol,
        'path': to_json(path),
    }


@pytest.fixture(scope='module')
def olivine():
    host = read_structure(EXAMPLES / 'LiFePO4.cif')
    hops = find_hops(host, 'Li')
    return host, hops


@pytest.fixture(scope='module')
def row(olivine):
    host, hops = olivine
    ends = make_endpoints(host, hops[0], supercell=[1, 2, 2])
    return row_of(ends.initial, ends.final, 'hop')


def changed(row, change):
    """Return the same hop as another program would write it."""
    lattice, species = np.array(json.loads(row['lattice'])), json.loads(row['species'])
    coords, path = np.array(json.loads(row['frac_coords'])), np.array(json.loads(row['path']))
    random = np.random.default_rng(3)
    if change == 'order':
        order = random.permutation(len(species))
        coords, species = coords[order], [species[index] for index in order]
    elif change == 'reversed':
        path = path[::-1]
    elif change == 'wrapped and shifted':
        coords, path = (coords + 0.37) % 1.0, path + 0.37 + [2, -1, 0]
    elif change == 'rotated':
        lattice = lattice @ np.linalg.qr(random.normal(size=(3, 3)))[0]
    elif change == 'mirrored':
        lattice = lattice @ np.diag([1.0, 1.0, -1.0])
    elif change == 'scaled':
        lattice = 1.1 * lattice
    elif change == 'strained':
        lattice = lattice @ np.diag([1.02, 0.99, 1.0])
    elif change == 'noise':
        coords = coords + random.normal(scale=0.05, size=coords.shape) @ np.linalg.inv(lattice)
    elif change == 'fewer images':
        path = path[[0, 2, 4]]
    elif change == 'other axes':
        turn = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 1]])
        inverse = np.linalg.inv(turn)
        lattice, coords, path = turn @ lattice, coords @ inverse, path @ inverse
    elif change == 'empty host':
        kept = [index for index, symbol in enumerate(species) if symbol != row['ion']]
        coords, species = coords[kept], [species[index] for index in kept]
    else:
        raise AssertionError(change)
    return {
        **row,
        'lattice': to_json(lattice),
        'species': json.dumps(species),
        'frac_coords': to_json(coords),
        'path': to_json(path),
    }


EXACT = ['order', 'reversed', 'wrapped and shifted', 'rotated', 'mirrored', 'scaled', 'fewer images', 'other axes']


@pytest.mark.parametrize('change', [*EXACT, 'empty host', 'noise', 'strained'])
def test_copies_of_a_hop(row, change):
    other = {**changed(row, change), 'name': 'copy'}
    found = deviation(environment_of_row(row), environment_of_row(other))
    if change in EXACT or change == 'empty host':
        assert found < 1e-5
    else:
        assert 0.01 < found < 0.4
    assert equivalent_hops(pd.DataFrame([row, other])).tolist() == ['copy', 'copy']


def test_supercell_and_equivalent_site(olivine, row):
    host, hops = olivine
    ends = make_endpoints(host, hops[0], supercell=[1, 3, 2])
    larger = row_of(ends.initial, ends.final, 'larger')
    assert deviation(environment_of_row(row), environment_of_row(larger)) < 1e-5
    hop = find_hops(host.copy().translate_sites(range(len(host)), [0.5, 0.5, 0.5]), 'Li')[0]
    moved = make_endpoints(host.copy().translate_sites(range(len(host)), [0.5, 0.5, 0.5]), hop, supercell=[1, 2, 2])
    assert deviation(environment_of_row(row), environment_of_row(row_of(moved.initial, moved.final, 'x'))) < 1e-5


def test_other_hops_of_the_crystal(olivine):
    host, _ = olivine
    rows = []
    for hop in find_hops(host, 'Li', max_length=6.5):
        ends = make_endpoints(host, hop, supercell=[2, 3, 3])
        rows.append(row_of(ends.initial, ends.final, f'hop_{hop.number}'))
    assert len(rows) > 3
    labels = equivalent_hops(pd.DataFrame(rows))
    assert labels.tolist() == [row['name'] for row in rows]


def test_other_ion_and_other_host_are_other_hops(row):
    species = json.loads(row['species'])
    manganese = json.dumps([{'Fe': 'Mn'}.get(symbol, symbol) for symbol in species])
    sodium = json.dumps([{'Li': 'Na'}.get(symbol, symbol) for symbol in species])
    rows = [row, {**row, 'name': 'Mn', 'species': manganese}, {**row, 'name': 'Na', 'species': sodium, 'ion': 'Na'}]
    assert equivalent_hops(pd.DataFrame(rows)).tolist() == ['hop', 'Mn', 'Na']


def test_labels_depend_on_no_order(row):
    copies = [{**changed(row, change), 'name': change} for change in EXACT]
    frame = pd.DataFrame([row, *copies])
    back = frame.iloc[::-1].reset_index(drop=True)
    assert equivalent_hops(back).tolist() == equivalent_hops(frame).tolist()[::-1] == ['fewer images'] * len(frame)


def test_hops_that_cannot_be_compared():
    lattice = Lattice.cubic(4.0)
    nothing_else = Structure(lattice, ['Li', 'Li'], [[0, 0, 0], [0.5, 0.5, 0.5]])
    gone = Structure(lattice, ['Li', 'Li'], [[0.5, 0, 0], [0.5, 0.5, 0.5]])
    assert environment_of_row(row_of(nothing_else, gone, 'a')) is None
    host = Structure(lattice, ['Li', 'O'], [[0, 0, 0], [0.5, 0.5, 0.5]])
    assert environment_of_row(row_of(host, host, 'b')) is None
    rows = [row_of(nothing_else, gone, 'a'), row_of(nothing_else, gone, 'b')]
    assert equivalent_hops(pd.DataFrame(rows)).tolist() == ['a', 'b']
