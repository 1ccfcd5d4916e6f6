"""An analysis of predicted barriers as one page for a browser, and as a folder with its tables and pictures."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pandas as pd

from aiida_embarrier.datasets.definitions import definitions_in_words, definitions_of
from aiida_embarrier.datasets.schema import flags_of
from aiida_embarrier.figures.barrier_overview import best_model, pictures_of
from aiida_embarrier.figures.barrier_tables import TABLES, hardest, validation_name
from aiida_embarrier.figures.page import cells_of, page_of
from aiida_embarrier.figures.page_folder import write_folder

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from matplotlib.figure import Figure

__all__ = ('FOLDER', 'barrier_page', 'write_barrier_analysis')

#: How the folder of an analysis is told from others, for :func:`~aiida_embarrier.figures.page_folder.check_folder`.
FOLDER = {'summary': 'analysis.json', 'what': 'analysis of predictions'}

#: Columns of the dataset that are shown beside the predictions, as far as there are any.
_LABELS = ('ion', 'structural_group', 'functional')

#: What readers call columns, and whether they are in eV.
_COLUMNS = {
    'r2': ('R²', False),
    'mae_eV': ('MAE', True),
    'mae_eV_of_seeds': ('MAE over seeds', True),
    'rmse_eV': ('RMSE', True),
    'median_ae_eV': ('median AE', True),
    'mean_error_eV': ('mean error', True),
    'median_width_eV': ('median width', True),
    'mae_difference_eV': ('MAE above that of the best', True),
    'mae_large_eV': ('MAE of large errors', True),
    'n_large': ('large errors', False),
    'threshold_eV': ('threshold', True),
    'excess_eV': ('above the lowest', True),
    'spread_eV': ('spread', True),
    'kendall_tau': ('Kendall’s τ', False),
    'low': ('from', True),
    'high': ('to', True),
    'small': ('share of small errors', False),
    'large': ('share of large errors', False),
    **{name: (name, True) for name in ('barrier', 'prediction', 'error', 'lower', 'upper')},
}


def barrier_page(
    tables: Mapping[str, pd.DataFrame],
    predictions: pd.DataFrame,
    title: str,
    source: str | None = None,
    *,
    frame: pd.DataFrame | None = None,
    model: str | None = None,
    figures: Mapping[str, Figure] | None = None,
) -> str:
    """Return the page as HTML.

    :param tables: of the analysis, by the names of :data:`~aiida_embarrier.figures.barrier_tables.TABLES`.
    :param predictions: that were analysed.
    :param title: its heading.
    :param source: where the dataset comes from: a citation, a file, a node.
    :param frame: the dataset, for labels beside the predictions; None for none.
    :param model: that is shown where only one can be; None for the best one.
    :param figures: pictures that were drawn already, by their names; they lose their ground.
    """
    model = model or best_model(tables)
    where = hardest(tables['comparison']['validation'])
    shown = {name: _shown(tables[name], model) for name in TABLES if name in tables}
    listed = _listed(predictions, model, where, frame)
    return page_of(
        title=title,
        lead=f'{tables["comparison"]["model"].nunique()} models, {len(listed)} barriers. Where one model is shown, it '
        f'is {model}; numbers and rows are those of {validation_name(where)}.',
        source=source,
        numbers=list(_numbers(tables, model, where)),
        pictures=pictures_of(tables, predictions, model),
        figures=figures or {},
        tables={name: (TABLES[name], table) for name, table in shown.items()},
        units_of=lambda name: _units(shown[name]),
        rows={'title': f'Predictions of {model}', **cells_of(listed, _units(listed))},
        n_rows=len(listed),
        whole='the predictions themselves',
        example='such as tavorite Na',
        definitions=_conventions(_definitions(predictions, frame)),
    )


def write_barrier_analysis(
    folder: str | os.PathLike[str],
    tables: Mapping[str, pd.DataFrame],
    predictions: pd.DataFrame,
    title: str,
    source: str | None = None,
    *,
    frame: pd.DataFrame | None = None,
    model: str | None = None,
    overwrite: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> list[Path]:
    """Write an analysis into a folder of its own: the page, tables as CSV files, pictures as PNG and SVG, a summary.

    :param folder: to make; the one around it is there.
    :param overwrite: replace a folder with such an analysis.
    :param tell: called with the name of each file before it is made.
    :return: the files.
    :raises OSError: see :func:`~aiida_embarrier.figures.page_folder.check_folder`.

    Other parameters are those of :func:`barrier_page`.
    """
    model = model or best_model(tables)
    comparison = tables['comparison'].astype(object).where(tables['comparison'].notna(), None)
    summary = {
        'title': title,
        'source': source,
        'model': model,
        'validation': hardest(tables['comparison']['validation']),
        'barrier_definitions': _definitions(predictions, frame),
        'comparison': comparison.to_dict('records'),
        'tables': {name: {'title': TABLES[name].title, 'meaning': TABLES[name].meaning} for name in tables},
    }
    return write_folder(
        folder,
        tables,
        pictures_of(tables, predictions, model),
        lambda figures: barrier_page(tables, predictions, title, source, frame=frame, model=model, figures=figures),
        (FOLDER['summary'], summary),
        FOLDER['what'],
        overwrite=overwrite,
        tell=tell,
    )


def _numbers(tables: Mapping[str, pd.DataFrame], model: str, where: str) -> Iterator[dict[str, str | None]]:
    table = tables['comparison']
    own = table[(table['model'] == model) & (table['validation'] == where)].iloc[0]
    yield {'label': 'rows', 'value': f'{own["n"]}', 'unit': None}
    for name in ('mae_eV', 'median_ae_eV', 'rmse_eV', 'r2', 'mean_error_eV', 'coverage', 'median_width_eV'):
        label, in_ev = _COLUMNS.get(name, (name, False))
        if pd.notna(own[name]):
            ends = '' if pd.isna(own[f'{name}_low']) else f' ({own[f"{name}_low"]:.3f} to {own[f"{name}_high"]:.3f})'
            yield {'label': f'{label}{ends}', 'value': f'{own[name]:.3f}', 'unit': 'eV' if in_ev else None}
    buckets = tables['buckets']
    best = buckets[(buckets['model'] == model) & (buckets['validation'] == where)].iloc[0]
    yield {
        'label': f'of them off by {best["high"]:g} eV at most',
        'value': f'{100 * best["fraction"]:.0f}',
        'unit': '%',
    }


def _with_ends(value: float, low: float, high: float) -> str | None:
    """Return a number with its interval as text; None where neither is known."""
    if pd.isna(value) and pd.isna(low):
        return None
    ends = '' if pd.isna(low) else f'{low:.3f} to {high:.3f}'
    return ends if pd.isna(value) else f'{value:.3f} ({ends})' if ends else f'{value:.3f}'


def _shown(table: pd.DataFrame, model: str) -> pd.DataFrame:
    """Return a table for readers: of labels and rows the one model, intervals beside their numbers, plain headers."""
    if 'model' in table and len(table) > 60:
        table = table[table['model'] == model].drop(columns='model')
    columns: dict[str, Any] = {}
    for name in table:
        base = re.sub('_(low|high|lower|upper)$', '', str(name))
        pairs = ((f'{base}_low', f'{base}_high'), (f'{base}_lower', f'{base}_upper'))
        is_number = base in table or base.endswith('_of_seeds')
        ends = next((pair for pair in pairs if is_number and set(pair) <= set(table)), None)
        if ends is None:
            columns[str(name)] = table[name].map(validation_name) if name == 'validation' else table[name]
        elif base not in columns:
            values = table[base] if base in table else pd.Series(float('nan'), table.index)
            texts = [_with_ends(*three) for three in zip(values, table[ends[0]], table[ends[1]], strict=True)]
            columns[base] = pd.array(texts, dtype='string')
    found = pd.DataFrame(columns, index=table.index)
    known = found.loc[:, found.notna().any()]
    return known.rename(columns={name: label for name, (label, _) in _COLUMNS.items()})


def _units(table: pd.DataFrame) -> dict[str, str]:
    return {label: 'eV' for label, in_ev in _COLUMNS.values() if in_ev and label in table}


def _listed(predictions: pd.DataFrame, model: str, where: str, frame: pd.DataFrame | None) -> pd.DataFrame:
    """Return a row for each barrier that the model predicted, means over seeds, the largest errors first."""
    own = predictions[(predictions['model'] == model) & (predictions['validation'] == where)]
    numbers = [name for name in ('barrier', 'prediction', 'lower', 'upper') if name in own and own[name].notna().any()]
    means = own.groupby('name', sort=False)[numbers].mean()
    means.insert(2, 'error', means['prediction'] - means['barrier'])
    if 'flags' in own:
        flags = {row['name']: ', '.join(flags_of(row)) for row in own[['name', 'flags']].to_dict('records')}
        means['flags'] = pd.array([flags[name] or None for name in means.index], dtype='string')
    if frame is not None:
        labels = frame.set_index('name')[[name for name in _LABELS if name in frame]]
        means = labels.loc[means.index].join(means)
    order = means['error'].abs().sort_values(ascending=False, kind='stable').index
    return means.loc[order].reset_index()


def _definitions(predictions: pd.DataFrame, frame: pd.DataFrame | None) -> dict[str, int]:
    """Return the definitions of the known barriers with their numbers; empty where nobody says."""
    known = predictions.drop_duplicates('name')
    if 'barrier_definition' in known:
        return definitions_of(known)
    return {} if frame is None else definitions_of(frame[frame['name'].isin(known['name'])])


def _conventions(definitions: Mapping[str, int]) -> list[dict[str, str]]:
    return [
        {'term': 'Known barriers', 'meaning': f'Their definition is {definitions_in_words(definitions)}.'},
        {'term': 'Error', 'meaning': 'The prediction minus the known barrier: above 0 where it is too high.'},
        {
            'term': 'Ranges in brackets',
            'meaning': '95 % confidence intervals: of the bootstrap over rows, of coverage by Wilson’s formula.',
        },
        {
            'term': 'Validations',
            'meaning': 'Rows are predicted by models of other rows. Random folds: rows are drawn one by one, so that '
            'siblings of most were learned from. New cells, frameworks, chemical systems, families: all rows of one '
            'stay together. Held-out rows: as a split says.',
        },
    ]
