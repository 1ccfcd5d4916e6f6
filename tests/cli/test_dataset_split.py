"""Commands that download and split datasets."""

import hashlib
import json

import pandas as pd
import pytest
from click.testing import CliRunner
from split_systems import small_dataset

from aiida_embarrier.cli import main
from aiida_embarrier.datasets.sources import known_sources
from aiida_embarrier.datasets.tables import write_parquet

CONTENT = b'something to be had\n'
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Return a function that runs a command in a folder of its own, without a profile."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv('EMBARRIER_DATA_URL', raising=False)

    def invoke(*arguments, code=0):
        result = CliRunner().invoke(main, ['dataset', *map(str, arguments)])
        assert result.exit_code == code, result.output
        return result.output

    return invoke


def test_list(call):
    shown = call('download', '--list')
    assert 'barriers_train/barriers_train.json.gz' in shown
    rows = json.loads(call('download', '--list', '--format', 'json'))
    assert len(rows) == len(known_sources())
    assert next(row for row in rows if row['name'] == 'tl/splits.json.gz')['address'] is None
    only = json.loads(call('download', 'migration-barrier-dataset', '--list', '--format', 'json'))
    assert {row['sha256'] for row in only} == {None}


def test_prepared_files(call, tmp_path, shared_data):
    rows = json.loads(call('download', 'barriers_train', '--from', shared_data, '--format', 'json'))
    assert sorted(row['path'] for row in rows) == [
        'barriers_train/barriers_train.csv',
        'barriers_train/barriers_train.json.gz',
        'barriers_train/groups.json',
    ]
    assert all(row['pinned'] and not row['present'] for row in rows)
    again = call(
        'download', 'groups.json', '--from', (shared_data / 'barriers_train').as_uri(), '--to', 'barriers_train'
    )
    assert 'was there already' in again
    assert 'cite arXiv:2508.06459' in again


def test_address_in_the_environment(call, tmp_path, shared_data, monkeypatch):
    monkeypatch.setenv('EMBARRIER_DATA_URL', shared_data.as_uri())
    call('download', 'obelix/test_idx.csv', '--to', 'here')
    assert (tmp_path / 'here' / 'test_idx.csv').stat().st_size == 486


def test_any_file_with_its_checksum(call, tmp_path):
    (tmp_path / 'origin').mkdir()
    (tmp_path / 'origin' / 'mine.txt').write_bytes(CONTENT)
    shown = call('download', 'mine.txt', '--from', 'origin', '--sha256', SHA256, '--to', 'to')
    assert SHA256 in shown
    assert 'Nothing is known here of its licence' in shown
    assert 'there is no source' in call('download', 'mine.txt', '--from', 'origin', code=1)
    refused = call('download', 'mine.txt', '--from', 'origin', '--sha256', '0' * 64, '--to', 'other', code=1)
    assert 'is not downloads/mine.txt' in refused
    assert list((tmp_path / 'other').iterdir()) == []


def test_what_is_refused(call, tmp_path):
    assert 'say what to download' in call('download', code=2)
    assert 'there is no source' in call('download', 'barriers', code=1)
    assert 'has no public address' in call('download', 'barriers_train', code=1)
    assert 'is that of one file' in call('download', 'barriers_train', '--sha256', SHA256, code=2)
    assert 'or take what comes with --unpinned' in call('download', 'EM-COMPLETE-DATASET.json', code=1)
    assert [path for path in tmp_path.rglob('*') if path.is_file()] == []


@pytest.fixture
def file(tmp_path):
    path = tmp_path / 'small.parquet'
    path.write_bytes(write_parquet(small_dataset()))
    return path


def test_split_of_a_file(call, file, tmp_path):
    shown = call('split', file, '--test', 0.3, '--seed', 1, '-o', 'split.csv', '--leakage', 'leakage.csv')
    assert 'family split of 56 rows, seed 1' in shown
    assert 'written: split.csv' in shown
    table = pd.read_csv(tmp_path / 'split.csv')
    assert table.columns.tolist() == ['name', 'part', 'fold']
    assert table['part'].value_counts().to_dict() == {'train': 40, 'test': 16}
    shared = pd.read_csv(tmp_path / 'leakage.csv')
    assert len(shared) == 16
    assert not shared['shares_family'].any()
    row = next(line for line in shown.splitlines() if line.startswith('family ') and '%' in line)
    assert '0 (0 %)' in row
    assert 'is there already' in call('split', file, '-o', 'split.csv', code=1)
    call('split', file, '-o', 'split.csv', '--method', 'random', '--n-test', 5, '--no-hops', '--overwrite')
    assert (pd.read_csv(tmp_path / 'split.csv')['part'] == 'test').sum() == 5
    call('split', file, '-o', 'split.parquet', '--folds', 4, '--no-hops')
    assert sorted(pd.read_parquet(tmp_path / 'split.parquet')['fold'].unique()) == [0, 1, 2, 3]


def test_files_that_cannot_be_written(call, file, tmp_path):
    assert "there is no folder 'nowhere'" in call('split', file, '-o', 'nowhere/split.csv', code=1)
    assert 'x.txt ends in neither .csv nor .parquet' in call('split', file, '--leakage', 'x.txt', code=2)
    assert 'need files of their own' in call('split', file, '-o', 'a.csv', '--leakage', './a.csv', code=2)
    assert [path.name for path in tmp_path.iterdir()] == ['small.parquet']


def test_split_as_json(call, file):
    found = json.loads(call('split', file, '--method', 'random', '--folds', 4, '--no-hops', '--format', 'json'))
    assert {row['fold'] for row in found['split']} == {0, 1, 2, 3}
    assert {row['part'] for row in found['leakage']['summary']} == {f'fold {number}' for number in range(4)}
    one = json.loads(call('split', file, '--n-test', 8, '--no-hops', '--format', 'json'))
    assert {row['fold'] for row in one['split']} == {None}
    assert one['parts']['test']['n_rows'] == 8


def test_split_that_cannot_be_made(call, file, tmp_path):
    assert 'no group fits into 3 test row(s)' in call('split', file, '--n-test', 3, '-o', 'x.csv', code=1)
    assert not (tmp_path / 'x.csv').exists()
    assert 'go together' in call('split', file, '--method', 'column', code=1)
    call('split', 'nothing.parquet', code=1)


def test_split_of_a_node(call, aiida_profile):
    from aiida.orm import load_node

    from aiida_embarrier.data.table import TableData

    node = TableData(small_dataset()).store()
    found = json.loads(call('split', node.pk, '--n-test', 8, '--no-hops', '--format', 'json'))
    process = load_node(found['nodes']['process'])
    assert process.process_label == 'split_dataset'
    assert process.inputs.dataset.uuid == node.uuid
    assert process.outputs.split.table['part'].value_counts().to_dict() == {'train': 48, 'test': 8}
    shown = call('split', node.pk, '--n-test', 8, '--no-hops')
    assert 'process ' in shown.splitlines()[-1]
    refused = call('split', node.pk, '--n-test', 3, code=1)
    assert 'no group fits into 3 test row(s)' in refused
