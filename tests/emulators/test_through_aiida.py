"""The stand-in through aiida-vasp: its CalcJobs write the input and its parsers read the output."""

import numpy as np
import pytest
from aiida.engine import run_get_node
from aiida.orm import Dict, KpointsData, StructureData, load_code
from emulators.vasp.crystals import lithia_hop, shaken_lithia

OPTIONS = {'resources': {'num_machines': 1, 'num_mpiprocs_per_machine': 1}, 'withmpi': False}
INCAR = {'encut': 400, 'ismear': 0, 'sigma': 0.05, 'ispin': 2, 'lorbit': 11}


def gamma():
    kpoints = KpointsData()
    kpoints.set_kpoints_mesh([1, 1, 1])
    return kpoints


def potentials(emulator, structure):
    from aiida_vasp.data.potcar import PotcarData

    family = emulator.potcars(['Li', 'O'])
    return PotcarData.get_potcars_from_structure(structure, family, {'Li': 'Li_sv', 'O': 'O'})


@pytest.mark.slow
def test_relaxation(vasp_emulator):
    from aiida_vasp.calcs.vasp import VaspCalculation

    structure = StructureData(pymatgen=shaken_lithia())
    relaxation = {'nsw': 40, 'ibrion': 2, 'isif': 3, 'ediffg': -0.02, 'magmom': [0.6] * 12}
    results, node = run_get_node(
        VaspCalculation,
        code=vasp_emulator.code(),
        structure=structure,
        parameters=Dict(INCAR | relaxation),
        kpoints=gamma(),
        potential=potentials(vasp_emulator, structure),
        settings=Dict({'parser_settings': {'include_node': ['trajectory', 'bands', 'kpoints', 'dos']}}),
        metadata={'options': OPTIONS},
    )
    assert node.is_finished_ok, node.exit_message
    misc = results['misc'].get_dict()
    assert misc['run_status']['ionic_converged']
    assert misc['version'] == '6.4.2'
    assert misc['run_stats']['elapsed_time'] > 1
    assert misc['notifications'] == []
    assert misc['band_properties']['is_direct_gap'] in (True, False)
    assert len(misc['site_magnetization']['sphere']['x']['site_moment']) == 12
    assert np.abs(misc['forces']).max() < 0.02
    assert np.abs(misc['stress']).max() < 5
    trajectory = results['trajectory']
    assert trajectory.get_array('forces').shape == (len(trajectory.get_array('steps')), 12, 3)
    assert results['structure'].get_cell_volume() != pytest.approx(structure.get_cell_volume())
    np.testing.assert_allclose(
        trajectory.get_array('energy_extrapolated')[-1], misc['total_energies']['energy_extrapolated'], atol=1e-9
    )


@pytest.mark.slow
def test_band(vasp_emulator):
    from aiida_vasp.calcs.neb import VaspNEBCalculation

    first, *between, last = [StructureData(pymatgen=structure) for structure in lithia_hop(5)]
    band = {
        'nsw': 60, 'ibrion': 3, 'potim': 0.0, 'iopt': 3, 'lclimb': True, 'spring': -5, 'images': 3, 'ediffg': -0.03,
        'magmom': [0.6] * 11, 'nelect': 44,
    }  # fmt: skip
    results, node = run_get_node(
        VaspNEBCalculation,
        code=vasp_emulator.code(),
        parameters=Dict(INCAR | band),
        initial_structure=first,
        final_structure=last,
        neb_images={f'image_{number:02d}': image for number, image in enumerate(between, start=1)},
        kpoints=gamma(),
        potential=potentials(vasp_emulator, first),
        metadata={'options': OPTIONS},
    )
    assert node.is_finished_ok, node.exit_message
    misc = results['misc'].get_dict()
    for image in ('01', '02', '03'):
        assert misc['run_status'][image]['finished']
        assert misc['neb_data'][image]['neb_converged']
        assert np.array(misc['neb_data'][image]['tangents']).shape == (11, 3)
        assert np.array(misc['forces'][image]).shape == (11, 3)
        assert misc['run_stats'][image]['elapsed_time'] > 1
    energies = [misc['total_energies'][image]['energy_extrapolated'] for image in ('01', '02', '03')]
    assert energies[1] > energies[0] + 0.2
    assert np.linalg.norm(misc['forces']['02'], axis=1).max() < 0.03
    assert misc['neb_data']['02']['force_max_atom'] < 0.03
    assert len(results['structure']['image_02'].sites) == 11


def test_codes_have_labels_of_their_own(vasp_emulator):
    codes = [vasp_emulator.code(), vasp_emulator.code({'build': 'stock'}), vasp_emulator.code(label='other')]
    assert len({code.full_label for code in codes}) == 3
    assert load_code(codes[1].full_label).uuid == codes[1].uuid
    assert len({str(code.filepath_executable) for code in codes}) == 3


def test_made_up_potcars_are_read_by_aiida_vasp(vasp_emulator):
    from aiida_vasp.data.potcar import PotcarData
    from aiida_vasp.parsers.content_parsers.potcar import MultiPotcarIo, PotcarIo

    family = vasp_emulator.potcars(['Mn'], ['Ga_d'])
    assert vasp_emulator.potcars(['Mn', 'O']) == family
    found = {name: PotcarData.find(family=family, full_name=name)[0] for name in ('Mn', 'Mn_pv', 'Mn_sv', 'Ga_d', 'O')}
    assert len({node.sha512 for node in found.values()}) == 5
    node = found['Mn_pv']
    assert (node.symbol, node.element) == ('Mn_pv', 'Mn')
    content = PotcarIo(potcar_node=node).content.decode()
    assert 'ZVAL   =   13.000' in content
    assert 'invented' in content
    assert len(MultiPotcarIo([node, node]).potcars) == 2
