"""Progress lines as histories: time left, restarts, lines that were cut off."""

import json

import pytest

from aiida_embarrier.jobs.progress import (
    JobHistory,
    describe_progress,
    fraction_done,
    latest_line,
    read_lines,
    residual,
)


def step(number, force, time=None, task='band', **entries):
    return {
        'event': 'step',
        'time': 100.0 + 2 * number if time is None else time,
        'task': task,
        'step': number,
        'n_evaluations': 5 * number + 7,
        'status': 'running',
        'residual_force': force,
        'force_threshold': 0.05,
        **entries,
    }


def history(lines):
    made = JobHistory()
    made.add([{'event': 'start', 'time': 95.0}, *lines])
    return made


def test_time_left_follows_the_logarithm_of_the_force():
    # halved with every step of 2 s: from 0.8 to 0.05 in four more steps
    task = history(step(number, 0.8 * 2 ** (9 - number)) for number in range(10)).tasks['band']
    assert task.time_left == pytest.approx(8.0)
    assert task.elapsed == pytest.approx(23.0)
    assert task.running


@pytest.mark.parametrize(
    'forces',
    [
        [0.4, 0.3, 0.2],  # too few
        [0.1, 0.2, 0.3, 0.4, 0.5, 0.6],  # it rises
        [0.3] * 6,
        [None] * 6,
    ],
)
def test_time_left_is_unknown(forces):
    task = history(step(number, force) for number, force in enumerate(forces)).tasks['band']
    assert task.time_left is None


def test_time_left_of_what_has_ended_is_unknown():
    made = history(step(number, 0.8 / 2**number) for number in range(10))
    made.add([{'event': 'end', 'time': 130.0, 'task': 'band', 'status': 'converged', 'message': 'converged'}])
    assert made.tasks['band'].time_left is None
    assert not made.tasks['band'].running
    assert made.tasks['band'].message == 'converged'
    assert latest_line(made) is None


def test_steps_made_again_count_once():
    made = history(step(number, 1.0) for number in range(8))
    made.add([{'event': 'start', 'time': 200.0}, step(6, 0.5), step(7, 0.4)])
    assert [line['step'] for line in made.tasks['band'].steps] == list(range(8))
    assert [line['residual_force'] for line in made.tasks['band'].steps[-2:]] == [0.5, 0.4]
    assert made.started == 95.0


def test_latest_line_is_that_of_the_task_that_moved_last():
    made = history([step(0, 1.0, 100.0, 'a'), step(0, 1.0, 103.0, 'b'), step(1, 0.9, 102.0, 'a')])
    assert latest_line(made)['task'] == 'b'


def test_lines_that_were_cut_off_are_left_out():
    whole = json.dumps(step(0, 1.0))
    assert [line['step'] for line in read_lines(f'{whole}\n{whole[:20]}\n{whole}\n{whole[:9]}')] == [0, 0]
    assert read_lines('') == []


def test_line_for_people():
    line = step(3, 0.5, barrier=0.41)
    assert describe_progress(line) == 'band, step 3, force 0.500 (aim 0.050) eV/Å, barrier so far 0.410 eV'
    assert fraction_done(line) == pytest.approx(0.5)
    assert residual({'max_force': 0.2}) == 0.2
    assert fraction_done({'event': 'step'}) == 0.0
