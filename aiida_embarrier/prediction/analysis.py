"""Tables of what models predict well and what not: by ion, structure and barrier, by what is new, and within crystals.

Predictions of all seeds count. Tables of errors say how many rows there are and count each once; buckets, directions
and classification count predictions, so a row as often as it has seeds.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from aiida_embarrier.datasets.leakage import group_column
from aiida_embarrier.datasets.schema import GROUPS, flags_of
from aiida_embarrier.figures.barrier_tables import LABELS, TABLES
from aiida_embarrier.prediction.comparison import comparison_table, coverage_of_seeds, difficulty_of, scores_of
from aiida_embarrier.prediction.discrimination import discrimination, discrimination_of_hosts
from aiida_embarrier.prediction.intervals import COVERAGES, cross_ends
from aiida_embarrier.prediction.scenarios import kinship, leakage_summary
from aiida_embarrier.prediction.scores import (
    BUCKETS,
    N_RESAMPLES,
    THRESHOLDS,
    buckets,
    classification,
    directions,
    mean_over_rows,
    paired_difference,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ('RANGES', 'analyse', 'coverages', 'differences', 'errors_by', 'with_labels')

#: Limits in eV of ranges of known barriers: very mobile, mobile, slow, and two kinds of immobile.
RANGES = (0.25, 0.5, 1.0, 2.0)
#: Rows of each model and validation among the largest errors.
_LARGEST = 20

_KEYS = ['model', 'validation']
#: What is counted once for each seed is not called rows.
_COUNTED = {'n': 'n_predictions'}
_NEEDED = (*_KEYS, 'seed', 'fold', 'name', 'barrier', 'prediction')


def analyse(
    predictions: pd.DataFrame,
    frame: pd.DataFrame,
    split: pd.DataFrame | None = None,
    *,
    n_resamples: int = N_RESAMPLES,
    limits: Sequence[float] = BUCKETS,
    thresholds: Sequence[float] = THRESHOLDS,
    ranges: Sequence[float] = RANGES,
    compare_hops: bool = True,
) -> dict[str, pd.DataFrame]:
    """Return all tables of :data:`~aiida_embarrier.figures.barrier_tables.TABLES` that have rows.

    :param predictions: a row per model, validation, seed and row: `model`, `validation`, `seed`, `fold`, `name`,
        `barrier` and `prediction` in eV, and, where there are any, `difficulty`, `lower`, `upper` and `flags`, as
        :data:`~aiida_embarrier.jobs.prediction.BARRIERS_FILE` has them.
    :param frame: the dataset, with the rows that were learned from and those that were predicted.
    :param split: `name` and `part` of its rows, where models were fitted by one.
    :param n_resamples: of the bootstrap.
    :param limits: of the buckets of absolute errors, in eV.
    :param thresholds: of the classification, in eV.
    :param ranges: limits of the ranges of known barriers, in eV.
    :param compare_hops: whether equivalent hops are sought for the report of what leaks.
    :raises ValueError: for no predictions, columns that are missing, and rows that the dataset has not.
    """
    missing = [name for name in _NEEDED if name not in predictions]
    if missing or predictions.empty:
        raise ValueError(
            f'predictions without {missing[0]!r} cannot be analysed: they need the columns {", ".join(_NEEDED)}'
            if missing
            else 'there are no predictions to analyse'
        )
    own = predictions.reset_index(drop=True)
    own = own.assign(**{name: np.nan for name in ('lower', 'upper') if name not in own}, error=0.0)
    own['error'] = own['prediction'] - own['barrier']
    related = kinship(own, frame, split, compare_hops=compare_hops)
    hosts = discrimination_of_hosts(own, frame)
    labelled = with_labels(own, frame, ranges).merge(
        related[['validation', 'seed', 'name', 'scenario']], on=['validation', 'seed', 'name'], how='left'
    )
    found = {
        'comparison': comparison_table(scores_of(own, n_resamples)),
        'differences': differences(own, n_resamples),
        'buckets': _each(own, lambda part: buckets(part['error'], limits)).rename(columns=_COUNTED),
        'directions': _each(own, lambda part: _directions(part, limits[-1])).rename(columns=_COUNTED),
        'classification': _each(
            own, lambda part: [classification(part['barrier'], part['prediction'], one) for one in thresholds]
        ),
        **{
            f'by_{name}': errors_by(labelled, name, n_resamples, limits)
            for name in (*LABELS, 'scenario')
            if name in labelled
        },
        'by_flag': errors_by(_by_flag(own), 'flag', n_resamples, limits),
        'coverage': coverages(own, frame),
        'discrimination': discrimination(hosts),
        'hosts': _means_of_hosts(hosts),
        'leakage': leakage_summary(related),
        'largest_errors': _largest(labelled),
    }
    return {name: found[name] for name in TABLES if name in found and len(found[name])}


def with_labels(predictions: pd.DataFrame, frame: pd.DataFrame, ranges: Sequence[float] = RANGES) -> pd.DataFrame:
    """Return predictions with the columns of the dataset by which errors are shown, and the range of their barriers.

    :param ranges: limits in eV; a barrier at a limit lies above it.
    """
    names = [name for name in LABELS if name in frame and frame[name].notna().any()]
    labels = frame[['name', *names]]
    if 'structural_group' not in names and 'structural_class' in frame:
        labels = labels.assign(structural_group=group_column(frame, 'structural_group'))
    places = np.searchsorted(np.asarray(ranges, dtype=float), predictions['barrier'], side='right')
    texts = [f'below {ranges[0]:g} eV', *(f'{low:g} to {high:g} eV' for low, high in pairwise(ranges))]
    texts.append(f'{ranges[-1]:g} eV and more')
    labelled = predictions.merge(labels, on='name', how='left', validate='many_to_one')
    return labelled.assign(barrier_range=pd.Categorical([texts[place] for place in places], texts, ordered=True))


def errors_by(
    predictions: pd.DataFrame, label: str, n_resamples: int = N_RESAMPLES, limits: Sequence[float] = BUCKETS
) -> pd.DataFrame:
    """Return the errors of each model and validation by a label; rows without one are left out.

    :param predictions: `model`, `validation`, `name`, `error`, `barrier`, `lower`, `upper` and the label.
    :param label: name of the column.
    :return: `model`, `validation`, the label, `n` (rows), `mae_eV` with the ends of its bootstrap interval over rows,
        `median_ae_eV`, `mean_error_eV`, `small`, the share of predictions within the first limit, `large`, that beyond
        the last one, `coverage` and `median_width_eV`. Labels are in their order, those of words by their numbers of
        rows.
    """
    known = predictions[predictions[label].notna()]
    counts = known.groupby(label, observed=True)['name'].nunique()
    if isinstance(known[label].dtype, pd.CategoricalDtype):
        order = list(counts.index)
    else:
        order = sorted(counts.index, key=lambda one: (-counts[one], one))
    rows = []
    for keys, all_of_model in known.groupby(_KEYS, sort=False):
        for value in order:
            part = all_of_model[all_of_model[label] == value]
            if part.empty:
                continue
            sizes = part['error'].abs()
            mae = mean_over_rows(sizes.groupby(part['name']).mean(), n_resamples=n_resamples)
            inside = part.dropna(subset=['lower', 'upper'])
            row = {**dict(zip(_KEYS, keys, strict=True)), label: str(value), 'n': part['name'].nunique()}
            row |= {'mae_eV': mae.value, 'mae_eV_low': mae.low, 'mae_eV_high': mae.high}
            row |= {'median_ae_eV': sizes.median(), 'mean_error_eV': part['error'].mean()}
            row |= {'small': (sizes <= limits[0]).mean(), 'large': (sizes > limits[-1]).mean()}
            row['coverage'] = inside['barrier'].between(inside['lower'], inside['upper']).mean()
            row['median_width_eV'] = (inside['upper'] - inside['lower']).median()
            rows.append(row)
    return pd.DataFrame(rows)


def differences(predictions: pd.DataFrame, n_resamples: int = N_RESAMPLES) -> pd.DataFrame:
    """Return by how much the errors of each model exceed those of the best one of each validation.

    :param predictions: `model`, `validation`, `seed`, `name`, `error`.
    :return: `model`, `validation`, `best` (the model with the lowest mean absolute error), `n` rows that both
        predicted, `mae_difference_eV` and the ends of its bootstrap interval; none for the best one itself.
    """
    sizes = predictions['error'].abs().groupby([predictions[name] for name in (*_KEYS, 'name')], sort=False).mean()
    rows = []
    for validation, part in sizes.groupby(level='validation', sort=False):
        table = part.droplevel('validation').unstack('model')
        best = str(table.mean().idxmin())
        for model in (name for name in table if name != best):
            both = table[[model, best]].dropna()
            one = paired_difference(both[model], both[best], n_resamples=n_resamples)
            ends = {'mae_difference_eV_low': one.low, 'mae_difference_eV_high': one.high}
            row = {'model': model, 'validation': validation, 'best': best, 'n': len(both)}
            rows.append({**row, 'mae_difference_eV': one.value, **ends})
    return pd.DataFrame(rows)


def coverages(predictions: pd.DataFrame, frame: pd.DataFrame, nominal: Sequence[float] = COVERAGES) -> pd.DataFrame:
    """Return what intervals of several coverages hold in each validation by folds, those of all seeds together.

    Rows that a validation keeps together are groups of the calibration.

    :param predictions: with `difficulty` where the models tell one.
    :param frame: the dataset, for the groups.
    :return: `model`, `validation`, `nominal`, and `n` rows, `coverage` with `coverage_lower` and `coverage_upper`,
        `coverage_of_groups` (mean over groups of the share of their rows), `n_below`, `n_above` and `median_width_eV`,
        see :func:`~aiida_embarrier.prediction.comparison.coverage_of_seeds`.
    """
    found = []
    for (model, validation, seed), part in predictions.groupby([*_KEYS, 'seed'], sort=False):
        if part['fold'].nunique() < 2:
            continue
        groups = None
        if validation in GROUPS:
            labels = pd.Series(group_column(frame, str(validation)).to_numpy(), index=frame['name'])
            groups = labels.loc[part['name']].to_numpy()
        difficulty = difficulty_of(part) if 'difficulty' in part else None
        ends = cross_ends(part['barrier'], part['prediction'], part['fold'], difficulty, groups, coverages=nominal)
        about = {'model': str(model), 'validation': str(validation), 'seed': seed, 'barrier': part['barrier']}
        about['group'] = part['name'] if groups is None else groups
        for one, (lower, upper) in ends.items():
            found.append(pd.DataFrame({**about, 'nominal': one, 'lower': lower, 'upper': upper}))
    if not found:
        return pd.DataFrame()
    rows = []
    for keys, part in pd.concat(found, ignore_index=True).groupby([*_KEYS, 'nominal'], sort=False):
        inside = part['barrier'].between(part['lower'], part['upper'])
        of_groups = inside.groupby([part['seed'], part['group']]).mean().groupby('seed').mean().mean()
        row = dict(zip([*_KEYS, 'nominal'], keys, strict=True)) | coverage_of_seeds(part)
        rows.append(row | {'coverage_of_groups': of_groups})
    columns = ['nominal', 'n', 'coverage', 'coverage_lower', 'coverage_upper', 'coverage_of_groups']
    return pd.DataFrame(rows, columns=[*_KEYS, *columns, 'n_below', 'n_above', 'median_width_eV'])


def _each(predictions: pd.DataFrame, make: Callable[[pd.DataFrame], Sequence[dict[str, Any]]]) -> pd.DataFrame:
    """Return the rows that are made of each model and validation."""
    rows: list[dict[str, Any]] = []
    for keys, part in predictions.groupby(_KEYS, sort=False):
        rows += [{**dict(zip(_KEYS, keys, strict=True)), **row} for row in make(part)]
    return pd.DataFrame(rows)


def _directions(part: pd.DataFrame, limit: float) -> list[dict[str, Any]]:
    return [{'direction': name, **row} for name, row in directions(part['error'], limit).items()]


def _by_flag(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return predictions once for each of their flags, `none` for those without."""
    if 'flags' not in predictions:
        return predictions.assign(flag=None)
    flags = [flags_of(row) or ['none'] for row in predictions[['flags']].to_dict('records')]
    return predictions.assign(flag=flags).explode('flag')


def _means_of_hosts(hosts: pd.DataFrame) -> pd.DataFrame:
    means = hosts.drop(columns='seed').groupby([*_KEYS, 'host', 'ion'], sort=False).mean().reset_index()
    return means.astype({'n_paths': 'int64', 'n_pairs': 'int64'})


def _largest(labelled: pd.DataFrame) -> pd.DataFrame:
    def parts() -> Iterator[pd.DataFrame]:
        labels = [name for name in ('ion', 'structural_group', 'functional', 'scenario') if name in labelled]
        for _, part in labelled.groupby(_KEYS, sort=False):
            means = part.groupby('name', sort=False)[['barrier', 'prediction', 'error', 'lower', 'upper']].mean()
            first = part.drop_duplicates('name').set_index('name')[[*_KEYS, *labels]]
            order = means['error'].abs().sort_values(ascending=False, kind='stable')
            yield first.join(means).loc[order.index[:_LARGEST]].reset_index()

    table = pd.concat(list(parts()), ignore_index=True)
    return table[[*_KEYS, *(name for name in table if name not in _KEYS)]]
