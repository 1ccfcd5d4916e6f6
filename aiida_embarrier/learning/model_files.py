"""Models as files: weights as safetensors, and a card; nothing is pickled, and what does not fit is refused."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import safetensors.torch
import torch

from aiida_embarrier.jobs.model_files import ModelFilesError, read_model_files, replace_file
from aiida_embarrier.learning.alignn import ALIGNN

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from aiida_embarrier.jobs.learning import ModelCard

__all__ = ('check_fits', 'n_parameters', 'n_trained', 'read_model', 'write_model')


def n_parameters(model: torch.nn.Module) -> int:
    """Return the number of parameters of a model; what batch normalisation counts is none."""
    return sum(parameter.numel() for parameter in model.parameters())


def n_trained(model: torch.nn.Module) -> int:
    """Return how many of the parameters of a model are trained."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def write_model(folder: Path, model: ALIGNN, card: ModelCard, stem: str = 'model') -> ModelCard:
    """Write a model into a folder.

    Whoever reads the files meanwhile finds either model whole, or the new weights with the old card, which their sha256
    betrays.

    :param card: what the model says of itself; the number of its parameters and the sha256 are filled in.
    :param stem: name of the files without their endings.
    :returns: the card as written.
    :raises ValueError: where the card speaks of other targets than the model has.
    :raises OSError: where they cannot be written.
    """
    if list(model.labels) != card.labels:
        raise ValueError(f'the model has the outputs {list(model.labels)}, its card {card.labels}')
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    weights = safetensors.torch.save(state, {'format': 'pt'})
    card = card.model_copy(
        update={'weights_sha256': hashlib.sha256(weights).hexdigest(), 'n_parameters': n_parameters(model)}
    )
    replace_file(folder / f'{stem}.safetensors', weights)
    replace_file(folder / f'{stem}.json', card.model_dump_json(indent=1).encode())
    return card


def read_model(folder: Path, stem: str = 'model') -> tuple[ALIGNN, ModelCard]:
    """Return the model in a folder, as for predictions (:meth:`torch.nn.Module.eval`), and its card.

    :param stem: name of the files without their endings.
    :raises ModelFilesError: where a file is missing, truncated or altered, has another format, or where the weights are
        of another architecture than the card says.
    """
    weights, card = read_model_files(folder, stem)
    with torch.random.fork_rng(devices=[]):  # that a model is read leaves what is drawn afterwards as it was
        model = ALIGNN(card.architecture, card.labels, card.head_style)
    state = safetensors.torch.load(weights)
    check_fits(state, model)
    model.load_state_dict(state)
    return model.eval(), card


def check_fits(state: Mapping[str, torch.Tensor], model: torch.nn.Module) -> None:
    """Check that weights are of the architecture of a model.

    :raises ModelFilesError: naming the first tensor that is missing, of another shape, or too many.
    """
    wanted = model.state_dict()
    for name, tensor in wanted.items():
        if name not in state:
            raise ModelFilesError(f'the weights are of another architecture than the model: they have no {name}')
        if state[name].shape != tensor.shape:
            raise ModelFilesError(
                f'the weights are of another architecture than the model: {name} has the shape '
                f'{tuple(state[name].shape)}, not {tuple(tensor.shape)}'
            )
    for name in state:
        if name not in wanted:
            raise ModelFilesError(f'the weights are of another architecture than the model, which has no {name}')
