"""Tables of a study of transfer learning: a row for each training that was tested, and their means over trials."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ('CELLS', 'CHOICES', 'SUMMARY', 'cells_table', 'published_results', 'summary_table')

#: Columns of the table of cells: type and meaning. Errors are in the unit of the target, which stands in `unit`.
CELLS: dict[str, tuple[str, str]] = {
    'cell': ('string', 'label of the training'),
    'target': ('string', 'label of the property that is learned in the end'),
    'source': ('string', 'what it starts from: scratch, a property, or a name that begins with multi'),
    'size': ('Int64', 'rows of the target that are trained and validated with'),
    'trial': ('Int64', 'number of the draw of these rows'),
    'strategy': ('string', 'how the parent is changed, with the variant that freezes it'),
    'lr': ('float64', 'learning rate'),
    'sampling': ('string', 'how the rows of the target were drawn'),
    'status': ('string', 'done, failed or not run'),
    'r2': ('float64', 'coefficient of determination on the test rows'),
    'mae': ('float64', 'mean absolute error on the test rows, in the unit of the target'),
    'unit': ('string', 'of the target'),
    'mae_scaled': ('float64', 'mean absolute error of targets on the test rows, scaled as in the training'),
    'n_test': ('Int64', 'test rows'),
    'n_train': ('Int64', 'training rows'),
    'n_validation': ('Int64', 'validation rows'),
    'n_parameters': ('Int64', 'parameters of the model'),
    'n_trained': ('Int64', 'of those that were trained'),
    'epochs': ('Int64', 'epochs that were trained'),
    'best_epoch': ('Int64', 'the one whose weights were tested'),
    'seed': ('Int64', 'seed of the training'),
    'architecture': ('string', 'the network in words'),
    'pretraining_size': ('Int64', 'rows of the source that were trained and validated with'),
    'pretraining_epochs': ('Int64', 'epochs of the pre-training'),
    'reduced': ('string', 'how the training falls short of the published one'),
    'wall_s': ('float64', 'wall time of its jobs in s'),
    'device': ('string', 'what it was trained on'),
    'published_r2': ('float64', 'published, of the same trial'),
    'published_mae': ('float64', 'published, of the same trial, in the unit of the target'),
    'published_mae_scaled': (
        'float64',
        'published, of the same trial, scaled as published: to be compared with `mae_scaled` of trainings that scale '
        'by the whole set, as those did; of others with `mae` by `published_mae`',
    ),
    'published_as': ('string', 'which published result stands beside it'),
    'message': ('string', 'why it failed or was not run, or what is to be known of it'),
    'training': ('string', 'UUID of the process that trained it'),
    'model': ('string', 'UUID of its model'),
}

#: Columns that trainings of one mean agree in.
CHOICES = ('target', 'source', 'size', 'pretraining_size', 'strategy', 'lr', 'sampling')

#: Columns of the table of means beside :data:`CHOICES`: type and meaning.
SUMMARY: dict[str, tuple[str, str]] = {
    'n_trials': ('Int64', 'trials with a result'),
    'n_failed': ('Int64', 'trials without one'),
    **{
        f'{metric}_{name}': ('float64', f'{meaning} of {metric} over trials')
        for metric in ('r2', 'mae', 'mae_scaled')
        for name, meaning in (
            ('mean', 'mean'),
            ('sd', 'standard deviation'),
            ('ci95', 'half width of the 95 % confidence interval of the mean, by t,'),
        )
    },
    'unit': ('string', 'of the target'),
    'n_pairs': ('Int64', 'trials that scratch has, too'),
    'r2_gain': ('float64', 'mean over these of what R² gains over scratch'),
    'r2_gain_ci95': ('float64', 'half width of the 95 % confidence interval of that mean, by t'),
    'mae_gain': ('float64', 'mean over these of what the error loses against scratch, in the unit of the target'),
    'mae_gain_ci95': ('float64', 'half width of the 95 % confidence interval of that mean, by t'),
    'mae_gain_relative': ('float64', 'the same, relative to the mean error of scratch'),
    'n_parameters': ('Int64', 'parameters of the model'),
    'epochs_mean': ('float64', 'epochs that were trained, on average'),
    'architecture': ('string', 'the network in words'),
    'reduced': ('string', 'how the trainings fall short of the published ones'),
    'published_r2': ('float64', 'published, mean over its trials'),
    'published_mae': ('float64', 'published, mean over its trials, in the unit of the target'),
    'published_mae_scaled': ('float64', 'published, mean over its trials, scaled as published'),
    'published_as': ('string', 'which published result stands beside it'),
}

#: Published pre-trainings with more than the 941 rows that every property has, by their names.
_SIZES = {'1K': 1_000, '5K': 5_000, '10K': 10_000, '50K': 50_000, '100K': 100_000}
#: Rows of the smallest published pre-training.
_SMALLEST = 941
#: Half the range of the piezoelectric moduli that the published pair-wise trainings scaled to [-1, 1], in C/m²: that of
#: the 847 rows that do not test, 6e-6 to 30.542384. (The test rows go up to 2.025 in these files, 46.192855 C/m² that
#: is; the published models of several properties scaled them by the range of all rows, 23.096424.)
_PIEZO_WIDTH = (30.542384 - 6e-6) / 2
#: Rows of the target in the published trainings on two-dimensional crystals.
_JARVIS_ROWS = 993


def cells_table(rows: Sequence[Mapping[str, Any]], published: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return the table of cells.

    :param rows: with entries of :data:`CELLS`; what is missing is unknown.
    :param published: of :func:`published_results`, to stand beside them.
    """
    filled = [{**row, **_beside(row, published, same_trial=True)} for row in rows]
    return _table(filled, CELLS)


def summary_table(cells: pd.DataFrame, published: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return means, spreads and gains over training from scratch, a row for each choice in :data:`CHOICES`.

    Gains are those of pairs: of trainings on the same rows of the target, from scratch and from a model.

    :param cells: of :func:`cells_table`.
    :param published: of :func:`published_results`, to stand beside them.
    """
    rows = []
    scratch = cells[(cells['source'] == 'scratch') & cells['r2'].notna()]
    for keys, own in cells.groupby(list(CHOICES), sort=False, dropna=False):
        choice = {name: None if pd.isna(key) else key for name, key in zip(CHOICES, keys, strict=True)}
        done = own[own['status'] == 'done']
        row: dict[str, Any] = {**choice, 'n_trials': len(done), 'n_failed': len(own) - len(done)}
        for metric in ('r2', 'mae', 'mae_scaled'):
            mean, sd, ci = _spread(done[metric].dropna())
            row |= {f'{metric}_mean': mean, f'{metric}_sd': sd, f'{metric}_ci95': ci}
        if len(done):
            first = done.iloc[0]
            row |= {name: _plain(first[name]) for name in ('unit', 'n_parameters', 'architecture', 'reduced')}
            row['epochs_mean'] = float(done['epochs'].mean())
        if choice['source'] != 'scratch':
            row |= _gains(done, scratch, choice)
        rows.append({**row, **_beside(row, published, same_trial=False)})
    return _table(rows, {**{name: CELLS[name] for name in CHOICES}, **SUMMARY})


def _gains(done: pd.DataFrame, scratch: pd.DataFrame, choice: Mapping[str, Any]) -> dict[str, Any]:
    """Return what trainings gain over those from scratch on the same rows."""
    same = scratch
    for name in ('target', 'size', 'sampling'):
        same = same[same[name] == choice[name]]
    pairs = done.merge(same, on='trial', suffixes=('', '_scratch'))
    r2 = (pairs['r2'] - pairs['r2_scratch']).dropna()
    mae = (pairs['mae_scratch'] - pairs['mae']).dropna()
    (r2_mean, _, r2_ci), (mae_mean, _, mae_ci) = _spread(r2), _spread(mae)
    without = float(pairs['mae_scratch'].mean()) if len(pairs) else math.nan
    return {
        'n_pairs': len(pairs),
        'r2_gain': r2_mean,
        'r2_gain_ci95': r2_ci,
        'mae_gain': mae_mean,
        'mae_gain_ci95': mae_ci,
        'mae_gain_relative': None if mae_mean is None or not without > 0 else mae_mean / without,
    }


def _spread(values: pd.Series) -> tuple[float | None, float | None, float | None]:
    """Return mean, standard deviation, and half width of the 95 % confidence interval of the mean, by Student's t."""
    from scipy.stats import t

    n = len(values)
    if n == 0:
        return None, None, None
    if n == 1:
        return float(values.iloc[0]), None, None
    sd = float(values.std(ddof=1))
    return float(values.mean()), sd, float(t.ppf(0.975, n - 1)) * sd / math.sqrt(n)


# ---------------------------------------------------------------- published results


def published_results(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the published results that cells can be compared with, from the table of all published test files.

    :param frame: with the columns `path`, `pretrain`, `target`, `trial`, `ft_size`, `pt_size`, `group`, `r2`, `mae`,
        `mae_scaled`.
    :return: `source`, `target`, `size`, `pretraining_size` (0 without one), `trial`, `r2`, `mae`, `mae_scaled`, `as`.
    :raises ValueError: where a column is missing.
    """
    needed = ('path', 'pretrain', 'target', 'trial', 'ft_size', 'pt_size', 'group', 'r2', 'mae', 'mae_scaled')
    for name in needed:
        if name not in frame:
            raise ValueError(f'a table of published results needs the columns {", ".join(needed)}; {name} is missing')
    rows = []
    for row in frame.to_dict('records'):
        found = _published(row)
        if found is not None:
            rows.append({**found, **{name: row[name] for name in ('r2', 'mae_scaled')}, 'mae': _mae(found, row)})
    columns = ['source', 'target', 'size', 'pretraining_size', 'trial', 'as', 'r2', 'mae', 'mae_scaled']
    return pd.DataFrame(rows, columns=columns)


def _mae(found: Mapping[str, Any], row: Mapping[str, Any]) -> float:
    """Return a published error in the unit of the target.

    The table of published results takes all scaled errors for fractions of the range of all rows, which those of
    pair-wise trainings on piezoelectric moduli are not. Two-dimensional crystals are known by scaled targets alone.
    """
    if found['target'] == 'jarvis2d':
        return float(row['mae_scaled'])
    if found['target'] == 'pz' and not str(row['group']).startswith('MULTI-PROPERTY'):
        return float(row['mae_scaled']) * _PIEZO_WIDTH
    return float('nan') if row['mae'] is None else float(row['mae'])


def _published(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what a published result is of; None for those of other choices, and where its path does not tell."""
    group = str(row['group'])
    if group == 'MULTI-PROPERTY/JARVIS':
        words = str(row['path']).split('/')
        source = 'scratch' if 'JARVIS-SCRATCH' in words else words[-2].partition('-')[0].lower()
        size = 0 if source == 'scratch' else _SMALLEST
        return {
            'source': source,
            'target': 'jarvis2d',
            'size': _JARVIS_ROWS,
            'pretraining_size': size,
            'trial': None,
            'as': 'published: two-dimensional crystals',
        }
    if row['ft_size'] is None or pd.isna(row['ft_size']) or pd.isna(row['trial']):
        return None
    common = {
        'source': row['pretrain'],
        'target': row['target'],
        'size': int(row['ft_size']),
        'trial': int(str(row['trial']).removeprefix('T')),
    }
    if group.startswith('SCRATCH_MODELS'):
        return {**common, 'pretraining_size': 0, 'as': 'published: scratch'}
    if group == 'PAIR-WISE/PT-941-FT':
        return {**common, 'pretraining_size': _SMALLEST, 'as': f'published: pre-trained on {_SMALLEST}'}
    if group == 'PAIR-WISE/LARGE-PT-SIZE':
        return {
            **common,
            'pretraining_size': _SIZES[row['pt_size']],
            'as': f'published: pre-trained on {row["pt_size"]}',
        }
    if group == 'MULTI-PROPERTY/SEPARATE-HEAD-FT':
        return {**common, 'pretraining_size': 0, 'as': 'published: several properties without the target'}
    return None


def _beside(row: Mapping[str, Any], published: pd.DataFrame | None, *, same_trial: bool) -> dict[str, Any]:
    """Return the published result that comes closest to a row: of the same source, target and number of rows.

    All of them trained every parameter. Of several pre-trainings of a source it is the one whose number of rows is
    nearest by its logarithm.
    """
    if published is None or row.get('size') is None or row.get('strategy') not in (None, 'all'):
        return {}
    if same_trial and row['sampling'] != 'published':
        return {}
    source = 'multi' if str(row['source']).startswith('multi') else row['source']
    chosen = published[
        (published['source'] == source) & (published['target'] == row['target']) & (published['size'] == row['size'])
    ]
    known = row.get('pretraining_size')
    if len(chosen) and source not in ('scratch', 'multi') and known is not None and known > 0:
        distance = {size: abs(math.log(size / known)) for size in chosen['pretraining_size'].unique()}
        chosen = chosen[chosen['pretraining_size'] == min(distance, key=lambda size: distance[size])]
    if same_trial:
        chosen = chosen[(chosen['trial'] == row['trial']) | chosen['trial'].isna()]
    if not len(chosen):
        return {}
    means = {f'published_{name}': float(chosen[name].mean()) for name in ('r2', 'mae', 'mae_scaled')}
    return {**means, 'published_as': chosen['as'].iloc[0]}


# ---------------------------------------------------------------- columns


def _table(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, tuple[str, str]]) -> pd.DataFrame:
    return pd.DataFrame(
        {name: pd.Series([row.get(name) for row in rows], dtype=dtype) for name, (dtype, _) in columns.items()}
    )


def _plain(value: Any) -> Any:
    return None if pd.isna(value) else value
