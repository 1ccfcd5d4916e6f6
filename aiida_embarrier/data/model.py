"""`ModelData`: a trained model as a node, with what it is and how good it is as attributes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiida.common.exceptions import ValidationError
from aiida.orm import Data
from aiida.orm.nodes.caching import NodeCaching

from aiida_embarrier.data.fields import attribute
from aiida_embarrier.jobs.learning import CARD_FILE, WEIGHTS_FILE, ModelCard
from aiida_embarrier.jobs.model_files import ModelFilesError, check_model_files, parse_any_card, parse_card
from aiida_embarrier.jobs.prediction import BarrierModelCard

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiida_embarrier.jobs.model_files import AnyCard

__all__ = ('ModelData',)

#: What a model computes follows from these attributes; whatever else its card says, it predicts the same.
_DECISIVE = (
    'kind',
    'architecture',
    'graphs',
    'head_style',
    'scalers',
    'model',
    'settings',
    'state_sha256',
    'features',
    'feature_settings',
    'weights_sha256',
)


class ModelCaching(NodeCaching):
    """The hash of a model: that of what it computes, whoever trained it, and whatever its title."""

    def get_objects_to_hash(self) -> dict[str, Any]:
        """Return what makes a model: its weights, and how they are used."""
        found = super().get_objects_to_hash()
        attributes = {name: found['attributes'].get(name) for name in _DECISIVE}
        return {'class': found['class'], 'attributes': attributes}


class ModelData(Data):
    """A trained model: its weights as safetensors, its card, and what people ask for as attributes.

    Every attribute below can be filtered on in a query, for instance
    ``QueryBuilder().append(ModelData, filters={'attributes.labels': {'contains': ['dc']}})``; an attribute is None
    where it is not known, or, as `mae_test` of a model of several properties, where there is not one answer. A model of
    migration barriers (`kind` is `barrier`) has those from `model` on, and of the others what they have in common.

    :param weights: content of `model.safetensors`, or the file.
    :param card: what the model says of itself: the card, its entries, or its text.
    :raises ValueError: for weights that are truncated or altered, or that do not belong to the card.
    """

    class AttributesModel(Data.AttributesModel):
        """The attributes that can be queried."""

        kind: str | None = attribute('What the weights are of: alignn, or barrier for a model of migration barriers')
        title: str | None = attribute('What the model is, in one line')
        licence: str | None = attribute('Licence of the weights')
        source: str | None = attribute('Address, DOI or UUID of its origin')
        architecture: dict[str, Any] | None = attribute('Numbers that make the network')
        graphs: dict[str, Any] | None = attribute('How a crystal becomes a graph')
        head_style: str | None = attribute('Whether the head has activations: published or free')
        n_parameters: int | None = attribute('Number of parameters')
        n_trained: int | None = attribute('Number of parameters that were trained')
        labels: list[str] | None = attribute('Short names of the properties in the order of the outputs')
        properties: list[str] | None = attribute('What is predicted, in that order')
        units: list[str | None] | None = attribute('Units, in that order, None for pure numbers')
        scalers: list[dict[str, Any]] | None = attribute('How each target becomes a number of the size of one')
        leaking_scaling: bool | None = attribute('Whether targets were scaled by rows that test, too')
        dataset_uuids: list[str | None] | None = attribute('UUIDs of the datasets that it was trained on')
        dataset_hashes: list[str | None] | None = attribute('Hashes of their contents')
        training: dict[str, Any] | None = attribute('How it was trained')
        seed: int | None = attribute('Seed of the training')
        epochs: int | None = attribute('Epochs that were trained')
        best_epoch: int | None = attribute('The epoch whose weights these are, from 1')
        strategy: str | None = attribute('What of the parent was trained; None for a model without one')
        parent_sha256: str | None = attribute('sha256 of the weights of the parent')
        scores: list[dict[str, Any]] | None = attribute('Errors by target (`label`) and `part`')
        mae_test: float | None = attribute('Mean absolute error on test rows, for a model of one property')
        rmse_test: float | None = attribute('Root mean square error on test rows, for a model of one property')
        r2_test: float | None = attribute('Coefficient of determination on test rows, for a model of one property')
        weights_sha256: str | None = attribute('sha256 of the weights')
        model: str | None = attribute('Name of the model of barriers')
        settings: dict[str, Any] | None = attribute('What it was made with')
        state_sha256: str | None = attribute('sha256 of the plain values that it learned, as canonical JSON')
        features: list[str] | None = attribute('Names of the numbers that it reads')
        feature_settings: dict[str, Any] | None = attribute('What these depend on')
        ions: dict[str, int] | None = attribute('Ions that it learned from, with their rows')
        coverage: float | None = attribute('Coverage of its intervals')
        mae_random: float | None = attribute('Mean absolute error in eV of rows left out at random')
        mae_host_group: float | None = attribute('The same of hosts that were left out whole')
        mae_family_group: float | None = attribute('The same of families that were left out whole')

    _CLS_NODE_CACHING = ModelCaching

    def __init__(
        self,
        weights: bytes | Path | None = None,
        card: AnyCard | Mapping[str, Any] | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if (weights is None) != (card is None):
            raise ValueError(f'a model is its weights and its card ({WEIGHTS_FILE} and {CARD_FILE}): give both')
        if weights is not None:
            content = weights.read_bytes() if isinstance(weights, Path) else weights
            self._set_model(content, _text_of(card))

    def _set_model(self, weights: bytes, text: str) -> None:
        card = check_model_files(weights, text)
        self.base.repository.put_object_from_bytes(weights, WEIGHTS_FILE)
        self.base.repository.put_object_from_bytes(text.encode(), CARD_FILE)
        self.base.attributes.set_many(_attributes_of(card))

    def _validate(self) -> bool:
        super()._validate()
        if not {WEIGHTS_FILE, CARD_FILE} <= set(self.base.repository.list_object_names()):
            raise ValidationError('a model node needs weights and a card: ModelData(weights, card)')
        return True

    @classmethod
    def from_folder(cls, folder: str | Path) -> ModelData:
        """Return the model in a folder, not stored.

        :param folder: with `model.safetensors` and `model.json`.
        :raises FileNotFoundError: where one of them is missing.
        :raises ValueError: for files that are truncated or altered, or that do not belong to each other.
        """
        path = Path(folder)
        for name in (WEIGHTS_FILE, CARD_FILE):
            if not (path / name).is_file():
                raise FileNotFoundError(f'{path} holds no {name}: a model is the two files {WEIGHTS_FILE}, {CARD_FILE}')
        try:
            text = (path / CARD_FILE).read_text(encoding='utf8')
        except UnicodeDecodeError as error:
            raise ModelFilesError(f'{path / CARD_FILE} is not text: it was altered') from error
        return cls(path / WEIGHTS_FILE, text)

    def export(self, folder: str | Path) -> tuple[Path, Path]:
        """Write the model into a folder, for others: weights and card, as :meth:`from_folder` reads them.

        :param folder: made where it does not exist.
        :returns: the two files.
        :raises FileExistsError: where one of them is there already.
        """
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        files = path / WEIGHTS_FILE, path / CARD_FILE
        for file in files:
            if file.exists():
                raise FileExistsError(f'{file} exists: choose another folder, or remove it')
        files[0].write_bytes(self.weights)
        files[1].write_text(self.base.repository.get_object_content(CARD_FILE), encoding='utf8')
        return files

    @property
    def card(self) -> AnyCard:
        """What the model says of itself."""
        return parse_any_card(self.base.repository.get_object_content(CARD_FILE))

    @property
    def property_card(self) -> ModelCard:
        """The card of a model of properties.

        :raises ValueError: for a model of barriers.
        """
        return parse_card(self.base.repository.get_object_content(CARD_FILE))

    @property
    def weights(self) -> bytes:
        """Content of the safetensors file."""
        content: bytes = self.base.repository.get_object_content(WEIGHTS_FILE, mode='rb')
        return content


def _text_of(card: AnyCard | Mapping[str, Any] | str | None) -> str:
    if isinstance(card, str):
        return card
    if isinstance(card, ModelCard | BarrierModelCard):
        return card.model_dump_json(indent=1)
    entries = dict(card or {})
    schema = BarrierModelCard if entries.get('kind') == 'barrier' else ModelCard
    return schema.model_validate(entries).model_dump_json(indent=1)


def _attributes_of(card: AnyCard) -> dict[str, Any]:
    """Return what people ask for, as plain values."""
    return _of_barriers(card) if isinstance(card, BarrierModelCard) else _of_properties(card)


def _of_barriers(card: BarrierModelCard) -> dict[str, Any]:
    entries = card.model_dump(mode='json')
    kept = (
        'kind',
        'title',
        'licence',
        'source',
        'n_parameters',
        'seed',
        'scores',
        'weights_sha256',
        'model',
        'settings',
        'features',
        'feature_settings',
        'ions',
        'barrier_definitions',
        'coverage',
    )
    maes = {score.validation: score.values['mae_eV'].value for score in card.scores if 'mae_eV' in score.values}
    state = json.dumps([entries['state'], entries['intervals'], entries['domain']], sort_keys=True)
    return {
        **{name: entries[name] for name in kept},
        'labels': ['barrier'],
        'properties': ['migration barrier'],
        'units': ['eV'],
        'dataset_uuids': [dataset.uuid for dataset in card.datasets],
        'dataset_hashes': [dataset.hash for dataset in card.datasets],
        'parent_sha256': card.parent,
        'state_sha256': hashlib.sha256(state.encode()).hexdigest(),
        **{f'mae_{how}': maes.get(how) for how in ('random', 'host_group', 'family_group')},
    }


def _of_properties(card: ModelCard) -> dict[str, Any]:
    entries = card.model_dump(mode='json')
    testing = [score for score in card.scores if score.part == 'test']
    only = testing[0] if len(card.scalers) == 1 and len(testing) == 1 else None
    kept = (
        'kind',
        'title',
        'licence',
        'source',
        'architecture',
        'graphs',
        'head_style',
        'n_parameters',
        'n_trained',
        'scalers',
        'training',
        'epochs',
        'best_epoch',
        'scores',
        'weights_sha256',
    )
    return {
        **{name: entries[name] for name in kept},
        'labels': card.labels,
        'properties': [scaler.property for scaler in card.scalers],
        'units': [scaler.unit for scaler in card.scalers],
        'leaking_scaling': any(scaler.leaks for scaler in card.scalers),
        'dataset_uuids': [dataset.uuid for dataset in card.datasets],
        'dataset_hashes': [dataset.hash for dataset in card.datasets],
        'seed': card.training.seed,
        'strategy': None if card.transfer is None else card.transfer.strategy,
        'parent_sha256': card.parent,
        'mae_test': None if only is None else only.mae,
        'rmse_test': None if only is None else only.rmse,
        'r2_test': None if only is None else only.r2,
    }
