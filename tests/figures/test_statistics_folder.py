"""The folder with the statistics of a dataset: whole or not there, and never in place of anything else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from dataset_rows import property_rows

from aiida_embarrier.datasets.statistics import dataset_statistics
from aiida_embarrier.figures import page_folder as module
from aiida_embarrier.figures.page_folder import check_folder
from aiida_embarrier.figures.statistics_folder import write_statistics

FRAME = property_rows()
FOUND = dataset_statistics(FRAME, 'property', target='bulk modulus', unit='GPa')


@pytest.fixture(scope='module')
def original(tmp_path_factory):
    folder = tmp_path_factory.mktemp('original') / 'statistics'
    return folder, write_statistics(folder, FRAME, FOUND, 'Moduli', 'made up')


@pytest.fixture
def written(original, tmp_path):
    return Path(shutil.copytree(original[0], tmp_path / 'statistics'))


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob('*') if path.is_file())


def test_files(original):
    folder, files = original
    expected = ['figures/elements.png', 'figures/elements.svg', 'figures/histogram.png', 'figures/histogram.svg']
    expected += ['index.html', 'statistics.json', *(f'tables/{name}.csv' for name in FOUND.tables)]
    assert names(folder) == sorted(expected)
    assert sorted(files) == sorted(folder / name for name in expected)
    for name, table in FOUND.tables.items():
        back = pd.read_csv(folder / 'tables' / f'{name}.csv', keep_default_na=False)
        assert list(back) == list(table)
        assert len(back) == len(table)
    summary = json.loads((folder / 'statistics.json').read_text())
    assert summary['numbers'] == FOUND.numbers
    assert (summary['quantity'], summary['unit'], summary['source']) == ('bulk modulus', 'GPa', 'made up')
    assert set(summary['tables']) == set(FOUND.tables)
    page = (folder / 'index.html').read_text()
    assert '<h1>Moduli</h1>' in page
    assert page.count('data:image/svg+xml') == 2
    assert names(folder.parent) == sorted(f'statistics/{name}' for name in expected), 'nothing else is left behind'


def test_replaced_on_request_only(written):
    folder = written
    before = names(folder)
    (folder / 'tables' / 'old.csv').write_text('x\n')
    with pytest.raises(
        FileExistsError, match='is there already: choose another folder, or replace it with --overwrite'
    ):
        write_statistics(folder, FRAME, FOUND, 'Again')
    assert '<h1>Moduli</h1>' in (folder / 'index.html').read_text()
    write_statistics(folder, FRAME, FOUND, 'Again', overwrite=True)
    assert '<h1>Again</h1>' in (folder / 'index.html').read_text()
    assert names(folder) == before, 'of the old folder nothing is left'


@pytest.mark.parametrize('stranger', ['thesis.tex', 'figures/photo.jpg', 'tables/more/by_ion.csv', 'data/by_ion.csv'])
def test_other_files_are_never_replaced(tmp_path, stranger):
    path = tmp_path / 'statistics' / stranger
    path.parent.mkdir(parents=True)
    path.write_text('mine')
    with pytest.raises(FileExistsError, match='holds files that are no statistics, such as'):
        write_statistics(tmp_path / 'statistics', FRAME, FOUND, 'Moduli', overwrite=True)
    assert path.read_text() == 'mine'


def test_nothing_half_written(tmp_path, written, monkeypatch):
    """Where a picture fails, a new folder is not there and an old one stays."""
    folder = written
    before = (folder / 'index.html').read_text()

    def fail(*_):
        raise OSError('no space left')

    monkeypatch.setattr(module, 'save', fail)
    for path in (folder, tmp_path / 'new'):
        with pytest.raises(OSError, match='no space left'):
            write_statistics(path, FRAME, FOUND, 'Again', overwrite=True)
    assert (folder / 'index.html').read_text() == before
    assert [path.name for path in tmp_path.iterdir()] == ['statistics']


def test_where_it_can_be_written(tmp_path):
    with pytest.raises(FileNotFoundError, match='there is no folder'):
        check_folder(tmp_path / 'missing' / 'statistics')
    (tmp_path / 'file').write_text('')
    with pytest.raises(FileExistsError, match='is no folder'):
        check_folder(tmp_path / 'file', overwrite=True)
    (tmp_path / 'empty').mkdir()
    assert check_folder(tmp_path / 'empty') == tmp_path / 'empty'
