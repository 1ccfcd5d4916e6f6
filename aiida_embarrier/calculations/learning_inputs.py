"""What the jobs that train and predict are told, and whether it fits together: checked before anything starts."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from aiida_embarrier.calculations.parameters import check_keys
from aiida_embarrier.data.table import FILE
from aiida_embarrier.datasets.parts import LEARNED_PARTS
from aiida_embarrier.jobs.learning import (
    ARCHITECTURES,
    Architecture,
    GraphSettings,
    Hardware,
    TrainingSettings,
    TrainJob,
    Transfer,
    architecture_of,
)
from aiida_embarrier.jobs.messages import describe

if TYPE_CHECKING:
    from aiida.orm import Dict

    from aiida_embarrier.data.dataset import DatasetData
    from aiida_embarrier.data.model import ModelData
    from aiida_embarrier.data.table import TableData
    from aiida_embarrier.jobs.schemas import Schema

__all__ = ('SECTIONS', 'resolve_parameters', 'resolve_settings', 'section')

#: Entries of the parameters of a training that the job takes, and those that only its model does.
SECTIONS = ('architecture', 'graphs', 'training', 'transfer')
OF_MODEL = ('title', 'licence')

#: Entries of the parameters of a prediction.
OF_PREDICTION = ('labels', 'known', 'batch_size')

#: Numbers of an architecture that belong to its head, which may be a new one on the layers of a parent.
_OF_HEAD = ('head_layers', 'head_width')

_LABEL = re.compile(r'[A-Za-z][A-Za-z0-9_]*')


def resolve_parameters(
    parameters: Mapping[str, Any], parent: ModelData | Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return how a model is trained: entries of :class:`~aiida_embarrier.jobs.learning.TrainJob`.

    :param parameters: `architecture` (a name, or a mapping with `base`), `graphs`, `training`, `transfer`; what is left
        out has its default, with a parent that of the parent. `title` and `licence` are those of the model.
    :param parent: the model to start from, or its `architecture` and `graphs`.
    :raises ValueError: for unknown entries, naming the closest known one, for values that cannot be, and for an
        architecture that is not that of the parent.
    """
    check_keys(parameters, (*SECTIONS, *OF_MODEL))
    for name in OF_MODEL:
        if not isinstance(parameters.get(name), str | None):
            raise ValueError(f'`{name}` is a line of text, got {parameters[name]!r}')
    asked = dict(parameters)
    of_parent: Mapping[str, Any] = {}
    if parent is not None:  # what is not asked for is as it is there
        of_parent = parent if isinstance(parent, Mapping) else parent.base.attributes.all
        asked.update({name: parameters.get(name) or of_parent[name] for name in ('architecture', 'graphs')})
    found: dict[str, Any] = {
        'architecture': _architecture(asked.get('architecture') or {}),
        'graphs': section('graphs', GraphSettings, asked.get('graphs') or {}),
        'training': section('training', TrainingSettings, asked.get('training') or {}),
    }
    if parent is None:
        if asked.get('transfer'):
            raise ValueError('`transfer` says what of a parent model is kept: give the input `parent`, or leave it out')
        return found
    found['transfer'] = section('transfer', Transfer, asked.get('transfer') or {})
    for name, free in (('architecture', _OF_HEAD), ('graphs', ())):
        _check_as_parent(name, found[name], of_parent[name], free)
    return found


def resolve_settings(settings: Mapping[str, Any], schema: type[Schema] = Hardware) -> dict[str, Any]:
    """Return how a job uses its machine: the entries `hardware` and `checkpoint_seconds` of a job.

    :param settings: entries of the schema, and `checkpoint_seconds`.
    :param schema: of the hardware.
    :raises ValueError: for unknown entries, naming the closest known one, and for values that cannot be.
    """
    check_keys(settings, (*schema.model_fields, 'checkpoint_seconds'))
    entries = dict(settings)
    seconds = entries.pop('checkpoint_seconds', TrainJob.model_fields['checkpoint_seconds'].default)
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or seconds <= 0:
        raise ValueError(f'`checkpoint_seconds` is a number above 0, got {seconds!r}')
    return {'hardware': section('settings', schema, entries), 'checkpoint_seconds': float(seconds)}


def section(name: str, schema: type[Schema], entries: Any) -> Any:
    """Return one mapping among parameters as the schema that it has.

    :param name: of the mapping, for messages.
    :raises ValueError: for unknown entries, naming the closest known one, and for values that cannot be.
    """
    if not isinstance(entries, dict):
        raise ValueError(f'`{name}` is a mapping, got {entries!r}')
    try:
        check_keys(entries, schema.model_fields)
        return schema.model_validate(entries)
    except ValidationError as error:
        raise ValueError(f'`{name}`: {describe(error)}') from error
    except ValueError as error:
        raise ValueError(f'`{name}`: {error}') from error


def _architecture(value: Any) -> Architecture:
    if not isinstance(value, str | dict):
        raise ValueError(f'`architecture` is a name ({", ".join(ARCHITECTURES)}) or a mapping, got {value!r}')
    try:
        if isinstance(value, dict):
            check_keys(value, ('base', *Architecture.model_fields))
        return architecture_of(value)
    except ValidationError as error:
        raise ValueError(f'`architecture`: {describe(error)}') from error
    except ValueError as error:
        raise ValueError(f'`architecture`: {error}') from error


def _check_as_parent(what: str, found: Schema, parent: Mapping[str, Any], free: tuple[str, ...]) -> None:
    """Check that layers of a parent would get what they have learned on.

    :param free: entries that may differ.
    :raises ValueError: naming the first one that does.
    """
    for name, given in parent.items():
        asked = getattr(found, name)
        if name not in free and asked != given:
            raise ValueError(
                f'the parent has {name} = {given!r}, and `{what}` asks for {asked!r}: leave `{what}` out, or take '
                'another parent'
            )


def check_training_rows(label: str, dataset: DatasetData, split: TableData) -> str | None:
    """Return why the rows of a dataset cannot be learned as a split says, None where they can."""
    attributes = dataset.base.attributes
    if not _LABEL.fullmatch(label):
        return f'{label!r} is no label of a target: take letters, digits and _, a letter first'
    if attributes.get('schema_name', None) != 'property':
        return (
            f'the dataset {label!r} is one of {attributes.get("schema_name", None)}s: models learn from datasets of a '
            'property, made with `DatasetData(frame, schema="property", target=...)` or `dataset import --target`'
        )
    wrong = _check_split(label, split)
    if wrong is not None:
        return wrong
    rows, parts = _columns(dataset, ['name', 'target']), _columns(split, ['name', 'part'])
    unknown = parts['name'][~parts['name'].isin(rows['name'])]
    if len(unknown):
        return (
            f'the split of {label!r} names {unknown.iloc[0]!r}, which is no row of its dataset '
            f'({len(unknown)} of {len(parts)} names are none): give the split that was made of this dataset'
        )
    used = parts[parts['part'].isin(LEARNED_PARTS)]
    if not (used['part'] == 'train').any():
        found = ', '.join(sorted(map(str, parts['part'].dropna().unique()))) or 'nothing'
        return f'the split of {label!r} has no row of the part `train`, only {found}: a model needs rows to learn from'
    values = rows.set_index('name')['target'].reindex(used['name'])
    missing = values.index[~np.isfinite(values.to_numpy(dtype=float))]
    if len(missing):
        return (
            f'{len(missing)} row(s) of {label!r} have no finite target, the first is {missing[0]!r}: leave them out of '
            'the dataset, or of the split'
        )
    return None


def _check_split(label: str, split: TableData) -> str | None:
    names = [column['name'] for column in split.base.attributes.get('columns', [])]
    for name in ('name', 'part'):
        if name not in names:
            return f'the split of {label!r} has no column {name!r}, only {", ".join(names)}: give each row its part'
    table = _columns(split, ['name', 'part'])
    repeated = table['name'][table['name'].duplicated()]
    if len(repeated):
        return f'the split of {label!r} names {repeated.iloc[0]!r} more than once: a row belongs to one part'
    return None


def _columns(node: TableData, names: list[str]) -> pd.DataFrame:
    """Return some columns of a table: those with crystals are a hundred times as large as these."""
    content = node.base.repository.get_object_content(FILE, mode='rb')
    return pd.read_parquet(io.BytesIO(content), engine='pyarrow', columns=names)


def check_same_labels(datasets: Mapping[str, Any], splits: Mapping[str, Any]) -> str | None:
    """Return which dataset lacks a split, or which split a dataset, None where each has the other."""
    if not datasets:
        return 'there is no dataset to learn from'
    for label in datasets:
        if label not in splits:
            return f'the dataset {label!r} has no split: give one under the same label in `splits`'
    for label in splits:
        if label not in datasets:
            return f'the split {label!r} has no dataset: choose from {", ".join(datasets)}'
    return None


def check_processes(settings: Dict | None, options: Mapping[str, Any], code: Any) -> str | None:
    """Return why the resources of a job do not give it the processes that its settings speak of, else None.

    On one node the worker starts its processes itself. On several, the scheduler starts one per device on each.
    """
    hardware: Hardware = resolve_settings({} if settings is None else settings.get_dict())['hardware']
    with_mpi = bool(options.get('withmpi'))
    if hardware.nodes > 1 and not with_mpi:
        return (
            f'`settings` ask for {hardware.nodes} nodes, on which the scheduler starts the processes: set the options '
            '`withmpi: true` and `resources` to one process per device, as `gpu_options` does'
        )
    if not with_mpi:
        return None
    if getattr(code, 'with_mpi', None) is False:
        return (
            f'the code {code.full_label} never runs under MPI, which `withmpi` asks for: make another one of '
            'embarrier-worker without that restriction'
        )
    expected = {'num_machines': hardware.nodes, 'num_mpiprocs_per_machine': hardware.devices}
    given = {**options.get('resources', {})}
    if 'tot_num_mpiprocs' in given:
        expected = {'tot_num_mpiprocs': hardware.nodes * hardware.devices}
    return _differing(expected, given)


def _differing(expected: Mapping[str, int], given: Mapping[str, Any]) -> str | None:
    for name, number in expected.items():
        if given.get(name) != number:
            return (
                f'`settings` speak of {number} as {name}, and the resources of the job have {given.get(name)}: under '
                'MPI there is one process per device on each node'
            )
    return None


def check_prediction(parameters: Mapping[str, Any], dataset: TableData, model: ModelData) -> str | None:
    """Return why the rows of a dataset cannot be predicted as asked, None where they can.

    :param parameters: `labels`, `known` and `batch_size`.
    """
    check_keys(parameters, OF_PREDICTION)
    attributes, about = model.base.attributes, dataset.base.attributes
    if attributes.get('kind') == 'barrier':
        return 'the model predicts migration barriers: `embarrier.predict_barriers` takes it'
    if about.get('schema_name', 'property') != 'property':
        return f'the dataset is one of {about.get("schema_name")}s: this model predicts properties of crystals'
    columns = [column['name'] for column in about.get('columns')]
    known = parameters.get('known')
    needed = ['name', 'lattice', 'species', 'frac_coords', *(['target'] if known is not None else [])]
    for name in needed:
        if name not in columns:
            return f'the rows to predict have no column {name!r}, only {", ".join(columns)}'
    labels = attributes.get('labels')
    for label in [*(parameters.get('labels') or []), *([known] if known is not None else [])]:
        if label not in labels:
            return f'the model predicts {", ".join(labels)}, not {label!r}'
    if known is None:
        return None
    if parameters.get('labels') is not None and known not in parameters['labels']:
        return f'`known` is {known!r}, which is not among the `labels` that are predicted: add it there'
    number = labels.index(known)
    learned = attributes.get('properties')[number], attributes.get('units')[number]
    held = about.get('target', None), about.get('target_unit', None)
    if held != learned:
        return (
            f'the dataset holds {_quantity(held)}, and {known!r} of the model is {_quantity(learned)}: they cannot be '
            'compared; convert the dataset, or leave `known` out'
        )
    return None


def _quantity(pair: tuple[str | None, str | None]) -> str:
    name, unit = pair
    return f'{name!r} in {unit}' if unit is not None else f'{name!r} without a unit'
