"""All pictures of an analysis of predicted barriers: which there are, what they show, and who draws them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiida_embarrier.figures.barrier_dots import errors_by_label, model_comparison
from aiida_embarrier.figures.barrier_parity import barrier_parity
from aiida_embarrier.figures.barrier_shares import coverage_of_intervals, error_buckets
from aiida_embarrier.figures.barrier_tables import TABLES, hardest, validation_name
from aiida_embarrier.figures.leakage import leakage_shares
from aiida_embarrier.figures.page import Picture

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pandas as pd

__all__ = ('best_model', 'pictures_of')

#: End of the axes of the parity plot of low barriers, in eV: 92 % of the published ones are below.
_LOW = 2.0

#: Crystals below which the share of those whose lowest path is found says nothing.
_LEAST_CRYSTALS = 3

_PARITY = (
    'Each row once, at the mean over seeds, with its interval; the scores are those of the predictions of all seeds. '
    'Rows that are flagged as unlike those that were learned from in another colour; bands of 0.1 and 0.3 eV around '
    'the diagonal.'
)


def best_model(tables: Mapping[str, pd.DataFrame]) -> str:
    """Return the model with the lowest mean absolute error in the validation that says most of new crystals."""
    table = tables['comparison']
    own = table[table['validation'] == hardest(table['validation'])]
    return str(own.loc[own['mae_eV'].idxmin(), 'model'])


def pictures_of(tables: Mapping[str, pd.DataFrame], predictions: pd.DataFrame, model: str) -> list[Picture]:
    """Return the pictures that an analysis has something to show in; none is drawn yet.

    :param tables: of the analysis, by the names of :data:`~aiida_embarrier.figures.barrier_tables.TABLES`.
    :param predictions: that were analysed.
    :param model: that is shown where only one can be.
    """
    return list(_pictures(tables, predictions, model))


def _pictures(tables: Mapping[str, pd.DataFrame], predictions: pd.DataFrame, model: str) -> Iterator[Picture]:
    comparison = tables['comparison']
    where = hardest(comparison['validation'])
    own = comparison[(comparison['model'] == model) & (comparison['validation'] == where)].iloc[0]
    said = f'{model} in {validation_name(where)}: {own["mae_eV"]:.3f} eV, R² {own["r2"]:.3f}, {own["n"]} rows'
    yield Picture(
        'comparison',
        'Mean absolute errors of models',
        f'Dots and intervals of {comparison["model"].nunique()} models. {said}.',
        'comparison',
        lambda: model_comparison(comparison, 'mae_eV'),
    )
    yield Picture(
        'buckets',
        'Small and large errors',
        f'Bars with the shares of small, fair and large errors. {_small(tables["buckets"], model, where)}',
        'buckets',
        lambda: error_buckets(tables['buckets']),
    )
    yield Picture(
        'parity',
        'Predicted and known barriers',
        f'Points with intervals around the diagonal. {said}.',
        'largest_errors',
        lambda: barrier_parity(predictions, model),
        f'{_PARITY} Below: the rows with the largest errors.',
    )
    yield Picture(
        'parity_low',
        'Predicted and known barriers up to 2 eV',
        f'The same points with axes up to {_LOW:g} eV.',
        'directions',
        lambda: barrier_parity(predictions, model, highest=_LOW),
        f'{_PARITY} Rows beyond the axes are among the scores. Below: how many are predicted too high and too low.',
    )
    if 'coverage' in tables and (tables['coverage']['model'] == model).any():
        yield _coverage(tables['coverage'], model)
    for name in (name for name in TABLES if name.startswith('by_') and name in tables):
        yield _by_label(tables[name], name.removeprefix('by_'), TABLES[name].title, model)
    if 'discrimination' in tables and tables['discrimination']['n_hosts'].max() >= _LEAST_CRYSTALS:
        yield _lowest_found(tables['discrimination'])
    if 'leakage' in tables:
        yield _leakage(tables['leakage'])


def _small(buckets: pd.DataFrame, model: str, validation: str) -> str:
    own = buckets[(buckets['model'] == model) & (buckets['validation'] == validation)].iloc[0]
    return f'{model} in {validation_name(validation)}: {100 * own["fraction"]:.0f} % up to {own["high"]:g} eV.'


def _coverage(table: pd.DataFrame, model: str) -> Picture:
    rows = table[(table['model'] == model) & (table['validation'] == hardest(table['validation']))]
    held = ', '.join(f'{row.coverage:.3f} for {row.nominal:g}' for row in rows.itertuples())
    return Picture(
        'coverage',
        'Coverage of intervals',
        f'Coverage found against that asked for, and median widths. {held}.',
        'coverage',
        lambda: coverage_of_intervals(table, model),
    )


def _lowest_found(table: pd.DataFrame) -> Picture:
    return Picture(
        'lowest_found',
        'Telling paths of one crystal apart',
        f'Dots with the share of {table["n_hosts"].max()} crystals whose lowest path is found; by chance it would be '
        f'{table["by_chance"].mean():.2f}.',
        'discrimination',
        lambda: model_comparison(table, 'lowest_found'),
    )


def _by_label(table: pd.DataFrame, label: str, title: str, model: str) -> Picture:
    own = table[(table['model'] == model) & (table['validation'] == hardest(table['validation']))]
    largest = own[own['n'] >= own['n'].median()].nlargest(3, 'mae_eV')
    said = ', '.join(f'{getattr(row, label)} {row.mae_eV:.2f} eV ({row.n} rows)' for row in largest.itertuples())
    return Picture(
        f'by_{label}',
        title,
        f'Dots and intervals by label. Largest mean absolute errors of the more frequent labels: {said}.',
        f'by_{label}',
        lambda: errors_by_label(table, label, model),
    )


def _leakage(table: pd.DataFrame) -> Picture:
    rows = table[table['criterion'] == 'any']
    said = ', '.join(f'{validation_name(row.validation)} {100 * row.fraction:.0f} %' for row in rows.itertuples())
    summaries = {
        validation_name(str(validation)): part.assign(part='predicted')
        for validation, part in table.groupby('validation', sort=False)
    }
    return Picture(
        'leakage',
        'What leaks',
        f'Bars with the shares of predicted rows that have something in common with those learned from. Any: {said}.',
        'leakage',
        lambda: leakage_shares(summaries, part='predicted'),
    )
