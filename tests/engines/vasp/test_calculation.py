"""The files of jobs: everything in them stands in the same order."""

from pathlib import Path

import numpy as np
import pytest
from aiida.common.folders import SandboxFolder
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from aiida.orm import Dict, KpointsData, RemoteData
from pymatgen.core import Structure
from systems import straight_band

from aiida_embarrier.bands.band import kinds_of
from aiida_embarrier.data.band import BandData
from aiida_embarrier.data.convert import node_from_structure
from aiida_embarrier.engines.base import get_engine
from aiida_embarrier.engines.functionals import load_functionals
from aiida_embarrier.engines.vasp import FUNCTIONALS
from aiida_embarrier.engines.vasp.calculation import VaspBandCalculation, VaspStructureCalculation, layout_of
from aiida_embarrier.engines.vasp.incar import Task, make_incar
from aiida_embarrier.engines.vasp.potcars import find_potcars


@pytest.fixture
def prepare(working_vasp, vasp_potcars):
    """Return a function that writes the input files of a job, and returns their contents and the calculation info."""

    def write(cls, atoms, task, restart=None, **subject):
        settings = get_engine('vasp').resolve_protocol(None, {'paw': {'family': vasp_potcars}, 'functional': 'pbe+u'})
        functional = load_functionals(FUNCTIONALS).resolve('pbe+u')
        layout = layout_of(*atoms, settings)
        potcars = find_potcars(vasp_potcars, {}, layout.elements)
        kpoints = KpointsData()
        kpoints.set_kpoints_mesh([2, 3, 4])
        tags = make_incar(layout, settings, functional, task)
        process = instantiate_process(
            get_manager().get_runner(),
            cls,
            code=working_vasp,
            protocol=Dict(settings),
            criteria=Dict({}),
            parameters=Dict({name.lower(): value for name, value in tags.items()}),
            kpoints=kpoints,
            potential={group.name: potcars[group.element] for group in layout.groups},
            metadata={'options': {'resources': {'num_machines': 1}}},
            **({} if restart is None else {'restart_folder': restart}),
            **subject,
        )
        with SandboxFolder() as folder:
            info = process.prepare_for_submission(folder)
            root = Path(folder.abspath)
            files = {str(path.relative_to(root)): path.read_text() for path in root.rglob('*') if path.is_file()}
        return files, info

    return write


def read_poscar(text):
    lines = text.splitlines()
    counts = [int(count) for count in lines[6].split()]
    assert lines[7] == 'Cartesian'
    positions = np.array([[float(word) for word in line.split()] for line in lines[8:]])
    return lines[5].split(), counts, positions


def test_groups_of_one_element_with_different_u(prepare):
    structure = Structure(
        np.diag([4.0, 5.0, 6.0]),
        ['O', 'Mn', 'Li', 'Mn', 'Mn', 'O'],
        [[0.5, 0, 0], [0, 0, 0], [1.7, 0.5, 0], [0, 0.5, 0.5], [-0.3, 0, 0.5], [0.5, 0.5, 0.5]],
        site_properties={'magmom': [0, 4, 0, -3, 4, 0], 'hubbard_u': [None, 2.0, None, 5.0, 2.0, None]},
    )
    node, kinds = node_from_structure(structure)
    files, info = prepare(VaspStructureCalculation, kinds_of(structure), Task('relax'), structure=node, kinds=kinds)
    elements, counts, positions = read_poscar(files['POSCAR'])
    assert (elements, counts) == (['O', 'Mn', 'Mn', 'Li'], [2, 1, 2, 1])
    order = [0, 5, 3, 1, 4, 2]
    assert np.allclose(positions, structure.cart_coords[order])  # not wrapped
    incar = dict(line.split(' = ') for line in files['INCAR'].splitlines())
    assert incar['LDAUU'] == '0 5 2 0'
    assert incar['MAGMOM'] == '2*0 -3 2*4 0'
    titles = [line.split()[3] for line in files['POTCAR'].splitlines() if 'TITEL' in line]
    assert titles == ['O', 'Mn_pv', 'Mn_pv', 'Li_sv']
    assert files['KPOINTS'].split('Gamma')[-1].split()[:3] == ['2', '3', '4']
    assert 'POTCAR' in info.provenance_exclude_list
    assert {'OUTCAR', 'CONTCAR', 'vasprun.xml', 'vasp_output'} == set(info.retrieve_list)


def test_images_of_a_band(prepare):
    band = straight_band()
    files, info = prepare(
        VaspBandCalculation, (band.kinds, band.kind_indices), Task('neb', n_images=5), band=BandData(band)
    )
    for image in range(5):
        elements, counts, positions = read_poscar(files[f'{image:02d}/POSCAR'])
        assert (elements, counts) == (['Al'], [31])
        assert np.allclose(positions, band.positions[image], atol=1e-11)
    assert files['INCAR'].count('IMAGES = 3') == 1
    retrieved = {entry if isinstance(entry, str) else entry[0] for entry in info.retrieve_list}
    assert retrieved == {
        'stdout',
        *(f'{image:02d}/{name}' for image in (1, 2, 3) for name in ('OUTCAR', 'CONTCAR')),
        '02/stdout',
        '03/stdout',
    }


def test_wavefunctions_of_the_job_before(prepare, aiida_localhost, tmp_path):
    band = straight_band()
    for image, content in ((1, 'coefficients'), (2, ''), (3, None)):
        (tmp_path / f'{image:02d}').mkdir()
        if content is not None:
            (tmp_path / f'{image:02d}' / 'WAVECAR').write_text(content)
    (tmp_path / '03').rmdir()
    restart = RemoteData(computer=aiida_localhost, remote_path=str(tmp_path)).store()
    what = (VaspBandCalculation, (band.kinds, band.kind_indices), Task('neb', n_images=5))
    _, info = prepare(*what, restart=restart, band=BandData(band))
    # that of the second is empty, as its job was killed; the folder of the third is gone
    assert info.remote_copy_list == [(aiida_localhost.uuid, str(tmp_path / '01' / 'WAVECAR'), '01/WAVECAR')]
