"""The language of jobs: what it keeps and what it refuses."""

import pytest
from pydantic import ValidationError

from aiida_embarrier.jobs.potentials import resolve_potential
from aiida_embarrier.jobs.schemas import NUMERICS_VERSION, Geometry, Job, JobResult, NebTask, RelaxTask

GEOMETRY = Geometry(lattice=[[4, 0, 0], [0, 4, 0], [0, 0, 4]], elements=['Li'], positions=[[0, 0, 0]])


def job(*tasks, **entries):
    return Job(potential=resolve_potential('chgnet'), tasks=list(tasks), **entries)


def test_round_trip():
    whole = job(RelaxTask(label='a', structure=GEOMETRY, cell='full'), NebTask(label='b', method='eb'), max_seconds=60)
    assert Job.model_validate_json(whole.model_dump_json()) == whole
    assert [type(task) for task in Job.model_validate_json(whole.model_dump_json()).tasks] == [RelaxTask, NebTask]
    result = JobResult(error='no', error_kind='input')
    assert JobResult.model_validate_json(result.model_dump_json()) == result


@pytest.mark.parametrize(
    ('tasks', 'message'),
    [
        ([], 'at least 1'),
        ([NebTask(label='a'), NebTask(label='a')], 'labels must differ'),
        ([NebTask(label='a'), NebTask(label='a_result')], 'nor end in _result'),
        ([NebTask(label='checkpoint')], 'must not be checkpoint'),
        ([NebTask(label='restart')], 'must not be checkpoint or restart'),
    ],
)
def test_tasks_that_clash(tasks, message):
    with pytest.raises(ValidationError, match=message):
        job(*tasks)


@pytest.mark.parametrize('label', ['', '../up', 'a/b', '.hidden', 'a b', 'x' * 65])
def test_labels_are_safe_file_names(label):
    with pytest.raises(ValidationError, match='label'):
        NebTask(label=label)


def test_other_numerics_version():
    with pytest.raises(ValidationError, match='same aiida-embarrier on both machines'):
        job(NebTask(label='a'), numerics_version=NUMERICS_VERSION + 1)


@pytest.mark.parametrize(
    'settings',
    [
        {'spring_constant': 0},
        {'force_threshold': -1},
        {'max_steps': -1},
        {'method': 'aseneb'},
        {'sprnig_constant': 5.0},
        {'time_step': float('nan')},
    ],
)
def test_settings_out_of_range(settings):
    with pytest.raises(ValidationError):
        NebTask(label='a', **settings)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'elements': []}, 'at least one atom'),
        ({'positions': [[0, 0, 0], [1, 1, 1]]}, 'positions must have 1 rows'),
        ({'positions': [[0, 0]]}, 'rows of 3 numbers'),
        ({'lattice': [[4, 0, 0], [0, 4, 0]]}, 'lattice must have 3 rows'),
        ({'positions': [[0, float('inf'), 0]]}, 'positions must be finite'),
        ({'magnetic_moments': [1.0, 2.0]}, 'must have 1 numbers, got 2'),
    ],
)
def test_structures_that_do_not_fit(changes, message):
    with pytest.raises(ValidationError, match=message):
        Geometry(**{**GEOMETRY.model_dump(), **changes})
