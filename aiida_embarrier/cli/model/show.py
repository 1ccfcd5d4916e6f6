"""``aiida-embarrier model show``: what a model says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.model.barrier_card import echo_barrier_card
from aiida_embarrier.cli.output import Column, echo_json, echo_pairs, echo_table
from aiida_embarrier.cli.params import FORMAT
from aiida_embarrier.datasets.parts import LEARNED_PARTS

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ('command', 'echo_card', 'echo_scores')

TARGETS = (
    Column('label', 'label'),
    Column('property', 'property', width=60),
    Column('unit', 'unit'),
    Column('scaling', lambda row: row['method'] + (' (leaks)' if row['leaks'] else '')),
)

SCORES = (
    Column('target', 'label'),
    Column('part', 'part'),
    Column('rows', 'n', 'd'),
    Column('MAE', 'mae', '.4g'),
    Column('RMSE', 'rmse', '.4g'),
    Column('R²', 'r2', '.4f'),
    Column('MAE, scaled', 'mae_scaled', '.4g'),
)

DATASETS = (
    Column('dataset', 'label'),
    Column('rows', lambda row: ', '.join(f'{part} {n}' for part, n in row['rows'].items())),
    Column('node', 'uuid'),
    Column('hash', lambda row: (row['hash'] or '')[:12] or None),
)

LEAKS = 'the targets were scaled by all rows, those that test included, as in the published models: scores flatter'


@click.command('show')
@click.argument('model', metavar='FOLDER-OR-NODE')
@click.option('-p', '--profile', metavar='NAME', envvar='AIIDA_PROFILE', help='AiiDA profile to look for nodes in.')
@FORMAT
def command(model: str, profile: str | None, output_format: str) -> None:
    """Say what a model predicts, how it was trained and how good it is.

    Its files are checked: whole, unaltered, card and weights of one model. A folder needs no profile, nor do
    `released` and `released-potential`, the models of barriers that come with this package.
    """
    from aiida_embarrier.cli.model.loading import load_any_model

    found = load_any_model(model, profile)
    about = {} if found.node is None else {'pk': found.node.pk, 'uuid': found.node.uuid}
    card = found.card.model_dump(mode='json')
    if output_format == 'json':
        echo_json({**about, **card})
    else:
        echo_card({**about, **card})


def echo_card(card: Mapping[str, Any]) -> None:
    """Print the card of a model for people."""
    if card['kind'] == 'barrier':
        echo_barrier_card(card)
        return
    architecture, training, transfer = card['architecture'], card['training'], card['transfer']
    graphs = card['graphs']
    layers = f'{architecture["alignn_layers"]} + {architecture["gcn_layers"]} layers, {architecture["hidden"]} features'
    reach = f'{graphs["cutoff"]:g} Å'
    bonds = f'{graphs["n_neighbours"]} nearest within {reach}, whole shells' if graphs['neighbours'] == 'nearest' else (
        f'all within {reach}'
    )  # fmt: skip
    pairs = {
        **{key: card[key] for key in ('pk', 'title', 'licence', 'source', 'limits') if card.get(key) is not None},
        'architecture': f'{card["kind"]}, {layers}, {architecture["norm"]} normalisation',
        'parameters': f'{card["n_parameters"]:,}'
        + (f', {card["n_trained"]:,} of them trained' if card['n_trained'] != card['n_parameters'] else ''),
        'neighbours': bonds + (', each twice' if graphs['doubled'] else ''),
        'training': f'{training["loss"]}, learning rate {training["lr"]:g} ({training["schedule"]}), batches of '
        f'{training["batch_size"]}, seed {training["seed"]}',
        'epochs': f'{card["epochs"]} of {training["epochs"]}'
        + (f', the best was {card["best_epoch"]}' if card['best_epoch'] is not None else ''),
        'transfer': None if transfer is None else transfer_in_words(transfer, card['parent']),
        'weights (sha256)': card['weights_sha256'],
    }
    echo_pairs({key: value for key, value in pairs.items() if value is not None})
    click.echo()
    echo_table(card['scalers'], TARGETS)
    if card['datasets']:
        click.echo()
        echo_table(card['datasets'], DATASETS)
    echo_scores(card['scores'])
    if any(scaler['leaks'] for scaler in card['scalers']):
        click.echo(f'\nwarning: {LEAKS}')


def transfer_in_words(transfer: Mapping[str, Any], parent: str | None) -> str:
    """Return how a model came from its parent."""
    further = [f'{key} {transfer[key]}' for key in ('head', 'freeze') if transfer.get(key) is not None]
    of = f' of the model {parent[:12]}' if parent else ''
    return ', '.join([transfer['strategy'], *further]) + of


def echo_scores(scores: list[dict[str, Any]]) -> None:
    """Print errors by target and part, in the units of the targets."""
    if scores:
        click.echo()
        labels = [score['label'] for score in scores]
        order = [*LEARNED_PARTS, *(score['part'] for score in scores)]  # not that of the rows of a split
        echo_table(sorted(scores, key=lambda score: (labels.index(score['label']), order.index(score['part']))), SCORES)
