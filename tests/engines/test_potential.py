"""The potential engine: how each failure of a job is handled, and that the last good result is always an output."""

import io

import numpy as np
import pytest
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from aiida.orm import Dict, Int, SinglefileData, Str
from systems import EMT, aluminium, aluminium_vacancy_ends, computed_band, straight_band

from aiida_embarrier.calculations.paths import interpolate
from aiida_embarrier.calculations.worker import EXIT_CODE_OF_STATUS, PotentialNebCalculation
from aiida_embarrier.data.band import BandData
from aiida_embarrier.data.convert import node_from_structure
from aiida_embarrier.engines.base import get_engine
from aiida_embarrier.engines.potential.neb import PotentialNebWorkChain
from aiida_embarrier.engines.potential.relax import PotentialRelaxWorkChain

CODES = PotentialNebCalculation.exit_codes
STATUS_OF_EXIT_CODE = {code: status for status, code in EXIT_CODE_OF_STATUS.items()}


#: A position beside the straight path of the hop, in Å.
WAYPOINT = np.array([1.6, 1.2, 0.3])


def neb_process(code, band, **inputs):
    """Return a NEB work chain that was set up and has run nothing."""
    process = instantiate_process(
        get_manager().get_runner(),
        PotentialNebWorkChain,
        code=code,
        potential=Dict(EMT.model_dump(exclude_none=True)),
        bands=band if isinstance(band, dict) else {'band': band},
        parameters=Dict({'max_steps': 40}),
        options=Dict({'max_wallclock_seconds': 60}),
        **inputs,
    )
    process.setup()
    return process


@pytest.fixture
def neb_chain(worker_code):
    """Return a chain for a band from elsewhere."""
    return neb_process(worker_code, BandData(straight_band()))


@pytest.fixture
def made_chain(worker_code):
    """Return a chain for a band that this package interpolated, through a waypoint."""
    initial, final = (node_from_structure(end)[0] for end in aluminium_vacancy_ends())
    band = interpolate(
        initial,
        final,
        Dict({'mobile': [0], 'mechanism': 'vacancy'}),
        Dict({'n_images': 7, 'interpolation': 'idpp', 'waypoints': [WAYPOINT.tolist()]}),
    )
    return neb_process(worker_code, band)


@pytest.fixture
def job(make_calcjob_node):
    """Return a factory of NEB jobs that ended with an exit code."""

    def make(exit_code, band=True, checkpoint=True, energies=True, steps=40, results=True, force=0.1, **statuses):
        statuses = statuses or {'band': STATUS_OF_EXIT_CODE.get(exit_code)}
        outputs = {}
        if results and None not in statuses.values():
            task = {'n_steps': steps, 'residual_forces': [9.0, force]}
            tasks = {label: {**task, 'status': str(status)} for label, status in statuses.items()}
            outputs['results'] = Dict({'tasks': tasks, 'n_evaluations': 10, 'wall_s': 2.0})
        for label in statuses if band else []:
            outputs[f'bands__{label}'] = BandData(computed_band() if energies else straight_band())
        if checkpoint:
            outputs['checkpoint'] = SinglefileData(io.BytesIO(b'state'))
        code = CODES[exit_code]
        return make_calcjob_node(
            'embarrier.potential.neb',
            {f'bands__{label}': BandData(straight_band()) for label in statuses},
            outputs=outputs,
            exit_status=code.status,
            exit_message='the reason',
        )

    return make


def inspect(chain, *nodes):
    """Let a chain inspect the last of some jobs that it might have run."""
    chain.ctx.children = list(nodes)
    chain.ctx.iteration = len(nodes)
    return chain.inspect_process()


def test_setup_passes_options_and_parameters(neb_chain):
    inputs = neb_chain.ctx.inputs
    assert inputs.metadata['options'] == {'max_wallclock_seconds': 60}
    assert inputs.parameters['max_steps'] == 40
    assert set(inputs.bands) == {'band'}


def test_wall_time_continues_from_the_checkpoint(neb_chain, job):
    node = job('ERROR_WALL_TIME')
    assert inspect(neb_chain, node).status == 0
    assert neb_chain.ctx.inputs.checkpoint.uuid == node.outputs.checkpoint.uuid
    assert neb_chain.ctx.inputs.parameters['max_steps'] == 40
    assert not neb_chain.ctx.is_finished


def test_not_converged_continues_with_as_many_steps_again(neb_chain, job):
    for done in (40, 55):
        node = job('ERROR_NOT_CONVERGED', steps=done)
        assert inspect(neb_chain, node).status == 0
        assert neb_chain.ctx.inputs.parameters['max_steps'] == done + 40
        assert neb_chain.ctx.inputs.checkpoint.uuid == node.outputs.checkpoint.uuid


def test_divergence_gets_smaller_steps_then_another_band_then_gives_up(made_chain, job):
    assert inspect(made_chain, job('ERROR_DIVERGED')).status == 0
    assert made_chain.ctx.inputs.parameters['max_step_length'] == pytest.approx(0.05)
    assert made_chain.ctx.inputs.afresh.get_list() == ['band']
    assert inspect(made_chain, job('ERROR_DIVERGED')).status == 0
    assert made_chain.ctx.inputs.parameters['max_step_length'] == pytest.approx(0.05)
    replaced = made_chain.ctx.inputs.bands['band']
    assert replaced.creator.process_label == 'reinterpolate'
    exit_code = inspect(made_chain, job('ERROR_DIVERGED'))
    assert exit_code.status == 502
    assert 'the reason' in exit_code.message
    assert made_chain.outputs['bands']['band'].base.attributes.get('barrier_forward') == pytest.approx(0.6)
    assert 'checkpoint' not in made_chain.outputs


def test_a_band_from_elsewhere_is_not_replaced(neb_chain, job):
    assert inspect(neb_chain, job('ERROR_DIVERGED')).status == 0
    assert inspect(neb_chain, job('ERROR_DIVERGED')).status == 502
    assert inspect(neb_chain, job('ERROR_IMAGES_COLLAPSED')).status == 503


def test_collapse_gets_another_band_once(made_chain, job):
    assert inspect(made_chain, job('ERROR_IMAGES_COLLAPSED')).status == 0
    replaced = made_chain.ctx.inputs.bands['band']
    assert replaced.creator.inputs.parameters['interpolation'] == 'linear'
    # the way that the user gave is kept
    assert np.abs(replaced.band.positions[:, 0] - WAYPOINT).sum(axis=1).min() < 0.5
    assert inspect(made_chain, job('ERROR_IMAGES_COLLAPSED')).status == 503
    assert 'band' in made_chain.outputs['bands']


@pytest.mark.parametrize('exit_code', ['ERROR_INVALID_INPUT', 'ERROR_WEIGHTS', 'ERROR_POTENTIAL'])
def test_what_a_restart_does_not_mend_is_not_restarted(neb_chain, job, exit_code):
    found = inspect(neb_chain, job(exit_code, band=False, checkpoint=False))
    assert found.status == 310
    assert 'the reason' in found.message


def test_fault_of_the_machine_is_tried_once_more(neb_chain, job):
    first = job('ERROR_NO_RESULTS', band=False, checkpoint=False)
    assert inspect(neb_chain, first).status == 0
    second = job('ERROR_NO_RESULTS', band=False, checkpoint=False)
    assert inspect(neb_chain, first, second).status == 310


@pytest.mark.parametrize('checkpoint', [True, False])
def test_task_that_started_afresh_does_so_once(made_chain, job, checkpoint):
    """After a fault of the machine it goes on from where it was, unless nothing was written of that."""
    assert inspect(made_chain, job('ERROR_DIVERGED')).status == 0
    assert made_chain.ctx.inputs.afresh.get_list() == ['band']
    before = made_chain.ctx.inputs.checkpoint
    node = job('ERROR_WORKER' if checkpoint else 'ERROR_NO_RESULTS', band=False, checkpoint=checkpoint)
    assert inspect(made_chain, node).status == 0
    inputs = made_chain.ctx.inputs
    if checkpoint:
        assert inputs.checkpoint.uuid == node.outputs.checkpoint.uuid
        assert 'afresh' not in inputs
    else:
        assert inputs.checkpoint.uuid == before.uuid
        assert inputs.afresh.get_list() == ['band']


def test_last_good_band_survives_a_later_job_without_one(neb_chain, job):
    good, bad = job('ERROR_WALL_TIME'), job('ERROR_WEIGHTS', band=False, checkpoint=False)
    assert inspect(neb_chain, good, bad).status == 310
    assert neb_chain.outputs['bands']['band'].uuid == good.outputs.bands.band.uuid


def test_starting_band_handed_back_does_not_mask_a_good_one(neb_chain, job):
    good, bad = job('ERROR_DIVERGED'), job('ERROR_POTENTIAL', energies=False)
    assert inspect(neb_chain, good, bad).status == 310
    assert neb_chain.outputs['bands']['band'].uuid == good.outputs.bands.band.uuid


def test_too_many_extensions(neb_chain, job):
    nodes = []
    for _ in range(4):
        nodes.append(job('ERROR_NOT_CONVERGED'))
        assert inspect(neb_chain, *nodes).status == 0
    nodes.append(job('ERROR_NOT_CONVERGED'))
    exit_code = inspect(neb_chain, *nodes)
    assert exit_code.status == 501
    assert 'after 5 jobs' in exit_code.message
    assert neb_chain.outputs['checkpoint'].uuid == nodes[-1].outputs.checkpoint.uuid
    assert 'band' in neb_chain.outputs['bands']
    assert neb_chain.outputs['results']['n_evaluations'] == 50
    assert neb_chain.outputs['results']['n_jobs'] == 5


def test_last_job_allowed_keeps_its_own_exit_code(worker_code, job):
    process = neb_process(worker_code, BandData(straight_band()), max_iterations=Int(2))
    nodes = [job('ERROR_WALL_TIME'), job('ERROR_WEIGHTS', band=False, checkpoint=False)]
    assert inspect(process, *nodes).status == 310


def test_wall_time_of_the_last_job_allowed(worker_code, job):
    process = neb_process(worker_code, BandData(straight_band()), max_iterations=Int(1))
    exit_code = inspect(process, job('ERROR_WALL_TIME'))
    assert exit_code.status == 501
    assert 'checkpoint' in process.outputs


def test_success(neb_chain, job, make_calcjob_node):
    node = make_calcjob_node(
        'embarrier.potential.neb',
        {'bands__band': BandData(straight_band())},
        outputs={
            'results': Dict({'tasks': {'band': {'status': 'converged'}}}),
            'bands__band': BandData(computed_band()),
        },
        exit_status=0,
    )
    assert inspect(neb_chain, node) is None
    assert neb_chain.ctx.is_finished
    neb_chain.results()
    assert neb_chain.outputs['bands']['band'].uuid == node.outputs.bands.band.uuid
    assert 'checkpoint' not in neb_chain.outputs


def many(code, *labels, **inputs):
    """Return a NEB chain of several bands."""
    return neb_process(code, {label: BandData(straight_band()) for label in labels}, **inputs)


def test_each_task_gets_its_own_remedy(worker_code, job):
    chain = many(worker_code, 'done', 'slow', 'wild', 'stuck')
    tasks = {'done': 'converged', 'slow': 'not_converged', 'wild': 'diverged', 'stuck': 'failed'}
    node = job('ERROR_POTENTIAL', **tasks)
    assert inspect(chain, node).status == 0
    inputs = chain.ctx.inputs
    assert inputs.checkpoint.uuid == node.outputs.checkpoint.uuid
    assert inputs.afresh.get_list() == ['wild']
    assert inputs.parameters['max_steps'] == 80
    assert inputs.parameters['max_step_length'] == pytest.approx(0.05)
    assert set(inputs.bands) == set(tasks)
    # what goes on next is not started afresh again, and nothing is left to do for the task that failed
    after = job('ERROR_POTENTIAL', **{**tasks, 'slow': 'interrupted', 'wild': 'converged'})
    assert inspect(chain, node, after).status == 0
    assert inputs.afresh.get_list() == []
    last = job('ERROR_POTENTIAL', **{**tasks, 'slow': 'converged', 'wild': 'converged'})
    assert inspect(chain, node, after, last).status == 310
    assert set(chain.outputs['bands']) == set(tasks)


def test_band_with_forces_beyond_reason_holds_up_no_others_after_one_repeat(worker_code, job, made_chain):
    chain = many(worker_code, 'through_an_atom', 'sound')
    tasks = {'through_an_atom': 'diverged', 'sound': 'not_converged'}
    nodes = [job('ERROR_DIVERGED', force=100.0, **tasks)]
    assert inspect(chain, *nodes).status == 0
    assert chain.ctx.inputs.afresh.get_list() == ['through_an_atom']
    nodes.append(job('ERROR_DIVERGED', force=100.0, **tasks))
    assert inspect(chain, *nodes).status == 0
    assert chain.ctx.inputs.afresh.get_list() == [], 'only the other one goes on'
    nodes.append(job('ERROR_DIVERGED', force=100.0, **{**tasks, 'sound': 'converged'}))
    assert inspect(chain, *nodes).status == 502
    # a band that is alone is tried from another start too
    alone = [job('ERROR_DIVERGED', force=100.0) for _ in range(2)]
    assert inspect(made_chain, alone[0]).status == 0
    assert inspect(made_chain, *alone).status == 0
    assert made_chain.ctx.reinterpolated == ['band']


def test_tasks_are_extended_each_on_its_own(worker_code, job):
    chain = many(worker_code, 'one', 'other', max_iterations=Int(9))
    nodes = []
    for _ in range(4):
        nodes.append(job('ERROR_NOT_CONVERGED', one='not_converged', other='converged'))
        assert inspect(chain, *nodes).status == 0
    nodes.append(job('ERROR_NOT_CONVERGED', one='not_converged', other='not_converged'))
    assert inspect(chain, *nodes).status == 0
    assert list(chain.ctx.n_extensions.values()) == [5, 1]


def test_killed_job_says_nothing_of_its_tasks(worker_code, job):
    chain = many(worker_code, 'one', 'other')
    node = job('ERROR_WALL_TIME', results=False, one='interrupted', other='interrupted')
    assert inspect(chain, node).status == 0
    assert chain.ctx.inputs.checkpoint.uuid == node.outputs.checkpoint.uuid


def test_relax_chain_sets_the_cell(worker_code):
    structure, kinds = node_from_structure(aluminium())
    process = instantiate_process(
        get_manager().get_runner(),
        PotentialRelaxWorkChain,
        code=worker_code,
        potential=Dict(EMT.model_dump(exclude_none=True)),
        structures={'host': structure},
        kinds=kinds,
        cell=Str('full'),
    )
    process.setup()
    assert process.ctx.inputs.parameters['cell'] == 'full'
    assert set(process.ctx.inputs.structures) == {'host'}


@pytest.mark.usefixtures('aiida_profile')
@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'n_images': 2}, 'interpolate it first'),
        ({'charge': -1.0}, 'neutral cells only'),
    ],
)
def test_bands_that_a_potential_cannot_describe(change, message):
    band = straight_band(change.get('n_images', 5), charge=change.get('charge'))
    port = PotentialNebWorkChain.spec().inputs['bands']
    assert message in port.validate({'band': BandData(band)}).message


@pytest.mark.usefixtures('aiida_profile')
@pytest.mark.parametrize(
    ('settings', 'message'),
    [({'prcesses': 2}, 'unknown settings'), ({'device': 'gpu'}, 'device'), ({'processes': 0}, 'processes')],
)
def test_settings_are_checked_at_launch(settings, message):
    port = PotentialNebWorkChain.spec().inputs['settings']
    assert message in port.validate(Dict(settings)).message


@pytest.mark.usefixtures('aiida_profile')
@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'max_wallclock_second': 60}, "unknown option 'max_wallclock_second' of a job: did you mean"),
        ({'acount': 'x'}, "did you mean 'account'"),
        ({'max_wallclock_seconds': 'an hour'}, 'max_wallclock_seconds'),
    ],
)
def test_options_are_checked_at_launch(options, message):
    port = PotentialNebWorkChain.spec().inputs['options']
    assert message in port.validate(Dict(options)).message
    assert port.validate(Dict({'max_wallclock_seconds': 60, 'queue_name': 'x'})) is None


def test_engine_names_work_chains_that_exist():
    from aiida.plugins import WorkflowFactory

    engine = get_engine('potential')
    assert WorkflowFactory(engine.relax) is PotentialRelaxWorkChain
    assert WorkflowFactory(engine.neb) is PotentialNebWorkChain
