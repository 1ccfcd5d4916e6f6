"""Pools of processes in the hands of a daemon whose worker is killed."""

import time

import pytest
from shell import Shell

pytestmark = [pytest.mark.slow, pytest.mark.services]

SUBMIT = """
from aiida.engine import submit
from workflows.test_pool import ExampleWorkChain
tasks = {'slow': [4, None], 'quick': [0, None], 'next': [0, 'quick'], 'last': [0, 'next'], 'more': [0, 'last']}
print(submit(ExampleWorkChain, tasks=orm.Dict(tasks), max_concurrent=orm.Int(2)).pk)
"""


@pytest.fixture
def shell(tmp_path):
    made = Shell(tmp_path)
    made('verdi', 'presto', '--use-zeromq', '-n', '-p', 'test')
    made.start_daemon()
    yield made
    made.kill_daemon()


def test_a_pool_goes_on_after_its_worker_was_killed(shell):
    pk = shell.query(SUBMIT)
    deadline = time.monotonic() + 60
    while shell.query(f'print(len(orm.load_node({pk}).called))') < 2:
        assert time.monotonic() < deadline
    assert shell.kill('daemon worker') == 1
    assert shell.wait_for_end(pk) == ('finished', 0, None)
    log = shell.query(f'print(json.dumps(orm.load_node({pk}).outputs.log["log"]))')
    # AiiDA repeats the step in which a worker is killed, so one or two may have been started twice; the slow one counts
    # them among the four that it outlasts, and then ends as many tasks before the last
    repeated = shell.query(f'print(len(orm.load_node({pk}).called))') - 5
    assert 0 <= repeated <= 2
    # each was started in its turn, beside the slow one
    assert [task for task, _, _ in log] == ['slow', 'quick', 'next', 'last', 'more']
    assert [beside for _, _, beside in log][: 5 - repeated] == [[], *[['slow']] * (4 - repeated)]
