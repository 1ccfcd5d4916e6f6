"""Trainings and predictions as processes: what is refused before anything starts, and real ones from end to end."""

import json

import pandas as pd
import pytest
from aiida.common.folders import SandboxFolder
from aiida.engine import run_get_node
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from aiida.manage.caching import enable_caching
from aiida.orm import Dict, SinglefileData
from aiida.plugins import CalculationFactory
from dataset_rows import barrier_rows
from training_nodes import PARAMETERS, TINY, dataset, model, rows, split

from aiida_embarrier.calculations.learning import PredictCalculation, TrainCalculation
from aiida_embarrier.calculations.learning_inputs import resolve_parameters, resolve_settings
from aiida_embarrier.data.dataset import DatasetData
from aiida_embarrier.data.table import TableData
from aiida_embarrier.jobs.learning import ARCHITECTURES, PredictJob, TrainJob

pytestmark = pytest.mark.usefixtures('aiida_profile')


def refusal(process, **inputs):
    """Return what inputs of a process are refused with."""
    with pytest.raises(ValueError, match='Error occurred validating') as caught:
        instantiate_process(get_manager().get_runner(), process, **inputs)
    return str(caught.value)


def prepared(process, **inputs):
    """Return the job file of a process, and what is copied beside it."""
    made = instantiate_process(get_manager().get_runner(), process, **inputs)
    for node in (*made.inputs.get('datasets', {}).values(), *made.inputs.get('splits', {}).values()):
        node.store()
    with SandboxFolder() as folder:
        calc = made.prepare_for_submission(folder)
        with folder.open('job.json') as handle:
            return json.load(handle), calc


def training(code, **inputs):
    given = {'code': code, 'datasets': {'gap': dataset()}, 'splits': {'gap': split()}, 'parameters': Dict(PARAMETERS)}
    return {name: value for name, value in {**given, **inputs}.items() if value is not None}


def test_the_job_of_a_training(worker_code):
    parent = model().store()
    checkpoint = SinglefileData.from_bytes(b'state', filename='training.safetensors').store()
    options = {'options': {'max_wallclock_seconds': 600}}
    inputs = training(
        worker_code,
        parent=parent,
        checkpoint=checkpoint,
        parameters=Dict({'transfer': {'strategy': 'last_layer'}, 'training': {'lr': 0.1}, 'title': 'x'}),
        settings=Dict({'threads': 2, 'checkpoint_seconds': 5}),
        metadata=options,
    )
    entries, calc = prepared(TrainCalculation, **inputs)
    job = TrainJob.model_validate(entries)
    assert (job.max_seconds, job.checkpoint_seconds, job.hardware.threads) == (600, 5, 2)
    assert job.training.lr == 0.1
    assert job.transfer is not None
    assert job.transfer.strategy == 'last_layer'
    assert job.architecture == parent.card.architecture  # none was asked for
    assert (job.parent, job.restart) == (True, 'restart.safetensors')
    (target,) = job.targets
    node = inputs['datasets']['gap']
    assert (target.label, target.property, target.unit) == ('gap', 'band gap', 'eV')
    assert (target.dataset_uuid, target.dataset_hash) == (node.uuid, node.base.attributes.get('content_hash'))
    assert set(calc.local_copy_list) == {
        (node.uuid, 'table.parquet', target.dataset),
        (inputs['splits']['gap'].uuid, 'table.parquet', target.split),
        (parent.uuid, 'model.safetensors', 'parent.safetensors'),
        (parent.uuid, 'model.json', 'parent.json'),
        (checkpoint.uuid, 'training.safetensors', 'restart.safetensors'),
    }
    assert {'model.safetensors', 'model.json', 'training.safetensors'} <= set(calc.retrieve_temporary_list)


def test_the_job_of_a_prediction(worker_code):
    trained, node = model().store(), dataset().store()
    parameters = {'known': 'gap', 'labels': ['gap'], 'batch_size': 3}
    inputs = {'code': worker_code, 'model': trained, 'dataset': node, 'parameters': Dict(parameters)}
    entries, calc = prepared(PredictCalculation, **inputs)
    job = PredictJob.model_validate(entries)
    assert (job.known, job.labels, job.batch_size, job.unit) == ('gap', ['gap'], 3, 'eV')
    assert [name for _, _, name in calc.local_copy_list] == [job.dataset, 'model.safetensors', 'model.json']


@pytest.mark.parametrize(
    ('parameters', 'message'),
    [
        ({'trainings': {}}, "unknown parameter 'trainings': did you mean 'training'"),
        ({'training': {'learning_rate': 1}}, '`training`: unknown parameter'),
        ({'training': {'epoch': 1}}, "did you mean 'epochs'"),
        ({'training': {'epochs': 0}}, '`training`: epochs: Input should be greater than 0'),
        ({'training': 5}, '`training` is a mapping, got 5'),
        ({'architecture': 'huge'}, "`architecture`: there is no architecture 'huge': choose from published"),
        ({'architecture': {'base': 'tiny', 'hiden': 4}}, "`architecture`: unknown parameter 'hiden': did you mean"),
        ({'architecture': {'base': 'tiny', 'hidden': 0}}, '`architecture`: hidden: Input should be greater than 0'),
        ({'architecture': 3}, '`architecture` is a name'),
        ({'graphs': {'neighbours': 'radius', 'doubled': True}}, '`graphs`: `doubled` belongs to nearest neighbours'),
        ({'transfer': {'strategy': 'all'}}, '`transfer` says what of a parent model is kept: give the input `parent`'),
        ({'title': 3}, '`title` is a line of text, got 3'),
    ],
)
def test_parameters_that_are_refused(parameters, message):
    with pytest.raises(ValueError, match=message.replace('(', r'\(')):
        resolve_parameters(parameters)


def test_parameters_with_a_parent():
    parent = model()
    found = resolve_parameters({}, parent)
    assert found['transfer'].strategy == 'all'
    assert found['architecture'] == parent.card.architecture
    other_head = {**TINY, 'head_layers': 1, 'head_width': 4}
    assert resolve_parameters({'architecture': other_head}, parent)['architecture'].head_layers == 1
    with pytest.raises(ValueError, match='the parent has alignn_layers = 1, and `architecture` asks for 4: leave'):
        resolve_parameters({'architecture': 'published'}, parent)
    with pytest.raises(ValueError, match='the parent has doubled = False, and `graphs` asks for True'):
        resolve_parameters({'graphs': {'doubled': True}}, parent)
    assert resolve_parameters({'architecture': 'small'})['architecture'] == ARCHITECTURES['small']


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'gpus': 1}, "unknown parameter 'gpus'"),
        ({'device': 'gpu'}, "`settings`: device: Input should be 'auto', 'cpu' or 'cuda'"),
        ({'checkpoint_seconds': 0}, '`checkpoint_seconds` is a number above 0, got 0'),
    ],
)
def test_settings_that_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        resolve_settings(settings)


@pytest.mark.parametrize(
    ('inputs', 'message'),
    [
        (lambda: {'datasets': {}, 'splits': {}}, 'there is no dataset to learn from'),
        (lambda: {'splits': {}}, "the dataset 'gap' has no split"),
        (lambda: {'splits': {'gap': split(), 'dc': split()}}, "the split 'dc' has no dataset"),
        (
            lambda: {'splits': {'gap': split(24)}},
            "names 'salt_18', which is no row of its dataset (6 of 24 names are none)",
        ),
        (
            lambda: {'datasets': {'gap': dataset(missing=(3,))}},
            "1 row(s) of 'gap' have no finite target, the first is 'salt_3'",
        ),
        (lambda: {'parameters': Dict({'training': {'epoch': 1}})}, "did you mean 'epochs'"),
        (lambda: {'settings': Dict({'devices': 0})}, '`settings`: devices: Input should be greater than 0'),
        (
            lambda: {'settings': Dict({'nodes': 2})},
            '`settings` ask for 2 nodes, on which the scheduler starts the processes',
        ),
        (
            lambda: {'settings': Dict({'devices': 2}), 'metadata': {'options': {'withmpi': True}}},
            '`settings` speak of 2 as num_mpiprocs_per_machine, and the resources of the job have 1',
        ),
        (
            lambda: {'splits': {'gap': TableData(pd.DataFrame({'name': ['salt_1'], 'fold': [1]}))}},
            "the split of 'gap' has no column 'part', only name, fold",
        ),
        (
            lambda: {'splits': {'gap': TableData(pd.DataFrame({'name': ['salt_1'] * 2, 'part': ['train', 'test']}))}},
            "the split of 'gap' names 'salt_1' more than once",
        ),
        (
            lambda: {'splits': {'gap': TableData(pd.DataFrame({'name': ['salt_1'], 'part': ['test']}))}},
            'has no row of the part `train`, only test',
        ),
        (lambda: {'datasets': {'gap': DatasetData(barrier_rows())}}, "the dataset 'gap' is one of barriers"),
        (lambda: {'datasets': {'1gap': dataset()}, 'splits': {'1gap': split()}}, "'1gap' is no label of a target"),
    ],
)
def test_trainings_that_are_refused(worker_code, inputs, message):
    assert message in refusal(TrainCalculation, **training(worker_code, **inputs()))


def test_rows_that_are_not_used_may_lack_their_target(worker_code):
    inputs = training(worker_code, datasets={'gap': dataset(missing=(3,))}, splits={'gap': split(salt_3='left_out')})
    assert prepared(TrainCalculation, **inputs)[0]['targets'][0]['label'] == 'gap'


def test_two_nodes(worker_code):
    options = {'withmpi': True, 'resources': {'num_machines': 2, 'num_mpiprocs_per_machine': 4}}
    inputs = training(worker_code, settings=Dict({'devices': 4, 'nodes': 2}), metadata={'options': options})
    assert prepared(TrainCalculation, **inputs)[0]['hardware']['nodes'] == 2
    serial = worker_code.clone()
    serial.label, serial.with_mpi = 'serial', False
    assert 'never runs under MPI' in refusal(TrainCalculation, **{**inputs, 'code': serial.store()})


@pytest.mark.parametrize(
    ('parameters', 'about', 'message'),
    [
        ({'label': 'gap'}, {}, "unknown parameter 'label': did you mean 'labels'"),
        ({'labels': ['dc']}, {}, "the model predicts gap, not 'dc'"),
        ({'known': 'gap'}, {'target_unit': 'meV'}, "the dataset holds 'band gap' in meV, and 'gap' of the model is"),
        ({'known': 'gap'}, {'target': 'dielectric constant', 'target_unit': None}, "'dielectric constant' without a"),
        ({'batch_size': 0}, {}, 'batch_size: Input should be greater than 0'),
        ({'known': 'gap', 'labels': []}, {}, 'labels: List should have at least 1 item'),
    ],
)
def test_predictions_that_are_refused(worker_code, parameters, about, message):
    inputs = {'code': worker_code, 'model': model(), 'dataset': dataset(**about), 'parameters': Dict(parameters)}
    assert message in refusal(PredictCalculation, **inputs)


def test_tables_that_hold_no_crystals(worker_code):
    inputs = {'code': worker_code, 'model': model(), 'dataset': TableData(pd.DataFrame({'name': ['a']}))}
    assert "have no column 'lattice', only name" in refusal(PredictCalculation, **inputs)
    bare = TableData(rows().drop(columns='target'))
    inputs = {'code': worker_code, 'model': model(), 'dataset': bare}
    assert "no column 'target'" in refusal(PredictCalculation, **inputs, parameters=Dict({'known': 'gap'}))
    assert refusal(PredictCalculation, **{**inputs, 'dataset': DatasetData(barrier_rows())}).count('one of barriers')


def run(name, **inputs):
    builder = CalculationFactory(name).get_builder()
    for key, value in inputs.items():
        setattr(builder, key, value)
    return run_get_node(builder)


@pytest.mark.slow
def test_train_then_predict(worker_code):
    """A model of two properties is trained, and fine-tuned for one of them, which is then predicted."""
    parts = {'datasets': {'gap': dataset(), 'dc': dataset(target='dc', target_unit=None)}, 'splits': {'gap': split()}}
    parts['splits']['dc'] = split(salt_0='left_out')
    parameters = {**PARAMETERS, 'title': 'salts'}
    outputs, node = run('embarrier.train', **training(worker_code, **parts, parameters=Dict(parameters)))
    assert node.is_finished_ok, node.exit_message
    first = outputs['model']
    assert first.base.attributes.get('labels') == ['dc', 'gap']
    assert first.base.attributes.get('title') == 'salts'
    assert first.base.attributes.get('dataset_uuids') == [parts['datasets'][label].uuid for label in ('dc', 'gap')]
    results = outputs['results'].get_dict()
    assert (results['outcome'], results['status'], results['epochs']) == ('done', 'trained', 3)
    assert results['n_parameters'] == first.base.attributes.get('n_parameters')
    assert list(outputs['curve'].table['epoch']) == [1, 2, 3]
    table = outputs['predictions'].table
    assert len(table) == 18 + 17
    assert 'checkpoint' not in outputs

    tuning = training(worker_code, parent=first, parameters=Dict({'training': PARAMETERS['training']}))
    tuned, node = run('embarrier.train', **tuning)
    assert node.is_finished_ok, node.exit_message
    attributes = tuned['model'].base.attributes
    assert attributes.get('parent_sha256') == first.base.attributes.get('weights_sha256')
    assert (attributes.get('labels'), attributes.get('strategy')) == (['gap'], 'all')
    with enable_caching(identifier='aiida.calculations:embarrier.train'):
        again, node = run('embarrier.train', **tuning)
    assert node.base.caching.is_created_from_cache
    assert again['model'].base.caching.get_hash() == tuned['model'].base.caching.get_hash()

    said, node = run(
        'embarrier.predict',
        code=worker_code,
        model=tuned['model'],
        dataset=dataset(),
        parameters=Dict({'known': 'gap'}),
    )
    assert node.is_finished_ok, node.exit_message
    merged = said['predictions'].table.merge(tuned['predictions'].table, on='name', validate='one_to_one')
    assert len(merged) == 18
    assert merged['prediction_x'].to_numpy() == pytest.approx(merged['prediction_y'].to_numpy(), rel=1e-4, abs=1e-5)
    assert said['predictions'].units == {'value': 'eV', 'prediction': 'eV'}
    assert said['results']['scores'][0]['n'] == 18


@pytest.mark.slow
def test_a_gpu_that_is_not_there(worker_code):
    import torch

    if torch.cuda.is_available():
        pytest.fail('this test is for machines without a GPU')
    _, node = run('embarrier.train', **training(worker_code, settings=Dict({'device': 'cuda'})))
    assert node.exit_status == TrainCalculation.exit_codes.ERROR_DEVICE.status
    assert 'torch finds none here' in node.exit_message
    assert not node.base.caching.is_valid_cache  # another machine may have one


@pytest.mark.slow
def test_a_checkpoint_of_another_training(worker_code):
    checkpoint = SinglefileData.from_bytes(b'no checkpoint', filename='training.safetensors')
    _, node = run('embarrier.train', **training(worker_code, checkpoint=checkpoint))
    assert node.exit_status == TrainCalculation.exit_codes.ERROR_INVALID_INPUT.status
    assert 'restart.safetensors' in node.exit_message
