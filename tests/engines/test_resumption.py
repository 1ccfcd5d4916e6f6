"""What a restart work chain takes over from an earlier attempt at the same."""

import io

import pytest
from aiida.common.links import LinkType
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from aiida.manage.caching import get_use_cache
from aiida.orm import CalcFunctionNode, Dict, List, RemoteData, SinglefileData
from systems import EMT, straight_band

from aiida_embarrier.calculations.worker import PotentialNebCalculation
from aiida_embarrier.data.band import BandData
from aiida_embarrier.engines.potential.neb import PotentialNebWorkChain
from aiida_embarrier.engines.resumption import (
    RESUMES,
    is_resumed,
    last_checkpoint,
    last_job_before,
    root_of,
    taking_finished_jobs,
)

CODES = PotentialNebCalculation.exit_codes


@pytest.fixture
def attempt(worker_code):
    """Return a factory of work chains for one band, that differ only in what they go on from."""

    def make(resumes=None, **parameters):
        process = instantiate_process(
            get_manager().get_runner(),
            PotentialNebWorkChain,
            code=worker_code,
            potential=Dict(EMT.model_dump(exclude_none=True)),
            bands={'band': BandData(straight_band())},
            parameters=Dict({'max_steps': 40, **parameters}),
        )
        if resumes is not None:
            process.node.base.extras.set(RESUMES, resumes.node.uuid)
        process.setup()
        return process

    return make


@pytest.fixture
def job(make_calcjob_node):
    """Return a factory of jobs of a work chain; None for an exit code makes one that was killed."""

    def make(chain, exit_code=None, checkpoint=b'', outputs=None, given=None, **inputs):
        outputs = dict(outputs or {})
        if given is not None:
            inputs['checkpoint'] = given
        if checkpoint:
            outputs['checkpoint'] = SinglefileData(io.BytesIO(checkpoint))
        node = make_calcjob_node(
            'embarrier.potential.neb',
            {'bands__band': BandData(straight_band()), 'parameters': Dict({'max_steps': 40}), **inputs},
            outputs=outputs,
            exit_status=None if exit_code is None else 0 if exit_code == 'OK' else CODES[exit_code].status,
            caller=chain.node,
        )
        if exit_code is None:
            node.set_process_state('killed')
        node.seal()
        return node

    return make


def test_nothing_is_taken_over_unless_resumed(attempt, job):
    first = attempt()
    job(first, 'ERROR_WALL_TIME', b'state')
    again = attempt()
    assert not is_resumed(again.node)
    again.take_over()
    assert 'checkpoint' not in again.ctx.inputs
    assert again.ctx.resumed is False


def test_last_checkpoint_and_parameters_are_taken_over(attempt, job):
    first = attempt()
    job(first, 'ERROR_WALL_TIME', b'one')
    last = job(first, 'ERROR_WALL_TIME', b'two', parameters=Dict({'max_steps': 80}), afresh=List(['band']))
    again = attempt(first)
    assert last_job_before(again.node).uuid == last.uuid
    again.take_over()
    assert again.ctx.inputs.checkpoint.content == b'two'
    assert again.ctx.inputs.parameters['max_steps'] == 80
    assert 'afresh' not in again.ctx.inputs  # it did so, before it wrote that checkpoint
    assert again.ctx.resumed is True
    assert again.ctx.reinterpolated == []


def test_job_that_left_no_checkpoint_is_done_again_from_its_own(attempt, job):
    first = attempt()
    earlier = job(first, 'ERROR_WALL_TIME', b'earlier')
    last = job(first, 'ERROR_NO_RESULTS', given=earlier.outputs.checkpoint, afresh=List(['band']))
    again = attempt(first)
    assert last_job_before(again.node).uuid == last.uuid
    again.take_over()
    assert again.ctx.inputs.checkpoint.content == b'earlier'
    assert again.ctx.inputs.afresh.get_list() == ['band']


def test_finished_job_is_asked_for_as_it_was(attempt, job):
    first = attempt()
    done = job(first, 'OK')
    again = attempt(first)
    again.take_over()
    assert done.base.caching.is_valid_cache
    assert again.ctx.inputs.bands['band'].uuid == done.inputs.bands.band.uuid
    assert 'checkpoint' not in again.ctx.inputs


def test_another_band_is_known_as_such(attempt, job):
    first = attempt()
    other = BandData(straight_band().replace(charge=0.0, host='another'))
    job(first, 'ERROR_WALL_TIME', b'state', bands__band=other)
    again = attempt(first)
    again.take_over()
    assert again.ctx.inputs.bands['band'].uuid == other.uuid
    assert again.ctx.reinterpolated == ['band']
    assert not again._started_from_inputs()


def test_only_the_same_inputs_count(attempt, job):
    first = attempt(force_threshold=0.01)
    job(first, 'ERROR_WALL_TIME', b'state')
    again = attempt(first)
    assert last_job_before(again.node) is None
    again.take_over()
    assert 'checkpoint' not in again.ctx.inputs


def test_attempts_one_after_the_other(attempt, job):
    first = attempt()
    last = job(first, 'ERROR_WALL_TIME', b'state')
    second = attempt(first)  # which was killed before it had a job
    third = attempt(second)
    assert last_job_before(third.node).uuid == last.uuid
    newer = job(second, 'ERROR_WALL_TIME', b'newer')
    assert last_job_before(third.node).uuid == newer.uuid
    assert root_of(newer).uuid == second.node.uuid


def test_checkpoint_that_was_fetched_after_the_job_was_killed(attempt, job, aiida_localhost, tmp_path):
    folder = RemoteData(computer=aiida_localhost, remote_path=str(tmp_path))
    first = attempt()
    killed = job(first, None, outputs={'remote_folder': folder})
    assert last_checkpoint(killed) is None
    fetch = CalcFunctionNode()
    fetch.set_process_label('fetch_checkpoint')
    fetch.base.links.add_incoming(folder, link_type=LinkType.INPUT_CALC, link_label='folder')
    fetch.store()
    checkpoint = SinglefileData(io.BytesIO(b'fetched'))
    checkpoint.base.links.add_incoming(fetch, link_type=LinkType.CREATE, link_label='result')
    checkpoint.store()
    assert last_checkpoint(killed).uuid == checkpoint.uuid
    again = attempt(first)
    again.take_over()
    assert again.ctx.inputs.checkpoint.content == b'fetched'


@pytest.mark.usefixtures('aiida_profile')
def test_caching_is_on_for_our_jobs_only_and_only_inside():
    ours, other = 'aiida.calculations:embarrier.potential.neb', 'aiida.calculations:core.arithmetic.add'
    with taking_finished_jobs(True):
        assert get_use_cache(identifier=ours)
        assert not get_use_cache(identifier=other)
    assert not get_use_cache(identifier=ours)
    with taking_finished_jobs(False):
        assert not get_use_cache(identifier=ours)
    with pytest.raises(KeyError), taking_finished_jobs(True):
        raise KeyError
    assert not get_use_cache(identifier=ours)
