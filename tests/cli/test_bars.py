"""Progress bars of jobs: seen at a terminal only, and they say what a job does."""

import io
import sys

from aiida_embarrier.cli.bars import job_bar

FORCE = {'residual_force': 0.5, 'force_threshold': 0.05}
LINES = [
    {'event': 'start', 'time': 1.0},
    {'event': 'step', 'time': 2.0, 'task': 'describing', 'step': 3, 'total': 4, 'unit': 'paths', 'status': 'running'},
    {'event': 'step', 'time': 3.0, 'task': 'band', 'step': 35, 'total': None, 'unit': 'evaluations', **FORCE},
]


class Terminal(io.StringIO):
    """Where bars are shown, in ASCII."""

    def isatty(self):
        return True


def test_at_a_terminal(monkeypatch):
    monkeypatch.setattr(sys, 'stderr', Terminal())
    with job_bar() as show:
        shown = []
        for line in LINES:
            show(line)
            shown.append(sys.stderr.getvalue())
            sys.stderr.truncate(0)
    assert 'starting' in shown[0]
    assert 'describing: 3 of 4 paths' in shown[1]
    assert 'band: 35 evaluations, force in eV/Å 0.5' in shown[2]
    lengths = [text.split('|')[1].count('#') for text in shown[1:]]
    assert lengths == [22, 15]  # of 30: three of four paths, and half of the way on the logarithm of the force


def test_elsewhere(monkeypatch):
    monkeypatch.setattr(sys, 'stderr', io.StringIO())
    with job_bar() as show:
        assert show is None
    assert sys.stderr.getvalue() == ''
