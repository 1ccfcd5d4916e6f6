"""Datasets as processes: from a file and from bands, through the worker."""

import gzip
import json

import numpy as np
import pytest
from aiida.engine import run_get_node
from aiida.orm import Dict, QueryBuilder, SinglefileData
from aiida.plugins import CalculationFactory
from potential_systems import vacancy_hop

from aiida_embarrier.bands.band import BandInfo
from aiida_embarrier.calculations.curation import curate
from aiida_embarrier.calculations.datasets import _band_entries
from aiida_embarrier.data.band import BandData
from aiida_embarrier.data.dataset import DatasetData
from aiida_embarrier.datasets.assembling import band_row
from aiida_embarrier.datasets.completing import complete
from aiida_embarrier.datasets.groups import base_name
from aiida_embarrier.datasets.importing import read_dataset
from aiida_embarrier.datasets.importing.base import frame_of
from aiida_embarrier.datasets.schema import endpoints_of_row, path_of_row

pytestmark = pytest.mark.usefixtures('aiida_profile')


@pytest.fixture(scope='module')
def file(shared_data):
    """Return a file of ten published rows, three of which have a defect."""
    raw = (shared_data / 'barriers_train' / 'barriers_train.json.gz').read_bytes()
    rows = [row for row in json.loads(gzip.decompress(raw)) if row['n_atoms'] < 100][:10]
    return gzip.compress(json.dumps(rows).encode())


def run(name, **inputs):
    builder = CalculationFactory(name).get_builder()
    for key, value in inputs.items():
        setattr(builder, key, value)
    return run_get_node(builder)


def band(energies=(0.0, 0.3, 0.6, 0.3, 0.1), **info):
    """Return a vacancy hop in copper with the energies of its images."""
    ends = vacancy_hop('Cu')
    images = np.linspace(ends.positions[0], ends.positions[-1], len(energies))
    entries = {'engine': 'potential', 'potential': 'emt', 'mechanism': 'vacancy', 'converged': True, **info}
    return ends.replace(
        positions=images,
        energies=np.array(energies),
        forces=None,
        max_perpendicular_forces=None,
        info=BandInfo(**entries),
    )


@pytest.mark.slow
def test_import(file, worker_code):
    """A file becomes a dataset with its defects beside it, as the plain function reads it."""
    parameters = {'repairs': ['class_alias'], 'title': 'ten rows', 'source': 'arXiv:2508.06459'}
    outputs, node = run(
        'embarrier.dataset.import',
        code=worker_code,
        file=SinglefileData.from_bytes(file, filename='ten.json.gz'),
        parameters=Dict(parameters),
    )
    assert node.is_finished_ok, node.exit_message
    dataset = outputs['dataset']
    plain = read_dataset(file, repairs=['class_alias'], source_text='arXiv:2508.06459')
    assert dataset.table.equals(plain.frame)
    assert (dataset.schema, dataset.title, dataset.base.attributes.get('n_rows')) == ('barrier', 'ten rows', 10)
    assert dataset.base.attributes.get('flags') == plain.report['flags'] == outputs['results']['flags']
    assert len(outputs['repairs'].table) == sum(plain.report['repairs'].values()) > 0
    assert list(outputs['defects'].table['defect']) == list(plain.defects['defect'])
    assert outputs['results']['sha256'] == plain.report['sha256']


@pytest.mark.slow
def test_import_of_a_truncated_file(file, worker_code):
    """A file that is not whole leaves the message and no dataset."""
    outputs, node = run(
        'embarrier.dataset.import',
        code=worker_code,
        file=SinglefileData.from_bytes(file[:-500], filename='ten.json.gz'),
    )
    assert node.exit_status == 201
    assert 'ten.json.gz ends too early' in node.exit_message
    assert 'dataset' not in outputs


@pytest.mark.slow
def test_assemble(worker_code):
    """Links lead from a dataset to its bands; a band that did not converge is left out and named."""
    good, other, bad = (
        BandData(one).store() for one in (band(), band((0.0, 0.2, 0.1)), band((0.0, 0.5, 0.0), converged=False))
    )
    entry = Dict(
        {
            'name': 'Cu_vacancy',
            'source': 'a book',
            'literature': {'barrier': 0.7, 'definition': 'literature', 'functional': 'PBE'},
            'nodes': {'band': good.uuid},
        }
    ).store()
    inputs = {'code': worker_code, 'bands': {'one': good, 'two': other, 'three': bad}, 'entries': {'one': entry}}
    outputs, node = run('embarrier.dataset.assemble', **inputs, parameters=Dict({'names': {'two': 'Cu_2'}}))
    assert node.is_finished_ok, node.exit_message
    frame = outputs['dataset'].table.set_index('name')
    assert set(frame.index) == {'Cu_vacancy', 'Cu_2'}
    assert outputs['results']['left_out'].keys() == {'three'}
    assert 'did not converge: converge it, or ask' in outputs['results']['left_out']['three']
    row = frame.loc['Cu_vacancy']
    assert (row['barrier'], row['literature_barrier'], row['source']) == (pytest.approx(0.6), 0.7, 'a book')
    assert (row['origin'], row['barrier_definition'], row['engine']) == (good.uuid, 'forward', 'potential')
    initial, final = endpoints_of_row({'name': 'x', **row.to_dict()})
    way = good.band.positions[:, good.band.mobile[0]]
    np.testing.assert_allclose(path_of_row(row) @ initial.lattice.matrix, way, atol=1e-6)
    np.testing.assert_allclose(final[0].coords, way[-1], atol=1e-6)
    bands = QueryBuilder().append(DatasetData, filters={'uuid': outputs['dataset'].uuid}, tag='dataset')
    bands.append(BandData, with_descendants='dataset', project='uuid')
    assert {uuid for (uuid,) in bands.all()} == {good.uuid, other.uuid, bad.uuid}


def test_names_of_rows():
    """Labels of two materials may be the same but for a number; the names of their rows are not."""
    nodes = {'hop_000': BandData(band(host='LiFePO4')), 'hop_001': BandData(band(host='LiCoO2')), 'x': BandData(band())}
    names = {label: entry.name for label, entry in _band_entries(nodes, {}, {'names': {'x': 'mine'}}).items()}
    assert names == {'hop_000': 'LiFePO4_hop_000', 'hop_001': 'LiCoO2_hop_001', 'x': 'mine'}
    assert _band_entries({'hop_000': nodes['x']}, {}, {})['hop_000'].name == 'Cu_hop_000'
    assert len({base_name(name) for name in names.values()}) == 3


def test_curated_bands():
    """The rules take rows of bands as they are; what they went without stands beside the reasons."""
    found = [band_row(name, band(functional=name), 'forward') for name in ('GGA', 'SCAN')]
    dataset = DatasetData(complete(frame_of(found, 'barrier'), 'barrier').frame)
    outputs = curate(dataset, Dict({}))
    assert list(outputs['dataset'].table['name']) == ['GGA']
    assert list(outputs['left_out'].table['name']) == ['SCAN']
    assert 'goes without space_group, path_label' in outputs['left_out'].description


def test_what_is_refused_at_launch(worker_code):
    """Wrong parameters and entries that belong to no band end before there is a job."""
    good = BandData(band()).store()
    entry = Dict({'name': 'x', 'nodes': {'band': 'another'}, 'literature': {}}).store()
    file = SinglefileData.from_bytes(b'[]', filename='x.json')
    for name, inputs, message in (
        ('import', {'file': file, 'parameters': Dict({'repairs': ['all']})}, "there is no repair 'all': choose from"),
        ('import', {'file': file, 'parameters': Dict({'repairs': ['close_ion']})}, 'close_ion cannot be repaired'),
        ('import', {'file': file, 'parameters': Dict({'format': 'cif'})}, "no format 'cif' of datasets"),
        ('import', {'file': file, 'parameters': Dict({'repair': []})}, 'repair'),
        ('assemble', {'bands': {}}, 'there is no band'),
        ('assemble', {'bands': {'a': good}, 'parameters': Dict({'definition': 'highest'})}, 'definition'),
        ('assemble', {'bands': {'a': good}, 'parameters': Dict({'names': {'b': 'x'}})}, "`names` has 'b', which is no"),
        (
            'assemble',
            {'bands': {'a': good, 'b': good}, 'parameters': Dict({'names': {'a': 'Cu_b'}})},
            "the name 'Cu_b'",
        ),
        ('import', {'file': file, 'parameters': Dict({'file': '/etc/passwd'})}, "unknown parameter 'file'"),
        ('import', {'file': file, 'parameters': Dict({'target_unit': 'eV'})}, 'given and no target'),
        ('assemble', {'bands': {'a': good}, 'parameters': Dict({'labels': {'a': {'barrier': 0.1}}})}, 'the band tells'),
        ('assemble', {'bands': {'a': good}, 'entries': {'b': entry}}, "the entry 'b' has no band"),
        ('assemble', {'bands': {'a': good}, 'entries': {'a': entry}}, "the entry 'a' is of the band another"),
    ):
        with pytest.raises(ValueError, match=message):
            run(f'embarrier.dataset.{name}', code=worker_code, **inputs)
