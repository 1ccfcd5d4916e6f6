"""A training: how it went, how good its model is, its learning curve and its predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.drawing import draw_history
from aiida_embarrier.cli.model.show import echo_scores, transfer_in_words
from aiida_embarrier.cli.output import echo_pairs
from aiida_embarrier.cli.views import output_of

if TYPE_CHECKING:
    from aiida.orm import ProcessNode
    from matplotlib.figure import Figure

__all__ = ('FIGURES', 'OUTPUT', 'PICTURE', 'describe', 'draw', 'echo')

OUTPUT = 'model'
PICTURE = 'learning_curve'

#: What can be drawn of it.
FIGURES = ('curve', 'parity')

#: How a training ended, in words.
STATUSES = {
    'trained': 'all epochs',
    'stopped_early': 'ended early: the validation error fell no further',
    'diverged': 'diverged',
    'stalled': 'learned nothing',
    None: 'interrupted',
}


def describe(node: ProcessNode) -> dict[str, Any]:
    """Return how a training went and what its model says of itself.

    :raises click.ClickException: for a process without a model.
    """
    model = output_of(node, OUTPUT, 'model')
    results = node.outputs.results.get_dict() if 'results' in node.outputs else {}
    losses: list[float] = []
    if 'curve' in node.outputs:
        curve = node.outputs.curve.table
        column = 'mae_validation' if curve['mae_validation'].notna().any() else 'loss_train'
        losses = [float(value) for value in curve[column].dropna()]
    nodes = {name: node.outputs[name].pk for name in ('model', 'curve', 'predictions') if name in node.outputs}
    return {
        'pk': node.pk,
        'uuid': node.uuid,
        'nodes': nodes,
        **{name: results.get(name) for name in _OF_RESULTS},
        'errors': losses,
        'card': model.card.model_dump(mode='json'),
    }


_OF_RESULTS = (
    'status',
    'epochs',
    'best_epoch',
    'rows',
    'device',
    'precision',
    'n_processes',
    'training_s',
    'rows_per_s',
    'peak_memory_mb',
    'scores',
    'warnings',
)


def echo(description: dict[str, Any]) -> None:
    """Print a description for people."""
    card, rows = description['card'], description['rows'] or {}
    speed, memory = description['rows_per_s'], description['peak_memory_mb']
    seconds = description['training_s']
    pairs = {
        'process': description['pk'],
        'model': f'{description["nodes"]["model"]}'
        + (f', {card["title"]}' if card['title'] else '')
        + f': {card["n_parameters"]:,} parameters'
        + (f', {card["n_trained"]:,} trained' if card['n_trained'] != card['n_parameters'] else ''),
        'transfer': None if card['transfer'] is None else transfer_in_words(card['transfer'], card['parent']),
        'ended': STATUSES.get(description['status'], description['status']),
        'epochs': f'{description["epochs"]} of {card["training"]["epochs"]}'
        + (f', the best was {description["best_epoch"]}' if description['best_epoch'] else ''),
        'crystals': ', '.join(f'{part} {n}' for part, n in rows.items()) or None,
        'time': None
        if seconds is None
        else f'{seconds:.3g} s on {description["device"]} ({description["precision"]})'
        + (f', {speed:.3g} crystals per second' if speed else '')
        + (f', {memory:.0f} MB' if memory else ''),
    }
    echo_pairs({key: value for key, value in pairs.items() if value is not None})
    errors = [value for value in description['errors'] if value > 0]
    if len(errors) > 1:
        click.echo(f'\nerror by epoch, {max(errors):.3g} to {min(errors):.3g} (scaled, logarithmic)')
        click.echo(draw_history(errors, min(errors)))
    echo_scores(description['scores'] or card['scores'])
    for warning in description['warnings'] or []:
        click.echo(f'\nwarning: {warning}')


def draw(node: ProcessNode, figure: str = 'curve') -> Figure:
    """Draw one of :data:`FIGURES`.

    :raises click.ClickException: for a process without these outputs.
    :raises ValueError: where there is nothing of it to draw.
    """
    title = node.label or None
    if figure == 'parity':
        from aiida_embarrier.figures.parity import parity

        scalers = output_of(node, OUTPUT, 'model').property_card.scalers
        return parity(
            output_of(node, 'predictions', 'predictions').table,
            names={scaler.label: scaler.property for scaler in scalers},
            units={scaler.label: scaler.unit for scaler in scalers},
            title=title,
        )
    from aiida_embarrier.figures.learning_curve import learning_curve

    results = node.outputs.results.get_dict() if 'results' in node.outputs else {}
    return learning_curve(
        output_of(node, 'curve', 'learning curve').table, best_epoch=results.get('best_epoch'), title=title
    )
