"""Whether a model tells the paths of one crystal apart, and finds the one that ions take.

An error that all paths of a crystal share does no harm here, and a small error of each may. Paths are compared within
one cell and ion; a crystal counts where its known barriers differ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from aiida_embarrier.datasets.leakage import group_column
from aiida_embarrier.prediction.scores import mean_over_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ('LEAST_DIFFERENCE', 'discrimination', 'discrimination_of_hosts')

#: Barriers of two paths that differ by less, in eV, are not put in an order: NEB calculations are not surer than that.
LEAST_DIFFERENCE = 0.05

_KEYS = ['model', 'validation']


def discrimination_of_hosts(
    predictions: pd.DataFrame, frame: pd.DataFrame, *, least_difference: float = LEAST_DIFFERENCE
) -> pd.DataFrame:
    """Return how well each model orders the paths of each crystal, for each seed.

    :param predictions: `model`, `validation`, `seed`, `name`, `barrier` and `prediction` in eV.
    :param frame: the dataset, for cells and ions.
    :param least_difference: in eV, of the known barriers of two paths that are to be put in order.
    :return: `model`, `validation`, `seed`, `host` (label of the cell), `ion`, `n_paths`, `spread_eV` of the known
        barriers, `kendall_tau` (tau-b; NaN where all predictions are the same), `n_pairs` to be put in order, the share
        `ordered` of them that is (equal predictions count half), the share `lowest_found` of the paths predicted lowest
        that are, `by_chance`, that share for any path, and `excess_eV`, by how much the barrier of the path predicted
        lowest exceeds the lowest.
    """
    labels = pd.DataFrame({'host': group_column(frame, 'host_group').to_numpy(), 'ion': frame['ion'].to_numpy()})
    rows = predictions.merge(labels.assign(name=frame['name'].to_numpy()), on='name', how='left')
    if rows['host'].isna().any():
        lost = rows['name'][rows['host'].isna()].iloc[0]
        raise ValueError(f'{lost!r} was predicted and is no row of the dataset: give its own dataset')
    rows = rows[rows['prediction'].notna()]
    found = []
    for keys, part in rows.groupby([*_KEYS, 'seed', 'host', 'ion'], sort=False):
        known = part['barrier'].to_numpy(dtype=float)
        if len(known) > 1 and known.max() > known.min():
            found.append((*keys, *_of_one(known, part['prediction'].to_numpy(dtype=float), least_difference)))
    columns = [*_KEYS, 'seed', 'host', 'ion', 'n_paths', 'spread_eV', 'kendall_tau', 'n_pairs', 'ordered']
    columns += ['lowest_found', 'by_chance', 'excess_eV']
    texts = dict.fromkeys((*_KEYS, 'host', 'ion'), 'str')
    whole = dict.fromkeys(('seed', 'n_paths', 'n_pairs'), 'int64')
    numbers = dict.fromkeys(columns[6:8] + columns[9:], 'float64')
    return pd.DataFrame(found, columns=columns).astype({**texts, **whole, **numbers})


def _of_one(known: np.ndarray, found: np.ndarray, least: float) -> Sequence[float]:
    first, second = np.triu_indices(len(known), 1)
    differences = known[first] - known[second]
    signs, said = np.sign(differences), np.sign(found[first] - found[second])
    ties = np.sqrt(np.abs(signs).sum() * np.abs(said).sum())
    apart = np.abs(differences) >= least
    agrees = (signs[apart] * said[apart] + 1) / 2
    lowest, chosen = known == known.min(), found == found.min()
    return (
        len(known),
        known.max() - known.min(),
        float(signs @ said / ties) if ties else np.nan,
        int(apart.sum()),
        agrees.mean() if len(agrees) else np.nan,
        lowest[chosen].mean(),
        lowest.mean(),
        known[chosen].mean() - known.min(),
    )


def discrimination(hosts: pd.DataFrame) -> pd.DataFrame:
    """Return how well each model orders paths in the mean crystal.

    :param hosts: as :func:`discrimination_of_hosts` makes it; what several seeds say of a crystal is averaged first.
    :return: `model`, `validation`, `n_hosts`, `n_paths`, `n_pairs`, the share `ordered` of all pairs, and means over
        crystals, with the ends of their bootstrap intervals, of `kendall_tau`, where defined, `lowest_found` and
        `excess_eV`, and the mean of `by_chance`.
    """
    means = hosts.groupby([*_KEYS, 'host', 'ion'], sort=False).mean(numeric_only=True).reset_index()
    rows = []
    for keys, part in means.groupby(_KEYS, sort=False):
        row = dict(zip(_KEYS, keys, strict=True))
        row |= {'n_hosts': len(part)} | {name: int(part[name].sum()) for name in ('n_paths', 'n_pairs')}
        pairs = part[part['n_pairs'] > 0]
        row['ordered'] = float(np.average(pairs['ordered'], weights=pairs['n_pairs'])) if len(pairs) else np.nan
        for name in ('kendall_tau', 'lowest_found', 'excess_eV'):
            estimate = mean_over_rows(part[name].dropna())
            row |= {name: estimate.value, f'{name}_low': estimate.low, f'{name}_high': estimate.high}
        rows.append({**row, 'by_chance': part['by_chance'].mean()})
    found = pd.DataFrame(rows)
    numbers = [name for name in found if name not in _KEYS and not name.startswith('n_')]
    return found.astype(dict.fromkeys(numbers, 'float64'))
