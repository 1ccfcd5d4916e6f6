"""What a training or a prediction left becomes nodes and exit codes, whole, stopped or killed."""

import json

import pandas as pd
import pytest
from aiida.orm import Dict
from aiida.plugins import ParserFactory
from training_nodes import dataset, model, split

from aiida_embarrier.calculations.learning import PredictCalculation, TrainCalculation
from aiida_embarrier.datasets.tables import write_parquet
from aiida_embarrier.jobs.learning import PredictResult, Scaler, Score, TrainResult
from aiida_embarrier.jobs.plain import Outcome
from aiida_embarrier.jobs.schemas import NUMERICS_VERSION

CODES = TrainCalculation.exit_codes

CURVE = pd.DataFrame({'epoch': [1, 2], 'lr': [0.1, 0.01], 'loss_train': [1.0, 0.5]})
PREDICTIONS = pd.DataFrame(
    {'name': ['a', 'b'], 'target': 'gap', 'part': ['train', 'test'], 'value': [1.0, 2.0], 'prediction': [1.1, 1.8]}
)


@pytest.fixture
def parse(make_calcjob_node, tmp_path):
    """Return a function that parses what a job left: its results, and files by their names."""

    def run(result, left=None, entry_point='embarrier.train', parameters=None, **inputs):
        for name, content in (left or {}).items():
            (tmp_path / name).write_bytes(content)
        files = {'worker.err': 'slurmstepd: error: *** JOB 7 CANCELLED ***'}
        if result is not None:
            files['results.json'] = result if isinstance(result, str) else result.model_dump_json()
        given = {'datasets__gap': dataset(), 'splits__gap': split()} if entry_point == 'embarrier.train' else {}
        if parameters is not None:
            given['parameters'] = Dict(parameters)
        node = make_calcjob_node(entry_point, {**given, **inputs}, files)
        parser = ParserFactory(entry_point)
        return parser.parse_from_node(node, store_provenance=False, retrieved_temporary_folder=str(tmp_path))

    return run


@pytest.fixture
def left(aiida_profile):
    """Return the files of a training that is done."""
    node = model(title='what the worker says')
    return {
        'model.safetensors': node.weights,
        'model.json': node.card.model_dump_json().encode(),
        'curve.parquet': write_parquet(CURVE),
        'predictions.parquet': write_parquet(PREDICTIONS),
    }


def test_training_that_is_done(parse, left):
    result = TrainResult(status='trained', epochs=2, scores=[Score(label='gap', part='test', n=1, mae=0.2, rmse=0.2)])
    outputs, process = parse(result, left, parameters={'title': 'gaps', 'licence': 'MIT'})
    assert process.exit_status == 0
    assert outputs['curve'].table.equals(CURVE)
    assert outputs['predictions'].table.equals(PREDICTIONS)
    assert outputs['results']['epochs'] == 2
    about = outputs['model'].base.attributes
    assert (about.get('title'), about.get('licence')) == ('gaps', 'MIT')
    assert outputs['model'].weights == left['model.safetensors']
    assert 'checkpoint' not in outputs


def test_title_of_the_worker_stays_where_none_is_given(parse, left):
    outputs, _ = parse(TrainResult(status='stopped_early', epochs=2), left)
    assert outputs['model'].base.attributes.get('title') == 'what the worker says'


@pytest.mark.parametrize(('status', 'code'), [('diverged', CODES.ERROR_DIVERGED), ('stalled', CODES.ERROR_STALLED)])
def test_training_that_failed_hands_over_the_best_so_far(parse, left, status, code):
    result = TrainResult(status=status, epochs=2, warnings=['the loss of epoch 2 is not finite'])
    outputs, process = parse(result, left)
    assert process.exit_status == code.status
    assert 'the loss of epoch 2 is not finite' in process.exit_message
    assert {'model', 'curve', 'predictions', 'results'} <= set(outputs)


def test_training_that_diverged_at_once_has_no_model(parse, left):
    result = TrainResult(status='diverged', epochs=1)
    outputs, process = parse(result, {'curve.parquet': left['curve.parquet']})
    assert process.exit_status == CODES.ERROR_DIVERGED.status
    assert 'model' not in outputs
    assert outputs['curve'].table.equals(CURVE)


def test_training_that_was_stopped(parse, left):
    result = TrainResult(outcome=Outcome.INTERRUPTED, error='stopped at 0.95 of the wall time', epochs=2)
    del left['predictions.parquet']
    outputs, process = parse(result, {**left, 'training.safetensors': b'state'})
    assert process.exit_status == CODES.ERROR_WALL_TIME.status
    assert 'stopped at 0.95' in process.exit_message
    assert outputs['checkpoint'].get_content('rb') == b'state'
    assert outputs['checkpoint'].filename == 'training.safetensors'
    assert {'model', 'curve'} <= set(outputs)


def test_training_that_was_killed(parse):
    outputs, process = parse(None, {'training.safetensors': b'state'})
    assert process.exit_status == CODES.ERROR_WALL_TIME.status
    assert 'JOB 7 CANCELLED' in process.exit_message
    assert list(outputs) == ['checkpoint']


def test_training_that_left_nothing(parse):
    outputs, process = parse(None)
    assert process.exit_status == CODES.ERROR_NO_RESULTS.status
    assert not outputs


@pytest.mark.parametrize(
    ('kind', 'code'),
    [
        ('input', CODES.ERROR_INVALID_INPUT),
        ('parent', CODES.ERROR_PARENT),
        ('device', CODES.ERROR_DEVICE),
    ],
)
def test_training_that_was_refused(parse, kind, code):
    result = TrainResult(outcome=Outcome.REFUSED, error='the reason', error_kind=kind)
    outputs, process = parse(result)
    assert process.exit_status == code.status
    assert 'the reason' in process.exit_message
    assert 'model' not in outputs


def test_full_disk(parse):
    """The worker says that it failed; the checkpoint before is still there."""
    result = TrainResult(outcome=Outcome.FAILED, error='no space left', error_kind='folder')
    outputs, process = parse(result, {'training.safetensors': b'state'})
    assert process.exit_status == CODES.ERROR_WORKER.status
    assert 'checkpoint' in outputs


def test_files_that_are_altered_or_missing(parse, left):
    done = TrainResult(status='trained', epochs=2)
    altered = {**left, 'model.safetensors': left['model.safetensors'][:-1] + b'\x01'}
    outputs, process = parse(done, altered)
    assert process.exit_status == CODES.ERROR_RESULTS_UNREADABLE.status
    assert 'the weights were altered' in process.exit_message
    assert 'model' not in outputs


def test_files_that_are_missing(parse, left):
    del left['model.json']
    _, process = parse(TrainResult(status='trained', epochs=2), left)
    assert process.exit_status == CODES.ERROR_RESULTS_UNREADABLE.status
    assert 'model.safetensors is not there' in process.exit_message


def test_results_of_another_version(parse, left):
    entries = {**json.loads(TrainResult(status='trained').model_dump_json()), 'unknown': 1}
    _, process = parse(json.dumps(entries), left)
    assert process.exit_status == CODES.ERROR_RESULTS_UNREADABLE.status


def predicted(labels):
    return pd.concat([PREDICTIONS.drop(columns='part').assign(target=label) for label in labels], ignore_index=True)


def test_predictions(parse):
    left = {'predictions.parquet': write_parquet(predicted(['gap']))}
    result = PredictResult(n_rows=2, left_out={'c': 'no such element'})
    outputs, process = parse(result, left, 'embarrier.predict', model=model(title='gaps'), dataset=dataset())
    assert process.exit_status == 0
    assert outputs['predictions'].table.equals(predicted(['gap']))
    assert outputs['predictions'].units == {'value': 'eV', 'prediction': 'eV'}
    assert outputs['predictions'].title == 'predictions of gaps'
    assert outputs['results']['left_out'] == {'c': 'no such element'}


def test_predictions_of_a_job_that_was_stopped(parse):
    """What it came to is handed over; of one that was stopped before the first there is nothing, and no complaint."""
    result = PredictResult(outcome='interrupted', error='out of time', n_rows=2)
    outputs, process = parse(result, {}, 'embarrier.predict', model=model(), dataset=dataset())
    assert (process.exit_status, list(outputs)) == (CODES.ERROR_WALL_TIME.status, ['results'])
    left = {'predictions.parquet': write_parquet(predicted(['gap']))}
    outputs, process = parse(result, left, 'embarrier.predict', model=model(), dataset=dataset())
    assert process.exit_status == CODES.ERROR_WALL_TIME.status
    assert outputs['predictions'].table.equals(predicted(['gap']))


def test_predictions_in_several_units_have_none(parse):
    scalers = [
        Scaler(label='gap', property='band gap', unit='eV'),
        Scaler(label='dc', property='dielectric constant'),
    ]
    left = {'predictions.parquet': write_parquet(predicted(['gap', 'dc']))}
    outputs, _ = parse(PredictResult(), left, 'embarrier.predict', model=model(scalers=scalers), dataset=dataset())
    assert outputs['predictions'].units == {}


def test_predictions_that_are_missing(parse):
    outputs, process = parse(PredictResult(), {}, 'embarrier.predict', model=model(), dataset=dataset())
    assert process.exit_status == PredictCalculation.exit_codes.ERROR_RESULTS_UNREADABLE.status
    assert list(outputs) == ['results']


def test_cached_results_do_not_outlive_the_numbers_of_the_worker():
    classes = (TrainCalculation, PredictCalculation, *map(ParserFactory, ('embarrier.train', 'embarrier.predict')))
    assert {found.CACHE_VERSION for found in classes} == {NUMERICS_VERSION}
