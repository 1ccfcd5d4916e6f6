"""Jobs that train: from files to a model, through kills, several processes, and every input that is refused."""

import random
import signal
import socket
import time

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file
from worker.training_jobs import PARTS, SMALL, rows, start, write_job

from aiida_embarrier.datasets.tables import read_parquet, write_parquet
from aiida_embarrier.jobs.learning import Target, TrainJob, TrainResult, Transfer
from aiida_embarrier.jobs.plain import Outcome
from aiida_embarrier.jobs.progress import read_lines
from aiida_embarrier.learning.checkpoint import read_checkpoint
from aiida_embarrier.learning.model_files import read_model
from aiida_embarrier.learning.places import Place
from aiida_embarrier.worker import train
from aiida_embarrier.worker.plain import JobContext, run_plain_job


def weights(folder):
    return load_file(folder / 'model.safetensors')


def same(first, second):
    one, other = weights(first), weights(second)
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def run_until(path, n_questions):
    """Run a job that is to stop at the question whether to after so many."""
    questions = iter(range(10**6))

    def reason_to_stop():
        return None if next(questions) < n_questions else 'stopped for a test'

    job = TrainJob.model_validate_json(path.read_text())
    return train.run(job, JobContext(path.parent, reason_to_stop, lambda _: None, path))


def epochs_done(folder):
    path = folder / 'progress.jsonl'
    lines = read_lines(path.read_text()) if path.exists() else []
    return sum(line.get('task') == 'training' for line in lines)


@pytest.fixture(scope='module')
def done(tmp_path_factory):
    """Return the folder of a job that is done, and its result."""
    path = write_job(tmp_path_factory.mktemp('jobs') / 'done')
    return path.parent, run_plain_job(path)


@pytest.mark.parametrize(('threads', 'processes'), [(1, 1), (None, 5)])
def test_graphs_are_built_by_as_many_cores_as_were_asked_for(tmp_path, monkeypatch, threads, processes):
    """Who shares a machine and says so is not given all of it while graphs are built."""
    built = []

    def build(*arguments):
        built.append(arguments[4])
        raise ValueError('enough')

    monkeypatch.setattr(train, 'graphs_of', build)
    monkeypatch.setattr(train, 'available_cores', lambda: 5)
    monkeypatch.setattr(train, '_MANY_CRYSTALS', 10)
    assert run_plain_job(write_job(tmp_path / 'job', hardware={'threads': threads})).error == 'enough'
    assert built == [processes]


def test_a_training_leaves_model_curve_and_predictions(done):
    folder, result = done
    assert result == TrainResult.model_validate_json((folder / 'results.json').read_text())
    assert (result.outcome, result.status, result.error) == (Outcome.DONE, 'trained', None)
    assert (result.epochs, result.seed, result.n_processes, result.device) == (4, 123, 1, 'cpu')
    assert result.rows == {'train': 9, 'validation': 2, 'test': 2}
    assert result.rows_per_s > 0
    assert result.peak_memory_mb > 50
    assert not result.checkpoint
    assert not (folder / 'training.safetensors').exists()

    curve = read_parquet((folder / 'curve.parquet').read_bytes())
    assert list(curve['epoch']) == [1, 2, 3, 4]
    assert result.best_epoch == curve['mae_validation'].argmin() + 1
    lines = [line for line in read_lines((folder / 'progress.jsonl').read_text()) if line.get('task') == 'training']
    told, losses = [line['loss'] for line in lines], list(curve['loss_train'])
    assert set(told) <= set(losses)  # at most four lines a second
    assert told[-1] == losses[-1]

    table = read_parquet((folder / 'predictions.parquet').read_bytes())
    assert dict(zip(table['name'], table['part'], strict=True)) == dict(zip(rows()['name'], PARTS[:-1], strict=False))
    model, card = read_model(folder)
    assert card.best_epoch == result.best_epoch
    assert (card.scalers[0].property, card.scalers[0].unit) == ('cosine', 'eV')
    assert card.datasets[0].rows == result.rows
    assert card.scores == result.scores
    test = table[table['part'] == 'test']
    score = next(score for score in result.scores if score.part == 'test')
    assert score.mae == pytest.approx((test['value'] - test['prediction']).abs().mean())
    assert sum(p.numel() for p in model.parameters()) == result.n_parameters == result.n_trained


def test_the_model_with_the_validation_error_of_its_epoch_is_kept(done):
    folder, result = done
    curve = read_parquet((folder / 'curve.parquet').read_bytes())
    score = next(score for score in result.scores if score.part == 'validation')
    assert score.mae_scaled == pytest.approx(curve['mae_validation'].min(), rel=1e-5)


def test_a_job_that_was_stopped_hands_over_what_another_goes_on_from(done, tmp_path):
    whole, _ = done
    path = write_job(tmp_path / 'stopped')
    folder = path.parent
    result = run_until(path, 9)
    assert (result.outcome, result.error, result.status) == (Outcome.INTERRUPTED, 'stopped for a test', None)
    assert result.checkpoint
    assert result.epochs == 2
    assert len(read_parquet((folder / 'curve.parquet').read_bytes())) == 2
    assert read_model(folder)[1].epochs == 2  # the best so far

    path = write_job(tmp_path / 'goes on', restart='before.safetensors')
    (path.parent / 'before.safetensors').write_bytes((folder / 'training.safetensors').read_bytes())
    result = run_plain_job(path)
    assert (result.outcome, result.epochs) == (Outcome.DONE, 4)
    assert same(path.parent, whole)
    assert result.training_s > 0

    # stopped before its first step, a job hands over what it was given
    (path.parent / 'stop').touch()
    result = run_plain_job(path)
    assert (result.outcome, result.checkpoint) == (Outcome.INTERRUPTED, True)
    assert read_checkpoint(path.parent / 'training.safetensors')[1]['epoch'] == 2


@pytest.mark.slow
def test_a_killed_training_ends_with_the_same_bits(done, tmp_path):
    """Killed at a random step, and started again in its folder as a scheduler does it."""
    whole, _ = done
    path = write_job(tmp_path / 'killed', checkpoint_seconds=1e-3)
    process = start(path)
    while epochs_done(path.parent) < 1:
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    time.sleep(0.1 * random.random())
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (path.parent / 'results.json').exists()
    header = read_checkpoint(path.parent / 'training.safetensors')[1]
    assert (header['epoch'], header['step']) > (0, 0)
    process = start(path)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert 'going on from training.safetensors: ' in output
    assert same(path.parent, whole)


@pytest.mark.slow
def test_two_processes_do_what_one_does(tmp_path):
    """21 steps, the last of each epoch with 1 row for 2 processes."""
    settings = {'epochs': 7, 'batch_size': 4, 'lr': 1e-2}
    architecture = SMALL.model_copy(update={'norm': 'layer'})
    paths = [
        write_job(
            tmp_path / str(devices),
            training=settings,
            architecture=architecture,
            hardware={'devices': devices},
        )
        for devices in (1, 2)
    ]
    alone = run_plain_job(paths[0])
    process = start(paths[1])
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    together = TrainResult.model_validate_json((tmp_path / '2' / 'results.json').read_text())
    assert (together.n_processes, together.status, together.epochs) == (2, 'trained', 7)
    one, two = weights(tmp_path / '1'), weights(tmp_path / '2')
    largest = max(np.abs(one[name] - two[name]).max() for name in one)
    assert 0 < largest < 1e-5
    for first, second in zip(alone.scores, together.scores, strict=True):
        assert second.mae == pytest.approx(first.mae, abs=1e-5)
    assert 'rows_per_s' in read_parquet((tmp_path / '2' / 'curve.parquet').read_bytes())


@pytest.mark.slow
def test_where_the_first_process_cannot_go_on_the_others_do_not_wait(tmp_path):
    """As a scheduler starts them: only the first one makes graphs, and finds what is wrong with them."""
    path = write_job(tmp_path / 'job', frame=rows().assign(species='["Xx","O"]'), hardware={'devices': 2})
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    both = [start(path, Place(rank, 2, rank, '127.0.0.1', port).environment()) for rank in range(2)]
    outputs = [process.communicate(timeout=300)[0] for process in both]
    assert [process.returncode for process in both] == [1, 0], outputs
    result = TrainResult.model_validate_json((path.parent / 'results.json').read_text())
    assert (result.outcome, result.error_kind) == (Outcome.REFUSED, 'input')
    assert "no element 'Xx'" in result.error


def test_a_checkpoint_that_cannot_be_written_does_not_end_a_training(done, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(train, 'write_checkpoint', full)
    path = write_job(tmp_path / 'full', checkpoint_seconds=1e-6)
    result = run_plain_job(path)
    assert (result.outcome, result.status) == (Outcome.DONE, 'trained')
    assert len([warning for warning in result.warnings if 'No space left on device' in warning]) == 1
    assert same(path.parent, done[0])


def test_a_parent_is_gone_on_from(done, tmp_path):
    folder, _ = done
    path = write_job(tmp_path / 'child', parent=True, transfer=Transfer(strategy='last_layer'))
    for name in ('safetensors', 'json'):
        (path.parent / f'parent.{name}').write_bytes((folder / f'model.{name}').read_bytes())
    result = run_plain_job(path)
    assert (result.outcome, result.status) == (Outcome.DONE, 'trained')
    assert result.n_trained == 9 < result.n_parameters
    card = read_model(path.parent)[1]
    assert card.parent == read_model(folder)[1].weights_sha256
    assert card.transfer.strategy == 'last_layer'
    parent, child = weights(folder), weights(path.parent)
    changed = {name for name in parent if not np.array_equal(parent[name], child[name])}
    assert {name for name in changed if 'running' not in name and 'tracked' not in name} <= {
        'heads.y.0.weight',
        'heads.y.0.bias',
    }

    path = write_job(
        tmp_path / 'wrong',
        parent=True,
        transfer=Transfer(),
        architecture=SMALL.model_copy(update={'gcn_layers': 1}),
    )
    for name in ('safetensors', 'json'):
        (path.parent / f'parent.{name}').write_bytes((folder / f'model.{name}').read_bytes())
    result = run_plain_job(path)
    assert (result.outcome, result.error_kind) == (Outcome.REFUSED, 'parent')
    assert 'its gcn_layers is 2' in result.error


def test_several_targets_share_crystals(tmp_path):
    path = write_job(tmp_path / 'multi')
    other = rows().iloc[:6].assign(target=np.arange(6.0)).reset_index(drop=True)
    other['name'] = 'b-' + other['name']
    split = pd.DataFrame({'name': other['name'], 'part': pd.Series(['train'] * 5 + ['test'], dtype='str')})
    (path.parent / 'other.parquet').write_bytes(write_parquet(other))
    (path.parent / 'other_split.parquet').write_bytes(write_parquet(split))
    job = TrainJob.model_validate_json(path.read_text())
    target = Target(label='z', property='number', dataset='other.parquet', split='other_split.parquet')
    path.write_text(job.model_copy(update={'targets': [*job.targets, target]}).model_dump_json())
    result = run_plain_job(path)
    assert result.status == 'trained', result.error
    assert result.rows == {'train': 8, 'validation': 2, 'test': 3}
    assert any('1 rows hold a crystal' in warning for warning in result.warnings)
    table = read_parquet((path.parent / 'predictions.parquet').read_bytes())
    assert table.groupby('target').size().to_dict() == {'y': 13, 'z': 6}
    assert {(score.label, score.part) for score in result.scores} >= {('y', 'test'), ('z', 'train')}
    assert list(read_model(path.parent)[0].heads) == ['y', 'z']


@pytest.mark.parametrize(
    ('entries', 'kind', 'message'),
    [
        ({'frame': rows().assign(target=[*[1.0] * 3, np.nan, *[2.0] * 10])}, 'input', '1 rows of y have no finite'),
        ({'parts': ['test'] * 14}, 'input', 'no row of y is left to train on'),
        ({'frame': rows().assign(target=1.0)}, 'input', 'all 9 values of y'),
        ({'frame': rows().assign(species='["Xx","O"]')}, 'input', "no element 'Xx'"),
        ({'hardware': {'device': 'cuda'}}, 'device', 'asks for a GPU'),
        ({'training': {'precision': '16-mixed'}}, 'device', '16-mixed needs a GPU'),
        ({'hardware': {'nodes': 2}}, 'input', '2 nodes with 1 processes each, but 1 were started'),
        ({'restart': 'nothing.safetensors'}, 'input', 'does not exist'),
        ({'parent': True, 'transfer': Transfer()}, 'parent', 'parent'),
    ],
)
def test_jobs_that_cannot_be_done_are_refused(tmp_path, monkeypatch, entries, kind, message):
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    result = run_plain_job(write_job(tmp_path / 'job', **entries))
    assert (result.outcome, result.error_kind) == (Outcome.REFUSED, kind)
    assert message in result.error
    assert not (tmp_path / 'job' / 'model.safetensors').exists()


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    path = write_job(tmp_path / 'job')
    run_until(path, 6)
    for change, what in (
        ({'training': {'lr': 0.5}}, 'settings'),
        ({'architecture': SMALL.model_copy(update={'hidden': 6})}, 'architecture'),
        ({'parts': [*PARTS[1:], 'unused']}, 'data'),
    ):
        other = write_job(tmp_path / what, restart='before.safetensors', **change)
        (other.parent / 'before.safetensors').write_bytes((path.parent / 'training.safetensors').read_bytes())
        result = run_plain_job(other)
        assert result.outcome is Outcome.REFUSED
        assert f'is of another training: {what} differ' in result.error
    # one that lies in the folder by chance is not gone on from
    other = write_job(tmp_path / 'chance', training={'lr': 0.5})
    (other.parent / 'training.safetensors').write_bytes((path.parent / 'training.safetensors').read_bytes())
    result = run_plain_job(other)
    assert result.outcome is Outcome.DONE
    assert ['not gone on from the training.safetensors' in warning for warning in result.warnings] == [True]


def test_a_training_that_diverges_says_so_and_leaves_its_curve(tmp_path):
    path = write_job(tmp_path / 'job', training={'lr': 1e20, 'schedule': 'constant', 'epochs': 20})
    result = run_plain_job(path)
    assert (result.outcome, result.status) == (Outcome.DONE, 'diverged')
    assert any('lower `lr`' in warning for warning in result.warnings)
    assert (path.parent / 'curve.parquet').exists()
    if result.best_epoch is None:
        assert not (path.parent / 'model.safetensors').exists()
    else:
        assert all(np.isfinite(value).all() for value in weights(path.parent).values())


def test_threads_and_determinism_are_as_before(done):
    assert torch.get_num_threads() >= 1
    assert not torch.are_deterministic_algorithms_enabled()
