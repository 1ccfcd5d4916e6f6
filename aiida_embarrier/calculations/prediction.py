"""CalcJobs that describe migration paths, fit and compare models of barriers, and predict with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.orm import Dict, SinglefileData

from aiida_embarrier.calculations.barrier_rows import check_barrier_rows
from aiida_embarrier.calculations.learning import LearningCalculation, add_validator
from aiida_embarrier.calculations.learning_inputs import resolve_settings
from aiida_embarrier.calculations.prediction_inputs import (
    check_numbers_needed,
    check_paths,
    feature_settings_of,
    resolve_features,
    resolve_models,
)
from aiida_embarrier.data.dataset import DatasetData
from aiida_embarrier.data.model import ModelData
from aiida_embarrier.data.table import FILE, TableData
from aiida_embarrier.jobs.learning import CARD_FILE, WEIGHTS_FILE
from aiida_embarrier.jobs.prediction import (
    BARRIERS_FILE,
    COMPARISON_FILE,
    FEATURES_CHECKPOINT_FILE,
    FEATURES_FILE,
    MODEL_CHECKPOINT_FILE,
    PARENTS,
    BarrierHardware,
    BarrierModelJob,
    PathFeaturesJob,
    PredictBarriersJob,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiida.common.folders import Folder
    from aiida.engine import CalcJobProcessSpec

__all__ = ('BarrierModelCalculation', 'PathFeaturesCalculation', 'PredictBarriersCalculation')

#: Names of files in the folder of a job.
ROWS_FILE, SPLIT_FILE, GIVEN_FEATURES_FILE, RESTART_FILE = (
    'rows.parquet',
    'split.parquet',
    'given_features.parquet',
    'restart.parquet',
)

CHECKPOINT_HELP = 'Checkpoint of an earlier job: what that came to is not done again.'


class BarrierCalculation(LearningCalculation):
    """What jobs of barriers share: how they use their machine."""

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define the inputs and exit codes."""
        super().define(spec)
        spec.inputs['settings'].validator = validate_settings
        spec.inputs['settings'].help = (
            'How the job uses its machine: `device` (auto, cpu, cuda), `processes` (of the potential), `threads` (of '
            'models), `checkpoint_seconds`.'
        )

    def _settings(self) -> dict[str, Any]:
        return resolve_settings(self.inputs.settings.get_dict() if 'settings' in self.inputs else {}, BarrierHardware)


class PathFeaturesCalculation(BarrierCalculation):
    """Migration paths described by numbers: geometry, composition, and a potential's energies along the path.

    With a potential this may take hours. A job that was stopped hands over its checkpoint; rows that it came to are not
    described again by the next.
    """

    _parser = 'embarrier.path_features'

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define the inputs and outputs."""
        super().define(spec)
        spec.input('dataset', valid_type=TableData, help='Paths: a dataset of barriers, or a table with its columns.')
        spec.input(
            'parameters',
            valid_type=Dict,
            required=False,
            validator=validate_features,
            help='`potential` (a name, or a mapping with `name` and `model`; none by default) and `budget`, how many '
            'evaluations of it each path may take.',
        )
        spec.input('checkpoint', valid_type=SinglefileData, required=False, help=CHECKPOINT_HELP)
        add_validator(spec, validate_paths)
        spec.output(
            'features',
            valid_type=TableData,
            required=False,
            help='`name`, numbers, and `reason` where a path could not be described.',
        )
        spec.output(
            'checkpoint',
            valid_type=SinglefileData,
            required=False,
            help='Where the job was stopped: input of the job that goes on.',
        )

    def _job(self, folder: Folder) -> PathFeaturesJob:  # noqa: ARG002  (its files are copied from the repository)
        return PathFeaturesJob(
            dataset=ROWS_FILE,
            features=resolve_features(self._parameters()),
            restart=RESTART_FILE if 'checkpoint' in self.inputs else None,
            **self._settings(),
        )

    def _copies(self) -> Iterable[tuple[str, str, str]]:
        yield self.inputs.dataset.uuid, FILE, ROWS_FILE
        if 'checkpoint' in self.inputs:
            yield self.inputs.checkpoint.uuid, self.inputs.checkpoint.filename, RESTART_FILE

    def _temporary_files(self) -> list[str]:
        return [FEATURES_FILE, FEATURES_CHECKPOINT_FILE]


class BarrierModelCalculation(BarrierCalculation):
    """Models of barriers compared by cross-validation or on a split, and one of them fitted to all rows and kept."""

    _parser = 'embarrier.barrier_model'

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define the inputs, outputs and exit codes."""
        super().define(spec)
        spec.input('dataset', valid_type=DatasetData, help='Paths and their barriers.')
        spec.input(
            'features',
            valid_type=TableData,
            required=False,
            help='Numbers that describe the paths, from `embarrier.path_features`; none where no model reads any.',
        )
        spec.input(
            'split',
            valid_type=TableData,
            required=False,
            help='Rows by `name` and their `part`: train, validation, test; others are left out. All train without it.',
        )
        spec.input(
            'parameters',
            valid_type=Dict,
            validator=validate_models,
            help='`models`, `validations`, `fit` and so on: entries of '
            '`aiida_embarrier.jobs.prediction.BarrierModelJob`; `title`, `licence`, `limits` of the model.',
        )
        spec.input_namespace(
            'parents',
            valid_type=ModelData,
            dynamic=True,
            required=False,
            help='Models that networks start from, by the labels that their `parent` names.',
        )
        spec.input('checkpoint', valid_type=SinglefileData, required=False, help=CHECKPOINT_HELP)
        add_validator(spec, validate_model_inputs)
        spec.output('model', valid_type=ModelData, required=False, help='The model that was fitted to all rows.')
        spec.output(
            'predictions',
            valid_type=TableData,
            required=False,
            help='What each model says of rows that it did not learn from, with intervals, flags and the definition of '
            'the known barrier.',
        )
        spec.output(
            'comparison',
            valid_type=TableData,
            required=False,
            help='Errors of each model in each validation, with 95 % confidence intervals.',
        )
        spec.output(
            'checkpoint',
            valid_type=SinglefileData,
            required=False,
            help='Where the job was stopped: input of the job that goes on.',
        )
        spec.exit_code(203, 'ERROR_PARENT', message='A parent model cannot be used: {message}')

    def _job(self, folder: Folder) -> BarrierModelJob:  # noqa: ARG002  (its files are copied from the repository)
        dataset, features = self.inputs.dataset, self.inputs.get('features')
        return BarrierModelJob(
            dataset=ROWS_FILE,
            dataset_uuid=dataset.uuid,
            dataset_hash=dataset.base.attributes.get('content_hash'),
            features=None if features is None else GIVEN_FEATURES_FILE,
            feature_settings=None if features is None else feature_settings_of(features),
            split=SPLIT_FILE if 'split' in self.inputs else None,
            restart=RESTART_FILE if 'checkpoint' in self.inputs else None,
            **resolve_models(self._parameters()),
            **self._settings(),
        )

    def _copies(self) -> Iterable[tuple[str, str, str]]:
        yield self.inputs.dataset.uuid, FILE, ROWS_FILE
        for name, file in (('features', GIVEN_FEATURES_FILE), ('split', SPLIT_FILE)):
            if name in self.inputs:
                yield self.inputs[name].uuid, FILE, file
        for label, parent in self.inputs.get('parents', {}).items():
            for file in (WEIGHTS_FILE, CARD_FILE):
                yield parent.uuid, file, f'{PARENTS}/{label}/{file}'
        if 'checkpoint' in self.inputs:
            yield self.inputs.checkpoint.uuid, self.inputs.checkpoint.filename, RESTART_FILE

    def _temporary_files(self) -> list[str]:
        return [WEIGHTS_FILE, CARD_FILE, BARRIERS_FILE, COMPARISON_FILE, MODEL_CHECKPOINT_FILE]


class PredictBarriersCalculation(BarrierCalculation):
    """Barriers of paths, thousands in one job, as a model predicts them: with intervals, and flags of unlike paths."""

    _parser = 'embarrier.predict_barriers'

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define the inputs and outputs."""
        super().define(spec)
        spec.input('dataset', valid_type=TableData, help='Paths: a dataset of barriers, or a table with its columns.')
        spec.input('model', valid_type=ModelData, help='The model.')
        spec.input(
            'features',
            valid_type=TableData,
            required=False,
            help='Numbers that describe the paths, made with the settings of the model; made by the job without it.',
        )
        add_validator(spec, validate_prediction)
        spec.output(
            'predictions',
            valid_type=TableData,
            required=False,
            help='`name`, `prediction`, `lower`, `upper`, `flags`, `barrier_definition` (of the barriers that the '
            'model learned), and `reason` where a row cannot be predicted.',
        )

    def _job(self, folder: Folder) -> PredictBarriersJob:  # noqa: ARG002  (its files are copied from the repository)
        return PredictBarriersJob(
            dataset=ROWS_FILE,
            features=GIVEN_FEATURES_FILE if 'features' in self.inputs else None,
            hardware=self._settings()['hardware'],
        )

    def _copies(self) -> Iterable[tuple[str, str, str]]:
        yield self.inputs.dataset.uuid, FILE, ROWS_FILE
        if 'features' in self.inputs:
            yield self.inputs.features.uuid, FILE, GIVEN_FEATURES_FILE
        for file in (WEIGHTS_FILE, CARD_FILE):
            yield self.inputs.model.uuid, file, file

    def _temporary_files(self) -> list[str]:
        return [BARRIERS_FILE]


def validate_settings(node: Dict | None, _: Any) -> str | None:
    """Check how a job uses its machine."""
    try:
        resolve_settings({} if node is None else node.get_dict(), BarrierHardware)
    except ValueError as error:
        return str(error)
    return None


def validate_features(node: Dict | None, _: Any) -> str | None:
    """Check what numbers depend on."""
    try:
        resolve_features({} if node is None else node.get_dict())
    except ValueError as error:
        return str(error)
    return None


def validate_models(node: Dict | None, _: Any) -> str | None:
    """Check which models are asked for."""
    try:
        resolve_models({} if node is None else node.get_dict())
    except ValueError as error:
        return str(error)
    return None


def validate_paths(inputs: Any, _: Any) -> str | None:
    """Check that there are paths to describe."""
    return check_paths(inputs['dataset'], with_barriers=False) if 'dataset' in inputs else None


def validate_model_inputs(inputs: Any, _: Any) -> str | None:
    """Check that dataset, split, features, parents and parameters fit together."""
    if 'dataset' not in inputs or 'parameters' not in inputs:  # told by their ports
        return None
    wrong = check_paths(inputs['dataset'], with_barriers=True)
    if wrong is not None:
        return wrong
    asked = resolve_models(inputs['parameters'].get_dict())
    if any(validation['how'] == 'split' for validation in asked['validations']) and 'split' not in inputs:
        return 'the validation `split` needs the input `split`: give one, or take another validation'
    parents = inputs.get('parents', {})
    for model in asked['models']:
        if model['parent'] is not None and model['parent'] not in parents:
            return f'{model["label"]} starts from {model["parent"]!r}, which is not among the `parents`'
    if 'features' not in inputs and not inputs.get('describe'):
        wrong = check_numbers_needed(asked['models'])
        if wrong is not None:
            return wrong
    split, features = (inputs[name].table if name in inputs else None for name in ('split', 'features'))
    return check_barrier_rows(inputs['dataset'].table, asked, split, features)


def validate_prediction(inputs: Any, _: Any) -> str | None:
    """Check that the model predicts barriers, and that there are paths."""
    if 'dataset' not in inputs or 'model' not in inputs:  # told by their ports
        return None
    if inputs['model'].base.attributes.get('kind') != 'barrier':
        return 'the model predicts properties of crystals: `embarrier.predict` takes it'
    return check_paths(inputs['dataset'], with_barriers=False)
