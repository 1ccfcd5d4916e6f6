"""Models that commands take: folders with their files, which need no profile, and nodes."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import click

from aiida_embarrier.jobs.learning import CARD_FILE, WEIGHTS_FILE

if TYPE_CHECKING:
    from aiida_embarrier.jobs.learning import ModelCard
    from aiida_embarrier.jobs.model_files import AnyCard
    from aiida_embarrier.jobs.prediction import BarrierModelCard

__all__ = ('LoadedModel', 'load_any_model', 'load_barrier_model', 'load_model')

#: Likeness from which on a name is taken for a misspelt one of a model of this package.
_SAME_NAME = 0.9

CardT = TypeVar('CardT')


class LoadedModel(NamedTuple, Generic[CardT]):
    """A model whose files were checked.

    :param weights: content of its safetensors file.
    :param card: what it says of itself.
    :param node: None for a folder.
    """

    weights: bytes
    card: CardT
    node: Any | None


def load_model(identifier: str, profile: str | None = None) -> LoadedModel[ModelCard]:
    """Return a model of properties; as :func:`load_any_model`, which returns one of barriers, too.

    :raises ValueError: for a model of barriers, too.
    """
    from aiida_embarrier.jobs.model_files import parse_card

    found = load_any_model(identifier, profile)
    return LoadedModel(found.weights, parse_card(found.card.model_dump_json()), found.node)


def load_barrier_model(identifier: str, profile: str | None = None) -> LoadedModel[BarrierModelCard]:
    """Return a model of barriers; as :func:`load_any_model`, which returns one of properties, too.

    :raises ValueError: for a model of properties, too.
    """
    from aiida_embarrier.jobs.model_files import barrier_card

    found = load_any_model(identifier, profile)
    return LoadedModel(found.weights, barrier_card(found.card), found.node)


def load_any_model(identifier: str, profile: str | None = None) -> LoadedModel[AnyCard]:
    """Return the model in a folder, or that of a node (PK, UUID or label) or of the process that made it.

    `released` and `released-potential` are the models of barriers that come with this package.

    :param profile: name of the profile to look for nodes in; None for the default one. A folder needs none.
    :raises click.ClickException: where there is neither.
    :raises ValueError: for files that are missing, truncated or altered, or that do not belong to each other.
    """
    from aiida_embarrier.jobs.barriers_here import RELEASED, released_folder

    path = released_folder(identifier) if identifier in RELEASED else Path(identifier)
    if path.is_file() and path.name in {WEIGHTS_FILE, CARD_FILE}:
        path = path.parent
    if path.is_dir():
        from aiida_embarrier.jobs.model_files import read_any_model_files

        return LoadedModel(*read_any_model_files(path), None)
    if path.suffix or len(path.parts) > 1:
        raise click.ClickException(f'there is no folder {identifier!r}')
    meant = get_close_matches(identifier.lower().replace('_', '-'), RELEASED, n=1, cutoff=_SAME_NAME)
    if meant:
        raise click.ClickException(
            f'there is no model {identifier!r}: did you mean `{meant[0]}`? The models of this package are '
            f'{" and ".join(f"`{name}`" for name in RELEASED)}; name a node with such a label by its PK'
        )
    from aiida_embarrier.cli.launch.datasets import model_node
    from aiida_embarrier.cli.params import load_profile

    try:
        load_profile(profile)
        node = model_node(identifier)
    except click.ClickException as error:
        raise click.ClickException(
            f'{identifier!r} is no folder and no model of this package ({", ".join(RELEASED)}), so it is sought among '
            f'the nodes: {error.message}'
        ) from error
    return LoadedModel(node.weights, node.card, node)
