"""What a work chain does about each outcome of a job of neb.x."""

import pytest
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from aiida.orm import Dict, Float, InstalledCode, Int, RemoteData

from aiida_embarrier.data.band import BandData
from aiida_embarrier.engines.quantumespresso.band import QuantumEspressoBandWorkChain
from aiida_embarrier.engines.quantumespresso.calculation import PATH_FILE, QuantumEspressoNebCalculation

CODES = QuantumEspressoNebCalculation.exit_codes
RESULTS = {'n_steps': 3, 'final': True, 'residual_force': 0.2, 'residual_forces': [1.0, 0.5, 0.2]}


@pytest.fixture
def neb_code(aiida_localhost):
    return InstalledCode(
        label='neb',
        computer=aiida_localhost,
        filepath_executable='/bin/true',
        default_calc_job_plugin='quantumespresso.neb',
    ).store()


@pytest.fixture
def chain(families, neb_code, protocol, afm_band):
    """Return a factory of work chains that have been set up."""

    def make(charge=0.0, max_iterations=10, **overrides):
        process = instantiate_process(
            get_manager().get_runner(),
            QuantumEspressoBandWorkChain,
            code=neb_code,
            band=BandData(afm_band),
            settings=Dict(protocol(**overrides)),
            charge=Float(charge),
            max_iterations=Int(max_iterations),
        )
        process.ctx.refusal = process.setup()
        if process.ctx.refusal is None:
            process.take_over()
        process.ctx.children = []
        return process

    return make


@pytest.fixture
def job(make_calcjob_node, aiida_localhost, afm_band, tmp_path):
    """Return a factory of finished jobs, each with a folder; `path` says whether neb.x can go on there."""

    def make(chain, exit_code=None, path=True, band=True, energies=(0.0, 0.3, 0.1), **results):
        folder = tmp_path / f'job_{len(chain.ctx.children)}'
        folder.mkdir()
        if path:
            (folder / PATH_FILE).touch()
        outputs = {
            'remote_folder': RemoteData(remote_path=str(folder), computer=aiida_localhost),
            'results': Dict(
                {'n_steps': 3, 'final': True, 'residual_force': 0.2, 'residual_forces': [1.0, 0.5, 0.2], **results}
            ),
        }
        if band:
            outputs['band'] = BandData(afm_band.replace(energies=list(energies), residual_force=0.2))
        inputs = chain.ctx.inputs
        node = make_calcjob_node(
            'embarrier.quantumespresso.neb',
            {name: inputs[name] for name in ('band', 'path', 'parameters', 'settings')},
            outputs=outputs,
            exit_status=0 if exit_code is None else CODES[exit_code].status,
            exit_message=None if exit_code is None else f'{exit_code} happened.',
            caller=chain.node,
        )
        chain.ctx.children.append(node)
        return node

    return make


def test_first_job(chain):
    process = chain(functional='pbe+u', charge=-1.0, npool=2, nimage=3, command_line=['-ndiag', '1'])
    inputs = process.ctx.inputs
    assert inputs.path['ci_scheme'] == 'no-CI'
    assert inputs.path['num_of_images'] == 3
    assert inputs.settings.get_dict() == {
        'functional': 'pbe+u',
        'charge': -1.0,
        'final': False,
        'spacing_tolerance': 0.3,
        'command_line': ['-nk', '2', '-ndiag', '1', '-nimage', '3'],
    }
    assert inputs.hubbard['kinds'] == {name: {'u': 3.9, 'manifold': '3d'} for name in ('Mn1', 'Mn2')}
    assert set(inputs.pseudos) == {'Mn1', 'Mn2', 'O'}
    assert inputs.parameters['SYSTEM']['tot_charge'] == -1.0
    assert 'hubbard' not in chain(functional='pbe+u', hubbard_card=False).ctx.inputs


def test_what_cannot_be_computed_is_refused(chain):
    code = chain(pseudo_family='not/there').ctx.refusal
    assert code.status == 201
    assert 'aiida-pseudo install' in code.message


def test_climbing_follows(chain, job):
    process = chain()
    node = job(process, final=False)
    assert process.let_it_climb(node).do_break
    path = process.ctx.inputs.path
    assert (path['ci_scheme'], path['restart_mode'], path['nstep_path']) == ('auto', 'restart', 200)
    assert process.ctx.inputs.parent_folder.uuid == node.outputs.remote_folder.uuid
    assert process.ctx.inputs.settings['final'] is True
    assert process.let_it_climb(job(process)) is None  # now it is done


def test_endpoint_that_is_highest_never_climbs(chain, job):
    process = chain()
    node = job(process, final=False, energies=(0.0, 0.2, 0.3))
    assert process.let_it_climb(node).do_break
    path = process.ctx.inputs.path
    assert (path['ci_scheme'], path['restart_mode']) == ('no-CI', 'restart')
    assert path['path_thr'] == pytest.approx(0.05 / 3**0.5)
    assert process.ctx.inputs.settings['final'] is True
    assert process.let_it_climb(job(process, energies=(0.0, 0.2, 0.3))) is None  # done, without a saddle


def test_image_that_rises_above_the_endpoints_later_climbs(chain, job):
    process = chain()
    process.let_it_climb(job(process, final=False, energies=(0.0, 0.2, 0.3)))
    assert process.let_it_climb(job(process)).do_break
    assert process.ctx.inputs.path['ci_scheme'] == 'auto'
    assert process.let_it_climb(job(process)) is None


def test_bands_that_are_not_to_climb_are_done(chain, job):
    process = chain(neb={'climb': False})
    assert process.let_it_climb(job(process)) is None


def test_no_approach_where_it_climbs_at_once(chain):
    process = chain(neb={'climb_threshold': None})
    assert process.ctx.inputs.path['ci_scheme'] == 'auto'
    assert process.ctx.inputs.settings['final'] is True


def test_wall_time_goes_on_in_the_folder(chain, job):
    process = chain()
    node = job(process, 'ERROR_WALL_TIME')
    assert process.handle_interruption(node).exit_code.status == 0
    assert process.ctx.inputs.path['restart_mode'] == 'restart'
    assert process.ctx.inputs.parent_folder.uuid == node.outputs.remote_folder.uuid


def test_lost_folder_goes_on_from_the_last_band(chain, job):
    process = chain()
    node = job(process, 'ERROR_INTERRUPTED', path=False)
    process.handle_interruption(node)
    assert process.ctx.inputs.path['restart_mode'] == 'from_scratch'
    assert 'parent_folder' not in process.ctx.inputs
    assert process.ctx.inputs.band.uuid == node.outputs.band.uuid


def test_killed_without_an_iteration_starts_again(chain, job):
    process = chain()
    process.handle_interruption(job(process, 'ERROR_INTERRUPTED', n_steps=0, band=False))
    assert process.ctx.inputs.path['restart_mode'] == 'from_scratch'
    assert process.ctx.inputs.band.uuid == process.inputs.band.uuid
    report = process.handle_interruption(job(process, 'ERROR_INTERRUPTED', n_steps=0, band=False))
    assert report.exit_code.status == 400


def test_limit_of_steps(chain, job):
    process = chain()
    for number in range(1, 5):
        process.handle_steps(job(process, 'ERROR_NOT_CONVERGED'))
        assert process.ctx.inputs.path['nstep_path'] == 100 * (number + 1)
    assert process.handle_steps(job(process, 'ERROR_NOT_CONVERGED')).exit_code.status == 501


def test_forces_that_do_not_fall_get_another_optimiser(chain, job):
    process = chain()
    node = job(process, 'ERROR_NOT_CONVERGED', residual_forces=[1.0, 1.2, 0.9, 1.1])
    process.handle_steps(node)
    path = process.ctx.inputs.path
    assert (path['opt_scheme'], path['restart_mode'], path['nstep_path']) == ('quick-min', 'from_scratch', 100)
    assert process.ctx.inputs.band.uuid == node.outputs.band.uuid


def test_forces_on_atoms_above_the_threshold(chain, job):
    process = chain()
    before = process.ctx.inputs.path['path_thr']
    process.handle_residual_force(job(process, 'ERROR_RESIDUAL_FORCE'))
    assert process.ctx.inputs.path['path_thr'] == pytest.approx(0.7 * before)
    assert process.ctx.inputs.path['restart_mode'] == 'restart'


def test_uneven_spacing(chain, job):
    process = chain()
    before = process.ctx.inputs.path['path_thr']
    for number in range(1, 5):
        assert process.handle_spacing(job(process, 'ERROR_SPACING')).exit_code.status == 0
        assert process.ctx.inputs.path['path_thr'] == pytest.approx(0.7**number * before)
    code = process.handle_spacing(job(process, 'ERROR_SPACING')).exit_code
    assert code.status == 501
    assert 'ERROR_SPACING happened.' in code.message


def test_uneven_spacing_by_different_springs_is_not_mended(chain, job):
    process = chain(neb={'k_max': 0.3})
    code = process.handle_spacing(job(process, 'ERROR_SPACING')).exit_code
    assert code.status == 501
    assert 'from k_min, 0.1, to k_max, 0.3: set both to the same, or raise neb.spacing_tolerance' in code.message


def test_ladder_of_electrons(chain, job):
    process = chain(namelists={'ELECTRONS': {'electron_maxstep': 500}})
    tried = []
    for _ in range(3):
        assert process.handle_electrons(job(process, 'ERROR_ELECTRONS')).exit_code.status == 0
        tried.append(process.ctx.inputs.parameters['ELECTRONS'])
    assert [entry['mixing_beta'] for entry in tried] == [0.2, 0.1, 0.1]
    assert tried[2]['mixing_mode'] == 'local-TF'
    assert process.ctx.inputs.path['restart_mode'] == 'from_scratch'
    report = process.handle_electrons(job(process, 'ERROR_ELECTRONS'))
    assert report.exit_code.status == 410
    assert 'ERROR_ELECTRONS happened.' in report.exit_code.message


def test_mixing_never_becomes_less_careful(chain, job):
    process = chain(mixing_beta=0.05)
    process.handle_electrons(job(process, 'ERROR_ELECTRONS'))
    assert process.ctx.inputs.parameters['ELECTRONS']['mixing_beta'] == 0.05


def test_diagonalisations(chain, job):
    process = chain()
    for algorithm in ('cg', 'paro'):
        process.handle_diagonalisation(job(process, 'ERROR_DIAGONALISATION'))
        assert process.ctx.inputs.parameters['ELECTRONS']['diagonalization'] == algorithm
    assert process.handle_diagonalisation(job(process, 'ERROR_DIAGONALISATION')).exit_code.status == 410


def test_failure_of_the_machine_is_tried_once_more(chain, job):
    process = chain()
    assert process.handle_machine(job(process, 'ERROR_NO_OUTPUT', band=False)).exit_code.status == 0
    assert process.handle_machine(job(process, 'ERROR_NO_OUTPUT', band=False)).exit_code.status == 310


def test_ignored_card_ends_it(chain, job):
    process = chain()
    assert process.handle_ignored_card(job(process, 'ERROR_CARD_IGNORED')).exit_code.status == 320


def test_last_job_allowed_ends_with_what_the_handler_found(chain, job):
    process = chain(max_iterations=2)
    job(process, 'ERROR_WALL_TIME')
    job(process, 'ERROR_CARD_IGNORED', band=False)
    process.ctx.iteration = 2
    code = process.inspect_process()
    assert code.status == 320
    assert process.outputs['band'].uuid == process.ctx.children[0].outputs.band.uuid
    assert process.outputs['results']['n_jobs'] == 2


def test_jobs_that_did_not_suffice(chain, job):
    process = chain(max_iterations=1)
    job(process, 'ERROR_WALL_TIME')
    process.ctx.iteration = 1
    code = process.inspect_process()
    assert code.status == 501
    assert 'after 1 jobs' in code.message
    assert process.outputs['results']['n_steps'] == 3
