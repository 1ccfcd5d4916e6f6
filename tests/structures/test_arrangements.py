"""Arrangements that differ by symmetry: against brute force and Burnside's lemma, on random groups and sets."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from ordering_brute_force import arrangements, orbits

from aiida_embarrier.structures.arrangements import distinct_arrangements
from aiida_embarrier.structures.burnside import count_arrangements, count_distinct


def generated(generators):
    """Return all products of some permutations."""
    identity = tuple(range(len(generators[0])))
    group, front = {identity}, [identity]
    while front:
        made = {tuple(member[place] for place in generator) for member in front for generator in generators}
        front = list(made - group)
        group |= made
    return np.array(sorted(group))


@st.composite
def problems(draw):
    """Draw sets of sites, what they hold, and a group that keeps each set."""
    sizes = draw(st.lists(st.integers(1, 5), min_size=1, max_size=3))
    ends = np.cumsum([0, *sizes]).tolist()
    sets = [list(range(start, start + size)) for start, size in zip(ends[:-1], sizes, strict=True)]
    contents = []
    for size in sizes:
        kinds = draw(st.integers(1, 4))
        held = [draw(st.integers(0, kinds - 1)) for _ in range(size)]
        contents.append([held.count(kind) for kind in range(kinds)])
    generators = [
        [site for members in sets for site in draw(st.permutations(members))] for _ in range(draw(st.integers(1, 2)))
    ]
    return generated(generators), sets, contents


@settings(derandomize=True, max_examples=80, deadline=None)
@given(problems())
def test_orbits_of_random_groups(problem):
    group, sets, contents = problem
    found = distinct_arrangements(group, sets, contents)
    assert len(found.species) == count_distinct(group, sets, contents)
    assert found.multiplicities.sum() == count_arrangements(contents)
    everything = arrangements(contents)
    assert len(everything) == count_arrangements(contents)
    assert np.sort(found.multiplicities).tolist() == orbits(everything, group).tolist()
    # each has the content, and none is an image of another
    for members, counts in zip(sets, contents, strict=True):
        assert (np.apply_along_axis(np.bincount, 1, found.species[:, members], minlength=len(counts)) == counts).all()
    least = {min(tuple(row[image].tolist()) for image in group) for row in found.species}
    assert len(least) == len(found.species)


def test_sets_may_stand_in_any_order():
    """Sites of a set need not be next to each other, nor the sets in the order of their sizes."""
    group = np.array([[0, 1, 2, 3, 4, 5], [2, 1, 0, 3, 5, 4]])
    sets, contents = [[5, 0, 2, 4], [1, 3]], [[2, 2], [1, 1]]
    found = distinct_arrangements(group, sets, contents)
    assert found.multiplicities.sum() == 12
    assert len(found.species) == count_distinct(group, sets, contents)
    assert set(np.bincount(found.species[0][[1, 3]])) == {1}


def test_no_sites_leave_one_arrangement():
    found = distinct_arrangements(np.zeros((1, 0), dtype=int), [], [])
    assert found.species.shape == (1, 0)
    assert found.multiplicities.tolist() == [1]


def test_progress_goes_from_nothing_to_all():
    ring = np.array([np.roll(np.arange(12), turn) for turn in range(12)])
    parts = []
    distinct_arrangements(np.hstack([ring, ring + 12]), [range(12), range(12, 24)], [[6, 6], [2, 10]], parts.append)
    assert parts == sorted(parts)
    assert 0 <= parts[0] < 1
    assert abs(parts[-1] - 1) < 1e-9


def test_many_arrangements_in_blocks(monkeypatch):
    """A block is a part of all arrangements only; what one finds, the next ones know."""
    from aiida_embarrier.structures import arrangements as module

    ring = np.array([np.roll(np.arange(18), turn) for turn in range(18)])
    at_once = distinct_arrangements(ring, [range(18)], [[9, 9]])
    monkeypatch.setattr(module, 'BLOCK_BYTES', 1)
    in_blocks = distinct_arrangements(ring, [range(18)], [[9, 9]])
    assert np.array_equal(at_once.species, in_blocks.species)
    assert len(at_once.species) == count_distinct(ring, [range(18)], [[9, 9]]) == 2704
