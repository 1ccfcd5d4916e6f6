"""Draw rows for a part of a split: whole groups, as many of each stratum as asked, the same on every machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ('Rows', 'draw', 'largest_remainders', 'make_folds', 'random_order')


@dataclass(frozen=True)
class Rows:
    """Rows to draw from, by their numbers.

    :param groups: a label for each row; rows with the same one stay together.
    :param strata: a number for each row: of which kind it is.
    """

    groups: Sequence[str]
    strata: np.ndarray

    def units(self, numbers: Sequence[int], keys: tuple[int, int]) -> list[list[int]]:
        """Return rows by their groups, the groups in random order.

        :param numbers: of the rows, in an order that does not depend on that of the dataset.
        :param keys: of the random order, see :func:`random_order`.
        """
        members: dict[str, list[int]] = {}
        for number in numbers:
            members.setdefault(self.groups[number], []).append(number)
        # In the order of their first rows, so that nothing depends on what the groups are called.
        found = list(members.values())
        return [found[index] for index in random_order(len(found), keys)]


def random_order(n: int, keys: tuple[int, int]) -> list[int]:
    """Return 0 to n - 1 in random order.

    The raw numbers of PCG64 are the same on every platform and, unlike the methods of NumPy's generators, promised to
    stay so in later versions.

    :param keys: the seed, and what is drawn with it.
    """
    raw = np.random.PCG64(np.random.SeedSequence(list(keys))).random_raw(n)
    return np.argsort(raw, kind='stable').tolist()


def largest_remainders(total: int, sizes: Mapping[int, int]) -> dict[int, int]:
    """Return how many of each kind make a total in proportion to their sizes, rounded so that they add up to it.

    What is left after rounding down goes to the largest remainders, of equal ones to the larger kind.
    """
    everything = sum(sizes.values())
    if not everything:
        return dict.fromkeys(sizes, 0)
    exact = {kind: total * size / everything for kind, size in sizes.items()}
    quotas = {kind: int(share) for kind, share in exact.items()}
    order = sorted(sizes, key=lambda kind: (quotas[kind] - exact[kind], -sizes[kind], kind))
    for kind in order[: total - sum(quotas.values())]:
        quotas[kind] += 1
    return quotas


def draw(
    rows: Rows, numbers: Sequence[int], quotas: Mapping[int, int], keys: tuple[int, int], *, fill: bool = True
) -> list[int]:
    """Draw whole groups, in random order, as long as they fit.

    A group that holds more rows of a stratum than are still wanted is passed over. What is missing after that is filled
    with groups that fit into the total.

    :param numbers: of the rows to draw from.
    :param quotas: how many rows of each stratum are wanted.
    :param fill: whether to fill up.
    :return: numbers of the rows, at most as many as asked for.
    """
    wanted = dict(quotas)
    chosen: list[int] = []
    passed: list[list[int]] = []
    for unit in rows.units(numbers, keys):
        strata, counts = np.unique(rows.strata[unit], return_counts=True)
        counted = dict(zip(strata.tolist(), counts.tolist(), strict=True))
        if all(wanted.get(stratum, 0) >= count for stratum, count in counted.items()):
            chosen += unit
            for stratum, count in counted.items():
                wanted[stratum] -= count
        else:
            passed.append(unit)
    missing = sum(wanted.values())
    for unit in passed if fill and len(quotas) > 1 else ():
        if len(unit) <= missing:
            chosen += unit
            missing -= len(unit)
    return chosen


def make_folds(rows: Rows, numbers: Sequence[int], n_folds: int, keys: tuple[int, int]) -> dict[int, int]:
    """Return the fold of each row: whole groups, large ones first, each to where its strata are scarcest.

    :param numbers: of the rows to put into folds.
    :raises ValueError: for fewer than two folds, and more folds than there are groups.
    """
    units = rows.units(numbers, keys)
    if not 2 <= n_folds <= len(units):
        raise ValueError(
            f'{n_folds} folds cannot be made of {len(units)} group(s): ask for 2 to {len(units)} folds, or choose '
            'smaller groups'
        )
    n_strata = int(rows.strata.max(initial=0)) + 1
    totals = np.maximum(1, np.bincount(rows.strata[list(numbers)], minlength=n_strata))
    filled = np.zeros((n_folds, n_strata))
    sizes = np.zeros(n_folds, dtype=int)
    folds: dict[int, int] = {}
    for unit in sorted(units, key=len, reverse=True):  # stable: of equal size in random order
        counts = np.bincount(rows.strata[unit], minlength=n_strata) / totals
        # How much the sum of squares grows, which is least where all folds hold the same share of each stratum.
        growth = (counts * (2 * filled + counts)).sum(axis=1)
        fold = int(np.lexsort((sizes, growth.round(12)))[0])
        filled[fold] += counts
        sizes[fold] += len(unit)
        folds.update(dict.fromkeys(unit, fold))
    return folds
