"""Results of the worker become nodes and exit codes, also when the job was killed."""

import json

import pytest
from aiida.orm import Dict
from aiida.plugins import ParserFactory
from systems import EMT, aluminium, computed_band, straight_band

from aiida_embarrier.bands.io import write_npz
from aiida_embarrier.calculations.worker import PotentialNebCalculation, PotentialRelaxCalculation, read_error
from aiida_embarrier.data.band import BandData
from aiida_embarrier.data.convert import geometry_from_node, node_from_structure
from aiida_embarrier.jobs.schemas import NUMERICS_VERSION, JobResult, NebResult, RelaxResult, Status


@pytest.fixture
def parse(make_calcjob_node, tmp_path):
    """Return a function that parses the files of a finished job."""

    def run(entry_point, inputs, files, temporary=None):
        for name, content in (temporary or {}).items():
            (tmp_path / name).write_bytes(content)
        node = make_calcjob_node(entry_point, {'potential': Dict(EMT.model_dump(exclude_none=True)), **inputs}, files)
        parser = ParserFactory(entry_point)
        outputs, process = parser.parse_from_node(
            node, store_provenance=False, retrieved_temporary_folder=str(tmp_path)
        )
        return outputs, process

    return run


def neb_result(status, message='', **changes):
    task = {
        'label': 'band',
        'status': status,
        'message': message,
        'n_steps': 7,
        'n_evaluations': 23,
        'residual_force': 0.2,
    }
    return JobResult(results=[NebResult(**{**task, **changes})], n_evaluations=23).model_dump_json()


def band_bytes(tmp_path, band):
    write_npz(tmp_path / 'x.npz', band)
    return (tmp_path / 'x.npz').read_bytes()


def test_single_point_is_no_failure(parse, tmp_path):
    band = band_bytes(tmp_path, computed_band().replace(converged=False))
    files = {'results.json': neb_result(Status.NOT_CONVERGED, 'not converged after 0 steps', n_steps=0)}
    for steps, exit_status in ((0, 0), (1, PotentialNebCalculation.exit_codes.ERROR_NOT_CONVERGED.status)):
        inputs = {'bands__band': BandData(straight_band()), 'parameters': Dict({'max_steps': steps})}
        outputs, process = parse('embarrier.potential.neb', inputs, files, {'band_result.npz': band})
        assert process.exit_status == exit_status
        assert outputs['bands']['band'].base.attributes.get('converged') is False
        assert outputs['results']['tasks']['band']['status'] == 'not_converged'


def test_complaints_of_python_about_semaphores_are_no_reason():
    text = (
        'out of memory\n/usr/lib/python3.11/multiprocessing/resource_tracker.py:254: UserWarning: resource_tracker: '
        "There appear to be 5 leaked semaphore objects\n  warnings.warn('resource_tracker: There appear to be %d '\n"
    )
    assert read_error(text) == 'out of memory'
    assert read_error(text.partition('\n')[2]) == 'it is empty'


def test_converged_band(parse, tmp_path):
    band = band_bytes(tmp_path, computed_band())
    outputs, process = parse(
        'embarrier.potential.neb',
        {'bands__band': BandData(straight_band())},
        {'results.json': neb_result(Status.CONVERGED)},
        {'band_result.npz': band, 'checkpoint.npz': b'state'},
    )
    assert process.exit_status == 0
    assert outputs['bands']['band'].base.attributes.get('barrier_forward') == pytest.approx(0.6)
    assert outputs['results']['tasks']['band']['n_evaluations'] == 23
    assert 'checkpoint' not in outputs


@pytest.mark.parametrize(
    ('status', 'exit_code'),
    [
        (Status.NOT_CONVERGED, 'ERROR_NOT_CONVERGED'),
        (Status.INTERRUPTED, 'ERROR_WALL_TIME'),
        (Status.DIVERGED, 'ERROR_DIVERGED'),
        (Status.COLLAPSED, 'ERROR_IMAGES_COLLAPSED'),
        (Status.FAILED, 'ERROR_POTENTIAL'),
    ],
)
def test_failed_band_is_kept_with_its_checkpoint(parse, tmp_path, status, exit_code):
    outputs, process = parse(
        'embarrier.potential.neb',
        {'bands__band': BandData(straight_band())},
        {'results.json': neb_result(status, 'because {of} this')},
        {'band_result.npz': band_bytes(tmp_path, computed_band()), 'checkpoint.npz': b'state'},
    )
    assert process.exit_status == PotentialNebCalculation.exit_codes[exit_code].status
    assert 'band: because {of} this' in process.exit_message
    assert 'band' in outputs['bands']
    assert outputs['checkpoint'].content == b'state'


def test_killed_without_results_but_with_a_checkpoint(parse, tmp_path):
    outputs, process = parse(
        'embarrier.potential.neb',
        {'bands__band': BandData(straight_band())},
        {'worker.err': 'Killed'},
        {'band_result.npz': band_bytes(tmp_path, computed_band()), 'checkpoint.npz': b'state'},
    )
    assert process.exit_status == PotentialNebCalculation.exit_codes.ERROR_WALL_TIME.status
    assert 'band' in outputs['bands']
    assert outputs['checkpoint'].content == b'state'


def test_no_results_at_all_shows_the_standard_error(parse):
    _, process = parse(
        'embarrier.potential.neb',
        {'bands__band': BandData(straight_band())},
        {'worker.err': 'bash: embarrier-worker: command not found'},
    )
    assert process.exit_status == PotentialNebCalculation.exit_codes.ERROR_NO_RESULTS.status
    assert 'command not found' in process.exit_message


def test_unreadable_results(parse):
    _, process = parse(
        'embarrier.potential.neb', {'bands__band': BandData(straight_band())}, {'results.json': '{"results": [1'}
    )
    assert process.exit_status == PotentialNebCalculation.exit_codes.ERROR_RESULTS_UNREADABLE.status


@pytest.mark.parametrize(
    ('kind', 'exit_code'),
    [
        ('input', 'ERROR_INVALID_INPUT'),
        ('weights', 'ERROR_WEIGHTS'),
        ('potential', 'ERROR_WORKER'),
        ('unexpected', 'ERROR_WORKER'),
    ],
)
def test_errors_of_the_worker(parse, kind, exit_code):
    result = JobResult(error='the weights were altered', error_kind=kind).model_dump_json()
    _, process = parse('embarrier.potential.neb', {'bands__band': BandData(straight_band())}, {'results.json': result})
    assert process.exit_status == PotentialNebCalculation.exit_codes[exit_code].status
    assert 'the weights were altered' in process.exit_message


def test_worker_that_fails_on_its_way_leaves_what_it_had(parse, tmp_path):
    done = JobResult.model_validate_json(neb_result(Status.INTERRUPTED))
    result = done.model_copy(update={'error': 'a process of the pool was killed', 'error_kind': 'potential'})
    outputs, process = parse(
        'embarrier.potential.neb',
        {'bands__band': BandData(straight_band())},
        {'results.json': result.model_dump_json()},
        {'band_result.npz': band_bytes(tmp_path, computed_band()), 'checkpoint.npz': b'state'},
    )
    assert process.exit_status == PotentialNebCalculation.exit_codes.ERROR_WORKER.status
    assert 'band' in outputs['bands']
    assert outputs['checkpoint'].content == b'state'


def test_relaxations_of_one_job(parse):
    structure, _ = node_from_structure(aluminium())
    results = [
        RelaxResult(
            label=label,
            status=status,
            message='step limit',
            n_steps=3,
            n_evaluations=4,
            structure=geometry_from_node(structure),
            energy=-1.5,
            max_force=0.2,
        )
        for label, status in (('final', Status.NOT_CONVERGED), ('initial', Status.CONVERGED))
    ]
    outputs, process = parse(
        'embarrier.potential.relax',
        {'structures__initial': structure, 'structures__final': structure.clone()},
        {'results.json': JobResult(results=results).model_dump_json()},
        {'checkpoint.npz': b'state'},
    )
    assert process.exit_status == PotentialRelaxCalculation.exit_codes.ERROR_NOT_CONVERGED.status
    assert 'final: step limit' in process.exit_message
    assert 'initial:' not in process.exit_message
    assert set(outputs['structures']) == {'initial', 'final'}
    assert json.dumps(outputs['results'].get_dict())
    assert 'structure' not in outputs['results']['tasks']['initial']


def test_cache_version_follows_the_numbers():
    assert PotentialNebCalculation.CACHE_VERSION == PotentialRelaxCalculation.CACHE_VERSION == NUMERICS_VERSION
    assert ParserFactory('embarrier.potential.neb').CACHE_VERSION == NUMERICS_VERSION


def test_exit_codes_of_the_machine_are_not_cached():
    invalidating = {code.status for code in PotentialNebCalculation.exit_codes.values() if code.invalidates_cache}
    assert {202, 301, 302, 303, 401} <= invalidating
    assert not {201, 310, 501, 502, 503} & invalidating
