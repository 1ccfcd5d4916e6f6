"""How many arrangements of atoms on sites differ by symmetry, counted without making any of them.

Burnside's lemma: the number of orbits of a group is the mean, over its operations, of the number of arrangements that
an operation leaves as they are. It leaves an arrangement as it is where all sites of each cycle of its permutation hold
the same species, so that the number follows from the lengths of the cycles alone. All numbers are integers of Python,
exact however large they are.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ('count_arrangements', 'count_distinct', 'cycle_lengths', 'fixed_arrangements')


def count_arrangements(contents: Iterable[Sequence[int]]) -> int:
    """Return in how many ways species can be put on sites.

    :param contents: for each set of sites how many of them hold each species, the empty ones being one of these.
    """
    number = 1
    for counts in contents:
        left = sum(counts)
        for count in counts:
            number *= math.comb(left, count)
            left -= count
    return number


def count_distinct(permutations: np.ndarray, sites: Sequence[Sequence[int]], contents: Sequence[Sequence[int]]) -> int:
    """Return the number of arrangements that no operation of a group makes of each other.

    :param permutations: of every operation the place that each site comes to, shape (n_operations, n_sites); the
        operations form a group, and each may be there several times as long as all are equally often.
    :param sites: the sites of each set; no operation takes a site to one of another set.
    :param contents: for each set how many of its sites hold each species, the empty ones being one of these.
    """
    lengths = cycle_lengths(permutations)
    # Of each operation the cycles of every set: how many sites are in cycles of each length.
    kinds: Counter[tuple[tuple[tuple[int, int], ...], ...]] = Counter(
        tuple(_cycles(row[list(members)]) for members in sites) for row in lengths
    )
    total = 0
    known: dict[tuple[tuple[tuple[int, int], ...], tuple[int, ...]], int] = {}
    for kind, operations in kinds.items():
        fixed = 1
        for cycles, counts in zip(kind, contents, strict=True):
            key = cycles, tuple(counts)
            if key not in known:
                known[key] = fixed_arrangements(cycles, counts)
            fixed *= known[key]
            if not fixed:
                break
        total += operations * fixed
    number, rest = divmod(total, len(permutations))
    if rest:
        raise ValueError('the permutations do not form a group: lower or raise symprec')
    return number


def cycle_lengths(permutations: np.ndarray) -> np.ndarray:
    """Return for every permutation the length of the cycle that each site is in, shape (n_operations, n_sites)."""
    permutations = np.asarray(permutations)
    home = np.arange(permutations.shape[1])
    lengths = np.zeros(permutations.shape, dtype=np.int64)
    image = permutations
    for step in range(1, permutations.shape[1] + 1):
        lengths[(image == home) & (lengths == 0)] = step
        if lengths.all():
            break
        image = np.take_along_axis(permutations, image, axis=1)
    return lengths


def _cycles(lengths: np.ndarray) -> tuple[tuple[int, int], ...]:
    """Return how many cycles of each length there are."""
    values, sites = np.unique(lengths, return_counts=True)
    return tuple((int(length), int(count) // int(length)) for length, count in zip(values, sites, strict=True))


def fixed_arrangements(cycles: Iterable[tuple[int, int]], counts: Sequence[int]) -> int:
    """Return how many arrangements on one set of sites have the same species on all sites of each cycle.

    It is the coefficient of x_1^c_1 x_2^c_2 ... in the product over all cycles of (x_1^l + x_2^l + ...), l being the
    length of the cycle.

    :param cycles: pairs of a length and the number of cycles that have it.
    :param counts: how many sites hold each species.
    """
    *chosen, _ = sorted(counts)  # what the last species gets follows from the others
    ways: dict[tuple[int, ...], int] = {tuple(chosen): 1}  # by what is still to be placed
    sites_left = sum(counts)
    for length, number in cycles:
        sites_left -= length * number
        following: dict[tuple[int, ...], int] = {}
        for left, before in ways.items():
            for taken, choices in _shares(left, length, number):
                if sum(taken) <= sites_left:
                    following[taken] = following.get(taken, 0) + before * choices
        ways = following
    return ways.get((0,) * len(chosen), 0)


def _shares(left: tuple[int, ...], length: int, number: int) -> Iterable[tuple[tuple[int, ...], int]]:
    """Yield what is left of each species when equally long cycles were shared out, and in how many ways it comes so."""
    if not left:
        yield (), 1
        return
    for share in range(min(left[0] // length, number) + 1):
        ways = math.comb(number, share)
        for others, more in _shares(left[1:], length, number - share):
            yield (left[0] - share * length, *others), ways * more
