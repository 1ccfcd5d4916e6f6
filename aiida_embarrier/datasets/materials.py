"""Rows of a dataset of barriers that belong to one material: its paths, and its charged and discharged state."""

from __future__ import annotations

import pandas as pd

__all__ = ('charge_state_pairs', 'paths_of_materials')

#: What the rows of a pair have in common, as far as the columns are there.
_COMMON = ('structural_group', 'host', 'ion')


def paths_of_materials(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Count the rows of each material.

    :param rows: with the columns `material` and `barrier`.
    :return: how many materials have so many rows, columns `n_paths`, `n_materials` and `n_rows`; and the materials with
        more than one row, columns `material`, `n`, `min`, `max` and `spread` of their barriers.
    """
    found = rows.groupby('material')['barrier'].agg(n='size', min='min', max='max').reset_index()
    counts = found['n'].value_counts().sort_index()
    paths = pd.DataFrame({'n_paths': counts.index.to_numpy('int64'), 'n_materials': counts.to_numpy('int64')})
    paths['n_rows'] = paths['n_paths'] * paths['n_materials']
    several = found[found['n'] > 1].sort_values(['n', 'material'], ascending=[False, True], ignore_index=True)
    return paths, several.assign(spread=several['max'] - several['min']).astype({'material': 'string', 'n': 'int64'})


def charge_state_pairs(rows: pd.DataFrame) -> pd.DataFrame | None:
    """Find the hosts whose barrier is known of both the charged and the discharged state.

    Rows belong together where structural group (where the dataset has such groups), host and ion are the same.

    :param rows: rows of barriers.
    :return: one row for each pair: what its rows have in common, `n_charged`, `n_discharged`, and mean and lowest
        barrier of both; None where the dataset does not say hosts or charge states.
    """
    if not all(name in rows and rows[name].notna().any() for name in ('host', 'charge_state')):
        return None
    keys = [name for name in _COMMON if name in rows and rows[name].notna().any()]
    known = rows.dropna(subset=[*keys, 'charge_state'])
    columns = {name: known[name].astype('string') for name in (*keys, 'charge_state')}
    groups = known.assign(**columns).groupby([*keys, 'charge_state'])['barrier']
    table = groups.agg(n='size', mean='mean', min='min').unstack('charge_state')
    if not {'charged', 'discharged'} <= set(table.columns.get_level_values('charge_state')):
        return pd.DataFrame(columns=keys)
    table = table.dropna(subset=[('n', 'charged'), ('n', 'discharged')])
    pairs = pd.DataFrame(index=table.index)
    for state in ('charged', 'discharged'):
        pairs[f'n_{state}'] = table[('n', state)].astype('int64')
        pairs[f'mean_{state}'] = table[('mean', state)].astype(float)
        pairs[f'min_{state}'] = table[('min', state)].astype(float)
    return pairs.reset_index()
