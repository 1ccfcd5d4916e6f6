"""How the predictions of one model agree with known barriers: what ``evaluate`` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from aiida_embarrier.prediction.scores import N_RESAMPLES, interval_scores, scores

if TYPE_CHECKING:
    import pandas as pd

__all__ = ('evaluation',)


def evaluation(
    table: pd.DataFrame, *, nominal_coverage: float | None = None, n_resamples: int = N_RESAMPLES, seed: int = 0
) -> dict[str, Any]:
    """Return how predictions agree with known barriers, and those of rows without flags by themselves.

    :param table: `name`, `barrier`, `prediction`, `lower`, `upper` (eV), `flags` (JSON list) and, where that is known,
        `in_training`; rows without a barrier or a prediction are not scored.
    :param nominal_coverage: that the intervals were made for; None where there are none.
    :param n_resamples: of the bootstrap over rows.
    :param seed: of the resamples.
    :return: `n`, `r2`, `mae_eV`, `rmse_eV`, `median_ae_eV`, `mean_error_eV` of all rows, flagged ones included;
        `intervals`, their 95 % bootstrap intervals by the same names; `buckets`, `directions`, `classification`;
        `coverage` of the prediction intervals with `coverage_interval`, `nominal_coverage`, `n_below`, `n_above` and
        `median_width_eV`; `n_flagged`; `unflagged`, the same of the other rows, None where there are none or no others;
        `n_in_training` and `unseen` likewise, of rows that the model learned from and of those that it did not.
    :raises ValueError: where no row can be scored.
    """
    known = np.isfinite(table['barrier'].to_numpy(float)) & np.isfinite(table['prediction'].to_numpy(float))
    scored = table[known]
    if scored.empty:
        raise ValueError('no row has both a known barrier and a prediction, so there is nothing to score')
    flagged = (scored['flags'] != '[]').to_numpy()
    found = _judged(scored, nominal_coverage, n_resamples, seed)
    seen = np.zeros(len(scored), dtype=bool)
    if 'in_training' in scored:
        seen = scored['in_training'].to_numpy(dtype=bool, na_value=False)
    for name, others, part in (('n_flagged', 'unflagged', flagged), ('n_in_training', 'unseen', seen)):
        some = 0 < part.sum() < len(scored)
        found[name] = int(part.sum())
        found[others] = _judged(scored[~part], nominal_coverage, n_resamples, seed) if some else None
    return found


def _judged(table: pd.DataFrame, nominal: float | None, n_resamples: int, seed: int) -> dict[str, Any]:
    barriers = table['barrier'].to_numpy(float)
    found = scores(barriers, table['prediction'].to_numpy(float), n_resamples=n_resamples, seed=seed).to_dict()
    found.pop('n_seeds')
    coverage: dict[str, Any] = dict.fromkeys(
        ('nominal_coverage', 'coverage', 'coverage_interval', 'n_below', 'n_above', 'median_width_eV')
    )
    if nominal is not None and table[['lower', 'upper']].notna().all(axis=None):
        of_intervals = interval_scores(barriers, table['lower'].to_numpy(float), table['upper'].to_numpy(float))
        coverage['nominal_coverage'] = nominal
        coverage['coverage_interval'] = [of_intervals['coverage_lower'], of_intervals['coverage_upper']]
        coverage |= {name: of_intervals[name] for name in ('coverage', 'n_below', 'n_above', 'median_width_eV')}
    return {**found, **coverage}
