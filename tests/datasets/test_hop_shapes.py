"""What shapes rule out is no hop again, and nearly everything that is none is ruled out."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest
from conftest import EXAMPLES

from aiida_embarrier.datasets.equivalence import (
    MARGIN,
    N_NEAR,
    TOLERANCE,
    deviation,
    environment_of_row,
    equivalent_hops,
)
from aiida_embarrier.datasets.hop_shapes import Shapes
from aiida_embarrier.datasets.importing import read_dataset
from aiida_embarrier.datasets.schema import to_json
from aiida_embarrier.structures.reading import read_structure


def hops_of_one_host(noise, n):
    """Return rows of hops in a supercell of olivine whose atoms were moved by a normal deviate, in Å."""
    host = read_structure(EXAMPLES / 'LiFePO4.cif')
    host.make_supercell([1, 2, 2])
    random = np.random.default_rng(4)
    coords = host.lattice.get_fractional_coords(host.cart_coords + random.normal(scale=noise, size=(len(host), 3)))
    symbols = np.array([site.specie.symbol for site in host])
    pairs = []
    for pair in itertools.combinations(np.flatnonzero(symbols == 'Li'), 2):
        step = coords[pair[1]] - coords[pair[0]]
        step -= np.rint(step)
        if np.linalg.norm(step @ host.lattice.matrix) < 6.5:
            pairs.append((pair, step))
    rows = []
    for number in random.permutation(len(pairs))[:n]:
        pair, step = pairs[number]
        others = np.delete(np.arange(len(host)), pair)
        row = {
            'name': f'hop {number:03d}',
            'lattice': to_json(host.lattice.matrix * random.uniform(0.98, 1.02)),
            'species': json.dumps(symbols[others].tolist()),
            'frac_coords': to_json(coords[others]),
            'ion': 'Li',
            'path': to_json(coords[pair[0]] + np.linspace(0, 1, 5)[:, None] * step),
        }
        rows.append(row)
    return sorted(rows, key=lambda row: row['name'])


@pytest.mark.parametrize('noise', [0.0, 0.08, 0.2])
def test_nothing_that_fits_is_ruled_out(noise):
    """The labels are those of a comparison of each with each, and most other pairs are told apart by their shapes."""
    rows = hops_of_one_host(noise, 16)
    hops = [environment_of_row(row) for row in rows]
    known = {
        symbol: number for number, symbol in enumerate(sorted({*itertools.chain(*(hop.elements for hop in hops))}))
    }
    for hop in hops:
        hop.elements[:] = [known[symbol] for symbol in hop.elements]
    numbers = [hop.__class__(hop.path, hop.elements.astype(int), hop.positions, hop.scale) for hop in hops]
    shapes = Shapes(numbers, MARGIN, N_NEAR)
    label = list(range(len(rows)))
    n_open = n_other = 0
    for first in range(len(rows)):
        others = np.arange(first + 1, len(rows))
        for second, possible in zip(others, shapes.possible(first, others, TOLERANCE), strict=True):
            if deviation(numbers[first], numbers[second]) <= TOLERANCE:
                assert possible.any()
                label = [min(label[first], label[second]) if x in (label[first], label[second]) else x for x in label]
            else:
                n_other += 1
                n_open += possible.any()
    assert n_other > 50
    assert n_open < 0.1 * n_other
    assert equivalent_hops(pd.DataFrame(rows)).tolist() == [rows[number]['name'] for number in label]
    assert (len(set(label)) == len(rows)) == (noise == 0.2)


@pytest.mark.slow
def test_published_barriers(shared_data):
    """25 pairs coincide, and 84 agree within the tolerance; chains of such pairs lead to two pairs more."""
    frame = read_dataset(shared_data / 'barriers_train' / 'barriers_train.json.gz').frame
    for tolerance, n_pairs in ((1e-6, 25), (TOLERANCE, 86)):
        sizes = equivalent_hops(frame, tolerance).value_counts()
        assert (sizes * (sizes - 1) // 2).sum() == n_pairs
