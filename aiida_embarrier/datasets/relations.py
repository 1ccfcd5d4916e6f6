"""What a source of pre-training and its target have to do with each other, to stand beside what is gained by it.

Two things are asked of each pair of datasets. Do the properties go together: on the crystals that both have, how far
are they correlated? And does the source know the materials of the target: its elements, its chemical systems, and how
far in composition the nearest crystal of the source is?
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from aiida_embarrier.datasets.descriptors import COMPOSITION, crystal_descriptors, standardised
from aiida_embarrier.datasets.overlap import joined
from aiida_embarrier.datasets.same_crystals import crystal_keys, formulas_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ('COLUMNS', 'relations', 'shared_targets')

#: Fewest shared crystals for which a correlation is given.
MIN_SHARED = 4
#: 95 % of a normal distribution lie within so many standard deviations.
_Z = 1.959963984540054
#: Rows whose distances to all others are computed at a time: 512 times 132,752 are 0.5 GB.
_CHUNK = 512

#: The columns of the table, and what they say.
COLUMNS = {
    'source': 'what is pre-trained on',
    'target': 'what is learned then',
    'source_unit': 'unit of the source',
    'target_unit': 'unit of the target',
    'n_source': 'rows of the source',
    'n_target': 'rows of the target',
    'n_shared': 'crystals that both have',
    'pearson': 'correlation of the two properties on shared crystals',
    'pearson_low': 'lower end of its 95 % confidence interval',
    'pearson_high': 'upper end',
    'spearman': 'rank correlation on shared crystals',
    'spearman_low': 'lower end of its 95 % confidence interval',
    'spearman_high': 'upper end',
    'wasserstein': 'distance of the distributions of the targets, each scaled to [-1, 1]',
    'ks': 'largest difference of these distributions (Kolmogorov and Smirnov)',
    'elements_seen': 'share of the elements of the target that the source has',
    'rows_with_elements_seen': 'share of the rows of the target all of whose elements the source has',
    'systems_seen': 'share of the rows of the target whose chemical system the source has',
    'formulas_seen': 'share of the rows of the target whose reduced formula the source has',
    'nearest': 'median distance in composition from a row of the target to the nearest of the source, in standard '
    'deviations of the target for each descriptor (root mean square)',
    'nearest_own': 'the same to the nearest other composition of the target itself',
}


def relations(
    frames: Mapping[str, pd.DataFrame],
    *,
    units: Mapping[str, str | None] | None = None,
    targets: Mapping[str, pd.DataFrame] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Return how datasets relate as sources of pre-training to others as targets.

    Confidence intervals are those of Fisher's transformation, for ranks with the variance of Bonett and Wright
    (doi:10.1007/BF02294183). Where several rows of a dataset hold one crystal their mean counts.

    :param frames: rows of properties by what their dataset is called.
    :param units: of their targets.
    :param targets: datasets that are targets only, by other names; where there are none each dataset is a target of all
        others.
    :param progress: called with how many rows are compared by structure, and out of how many.
    :return: a row for each source and target, columns :data:`COLUMNS`.
    :raises ValueError: for rows of another schema, rows without a target, and fewer than two datasets.
    """
    everything = {**frames, **(targets or {})}
    if len(everything) < 2 or len(everything) != len(frames) + len(targets or {}):
        raise ValueError('relations are those of two or more datasets, with names that differ')
    rows = _compared(everything, progress)
    rows['system'] = [_system(text) for text in rows['species']]
    compositions = rows.drop_duplicates('formula')
    described = crystal_descriptors(compositions)[list(COMPOSITION)].set_axis(compositions['formula'].to_numpy())
    parts = {label: rows[rows['dataset'] == label] for label in everything}
    own = {label: _nearest(described, parts[label], parts[label]) for label in targets or frames}
    found = [
        {
            'source': source,
            'target': target,
            'source_unit': (units or {}).get(source),
            'target_unit': (units or {}).get(target),
            'n_source': len(parts[source]),
            'n_target': len(parts[target]),
            **_correlations(parts[source], parts[target]),
            **_distributions(parts[source]['target'], parts[target]['target']),
            **_chemistry(parts[source], parts[target]),
            'nearest': _nearest(described, parts[source], parts[target]),
            'nearest_own': own[target],
        }
        for target in targets or frames
        for source in frames
        if source != target
    ]
    table = pd.DataFrame(found, columns=list(COLUMNS))
    words = ('source', 'target', 'source_unit', 'target_unit')
    return table.astype(dict.fromkeys(words[:2], 'str') | dict.fromkeys(words[2:], 'string'))


def shared_targets(source: pd.DataFrame, target: pd.DataFrame) -> pd.DataFrame:
    """Return the crystals that two datasets have in common: their properties in the columns `source` and `target`.

    Where several rows of a dataset hold one crystal their mean counts.

    :raises ValueError: for rows of another schema, and rows without a target.
    """
    rows = _compared({'source': source, 'target': target})
    return _shared(*(rows[rows['dataset'] == label] for label in ('source', 'target'))).reset_index(drop=True)


def _compared(frames: Mapping[str, pd.DataFrame], progress: Callable[[int, int], None] | None = None) -> pd.DataFrame:
    """Return the rows of datasets with their formulas, and their crystals where several datasets have the formula."""
    rows = joined(frames)
    wrong = rows[~np.isfinite(rows['target'].to_numpy(dtype=float))]
    if len(wrong):
        raise ValueError(f'{wrong["name"].iloc[0]!r} of {wrong["dataset"].iloc[0]} has no target: leave it out')
    rows['formula'] = formulas_of(rows)
    several = rows['formula'].map(rows.groupby('formula')['dataset'].nunique()) > 1
    rows['crystal'] = rows['name']
    if several.any():
        rows.loc[several, 'crystal'] = crystal_keys(rows[several], progress=progress)
    return rows


def _shared(source: pd.DataFrame, target: pd.DataFrame) -> pd.DataFrame:
    parts = (('source', source), ('target', target))
    means = [part.groupby('crystal')['target'].mean().rename(name) for name, part in parts]
    return pd.concat(means, axis=1, join='inner')


def _system(species: str) -> str:
    return '-'.join(sorted(set(json.loads(species))))


def _correlations(source: pd.DataFrame, target: pd.DataFrame) -> dict[str, Any]:
    from scipy.stats import rankdata

    both = _shared(source, target)
    values = both.to_numpy(dtype=float).T
    ranks = np.array([rankdata(one) for one in values]) if len(both) else values
    found: dict[str, Any] = {'n_shared': len(both)}
    for name, (one, other) in (('pearson', values), ('spearman', ranks)):
        found |= _interval(name, one, other)
    return found


def _interval(name: str, one: np.ndarray, other: np.ndarray) -> dict[str, float]:
    """Return a correlation with its confidence interval; NaN for too few crystals, or where one number is constant."""
    if len(one) < MIN_SHARED or np.ptp(one) == 0 or np.ptp(other) == 0:
        return dict.fromkeys((name, f'{name}_low', f'{name}_high'), float('nan'))
    r = float(np.clip(np.corrcoef(one, other)[0, 1], -1, 1))
    spread = _Z * np.sqrt((1 + r**2 / 2 if name == 'spearman' else 1.0) / (len(one) - 3))
    centre = np.arctanh(np.clip(r, -1 + 1e-15, 1 - 1e-15))
    return {name: r, f'{name}_low': float(np.tanh(centre - spread)), f'{name}_high': float(np.tanh(centre + spread))}


def _distributions(source: pd.Series, target: pd.Series) -> dict[str, float]:
    from scipy.stats import ks_2samp, wasserstein_distance

    one, other = _scaled(source), _scaled(target)
    return {
        'wasserstein': float(wasserstein_distance(one, other)),
        'ks': float(ks_2samp(one, other, method='asymp').statistic),
    }


def _scaled(values: pd.Series) -> np.ndarray:
    numbers = values.to_numpy(dtype=float)
    width = float(np.ptp(numbers)) or 1.0
    return 2 * (numbers - numbers.min()) / width - 1


def _chemistry(source: pd.DataFrame, target: pd.DataFrame) -> dict[str, float]:
    known = {symbol for system in source['system'].unique() for symbol in system.split('-')}
    wanted = {symbol for system in target['system'].unique() for symbol in system.split('-')}
    return {
        'elements_seen': len(wanted & known) / len(wanted),
        'rows_with_elements_seen': float(np.mean([known.issuperset(one.split('-')) for one in target['system']])),
        'systems_seen': float(target['system'].isin(source['system']).mean()),
        'formulas_seen': float(target['formula'].isin(source['formula']).mean()),
    }


def _nearest(described: pd.DataFrame, source: pd.DataFrame, target: pd.DataFrame) -> float:
    """Return the median distance in composition from rows of the target to the nearest of the source.

    :param described: descriptors by formulas.
    :param source: the target itself for the nearest *other* composition.
    """
    wanted = described.loc[target['formula'].unique()]
    own = source is target
    given = wanted if own else described.loc[source['formula'].unique()]
    if own and len(wanted) < 2:
        return float('nan')
    points, others = standardised(wanted, wanted), standardised(given, wanted)
    lengths = (others**2).sum(axis=1)
    nearest = []
    for start in range(0, len(points), _CHUNK):
        some = points[start : start + _CHUNK]
        squares = (some**2).sum(axis=1)[:, None] - 2 * some @ others.T + lengths
        if own:
            squares[np.arange(len(some)), start + np.arange(len(some))] = np.inf
        nearest.append(np.sqrt(np.maximum(squares.min(axis=1), 0) / max(1, points.shape[1])))
    of_formula = pd.Series(np.concatenate(nearest), index=wanted.index)
    return float(target['formula'].map(of_formula).median())
