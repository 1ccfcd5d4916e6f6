"""A model: what it says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.model.show import echo_card

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from aiida_embarrier.data.model import ModelData

__all__ = ('OUTPUT', 'PICTURE', 'describe', 'draw', 'echo')

OUTPUT = 'model'
PICTURE = 'learning_curve'

echo = echo_card


def describe(node: ModelData) -> dict[str, Any]:
    """Return the card of a model."""
    return {'pk': node.pk, 'uuid': node.uuid, **node.card.model_dump(mode='json')}


def draw(node: ModelData) -> Figure:
    """Draw the learning curve of the training that made a model.

    :raises click.ClickException: for one that no training of this profile made.
    """
    from aiida_embarrier.cli.views.train import draw as draw_training

    if node.creator is None:
        raise click.ClickException(
            f'model {node.pk} was made by no process of this profile, so there is no learning curve to draw'
        )
    return draw_training(node.creator)
