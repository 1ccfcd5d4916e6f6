"""The YAML file that describes a training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError, field_validator, model_validator

from aiida_embarrier.calculations.learning_inputs import OF_MODEL, SECTIONS, resolve_parameters, resolve_settings
from aiida_embarrier.calculations.parameters import check_keys
from aiida_embarrier.calculations.sampling import SAMPLE_PARAMETERS
from aiida_embarrier.calculations.splits import PARAMETERS as SPLIT_PARAMETERS
from aiida_embarrier.jobs.messages import describe
from aiida_embarrier.workflows.functionals_inputs import Section
from aiida_embarrier.workflows.spec_files import beside, read_entries

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ('TargetSpec', 'TrainSpec', 'read_training')


class TargetSpec(Section):
    """A property to learn.

    :param dataset: a file, or PK, UUID or label of a node.
    :param split: a file or node with `name` and `part` of the rows, or a mapping with `method` and whatever else
        :func:`~aiida_embarrier.datasets.splits.split_dataset` takes.
    :param sample: instead of that, a mapping with what :func:`~aiida_embarrier.calculations.sampling.sample_split`
        takes, and `file` for published samples.
    :param property: what the numbers of a file are, where its name does not tell.
    :param unit: their unit.
    """

    dataset: str
    split: str | dict[str, Any] | None = None
    sample: dict[str, Any] | None = None
    property: str | None = None
    unit: str | None = None

    @field_validator('dataset', 'split', mode='before')
    @classmethod
    def _identifiers_are_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) else value

    @field_validator('split')
    @classmethod
    def _a_method_is_named(cls, value: Any) -> Any:
        if isinstance(value, dict) and not isinstance(value.get('method'), str):
            raise ValueError('a split that is made names its `method`, such as `method: random`')
        if isinstance(value, dict):
            if 'size' in value or 'rows' in value:
                raise ValueError('a split takes all rows: to draw a number of them say `sample: {size: ...}` instead')
            check_keys(value, SPLIT_PARAMETERS)
        return value

    @model_validator(mode='after')
    def _rows_are_chosen_once(self) -> TargetSpec:
        if (self.split is None) == (self.sample is None):
            raise ValueError('either `split` or `sample` says which rows train, validate and test')
        if self.sample is not None:
            check_keys(self.sample, (*SAMPLE_PARAMETERS, 'file'))
            if (self.sample.get('method') == 'published') != ('file' in self.sample):
                raise ValueError('`method: published` and the `file` with the published samples go together')
            for name in ('trial', 'size') if 'file' in self.sample else ():
                if not isinstance(self.sample.get(name), int):
                    raise ValueError(f'`{name}` of a published sample is a whole number, got {self.sample.get(name)!r}')
        return self


class TrainSpec(Section):
    """The file of a training.

    :param title: of the model, one line for people.
    :param licence: of its weights.
    :param targets: what is learned, by the labels that name the heads of the model.
    :param architecture: name of an architecture, or a mapping whose `base` names one to change.
    :param graphs: how crystals become graphs.
    :param training: how the model is trained.
    :param transfer: what of the parent is kept, and what is trained.
    :param parent: model to start from: a folder with its files, or PK, UUID or label of a node, or of a training.
    :param hardware: what a job uses of its machine, and `checkpoint_seconds`.
    :param options: options of jobs as AiiDA names them.
    :param code: label of the code of the worker.
    """

    title: str | None = None
    licence: str | None = None
    targets: dict[str, TargetSpec] = Field(min_length=1)
    architecture: str | dict[str, Any] | None = None
    graphs: dict[str, Any] | None = None
    training: dict[str, Any] | None = None
    transfer: dict[str, Any] | None = None
    parent: str | None = None
    hardware: dict[str, Any] = Field(default_factory=dict)
    options: dict[str, Any] = Field(default_factory=dict)
    code: str | None = None

    @field_validator('parent', mode='before')
    @classmethod
    def _parent_is_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) else value

    @field_validator('transfer', mode='before')
    @classmethod
    def _a_strategy_is_enough(cls, value: Any) -> Any:
        return {'strategy': value} if isinstance(value, str) else value

    @model_validator(mode='after')
    def _known_settings(self) -> TrainSpec:
        if self.transfer is not None and self.parent is None:
            raise ValueError('`transfer` says what of a parent model is kept: name the `parent`, or leave it out')
        # with a parent, architecture and graphs are checked against its own when it is there
        resolve_parameters({key: value for key, value in self.parameters.items() if key != 'transfer'})
        resolve_settings(self.hardware)
        return self

    @property
    def parameters(self) -> dict[str, Any]:
        """Parameters of a training as its process takes them."""
        return {key: value for key in (*SECTIONS, *OF_MODEL) if (value := getattr(self, key)) is not None}


def read_training(path: Path) -> TrainSpec:
    """Return what the file of a training says; files in it stand relative to it and are returned as paths from here.

    :raises ValueError: for a file that is none, with the place and the closest known key.
    """
    try:
        spec = TrainSpec(**read_entries(path))
    except ValidationError as error:
        raise ValueError(f'{path}: {describe(error)}') from error
    targets = {
        label: target.model_copy(
            update={
                'dataset': beside(path, target.dataset),
                'split': beside(path, target.split) if isinstance(target.split, str) else target.split,
                'sample': _with_file(path, target.sample),
            }
        )
        for label, target in spec.targets.items()
    }
    parent = None if spec.parent is None else beside(path, spec.parent)
    return spec.model_copy(update={'targets': targets, 'parent': parent})


def _with_file(path: Path, sample: dict[str, Any] | None) -> dict[str, Any] | None:
    if sample is None or 'file' not in sample:
        return sample
    file = path.parent / str(sample['file'])
    if not file.is_file():
        raise ValueError(f'{path}: there is no file {str(file)!r}')
    return {**sample, 'file': str(file)}
