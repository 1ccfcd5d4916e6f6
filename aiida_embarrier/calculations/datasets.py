"""CalcJobs that make datasets: from a file, and from bands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.orm import Dict, SinglefileData
from pydantic import ValidationError

from aiida_embarrier.calculations.parameters import check_keys
from aiida_embarrier.calculations.plain import PlainCalculation
from aiida_embarrier.data.band import BandData
from aiida_embarrier.data.dataset import DatasetData
from aiida_embarrier.data.table import TableData
from aiida_embarrier.datasets.schema import BARRIER
from aiida_embarrier.jobs.datasets import (
    DATASET_FILE,
    DEFECTS_FILE,
    REPAIRS_FILE,
    AssembleDatasetJob,
    BandEntry,
    ImportDatasetJob,
)
from aiida_embarrier.jobs.messages import describe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiida.common.folders import Folder
    from aiida.engine import CalcJobProcessSpec

__all__ = ('AssembleDatasetCalculation', 'ImportDatasetCalculation')

#: Entries of `parameters` that the dataset takes and the job does not.
_OF_NODE = ('title', 'source')
#: Columns of a row that nobody may say otherwise: those that follow from its band.
_OF_BAND = {column.name for column in BARRIER if column.required} | {
    'barrier_definition',
    'converged',
    'engine',
    'final_frac_coords',
    'final_lattice',
    'flags',
    'functional',
    'hop_length',
    'mechanism',
    'origin',
    'repairs',
}


class DatasetCalculation(PlainCalculation):
    """What jobs that make a dataset share."""

    _parser = 'embarrier.dataset'

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define the outputs."""
        super().define(spec)
        spec.output('dataset', valid_type=DatasetData, required=False, help='The dataset, its defects marked.')
        spec.output('defects', valid_type=TableData, required=False, help='The defects that are left, one by one.')
        spec.output('repairs', valid_type=TableData, required=False, help='What was repaired, where anything was.')

    def _temporary_files(self) -> list[str]:
        return [DATASET_FILE, DEFECTS_FILE, REPAIRS_FILE]


class ImportDatasetCalculation(DatasetCalculation):
    """A dataset that is read from a file: its format told by content, its labels filled in, its defects marked."""

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define the inputs."""
        super().define(spec)
        spec.input('file', valid_type=SinglefileData, help='The file, as it was published.')
        spec.input(
            'parameters',
            valid_type=Dict,
            required=False,
            validator=validate_import,
            help='`format`, `repairs` (list of defects), `title`, `source`; for properties `target` and `target_unit`.',
        )

    def _job(self, folder: Folder) -> ImportDatasetJob:
        parameters = self.inputs.parameters.get_dict() if 'parameters' in self.inputs else {}
        file = self.inputs.file
        with folder.open('input.dataset', 'wb') as handle:
            handle.write(file.get_content(mode='rb'))
        return _import_job({'name': file.filename, **parameters})


class AssembleDatasetCalculation(DatasetCalculation):
    """A dataset of bands, and of comparisons with literature values: links lead from it to every band.

    Bands that did not converge are left out, and named, unless they are asked for.
    """

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define the inputs."""
        super().define(spec)
        spec.input_namespace('bands', valid_type=BandData, dynamic=True, help='The bands by their labels.')
        spec.input_namespace(
            'entries',
            valid_type=Dict,
            dynamic=True,
            required=False,
            help='Output `entry` of `embarrier.entry`, under the label of its band: the literature value beside it.',
        )
        spec.input(
            'parameters',
            valid_type=Dict,
            required=False,
            validator=validate_assembly,
            help='`definition` of the barriers (forward, reverse, rate_limiting, span), `include_unconverged`, '
            '`names` of rows by label (host and label otherwise), `labels` (further columns, by label), '
            '`repairs`, `title`, `source`.',
        )
        spec.inputs.validator = validate_bands_and_entries

    def _job(self, folder: Folder) -> AssembleDatasetJob:
        from aiida_embarrier.bands.io import write_npz

        parameters = self.inputs.parameters.get_dict() if 'parameters' in self.inputs else {}
        entries = self.inputs.get('entries', {})
        for label, node in self.inputs.bands.items():
            with folder.open(f'{label}.npz', 'wb') as handle:
                write_npz(handle, node.band)
        found = _band_entries(self.inputs.bands, entries, parameters)
        return _assembly_job({**parameters, 'bands': found})


def _import_job(parameters: Mapping[str, Any]) -> ImportDatasetJob:
    return ImportDatasetJob(file='input.dataset', **{key: value for key, value in parameters.items() if key != 'title'})


def _assembly_job(parameters: Mapping[str, Any]) -> AssembleDatasetJob:
    left = {*_OF_NODE, 'names', 'labels'}
    return AssembleDatasetJob(**{key: value for key, value in parameters.items() if key not in left})


def _band_entries(
    bands: Mapping[str, BandData], entries: Mapping[str, Dict], parameters: Mapping[str, Any]
) -> dict[str, BandEntry]:
    """Return what the job is told of each band: the name of its row, and its labels."""
    found = {}
    for label, node in sorted(bands.items()):
        entry = entries[label].get_dict() if label in entries else {}
        name = parameters.get('names', {}).get(label) or entry.get('name') or _name_of(label, node)
        labels = {'origin': node.uuid, 'source': entry.get('source') or parameters.get('source')}
        if entry:
            labels |= {
                'literature_barrier': float(entry['literature']['barrier']),
                'literature_definition': entry['literature']['definition'],
                'literature_functional': entry['literature']['functional'],
            }
        labels |= parameters.get('labels', {}).get(label, {})
        found[label] = BandEntry(file=f'{label}.npz', name=str(name), labels=labels)
    return found


def _name_of(label: str, band: BandData) -> str:
    """Return a name for the row of a band that nobody named: rows of two hosts never differ by a number only."""
    attributes = band.base.attributes
    return f'{attributes.get("host", None) or attributes.get("formula")}_{label}'


def validate_import(node: Dict | None, _: Any) -> str | None:
    """Check the parameters of an import."""
    if node is None:
        return None
    try:
        check_keys(node.get_dict(), ('format', 'repairs', 'title', 'source', 'target', 'target_unit'))
        _import_job({'name': 'x', **node.get_dict()})
    except ValidationError as error:
        return describe(error)
    except ValueError as error:
        return str(error)
    return None


def validate_assembly(node: Dict | None, _: Any) -> str | None:
    """Check the parameters of an assembly."""
    if node is None:
        return None
    try:
        known = ('definition', 'include_unconverged', 'names', 'labels', 'repairs', 'title', 'source')
        check_keys(node.get_dict(), known)
        _assembly_job({**node.get_dict(), 'bands': {'x': BandEntry(file='x', name='x')}})
    except ValidationError as error:
        return describe(error)
    except ValueError as error:
        return str(error)
    return None


def validate_bands_and_entries(inputs: Any, _: Any) -> str | None:
    """Check that there are bands, that entries belong to them, and that names fit them."""
    bands, entries = inputs.get('bands', {}), inputs.get('entries', {})
    if not bands:
        return 'there is no band to make a dataset of'
    for label, entry in entries.items():
        uuid = entry.get('nodes', {}).get('band')
        if label not in bands:
            return f'the entry {label!r} has no band: give the band {uuid} under the same label in `bands`'
        if bands[label].uuid != uuid:
            return f'the entry {label!r} is of the band {uuid}, and `bands` has {bands[label].uuid} under that label'
    parameters = inputs['parameters'].get_dict() if 'parameters' in inputs else {}
    for key in ('names', 'labels'):
        unknown = sorted(set(parameters.get(key, {})) - set(bands))
        if unknown:
            return f'`{key}` has {unknown[0]!r}, which is no band: choose from {", ".join(sorted(bands))}'
    for label, columns in parameters.get('labels', {}).items():
        own = sorted(set(columns) & _OF_BAND)
        if own:
            return f'`labels` of {label!r} has {own[0]!r}, which the band tells: leave it out'
    names = [entry.name for entry in _band_entries(bands, entries, parameters).values()]
    repeated = [name for name in names if names.count(name) > 1]
    if repeated:
        return f'two bands would be rows of the name {repeated[0]!r}: give them different `names`'
    return None
