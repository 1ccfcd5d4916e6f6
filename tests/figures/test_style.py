"""Figures as files, and what they must not import."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aiida_embarrier.figures.energy_path import energy_path
from aiida_embarrier.figures.migration_path import migration_path
from aiida_embarrier.figures.style import chemical, save

BEGINNINGS = {'png': b'\x89PNG\r\n', 'svg': b'<?xml', 'pdf': b'%PDF-'}


@pytest.mark.parametrize('suffix', BEGINNINGS)
@pytest.mark.parametrize('draw', [energy_path, migration_path])
def test_figures_become_files(lifepo4, tmp_path, suffix, draw):
    path = save(draw(lifepo4), tmp_path / f'figure.{suffix}')
    assert path.read_bytes().startswith(BEGINNINGS[suffix])
    again = save(draw(lifepo4), str(tmp_path / f'again.{suffix}'))
    assert again.read_bytes() == path.read_bytes(), 'the same figure gives the same bytes'


def test_text_of_svg_stays_text(lifepo4, tmp_path):
    assert '>reaction coordinate (Å)<' in save(energy_path(lifepo4), tmp_path / 'a.svg').read_text()


@pytest.mark.parametrize('name', ['figure.jpeg', 'figure', 'figure.PNGG'])
def test_unknown_suffix_is_refused(lifepo4, tmp_path, name):
    with pytest.raises(ValueError, match=rf"'{name}': end the name in one of .png, .svg, .pdf"):
        save(energy_path(lifepo4), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_missing_folder_is_named(lifepo4, tmp_path):
    with pytest.raises(FileNotFoundError, match=r'there is no folder .*absent'):
        save(energy_path(lifepo4), tmp_path / 'absent' / 'a.png')


def test_folder_that_cannot_be_written_is_named(lifepo4, tmp_path, monkeypatch):
    folder = tmp_path / 'locked'
    folder.mkdir()
    folder.chmod(0o500)
    if os.access(folder, os.W_OK):  # root may write anywhere
        folder = Path('/proc')
    with pytest.raises(OSError, match=r'cannot write .*a\.png.*choose another folder'):
        save(energy_path(lifepo4), folder / 'a.png')


@pytest.mark.parametrize(
    ('formula', 'text'), [('LiFePO4', 'LiFePO$_{4}$'), ('Li0.5CoO2', 'Li$_{0.5}$CoO$_{2}$'), ('Si', 'Si')]
)
def test_formulas_have_subscripts(formula, text):
    assert chemical(formula) == text


def test_pyplot_is_never_imported(tmp_path):
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from aiida_embarrier.bands import Band, Kind
from aiida_embarrier.figures.energy_path import energy_path
from aiida_embarrier.figures.migration_path import migration_path
from aiida_embarrier.figures.style import save
band = Band(kinds=(Kind('Li', 'Li'), Kind('O', 'O')), kind_indices=[0, 1], lattice=[[4, 0, 0], [0, 4, 0], [0, 0, 4]],
            positions=[[[0, 0, 0], [2, 2, 2]], [[1, 0, 0], [2, 2, 2]], [[2, 0, 0], [2, 2, 2]]], mobile=(0,),
            energies=[0, 1, 0])
save(energy_path(band), {str(tmp_path / 'a.png')!r})
save(migration_path(band), {str(tmp_path / 'b.png')!r})
print('matplotlib.pyplot' in sys.modules, 'aiida' in sys.modules)
"""
    finished = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == 'False False'
