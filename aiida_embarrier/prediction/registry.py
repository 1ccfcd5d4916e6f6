"""All models of barriers by their names; a module is imported when a model of it is made."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiida_embarrier.jobs.barrier_models import check_name, check_setting
from aiida_embarrier.prediction.network_specs import NETWORKS

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from aiida_embarrier.prediction.base import BarrierModel

__all__ = ('MODELS', 'ModelEntry', 'make_model', 'model_class', 'restore_model')


@dataclass(frozen=True)
class ModelEntry:
    """Where a model is.

    :param module: of this package.
    :param class_name: in it.
    :param settings: keyword arguments that make this one of several models of the class.
    """

    module: str
    class_name: str
    settings: dict[str, Any] = field(default_factory=dict)


#: Models by their names; :data:`aiida_embarrier.jobs.barrier_models.KNOWN_MODELS` tells their settings to both halves.
MODELS: dict[str, ModelEntry] = {
    'median': ModelEntry('baselines', 'TrainingMedian'),
    'class_median': ModelEntry('baselines', 'ClassMedian'),
    'chemsys_median': ModelEntry('baselines', 'ChemicalSystemMedian'),
    'random_forest': ModelEntry('regressors', 'TreesOfForest', {'random_thresholds': False}),
    'extra_trees': ModelEntry('regressors', 'TreesOfForest', {'random_thresholds': True}),
    'gradient_boosting': ModelEntry('regressors', 'GradientBoosting'),
    'support_vectors': ModelEntry('regressors', 'SupportVectors'),
    'design_rules': ModelEntry('regressors', 'TreesOfForest', {'random_thresholds': True, 'prefixes': ['rule_']}),
    'potential_path': ModelEntry('regressors', 'OneNumber', {'column': 'potential_placed_forward'}),
    'potential_relaxed': ModelEntry('regressors', 'OneNumber', {'column': 'potential_relaxed_forward'}),
    'potential_neb': ModelEntry('regressors', 'OneNumber', {'column': 'potential_neb_span'}),
    'ensemble': ModelEntry('regressors', 'Ensemble'),
    **{name: ModelEntry('networks', 'NetworkModel', {'network': name}) for name in NETWORKS},
}


def model_class(name: str) -> type[BarrierModel]:
    """Return the class of a model.

    :raises ValueError: for an unknown name, with the closest known one.
    """
    check_name(name, MODELS)
    entry = MODELS[name]
    found: type[BarrierModel] = getattr(
        importlib.import_module(f'aiida_embarrier.prediction.{entry.module}'), entry.class_name
    )
    return found


def make_model(name: str, **settings: Any) -> BarrierModel:
    """Return a model that has learned nothing.

    :param name: one of :data:`MODELS`.
    :param settings: keyword arguments of its class.
    :raises ValueError: for an unknown name, and for settings that the model does not have or cannot be.
    """
    cls = model_class(name)
    known = inspect.signature(cls).parameters
    fixed = MODELS[name].settings
    choices = [key for key in known if key not in fixed]
    for key in settings:
        check_setting(name, key, choices)
    try:
        return cls(**fixed, **settings)
    except TypeError as error:
        raise ValueError(f'settings of the model {name}: {error}') from error


def restore_model(name: str, arrays: Mapping[str, np.ndarray], values: Mapping[str, Any]) -> BarrierModel:
    """Return a model of what it learned, see :meth:`~aiida_embarrier.prediction.base.BarrierModel.state`."""
    return model_class(name).from_state(arrays, values)
