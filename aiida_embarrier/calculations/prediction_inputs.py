"""What the jobs that describe paths and fit models of barriers are told, checked before anything starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.orm import CalcJobNode
from pydantic import ValidationError

from aiida_embarrier.calculations.learning_inputs import section
from aiida_embarrier.calculations.parameters import check_keys
from aiida_embarrier.jobs.barrier_models import KNOWN_MODELS, NO_NUMBERS, check_model
from aiida_embarrier.jobs.messages import describe
from aiida_embarrier.jobs.potentials import PotentialSpec, resolve_potential
from aiida_embarrier.jobs.prediction import NUMBERS_OF_POTENTIAL, BarrierModelJob, FeatureSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiida_embarrier.data.table import TableData

__all__ = (
    'OF_MODELS',
    'check_described',
    'check_numbers_needed',
    'check_paths',
    'feature_settings_of',
    'resolve_features',
    'resolve_models',
)

#: The job that describes paths.
_DESCRIBES = 'aiida.calculations:embarrier.path_features'
#: Entries of the parameters that say which models are fitted.
OF_MODELS = (
    'models',
    'validations',
    'fit',
    'seed',
    'coverage',
    'n_resamples',
    'title',
    'licence',
    'limits',
    'source',
)
#: What numbers of a potential are of, and the entry that asks for them.
_WHAT = {
    'potential': ('the barrier along a path by a potential', 'one, such as `potential: chgnet`'),
    'neb': ('the barrier of whole elastic bands of a potential', '`neb: {}` beside the `potential`'),
}
#: What the columns of a table of paths must have.
_COLUMNS = ('name', 'lattice', 'species', 'frac_coords', 'ion', 'path')


def resolve_features(parameters: Mapping[str, Any]) -> FeatureSettings:
    """Return what the numbers that describe paths depend on, the potential pinned.

    :param parameters: `potential` (its name, or a mapping with `name`, `model` and so on; none for geometry alone) and
        `budget`.
    :raises ValueError: for unknown entries, naming the closest known one, and for values that cannot be.
    """
    entries = dict(parameters)
    potential = entries.get('potential')
    if isinstance(potential, str):
        entries['potential'] = resolve_potential(potential)
    elif isinstance(potential, dict):
        check_keys(potential, PotentialSpec.model_fields)
        entries['potential'] = resolve_potential(**potential)
    elif potential is not None:
        raise ValueError(f'`potential` is a name or a mapping, got {potential!r}')
    found: FeatureSettings = section('features', FeatureSettings, entries)
    return found


def resolve_models(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return entries of a :class:`~aiida_embarrier.jobs.prediction.BarrierModelJob`: models, and how to compare them.

    Names of models and of their settings are checked here; whether their values can be is found out by the worker.

    :param parameters: `models` (names, or mappings with `label`, `model`, `settings`, `parent`), `validations`, `fit`,
        `seed`, `coverage`, `n_resamples`; `title`, `licence`, `limits` and `source` of the model that is kept.
    :raises ValueError: for unknown entries, naming the closest known one, and for values that cannot be.
    """
    check_keys(parameters, OF_MODELS)
    try:
        # with a split, so that what needs one is judged where it is known whether there is one
        job = BarrierModelJob(dataset='x', split='x', **parameters)
    except ValidationError as error:
        raise ValueError(describe(error)) from error
    for spec in job.models:
        try:
            check_model(spec.model, spec.settings)
        except ValueError as error:
            raise ValueError(f'{spec.label}: {error}') from error
    return job.model_dump(include=set(OF_MODELS))


def check_described(models: Sequence[Mapping[str, Any]], features: FeatureSettings) -> str | None:
    """Return which model needs numbers that paths are not described by, None where each has its own.

    :param models: of :func:`resolve_models`.
    """
    for model in models:
        needed = NUMBERS_OF_POTENTIAL.get(model['model'])
        if needed is not None and getattr(features, needed) is None:
            what, entry = _WHAT[needed]
            return f'{model["label"]}: the model {model["model"]} is {what}: `describe` needs {entry}'
    return None


def check_numbers_needed(models: Sequence[Mapping[str, Any]]) -> str | None:
    """Return which model reads numbers that describe paths, None where each looks at paths itself.

    :param models: of :func:`resolve_models`.
    """
    for model in models:
        if KNOWN_MODELS[model['model']].reads_numbers:
            return f'{model["label"]}: {NO_NUMBERS.format(model=model["model"])}'
    return None


def check_paths(table: TableData, with_barriers: bool) -> str | None:
    """Return why a table holds no paths that can be described, None where it does.

    :param with_barriers: whether their barriers must be known.
    """
    columns = [column['name'] for column in table.base.attributes.get('columns')]
    needed = (*_COLUMNS, 'barrier') if with_barriers else _COLUMNS
    missing = [name for name in needed if name not in columns]
    if missing:
        return f'the dataset has no column {missing[0]!r}: a dataset of the schema `barrier` is needed'
    return None


def feature_settings_of(features: TableData) -> FeatureSettings | None:
    """Return what a table of features depends on, as the job that made it says; None where no such job made it."""
    job = features.creator
    if not isinstance(job, CalcJobNode) or job.process_type != _DESCRIBES or 'results' not in job.outputs:
        return None
    settings = resolve_features(job.inputs.parameters.get_dict() if 'parameters' in job.inputs else {})
    found = job.outputs.results.get_dict().get('potential')
    if found is None:
        return settings
    return settings.model_copy(update={'potential': PotentialSpec.model_validate(found)})
