"""What a job of neb.x gets: files, command line, pseudopotentials, and the folder that it goes on from."""

from pathlib import Path

import numpy as np
import pytest
from aiida.common.folders import SandboxFolder
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from aiida.orm import Dict, InstalledCode, KpointsData, RemoteData
from aiida_pseudo.groups.family import CutoffsPseudoPotentialFamily

from aiida_embarrier.data.band import BandData
from aiida_embarrier.engines.quantumespresso.calculation import QuantumEspressoNebCalculation

NAMELISTS = {'CONTROL': {'calculation': 'scf'}, 'SYSTEM': {'ecutwfc': 40.0}, 'ELECTRONS': {}}


@pytest.fixture
def submit(families, aiida_localhost, afm_band):
    """Return a factory that prepares a job and returns its CalcInfo and the contents of its files."""
    family = CutoffsPseudoPotentialFamily.collection.get(label='invented/pbe')
    kpoints = KpointsData()
    kpoints.set_kpoints_mesh([2, 2, 1])

    def make(band=afm_band, options=None, **inputs):
        process = instantiate_process(
            get_manager().get_runner(),
            QuantumEspressoNebCalculation,
            code=InstalledCode(label='neb', computer=aiida_localhost, filepath_executable='/bin/neb.x').store(),
            band=BandData(band),
            path=Dict({'ci_scheme': 'auto', 'path_thr': 0.05, 'num_of_images': 3}),
            parameters=Dict(NAMELISTS),
            kpoints=kpoints,
            pseudos={name: family.get_pseudo(name.rstrip('12')) for name in ('Mn1', 'Mn2', 'O')},
            settings=Dict({'functional': 'pbe', 'charge': 0.0, 'final': True, 'command_line': ['-nk', '2']}),
            metadata={'options': {'resources': {'num_machines': 1, 'num_mpiprocs_per_machine': 4}, **(options or {})}},
            **inputs,
        )
        with SandboxFolder() as folder:
            calc = process.prepare_for_submission(folder)
            files = {
                name: Path(folder.get_abs_path(name)).read_text()
                for name in folder.get_content_list()
                if folder.isfile(name)
            }
        return calc, files

    return make


def test_files_and_command_line(submit):
    calc, files = submit()
    assert set(files) == {'neb.dat', 'pw_1.in', 'pw_2.in', 'pw_3.in'}
    assert "ci_scheme = 'auto'" in files['neb.dat']
    assert 'K_POINTS automatic\n2 2 1 0 0 0\n' in files['pw_3.in']
    assert 'HUBBARD' not in files['pw_1.in']
    assert 'max_seconds' not in files['pw_1.in']
    code = calc.codes_info[0]
    assert code.cmdline_params == ['-nk', '2', '-input_images', '3']
    # both kinds of Mn share a file
    assert sorted(target for _, _, target in calc.local_copy_list) == ['./pseudo/Mn.pbe.upf', './pseudo/O.pbe.upf']
    assert 'aiida.path' in calc.retrieve_list


def test_wall_time_and_u(submit):
    hubbard = Dict({'projectors': 'atomic', 'kinds': {'Mn1': {'u': 4.0, 'manifold': '3d'}}})
    _, files = submit(options={'max_wallclock_seconds': 1000}, hubbard=hubbard)
    assert '  max_seconds = 9.5000000000d+02\n' in files['pw_2.in']
    assert files['pw_2.in'].endswith('HUBBARD (atomic)\nU Mn1-3d 4.000000\n')


def test_folder_to_go_on_from(submit, aiida_localhost):
    folder = RemoteData(remote_path='/scratch/job', computer=aiida_localhost).store()
    calc, _ = submit(parent_folder=folder)
    assert calc.remote_copy_list == [
        (aiida_localhost.uuid, '/scratch/job/out/*', './out/'),
        (aiida_localhost.uuid, '/scratch/job/aiida.path', 'aiida.path'),
    ]


def test_bands_that_it_cannot_do(submit, afm_band):
    with pytest.raises(ValueError, match='no image between its endpoints'):
        submit(afm_band.replace(positions=afm_band.positions[[0, 2]], energies=None, max_perpendicular_forces=None))
    with pytest.raises(ValueError, match='one lattice for all images'):
        submit(afm_band.replace(lattice=np.stack([afm_band.lattice, afm_band.lattice * 1.01, afm_band.lattice])))
