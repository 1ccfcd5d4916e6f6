"""Crystals to files and back."""

from pathlib import Path

import numpy as np
import pytest

from aiida_embarrier.structures.charge_states import set_charge_state
from aiida_embarrier.structures.oxidation import oxidation_states_of
from aiida_embarrier.structures.reading import read_structure
from aiida_embarrier.structures.writing import format_of, write_structure, write_structures


@pytest.mark.parametrize('name', ['crystal.cif', 'crystal.json', 'crystal.vasp', 'POSCAR', 'POSCAR_one', 'a.poscar'])
def test_crystals_come_back(olivine, tmp_path, name):
    made = set_charge_state(olivine, 'Li', 0.25, guess=True).structure
    write_structure(made, tmp_path / name)
    back = read_structure(tmp_path / name)
    assert back.composition.element_composition == made.composition.element_composition
    np.testing.assert_allclose(back.frac_coords, made.frac_coords, atol=1e-9)
    np.testing.assert_allclose(back.lattice.parameters, made.lattice.parameters, atol=1e-8)
    expected = None if format_of(tmp_path / name) == 'vasp' else oxidation_states_of(made)
    assert oxidation_states_of(back) == expected


@pytest.mark.parametrize('name', ['crystal.cif', 'crystal.json'])
def test_moments_come_back(olivine, tmp_path, name):
    moments = [4.0 * (-1) ** index if site.specie.symbol == 'Fe' else 0.0 for index, site in enumerate(olivine)]
    olivine.add_site_property('magmom', moments)
    olivine.add_site_property('oxidation_state', [0.0] * len(olivine))
    write_structure(olivine, tmp_path / name)
    back = read_structure(tmp_path / name)
    np.testing.assert_allclose(back.site_properties['magmom'], moments)


def test_positions_outside_the_cell_stay_in_a_poscar(olivine, tmp_path):
    olivine.translate_sites([0], [0, 1.25, 0], to_unit_cell=False)
    write_structure(olivine, tmp_path / 'a.vasp')
    assert read_structure(tmp_path / 'a.vasp')[0].frac_coords[1] == pytest.approx(1.25)


def test_names_that_say_no_format(olivine, tmp_path):
    with pytest.raises(ValueError, match=r"crystal.xyz' says no format .* \.cif, \.vasp, \.json"):
        write_structure(olivine, tmp_path / 'crystal.xyz')


def test_a_folder_that_is_missing_is_named(olivine, tmp_path):
    with pytest.raises(FileNotFoundError, match=f"^there is no folder '{tmp_path}/none'$"):
        write_structure(olivine, tmp_path / 'none' / 'a.json')


def test_all_files_or_none(olivine, tmp_path, monkeypatch):
    names = ['hop_000/initial.cif', 'hop_000/final.cif']
    files = write_structures(tmp_path / 'out', dict.fromkeys(names, olivine))
    assert files == [tmp_path / 'out' / name for name in names]
    with pytest.raises(ValueError, match='is there already: replace it with --overwrite'):
        write_structures(tmp_path / 'out', {'new.cif': olivine, names[0]: olivine})
    assert not (tmp_path / 'out' / 'new.cif').exists()
    write_structures(tmp_path / 'out', dict.fromkeys(names, olivine), overwrite=True)
    before = sorted((tmp_path / 'out').rglob('*'))
    proper = Path.write_text

    def full_disk(path, *arguments, **settings):
        if path.name == 'second.cif':
            raise OSError(28, 'No space left on device')
        return proper(path, *arguments, **settings)

    monkeypatch.setattr(Path, 'write_text', full_disk)
    with pytest.raises(OSError, match='No space left'):
        write_structures(tmp_path / 'out', {'first.cif': olivine, 'second.cif': olivine})
    assert sorted((tmp_path / 'out').rglob('*')) == before


def test_a_file_is_replaced_whole_or_not_at_all(olivine, tmp_path, monkeypatch):
    path = tmp_path / 'a.cif'
    path.write_text('before')
    monkeypatch.setattr(Path, 'replace', lambda *_: (_ for _ in ()).throw(OSError(28, 'No space left on device')))
    with pytest.raises(OSError, match='No space left'):
        write_structure(olivine, path)
    assert path.read_text() == 'before'
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(ValueError, match='is a file: give a folder'):
        write_structures(path, {'a.cif': olivine})
