"""Runs that failed, and why."""

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from aiida.orm import WorkChainNode

from aiida_embarrier.queries.failures import BY, FAILURE_COLUMNS, count_failures, find_failures

from .conftest import call, finish


def test_nothing_failed(barrier):
    barrier()
    found = find_failures()
    assert found.empty
    assert list(found.columns) == list(FAILURE_COLUMNS)
    assert count_failures(found, 'process').empty


def test_a_failure_that_a_later_job_made_good(barrier):
    made = barrier(({'wall_s': 1.0}, {'wall_s': 2.0}))
    made.jobs[0].logger.report('gave up after 5 steps')
    made.jobs[0].logger.report('left its band')
    found = find_failures()
    assert found['pk'].tolist() == [made.jobs[0].pk]
    row = found.iloc[0]
    assert (row['exit_status'], row['state'], row['computer']) == (501, 'finished', 'localhost')
    assert row['message'] == 'Not converged within the step limit: 5 steps'
    assert row['last_log'].endswith('left its band')
    assert (row['root'], row['root_process'], row['root_exit_status']) == (made.root.pk, 'barrier', 0)
    assert count_failures(found, 'process')[['process', 'n_failures', 'n_recovered']].values.tolist() == [
        ['PotentialNebCalculation', 1, 1]
    ]


@pytest.fixture
def failed(aiida_profile_clean):
    """Return a work chain that failed because one that it called did, and one that was killed."""
    root = call('barrier')
    chain = finish(call('neb', root, 'neb'), 501, 'Not converged')
    finish(root, 410, 'The engine failed')
    return root, chain, finish(call('barrier'), state='killed')


def test_why_it_failed(failed):
    root, chain, killed = failed
    found = find_failures()
    assert found['pk'].tolist() == [killed.pk, chain.pk, root.pk]
    assert found['n_failed_below'].tolist() == [0, 0, 1]
    assert found['root'].tolist() == [killed.pk, root.pk, root.pk]
    assert found['state'].tolist() == ['killed', 'finished', 'finished']
    assert pd.isna(found['exit_status'][0])
    assert find_failures(own=True)['pk'].tolist() == [killed.pk, chain.pk]
    assert find_failures(own=True, limit=1)['pk'].tolist() == [killed.pk]
    assert find_failures(limit=2)['pk'].tolist() == [killed.pk, chain.pk]
    assert find_failures(pks=[root.pk])['pk'].tolist() == [chain.pk, root.pk]
    assert find_failures(pks=[chain.pk])['pk'].tolist() == [chain.pk]


def test_a_log_that_repeats_the_message_is_left_out(failed):
    _, chain, killed = failed
    chain.logger.report('[1|neb|stop]: Not converged')
    killed.logger.report('Not converged')
    found = find_failures().set_index('pk')['last_log']
    assert pd.isna(found[chain.pk])
    assert found[killed.pk].endswith('Not converged')  # it has no message of its own


def test_exception_is_the_message(aiida_profile_clean):
    node = finish(WorkChainNode().store(), state='excepted')
    node.set_exception('ValueError: no such thing')
    assert find_failures()['message'].tolist() == ['ValueError: no such thing']


@pytest.mark.parametrize('name', ['neb', 'embarrier.neb', 'aiida.workflows:embarrier.neb'])
def test_of_one_kind_of_process(failed, name):
    assert find_failures(process=name)['pk'].tolist() == [failed[1].pk]
    assert find_failures(process='eb').empty


def test_since(failed):
    now = datetime.now(UTC)
    assert len(find_failures(since=now - timedelta(days=1))) == 3
    assert find_failures(since=now + timedelta(minutes=1)).empty


def test_counts(failed):
    found = find_failures()
    counted = count_failures(found, 'process')
    assert counted[['process', 'n_failures', 'n_recovered']].values.tolist() == [['barrier', 2, 0], ['neb', 1, 0]]
    assert counted['newest_pk'].tolist() == [failed[2].pk, failed[1].pk]
    for by in BY:
        assert count_failures(found, by)['n_failures'].sum() == 3, by
    with pytest.raises(ValueError, match="failures cannot be counted by 'colour': choose from process"):
        count_failures(found, 'colour')
