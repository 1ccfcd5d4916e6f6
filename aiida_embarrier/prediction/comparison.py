"""What models come to in a validation: intervals and scores of their predictions, side by side in one table."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from aiida_embarrier.datasets.leakage import leakage
from aiida_embarrier.jobs.prediction import BarrierScore, Estimate
from aiida_embarrier.prediction.intervals import ConformalIntervals, cross_intervals
from aiida_embarrier.prediction.scores import METRICS, interval_scores, scores

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiida_embarrier.prediction.base import Rows
    from aiida_embarrier.prediction.validation import Fold

__all__ = (
    'COLUMNS',
    'calibrated',
    'comparison_table',
    'coverage_of_seeds',
    'difficulty_of',
    'fold_table',
    'scores_of',
    'shared_rows',
    'with_intervals',
)

#: Columns of predictions, see :data:`~aiida_embarrier.jobs.prediction.BARRIERS_FILE`.
COLUMNS = (
    'model',
    'validation',
    'seed',
    'fold',
    'name',
    'barrier',
    'prediction',
    'difficulty',
    'lower',
    'upper',
    'flags',
    'barrier_definition',
)

#: Validations by which intervals are calibrated, the most honest first.
_PREFERRED = ('family_group', 'framework_group', 'host_group', 'chemsys_group', 'random')

#: Numbers of the comparison beside the metrics: of networks, and of intervals.
_OF_FITS = ('n_parameters', 'n_training', 'epochs')
_OF_INTERVALS = ('coverage', 'median_width_eV')


def fold_table(
    rows: Rows,
    judged: np.ndarray,
    predictions: np.ndarray,
    difficulty: np.ndarray | None,
    flags: Sequence[Sequence[str]],
) -> pd.DataFrame:
    """Return what a model says of the rows of one fold.

    :param judged: numbers of the rows.
    :param predictions: in eV, shape (n_judged,).
    :param difficulty: shape (n_judged,) or (n_judged, k); None where the model tells none.
    :param flags: of each row.
    :returns: `name`, `barrier`, `prediction`, `difficulty` (JSON list) and `flags` (JSON list).
    """
    hard = np.empty((len(judged), 0)) if difficulty is None else np.reshape(difficulty, (len(judged), -1))
    return pd.DataFrame(
        {
            'name': pd.Series([rows.paths[number].name for number in judged], dtype='str'),
            'barrier': rows.known()[judged],
            'prediction': predictions,
            'difficulty': pd.Series([json.dumps(some) for some in hard.tolist()], dtype='str'),
            'flags': pd.Series([json.dumps(list(some)) for some in flags], dtype='str'),
        }
    )


def with_intervals(predictions: pd.DataFrame, rows: Rows, coverage: float) -> tuple[pd.DataFrame, list[str]]:
    """Return predictions with `lower` and `upper`, in eV: those of each fold are calibrated on the other folds.

    Rows of a split have none: nothing is left to calibrate on.

    :param predictions: of one or several models in one or several validations.
    :param rows: all rows, for the labels of their groups.
    :param coverage: of the intervals.
    :returns: the predictions, and why some have no intervals.
    """
    found = predictions.assign(lower=np.nan, upper=np.nan)
    notes: list[str] = []
    for (model, validation, _), part in found.groupby(['model', 'validation', 'seed'], sort=False):
        if part['fold'].nunique() < 2:
            continue
        try:
            lower, upper = cross_intervals(
                part['barrier'],
                part['prediction'],
                part['fold'],
                difficulty_of(part),
                _groups(part['name'], rows, str(validation)),
                coverage=coverage,
            )
        except ValueError as error:
            notes.append(f'{model} has no intervals in the validation {validation}: {error}')
            continue
        found.loc[part.index, 'lower'], found.loc[part.index, 'upper'] = lower, upper
    return found, list(dict.fromkeys(notes))


def calibrated(
    predictions: pd.DataFrame, rows: Rows, model: str, coverage: float
) -> tuple[ConformalIntervals | None, str | None]:
    """Return intervals for new rows, by the most honest validation of a model: that which leaves out whole families.

    :param predictions: of all validations.
    :param model: its label.
    :returns: intervals, and the validation; None where the model was not validated in folds.
    :raises ValueError: where the validation has too few groups for the coverage.
    """
    own = predictions[predictions['model'] == model]
    how = next((name for name in _PREFERRED if (own['validation'] == name).any()), None)
    if how is None:
        return None, None
    some = own[own['validation'] == how]
    groups = _groups(some['name'], rows, how)
    intervals = ConformalIntervals.fit(
        some['barrier'],
        some['prediction'],
        difficulty_of(some),
        some['name'].to_numpy() if groups is None else groups,
    )
    if coverage > intervals.most_coverage:
        raise ValueError(
            f'a coverage of {coverage:g} takes more groups than the validation {how} has: the highest is '
            f'{max(0.0, intervals.most_coverage):.3f}'
        )
    return intervals, how


def _groups(names: pd.Series, rows: Rows, how: str) -> np.ndarray | None:
    """Return the groups that a validation keeps together, of rows by their names; None where it keeps none."""
    if how not in rows.labels:
        return None
    labels = dict(zip((path.name for path in rows.paths), rows.labels[how], strict=True))
    return np.array([str(labels[name]) for name in names])


def difficulty_of(part: pd.DataFrame) -> np.ndarray | None:
    """Return how hard rows are, shape (n_rows, k), as their predictions say it; None where they do not."""
    found = np.array([json.loads(text) for text in part['difficulty']], dtype=float)
    return found if found.shape[1] else None


def scores_of(predictions: pd.DataFrame, n_resamples: int) -> list[BarrierScore]:
    """Return how each model did in each validation, all seeds together.

    Intervals of errors are those of the bootstrap over rows; `..._of_seeds` has the t interval over seeds.

    :param predictions: with the columns :data:`COLUMNS`.
    """
    found = []
    for (model, validation), part in predictions.groupby(['model', 'validation'], sort=False):
        seeds = sorted(int(seed) for seed in part['seed'].unique())
        table = part.pivot(index='name', columns='seed', values='prediction')[seeds]
        barriers = part.drop_duplicates('name').set_index('name')['barrier'].loc[table.index]
        agreement = scores(barriers.to_numpy(), table.to_numpy().T, n_resamples=n_resamples)
        values = {name: agreement.metrics[name] for name in METRICS}
        values |= {f'{name}_of_seeds': estimate for name, estimate in agreement.seeds.items()}
        inside = part.dropna(subset=['lower', 'upper'])
        if len(inside):
            held = coverage_of_seeds(inside)
            values['coverage'] = Estimate(
                value=held['coverage'], low=held['coverage_lower'], high=held['coverage_upper']
            )
            values['median_width_eV'] = Estimate(value=held['median_width_eV'])
        n_folds = int(part['fold'].nunique())
        found.append(
            BarrierScore(
                model=str(model),
                validation=str(validation),
                n=len(table),
                folds=n_folds if n_folds > 1 else None,
                seeds=seeds,
                values=values,
            )
        )
    return found


def coverage_of_seeds(predictions: pd.DataFrame) -> dict[str, Any]:
    """Return what the intervals of all seeds together hold.

    Rows count once, however often they were predicted: the interval of the coverage is as wide as that of one seed, and
    numbers of rows are means over seeds.

    :param predictions: of one model in one validation: `seed`, and `barrier`, `lower` and `upper` in eV.
    :return: see :func:`~aiida_embarrier.prediction.scores.interval_scores`.
    """
    first = predictions[predictions['seed'] == predictions['seed'].min()]
    held, one = (
        interval_scores(*(part[name] for name in ('barrier', 'lower', 'upper'))) for part in (predictions, first)
    )
    moved, n_seeds = held['coverage'] - one['coverage'], predictions['seed'].nunique()
    return {
        **held,
        'n': one['n'],
        'coverage_lower': max(0.0, one['coverage_lower'] + moved),
        'coverage_upper': min(1.0, one['coverage_upper'] + moved),
        **{name: held[name] / n_seeds for name in ('n_below', 'n_above')},
    }


def comparison_table(
    found: Sequence[BarrierScore], learned: Mapping[str, Sequence[Mapping[str, Any]]] = MappingProxyType({})
) -> pd.DataFrame:
    """Return a row for each model and validation: numbers, and the ends of their 95 % confidence intervals.

    :param learned: what models say of their fits, see :class:`~aiida_embarrier.jobs.prediction.BarrierModelResult`; the
        most `n_parameters`, `n_training` and `epochs` of a model in a validation are in its row.
    """
    rows = []
    for score in found:
        row: dict[str, Any] = {
            'model': score.model,
            'validation': score.validation,
            'n': score.n,
            'folds': score.folds,
            'n_seeds': len(score.seeds),
        }
        fits = [fit for fit in learned.get(score.model, ()) if fit['validation'] == score.validation]
        row |= {name: max((fit[name] for fit in fits if name in fit), default=None) for name in _OF_FITS}
        for name in (*METRICS, *_OF_INTERVALS):
            estimate = score.values.get(name) or Estimate(value=None)
            row |= {name: estimate.value, f'{name}_low': estimate.low, f'{name}_high': estimate.high}
        seeds = score.values.get('mae_eV_of_seeds') or Estimate(value=None)
        row |= {'mae_eV_of_seeds_low': seeds.low, 'mae_eV_of_seeds_high': seeds.high}
        rows.append(row)
    integers = dict.fromkeys(('folds', *_OF_FITS), 'Int64')
    table = pd.DataFrame(rows).astype({'model': 'str', 'validation': 'str', **integers})
    whole = {'model', 'validation', 'n', 'n_seeds', *integers}
    return table.astype({name: 'float64' for name in table.columns if name not in whole})


def shared_rows(frame: pd.DataFrame, rows: Rows, folds: Sequence[Fold]) -> dict[str, dict[str, float]]:
    """Return what the rows that are predicted share with those that are learned from, by validation.

    :param frame: the dataset that the rows are of.
    :param folds: of one validation, with one seed.
    :returns: `shares_...`: share of the predicted rows for each criterion, and `scenario_A` to `scenario_C`: numbers of
        rows, see :func:`~aiida_embarrier.datasets.leakage.leakage`.
    """
    names = np.array([path.name for path in rows.paths])
    found: dict[str, list[pd.DataFrame]] = {}
    for fold in folds:
        parts = np.repeat(['train', 'test'], [len(fold.training), len(fold.judged)])
        chosen = names[np.concatenate([fold.training, fold.judged])]
        table = pd.DataFrame({'name': chosen, 'part': parts, 'fold': pd.array([pd.NA] * len(chosen), dtype='Int64')})
        report = leakage(frame[frame['name'].isin(chosen)], table, compare_hops=False)
        found.setdefault(fold.validation, []).append(report.table)
    return {validation: _shares(pd.concat(tables, ignore_index=True)) for validation, tables in found.items()}


def _shares(table: pd.DataFrame) -> dict[str, float]:
    scenarios = table['scenario'].value_counts().sort_index()
    return {
        **{name: float(table[name].mean()) for name in table.columns if name.startswith('shares_')},
        **{f'scenario_{name}': int(n) for name, n in scenarios.items()},
    }
