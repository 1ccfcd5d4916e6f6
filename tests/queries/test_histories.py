"""The histories of bands over all jobs of a process."""

import json

import pytest
from aiida.common.links import LinkType
from aiida.orm import Dict, WorkChainNode
from systems import straight_band

from aiida_embarrier.data.band import BandData
from aiida_embarrier.queries.histories import task_histories


def progress(first, last, task='band', end=''):
    lines = [{'event': 'start', 'time': 0.0}]
    lines += [
        {'event': 'step', 'time': 1.0 + number, 'task': task, 'step': number, 'status': 'running'}
        for number in range(first, last)
    ]
    return '\n'.join(map(json.dumps, lines)) + end


@pytest.fixture
def barrier(aiida_profile):
    root = WorkChainNode().store()
    chains = []
    for label in ('relax_host', 'neb'):
        chain = WorkChainNode()
        chain.base.links.add_incoming(root, link_type=LinkType.CALL_WORK, link_label=label)
        chains.append(chain.store())
    return root, *chains


@pytest.fixture
def job(make_calcjob_node):
    def make(chain, text):
        return make_calcjob_node(
            'embarrier.potential.neb',
            {'bands__band': BandData(straight_band())},
            {} if text is None else {'progress.jsonl': text},
            caller=chain,
        )

    return make


def test_jobs_are_joined_and_steps_made_again_count_once(barrier, job):
    root, relax, neb = barrier
    job(relax, progress(0, 3, 'host'))
    first = job(neb, progress(0, 8, end='\n{"event": "st'))  # killed while it wrote
    second = job(neb, progress(6, 11))
    found = task_histories(root)
    assert set(found) == {'relax_host host', 'neb band'}
    steps = found['neb band'].steps
    assert [line['step'] for line in steps] == list(range(11))
    assert [line['job'] for line in steps] == [first.pk] * 6 + [second.pk] * 5
    assert set(task_histories(neb)) == {'band'}
    assert [line['step'] for line in task_histories(first)['band'].steps] == list(range(8))


def test_job_without_a_file(barrier, job):
    root, _, neb = barrier
    job(neb, None)
    assert task_histories(root) == {}


def test_running_job_is_read_by_what_is_given(barrier, aiida_localhost):
    from aiida.orm import CalcJobNode

    root, _, neb = barrier
    running = CalcJobNode(computer=aiida_localhost)
    running.set_option('resources', {'num_machines': 1, 'num_mpiprocs_per_machine': 1})
    running.base.links.add_incoming(neb, link_type=LinkType.CALL_CALC, link_label='iteration_01')
    running.store()
    assert task_histories(root) == {}
    lines = [json.loads(line) for line in progress(0, 2).splitlines()]
    found = task_histories(root, lambda node: lines if node.pk == running.pk else [])
    assert [line['job'] for line in found['band'].steps] == [running.pk] * 2


def test_tasks_of_a_study_are_named_by_what_differs(aiida_profile, job):
    variables = [
        {'key': 'n_images', 'values': [5, 7], 'runs': ['base', 'n_images_7']},
        {'key': 'engine.neb.force_threshold', 'values': [0.1, 0.05], 'runs': ['base', 'force']},
        {'key': 'engine.relax.force_threshold', 'values': [0.1, 0.01], 'runs': ['base', 'relax']},
    ]
    study = WorkChainNode()
    study.base.links.add_incoming(Dict({'variables': variables}).store(), LinkType.INPUT_WORK, 'study')
    study.store()
    for label in ('base', 'n_images_7', 'relax'):
        run, chain = WorkChainNode(), WorkChainNode()
        run.base.links.add_incoming(study, LinkType.CALL_WORK, f'run_{label}')
        chain.base.links.add_incoming(run.store(), LinkType.CALL_WORK, 'neb')
        job(chain.store(), progress(0, 3))
    assert set(task_histories(study)) == {
        'n_images = 5, engine.neb.force_threshold = 0.1, engine.relax.force_threshold = 0.1',
        'n_images = 7',
        'engine.relax.force_threshold = 0.01',
    }
