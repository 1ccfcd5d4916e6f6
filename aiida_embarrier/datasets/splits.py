"""Split a dataset into parts that train, validate and test a model, with a report of what leaks between them.

Every method draws from the rows in the order of their names, so that a split depends on the rows, the method and the
seed, and on nothing else: not on the order of the rows, the machine, or what groups are called.
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from aiida_embarrier.datasets.drawing import Rows, draw, largest_remainders, make_folds
from aiida_embarrier.datasets.leakage import LeakageReport, group_column, leakage
from aiida_embarrier.datasets.parts import LEARNED_PARTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ('METHODS', 'Split', 'split_dataset')

#: The methods, and the column whose groups each keeps together or draws from.
METHODS: dict[str, str | None] = {
    'random': None,
    'host': 'host_group',
    'framework': 'framework_group',
    'family': 'family_group',
    'chemsys': 'chemsys_group',
    'published': 'structural_group',
    'source': 'published_split',
    'column': None,
}

#: Share of the rows that test where nothing else is asked for, and that of the published split: 60 of 619.
TEST_FRACTION = 0.1
PUBLISHED_FRACTION = 60 / 619

#: Parameters for which None says that they are not given.
_MAY_BE_LEFT_OUT = {'test_fraction', 'n_test', 'n_folds', 'group_by'}

#: What is drawn with a seed.
_TEST, _VALIDATION, _FOLDS = range(3)


@dataclass(frozen=True)
class Split:
    """A split of a dataset.

    :param table: `name`, `part` (`train`, `validation`, `test`) and `fold` (the fold that a row judges, missing where
        there are none) of every row, in the order of names.
    :param method: how it was made.
    :param parameters: everything that it depends on beside the rows.
    :param report: counts of rows and groups by part, what was asked for and could not be had.
    :param leakage: what the evaluated rows share with the training.
    """

    table: pd.DataFrame
    method: str
    parameters: dict[str, Any]
    report: dict[str, Any]
    leakage: LeakageReport

    def names(self, part: str) -> list[str]:
        """Return the names of the rows of a part."""
        return self.table['name'][self.table['part'] == part].tolist()


def split_dataset(
    frame: pd.DataFrame,
    method: str = 'random',
    *,
    test_fraction: float | None = None,
    n_test: int | None = None,
    validation_fraction: float = 0.0,
    n_folds: int | None = None,
    seed: int = 0,
    strata: int = 1,
    group_by: str | None = None,
    compare_hops: bool = True,
) -> Split:
    """Split a dataset, and find what leaks.

    - `random`: row by row.
    - `host`, `framework`, `family`, `chemsys`: groups of rows stay together, see
      :mod:`~aiida_embarrier.datasets.groups`; `column` does so with the column `group_by`. Whole groups are drawn as
      long as they fit, so that a part may miss its size by less than the smallest group passed over.
    - `published`: the rule of the published 559:60 split. Structural groups with less than 1 % of the rows give no
      test row, those with 1 to 2 % one, larger ones what their size gives them of the rest, at random within each.
    - `source`: as the column `published_split` says; a share of rows that validate is drawn from those that train,
      where the source names none.

    Folds are made of the rows that do not test; with `n_folds` alone no row does.

    :param frame: rows of either schema.
    :param method: one of :data:`METHODS`.
    :param test_fraction: share of the rows that test; 0.1 unless said, for `published` 60/619.
    :param n_test: how many rows test, instead of the share.
    :param validation_fraction: share of all rows that validate, drawn like the test rows from what they leave.
    :param n_folds: how many folds to make.
    :param seed: of everything that is drawn.
    :param strata: number of equal quantiles of the target that every part gets its share of; 1 for none.
    :param group_by: name of a column whose groups stay together, for the method `column`.
    :param compare_hops: whether the report looks for equivalent hops, which takes 2 ms for each published row. For hops
        in one crystal, of 112 atoms, it takes 0.6 to 1.4 s for 150 of them, and up to 7 s for 310.
    :raises ValueError: for settings that contradict each other or cannot be met; the message says which.
    """
    _check_kinds(
        {'n_test': n_test, 'n_folds': n_folds, 'seed': seed, 'strata': strata},
        {'test_fraction': test_fraction, 'validation_fraction': validation_fraction},
        {'method': method, 'group_by': group_by},
        compare_hops,
    )
    _check(frame, method, group_by, seed, strata, n_folds, validation_fraction)
    rows = frame.sort_values('name', ignore_index=True)
    wanted = _n_test(len(rows), method, test_fraction, n_test, n_folds)
    groups = _groups(rows, method, group_by)
    parameters = {
        'method': method,
        'seed': int(seed),
        'n_test': wanted,
        'validation_fraction': float(validation_fraction),
        'n_folds': n_folds,
        'strata': int(strata),
        'group_by': METHODS[method] or group_by,
    }
    notes: list[str] = []
    folds: dict[int, int] = {}
    if method == 'source':
        parts = _as_published(rows, notes)
        if validation_fraction:
            parts = _with_validation(rows, parts, validation_fraction, seed)
    else:
        parts, folds = _drawn(rows, groups, parameters, notes)
    table = pd.DataFrame(
        {
            'name': rows['name'].astype('str'),
            'part': pd.Series(parts, dtype='str'),
            'fold': pd.array([folds.get(number, pd.NA) for number in range(len(rows))], dtype='Int64'),
        }
    )
    counted = group_column(rows, 'structural_group').tolist() if method == 'published' else groups
    report = {**parameters, 'n_rows': len(rows), 'parts': _counts(rows, table, counted), 'notes': notes}
    return Split(table, method, parameters, report, leakage(rows, table, compare_hops=compare_hops))


def _check_kinds(
    whole: Mapping[str, Any], fractions: Mapping[str, Any], names: Mapping[str, Any], compare_hops: Any
) -> None:
    """Refuse values that are not even of the right kind, as JSON and YAML can hold them.

    :raises ValueError: naming the first.
    """
    for kind, values, what in (
        (Integral, whole, 'a whole number'),
        (Real, fractions, 'a number'),
        (str, names, 'a name'),
        (bool, {'compare_hops': compare_hops}, 'true or false'),
    ):
        for name, value in values.items():
            left_out = value is None and name in _MAY_BE_LEFT_OUT
            if not left_out and (not isinstance(value, kind) or (kind is not bool and isinstance(value, bool))):
                raise ValueError(f'{name} is {what}, got {value!r}')


def _check(
    frame: pd.DataFrame,
    method: str,
    group_by: str | None,
    seed: int,
    strata: int,
    n_folds: int | None,
    validation_fraction: float,
) -> None:
    if method not in METHODS:
        raise ValueError(f'there is no method {method!r} to split a dataset: choose from {", ".join(METHODS)}')
    if (method == 'column') != (group_by is not None):
        raise ValueError('the method `column` and the name of a column in group_by (--column) go together')
    if len(frame) < 2:
        raise ValueError(f'a dataset of {len(frame)} row(s) cannot be split: two are needed')
    repeated = frame['name'][frame['name'].duplicated()]
    if len(repeated):
        raise ValueError(f'the name {repeated.iloc[0]!r} is there more than once: names of rows are unique')
    if seed < 0:
        raise ValueError(f'a seed is a number from 0, got {seed}')
    if strata < 1 or strata > len(frame):
        raise ValueError(f'the target has 1 to {len(frame)} quantiles in this dataset, got {strata}')
    if strata > 1 and method in {'published', 'source'}:
        raise ValueError(f'the method {method!r} says itself what is drawn from: leave strata at 1')
    if n_folds is not None and (validation_fraction or method in {'published', 'source'}):
        raise ValueError('folds take the place of a validation part, and go with random or grouped methods only')
    if not 0 <= validation_fraction < 1:
        raise ValueError(f'the share of rows that validate lies between 0 and 1, got {validation_fraction}')


def _n_test(n_rows: int, method: str, fraction: float | None, number: int | None, n_folds: int | None) -> int | None:
    """Return how many rows test; None where the dataset says so itself."""
    if fraction is not None and number is not None:
        raise ValueError('give either the share of rows that test or their number, not both')
    if method == 'source':
        if fraction is not None or number is not None:
            raise ValueError('the method `source` takes the test rows of the dataset: give no number of them')
        return None
    if fraction is not None and not 0 <= fraction < 1:
        raise ValueError(f'the share of rows that test lies between 0 and 1, got {fraction}')
    if fraction is None:
        fraction = 0.0 if n_folds is not None else PUBLISHED_FRACTION if method == 'published' else TEST_FRACTION
    found = _share(fraction, n_rows, 'test') if number is None else number
    if not 0 <= found < n_rows:
        raise ValueError(f'of {n_rows} rows 0 to {n_rows - 1} can test, got {found}')
    return found


def _share(fraction: float, n_rows: int, part: str) -> int:
    """Return how many rows a share of them is.

    :raises ValueError: where rounding leaves nothing of it.
    """
    found = round(fraction * n_rows)
    if fraction and not found:
        raise ValueError(f'{fraction:g} of {n_rows} rows is less than one {part} row: ask for a larger share')
    return found


def _groups(rows: pd.DataFrame, method: str, group_by: str | None) -> list[str]:
    if method in {'random', 'published', 'source'}:
        return rows['name'].tolist()
    return group_column(rows, group_by or str(METHODS[method])).tolist()


def _as_published(rows: pd.DataFrame, notes: list[str]) -> list[str]:
    found = group_column(rows, 'published_split').str.strip().str.lower()
    known = {'train': 'train', 'training': 'train', 'val': 'validation', 'valid': 'validation', 'test': 'test'}
    known['validation'] = 'validation'
    unknown = sorted(set(found) - set(known))
    if unknown:
        raise ValueError(f'published_split says {unknown[0]!r}: train, validation and test are understood')
    if not (found == 'test').any():
        notes.append('no row of this dataset tests: its source keeps the test rows elsewhere')
    return [known[part] for part in found]


def _with_validation(rows: pd.DataFrame, parts: list[str], fraction: float, seed: int) -> list[str]:
    """Return the parts of a source with rows that validate drawn from those that train."""
    if 'validation' in parts:
        raise ValueError('the dataset says itself which rows validate: leave out the share of them')
    training = [number for number, part in enumerate(parts) if part == 'train']
    wanted = _share(fraction, len(rows), 'validation')
    if wanted >= len(training):
        raise ValueError(f'{wanted} rows to validate leave none of {len(training)} to train: ask for fewer')
    strata = _quantiles(rows, 1)
    pool = Rows(rows['name'].tolist(), strata)
    drawn = set(draw(pool, training, _quotas(strata, training, wanted), (seed, _VALIDATION)))
    return ['validation' if number in drawn else part for number, part in enumerate(parts)]


def _drawn(
    rows: pd.DataFrame, groups: list[str], parameters: Mapping[str, Any], notes: list[str]
) -> tuple[list[str], dict[int, int]]:
    published = parameters['method'] == 'published'
    strata = _structural(rows) if published else _quantiles(rows, parameters['strata'])
    pool = Rows(groups, strata)
    everything = list(range(len(rows)))
    seed, n_test = parameters['seed'], parameters['n_test']
    quotas = _published_quotas(strata, n_test) if published else _quotas(strata, everything, n_test)
    testing = draw(pool, everything, quotas, (seed, _TEST), fill=not published)
    rest = sorted(set(everything) - set(testing))
    n_validation = _share(parameters['validation_fraction'], len(rows), 'validation')
    if n_validation >= len(rest):
        raise ValueError(f'{n_validation} rows to validate leave none of {len(rest)} to train: ask for fewer')
    validating = draw(pool, rest, _quotas(strata, rest, n_validation), (seed, _VALIDATION))
    for part, number, found in (('test', n_test, testing), ('validation', n_validation, validating)):
        if number and not found:
            raise ValueError(f'no group fits into {number} {part} row(s): ask for more, or choose smaller groups')
        if len(found) < number:
            notes.append(f'{len(found)} {part} rows instead of {number}: no further group fits')
    rest = sorted(set(rest) - set(validating))
    folds = {} if parameters['n_folds'] is None else make_folds(pool, rest, parameters['n_folds'], (seed, _FOLDS))
    of_row = {**dict.fromkeys(testing, 'test'), **dict.fromkeys(validating, 'validation')}
    return [of_row.get(number, 'train') for number in everything], folds


def _quotas(strata: np.ndarray, numbers: Sequence[int], total: int) -> dict[int, int]:
    return largest_remainders(total, dict(enumerate(np.bincount(strata[list(numbers)]).tolist())))


def _structural(rows: pd.DataFrame) -> np.ndarray:
    return np.unique(group_column(rows, 'structural_group'), return_inverse=True)[1]


def _published_quotas(strata: np.ndarray, n_test: int) -> dict[int, int]:
    """Return how many test rows each structural group gives by the published rule."""
    sizes = dict(enumerate(np.bincount(strata).tolist()))
    one = {group for group, size in sizes.items() if 0.01 <= size / len(strata) <= 0.02}
    large = {group: size for group, size in sizes.items() if size / len(strata) > 0.02}
    if n_test < len(one) or (n_test > len(one) and not large):
        raise ValueError(
            f'the published rule takes one test row of each of {len(one)} structural group(s) with 1 to 2 % of the '
            f'rows, and the rest from {len(large)} larger one(s): {n_test} test rows cannot be met'
        )
    return {**dict.fromkeys(one, 1), **largest_remainders(n_test - len(one), large)}


def _quantiles(rows: pd.DataFrame, strata: int) -> np.ndarray:
    """Return the quantile of the target that each row falls into; equal targets in the order of names."""
    if strata == 1:
        return np.zeros(len(rows), dtype=int)
    target = rows[_target(rows)].to_numpy(dtype=float)
    if not np.isfinite(target).all():
        raise ValueError(f'{rows["name"][~np.isfinite(target)].iloc[0]!r} has no target: quantiles need all of them')
    ranks = np.argsort(np.argsort(target, kind='stable'), kind='stable')
    return ranks * strata // len(rows)


def _target(rows: pd.DataFrame) -> str:
    return 'barrier' if 'barrier' in rows else 'target'


def _counts(rows: pd.DataFrame, table: pd.DataFrame, groups: list[str]) -> dict[str, dict[str, Any]]:
    """Return the size of each part, and how its target is distributed."""
    labels = pd.Series(groups)
    found = {}
    which = {part: table['part'] == part for part in LEARNED_PARTS}
    for fold in sorted(table['fold'].dropna().unique()):
        which[f'fold {fold}'] = (table['fold'] == fold).fillna(False).astype(bool)
    for part, inside in which.items():
        if inside.any():
            target = rows[_target(rows)][inside] if _target(rows) in rows else pd.Series(dtype=float)
            found[part] = {
                'n_rows': int(inside.sum()),
                'n_groups': int(labels[inside].nunique()),
                'target_mean': float(target.mean()) if len(target) else None,
                'target_median': float(target.median()) if len(target) else None,
            }
    return found
