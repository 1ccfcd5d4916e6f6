"""`aiida-embarrier dataset overlap`, and what `dataset info` says of properties."""

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from property_systems import halides

from aiida_embarrier.cli import main
from aiida_embarrier.data.dataset import DatasetData
from aiida_embarrier.datasets.tables import write_parquet
from aiida_embarrier.figures.relations import relation


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return a function that runs a command on datasets in a folder of two files that share crystals."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'one.parquet').write_bytes(write_parquet(halides('one').assign(row_id=range(24))))
    (tmp_path / 'other.parquet').write_bytes(write_parquet(halides('other', kind='cubic', n_test=0)))

    def invoke(*arguments, code=0):
        result = CliRunner().invoke(main, ['dataset', *map(str, arguments)])
        assert result.exit_code == code, result.output
        return result.output

    return invoke


@pytest.mark.usefixtures('no_profile')
def test_files_without_a_profile(run):
    found = json.loads(run('overlap', 'one.parquet', 'other.parquet', '--format', 'json'))
    assert [entry['dataset'] for entry in found['datasets']] == ['one', 'other']
    assert found['datasets'][0]['n_test'] == 4
    assert found['pairs'] == [
        {'dataset': 'one', 'other': 'other', 'n_shared': 24, 'n_rows': 24, 'n_test': 0},
        {'dataset': 'other', 'other': 'one', 'n_shared': 24, 'n_rows': 24, 'n_test': 4},
    ]
    text = run('overlap', 'one.parquet', 'other.parquet')
    assert text.splitlines()[0].split('  ')[0] == 'dataset'
    assert '-----' in text
    assert 'shared crystals' in text


@pytest.mark.usefixtures('no_profile')
def test_two_properties_are_drawn(run, monkeypatch, tmp_path):
    drawn = {}

    def draw(shared, *values, **words):
        drawn.update(shared=shared, values=values, **words)
        return relation(shared, *values, **words)

    monkeypatch.setattr('aiida_embarrier.figures.relations.relation', draw)
    # the same crystals in other cells, some of them missing
    one, other = halides('one'), halides('other', kind='cubic').assign(target=lambda rows: -(rows['target'] ** 2))
    (tmp_path / 'other.parquet').write_bytes(write_parquet(other.drop(index=[3, 7]).reset_index(drop=True)))
    assert 'wrote both.png' in run('overlap', 'one.parquet', 'other.parquet', '--figure', 'both.png')
    assert (tmp_path / 'both.png').stat().st_size > 10_000
    expected = np.column_stack([one['target'], other['target']])[~one.index.isin([3, 7])]
    found = drawn['shared'].to_numpy()
    np.testing.assert_allclose(found[found[:, 0].argsort()], expected[expected[:, 0].argsort()])
    assert [len(values) for values in drawn['values']] == [24, 22]
    assert (drawn['source'], drawn['target']) == ('one', 'other')
    found = json.loads(run('overlap', 'one.parquet', 'other.parquet', '--figure', 'x.svg', '--format', 'json'))
    assert found['figure'] == 'x.svg'
    assert 'draws two datasets against each other, got 1' in run('overlap', 'one.parquet', '--figure', 'x.png', code=2)


@pytest.mark.usefixtures('no_profile')
def test_rows_that_are_there_again(run, tmp_path):
    twice = pd.concat([halides('one').iloc[[0, 1]], halides('again', kind='turned').iloc[[0]].assign(target=3.0)])
    (tmp_path / 'twice.parquet').write_bytes(write_parquet(twice.reset_index(drop=True)))
    found = json.loads(run('overlap', 'twice.parquet', '--rows', '--format', 'json'))
    assert (found['datasets'][0]['n_crystals'], found['datasets'][0]['largest_difference']) == (2, 3.0)
    assert [row['name'] for row in found['duplicates']] == ['again-0', 'one-0']
    assert 'again-0' in run('overlap', 'twice.parquet', '--rows')


@pytest.mark.usefixtures('no_profile')
def test_what_is_refused(run, tmp_path):
    folder = tmp_path / 'b'
    folder.mkdir()
    (folder / 'one.parquet').write_bytes((tmp_path / 'one.parquet').read_bytes())
    assert "two datasets are called 'one'" in run('overlap', 'one.parquet', 'b/one.parquet', code=1)
    assert 'a tolerance is a positive number' in run('overlap', 'one.parquet', '--tolerance', '-1', code=1)
    assert "there is no file 'nowhere.parquet'" in run('overlap', 'nowhere.parquet', code=1)


def test_nodes_and_their_units(run, aiida_profile):
    node = DatasetData(halides('one'), schema='property', target='gap', target_unit='eV').store()
    found = json.loads(run('overlap', node.pk, 'other.parquet', '--format', 'json'))
    assert found['datasets'][0] | {'dataset': str(node.pk), 'target': 'gap', 'unit': 'eV'} == found['datasets'][0]
    info = json.loads(run('info', node.pk, '--format', 'json'))
    assert (info['property'], info['target_unit'], info['target']['max']) == ('gap', 'eV', 23.0)
    text = run('info', node.pk)
    assert 'target (eV)' in text
    assert 'dataset overlap' in text
