"""What barriers of several systems by several density functionals say: errors, costs, effects, and which to choose.

A *cell* is one barrier: of one system, by one functional, with one charge, with or without climbing image. Statistics
are of one *variant* at a time, for instance of all neutral cells with climbing image, and only over systems for which
every functional has a converged barrier: the mean error of a functional that failed in the hard systems would look
better than it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from aiida_embarrier.bands.barriers import QUANTITIES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = (
    'CELL_COLUMNS',
    'ERRORS',
    'UNITS',
    'cells_table',
    'effects_table',
    'errors_of',
    'functionals_table',
    'recommend',
    'standard_variant',
)

#: How the error against a range of experimental values is counted: from its nearer end, 0 inside, or from its middle.
ERRORS = ('nearest', 'middle')

CONVERGED = 'converged'
NEUTRAL = 'neutral'

#: Columns of the table of cells with their types.
CELL_COLUMNS = {
    'cell': 'str',
    'system': 'str',
    'functional': 'str',
    'charge': 'float64',
    'charge_state': 'str',
    'climbing': 'bool',
    'status': 'str',
    'message': 'str',
    'barrier': 'float64',
    **dict.fromkeys(QUANTITIES, 'float64'),
    'endpoint_difference': 'float64',
    'residual_force': 'float64',
    'host_volume': 'float64',
    'experiment_low': 'float64',
    'experiment_high': 'float64',
    'error_nearest': 'float64',
    'error_middle': 'float64',
    'wall_s': 'float64',
    'core_h': 'float64',
    'total_wall_s': 'float64',
    'total_core_h': 'float64',
    'ionic_steps': 'Int64',
    'evaluations': 'Int64',
    'n_problems': 'Int64',
    'total_problems': 'Int64',
    'problems': 'str',
    'warnings': 'str',
    'n_images': 'Int64',
    'n_atoms': 'Int64',
    'band': 'str',
}

#: Units of columns of all tables here.
UNITS = {
    'charge': 'e',
    **dict.fromkeys(('barrier', *QUANTITIES, 'endpoint_difference'), 'eV'),
    'residual_force': 'eV/Å',
    'host_volume': 'Å^3',
    **dict.fromkeys(('experiment_low', 'experiment_high', 'error_nearest', 'error_middle'), 'eV'),
    **dict.fromkeys(('wall_s', 'total_wall_s'), 's'),
    **dict.fromkeys(('core_h', 'total_core_h'), 'h'),
    **dict.fromkeys(('mae', 'mse', 'mae_own', 'mse_own'), 'eV'),
    **dict.fromkeys(('with', 'without', 'difference'), 'eV'),
}

#: Costs that differ by less than this part count as the same: run times of the same job scatter as much.
SAME_COST = 0.2
#: So many standard errors of the mean must lie between two mean absolute errors that count as different.
CLEARLY = 2.0


def errors_of(barrier: Any, low: Any, high: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the signed errors of barriers against ranges of experimental values, in eV.

    :param barrier: barriers in eV.
    :param low: lower ends of the ranges.
    :param high: upper ends; the same as the lower ones where a single number was measured.
    :return: distances to the nearer end, 0 inside the range, as nothing there contradicts the experiment; and
        distances to the middle of the range. Both are positive for barriers that are too high.
    """
    barrier, low, high = (np.asarray(values, dtype=float) for values in (barrier, low, high))
    nearest = np.where(barrier > high, barrier - high, np.where(barrier < low, barrier - low, 0.0))
    unknown = np.isnan(barrier) | np.isnan(low) | np.isnan(high)
    return np.where(unknown, np.nan, nearest), barrier - (low + high) / 2


def cells_table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return the table of cells.

    :param rows: entries of :data:`CELL_COLUMNS`; what is left out is unknown. Errors are computed here.
    :raises ValueError: for entries that are no column.
    """
    for row in rows:
        unknown = set(row) - set(CELL_COLUMNS)
        if unknown:
            raise ValueError(f'{sorted(unknown)[0]!r} is no column of the table of cells')
    columns = {name: pd.Series([row.get(name) for row in rows], dtype=dtype) for name, dtype in CELL_COLUMNS.items()}
    frame = pd.DataFrame(columns)
    nearest, middle = errors_of(frame['barrier'], frame['experiment_low'], frame['experiment_high'])
    return frame.assign(error_nearest=nearest, error_middle=middle)


def standard_variant(cells: pd.DataFrame) -> tuple[str, bool]:
    """Return charge state and climbing image by which functionals are compared: neutral, with climbing, where there."""
    states = list(dict.fromkeys(cells['charge_state']))
    state = NEUTRAL if NEUTRAL in states else states[0]
    return state, bool(cells.loc[cells['charge_state'] == state, 'climbing'].any())


def variants(cells: pd.DataFrame) -> Iterator[tuple[str, bool, pd.DataFrame]]:
    """Yield charge state, climbing image and cells of each variant, in the order of the table."""
    for state in dict.fromkeys(cells['charge_state']):
        for climbing in dict.fromkeys(cells['climbing']):
            chosen = cells[(cells['charge_state'] == state) & (cells['climbing'] == climbing)]
            if len(chosen):
                yield state, bool(climbing), chosen


def _pivot(variant: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return a column of converged cells by system and functional, NaN where there is no such cell."""
    converged = variant[variant['status'] == CONVERGED]
    table = converged.pivot_table(index='system', columns='functional', values=column, aggfunc='first')
    return table.astype('float64')


def _common(variant: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return a column by system and functional, over the systems where all functionals have it that ever have."""
    return _pivot(variant, column).dropna(axis='columns', how='all').dropna(axis='index', how='any')


def functionals_table(
    cells: pd.DataFrame, functionals: Sequence[str], reference: str, error: str = 'nearest'
) -> pd.DataFrame:
    """Return errors, costs and problems of each functional, one row for each variant.

    Columns: `mae` and `mse`, the mean absolute and mean signed error in eV over the `n_systems` systems with an
    experimental value for which all functionals have a converged barrier (functionals that never have one are not
    asked); `mae_own`, `mse_own` over the `n_own` systems that this one has. `relative_wall` and `relative_core_h`: what
    barriers took, with the endpoints and hosts they stand on, relative to the reference functional: geometric means
    over the `n_cost` systems that all functionals have. `n_converged` of `n_cells` converged, with `n_problems`, the
    endpoints and hosts included.

    :param cells: as :func:`cells_table` returns it.
    :param functionals: the functionals in their order.
    :param reference: the functional that costs are relative to.
    :param error: one of :data:`ERRORS`.
    """
    rows = []
    for state, climbing, variant in variants(cells):
        errors, own = _common(variant, f'error_{error}'), _pivot(variant, f'error_{error}')
        costs = {name: _common(variant, f'total_{name}') for name in ('wall_s', 'core_h')}
        for functional in functionals:
            mine = variant[variant['functional'] == functional]
            if not len(mine):
                continue
            shared = errors[functional] if functional in errors else pd.Series(dtype='float64')
            alone = own[functional].dropna() if functional in own else pd.Series(dtype='float64')
            rows.append(
                {
                    'functional': functional,
                    'charge_state': state,
                    'climbing': climbing,
                    'n_cells': len(mine),
                    'n_converged': int((mine['status'] == CONVERGED).sum()),
                    'n_problems': int(mine['total_problems'].fillna(0).sum()),
                    'n_systems': len(shared),
                    'mae': shared.abs().mean(),
                    'mse': shared.mean(),
                    'n_own': len(alone),
                    'mae_own': alone.abs().mean(),
                    'mse_own': alone.mean(),
                    'n_cost': len(costs['wall_s']) if functional in costs['wall_s'] else 0,
                    'relative_wall': _relative(costs['wall_s'], functional, reference),
                    'relative_core_h': _relative(costs['core_h'], functional, reference),
                }
            )
    return pd.DataFrame(rows)


def _relative(costs: pd.DataFrame, functional: str, reference: str) -> float:
    """Return the geometric mean of the ratios of two costs; large systems count as much as small ones."""
    if functional not in costs or reference not in costs or not len(costs):
        return float('nan')
    ratios = costs[functional] / costs[reference]
    positive = ratios[np.isfinite(ratios) & (ratios > 0)]
    return float(np.exp(np.log(positive).mean())) if len(positive) else float('nan')


def effects_table(cells: pd.DataFrame) -> pd.DataFrame:
    """Return what the charge and what the climbing image change, for each system and functional.

    `effect` is `charge` (the barrier `with` the charge minus that `without`, at the same climbing image) or `climbing`
    (with the climbing image minus without, at the same charge). Only converged cells count.
    """
    columns = {
        'system': 'str',
        'functional': 'str',
        'effect': 'str',
        'charge': 'float64',
        'climbing': 'bool',
        'with': 'float64',
        'without': 'float64',
        'difference': 'float64',
    }
    rows = []
    known = cells[cells['status'] == CONVERGED]
    barriers = {
        (row.system, row.functional, row.charge, row.climbing): row.barrier for row in known.itertuples(index=False)
    }
    for (system, functional, charge, climbing), barrier in barriers.items():
        pairs = []
        if charge != 0:
            pairs.append(('charge', barriers.get((system, functional, 0.0, climbing))))
        if climbing:
            pairs.append(('climbing', barriers.get((system, functional, charge, False))))
        for effect, other in pairs:
            if other is not None:
                entry = (system, functional, effect, charge, climbing, barrier, other, barrier - other)
                rows.append(dict(zip(columns, entry, strict=True)))
    rows.sort(key=lambda row: row['effect'])
    return pd.DataFrame({name: pd.Series([row[name] for row in rows], dtype=dtype) for name, dtype in columns.items()})


def recommend(
    cells: pd.DataFrame,
    functionals: Sequence[str],
    reference: str,
    *,
    quantity: str,
    error: str = 'nearest',
    min_systems: int = 3,
) -> dict[str, Any]:
    """Return which functional is the quick and which the better choice, and why; None where that cannot be told.

    The better choice is the one with the smallest mean absolute error over the systems that all functionals have, from
    `min_systems` systems on; `certain` says whether it lies clearly below the next one: by twice the standard error of
    the mean difference of their absolute errors, system by system. The quick choice is the cheapest one, in core hours
    where these are known and else in wall time; of those that cost about the same the one with the smaller error, or
    with fewer problems where errors are not known.

    :param cells: as :func:`cells_table` returns it.
    :param functionals: the functionals in their order.
    :param reference: the functional that costs are relative to.
    :param quantity: the barrier that was compared, for the words.
    :param error: one of :data:`ERRORS`.
    :param min_systems: from fewer systems nothing is concluded from errors.
    """
    state, climbing = standard_variant(cells)
    variant = cells[(cells['charge_state'] == state) & (cells['climbing'] == climbing)]
    errors = _common(variant, f'error_{error}')
    table = functionals_table(variant, functionals, reference, error).set_index('functional')
    rated = errors if len(errors) >= min_systems else errors.iloc[:0]
    return {
        'quick': _quick(table, rated, reference),
        'better': _better(errors, list(table.index), min_systems),
        'definition': {
            'barrier': quantity,
            'charge_state': state,
            'climbing': climbing,
            'error': error,
            'error_in_words': _ERROR_WORDS[error],
            'n_systems': len(errors),
            'systems': sorted(errors.index),
            'min_systems': min_systems,
            'costs_relative_to': reference,
        },
        'effects': _sizes(effects_table(cells)),
    }


_ERROR_WORDS = {
    'nearest': 'distance to the nearer end of the range of experimental values, 0 inside it',
    'middle': 'distance to the middle of the range of experimental values',
}


def _better(errors: pd.DataFrame, functionals: Sequence[str], min_systems: int) -> dict[str, Any]:
    n_systems = len(errors)
    silent = [name for name in functionals if name not in errors]
    left_out = f'; {", ".join(silent)} gave no barrier to compare' if silent and len(errors.columns) else ''
    if len(errors.columns) < 2:
        return _untold(
            f'cannot tell: fewer than two functionals gave a converged barrier for a system with an experimental '
            f'value{left_out}'
        )
    if n_systems < min_systems:
        return _untold(
            f'cannot tell: all functionals have a converged barrier for {n_systems} system(s) with an experimental '
            f'value, and at least {min_systems} are asked for{left_out}'
        )
    sizes = errors.abs()
    first, second, *_ = sizes.mean().sort_values(kind='stable').index
    gain = sizes[second] - sizes[first]
    scatter = float(gain.std(ddof=1) / np.sqrt(n_systems)) if n_systems > 1 else float('nan')
    certain = bool(n_systems > 2 and gain.mean() > CLEARLY * scatter)
    reason = (
        f'{first} has the smallest mean absolute error, {sizes[first].mean():.3f} eV, before {second} with '
        f'{sizes[second].mean():.3f} eV, n = {n_systems} systems'
    )
    if not certain:
        reason += (
            f'; but the difference of {gain.mean():.3f} ± {scatter:.3f} eV (standard error) is not clear, so their '
            'order may be chance'
        )
    return {'functional': str(first), 'certain': certain, 'reason': reason + left_out, 'n_systems': n_systems}


def _quick(table: pd.DataFrame, errors: pd.DataFrame, reference: str) -> dict[str, Any]:
    """Return the quick choice.

    :param errors: over the systems that all have; empty where they are too few to say anything.
    """
    name, words = 'relative_core_h', 'core hours'
    if table[name].notna().sum() < table['relative_wall'].notna().sum():
        name, words = 'relative_wall', 'wall time'
    costs = table[name].dropna().sort_values(kind='stable')
    if len(costs) < 2:
        return _untold('cannot tell: fewer than two functionals gave converged barriers of the same systems with times')
    alike = list(costs[costs <= (1 + SAME_COST) * costs.iloc[0]].index)
    sizes = errors.abs().mean()
    rated = [functional for functional in alike if functional in sizes.index] if len(errors) else []
    problems = table['n_problems'][alike]
    if rated:
        choice = min(rated, key=lambda functional: sizes[functional])
        why = f'for its mean absolute error, {sizes[choice]:.3f} eV (n = {len(errors)} systems)'
    elif problems.nunique() > 1:
        choice = min(alike, key=lambda functional: problems[functional])
        why = f'for its convergence problems, {int(problems[choice])}'
    else:
        choice, why = alike[0], 'as the cheapest'
    n_cost = int(table['n_cost'][choice])
    reason = f'{choice} takes {costs[choice]:.2f} times the {words} of {reference} over {n_cost} system(s)'
    others = [functional for functional in alike if functional != choice]
    if others:
        reason += f', about as much as {", ".join(others)}; of these it is chosen {why}'
    dearer = [functional for functional in costs.index if functional not in alike]
    if dearer:
        reason += '; dearer: ' + ', '.join(f'{functional} {costs[functional]:.2f}' for functional in dearer)
    return {'functional': str(choice), 'certain': bool(dearer), 'reason': reason, 'n_systems': n_cost}


def _untold(reason: str) -> dict[str, Any]:
    return {'functional': None, 'certain': False, 'reason': reason, 'n_systems': 0}


def _sizes(effects: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Return how large the effects are: number of pairs, mean, mean absolute and largest absolute difference in eV."""
    result: dict[str, dict[str, Any]] = {}
    for effect in ('charge', 'climbing'):
        differences = effects.loc[effects['effect'] == effect, 'difference']
        known = len(differences) > 0
        result[effect] = {
            'n': len(differences),
            'mean': float(differences.mean()) if known else None,
            'mean_absolute': float(differences.abs().mean()) if known else None,
            'largest': float(differences.abs().max()) if known else None,
        }
    return result
