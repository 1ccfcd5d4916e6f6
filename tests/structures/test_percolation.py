"""Percolation of hops: known networks, and against walking through a large piece of the crystal."""

import itertools

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from aiida_embarrier.structures.hops import find_hops
from aiida_embarrier.structures.percolation import HopEnergies, percolation
from aiida_embarrier.structures.symmetry import symmetry_operations


def levels_of(structure, saddles, lowest=0.0, **options):
    """Return the levels where each hop has a saddle, those beyond the list none."""
    hops = find_hops(structure, 'Li', **options)[: len(saddles)]
    return percolation(structure, hops, [HopEnergies(saddle, lowest) for saddle in saddles])


def test_the_olivine_conducts_along_its_channels(olivine):
    levels = levels_of(olivine, [0.2, 0.9])
    assert levels[1].to_dict() == {'dimension': 1, 'barrier': pytest.approx(0.2), 'hop': 0, 'hops': [0]}
    assert (levels[2].barrier, levels[2].hop, levels[2].hops) == (pytest.approx(0.9), 1, (0, 1))
    assert 3 not in levels
    # the same network whatever lies lower
    assert levels_of(olivine, [0.9, 0.2])[2].hop == 0


def test_the_layered_oxide_conducts_in_its_layers(layered):
    levels = levels_of(layered, [0.3])
    assert set(levels) == {1, 2}
    assert levels[1] == levels[2].__class__(1, 0.3, 0, (0,))
    hops = find_hops(layered, 'Li', max_length=7.0, through=True)
    across = next(number for number, hop in enumerate(hops) if abs(hop.displacement.sum()) > 0.5)
    levels = percolation(layered, hops, [HopEnergies(0.1 * (number + 1), 0.0) for number in range(len(hops))])
    assert levels[3].hop == across


def test_the_spinel_conducts_in_three_dimensions_by_one_hop(spinel):
    levels = levels_of(spinel, [0.4], lowest=-0.1)
    assert {dimension: level.barrier for dimension, level in levels.items()} == pytest.approx({1: 0.5, 2: 0.5, 3: 0.5})


def test_no_hop_no_level(olivine):
    assert percolation(olivine, [], []) == {}
    # hops across the channels only lead back and forth between columns along [001]
    assert set(levels_of(olivine, [1.0])) == {1}


def test_barrier_is_above_the_lowest_state_on_the_way():
    """Two sorts of sites in rows: the way goes through the high ones, and the barrier counts from the low ones."""
    crystal = Structure(Lattice.orthorhombic(4, 9, 9), ['Li', 'Li', 'O'], [[0, 0, 0], [0.55, 0, 0], [0.3, 0.5, 0.4]])
    hops = find_hops(crystal, 'Li', max_length=2.5)
    assert len(hops) == 2
    levels = percolation(crystal, hops, [HopEnergies(0.5, -0.2), HopEnergies(0.3, 0.0)])
    assert levels[1].barrier == pytest.approx(0.7)
    assert levels[1].hops == (0, 1)
    # an image below both ends counts as a state
    levels = percolation(crystal, hops, [HopEnergies(0.5, -0.2), HopEnergies(0.3, -0.3)])
    assert levels[1].barrier == pytest.approx(0.8)


def walked_dimensions(structure, hops, reach=4):
    """Return how far one gets from each site by hops through a large piece of the crystal: an independent answer."""
    operations = symmetry_operations(structure)
    vectors = {}
    points = [site.frac_coords for site in structure if site.specie.symbol == 'Li']

    def site_of(x):
        for number, point in enumerate(points):
            difference = x - point
            if np.abs(difference - np.rint(difference)).max() < 1e-3:
                return number, tuple(np.rint(difference).astype(int))
        raise AssertionError

    for hop, operation in itertools.product(hops, operations):
        ends = [operation.apply(np.array(end.coords)) for end in (hop.initial, hop.final)]
        for (a, cell_a), (b, cell_b) in itertools.permutations([site_of(end) for end in ends], 2):
            vectors.setdefault(a, set()).add((b, tuple(np.subtract(cell_b, cell_a))))
    best = 0
    for start in vectors:
        seen, front = {(start, (0, 0, 0))}, [(start, (0, 0, 0))]
        while front:
            site, cell = front.pop()
            for target, step in vectors.get(site, ()):
                place = (target, tuple(np.add(cell, step).tolist()))
                if place not in seen and max(map(abs, place[1])) <= reach:
                    seen.add(place)
                    front.append(place)
        home = [cell for site, cell in seen if site == start and any(cell)]
        best = max(best, np.linalg.matrix_rank(home) if home else 0)
    return best


@pytest.mark.parametrize('name', ['olivine', 'layered', 'spinel', 'antiferromagnetic_spinel'])
def test_dimensions_are_those_that_one_can_walk(request, name):
    structure = request.getfixturevalue(name)
    hops = find_hops(structure, 'Li', max_length=6.0)
    for count in (1, 2, len(hops)):
        for chosen in itertools.islice(itertools.combinations(hops, count), 4):
            levels = percolation(structure, chosen, [HopEnergies(1.0, 0.0)] * len(chosen))
            assert max(levels, default=0) == walked_dimensions(structure, chosen)
