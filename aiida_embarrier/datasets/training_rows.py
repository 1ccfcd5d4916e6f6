"""Splits of datasets of properties for training, pre-training and tests, with nothing of the tests in what is learned.

A split says of every row whether it trains (`train`), validates (`validation`), tests (`test`), is left out because it
holds the crystal of a test row (`excluded`), or is not used (`unused`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from aiida_embarrier.datasets.drawing import random_order
from aiida_embarrier.datasets.overlap import joined, rows_that_test, without
from aiida_embarrier.datasets.published_samples import published_sample
from aiida_embarrier.datasets.sampling import draw_sample

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ('TrainingRows', 'pretraining_rows', 'published_rows', 'sampled_rows', 'tag_of')


@dataclass(frozen=True)
class TrainingRows:
    """Which rows of a dataset train, validate and test.

    :param table: `name` and `part` of every row, in the order of names.
    :param report: parameters, `parts` (number of rows of each), `excluded` (names of rows left out, by what they are
        in a test of), `notes`.
    """

    table: pd.DataFrame
    report: dict[str, Any]


def published_rows(frame: pd.DataFrame, samples: bytes, trial: int, size: int, tag: str | None = None) -> TrainingRows:
    """Return a published trial: which rows trained, validated and tested, as they were published.

    Rows that hold the crystal of a test row are told in the report and left where they were.

    :param frame: rows with the names that they get when they are imported.
    :param samples: content of `splits.json.gz`.
    :param trial: from 1 to 5.
    :param size: of the sample.
    :param tag: of the dataset in that file; None for the beginning of the names of its rows.
    :raises ValueError: for trials that were not published, and where rows to train are missing.
    """
    names = frame['name'].astype('str')
    found = published_sample(samples, tag or tag_of(names), trial, size, available=names.tolist())
    notes = found.notes
    if found.parts['test']:
        learned = frame[names.isin([*found.parts['train'], *found.parts['validation']])]
        shared = without(learned, {'test': frame[names.isin(found.parts['test'])]})['test']
        if shared:
            notes.append(
                f'{len(shared)} row(s) that train or validate hold the crystal of a test row, {shared[0]} the first '
                'of them; they are left where they were published'
            )
    parameters = {'method': 'published', 'dataset': found.dataset, 'trial': trial, 'size': size}
    return _rows(found.table(names), parameters, {}, notes)


def tag_of(names: pd.Series) -> str:
    """Return which of the published datasets rows are from, by the beginning of their names.

    :raises ValueError: where that does not tell.
    """
    tags = names.str.rpartition('-')[0].unique()
    if len(tags) != 1 or not tags[0]:
        raise ValueError(
            'which of the published datasets this is cannot be told from the names of its rows: say it with `dataset`'
        )
    return str(tags[0])


def sampled_rows(
    frame: pd.DataFrame,
    size: int | None = None,
    method: str = 'random',
    *,
    seed: int = 0,
    validation_fraction: float = 0.1,
    test_published: bool = True,
    test_fraction: float = 0.1,
    test_seed: int = 0,
    exclude: Mapping[str, pd.DataFrame] | None = None,
) -> TrainingRows:
    """Draw rows that train from what does not test, without rows that hold the crystal of a test row.

    :param frame: rows of properties.
    :param size: rows that train or validate; None for all.
    :param method: see :data:`~aiida_embarrier.datasets.sampling.METHODS`.
    :param seed: of the sample.
    :param validation_fraction: share of the sample that validates.
    :param test_published: whether the rows test that `published_split` calls so, where there are any.
    :param test_fraction: share of the rows that tests otherwise; 0 for none.
    :param test_seed: of the test rows that are drawn.
    :param exclude: further test rows, of other datasets, by what they are called.
    :raises ValueError: for a sample larger than what is left, and settings that make no sense.
    """
    if 'target' not in frame:
        raise ValueError('models learn properties: a dataset with the column `target` is needed')
    for name, value in (('size', size), ('seed', seed), ('test_seed', test_seed)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            raise ValueError(f'{name} is a whole number, got {value!r}')
    testing = _testing(frame, test_published, test_fraction, test_seed)
    tests = {**({'own test': testing} if len(testing) else {}), **(exclude or {})}
    pool = frame[~frame['name'].isin(testing['name'])]
    excluded = without(pool, tests)
    left = pool[~pool['name'].isin({name for names in excluded.values() for name in names})]
    if size is not None and size > len(left):
        raise ValueError(
            f'a sample of {size} rows cannot be drawn from a pool of {len(left)}: of {len(frame)} rows {len(testing)} '
            f'test, and {len(pool) - len(left)} hold the crystal of a test row; ask for at most {len(left)}'
        )
    sample = draw_sample(
        left, len(left) if size is None else size, method, seed=seed, validation_fraction=validation_fraction
    )
    part_of = dict.fromkeys(pool['name'], 'excluded') | dict.fromkeys(left['name'], 'unused')
    part_of |= dict.fromkeys(sample.train, 'train') | dict.fromkeys(sample.validation, 'validation')
    names = sorted(map(str, frame['name']))
    table = pd.DataFrame({'name': names, 'part': [part_of.get(name, 'test') for name in names]}, dtype='str')
    parameters = {**sample.report, 'test_seed': test_seed}
    return _rows(table, parameters, {label: some for label, some in excluded.items() if some}, [])


def _testing(frame: pd.DataFrame, published: bool, fraction: float, seed: int) -> pd.DataFrame:
    if published and (joined({'': frame})['part'] == 'test').any():
        return rows_that_test(frame)
    if isinstance(fraction, bool) or not isinstance(fraction, int | float) or not 0 <= fraction < 1:
        raise ValueError(f'the share of rows that test lies between 0 and 1, got {fraction!r}')
    number = round(fraction * len(frame))
    if fraction and not number:
        raise ValueError(f'{fraction:g} of {len(frame)} rows is less than one test row: ask for a larger share')
    rows = frame.sort_values('name', ignore_index=True)
    return rows.iloc[random_order(len(rows), (seed, 3))[:number]]


def pretraining_rows(
    frame: pd.DataFrame, tests: Mapping[str, pd.DataFrame], size: int | None = None, **settings: Any
) -> TrainingRows:
    """Draw rows to pre-train on, without the crystals of any test row of any target, by structure.

    :param frame: rows of the source.
    :param tests: test rows of the targets, by what they are called.
    :param size: rows that train or validate; None for all that are left.
    :param settings: as :func:`sampled_rows` takes them; own test rows only where the dataset publishes them, unless
        `test_fraction` says otherwise.
    :raises ValueError: for a sample larger than what is left, and settings that make no sense.
    """
    return sampled_rows(frame, size, exclude=tests, **{'test_fraction': 0.0, **settings})


def _rows(
    table: pd.DataFrame, parameters: Mapping[str, Any], excluded: Mapping[str, list[str]], notes: list[str]
) -> TrainingRows:
    parts = {str(part): int(number) for part, number in table['part'].value_counts().sort_index().items()}
    report = {
        **parameters,
        'n_rows': len(table),
        'parts': parts,
        'n_excluded': {label: len(some) for label, some in excluded.items()},
        'excluded': dict(excluded),
        'notes': notes,
    }
    return TrainingRows(table, report)
