"""The YAML file that describes how a model of barriers is made, and which others it is compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError, field_validator, model_validator

from aiida_embarrier.calculations.learning_inputs import resolve_settings
from aiida_embarrier.calculations.prediction_inputs import (
    OF_MODELS,
    check_described,
    check_numbers_needed,
    resolve_features,
    resolve_models,
)
from aiida_embarrier.jobs.messages import describe
from aiida_embarrier.jobs.prediction import BarrierHardware
from aiida_embarrier.workflows.functionals_inputs import Section
from aiida_embarrier.workflows.spec_files import beside, read_entries

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ('BarrierModelSpec', 'read_barrier_model')


class BarrierModelSpec(Section):
    """The file of a model of barriers.

    :param title: of the model that is kept, one line for people.
    :param licence: of it.
    :param limits: what it is not good for.
    :param source: address or DOI of its origin.
    :param dataset: a file, or PK, UUID or label of a node.
    :param split: a file or node with `name` and `part` of the rows, or a mapping with `method` and whatever else
        :func:`~aiida_embarrier.datasets.splits.split_dataset` takes; left out where all rows train.
    :param describe: how paths are described: `potential` and `budget`; an empty mapping for geometry alone. Left out
        where no model reads numbers, or `features` are given.
    :param features: node with numbers that describe the paths, or process that made one.
    :param models: names, or mappings with `label`, `model`, `settings` and `parent`.
    :param validations: mappings with `how`, `folds` and `seeds`.
    :param fit: label of the model that is kept.
    :param seed: of its fit.
    :param coverage: of the intervals.
    :param n_resamples: of the bootstrap.
    :param parents: models that networks start from, by labels: folders, or PK, UUID or label of nodes.
    :param hardware: what a job uses of its machine, and `checkpoint_seconds`.
    :param options: options of jobs as AiiDA names them.
    :param code: label of the code of the worker.
    """

    title: str | None = None
    licence: str | None = None
    limits: str | None = None
    source: str | None = None
    dataset: str
    split: str | dict[str, Any] | None = None
    describe: dict[str, Any] | None = None
    features: str | None = None
    models: list[Any] = Field(min_length=1)
    validations: list[dict[str, Any]] = Field(default_factory=list)
    fit: str | None = None
    seed: int | None = None
    coverage: float | None = None
    n_resamples: int | None = None
    parents: dict[str, str] = Field(default_factory=dict)
    hardware: dict[str, Any] = Field(default_factory=dict)
    options: dict[str, Any] = Field(default_factory=dict)
    code: str | None = None

    @field_validator('dataset', 'features', 'split', mode='before')
    @classmethod
    def _nodes_are_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) else value

    @field_validator('parents', mode='before')
    @classmethod
    def _parents_are_text(cls, value: Any) -> Any:
        return {key: str(name) for key, name in value.items()} if isinstance(value, dict) else value

    @model_validator(mode='after')
    def _known_settings(self) -> BarrierModelSpec:
        if self.describe is not None and self.features is not None:
            raise ValueError('give either `features`, or how to `describe` paths')
        asked = resolve_models(self.parameters)
        if self.describe is not None:
            wrong = check_described(asked['models'], resolve_features(self.describe))
            if wrong is not None:
                raise ValueError(wrong)
        elif self.features is None:
            wrong = check_numbers_needed(asked['models'])
            if wrong is not None:
                raise ValueError(wrong)
        if self.split is None and any(validation['how'] == 'split' for validation in asked['validations']):
            raise ValueError('the validation `split` needs a `split`')
        for model in asked['models']:
            if model['parent'] is not None and model['parent'] not in self.parents:
                raise ValueError(f'{model["label"]} starts from {model["parent"]!r}, which is not among the `parents`')
        resolve_settings(self.hardware, BarrierHardware)
        return self

    @property
    def parameters(self) -> dict[str, Any]:
        """Parameters as the process takes them."""
        return {key: value for key in OF_MODELS if (value := getattr(self, key)) is not None}


def read_barrier_model(path: Path) -> BarrierModelSpec:
    """Return what the file of a model says; files in it stand relative to it and are returned as paths from here.

    :raises ValueError: for a file that is none, with the place and the closest known key.
    """
    try:
        spec = BarrierModelSpec(**read_entries(path))
    except ValidationError as error:
        raise ValueError(f'{path}: {describe(error)}') from error
    return spec.model_copy(
        update={
            'dataset': beside(path, spec.dataset),
            'split': beside(path, spec.split) if isinstance(spec.split, str) else spec.split,
            'parents': {label: beside(path, parent) for label, parent in spec.parents.items()},
        }
    )
