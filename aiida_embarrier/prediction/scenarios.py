"""What predictions generalise over, and what their rows shared with those that were learned from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from aiida_embarrier.datasets.leakage import leakage_of_each
from aiida_embarrier.jobs.barrier_analysis import EVALUATED
from aiida_embarrier.prediction.validation import LEARNED_FOR

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ('kinship', 'leakage_summary')


def kinship(
    predictions: pd.DataFrame, frame: pd.DataFrame, split: pd.DataFrame | None = None, *, compare_hops: bool = True
) -> pd.DataFrame:
    """Return the scenario of each predicted row, and what it shares with the rows that were learned from.

    The rule of the scenarios A (another path), B (another composition) and C (another chemistry) is that of
    :func:`~aiida_embarrier.datasets.leakage.leakage`. All models of a validation have seen the same rows.

    :param predictions: `validation`, `seed`, `fold` and `name`. Rows of one fold were predicted by a model of the other
        folds; where a validation has a single fold or none, by one of the rows of the parts of `split` that it learns
        from. Rows of the validation :data:`~aiida_embarrier.jobs.barrier_analysis.EVALUATED` are left out.
    :param frame: the dataset, with all rows that were learned from.
    :param split: `name` and `part` of its rows; None where all rows with a barrier were learned from or predicted.
    :param compare_hops: whether to look for equivalent hops, which takes 2 ms for each row.
    :return: `validation`, `seed`, `name`, `scenario`, a truth value `shares_...` for each criterion, and `nearest`.
    :raises ValueError: for predictions of rows that the dataset has not.
    """
    splits = list(_splits(predictions[predictions['validation'] != EVALUATED], frame, split))
    if not splits:
        return pd.DataFrame(columns=['validation', 'seed', 'name', 'scenario']).astype({'seed': 'int64'})
    reports = leakage_of_each(frame, [parts for *_, parts in splits], compare_hops=compare_hops)
    found = [
        report.table.assign(validation=validation, seed=seed)
        for report, (validation, seed, _) in zip(reports, splits, strict=True)
    ]
    table = pd.concat(found, ignore_index=True).drop(columns='part')
    first = ['validation', 'seed', 'name', 'scenario']
    return table[[*first, *(name for name in table if name not in first)]]


def _splits(
    predictions: pd.DataFrame, frame: pd.DataFrame, split: pd.DataFrame | None
) -> Iterator[tuple[str, int, pd.DataFrame]]:
    """Yield each validation and seed with its parts, as :func:`leakage` reads them."""
    rows = predictions.drop_duplicates(['validation', 'seed', 'name'])
    for (validation, seed), part in rows.groupby(['validation', 'seed'], sort=False):
        if part['fold'].nunique() > 1:
            parts = part[['name', 'fold']].assign(part='train').astype({'fold': 'Int64'})
        else:
            unknown = set(part['name']) - set(frame['name'])
            if unknown:
                raise ValueError(f'{min(unknown)!r} was predicted and is no row of the dataset: give its own dataset')
            judged = part['name'].astype(str).tolist()
            learned = sorted(_learned_for(str(validation), rows, frame, split) - set(judged))
            parts = pd.DataFrame({'name': judged + learned, 'part': ['test'] * len(judged) + ['train'] * len(learned)})
            parts['fold'] = pd.array([None] * len(parts), 'Int64')
        yield str(validation), int(seed), parts


def _learned_for(
    validation: str, predictions: pd.DataFrame, frame: pd.DataFrame, split: pd.DataFrame | None
) -> set[str]:
    """Return the names of the rows that the model of a validation without folds learned from.

    Without a split these are all rows with a barrier that are not predicted as `test`, which no model learns from.
    """
    names = set(frame['name'][frame['barrier'].notna()].astype(str))
    if split is None:
        return names - set(predictions['name'][predictions['validation'] == 'test'].astype(str))
    parts = LEARNED_FOR.get(validation, LEARNED_FOR['test'])
    return names & set(split['name'][split['part'].isin(parts)].astype(str))


def leakage_summary(table: pd.DataFrame) -> pd.DataFrame:
    """Return how many rows of each validation shared something with those that were learned from.

    :param table: as :func:`kinship` makes it.
    :return: `validation`, `criterion` (`any` for any at all), `n_rows` that were predicted, each counted once, and
        `fraction` of their predictions in all seeds.
    """
    shares = [name for name in table if name.startswith('shares_')]
    rows = []
    for validation, part in table.groupby('validation', sort=False):
        fractions = part[shares].mean().rename(lambda name: str(name).removeprefix('shares_')).to_dict()
        fractions['any'] = part[shares].any(axis=1).mean()
        n_rows = part['name'].nunique()
        rows += [(str(validation), key, n_rows, float(fraction)) for key, fraction in fractions.items()]
    found = pd.DataFrame(rows, columns=['validation', 'criterion', 'n_rows', 'fraction'])
    return found.astype({'validation': 'str', 'criterion': 'str', 'n_rows': 'int64', 'fraction': 'float64'})
