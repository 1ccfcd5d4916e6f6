"""CalcJobs that train models on datasets of properties, and that predict with them."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from aiida.orm import Dict, SinglefileData
from pydantic import ValidationError

from aiida_embarrier.calculations.learning_inputs import (
    OF_MODEL,
    check_prediction,
    check_processes,
    check_same_labels,
    check_training_rows,
    resolve_parameters,
    resolve_settings,
)
from aiida_embarrier.calculations.plain import PlainCalculation
from aiida_embarrier.data.dataset import DatasetData
from aiida_embarrier.data.model import ModelData
from aiida_embarrier.data.table import FILE, TableData
from aiida_embarrier.jobs.learning import (
    CARD_FILE,
    CHECKPOINT_FILE,
    CURVE_FILE,
    PARENT_CARD_FILE,
    PARENT_WEIGHTS_FILE,
    PREDICTIONS_FILE,
    WEIGHTS_FILE,
    PredictJob,
    Target,
    TrainJob,
)
from aiida_embarrier.jobs.messages import describe

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiida.common.datastructures import CalcInfo
    from aiida.common.folders import Folder
    from aiida.engine import CalcJobProcessSpec

__all__ = ('LearningCalculation', 'PredictCalculation', 'TrainCalculation', 'add_validator')

#: The checkpoint that a job goes on from, in its folder.
RESTART_FILE = 'restart.safetensors'


class LearningCalculation(PlainCalculation):
    """What training and prediction share: settings of the machine, and files that are copied as they are."""

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define the inputs and exit codes."""
        super().define(spec)
        spec.input(
            'settings',
            valid_type=Dict,
            required=False,
            validator=validate_settings,
            help='How the job uses its machine: `device` (auto, cpu, cuda), `devices`, `nodes`, `threads`, `cache` '
            '(folder on it that keeps graphs between jobs), `checkpoint_seconds`.',
        )
        spec.exit_code(
            204,
            'ERROR_DEVICE',
            message='The machine lacks what the job asks for: {message}',
            invalidates_cache=True,
        )

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write the job file, and have tables and models copied from the repository."""
        calc = super().prepare_for_submission(folder)
        calc.local_copy_list = list(self._copies())
        return calc

    @abstractmethod
    def _copies(self) -> Iterable[tuple[str, str, str]]:
        """Return UUIDs of nodes, names of files in them, and their names in the folder of the job."""

    def _settings(self) -> dict[str, Any]:
        return resolve_settings(self.inputs.settings.get_dict() if 'settings' in self.inputs else {})

    def _parameters(self) -> dict[str, Any]:
        return self.inputs.parameters.get_dict() if 'parameters' in self.inputs else {}


class TrainCalculation(LearningCalculation):
    """A model trained on one property, or on several at once; from the start, or from a parent model.

    A job that was stopped hands over its checkpoint, its curve and its best model so far; another one goes on from that
    checkpoint exactly as if it had not been stopped.
    """

    _parser = 'embarrier.train'

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define the inputs, outputs and exit codes."""
        super().define(spec)
        spec.input_namespace(
            'datasets', valid_type=DatasetData, dynamic=True, help='Datasets of properties by the labels of targets.'
        )
        spec.input_namespace(
            'splits',
            valid_type=TableData,
            dynamic=True,
            help='For each its rows by `name` and their `part`: train, validation, test; others are left out.',
        )
        spec.input(
            'parameters',
            valid_type=Dict,
            required=False,
            help='`architecture` (a name, or a mapping with `base`), `graphs`, `training`, `transfer`: entries of the '
            'classes in `aiida_embarrier.jobs.learning`; `title` and `licence` of the model.',
        )
        spec.input('parent', valid_type=ModelData, required=False, help='The model to start from.')
        spec.input(
            'checkpoint', valid_type=SinglefileData, required=False, help='Checkpoint of an earlier job to go on from.'
        )
        add_validator(spec, validate_training)
        spec.output(
            'model', valid_type=ModelData, required=False, help='The model; the best so far of a job that failed.'
        )
        spec.output('curve', valid_type=TableData, required=False, help='Losses, errors and learning rate by epoch.')
        spec.output(
            'predictions',
            valid_type=TableData,
            required=False,
            help='What the model says of each row of the parts: `name`, `target`, `part`, `value`, `prediction`.',
        )
        spec.output(
            'checkpoint',
            valid_type=SinglefileData,
            required=False,
            help='Where the job was stopped: input of the job that goes on.',
        )
        spec.exit_code(203, 'ERROR_PARENT', message='The parent model cannot be used: {message}')
        spec.exit_code(
            502,
            'ERROR_DIVERGED',
            message='The training diverged; the best model so far is an output, if there was one: {message}',
        )
        spec.exit_code(
            503,
            'ERROR_STALLED',
            message='The training learned nothing: its loss did not move from that of guessing the mean: {message}',
        )

    def _job(self, folder: Folder) -> TrainJob:  # noqa: ARG002  (its files are copied from the repository)
        targets = []
        for label, dataset in sorted(self.inputs.datasets.items()):
            attributes = dataset.base.attributes
            targets.append(
                Target(
                    label=label,
                    property=attributes.get('target'),
                    unit=attributes.get('target_unit'),
                    dataset=_rows_file(label),
                    split=_split_file(label),
                    dataset_uuid=dataset.uuid,
                    dataset_hash=attributes.get('content_hash'),
                )
            )
        return TrainJob(
            targets=targets,
            parent='parent' in self.inputs,
            restart=RESTART_FILE if 'checkpoint' in self.inputs else None,
            **resolve_parameters(self._parameters(), self.inputs.get('parent')),
            **self._settings(),
        )

    def _copies(self) -> Iterable[tuple[str, str, str]]:
        for label, dataset in self.inputs.datasets.items():
            yield dataset.uuid, FILE, _rows_file(label)
            yield self.inputs.splits[label].uuid, FILE, _split_file(label)
        if 'parent' in self.inputs:
            yield self.inputs.parent.uuid, WEIGHTS_FILE, PARENT_WEIGHTS_FILE
            yield self.inputs.parent.uuid, CARD_FILE, PARENT_CARD_FILE
        if 'checkpoint' in self.inputs:
            yield self.inputs.checkpoint.uuid, self.inputs.checkpoint.filename, RESTART_FILE

    def _temporary_files(self) -> list[str]:
        return [WEIGHTS_FILE, CARD_FILE, CURVE_FILE, PREDICTIONS_FILE, CHECKPOINT_FILE]


class PredictCalculation(LearningCalculation):
    """Properties of crystals as a model predicts them; where they are known, its errors."""

    _parser = 'embarrier.predict'

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define the inputs and outputs."""
        super().define(spec)
        spec.input(
            'dataset', valid_type=TableData, help='Crystals: a dataset, or a table with its columns and no `target`.'
        )
        spec.input('model', valid_type=ModelData, help='The model.')
        spec.input(
            'parameters',
            valid_type=Dict,
            required=False,
            help='`labels` of the targets to predict (all by default); `known`, the label of what the column `target` '
            'holds, for scores; `batch_size`.',
        )
        add_validator(spec, validate_prediction)
        spec.output(
            'predictions',
            valid_type=TableData,
            required=False,
            help='`name`, `target` (label), `value` where it is known, and `prediction`.',
        )

    def _job(self, folder: Folder) -> PredictJob:  # noqa: ARG002  (its files are copied from the repository)
        attributes = self.inputs.dataset.base.attributes
        return PredictJob(
            dataset='rows.parquet',
            property=attributes.get('target', None),
            unit=attributes.get('target_unit', None),
            hardware=self._settings()['hardware'],
            **self._parameters(),
        )

    def _copies(self) -> Iterable[tuple[str, str, str]]:
        yield self.inputs.dataset.uuid, FILE, 'rows.parquet'
        yield self.inputs.model.uuid, WEIGHTS_FILE, WEIGHTS_FILE
        yield self.inputs.model.uuid, CARD_FILE, CARD_FILE

    def _temporary_files(self) -> list[str]:
        return [PREDICTIONS_FILE]


def model_entries(parameters: dict[str, Any]) -> dict[str, str]:
    """Return what the parameters of a training say of its model."""
    return {name: parameters[name] for name in OF_MODEL if parameters.get(name) is not None}


def _rows_file(label: str) -> str:
    return f'{label}_rows.parquet'


def _split_file(label: str) -> str:
    return f'{label}_split.parquet'


def add_validator(spec: CalcJobProcessSpec, validator: Any) -> None:
    """Check all inputs together, after what AiiDA checks of them itself."""
    own = spec.inputs.validator

    def validate(inputs: Any, port: Any) -> str | None:
        return own(inputs, port) or validator(inputs, port)

    spec.inputs.validator = validate


def validate_settings(node: Dict | None, _: Any) -> str | None:
    """Check how a job uses its machine."""
    try:
        resolve_settings({} if node is None else node.get_dict())
    except ValueError as error:
        return str(error)
    return None


def validate_training(inputs: Any, _: Any) -> str | None:
    """Check that datasets, splits, parameters, parent and resources fit together."""
    datasets, splits = inputs.get('datasets', {}), inputs.get('splits', {})
    parameters = inputs['parameters'].get_dict() if 'parameters' in inputs else {}
    try:
        resolve_parameters(parameters, inputs.get('parent'))
        wrong = check_same_labels(datasets, splits)
        for label in () if wrong else datasets:
            wrong = wrong or check_training_rows(label, datasets[label], splits[label])
        return wrong or check_processes(
            inputs.get('settings'), inputs.get('metadata', {}).get('options', {}), inputs.get('code')
        )
    except ValueError as error:
        return str(error)


def validate_prediction(inputs: Any, _: Any) -> str | None:
    """Check that the model predicts what is asked for."""
    if 'dataset' not in inputs or 'model' not in inputs:  # told by their ports
        return None
    parameters = inputs['parameters'].get_dict() if 'parameters' in inputs else {}
    try:
        wrong = check_prediction(parameters, inputs['dataset'], inputs['model'])
        PredictJob(dataset='x', **parameters)
    except ValidationError as error:
        return describe(error)
    except ValueError as error:
        return str(error)
    return wrong
