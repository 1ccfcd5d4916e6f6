"""Numbers of arrangements without making them: against formulas of combinatorics, and exact however large."""

import itertools
import math

import numpy as np
import pytest

from aiida_embarrier.structures.burnside import count_arrangements, count_distinct, cycle_lengths, fixed_arrangements


def ring(n_sites, mirror=False):
    """Return the rotations of a ring of sites, with its mirrors if asked."""
    turned = [np.roll(np.arange(n_sites), -turn) for turn in range(n_sites)]
    return np.array(turned + [row[::-1] for row in turned] if mirror else turned)


def test_arrangements_are_multinomials():
    assert count_arrangements([(11, 5), (5, 3), (2, 2)]) == 4368 * 56 * 6 == 1467648
    assert count_arrangements([(2, 3, 4)]) == math.factorial(9) // (2 * math.factorial(3) * math.factorial(4))
    assert count_arrangements([]) == 1


@pytest.mark.parametrize(('n_sites', 'filled'), [(6, 3), (12, 4), (15, 5), (8, 0)])
def test_necklaces(n_sites, filled):
    """Count necklaces: the sum over common divisors d of phi(d) C(n/d, k/d), over n."""
    divisors = [d for d in range(1, n_sites + 1) if n_sites % d == filled % d == 0]
    totient = {d: sum(math.gcd(d, k) == 1 for k in range(1, d + 1)) for d in divisors}
    wanted = sum(totient[d] * math.comb(n_sites // d, filled // d) for d in divisors) // n_sites
    assert count_distinct(ring(n_sites), [range(n_sites)], [(filled, n_sites - filled)]) == wanted


def test_all_permutations_leave_one_arrangement():
    group = np.array(list(itertools.permutations(range(5))))
    assert count_distinct(group, [range(5)], [(2, 2, 1)]) == 1


def test_sets_that_move_together():
    group = np.array([[0, 1, 2, 3], [1, 0, 3, 2]])
    # 2 x 2 arrangements of one atom each, of which the exchange leaves none
    assert count_distinct(group, [[0, 1], [2, 3]], [(1, 1), (1, 1)]) == 2
    # repeated operations change nothing
    assert count_distinct(np.repeat(group, 3, axis=0), [[0, 1], [2, 3]], [(1, 1), (1, 1)]) == 2


def test_numbers_beyond_floating_point_are_exact():
    n_sites = 200
    number = count_distinct(ring(n_sites, mirror=True), [range(n_sites)], [(100, 100)])
    arrangements = math.comb(n_sites, 100)
    assert number > 2**150
    assert arrangements < number * 2 * n_sites < arrangements + arrangements // 10**20


def test_cycles():
    assert cycle_lengths(np.array([[1, 2, 0, 4, 3, 5], [0, 1, 2, 3, 4, 5]])).tolist() == [[3, 3, 3, 2, 2, 1], [1] * 6]
    assert fixed_arrangements([(2, 3)], (2, 2, 2)) == 6
    assert fixed_arrangements([(2, 3)], (3, 3)) == 0
    assert fixed_arrangements([(1, 2), (2, 2)], (3, 3)) == 4


def test_what_is_no_group_is_refused():
    with pytest.raises(ValueError, match='do not form a group'):
        count_distinct(np.array([[0, 1, 2], [0, 1, 2], [1, 0, 2]]), [range(3)], [(1, 2)])
