"""What figures of a transfer study share: cells of its table, their means over trials, and names for people."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ('COLUMNS', 'MULTI', 'SCRATCH', 'Metric', 'over_trials', 'sources_in_order', 'without_other_choices')

#: What figures read of a table with a row for each training; cells that failed have neither `r2` nor `mae`.
COLUMNS = {
    'target': 'label of the property that is learned in the end',
    'source': 'label of the pre-training: `scratch` for none, a property, or a name that begins with `multi`',
    'size': 'rows of the target that are trained and validated with',
    'pretraining_size': 'rows of the source, missing without one',
    'trial': 'number of the sample',
    'strategy': 'how the parent is changed, with the variant that freezes it, missing without one',
    'lr': 'learning rate',
    'sampling': 'how the rows of the target were chosen',
    'r2': 'coefficient of determination on the test rows',
    'mae': 'mean absolute error on the test rows, in the unit of the target',
    'unit': 'of the target, missing for pure numbers',
    'reduced': 'how the training falls short of the published one, missing where it does not',
}

SCRATCH, MULTI = 'scratch', 'multi'

Metric = Literal['r2', 'mae']

#: What trainings of one source, target and size differ in beside their trials, with words for it.
_CHOICES = {
    'sampling': 'ways to draw rows',
    'pretraining_size': 'sizes of the pre-training',
    'strategy': 'strategies',
    'lr': 'learning rates',
}

#: Metrics as they stand at axes.
METRIC_NAMES = {'r2': 'R²', 'mae': 'MAE'}


def over_trials(cells: pd.DataFrame, by: Sequence[str], metric: Metric) -> pd.DataFrame:
    """Return mean, standard deviation (None of one trial) and number of trials of cells that agree in some columns.

    :param cells: with the columns of :data:`COLUMNS`.
    :param by: columns that cells of one mean agree in.
    :return: these columns, `mean`, `sd`, `n`.
    """
    found = cells.dropna(subset=[metric]).groupby(list(by), sort=False, observed=True)[metric]
    return found.agg(mean='mean', sd='std', n='count').reset_index()


def without_other_choices(cells: pd.DataFrame, *free: str) -> tuple[pd.DataFrame, str]:
    """Return the cells that differ in source, target, size and trial only, and in words what is left out.

    A mean over strategies or learning rates would be one of trainings that nobody would compare. For each source and
    target the cells stay that train all parameters, from the largest pre-training, at the learning rate of most cells
    of their size; and for each target those whose rows were drawn as those of most of its cells. Where nothing trains
    all parameters, the strategy of most cells stays. Of equally many it is what comes first.

    :param cells: with results, and the columns of :data:`COLUMNS`.
    :param free: columns that are drawn against each other, and stay as they are.
    """
    groups = {
        'sampling': ['target'],
        'pretraining_size': ['source', 'target'],
        'strategy': ['source', 'target'],
        'lr': ['source', 'target', 'size'],
    }
    kept, left_out = cells, []
    for name, by in groups.items():
        if name in free:
            continue
        chosen = kept.groupby(by, sort=False)[name].transform(_CHOSEN.get(name, _commonest))
        stays = (kept[name] == chosen).fillna(False).astype(bool) | kept[name].isna()
        if not stays.all():
            left_out.append(_CHOICES[name])
        kept = kept[stays]
    n = len(cells) - len(kept)
    return kept, f'{n} trainings with other {", ".join(left_out)} are not drawn' if n else ''


def _commonest(values: pd.Series) -> Any:
    """Return the commonest value, the first one of several."""
    counts = values.value_counts(sort=False)
    return counts.idxmax() if len(counts) else None


def _strategy(values: pd.Series) -> Any:
    return 'all' if (values == 'all').any() else _commonest(values)


#: Choices that are not those of most cells.
_CHOSEN: dict[str, Any] = {'pretraining_size': 'max', 'strategy': _strategy}


def sources_in_order(cells: pd.DataFrame) -> list[str]:
    """Return the sources of a study: none, single properties in their order, several properties."""
    names = list(dict.fromkeys(cells['source']))
    single = [name for name in names if name != SCRATCH and not name.startswith(MULTI)]
    return [
        *(name for name in names if name == SCRATCH),
        *single,
        *(name for name in names if name.startswith(MULTI)),
    ]


def at_size(cells: pd.DataFrame, size: int | None) -> tuple[pd.DataFrame, int]:
    """Return the cells of one size, the largest unless given, and the size.

    :raises ValueError: where no cell has a result at it.
    """
    done = cells.dropna(subset=['r2'])
    if done.empty:
        raise ValueError('no cell of the study has a result, so there is nothing to draw')
    chosen = int(done['size'].max()) if size is None else size
    found = done[done['size'] == chosen]
    if found.empty:
        sizes = ', '.join(str(int(value)) for value in sorted(done['size'].unique()))
        raise ValueError(f'no cell of size {chosen} has a result: there are results of sizes {sizes}')
    return found, chosen


def add_footnote(figure: Figure, cells: pd.DataFrame, left_out: str = '') -> None:
    """Write below what readers must know of the cells that are drawn: how they were reduced, and how many are missing.

    :param left_out: of :func:`without_other_choices`.
    """
    notes = [left_out] if left_out else []
    if 'reduced' in cells and cells['reduced'].notna().any():
        reduced = list(dict.fromkeys(cells['reduced'].dropna()))
        more = f' (and {len(reduced) - 1} more)' if len(reduced) > 1 else ''
        notes.append(f'reduced: {reduced[0]}{more}')
    missing = int(cells['r2'].isna().sum())
    if missing:
        notes.append(f'{missing} of {len(cells)} cells have no result')
    if notes:  # a letter of 8 points is 0.06 inches wide, and constrained layout makes room for lines
        text = fill('; '.join(notes), int(figure.get_figwidth() / 0.065))
        figure.supxlabel(text, fontsize=8, color='0.35')


def unit_of(cells: pd.DataFrame, target: str) -> str | None:
    """Return the unit of a target, None for a pure number."""
    if 'unit' not in cells:
        return None
    return next(iter(cells.loc[cells['target'] == target, 'unit'].dropna()), None)


def metric_label(cells: pd.DataFrame, target: str, metric: Metric, ending: str = '') -> str:
    """Return how the axis of a metric of a target is called, with the unit of an error."""
    unit = unit_of(cells, target) if metric == 'mae' else None
    return METRIC_NAMES[metric] + ending + (f' ({unit})' if unit else '')
