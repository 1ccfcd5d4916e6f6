"""Relaxations: what the work chain of the plugin says, and how it is told to the barrier work chain."""

import pytest
from aiida.common.links import LinkType
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from aiida.orm import Dict, Float, InstalledCode, Str, WorkChainNode
from pymatgen.core import Lattice, Structure

from aiida_embarrier.data.convert import node_from_structure
from aiida_embarrier.engines.quantumespresso.relax import (
    PwChain,
    QuantumEspressoRelaxWorkChain,
    knows_card,
    pw_inputs_of,
)
from aiida_embarrier.engines.quantumespresso.settings import check_settings
from aiida_embarrier.engines.quantumespresso.setup import prepare
from aiida_embarrier.jobs.schemas import Status


@pytest.mark.parametrize(
    ('version', 'knows'),
    [('6.7MaX', False), ('6.8', False), ('7.0', False), ('7.1', True), ('7.10', True), (None, True)],
)
def test_versions_that_know_the_card(version, knows):
    assert knows_card(version) is knows


@pytest.mark.parametrize(
    ('exit_status', 'of_job', 'status'),
    [
        (0, 0, Status.CONVERGED),
        (501, 501, Status.NOT_CONVERGED),
        (401, 502, Status.NOT_CONVERGED),
        (401, 400, Status.INTERRUPTED),
        (310, 410, Status.FAILED),
        (402, 305, Status.FAILED),
    ],
)
def test_how_the_chain_of_the_plugin_ended(make_calcjob_node, exit_status, of_job, status):
    chain = WorkChainNode().store()
    job = make_calcjob_node('quantumespresso.pw', {}, exit_status=of_job, exit_message='of the job', caller=chain)
    chain.set_process_state('finished')
    chain.set_exit_status(exit_status)
    chain.set_exit_message('of the chain')
    found = PwChain(chain)
    assert found.jobs == [job]
    assert found.status is status
    assert found.message == ('' if status is Status.CONVERGED else 'of the chain Its last job: of the job')
    assert found.last_output('output_structure') is None


@pytest.fixture
def pw_code(aiida_localhost):
    return InstalledCode(label='pw', computer=aiida_localhost, filepath_executable='/bin/true', with_mpi=False).store()


def test_inputs_of_the_plugin(families, pw_code, protocol, afm_band):
    settings = check_settings(
        protocol(npool=2, command_line=['-ndiag', '1'], kpoints_mesh=[1, 1, 1], functional='pbe+u')
    )
    prepared = prepare(settings, afm_band.kinds, afm_band.kind_indices, afm_band.lattice, 0.0, 'relax')
    structure, _ = node_from_structure(afm_band.structure(0))
    inputs = pw_inputs_of(structure, prepared, settings, pw_code, {'queue_name': 'x'})
    assert inputs['pw']['settings'].get_dict() == {'gamma_only': True, 'cmdline': ['-ndiag', '1']}
    assert inputs['pw']['parallelization'].get_dict() == {'npool': 2}
    # the work chain of the plugin says `withmpi` itself, which must not contradict the code
    assert inputs['pw']['metadata']['options'] == {'withmpi': False, 'queue_name': 'x'}
    assert inputs['pw']['parameters']['CONTROL']['calculation'] == 'relax'
    assert prepared.hubbard['kinds']['Mn2'] == {'u': 3.9, 'manifold': '3d'}


def chain(pw_code, protocol, cell='fixed', **overrides):
    crystal = Structure(Lattice.cubic(4), ['Mn', 'O'], [[0, 0, 0], [0.5, 0.5, 0.5]], site_properties={'magmom': [5, 0]})
    structure, kinds = node_from_structure(crystal)
    process = instantiate_process(
        get_manager().get_runner(),
        QuantumEspressoRelaxWorkChain,
        code=pw_code,
        structures={'host': structure},
        kinds=kinds,
        cell=Str(cell),
        settings=Dict(protocol(**overrides)),
        charge=Float(0.0),
    )
    return process, process.setup()


def test_structures_get_their_u(families, pw_code, protocol):
    process, code = chain(pw_code, protocol, functional='pbe+u')
    assert code is None
    state = process.ctx.states['host']
    assert state['card'] is True
    assert [entry.atom_manifold for entry in state['structure'].hubbard.parameters] == ['3d']
    older, _ = chain(pw_code, protocol, functional='pbe+u', hubbard_card=False)
    assert older.ctx.states['host']['structure'].uuid == older.inputs.structures['host'].uuid


def test_what_cannot_be_computed_is_refused(families, pw_code, protocol):
    _, code = chain(pw_code, protocol, spin='none')
    assert code.status == 201
    assert 'has a magnetic moment, but spin is `none`' in code.message


def test_cell_is_relaxed_again_in_its_basis(families, pw_code, protocol, make_calcjob_node):
    process, _ = chain(pw_code, protocol, cell='full')
    state = process.ctx.states['host']
    for number in range(1, 5):
        assert process.is_unfinished()
        node = WorkChainNode().store()
        later, _ = node_from_structure(Structure(Lattice.cubic(4 - 0.1 * number), ['Mn', 'O'], [[0] * 3, [0.5] * 3]))
        make_calcjob_node('quantumespresso.pw', {}, outputs={'output_structure': later}, exit_status=501, caller=node)
        node.set_process_state('finished')
        node.set_exit_status(501)
        state['chains'].append(f'host_{number}')
        process.ctx[f'chain_host_{number}'] = node
        process.inspect()
        assert state['structure'].uuid == later.uuid
    assert not process.is_unfinished()  # four times were enough
    assert node.base.links.get_outgoing(link_type=LinkType.CALL_CALC).all()
    code = process.results()
    assert code.status == 501
    assert process.outputs['structures']['host'].cell_lengths[0] == pytest.approx(3.6)
    assert process.outputs['results']['tasks']['host']['status'] == 'not_converged'
