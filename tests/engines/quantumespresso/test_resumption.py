"""Work chains that `resume` started go on where the earlier attempt stopped."""

import pytest
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from aiida.orm import Dict, Float, InstalledCode, Int, KpointsData, RemoteData
from pymatgen.core import Lattice, Structure

from aiida_embarrier.data.band import BandData
from aiida_embarrier.data.convert import node_from_structure
from aiida_embarrier.engines.quantumespresso.band import QuantumEspressoBandWorkChain
from aiida_embarrier.engines.quantumespresso.calculation import PATH_FILE
from aiida_embarrier.engines.quantumespresso.pw import PwWorkChain
from aiida_embarrier.engines.resumption import RESUMES


def started(chain, resumes, **inputs):
    process = instantiate_process(get_manager().get_runner(), chain, **inputs)
    if resumes is not None:
        process.node.base.extras.set(RESUMES, resumes.node.uuid)
    process.setup()
    return process


@pytest.fixture
def code(aiida_localhost):
    return InstalledCode(label='x', computer=aiida_localhost, filepath_executable='/bin/true').store()


def test_band(families, code, protocol, afm_band, make_calcjob_node, aiida_localhost, tmp_path):
    inputs = {
        'code': code,
        'band': BandData(afm_band).store(),
        'settings': Dict(protocol()).store(),
        'charge': Float(0.0).store(),
        'max_iterations': Int(3).store(),
    }
    first = started(QuantumEspressoBandWorkChain, None, **inputs)
    first.take_over()
    assert not first.ctx.resumed
    (tmp_path / PATH_FILE).touch()
    path = first.ctx.inputs.path.get_dict()
    job = make_calcjob_node(
        'embarrier.quantumespresso.neb',
        {
            'band': inputs['band'],
            'path': Dict({**path, 'ci_scheme': 'auto', 'nstep_path': 150}),
            'parameters': first.ctx.inputs.parameters,
            'settings': first.ctx.inputs.settings,
        },
        outputs={'remote_folder': RemoteData(remote_path=str(tmp_path), computer=aiida_localhost)},
        caller=first.node,
    )
    job.set_process_state('killed')
    job.seal()
    again = started(QuantumEspressoBandWorkChain, first, **inputs)
    again.take_over()
    assert again.ctx.resumed
    path = again.ctx.inputs.path.get_dict()
    assert (path['ci_scheme'], path['nstep_path'], path['restart_mode']) == ('auto', 150, 'restart')
    assert again.ctx.inputs.parent_folder.uuid == job.outputs.remote_folder.uuid
    assert again.ctx.inputs.settings['final'] is True


@pytest.mark.parametrize('status', [0, None])
def test_relaxation(families, code, make_calcjob_node, status):
    """The last job is asked for as it was: one that ended is found in the database, one that was killed runs again."""
    from aiida_pseudo.groups.family import CutoffsPseudoPotentialFamily

    family = CutoffsPseudoPotentialFamily.collection.get(label='invented/pbe')
    structure, _ = node_from_structure(Structure(Lattice.cubic(4), ['Al'], [[0, 0, 0]]))
    later, _ = node_from_structure(Structure(Lattice.cubic(4), ['Al'], [[0.1, 0, 0]]))
    kpoints = KpointsData()
    kpoints.set_kpoints_mesh([1, 1, 1])
    inputs = {
        'pw': {
            'code': code,
            'structure': structure.store(),
            'parameters': Dict(
                {'CONTROL': {'calculation': 'relax'}, 'SYSTEM': {'ecutwfc': 20 if status is None else 30}}
            ).store(),
            'pseudos': {'Al': family.get_pseudo('Al')},
            'metadata': {'options': {'resources': {'num_machines': 1, 'num_mpiprocs_per_machine': 1}}},
        },
        'kpoints': kpoints.store(),
    }
    first = started(PwWorkChain, None, **inputs)
    assert not first.ctx.resumed
    job = make_calcjob_node(
        'quantumespresso.pw',
        {'structure': later, 'parameters': Dict({'CONTROL': {'calculation': 'relax', 'restart_mode': 'restart'}})},
        exit_status=status,
        caller=first.node,
    )
    if status is None:
        job.set_process_state('killed')
    job.seal()
    assert job.base.caching.is_valid_cache == (status is not None)
    again = started(PwWorkChain, first, **inputs)
    assert again.ctx.resumed
    assert again.ctx.inputs.structure.uuid == job.inputs.structure.uuid
    assert again.ctx.inputs.parameters['CONTROL']['restart_mode'] == 'restart'
