"""Imports through AiiDA: nodes of inputs, bands and summaries; nothing of a POTCAR."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from aiida.engine import run_get_node
from aiida.orm import CalcJobNode, Dict, RemoteData
from aiida.plugins import CalcJobImporterFactory, CalculationFactory

from aiida_embarrier.bands.quantumespresso import read_band as read_neb_x
from aiida_embarrier.bands.vasp import read_band as read_vasp
from aiida_embarrier.calculations.importers.base import validate_settings
from aiida_embarrier.data.convert import structure_from_node

NEB_X = Path(__file__).resolve().parents[3] / 'examples' / 'neb_x_h2_h'
KPOINTS = 'made up for a test\n0\nMonkhorst-Pack\n4 4 3\n0 0 0\n'


@pytest.fixture
def import_folder(aiida_profile, aiida_localhost):
    """Return a function that imports a folder and returns its process."""

    def run(name: str, folder: Path, **kwargs) -> CalcJobNode:
        remote = RemoteData(remote_path=str(folder), computer=aiida_localhost)
        inputs = CalcJobImporterFactory(name).parse_remote_data(remote, **kwargs)
        return run_get_node(CalculationFactory(name), remote_folder=remote, **inputs)[1]

    return run


@pytest.fixture
def parse(aiida_profile, aiida_localhost):
    """Return a function that makes the inputs of an import."""

    def make(name: str, folder: Path, **kwargs) -> dict:
        remote = RemoteData(remote_path=str(folder), computer=aiida_localhost)
        return CalcJobImporterFactory(name).parse_remote_data(remote, **kwargs)

    return make


def files_of(node) -> set[str]:
    return {str(root / name) for root, _, names in node.outputs.retrieved.base.repository.walk() for name in names}


@pytest.mark.slow
def test_vasp(import_folder, shared_data, tmp_path):
    folder = Path(shutil.copytree(shared_data / 'neb_vasp_fixtures' / 'pymatgen_neb1', tmp_path / 'run'))
    (folder / 'INCAR').write_text('ENCUT = 520\nISPIN = 2\nMAGMOM = 31*2.5\nIMAGES = 3\nLCLIMB = .TRUE.\n')
    (folder / 'KPOINTS').write_text(KPOINTS)
    (folder / 'POTCAR').write_text('  PAW_PBE Fe_pv 06Sep2000\n   LICENSED CONTENT\n')
    process = import_folder('embarrier.import.vasp', folder, mechanism='vacancy')
    assert process.is_finished_ok, process.exit_message
    assert process.is_imported
    band, expected = process.outputs.band.band, read_vasp(folder, mechanism='vacancy').band
    np.testing.assert_array_equal(band.positions, expected.positions)
    np.testing.assert_array_equal(band.energies, expected.energies)
    np.testing.assert_array_equal(band.forces, expected.forces)
    np.testing.assert_array_equal(band.moments, expected.moments)
    assert (band.info, band.kinds) == (expected.info, expected.kinds)
    assert band.kinds[0].magnetic_moment == 2.5
    assert process.outputs.band.base.attributes.get('mechanism') == 'vacancy'

    inputs = process.inputs
    assert inputs.parameters['encut'] == 520
    assert inputs.parameters['lclimb'] is True
    assert inputs.kpoints.get_kpoints_mesh() == ([4, 4, 3], [0.5, 0.5, 0.0])
    assert inputs.potentials.get_dict() == {
        'species': [{'title': 'PAW_PBE Fe_pv 06Sep2000', 'electrons': 14.0, 'functional': 'PE'}]
    }
    assert set(inputs.structures) == {'image_00', 'image_04'}  # the others have no POSCAR
    start = structure_from_node(inputs.structures.image_04, inputs.kinds)
    assert start.site_properties['magmom'] == [2.5] * 31
    np.testing.assert_allclose(start.frac_coords[0], [0.000316, 1.006721, 0.493667], atol=1e-9)

    # small files are kept, large ones are not, and a POTCAR never
    images = {f'0{number}/CONTCAR' for number in (1, 2, 3)} | {'00/POSCAR', '04/POSCAR'}
    assert files_of(process) == {'INCAR', 'KPOINTS', *images}
    summary = process.outputs.summary.get_dict()
    assert 'barriers' not in summary
    assert 'the energies of images 1, 2, 3 are not known' in summary['warnings']
    assert summary['sources'][4]['energy'] == 'OUTCAR.xz'
    assert not process.base.caching.is_valid_cache


@pytest.mark.slow
def test_neb_x(import_folder):
    process = import_folder('embarrier.import.quantumespresso', NEB_X)
    assert process.is_finished_ok, process.exit_message
    band, expected = process.outputs.band.band, read_neb_x(NEB_X).band
    np.testing.assert_array_equal(band.energies, expected.energies)
    np.testing.assert_array_equal(band.moments, expected.moments)
    assert band.kinds == expected.kinds
    # attributes have 14 digits
    assert band.info.residual_force == pytest.approx(expected.info.residual_force, rel=1e-12)
    assert replace(band.info, residual_force=None) == replace(expected.info, residual_force=None)
    summary = process.outputs.summary.get_dict()
    assert summary['barriers']['forward'] == pytest.approx(0.204270, abs=1e-6)
    assert summary['imported']['iterations'] == 13
    assert summary['warnings'] == []
    inputs = process.inputs
    assert inputs.parameters['PATH']['ci_scheme'] == 'auto'
    assert inputs.parameters['SYSTEM']['nspin'] == 2
    assert inputs.potentials.get_dict() == {'files': {'H': 'HUSPBE.RRKJ3'}}
    assert inputs.kpoints.get_kpoints_mesh()[0] == [1, 1, 1]
    assert set(inputs.structures) == {'image_1', 'image_2'}
    np.testing.assert_allclose(
        [site.position for site in inputs.structures.image_2.sites], expected.positions[-1], atol=1e-9
    )
    assert files_of(process) == {path.name for path in NEB_X.iterdir() if path.is_file()} - {'README.md'}


@pytest.mark.slow
def test_files_that_change_while_they_are_imported(aiida_profile, aiida_localhost, tmp_path):
    """What the importer could read and the parser cannot ends with an exit code, and says where it was."""
    remote = RemoteData(remote_path=str(tmp_path), computer=aiida_localhost)
    name = 'embarrier.import.vasp'
    process = run_get_node(CalculationFactory(name), remote_folder=remote, metadata={'computer': aiida_localhost})[1]
    assert process.exit_status == 310
    assert str(tmp_path) in process.exit_message
    assert 'is no NEB calculation of VASP' in process.exit_message


def test_folders_that_are_refused(parse, tmp_path):
    with pytest.raises(ValueError, match=r'there is no folder .* on this machine: mount or copy it'):
        parse('embarrier.import.vasp', tmp_path / 'elsewhere')
    with pytest.raises(ValueError, match='is no NEB calculation of VASP'):
        parse('embarrier.import.vasp', tmp_path)
    with pytest.raises(ValueError, match=r'has no input of neb\.x'):
        parse('embarrier.import.quantumespresso', tmp_path)
    with pytest.raises(ValueError, match=r"unknown arguments \['mechanisms'\]: there is mechanism"):
        parse('embarrier.import.quantumespresso', NEB_X, mechanisms='any')


@pytest.mark.parametrize('name', ['embarrier.import.vasp', 'embarrier.import.quantumespresso'])
def test_a_calculation_knows_its_importer(name):
    assert CalculationFactory(name).get_importer().__class__ is CalcJobImporterFactory(name)


def test_settings(aiida_profile):
    assert validate_settings(None, None) is None
    assert validate_settings(Dict({'mechanism': 'any'}), None) is None
    assert 'unknown mechanism' in validate_settings(Dict({'mechanism': 'hop'}), None)
    assert "unknown settings ['ion']" in validate_settings(Dict({'ion': 'Li'}), None)
