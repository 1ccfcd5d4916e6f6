"""What a model of migration barriers says of itself, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.output import Column, echo_pairs, echo_table
from aiida_embarrier.datasets.definitions import definitions_in_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ('echo_barrier_card', 'echo_barrier_scores')


def _estimate(row: Mapping[str, Any], name: str, decimals: int) -> str | None:
    """Return a number with its confidence interval, as `0.21 (0.19-0.23)`."""
    found = row['values'].get(name)
    if found is None or found['value'] is None:
        return None
    text = f'{found["value"]:.{decimals}f}'
    if found['low'] is None or found['high'] is None:
        return text
    return f'{text} ({found["low"]:.{decimals}f} to {found["high"]:.{decimals}f})'


SCORES = (
    Column('model', 'model', width=40),
    Column('validation', 'validation'),
    Column('rows', 'n', 'd'),
    # those that a split names were predicted in no folds
    Column('folds', lambda row: f'{row["folds"]} × {len(row["seeds"])} seed(s)' if row.get('folds') else None),
    Column('MAE (eV)', lambda row: _estimate(row, 'mae_eV', 3)),
    Column('RMSE (eV)', lambda row: _estimate(row, 'rmse_eV', 3)),
    Column('R²', lambda row: _estimate(row, 'r2', 3)),
    Column('coverage', lambda row: _estimate(row, 'coverage', 3)),
)


def echo_barrier_card(card: Mapping[str, Any]) -> None:
    """Print the card of a model of barriers."""
    settings, numbers = card['settings'], card['feature_settings']
    potential = None if numbers is None else numbers['potential']
    pairs = {
        **{key: card[key] for key in ('pk', 'title', 'licence', 'source', 'limits') if card.get(key) is not None},
        'model': card['model']
        + (f' ({", ".join(f"{key} {value}" for key, value in settings.items())})' * bool(settings)),
        'reads': f'{len(card["features"])} numbers of each path' if card['features'] else 'the path itself',
        'potential': None
        if potential is None
        else f'{potential["name"]} {potential["model"]}, at most {numbers["budget"]} evaluations of a path',
        'ions': ', '.join(f'{ion} {n}' for ion, n in card['ions'].items()) or None,
        'barriers': definitions_in_words(card['barrier_definitions']),
        'intervals': None if card['coverage'] is None else f'{card["coverage"]:.0%}',
        'parameters': f'{card["n_parameters"]:,}',
        'seed': card['seed'],
        'weights (sha256)': card['weights_sha256'],
    }
    echo_pairs({key: value for key, value in pairs.items() if value is not None})
    for dataset in card['datasets']:
        rows = ', '.join(f'{part} {n}' for part, n in dataset['rows'].items())
        click.echo(f'\nfitted to {rows} rows of {dataset["uuid"] or "a file"}, content {(dataset["hash"] or "")[:12]}')
    echo_barrier_scores(card['scores'])


def echo_barrier_scores(scores: Sequence[Mapping[str, Any]]) -> None:
    """Print how models predicted rows that they did not learn from, with 95 % confidence intervals."""
    if scores:
        click.echo()
        echo_table(list(scores), SCORES)
