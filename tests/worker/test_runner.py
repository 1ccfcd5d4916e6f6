"""The worker as a process: results, interruptions, restarts, and what it refuses."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from ase.build import bulk
from potential_systems import emt, line, surface

from aiida_embarrier.bands.io import read_npz, write_npz
from aiida_embarrier.jobs.potentials import resolve_potential
from aiida_embarrier.jobs.schemas import Geometry, Job, JobResult, NebTask, RelaxTask, Status
from aiida_embarrier.worker.runner import run_job

pytestmark = pytest.mark.slow

COMMAND = [sys.executable, '-m', 'aiida_embarrier.worker.main']


def write_job(folder, tasks, spec, bands=None, **settings):
    folder.mkdir(exist_ok=True)
    for label, band in (bands or {}).items():
        write_npz(folder / f'{label}.npz', band)
    job = Job(potential=spec, tasks=tasks, **{'device': 'cpu', 'processes': 1} | settings)
    (folder / 'job.json').write_text(job.model_dump_json())
    return folder


def start(folder):
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)}
    return subprocess.Popen(
        [*COMMAND, 'run', folder / 'job.json'],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def finish(process):
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def run(folder):
    code, out, err = finish(start(folder))
    return code, JobResult.model_validate_json((folder / 'results.json').read_text()), out, err


def events(folder):
    return [json.loads(text) for text in (folder / 'progress.jsonl').read_text().splitlines()]


def crystal(seed):
    atoms = bulk('Cu', cubic=True)
    atoms.rattle(0.1, seed=seed)
    return Geometry(lattice=atoms.cell.array.tolist(), elements=list(atoms.symbols), positions=atoms.positions.tolist())


def bent_line(n_images=5):
    band = line([[0, 0, 0], [3, 0, 0]], n_images)
    positions = np.array(band.positions)
    positions[1:-1] += [0.1, 0.2, 0.1]
    return band.replace(positions=positions, mechanism='vacancy')


def test_relaxations_side_by_side(tmp_path):
    tasks = [
        RelaxTask(label='first', structure=crystal(1)),
        RelaxTask(label='second', structure=crystal(2), cell='full', max_steps=1),
    ]
    code, result, out, err = run(write_job(tmp_path, tasks, emt(), processes=2))
    assert code == 0, err
    assert result.error is None
    assert [(entry.label, entry.status) for entry in result.results] == [
        ('first', Status.CONVERGED),
        ('second', Status.NOT_CONVERGED),
    ]
    assert result.processes == 2
    assert result.device == 'cpu'
    assert result.n_evaluations == sum(entry.n_evaluations for entry in result.results)
    assert {'aiida-embarrier', 'ase', 'numpy'} <= set(result.versions)
    assert 0 < result.load_s < result.wall_s
    assert 'first: converged' in out
    assert result.potential == emt()
    assert 'warning: no version of FreshEMT is recorded' in out  # a module of the tests' own


def test_band_with_progress(tmp_path):
    folder = write_job(tmp_path, [NebTask(label='path')], surface('CurvedCosine'), {'path': bent_line()})
    code, result, _, err = run(folder)
    assert code == 0, err
    (entry,) = result.results
    assert entry.status == Status.CONVERGED
    assert entry.barriers[-1] == pytest.approx(0.4, abs=2e-3)
    band = read_npz(folder / 'path_result.npz')
    assert band.info.converged
    assert band.info.mechanism == 'vacancy'
    assert band.energies.max() - band.energies[0] == entry.barriers[-1]
    steps = [event for event in events(folder) if event['event'] == 'step']
    assert [event['step'] for event in steps] == list(range(entry.n_steps + 1))
    assert [event['residual_force'] for event in steps] == entry.residual_forces
    assert [event['barrier'] for event in steps] == entry.barriers
    assert {event['status'] for event in steps[:-1]} == {'running'}
    assert steps[-1]['status'] == 'converged'
    assert all(event['force_threshold'] == 0.05 and event['time'] > 1e9 for event in steps)
    assert steps[-1]['n_evaluations'] == entry.n_evaluations


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_stopped_worker_is_continued_without_evaluating_anything_twice(tmp_path, number):
    band, settings = bent_line(), {'label': 'path', 'force_threshold': 0.03}

    def job(name, seconds, **entries):
        log = tmp_path / f'{name}.log'
        spec = surface('SlowCosine', seconds=seconds, log=str(tmp_path / 'log'))
        (tmp_path / 'log').unlink(missing_ok=True)
        return write_job(tmp_path / name, [NebTask(**settings)], spec, {'path': band}, **entries), log

    def geometries():
        return (tmp_path / 'log').read_text().split('\n')[:-1]

    whole, _ = job('whole', 0.01)
    _, expected, _, _ = run(whole)
    all_geometries = geometries()

    folder, _ = job('part', 0.01)
    process = start(folder)
    while not (folder / 'progress.jsonl').exists() or len(events(folder)) < 5:
        time.sleep(0.02)
        assert process.poll() is None
    process.send_signal(number)
    code, _, err = finish(process)
    assert code == 0, err
    stopped = JobResult.model_validate_json((folder / 'results.json').read_text())
    (entry,) = stopped.results
    assert entry.status == Status.INTERRUPTED
    assert f'stopped by {signal.Signals(number).name}' in entry.message
    assert read_npz(folder / 'path_result.npz').info.converged is False
    before = geometries()

    (folder / 'checkpoint.npz').rename(folder / 'restart.npz')
    job_file = json.loads((folder / 'job.json').read_text())
    (folder / 'job.json').write_text(json.dumps({**job_file, 'restart': 'restart.npz'}))
    code, result, _, err = run(folder)
    assert code == 0, err
    assert geometries() == all_geometries
    assert result.results == expected.results
    assert result.n_evaluations == len(all_geometries) - len(before)
    np.testing.assert_array_equal(
        read_npz(folder / 'path_result.npz').positions, read_npz(whole / 'path_result.npz').positions
    )


def test_worker_stops_before_its_wall_time_ends(tmp_path):
    folder = write_job(
        tmp_path,
        [NebTask(label='path', force_threshold=1e-9)],
        surface('SlowCosine', seconds=0.1),
        {'path': bent_line()},
        max_seconds=6.0,
    )
    code, result, _, _ = run(folder)
    assert code == 0
    assert result.results[0].status == Status.INTERRUPTED
    assert 'stopped at 0.95 of the wall time' in result.results[0].message
    assert result.wall_s < 6.0
    assert (folder / 'checkpoint.npz').exists()


def test_time_before_the_job_was_read_counts(tmp_path):
    folder = write_job(
        tmp_path, [RelaxTask(label='a', structure=crystal(1))], surface('OnDevice'), max_seconds=100.0, processes=1
    )
    result = run_job(folder / 'job.json', time.monotonic() - 96)
    assert result.results[0].status == Status.INTERRUPTED
    assert result.n_evaluations == 0
    assert result.wall_s > 96


def test_wall_time_includes_the_imports(tmp_path):
    (tmp_path / 'job.json').write_text('{}')
    beginning = time.monotonic()
    _, result, _, _ = run(tmp_path)
    elapsed = time.monotonic() - beginning
    assert elapsed / 4 < result.wall_s < elapsed  # nothing but imports


@pytest.mark.parametrize('obstacle', ['folder in the way', 'full disk'])
def test_results_that_cannot_be_written(tmp_path, obstacle):
    folder = write_job(tmp_path, [NebTask(label='path')], emt())
    if obstacle == 'full disk':
        (folder / 'results.json.partial').symlink_to('/dev/full')
    else:
        (folder / 'results.json').mkdir()
    code, _, err = finish(start(folder))
    assert code == 1
    assert f'the results cannot be written to {folder}: ' in err
    assert ('No space left' if obstacle == 'full disk' else 'Is a directory') in err
    assert 'make the folder writable' in err
    assert 'Traceback' not in err


def test_finished_tasks_are_not_repeated(tmp_path):
    folder = write_job(tmp_path, [RelaxTask(label='a', structure=crystal(1))], emt())
    _, first, _, _ = run(folder)
    write_job(tmp_path, [RelaxTask(label='a', structure=crystal(1))], emt(), restart='checkpoint.npz')
    _, second, _, _ = run(folder)
    assert second.n_evaluations == 0
    assert second.processes is None  # nothing was loaded
    assert second.results == first.results


def test_task_that_starts_afresh_takes_nothing_from_the_checkpoint(tmp_path):
    tasks = [RelaxTask(label=label, structure=crystal(1)) for label in 'ab']
    _, first, _, _ = run(write_job(tmp_path, tasks, emt()))
    # another structure would be refused, were its task to go on
    tasks[1] = RelaxTask(label='b', structure=crystal(2))
    _, second, _, _ = run(write_job(tmp_path, tasks, emt(), restart='checkpoint.npz', afresh=['b']))
    assert second.error is None
    assert second.results[0] == first.results[0]
    assert second.n_evaluations == second.results[1].n_evaluations > 0


def test_checkpoint_of_another_job_is_refused(tmp_path):
    tasks = [RelaxTask(label='a', structure=crystal(1))]
    run(write_job(tmp_path, tasks, emt()))
    for changed, message in (
        ([RelaxTask(label='b', structure=crystal(1))], "holds the tasks ['a'], the job has ['b']"),
        ([RelaxTask(label='a', structure=crystal(2))], 'has another starting structure, method or potential'),
        ([RelaxTask(label='a', structure=crystal(1), cell='full')], 'another starting structure, method or potential'),
    ):
        code, result, _, err = run(write_job(tmp_path, changed, emt(), restart='checkpoint.npz'))
        assert (code, result.error_kind) == (1, 'input')
        assert message in result.error
        assert message in err
    other = surface('MuellerBrown')
    _, result, _, _ = run(write_job(tmp_path, tasks, other, restart='checkpoint.npz'))
    assert result.error_kind == 'input'


@pytest.mark.parametrize('content', [b'', b'nonsense', b'PK\x03\x04'])
def test_damaged_checkpoint_is_refused(tmp_path, content):
    folder = write_job(tmp_path, [RelaxTask(label='a', structure=crystal(1))], emt(), restart='restart.npz')
    (folder / 'restart.npz').write_bytes(content)
    code, result, _, _ = run(folder)
    assert (code, result.error_kind) == (1, 'input')
    assert 'cannot be read' in result.error


def test_missing_files(tmp_path):
    _, result, _, _ = run(write_job(tmp_path, [NebTask(label='path')], emt()))
    assert result.error_kind == 'input'
    assert 'path.npz' in result.error
    task = RelaxTask(label='a', structure=crystal(1))
    _, result, _, _ = run(write_job(tmp_path, [task], emt(), restart='nowhere.npz'))
    assert result.error_kind == 'input'
    assert 'does not exist' in result.error


def test_version_that_the_job_leaves_open_is_recorded(tmp_path):
    ase = resolve_potential('ase', calculator='ase.calculators.emt:EMT')
    for spec, left_open in (
        (resolve_potential('chgnet'), {'version': None}),
        (ase, {'version': None, 'distribution': None}),
    ):
        prepared = spec.model_copy(update=left_open)
        _, result, out, _ = run(write_job(tmp_path, [NebTask(label='path')], prepared))  # ends at the missing band
        assert result.potential == spec
        assert result.versions[spec.distribution] == spec.version
        assert 'warning' not in out


def test_job_that_is_not_one(tmp_path):
    (tmp_path / 'job.json').write_text('{"potential": {"name": "chgnet", "model": "0.3.0"}, "task": []}')
    code, result, _, err = run(tmp_path)
    assert (code, result.error_kind) == (1, 'input')
    assert 'tasks: Field required' in result.error
    assert result.error in err


def test_altered_and_missing_weights(tmp_path):
    weights = tmp_path / 'weights'
    weights.write_text('right')
    spec = resolve_potential(
        'ase',
        calculator='analytic_surfaces:WithWeights',
        weights=str(weights),
        weights_argument='path',
        distribution=None,
    )
    tasks = [RelaxTask(label='a', structure=crystal(1))]
    code, result, _, err = run(write_job(tmp_path, tasks, spec))
    assert code == 0, err
    weights.write_text('wrong')
    code, result, _, _ = run(write_job(tmp_path, tasks, spec))
    assert (code, result.error_kind) == (1, 'weights')
    assert spec.sha256 in result.error
    weights.unlink()
    code, result, _, _ = run(write_job(tmp_path, tasks, spec))
    assert (code, result.error_kind) == (1, 'weights')
    assert 'put them there' in result.error


def test_process_that_is_killed_leaves_the_checkpoint_and_an_error(tmp_path):
    code, result, _, err = run(write_job(tmp_path, [RelaxTask(label='a', structure=crystal(1))], surface('Deadly')))
    assert (code, result.error_kind) == (1, 'potential')
    assert 'want of memory' in result.error
    assert (tmp_path / 'checkpoint.npz').exists()
    assert [entry.status for entry in result.results] == [Status.INTERRUPTED]
    assert 'want of memory' in err


def test_fault_of_the_machine_ends_the_job_and_not_the_task(tmp_path):
    spec = surface('Faulty', fault='OSError:[Errno 5] Input/output error')
    code, result, _, err = run(write_job(tmp_path, [RelaxTask(label='a', structure=crystal(1))], spec))
    assert (code, result.error_kind) == (1, 'potential')  # which AiiDA retries and does not cache
    assert [entry.status for entry in result.results] == [Status.INTERRUPTED]
    assert 'Input/output error' in err


def test_version_and_light_import():
    version = subprocess.run([*COMMAND, '--version'], capture_output=True, text=True, check=True).stdout
    from aiida_embarrier import __version__

    assert __version__ in version
    code = (
        'import sys, aiida_embarrier.worker.main; print(sorted({"torch", "ase", "pymatgen", "aiida"} & {*sys.modules}))'
    )
    assert subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout == '[]\n'


def test_check_of_a_potential():
    checked = subprocess.run([*COMMAND, 'check', 'chgnet', '--no-load'], capture_output=True, text=True)
    report = json.loads(checked.stdout)
    assert checked.returncode == 0
    assert report['weights_ok'] is True
    assert report['error'] is None
    assert report['potential'] == 'chgnet-0.3.0'
    assert report['cores'] >= 1
    unknown = subprocess.run([*COMMAND, 'check', 'chgnet', '9.9'], capture_output=True, text=True)
    assert unknown.returncode == 1
    assert 'no model' in json.loads(unknown.stdout)['error']
