"""The originals of the property sets: written in their forms from the prepared tables, for they cannot be had here."""

import gzip
import json

import numpy as np
import pandas as pd
import pytest
from property_systems import halides

from aiida_embarrier.datasets.importing import DatasetError, Target, read_dataset
from aiida_embarrier.datasets.schema import structure_of_row


def pymatgen_rows(frame):
    return [structure_of_row(row).as_dict() for row in frame.to_dict('records')]


def jarvis_atoms(row, cartesian=False):
    structure = structure_of_row(row)
    return {
        'lattice_mat': structure.lattice.matrix.tolist(),
        'coords': (structure.cart_coords if cartesian else structure.frac_coords).tolist(),
        'elements': [site.specie.symbol for site in structure],
        'cartesian': cartesian,
    }


def matbench(frame, column):
    rows = [[one, value] for one, value in zip(pymatgen_rows(frame), frame['target'], strict=True)]
    data = {'index': list(range(len(rows))), 'columns': ['structure', column], 'data': rows}
    return gzip.compress(json.dumps(data).encode())


def check_same(found, frame):
    for column in ('lattice', 'frac_coords'):
        for one, other in zip(found[column], frame[column], strict=True):
            assert np.allclose(json.loads(one), json.loads(other), atol=2e-6)
    assert found['species'].tolist() == frame['species'].tolist()
    assert np.allclose(found['target'], frame['target'])


@pytest.mark.parametrize(
    ('file', 'tag', 'column', 'unit'),
    [
        ('matbench_phonons.json.gz', 'ph', 'last phdos peak', '1/cm'),
        ('matbench_log_gvrh.json.gz', 'gv', 'log10(G_VRH)', None),
        ('matbench_mp_gap.json.gz', 'bg', 'gap pbe', 'eV'),
        ('matbench_mp_e_form.json.gz', 'fe', 'e_form', 'eV/atom'),
    ],
)
def test_matbench(shared_data, tmp_path, file, tag, column, unit):
    prepared = read_dataset_rows(shared_data, tag)
    path = tmp_path / file
    path.write_bytes(matbench(prepared, column))
    found = read_dataset(path)
    assert found.report['format'] == 'matbench'
    assert found.target.unit == unit
    assert found.frame['name'].tolist() == [f'{tag}-{number}' for number in range(len(prepared))]
    check_same(found.frame, prepared)


def read_dataset_rows(shared_data, tag, n_rows=25):
    from aiida_embarrier.datasets.importing.properties import read

    return read(pd.read_parquet(shared_data / 'tl' / f'{tag}.parquet').head(n_rows), tag, None)[0]


@pytest.mark.parametrize(
    ('file', 'tag', 'column'), [('piezoelectric_tensor', 'pz', 'eij_max'), ('dielectric_constant', 'dc', 'poly_total')]
)
def test_matminer(shared_data, tmp_path, file, tag, column):
    prepared = read_dataset_rows(shared_data, tag)
    path = tmp_path / f'{file}.csv'
    texts = [json.dumps(one) for one in pymatgen_rows(prepared)]
    table = pd.DataFrame({'material_id': prepared['material_id'], 'structure': texts, column: prepared['target']})
    table.assign(nsites=prepared['n_atoms']).to_csv(path, index=False)
    found = read_dataset(path)
    assert found.report['format'] == 'matminer'
    check_same(found.frame, prepared)
    assert found.frame['material_id'].tolist() == prepared['material_id'].tolist()


@pytest.mark.parametrize('cartesian', [False, True])
def test_jarvis(tmp_path, cartesian):
    rows = halides()
    data = [
        {'jid': f'JVASP-{number}', 'atoms': jarvis_atoms(row, cartesian), 'optb88vdw_bandgap': row['target'], 'x': 1}
        for number, row in enumerate(rows.to_dict('records'))
    ]
    data[3]['optb88vdw_bandgap'] = 'na'
    path = tmp_path / 'dft_2d.json'
    path.write_text(json.dumps(data))
    found = read_dataset(path)
    assert found.report['format'] == 'jarvis'
    assert found.target.unit == 'eV'
    assert found.report['notes'] == ['1 row(s) without optb88vdw_bandgap are left out, dft_2d-3 the first of them']
    check_same(found.frame, rows.drop(3))
    assert found.frame['jid'].iloc[3] == 'JVASP-4'
    other = read_dataset(path, target=Target('x'))
    assert (len(other.frame), other.target.name) == (23, 'x')


def test_what_is_refused(tmp_path):
    rows = halides().head(3)
    content = json.loads(gzip.decompress(matbench(rows, 'gap')))
    with pytest.raises(DatasetError, match='row 1 has 3 values for 2 columns'):
        read_dataset(json.dumps({**content, 'data': [content['data'][0], [*content['data'][1], 1]]}).encode())
    with pytest.raises(DatasetError, match=r'row the file-1, gap: .x. is no number'):
        read_dataset(json.dumps({**content, 'data': [content['data'][0], [content['data'][1][0], 'x']]}).encode())
    with pytest.raises(DatasetError, match='it has no column structure or atoms'):
        read_dataset(json.dumps({**content, 'columns': ['crystal', 'gap']}).encode())
    both = {'index': [0], 'columns': ['structure', 'a', 'b'], 'data': [[content['data'][0][0], 1, 2]]}
    with pytest.raises(DatasetError, match=r'which of its columns is the property is not known: .* \(a, b\)'):
        read_dataset(json.dumps(both).encode())
    assert read_dataset(json.dumps(both).encode(), target=Target('b', 'eV')).frame['target'].tolist() == [2.0]
    with pytest.raises(DatasetError, match="it has no column 'c': name one with --target"):
        read_dataset(json.dumps(both).encode(), target=Target('c'))
    with pytest.raises(DatasetError, match='the JSON of matbench is a mapping with'):
        read_dataset(b'[{"jid": 1, "atoms": {}}]', 'matbench')
