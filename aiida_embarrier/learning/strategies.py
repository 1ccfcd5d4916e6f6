"""Transfer: which weights of a parent model another one starts from, and which of them are trained.

The strategies are those of the published work (npj Comput. Mater. 10, 300 (2024)), whose scripts number the children
of the network: 1 atom_embedding, 2 edge_embedding, 3 angle_embedding, 4 alignn_layers, 5 gcn_layers, 6 readout, 7 the
head.

A frozen layer has parameters that are not trained, no more: as in the published scripts the network is in training mode
as a whole, so batch normalisation goes on to normalise by the batch at hand, and its running statistics, which
predictions use, follow the new data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from aiida_embarrier.learning.alignn import ALIGNN
from aiida_embarrier.learning.model_files import check_fits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiida_embarrier.jobs.learning import Architecture, GraphSettings, ModelCard, Transfer

__all__ = ('check_parent', 'freeze', 'heads_from', 'transferred')

HeadStyle = Literal['published', 'free']

#: What of an architecture is about its head: a new head need not be like that of the parent.
_OF_THE_HEAD = {'head_layers', 'head_width'}


def transferred(
    parent: ALIGNN, card: ModelCard, transfer: Transfer, labels: Sequence[str], architecture: Architecture
) -> tuple[ALIGNN, HeadStyle]:
    """Return a model that starts from a parent, with what is not trained frozen, and the style of its heads.

    New heads are drawn from the global random state of torch. The parent stays as it is.

    :param card: of the parent.
    :param transfer: the strategy.
    :param labels: of the targets of the new model.
    :param architecture: of the new model.
    :raises ValueError: where the parent is of another architecture, or lacks what the strategy trains.
    """
    sources = heads_from(card, transfer, labels)
    _check_architecture(card.architecture, architecture, whole=sources is not None)
    style: HeadStyle = 'published'
    if transfer.strategy == 'new_head':
        style = 'free'
    elif sources is not None:
        style = card.head_style
    model = ALIGNN(architecture, labels, style)
    state = {name: value for name, value in parent.state_dict().items() if not name.startswith('heads.')}
    for label in labels:
        head = model.heads[label] if sources is None else parent.heads[sources[label]]
        state |= {f'heads.{label}.{name}': value for name, value in head.state_dict().items()}
    check_fits(state, model)
    model.load_state_dict(state)
    freeze(model, transfer)
    return model, style


def heads_from(card: ModelCard, transfer: Transfer, labels: Sequence[str]) -> dict[str, str] | None:
    """Return which head of the parent each target starts from, None for new heads.

    The head of the parent is that of the same label, or, where parent and new model have one each, that one, whatever
    it has learned: so the published work goes from one property to another.

    :param card: of the parent.
    :raises ValueError: where the strategy trains a head of the parent that it does not have.
    """
    if transfer.strategy == 'new_head' or transfer.head == 'new':
        return None
    if len(labels) == len(card.labels) == 1:
        return {labels[0]: card.labels[0]}
    if transfer.strategy == 'all' and transfer.head is None:
        return None
    missing = [label for label in labels if label not in card.labels]
    if missing:
        what = "the head 'parent'" if transfer.strategy == 'all' else f'the strategy {transfer.strategy!r}'
        raise ValueError(
            f'{what} goes on with the head of the parent, which has heads for {", ".join(card.labels)} and none for '
            f"{', '.join(missing)}: take new heads ('new_head', or 'all' with the head 'new'), or another parent"
        )
    return {label: label for label in labels}


def check_parent(card: ModelCard, architecture: Architecture, graphs: GraphSettings) -> None:
    """Check that what a parent has learned can be carried over at all, before anything is read or built.

    :param card: of the parent.
    :param architecture: of the new model; its head may differ.
    :param graphs: how the crystals of the new model become graphs.
    :raises ValueError: for another architecture or other graphs, naming the first difference.
    """
    _check_architecture(card.architecture, architecture, whole=False)
    for name, value in graphs.model_dump(exclude={'coincident'}).items():  # which crystals there are, not what they are
        known = getattr(card.graphs, name)
        if value != known:
            raise ValueError(
                f'the parent has learned on graphs with {name} {known!r}, this training has {value!r}, where its '
                'weights mean something else: take the graphs of the parent'
            )


def _check_architecture(parent: Architecture, architecture: Architecture, whole: bool) -> None:
    for name, value in architecture.model_dump().items():
        known = getattr(parent, name)
        if value != known and (whole or name not in _OF_THE_HEAD):
            raise ValueError(
                f'the parent is of another architecture: its {name} is {known!r}, that of the new model {value!r}; '
                'take that of the parent'
            )


def freeze(model: ALIGNN, transfer: Transfer) -> None:
    """Say of every parameter of a model whether it is trained.

    :raises ValueError: where nothing is left of the kind of layers that the strategy trains.
    """
    kept = transfer.freeze or ('none' if transfer.strategy == 'all' else 'encoder')
    model.requires_grad_(kept != 'encoder')
    model.heads.requires_grad_(True)
    if kept == 'atoms':
        model.atom_embedding.requires_grad_(False)
    if transfer.strategy in {'two_body', 'three_body'}:
        layers = [layer.node_update for layer in model.alignn_layers] + list(model.gcn_layers)
        if transfer.strategy == 'three_body':
            layers = [layer.edge_update for layer in model.alignn_layers if layer.edge_update is not None]
        if not layers:
            raise ValueError(f'the model has no layers that the strategy {transfer.strategy!r} trains')
        for layer in layers:
            layer.requires_grad_(True)
