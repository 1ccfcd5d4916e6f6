"""Pools of processes: order, limit, and that each goes on as soon as it can."""

import asyncio
import time

import greenback
import pytest
from aiida.engine import WorkChain, run_get_node, while_
from aiida.orm import Dict, Int

from aiida_embarrier.workflows.pool import TASKS, PoolWorkChain


class PatientWorkChain(WorkChain):
    """Wait until a number of the processes beside it have ended; fail for a negative number, and after a minute."""

    @classmethod
    def define(cls, spec):
        super().define(spec)
        spec.input('others', valid_type=Int)
        spec.outline(cls.setup, while_(cls.should_wait)(cls.wait), cls.finish)
        spec.exit_code(400, 'ERROR', message='it was to fail, or waited in vain')

    def setup(self):
        self.ctx.deadline = time.monotonic() + 60

    def should_wait(self):
        return self.ctx.deadline > time.monotonic() and not self.has_enough()

    def has_enough(self):
        return sum(node.is_terminated for node in self.node.caller.called) >= self.inputs.others.value

    def wait(self):
        greenback.await_(asyncio.sleep(0.02))  # lets the event loop run the others

    def finish(self):
        return None if self.inputs.others.value >= 0 and self.has_enough() else self.exit_codes.ERROR


class ExampleWorkChain(PoolWorkChain):
    """Tasks by name, each with the number of others that it outlasts, and the one that it waits for."""

    @classmethod
    def define(cls, spec):
        super().define(spec)
        spec.input('tasks', valid_type=Dict)
        spec.outline(cls.setup, cls.pool_steps(), cls.finish)
        spec.output('log', valid_type=Dict)

    def setup(self):
        self.ctx.log = []
        self.fill_pool(self.inputs.tasks.get_dict())

    def is_ready(self, task):
        after = self.inputs.tasks[task][1]
        return after is None or self.has_ended(after)

    def start_task(self, task):
        others, after = self.inputs.tasks[task]
        if after is not None and (self.ctx.get(after) is None or not self.ctx[after].is_finished_ok):
            self.ctx.log = [*self.ctx.log, [task, 'left out', []]]
            return None
        self.ctx.log = [*self.ctx.log, [task, 'started', list(self.ctx.active)]]
        if task == 'd':
            self.ctx.told = self.node.base.extras.get(TASKS)
        return self.submit(PatientWorkChain, others=Int(others))

    def finish(self):
        assert all(self.has_ended(task) for task in self.inputs.tasks.get_dict())
        self.out('log', Dict({'log': self.ctx.log, 'told': self.ctx.get('told')}).store())


@pytest.fixture
def run(aiida_profile, monkeypatch):
    # work chains of tests have no entry point, and returning a node that no calculation made is for tests only
    def run_pool(tasks, limit=None):
        inputs = {} if limit is None else {'max_concurrent': Int(limit)}
        _, node = run_get_node(ExampleWorkChain, tasks=Dict(tasks), **inputs)
        assert node.is_finished_ok, (node.exit_message, node.exception)
        return {task: (what, beside) for task, what, beside in node.outputs.log['log']}, node

    return run_pool


@pytest.mark.slow
def test_what_is_ready_does_not_wait_for_the_slow_ones(run):
    log, node = run({'slow': [3, None], 'quick': [0, None], 'next': [0, 'quick'], 'last': [0, 'next']})
    assert log['next'] == ('started', ['slow'])
    assert log['last'] == ('started', ['slow'])
    assert len(node.called) == 4
    assert all(child.is_finished_ok for child in node.called)


@pytest.mark.slow
def test_limit(run):
    log, node = run({'a': [3, None], 'b': [0, None], 'c': [0, None], 'd': [0, None]}, limit=2)
    assert [log[task][1] for task in 'abcd'] == [[], ['a'], ['a'], ['a']]
    # what those who watch are told: when the last one starts, and at the end
    assert node.outputs.log['told'] == {'total': 4, 'ended': 1, 'running': 2}
    assert node.base.extras.get(TASKS) == {'total': 4, 'ended': 4, 'running': 0}


@pytest.mark.slow
def test_failures_do_not_stop_the_others(run):
    tasks = {'bad': [-1, None], 'after': [0, 'bad'], 'beyond': [0, 'after'], 'good': [0, None]}
    log, node = run(tasks, limit=1)
    assert {task: what for task, (what, _) in log.items()} == {
        'bad': 'started',
        'after': 'left out',
        'beyond': 'left out',
        'good': 'started',
    }
    assert len(node.called) == 2


def test_limit_is_checked(aiida_profile):
    port = ExampleWorkChain.spec().inputs['max_concurrent']
    assert 'at least one process' in port.validate(Int(0)).message
    assert port.validate(Int(1)) is None
