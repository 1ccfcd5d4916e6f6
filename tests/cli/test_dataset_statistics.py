"""`dataset statistics` on files and nodes."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from dataset_rows import barrier_rows, property_rows

from aiida_embarrier.cli import main


def run(*arguments):
    return CliRunner().invoke(main, ['dataset', 'statistics', *map(str, arguments)])


@pytest.fixture
def barriers(tmp_path):
    path = tmp_path / 'barriers.parquet'
    barrier_rows().to_parquet(path)
    return path


def test_text(barriers):
    done = run(barriers)
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert 'rows                          208' in lines
    assert 'materials                     17, 16 of them with several paths (207 rows)' in lines
    (lithium,) = [line.split() for line in lines if line.startswith('Li ')]
    assert lithium[1:3] == ['104', '50.0%']
    for heading in ('Migrating ions (by_ion)', 'Structural groups (by_structural_group)', 'Flagged rows (flags)'):
        assert heading in lines
    assert any('further tables, for --table: histogram, thresholds' in line for line in lines)


def test_chosen_tables(barriers):
    done = run(barriers, '--table', 'by_space_group', '--table', 'thresholds', '--below', 0.3, '--below', 0.1)
    assert done.exit_code == 0, done.output
    assert 'P21/c' in done.output
    assert 'Migrating ions' not in done.output
    rows = [line.split() for line in done.output.splitlines() if line.strip().startswith('0.')]
    values = barrier_rows()['barrier']
    assert [(float(row[0]), int(row[1])) for row in rows] == [(t, (values < t).sum()) for t in (0.1, 0.3)]


def test_json(barriers):
    result = json.loads(run(barriers, '--format', 'json', '--bin-width', 0.5).stdout)
    assert (result['schema'], result['quantity'], result['unit']) == ('barrier', 'migration barrier', 'eV')
    assert result['numbers']['n_rows'] == 208
    assert sum(row['n'] for row in result['tables']['histogram']) == 208
    assert result['tables']['histogram'][0]['high'] == 0.5
    assert 'nodes' not in result
    chosen = json.loads(run(barriers, '--format', 'json', '--table', 'pairs').stdout)
    assert list(chosen['tables']) == ['pairs']
    assert len(chosen['tables']['pairs']) == 8


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--table', 'nothing'], "there is no table 'nothing': choose from histogram, ranges"),
        (['--store'], '--store is for nodes'),
        (['--title', 'x'], 'are for the folder that --output writes'),
        (['--bin-width', '0'], 'the width of a bin is a positive number, got 0.0'),
        (['-o', '.'], 'is there already'),
        (['-o', 'missing/folder'], 'there is no folder'),
    ],
)
def test_refused(barriers, arguments, message, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    done = run(barriers, *arguments)
    assert done.exit_code != 0
    assert message in done.output
    assert [path.name for path in tmp_path.iterdir()] == ['barriers.parquet']


@pytest.mark.slow
def test_folder(tmp_path):
    path = tmp_path / 'moduli.parquet'
    property_rows().to_parquet(path)
    done = run(path, '-o', tmp_path / 'out', '--source', 'made up', '--format', 'json')
    assert done.exit_code == 0, done.output
    files = json.loads(done.stdout)['files']
    assert str(tmp_path / 'out' / 'index.html') in files
    page = (tmp_path / 'out' / 'index.html').read_text()
    assert '<h1>moduli.parquet</h1>' in page
    assert 'Source: made up' in page
    assert run(path, '-o', tmp_path / 'out').exit_code != 0
    again = run(path, '-o', tmp_path / 'out', '--overwrite', '--title', 'Moduli')
    assert again.exit_code == 0, again.output
    assert '<h1>Moduli</h1>' in (tmp_path / 'out' / 'index.html').read_text()


def test_node(aiida_profile):
    """A node is counted as it is; with --store a process says so."""
    from aiida.orm import load_node

    from aiida_embarrier.data.dataset import DatasetData

    node = DatasetData(
        property_rows(), schema='property', target='bulk modulus', target_unit='GPa', title='Moduli'
    ).store()
    result = json.loads(run(node.pk, '--format', 'json').stdout)
    assert (result['quantity'], result['unit']) == ('bulk modulus', 'GPa')
    assert not node.base.links.get_outgoing().all()
    stored = run(node.uuid, '--store')
    assert stored.exit_code == 0, stored.output
    (link,) = node.base.links.get_outgoing().all()
    assert f'process {link.node.pk}, numbers {link.node.outputs.numbers.pk}' in stored.output
    assert load_node(link.node.outputs.histogram.pk).table['n'].sum() == 120
