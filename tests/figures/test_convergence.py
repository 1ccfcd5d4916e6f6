"""Force and barrier against the steps."""

import numpy as np
import pytest

from aiida_embarrier.figures.convergence import convergence
from aiida_embarrier.jobs.progress import TaskHistory


def history(label, count=30, job_at=20, **entries):
    steps = [
        {
            'step': number,
            'n_evaluations': 7 + 5 * number,
            'residual_force': 0.9**number,
            'force_threshold': 0.05,
            'barrier': 0.4 + 0.2 * 0.8**number,
            'climbing_image': 3 if number > 8 else None,
            'job': 1 if number < job_at else 2,
            **entries,
        }
        for number in range(count)
    ]
    return TaskHistory(label, 0.0, steps)


def texts(figure):
    return [text.get_text() for text in figure.findobj(match=lambda item: hasattr(item, 'get_text'))]


def test_single_task():
    figure = convergence({'neb band': history('band')})
    above, below = figure.axes[:2]
    assert above.get_yscale() == 'log'
    force, barrier = above.lines[0], below.lines[0]
    np.testing.assert_allclose(force.get_ydata(), [0.9**number for number in range(30)])
    np.testing.assert_allclose(barrier.get_ydata()[-1], 0.4 + 0.2 * 0.8**29)
    written = texts(figure)
    for text in ('neb band', 'aim 0.05', 'an image climbs', 'another job', 'force evaluations', '152', 'step'):
        assert text in written
    # the first line in which an image climbs, and the place between both jobs
    assert [line.get_xdata()[0] for line in above.lines if line.get_marker() == '^'] == [9]
    assert [line.get_xdata()[0] for line in above.lines if line.get_linestyle() == ':'] == [19.5]


def test_several_tasks_have_a_legend_and_many_have_none():
    few = convergence({name: history(name) for name in 'ab'})
    assert {'a', 'b'} <= {text.get_text() for text in few.legends[0].get_texts()}
    assert 'force evaluations' not in texts(few)
    nine = convergence({f'hop_{number}': history(str(number)) for number in range(9)})
    named = {text.get_text() for text in nine.legends[0].get_texts()}
    assert {'hop_0', 'hop_8', 'an image begins to climb', 'another job goes on'} <= named
    looks = {(line.get_color(), line.get_linestyle()) for line in nine.axes[0].lines if line.get_gid()}
    assert len(looks) == 9, 'curves are told apart'
    long = convergence({f'n_images = {number}, force_threshold = 0.05': history('x') for number in (5, 7)})
    long.draw_without_rendering()
    box = long.legends[0].get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= long.bbox.x1
    many = convergence({str(number): history(str(number)) for number in range(19)})
    assert {text.get_text() for text in many.legends[0].get_texts()} == {
        'an image begins to climb',
        'another job goes on',
    }


def test_band_that_diverges_does_not_spoil_the_scale():
    wild = history('wild')
    for line in wild.steps[-5:]:
        line.update(residual_force=500.0, barrier=14.0)
    figure = convergence({'a': history('a'), 'wild': wild, 'b': history('b')})
    above, below = figure.axes[:2]
    assert above.get_ylim()[1] < 2
    assert below.get_ylim()[1] < 1
    assert texts(figure).count('off the scale: wild') == 2
    calm = convergence({name: history(name) for name in 'abc'})
    assert not any('off the scale' in text for text in texts(calm))


def test_relaxation_has_energies():
    task = history('host', energy=-3.0)
    for number, line in enumerate(task.steps):
        del line['barrier'], line['climbing_image'], line['residual_force']
        line.update(max_force=0.5**number, energy=-3.0 - number)
    figure = convergence({'host': task})
    assert 'energy relative to the last (eV)' in texts(figure)
    np.testing.assert_allclose(figure.axes[1].lines[0].get_ydata(), np.arange(29, -1, -1))


def test_nothing_to_draw():
    with pytest.raises(ValueError, match='no task made a step'):
        convergence({'band': TaskHistory('band', 0.0)})
