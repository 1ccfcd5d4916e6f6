"""The YAML file that describes a study of transfer learning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from aiida_embarrier.calculations.learning_inputs import resolve_settings
from aiida_embarrier.engines.protocols import closest
from aiida_embarrier.jobs.learning import (
    STRATEGIES,
    GraphSettings,
    TrainingSettings,
    Transfer,
    architecture_of,
)
from aiida_embarrier.jobs.messages import describe
from aiida_embarrier.workflows.functionals_inputs import Section
from aiida_embarrier.workflows.spec_files import beside, read_entries

if TYPE_CHECKING:
    from pathlib import Path

__all__ = (
    'Budget',
    'DatasetSpec',
    'FineTuning',
    'MultiSource',
    'PreTraining',
    'Stages',
    'StudySpec',
    'TestRows',
    'read_study',
)

#: Numbers of rows: `all` for every row that is left once test structures are taken out.
Rows = int | Literal['all']


def transfer_of(entry: str | Mapping[str, Any]) -> Transfer:
    """Return a strategy by its name, or of a mapping.

    :raises ValueError: for unknown strategies and keys, with the closest known one.
    """
    given = {'strategy': entry} if isinstance(entry, str) else dict(entry)
    _check_keys(given, Transfer.model_fields)
    name = given.get('strategy', 'all')
    if name not in STRATEGIES:
        raise ValueError(f'there is no strategy {name!r}{closest(name, STRATEGIES)}')
    return Transfer(**given)


def check_settings(settings: Mapping[str, Any], place: str) -> None:
    """Refuse settings of trainings that are none.

    :raises ValueError: naming the closest known one, or what a value should be.
    """
    try:
        _check_keys(settings, TrainingSettings.model_fields)
        TrainingSettings(**settings)
    except ValidationError as error:
        raise ValueError(f'{place}: {describe(error)}') from error
    except ValueError as error:
        raise ValueError(f'{place}: {error}') from error


def _check_keys(given: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    for key in given:
        if key not in known:
            raise ValueError(f'unknown key {key!r}{closest(key, known)}')


class DatasetSpec(Section):
    """A dataset of a property.

    :param dataset: a file, or PK, UUID or label of a node.
    :param property: what the numbers of a file are, where its name does not tell.
    :param unit: their unit.
    """

    dataset: str
    property: str | None = None
    unit: str | None = None

    @field_validator('dataset', mode='before')
    @classmethod
    def _identifiers_are_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) else value


class MultiSource(Section):
    """A model of several properties that is pre-trained once, or once for each target that is left out.

    :param sources: labels of datasets; None for all.
    :param leave_out_target: whether what is fine-tuned on a target starts from a model that has not seen that property.
    :param rows: of each source.
    :param architecture: as that of the study; None for that one.
    """

    sources: list[str] | None = Field(None, min_length=1)
    leave_out_target: bool = False
    rows: Rows = 'all'
    architecture: str | dict[str, Any] | None = None


class PreTraining(Section):
    """What is pre-trained, each once whatever is fine-tuned from it.

    :param sources: labels of datasets, each of which gives a model of one property.
    :param rows: numbers of their rows, each of which gives a model.
    :param multi: models of several properties by their labels, which begin with `multi`.
    :param validation_fraction: share of the rows that validates.
    :param seed: of the rows that are drawn.
    """

    sources: list[str] = Field(default_factory=list)
    rows: list[Rows] = Field(default=['all'], min_length=1)
    multi: dict[str, MultiSource] = Field(default_factory=dict)
    validation_fraction: float = Field(0.1, gt=0, lt=1)
    seed: int = Field(1, ge=0)


class FineTuning(Section):
    """A block of trainings: every combination of what it lists.

    :param targets: labels of datasets.
    :param rows: numbers of rows for training and validation together.
    :param trials: how many, or which: each draws its own rows.
    :param sources: labels of pre-trainings, `scratch` for none; None for all of them, and scratch.
    :param strategies: names of :data:`~aiida_embarrier.jobs.learning.STRATEGIES`, or mappings with `strategy`, `head`
        and `freeze`.
    :param lr: learning rates; None for that of the stage. A training from scratch has that of its stage alone.
    :param sampling: how rows are drawn: `published` for the samples of the authors, or a method of
        :mod:`aiida_embarrier.datasets.sampling`.
    :param validation_fraction: share of the rows that validates; of published samples it is that of the authors.
    """

    targets: list[str] = Field(min_length=1)
    rows: list[Rows] = Field(min_length=1)
    trials: int | list[int] = 1
    sources: list[str] | None = None
    strategies: list[str | dict[str, Any]] = Field(default=['all'], min_length=1)
    lr: list[float] | None = Field(None, min_length=1)
    sampling: list[str] = Field(default=['random'], min_length=1)
    validation_fraction: float = Field(0.1, gt=0, lt=1)

    @field_validator('trials')
    @classmethod
    def _some_trial(cls, value: int | list[int]) -> int | list[int]:
        numbers = [value] if isinstance(value, int) else value
        if not numbers or min(numbers) < 1:
            raise ValueError(f'trials are counted from 1, got {value}')
        return value

    @field_validator('rows')
    @classmethod
    def _some_rows(cls, value: list[Rows]) -> list[Rows]:
        few = [number for number in value if isinstance(number, int) and number < 2]
        if few:
            raise ValueError(f'a row for training and one for validation are the least, got {few[0]}')
        return value

    @field_validator('strategies')
    @classmethod
    def _known_strategies(cls, value: list[str | dict[str, Any]]) -> list[str | dict[str, Any]]:
        for entry in value:
            transfer_of(entry)
        return value

    @property
    def numbers_of_trials(self) -> list[int]:
        """The trials by their numbers, from 1."""
        return list(range(1, self.trials + 1)) if isinstance(self.trials, int) else self.trials


class Stages(Section):
    """Settings of trainings, as :class:`~aiida_embarrier.jobs.learning.TrainingSettings` names them.

    :param common: of all trainings.
    :param pretraining: of models of one property.
    :param multi: of models of several.
    :param finetuning: of trainings that start from a model.
    :param scratch: of those that do not.
    :param by_rows: of the two latter, by the number of rows: a batch of one for ten rows, say.
    """

    common: dict[str, Any] = Field(default_factory=dict)
    pretraining: dict[str, Any] = Field(default_factory=dict)
    multi: dict[str, Any] = Field(default_factory=dict)
    finetuning: dict[str, Any] = Field(default_factory=dict)
    scratch: dict[str, Any] = Field(default_factory=dict)
    by_rows: dict[int, dict[str, Any]] = Field(default_factory=dict)

    @model_validator(mode='after')
    def _known_settings(self) -> Stages:
        stages = {name: getattr(self, name) for name in ('common', 'pretraining', 'multi', 'finetuning', 'scratch')}
        for name, settings in {**stages, **{f'by_rows.{rows}': own for rows, own in self.by_rows.items()}}.items():
            check_settings(settings, name)
        return self

    def settings(self, stage: str, rows: Rows | None = None, **further: Any) -> TrainingSettings:
        """Return the settings of a training.

        :param stage: `pretraining`, `multi`, `finetuning` or `scratch`.
        :param rows: its number of rows, where these may say something.
        :param further: settings that win.
        """
        own = self.by_rows.get(rows, {}) if isinstance(rows, int) else {}
        return TrainingSettings(**{**self.common, **getattr(self, stage), **own, **further})


class TestRows(Section):
    """The rows that test, the same in every trial; where a dataset publishes its own, those are taken unless told.

    :param published: whether rows that the dataset labels as test are taken where there are any.
    :param fraction: share of the rows that tests otherwise.
    :param seed: of the rows that are drawn.
    """

    __test__ = False  # for pytest, which takes every class Test... for one of its own

    published: bool = True
    fraction: float = Field(0.1, gt=0, lt=1)
    seed: int = Field(1, ge=0)


class Budget(Section):
    """What a study may take.

    :param max_trainings: number of trainings; more are refused.
    :param max_concurrent: how many run at a time.
    :param max_wall_seconds: wall time of each job; a training goes on from its checkpoint in the next one.
    :param max_core_hours: what all trainings together are expected to take at most.
    :param on_excess: whether more than that is refused or only said.
    :param seconds_per_atom: seconds of one core for each atom of a training row and epoch, as measured on the machine
        that trains; None for what was measured on the machine that this was written on.
    """

    max_trainings: int = Field(1000, gt=0)
    max_concurrent: int = Field(1, gt=0)
    max_wall_seconds: int | None = Field(None, gt=0)
    max_core_hours: float | None = Field(None, gt=0)
    on_excess: Literal['refuse', 'warn'] = 'refuse'
    seconds_per_atom: float | None = Field(None, gt=0)


class StudySpec(Section):
    """The file of a study.

    :param title: one line for people.
    :param datasets: by short labels that name the properties; a file or the PK, UUID or label of a node is enough.
    :param published: file with the sample ids of the authors.
    :param published_results: file with the results of the authors, beside which ours are put.
    :param test: the rows that test.
    :param pretraining: what is pre-trained.
    :param finetuning: what is trained and tested, one block or several.
    :param architecture: name of an architecture, or a mapping whose `base` names one to change.
    :param graphs: how crystals become graphs.
    :param training: settings of trainings.
    :param seed: of the weights in trial 1; in trial 2 it is one more, and so on.
    :param hardware: what a job uses of its machine, and `checkpoint_seconds`.
    :param options: options of jobs as AiiDA names them.
    :param code: label of the code of the worker.
    :param budget: what it may take.
    :param reuse: whether trainings are taken from earlier studies where they are the same.
    :param relations: whether sources and targets are compared by their correlation and their distributions.
    """

    title: str | None = None
    datasets: dict[str, DatasetSpec] = Field(min_length=1)
    published: str | None = None
    published_results: str | None = None
    test: TestRows = TestRows()
    pretraining: PreTraining = PreTraining()
    finetuning: list[FineTuning] = Field(min_length=1)
    architecture: str | dict[str, Any] = 'published'
    graphs: dict[str, Any] = Field(default_factory=dict)
    training: Stages = Stages()
    seed: int = Field(123, ge=0)
    hardware: dict[str, Any] = Field(default_factory=dict)
    options: dict[str, Any] = Field(default_factory=dict)
    code: str | None = None
    budget: Budget = Budget()
    reuse: bool = True
    relations: bool = True

    @field_validator('datasets', mode='before')
    @classmethod
    def _an_identifier_is_enough(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        return {key: {'dataset': entry} if isinstance(entry, str | int) else entry for key, entry in value.items()}

    @field_validator('finetuning', mode='before')
    @classmethod
    def _one_block_is_a_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, Mapping) else value

    @field_validator('architecture')
    @classmethod
    def _known_architecture(cls, value: str | dict[str, Any]) -> str | dict[str, Any]:
        architecture_of(value)
        return value

    @field_validator('graphs')
    @classmethod
    def _known_graphs(cls, value: dict[str, Any]) -> dict[str, Any]:
        _check_keys(value, GraphSettings.model_fields)
        GraphSettings(**value)
        return value

    @field_validator('hardware')
    @classmethod
    def _known_hardware(cls, value: dict[str, Any]) -> dict[str, Any]:
        resolve_settings(value)
        return value

    @model_validator(mode='after')
    def _labels_are_known(self) -> StudySpec:
        for label in self.datasets:
            if not label.isidentifier() or label in ('scratch', 'all') or '__' in label:
                raise ValueError(
                    f'a dataset cannot be called {label!r}: letters and digits, and neither scratch nor all'
                )
        given = {'pretraining.sources': self.pretraining.sources}
        for name, multi in self.pretraining.multi.items():
            if name in self.datasets or not name.startswith('multi') or not name.isidentifier() or '__' in name:
                raise ValueError(
                    f'pretraining.multi: a model of several properties cannot be called {name!r}: multi, or multi_ and '
                    'something that tells it from the others'
                )
            given[f'pretraining.multi.{name}.sources'] = multi.sources or []
        for number, block in enumerate(self.finetuning):
            given[f'finetuning.{number}.targets'] = block.targets
        for place, labels in given.items():
            for label in labels:
                if label not in self.datasets:
                    raise ValueError(f'{place}: there is no dataset {label!r}{closest(label, self.datasets)}')
        known = self.sources
        for number, block in enumerate(self.finetuning):
            for label in block.sources or []:
                if label not in known:
                    raise ValueError(
                        f'finetuning.{number}.sources: nothing is pre-trained as {label!r}{closest(label, known)}'
                    )
            if 'published' in block.sampling and self.published is None:
                raise ValueError(f'finetuning.{number}: `published` samples need the file of them: give `published`')
            if 'published' in block.sampling and not self.test.published:
                raise ValueError(
                    f'finetuning.{number}: `published` samples test the published rows, which `test.published: false` '
                    'gives up: leave that out, or draw samples by another method'
                )
            if 'published' in block.sampling and 'all' in block.rows:
                raise ValueError(f'finetuning.{number}: `published` samples have numbers of rows, not `all`')
        return self

    @property
    def sources(self) -> list[str]:
        """Labels of what a fine-tuning can start from, `scratch` first."""
        return ['scratch', *self.pretraining.sources, *self.pretraining.multi]


def read_study(path: Path) -> StudySpec:
    """Return what the file of a study says; files in it stand relative to it and are returned as paths from here.

    :raises ValueError: for a file that is none, with the place and the closest known key.
    """
    try:
        spec = StudySpec(**read_entries(path))
    except ValidationError as error:
        raise ValueError(f'{path}: {describe(error)}') from error
    found = {
        name: entry.model_copy(update={'dataset': beside(path, entry.dataset)}) for name, entry in spec.datasets.items()
    }
    others = {
        name: None if value is None else beside(path, value)
        for name, value in (('published', spec.published), ('published_results', spec.published_results))
    }
    return spec.model_copy(update={'datasets': found, **others})
