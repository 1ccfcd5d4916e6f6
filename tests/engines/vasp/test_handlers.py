"""How each failure of a job is handled, on jobs that might have run."""

import numpy as np
import pytest
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from aiida.orm import Dict, Float, Int, RemoteData, Str
from systems import aluminium, straight_band

from aiida_embarrier.data.band import BandData
from aiida_embarrier.data.convert import node_from_structure
from aiida_embarrier.engines.base import get_engine
from aiida_embarrier.engines.vasp.band import VaspBandWorkChain
from aiida_embarrier.engines.vasp.base import STOPPED_BY_MONITOR
from aiida_embarrier.engines.vasp.calculation import VaspBandCalculation
from aiida_embarrier.engines.vasp.structure import VaspStructureWorkChain

CODES = VaspBandCalculation.exit_codes


@pytest.fixture
def chain(working_vasp, vasp_potcars):
    """Return a factory of chains that were set up and have run nothing."""

    def make(cls=VaspBandWorkChain, charge=0.0, options=None, max_iterations=20, task=None, **overrides):
        engine = get_engine('vasp')
        settings = engine.resolve_protocol('balanced', {'paw': {'family': vasp_potcars}, **overrides})
        settings.pop('max_iterations')
        band = BandData(straight_band())
        structure, _ = node_from_structure(aluminium((1, 1, 1)))
        subject = {'band': band} if cls is VaspBandWorkChain else {'structure': structure}
        process = instantiate_process(
            get_manager().get_runner(),
            cls,
            code=working_vasp,
            protocol=Dict(settings),
            charge=Float(charge),
            max_iterations=Int(max_iterations),
            **subject,
            **({} if task is None else {'task': Str(task)}),
            **({} if options is None else {'options': Dict(options)}),
        )
        process.exit = process.setup()
        return process

    return make


@pytest.fixture
def job(make_calcjob_node, aiida_localhost):
    """Return a factory of jobs that ended with an exit code and left a band."""

    def make(exit_code, band=True, energy=0.4, ends=(0, 0), message='', exit_message='the reason', **results):
        report = {'n_steps': 20, 'n_evaluations': 60, 'steps_of_images': [20] * 3, 'message': message, 'wall_s': 10.0}
        report |= {'residual_force': 0.3, 'residual_forces': np.linspace(2, 0.3, 20).tolist(), 'notifications': []}
        outputs = {'results': Dict({**report, **results})}
        if band:
            plain = straight_band().replace(
                energies=[ends[0], 0.1, energy, 0.1, ends[1]], engine='vasp', functional='pbe'
            )
            outputs['band'] = BandData(plain)
        outputs['remote_folder'] = RemoteData(computer=aiida_localhost, remote_path='/nowhere')
        status = exit_code if isinstance(exit_code, int) else CODES[exit_code].status
        return make_calcjob_node(
            'embarrier.vasp.band', {}, outputs=outputs, exit_status=status, exit_message=exit_message
        )

    return make


def inspect(chain, *nodes):
    """Let a chain inspect the last of some jobs that it might have run."""
    chain.ctx.children = list(nodes)
    chain.ctx.iteration = len(nodes)
    return chain.inspect_process()


def incar(chain):
    return {name.upper(): value for name, value in chain.ctx.inputs.parameters.get_dict().items()}


def test_setup(chain):
    process = chain(charge=-1.0)
    assert process.exit is None
    tags = incar(process)
    assert (tags['IMAGES'], tags['LCLIMB'], tags['EDIFFG'], tags['NELECT']) == (3, False, -0.5, 31 * 3 + 1)
    assert set(process.ctx.inputs.potential) == {'Al'}
    assert process.ctx.inputs.metadata['options'] == {'resources': {'num_machines': 1}}
    assert process.ctx.inputs.monitors['energy']['entry_point'] == 'embarrier.vasp'


@pytest.mark.parametrize(
    ('how', 'message'),
    [
        ({'paw': {'family': 'PBE.99'}}, 'there is no POTCAR family .PBE.99. in this profile .EMULATED.54.'),
        (
            {'paw': {'family': 'EMULATED.54', 'mapping': {'Al': 'Al_GW'}}},
            'no potential Al_GW of Al: choose one of Al, ',
        ),
        ({'spin': 'none'}, 'odd number of electrons, 93, which needs spin'),
        (
            {'options': {'withmpi': True, 'resources': {'num_machines': 2, 'num_mpiprocs_per_machine': 4}}},
            '8 MPI ranks cannot be shared by the 3 interior images of the band.*use 6 or 9 ranks',
        ),
        (
            {
                'options': {'withmpi': True, 'resources': {'num_machines': 3, 'num_mpiprocs_per_machine': 4}},
                'parallel': {'ncore': 3},
            },
            'parallel.ncore: 3 does not divide the 4 ranks of an image',
        ),
    ],
)
def test_wrong_input_runs_nothing(chain, how, message):
    process = chain(**how)
    assert process.exit.status == 201
    import re

    assert re.search(message, process.exit.message)
    assert process.outputs['results']['status'] == 'failed'
    assert re.search(message, process.outputs['results']['message'])


def test_the_highest_image_climbs_when_the_band_is_near_enough(chain, job):
    process = chain()
    node = job('ERROR_IONIC_NOT_CONVERGED', residual_force=0.45)
    assert inspect(process, node).status == 0
    tags = incar(process)
    assert (tags['LCLIMB'], tags['EDIFFG']) == (True, -0.05)
    assert process.ctx.inputs.criteria['climbs'] is True
    assert process.ctx.inputs.band.uuid == node.outputs.band.uuid
    assert process.ctx.inputs.restart_folder.uuid == node.outputs.remote_folder.uuid


def test_forces_that_fall_go_on_and_others_get_another_optimiser(chain, job):
    process = chain()
    flat = {'n_steps': 100, 'residual_force': 0.8, 'residual_forces': [0.8] * 20}
    falling = {**flat, 'residual_forces': np.linspace(2, 0.8, 20).tolist()}
    assert inspect(process, job('ERROR_IONIC_NOT_CONVERGED', **falling)).status == 0
    assert incar(process)['IOPT'] == 1
    for iopt in (3, 7):
        assert inspect(process, job('ERROR_IONIC_NOT_CONVERGED', **flat)).status == 0
        assert incar(process)['IOPT'] == iopt
    assert inspect(process, job('ERROR_IONIC_NOT_CONVERGED', **flat)).status == 501
    assert process.ctx.status == 'not_converged'


def test_bands_do_not_go_on_for_ever(chain, job):
    process = chain()
    falling = {'n_steps': 100, 'residual_force': 0.8, 'residual_forces': np.linspace(2, 0.8, 20).tolist()}
    codes = [inspect(process, job('ERROR_IONIC_NOT_CONVERGED', **falling)).status for _ in range(5)]
    assert codes == [0, 0, 0, 0, 501]


def test_a_criterion_of_vasp_that_is_met_too_early_is_tightened(chain, job):
    process = chain(neb={'climb': False})
    early = {'n_steps': 12, 'residual_force': 0.07}
    for ediffg in (-0.025, -0.0125, -0.00625):
        assert inspect(process, job('ERROR_IONIC_NOT_CONVERGED', **early)).status == 0
        assert incar(process)['EDIFFG'] == ediffg
    # then it counts as another try
    assert inspect(process, job('ERROR_IONIC_NOT_CONVERGED', **early)).status == 0
    assert incar(process)['EDIFFG'] == -0.00625
    assert process.ctx.n_extensions == 1


def test_what_was_tightened_before_an_image_climbs_does_not_stay(chain, job):
    process = chain()
    assert inspect(process, job('ERROR_IONIC_NOT_CONVERGED', n_steps=12, residual_force=0.7)).status == 0
    assert incar(process)['EDIFFG'] == -0.25
    assert inspect(process, job('ERROR_IONIC_NOT_CONVERGED', n_steps=12, residual_force=0.4)).status == 0
    assert (incar(process)['LCLIMB'], incar(process)['EDIFFG'], process.ctx.n_tightenings) == (True, -0.05, 0)


def test_an_endpoint_that_is_the_highest_image_does_not_climb(chain, job):
    process = chain()
    below = {'n_steps': 12, 'residual_force': 0.4}
    assert inspect(process, job('ERROR_IONIC_NOT_CONVERGED', energy=-0.3, ends=(0, 0.5), **below)).status == 0
    assert (incar(process)['LCLIMB'], incar(process)['EDIFFG']) == (False, -0.05)
    # a saddle that appears later is climbed after all
    assert inspect(process, job('ERROR_IONIC_NOT_CONVERGED', **below)).status == 0
    assert (incar(process)['LCLIMB'], incar(process)['EDIFFG']) == (True, -0.05)


def test_a_single_point_moves_nothing(chain, job):
    process = chain(**get_engine('vasp').single_point)
    tags = incar(process)
    assert (tags['IBRION'], tags['NSW'], tags['IMAGES']) == (-1, 0, 3)
    assert 'LCLIMB' not in tags
    assert inspect(process, job('ERROR_IONIC_NOT_CONVERGED', n_steps=1)).status == 501
    assert process.outputs['band'].is_computed


@pytest.mark.parametrize(
    ('functional', 'algorithms'), [('pbe', ['Normal', 'All', 'Damped']), ('scan', ['All', 'Damped', 'Normal'])]
)
def test_electrons_climb_a_ladder_that_differs_for_meta_ggas(chain, job, functional, algorithms):
    process = chain(functional=functional)
    for number, algorithm in enumerate(algorithms, start=2):
        node = job('ERROR_ELECTRONIC_NOT_CONVERGED', unconverged_images=[2])
        assert inspect(process, node).status == 0
        tags = incar(process)
        assert (tags['ALGO'], tags['NELM']) == (algorithm, number * 100)
        assert ('AMIX' in tags) == (algorithm == 'Normal')
        assert process.ctx.inputs.band.uuid == node.outputs.band.uuid
        assert 'restart_folder' not in process.ctx.inputs  # its densities sloshed
    assert inspect(process, job('ERROR_ELECTRONIC_NOT_CONVERGED')).status == 410
    assert process.outputs['band'].is_computed


def test_wall_time_goes_on_until_nothing_is_done_any_more(chain, job):
    process = chain()
    for _ in range(3):
        node = job('ERROR_DID_NOT_FINISH', n_steps=4, unfinished_images=[1, 2, 3])
        assert inspect(process, node).status == 0
        assert process.ctx.inputs.restart_folder.uuid == node.outputs.remote_folder.uuid
    stuck = {'n_steps': 0, 'unfinished_images': [1, 2, 3], 'band': False}
    last_good = process.ctx.inputs.band.uuid
    nodes = [node, job('ERROR_DID_NOT_FINISH', **stuck)]
    assert inspect(process, *nodes).status == 0
    assert process.ctx.inputs.band.uuid == last_good
    code = inspect(process, *nodes, job('ERROR_DID_NOT_FINISH', **stuck))
    assert code.status == 420
    assert 'max_wallclock_seconds' in code.message
    assert process.outputs['band'].uuid == node.outputs.band.uuid
    assert process.outputs['results']['status'] == 'interrupted'


def test_divergence_takes_shorter_steps_once(chain, job):
    process = chain()
    before = incar(process)['MAXMOVE']
    assert inspect(process, job('ERROR_VASP_CRITICAL_ERROR', broken_images=[2])).status == 0
    assert incar(process)['MAXMOVE'] == before / 2
    code = inspect(process, job(STOPPED_BY_MONITOR, exit_message='02/OSZICAR: the energy of ionic step 3 is no number'))
    assert code.status == 502
    assert '02/OSZICAR' in code.message
    assert process.outputs['results']['status'] == 'diverged'


@pytest.mark.parametrize(
    ('complaint', 'expected'),
    [
        ('rhosyg', {'ISYM': 0, 'SYMPREC': 1e-8}),
        ('edddav_zhegv', {'ALGO': 'Normal', 'AMIX': 0.2}),
        ('brmix', {'ALGO': 'Normal', 'NELM': 200}),
    ],
)
def test_complaints_of_vasp(chain, job, complaint, expected):
    process = chain(VaspStructureWorkChain, task='fixed')
    assert inspect(process, job('ERROR_VASP_CRITICAL_ERROR', band=False, notifications=[complaint])).status == 0
    assert {name: incar(process).get(name) for name in expected} == expected


def test_zbrent_takes_another_way_down(chain, job):
    process = chain(VaspStructureWorkChain, task='full')
    assert (incar(process)['IBRION'], incar(process)['ISIF']) == (2, 3)
    assert inspect(process, job('ERROR_VASP_CRITICAL_ERROR', band=False, notifications=['zbrent'])).status == 0
    assert incar(process)['IBRION'] == 1
    code = inspect(process, job('ERROR_VASP_CRITICAL_ERROR', band=False, notifications=['zbrent']))
    assert code.status == 310


def test_what_nobody_knows_how_to_mend_ends_the_chain(chain, job):
    process = chain()
    code = inspect(process, job('ERROR_VASP_CRITICAL_ERROR', notifications=['set_indpw_full'], message='out of memory'))
    assert code.status == 310
    assert 'out of memory' in code.message
    assert process.outputs['band'].is_computed


@pytest.mark.parametrize('exit_code', ['ERROR_VASP_DID_NOT_EXECUTE', 'ERROR_NO_RETRIEVED_FOLDER'])
def test_faults_of_the_machine_are_tried_once_more(chain, job, exit_code):
    process = chain()
    first, second = job(exit_code, band=False, n_steps=0), job(exit_code, band=False, n_steps=0)
    assert inspect(process, first).status == 0
    assert inspect(process, first, second).status == 310
    # the band that it was given, without energies of anybody else
    assert not process.outputs['band'].is_computed


def test_the_last_job_allowed_is_the_last(chain, job):
    process = chain(max_iterations=1)
    code = inspect(process, job('ERROR_DID_NOT_FINISH', n_steps=4, unfinished_images=[1]))
    assert code.status == 501
    assert process.outputs['results']['status'] == 'not_converged'
    assert process.outputs['band'].is_computed


def test_a_cell_that_changed_is_relaxed_again(chain, make_calcjob_node, aiida_localhost):
    process = chain(VaspStructureWorkChain, task='full')

    def relaxed(strain):
        structure, _ = node_from_structure(aluminium((1, 1, 1)))
        results = Dict({'n_steps': 5, 'strain': strain, 'energy': -4.0, 'message': 'largest force 0.01 eV/Å'})
        outputs = {'results': results, 'structure': structure}
        return make_calcjob_node('embarrier.vasp.structure', {}, outputs=outputs, exit_status=0)

    assert inspect(process, relaxed(0.02)).status == 0
    assert not process.ctx.is_finished
    assert inspect(process, relaxed(0.001)) is None
    assert process.ctx.is_finished
    process.results()
    assert process.outputs['results'].get_dict()['status'] == 'converged'


def test_the_energies_of_a_band_that_another_engine_prepared_do_not_travel_on(chain):
    from aiida_embarrier.engines.vasp.results import start_band

    prepared = straight_band().replace(
        energies=[0, 1, 2, 1, 0], engine='potential', potential='chgnet-0.3.0', converged=True, residual_force=0.01
    )
    ends = {'energy': -7.0, 'forces': np.zeros((31, 3)).tolist(), 'moments': None}
    found = start_band(
        band=BandData(prepared), info=Dict({'functional': 'scan', 'charge': -1.0}), initial=Dict(ends), final=Dict(ends)
    ).band
    assert np.isnan(found.energies[1:-1]).all()
    assert found.energies[[0, -1]].tolist() == [-7.0, -7.0]
    info = found.info
    assert (info.engine, info.functional, info.charge, info.potential) == ('vasp', 'scan', -1.0, None)
    assert (info.converged, info.residual_force) == (False, None)
    assert info.mechanism == 'vacancy'
