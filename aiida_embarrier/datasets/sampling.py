"""Draw the rows that train a model from a pool: at random, or so that they cover target or crystals better.

Every method draws from the rows in the order of their names: a sample depends on the rows, the method and the seed, and
not on the order of the rows.

In the work on transfer learning (doi:10.1038/s41524-024-01486-1) random samples were best; what the others were that it
compared with is not known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from aiida_embarrier.datasets.drawing import largest_remainders, random_order

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

__all__ = ('METHODS', 'Sample', 'draw_sample')

#: The methods, in a line each.
METHODS = {
    'random': 'row by row',
    'target': 'as many rows of each of ten quantiles of the target',
    'range': 'as many rows of each tenth of the range of the target, as far as there are so many',
    'diverse': 'each row the farthest, in composition and packing, from those that were drawn before it',
    'cluster': 'as many rows of each cluster of like crystals as are its share of the pool',
}

#: Quantiles of the target, or pieces of its range, that are drawn from equally.
N_STRATA = 10
#: Clusters of like crystals, and how often their centres are improved at most.
N_CLUSTERS = 20
N_ROUNDS = 50

#: What is drawn with a seed.
_ROWS, _VALIDATION, _START = range(3)


@dataclass(frozen=True)
class Sample:
    """Rows that were drawn.

    :param train: names of rows that train, in the order in which they were drawn.
    :param validation: names of rows that validate.
    :param report: method, seed, sizes, and how the target is distributed in pool and sample.
    """

    train: list[str]
    validation: list[str]
    report: dict[str, Any]


def draw_sample(
    pool: pd.DataFrame, size: int, method: str = 'random', *, seed: int = 0, validation_fraction: float = 0.1
) -> Sample:
    """Draw rows from a pool.

    `target` goes through ten quantiles of the target in turn, so that the sample has the distribution of the pool;
    `range` goes through ten equal pieces of its range, so that rare numbers are there more often. `diverse` begins at
    random and adds the row whose descriptors (:func:`~aiida_embarrier.datasets.descriptors.crystal_descriptors`, in
    standard deviations of the pool) are farthest from all that are there (doi:10.1016/0304-3975(85)90224-5). `cluster`
    makes clusters by k-means, and draws at random within each. With descriptors it took 3 s for 9395 rows.

    :param pool: rows of properties.
    :param size: how many rows, those that validate included.
    :param method: one of :data:`METHODS`.
    :param seed: of everything that is drawn.
    :param validation_fraction: share of the sample that validates, drawn from it at random.
    :raises ValueError: for a size larger than the pool, for rows without a finite target, and for settings that make
        no sense.
    """
    if method not in METHODS:
        raise ValueError(f'there is no method {method!r} to draw a sample: choose from {", ".join(METHODS)}')
    _check(len(pool), size, seed, validation_fraction)
    rows = pool.sort_values('name', ignore_index=True)
    target = _target(rows)
    chosen = _DRAW[method](rows, size, seed)
    n_validation = round(validation_fraction * size)
    if validation_fraction and not n_validation:
        raise ValueError(
            f'{validation_fraction:g} of {size} rows is less than one row to validate: ask for a larger share, or 0'
        )
    validating = set(random_order(size, (seed, _VALIDATION))[:n_validation])
    names = rows['name'].iloc[chosen].astype('str').tolist()
    report = {
        'method': method,
        'seed': int(seed),
        'size': int(size),
        'n_pool': len(pool),
        'n_train': size - n_validation,
        'n_validation': n_validation,
        'target_of_pool': _spread(target),
        'target_of_sample': _spread(target[chosen]),
    }
    return Sample(
        [name for number, name in enumerate(names) if number not in validating],
        [name for number, name in enumerate(names) if number in validating],
        report,
    )


def _check(n_pool: int, size: int, seed: int, validation_fraction: float) -> None:
    for name, value in (('size', size), ('seed', seed)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer):
            raise ValueError(f'{name} is a whole number, got {value!r}')
    if size < 1:
        raise ValueError(f'a sample has at least one row, got a size of {size}')
    if size > n_pool:
        raise ValueError(
            f'a sample of {size} rows cannot be drawn from a pool of {n_pool}: ask for at most that many, or leave '
            'fewer rows out of the pool'
        )
    if seed < 0:
        raise ValueError(f'a seed is a number from 0, got {seed}')
    if isinstance(validation_fraction, bool) or not isinstance(validation_fraction, int | float):
        raise ValueError(f'validation_fraction is a number, got {validation_fraction!r}')
    if not 0 <= validation_fraction < 1:
        raise ValueError(f'the share of rows that validate lies between 0 and 1, got {validation_fraction}')


def _spread(values: np.ndarray) -> dict[str, float]:
    quantiles = np.quantile(values, [0, 0.25, 0.5, 0.75, 1])
    names = ('min', 'quartile_1', 'median', 'quartile_3', 'max')
    return {'mean': float(values.mean()), **dict(zip(names, map(float, quantiles), strict=True))}


def _random(rows: pd.DataFrame, size: int, seed: int) -> list[int]:
    return random_order(len(rows), (seed, _ROWS))[:size]


def _by_quantile(rows: pd.DataFrame, size: int, seed: int) -> list[int]:
    target = _target(rows)
    order = random_order(len(rows), (seed, _ROWS))
    # Equal targets, such as band gaps of 0 eV, fall into quantiles at random, not by their names.
    ranks = np.empty(len(rows), dtype=int)
    ranks[sorted(order, key=target.__getitem__)] = np.arange(len(rows))
    return _in_turn(order, ranks * min(N_STRATA, len(rows)) // len(rows), size)


def _by_range(rows: pd.DataFrame, size: int, seed: int) -> list[int]:
    target = _target(rows)
    width = float(np.ptp(target)) or 1.0
    pieces = np.minimum((target - target.min()) / width * N_STRATA, N_STRATA - 1).astype(int)
    return _in_turn(random_order(len(rows), (seed, _ROWS)), pieces, size)


def _target(rows: pd.DataFrame) -> np.ndarray:
    target = rows['target'].to_numpy(dtype=float)
    if not np.isfinite(target).all():
        name = rows['name'][~np.isfinite(target)].iloc[0]
        raise ValueError(f'{name!r} has no finite target: leave it out of the dataset')
    return target


def _in_turn(order: Sequence[int], strata: np.ndarray, size: int) -> list[int]:
    """Return the first of some rows, one of each stratum after the other, until there are enough."""
    turns = np.empty(len(order), dtype=int)
    seen: dict[int, int] = {}
    for number in order:
        stratum = int(strata[number])
        turns[number] = seen.get(stratum, 0)
        seen[stratum] = turns[number] + 1
    return sorted(order, key=turns.__getitem__)[:size]  # stable: within a turn in random order


def _points(rows: pd.DataFrame) -> np.ndarray:
    from aiida_embarrier.datasets.descriptors import crystal_descriptors, standardised

    return standardised(crystal_descriptors(rows))


def _farthest(rows: pd.DataFrame, size: int, seed: int) -> list[int]:
    points = _points(rows)
    order = random_order(len(rows), (seed, _START))
    points = points[order]  # of equally far rows the first in random order is taken
    chosen, nearest = [0], np.full(len(points), np.inf)
    for _ in range(size - 1):
        nearest = np.minimum(nearest, ((points - points[chosen[-1]]) ** 2).sum(axis=1))
        nearest[chosen[-1]] = -1.0  # never again, also where another row is just like it
        chosen.append(int(nearest.argmax()))
    return [order[number] for number in chosen]


def _by_cluster(rows: pd.DataFrame, size: int, seed: int) -> list[int]:
    points = _points(rows)
    starts = random_order(len(rows), (seed, _START))[:N_CLUSTERS]
    labels = _clusters(points, points[starts])
    sizes = dict(enumerate(np.bincount(labels).tolist()))
    quotas = largest_remainders(size, sizes)
    chosen = []
    for number in random_order(len(rows), (seed, _ROWS)):
        if quotas[int(labels[number])]:
            quotas[int(labels[number])] -= 1
            chosen.append(number)
    return chosen


def _clusters(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Return the cluster of each point by Lloyd's algorithm (doi:10.1109/TIT.1982.1056489)."""
    labels = np.full(len(points), -1)
    for _ in range(N_ROUNDS):
        distances = (centres**2).sum(axis=1) - 2 * points @ centres.T
        found = distances.argmin(axis=1)
        if (found == labels).all():
            break
        labels = found
        # A centre that nothing is nearest to stays where it is.
        filled = np.unique(labels)
        centres[filled] = [points[labels == label].mean(axis=0) for label in filled]
    return labels


_DRAW = {'random': _random, 'target': _by_quantile, 'range': _by_range, 'diverse': _farthest, 'cluster': _by_cluster}
