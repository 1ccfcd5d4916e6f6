"""The chain of jobs of a training: how each end of a job is handled, and a real one that is stopped and goes on."""

import io

import pandas as pd
import pytest
from aiida.engine import run_get_node
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from aiida.orm import CalcJobNode, Dict, Int, SinglefileData
from training_nodes import PARAMETERS, dataset, model, split

from aiida_embarrier.calculations.learning import TrainCalculation
from aiida_embarrier.data.table import TableData
from aiida_embarrier.engines.resumption import RESUMES
from aiida_embarrier.workflows.train import TrainModelWorkChain

CODES = TrainCalculation.exit_codes


def builder(code, **inputs):
    """Return a builder of a training, with what differs from the usual."""
    given = {'parameters': PARAMETERS, 'settings': {'threads': 1}, 'options': {'max_wallclock_seconds': 600}}
    return TrainModelWorkChain.get_builder_from(code, {'gap': dataset()}, {'gap': split()}, **{**given, **inputs})


@pytest.fixture
def start(worker_code):
    """Return a factory of chains that were set up and have run nothing."""

    def make(resumes=None, max_iterations=None, **inputs):
        made = builder(worker_code, **inputs)
        if max_iterations is not None:
            made.max_iterations = Int(max_iterations)
        chain = instantiate_process(get_manager().get_runner(), made)
        if resumes is not None:
            chain.node.base.extras.set(RESUMES, resumes.node.uuid)
        chain.setup()
        chain.take_over()
        return chain

    return make


@pytest.fixture
def job(make_calcjob_node):
    """Return a factory of jobs that ended with an exit code."""

    def make(name, checkpoint=b'state', given=None, trained=True, parameters=PARAMETERS, epochs=2, caller=None):
        outputs = {'results': Dict({'epochs': epochs, 'wall_s': 2.0})}
        if trained:
            outputs |= {'model': model(), 'curve': TableData(pd.DataFrame({'epoch': [1, epochs]}))}
        if checkpoint is not None:
            outputs['checkpoint'] = SinglefileData(io.BytesIO(checkpoint))
        inputs = {'parameters': Dict(parameters), 'datasets__gap': dataset()}
        if given is not None:
            inputs['checkpoint'] = SinglefileData(io.BytesIO(given))
        node = make_calcjob_node(
            'embarrier.train',
            inputs,
            outputs=outputs,
            exit_status=CODES[name].status,
            exit_message='the reason',
            caller=caller,
        )
        node.seal()
        return node

    return make


def inspect(chain, *nodes):
    """Let a chain inspect the last of some jobs that it might have run."""
    chain.ctx.children = list(nodes)
    chain.ctx.iteration = len(nodes)
    return chain.inspect_process()


def test_builder_leaves_out_what_is_none(worker_code):
    made = builder(worker_code, settings=None, options=None)
    given = set(made) - {'metadata'}
    assert given == {'code', 'datasets', 'splits', 'parameters'}
    assert made.parameters.get_dict() == PARAMETERS


@pytest.mark.parametrize(
    ('inputs', 'message'),
    [
        ({'options': {'queue': 'gpu'}}, "unknown option 'queue' of a job: did you mean 'queue_name'"),
        ({'parameters': {'training': {'epoch': 2}}}, "did you mean 'epochs'"),
        ({'settings': {'nodes': 2}}, '`settings` ask for 2 nodes'),
    ],
)
def test_inputs_that_are_refused(start, inputs, message):
    with pytest.raises(ValueError, match=message):
        start(**inputs)


def test_several_nodes(start):
    options = {'withmpi': True, 'resources': {'num_machines': 2, 'num_mpiprocs_per_machine': 1}}
    chain = start(settings={'nodes': 2}, options=options)
    assert chain.ctx.inputs.metadata['options'] == options
    assert chain.inputs.max_iterations.value == 20


def test_wall_time_goes_on_from_the_checkpoint(start, job):
    chain = start()
    node = job('ERROR_WALL_TIME')
    assert inspect(chain, node).status == 0
    assert chain.ctx.inputs.checkpoint.uuid == node.outputs.checkpoint.uuid
    assert chain.ctx.inputs.parameters.get_dict() == PARAMETERS
    assert not chain.ctx.is_finished


@pytest.mark.parametrize('checkpoints', [(None, None), (b'one', b'one')])
def test_jobs_that_come_no_further_are_given_up(start, job, checkpoints):
    chain = start()
    given = checkpoints[0]
    nodes = [job('ERROR_WALL_TIME', checkpoint, given=given, trained=False) for checkpoint in checkpoints]
    assert inspect(chain, nodes[0]).status == 0
    exit_code = inspect(chain, *nodes)
    assert exit_code.status == 410
    assert 'give the jobs more wall time' in exit_code.message
    assert ('checkpoint' in chain.outputs) is (given is not None)


def test_divergence_halves_the_learning_rate_twice(start, job):
    chain = start(checkpoint=SinglefileData(io.BytesIO(b'earlier')))
    nodes = []
    for lr in (0.005, 0.0025):
        nodes.append(job('ERROR_DIVERGED', parameters=chain.ctx.inputs.parameters.get_dict()))
        assert inspect(chain, *nodes).status == 0
        assert chain.ctx.inputs.parameters['training'] == {**PARAMETERS['training'], 'lr': lr}
        assert chain.ctx.inputs.parameters['architecture'] == PARAMETERS['architecture']
        assert 'checkpoint' not in chain.ctx.inputs
    nodes.append(job('ERROR_DIVERGED', parameters=chain.ctx.inputs.parameters.get_dict()))
    exit_code = inspect(chain, *nodes)
    assert exit_code.status == 502
    assert 'the reason' in exit_code.message
    assert chain.outputs['parameters']['training']['lr'] == 0.0025
    assert chain.outputs['model'].uuid == nodes[-1].outputs.model.uuid
    assert 'checkpoint' not in chain.outputs  # it is none of the training that was asked for


def test_halving_begins_at_the_default_learning_rate(start, job):
    chain = start(parameters={'architecture': PARAMETERS['architecture']})
    assert inspect(chain, job('ERROR_DIVERGED')).status == 0
    assert chain.ctx.inputs.parameters['training'] == {'lr': 5e-4}


def test_stall_is_given_up(start, job):
    chain = start()
    node = job('ERROR_STALLED', checkpoint=None)
    assert inspect(chain, node).status == 503
    assert chain.outputs['model'].uuid == node.outputs.model.uuid


@pytest.mark.parametrize('name', ['ERROR_INVALID_INPUT', 'ERROR_PARENT', 'ERROR_DEVICE'])
def test_what_a_restart_does_not_mend(start, job, name):
    exit_code = inspect(start(), job(name, trained=False))
    assert exit_code.status == 310
    assert 'the reason' in exit_code.message


@pytest.mark.parametrize('name', ['ERROR_NO_RESULTS', 'ERROR_WORKER', 'ERROR_RESULTS_UNREADABLE'])
def test_fault_of_a_machine_is_tried_once_more(start, job, name):
    chain = start()
    first = job(name, trained=False)
    assert inspect(chain, first).status == 0
    assert chain.ctx.inputs.checkpoint.uuid == first.outputs.checkpoint.uuid
    exit_code = inspect(chain, first, job(name, trained=False))
    assert exit_code.status == 310
    assert 'checkpoint' in chain.outputs


def test_last_job_allowed(start, job):
    chain = start(max_iterations=2)
    nodes = [job('ERROR_WALL_TIME', b'one'), job('ERROR_WALL_TIME', b'two', given=b'one', epochs=5)]
    exit_code = inspect(chain, *nodes)
    assert exit_code.status == 501
    assert 'Not done after 2 jobs' in exit_code.message
    assert chain.outputs['checkpoint'].get_content('rb') == b'two'
    results = chain.outputs['results'].get_dict()
    assert (results['epochs'], results['wall_s'], results['n_jobs']) == (5, 4.0, 2)


def test_a_checkpoint_is_handed_over_where_later_jobs_left_none(start, job):
    chain = start()
    failed = [job('ERROR_NO_RESULTS', None, given=b'one', trained=False) for _ in range(2)]
    assert inspect(chain, job('ERROR_WALL_TIME', b'one'), *failed).status == 310
    assert chain.outputs['checkpoint'].get_content('rb') == b'one'


def test_resumed_chain_takes_over(start, job):
    first = start()
    lower = {**PARAMETERS, 'training': {**PARAMETERS['training'], 'lr': 0.005}}
    job('ERROR_DIVERGED', checkpoint=None, caller=first.node)
    job('ERROR_WALL_TIME', b'two', parameters=lower, caller=first.node)
    again = start(resumes=first)
    assert again.ctx.resumed
    assert again.ctx.inputs.checkpoint.get_content('rb') == b'two'
    assert again.ctx.inputs.parameters['training']['lr'] == 0.005
    assert again._n_halvings() == 1
    assert not start().ctx.resumed


#: Asks the worker to stop once it has trained an epoch, unless it went on from a checkpoint.
STOP_ONCE = """\
[ -e restart.safetensors ] || (until grep -qs '"task": "training"' progress.jsonl; do sleep 0.05; done; touch stop) &
"""


@pytest.mark.slow
def test_a_training_that_is_stopped_goes_on(worker_code):
    """The weights are those of a training in one job, bit for bit, and so is the curve."""
    parameters = {**PARAMETERS, 'training': {**PARAMETERS['training'], 'epochs': 200, 'early_stopping': None}}
    whole, node = run_get_node(builder(worker_code, parameters=parameters))
    assert node.is_finished_ok, node.exit_message
    parts, node = run_get_node(builder(worker_code, parameters=parameters, options={'prepend_text': STOP_ONCE}))
    assert node.is_finished_ok, node.exit_message
    first, second = sorted((job for job in node.called if isinstance(job, CalcJobNode)), key=lambda job: job.pk)
    assert (first.exit_status, second.exit_status) == (401, 0)
    assert 0 < first.outputs.results['epochs'] < 200
    assert {'model', 'curve', 'checkpoint'} <= set(first.outputs)  # nothing that was computed is lost
    assert parts['model'].weights == whole['model'].weights
    columns = ['epoch', 'lr', 'loss_train', 'loss_validation', 'mae_validation']
    assert parts['curve'].table[columns].equals(whole['curve'].table[columns])
    results = parts['results'].get_dict()
    assert (results['n_jobs'], results['epochs']) == (2, 200)
    assert results['wall_s'] == pytest.approx(first.outputs.results['wall_s'] + second.outputs.results['wall_s'])
