"""All arrangements of atoms on sites that differ by symmetry.

Every set of sites is filled species by species, so that each step chooses some sites out of some others. The choices
fall into orbits of the group; what is chosen next needs to be distinct only under the operations that leave the present
choice as it is, its stabiliser. Nothing is kept of arrangements that are not the first of their orbit.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ('Arrangements', 'distinct_arrangements')

#: Bytes that the images of a block of choices may take.
BLOCK_BYTES = 2**25


class Arrangements(NamedTuple):
    """The first arrangement of each orbit.

    :param species: for each site the number of its species in its set, shape (n_distinct, n_sites), unsigned bytes.
    :param multiplicities: how many arrangements each orbit has, shape (n_distinct,).
    """

    species: np.ndarray
    multiplicities: np.ndarray


def distinct_arrangements(
    permutations: np.ndarray,
    sites: Sequence[Sequence[int]],
    contents: Sequence[Sequence[int]],
    progress: Callable[[float], None] | None = None,
) -> Arrangements:
    """Return one arrangement of each orbit of a group.

    :param permutations: of every operation the place that each site comes to, shape (n_operations, n_sites); the
        operations form a group.
    :param sites: the sites of each set; every site is in one, and no operation takes a site to one of another set.
    :param contents: for each set how many of its sites hold each species, the empty ones being one of these.
    :param progress: called now and then with the part of all arrangements that is done.
    """
    return _Search(np.unique(permutations, axis=0), sites, contents, progress).run()


class _Search:
    def __init__(
        self,
        group: np.ndarray,
        sites: Sequence[Sequence[int]],
        contents: Sequence[Sequence[int]],
        progress: Callable[[float], None] | None,
    ) -> None:
        self._n_sites = group.shape[1]
        # Sets with few arrangements first: the long lists come where little symmetry is left, and are made at once.
        order = sorted(range(len(sites)), key=lambda number: _multinomial(contents[number]))
        self._sites = [np.asarray(sites[number], dtype=np.int64) for number in order]
        self._contents = [list(contents[number]) for number in order]
        self._groups = [_within(group, members) for members in self._sites]
        self._n_operations = len(group)
        self._progress = progress
        self._known: dict[tuple[int, bytes], tuple[np.ndarray, np.ndarray]] = {}
        self._done = 0.0

    def run(self) -> Arrangements:
        if not self._sites:
            return Arrangements(np.zeros((1, self._n_sites), dtype=np.uint8), np.ones(1, dtype=np.int64))
        columns, multiplicities = self._from_set(0, np.ones(self._n_operations, dtype=bool), 1.0)
        species = np.empty((len(columns), self._n_sites), dtype=np.uint8)
        species[:, np.concatenate(self._sites)] = columns
        return Arrangements(species, multiplicities)

    def _from_set(self, number: int, operations: np.ndarray, weight: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the arrangements of a set and those after it, distinct under some operations, and their numbers."""
        key = number, np.packbits(operations).tobytes()
        if key in self._known:
            self._advance(weight)
            return self._known[key]
        last = number == len(self._sites) - 1
        here = self._of_set(number, operations, weight if last else 0.0)
        result = (here.species, here.sizes) if last else self._combine(number, here, weight)
        self._known[key] = result
        return result

    def _combine(self, number: int, here: _Orbits, weight: float) -> tuple[np.ndarray, np.ndarray]:
        """Return each arrangement of a set with all that may follow it."""
        total = float(here.sizes.sum())
        kinds, kind_of = np.unique(here.stabilisers, axis=0, return_inverse=True)
        columns, sizes = [], []
        for kind, stabiliser in enumerate(kinds):
            members = np.flatnonzero(kind_of.ravel() == kind)
            share = weight * float(here.sizes[members].sum()) / total
            after, after_sizes = self._from_set(number + 1, stabiliser, share)
            first = np.repeat(here.species[members], len(after), axis=0)
            columns.append(np.concatenate([first, np.tile(after, (len(members), 1))], axis=1))
            sizes.append(np.outer(here.sizes[members], after_sizes).ravel())
        return np.concatenate(columns), np.concatenate(sizes)

    def _of_set(self, number: int, operations: np.ndarray, weight: float) -> _Orbits:
        counts = self._contents[number]
        # The rarest species first; the most frequent one gets what is left.
        species = sorted((count, index) for index, count in enumerate(counts) if count)
        indices = np.flatnonzero(operations)
        found = self._fill(self._groups[number][indices], np.arange(len(self._sites[number])), species, weight)
        stabilisers = np.zeros((len(found.sizes), self._n_operations), dtype=bool)
        stabilisers[:, indices] = found.stabilisers
        return _Orbits(found.species, found.sizes, stabilisers)

    def _fill(self, group: np.ndarray, pool: np.ndarray, species: list[tuple[int, int]], weight: float) -> _Orbits:
        """Return the distinct ways to fill the sites of a pool, as columns of all sites of the set.

        :param group: permutations of the sites of the set that keep the pool.
        """
        n_sites = group.shape[1]
        (count, index), *others = species
        if not others:
            filled = np.zeros((1, n_sites), dtype=np.uint8)
            filled[:, pool] = index
            self._advance(weight)
            return _Orbits(filled, np.ones(1, dtype=np.int64), np.ones((1, len(group)), dtype=bool))
        place = np.full(n_sites, -1)
        place[pool] = np.arange(len(pool))
        chosen = self._choose(place[group[:, pool]], len(pool), count, weight if len(others) == 1 else 0.0)
        if len(others) == 1:
            filled = np.zeros((len(chosen.sizes), n_sites), dtype=np.uint8)
            filled[:, pool] = np.where(chosen.species, index, others[0][1])
            return _Orbits(filled, chosen.sizes, chosen.stabilisers)
        parts = []
        total = float(chosen.sizes.sum())
        for taken, size, stabiliser in zip(chosen.species.astype(bool), chosen.sizes, chosen.stabilisers, strict=True):
            after = self._fill(group[stabiliser], pool[~taken], others, weight * float(size) / total)
            after.species[:, pool[taken]] = index
            stabilisers = np.zeros((len(after.sizes), len(group)), dtype=bool)
            stabilisers[:, stabiliser] = after.stabilisers
            parts.append(_Orbits(after.species, after.sizes * size, stabilisers))
        return _Orbits(*(np.concatenate(pieces) for pieces in zip(*parts, strict=True)))

    def _choose(self, group: np.ndarray, n_sites: int, count: int, weight: float) -> _Orbits:
        """Return the distinct ways to choose some of the sites: truth values instead of species."""
        fewer = min(count, n_sites - count)
        subsets = _Subsets(n_sites, fewer)
        group = group.astype(np.int16 if n_sites < 2**15 else np.int32)
        # Of operations that do the same one is looked at; they stand in the stabiliser together.
        distinct, same = np.unique(group, axis=0, return_inverse=True)
        same = same.ravel()
        seen = np.zeros(subsets.number, dtype=bool)
        block = max(BLOCK_BYTES // (8 * max(fewer, 1) * len(distinct)), 16)
        filled, sizes, stabilisers = [], [], []
        for start in range(0, subsets.number, block):
            ranks = start + np.flatnonzero(~seen[start : start + block])
            if len(ranks):
                chosen = subsets.unrank(ranks)
                images = subsets.rank(np.sort(distinct[:, chosen], axis=-1))
                first = images.min(axis=0) == ranks
                images, ranks = images[:, first], ranks[first]
                seen[images] = True
                fixed = images == ranks
                marked = np.zeros((len(ranks), n_sites), dtype=np.uint8)
                np.put_along_axis(marked, chosen[first], 1, axis=1)
                filled.append(marked if fewer == count else 1 - marked)
                sizes.append(len(distinct) // fixed.sum(axis=0))
                stabilisers.append(fixed[same].T)
            self._advance(weight * min(block, subsets.number - start) / subsets.number)
        return _Orbits(np.concatenate(filled), np.concatenate(sizes).astype(np.int64), np.concatenate(stabilisers))

    def _advance(self, part: float) -> None:
        self._done += part
        if self._progress is not None:
            self._progress(min(self._done, 1.0))


class _Orbits(NamedTuple):
    """Orbits by their first members: those, how many members there are, and which operations keep the first."""

    species: np.ndarray
    sizes: np.ndarray
    stabilisers: np.ndarray


class _Subsets:
    """The subsets of a size, numbered: positions p_1 < p_2 < ... have the number C(p_1, 1) + C(p_2, 2) + ..."""

    def __init__(self, n_sites: int, size: int) -> None:
        self.number = math.comb(n_sites, size)
        self._size = size
        # Row k holds C(0, k), C(1, k), ...; entries beyond the number of subsets are never looked up.
        self._binomials = [
            np.array([min(math.comb(site, k), self.number) for site in range(n_sites + 1)], dtype=np.int64)
            for k in range(size + 1)
        ]

    def rank(self, positions: np.ndarray) -> np.ndarray:
        """Return the numbers of subsets given by their ascending positions, shape (..., size)."""
        ranks = np.zeros(positions.shape[:-1], dtype=np.int64)
        for k in range(self._size):
            ranks += self._binomials[k + 1][positions[..., k]]
        return ranks

    def unrank(self, ranks: np.ndarray) -> np.ndarray:
        """Return the ascending positions of subsets given by their numbers, shape (n, size)."""
        left = np.array(ranks, dtype=np.int64)
        positions = np.empty((len(left), self._size), dtype=np.int64)
        for k in range(self._size, 0, -1):
            column = self._binomials[k]
            positions[:, k - 1] = np.searchsorted(column, left, side='right') - 1
            left -= column[positions[:, k - 1]]
        return positions


def _within(group: np.ndarray, members: np.ndarray) -> np.ndarray:
    """Return what permutations do to the sites of one set, these numbered from 0."""
    place = np.full(group.shape[1], -1)
    place[members] = np.arange(len(members))
    return place[group[:, members]]


def _multinomial(counts: Sequence[int]) -> int:
    number, left = 1, sum(counts)
    for count in counts:
        number *= math.comb(left, count)
        left -= count
    return number
