"""What computing took, as far as anybody measured it."""

import pandas as pd
import pytest
from aiida.orm import Group

from aiida_embarrier.queries.costs import BY, COST_COLUMNS, JOB_COLUMNS, add_up_costs, job_costs

SACCT = 'AllocCPUS|CPUTimeRAW|ElapsedRaw|State|\n8|28800|3600|COMPLETED|\n8|28700|3590|COMPLETED|\n'


def test_nothing_has_run(aiida_profile_clean):
    jobs = job_costs()
    assert jobs.empty
    assert list(jobs.columns) == list(JOB_COLUMNS)
    assert list(add_up_costs(jobs).columns) == ['step', *COST_COLUMNS]


def test_the_program_tells_unless_the_scheduler_does(barrier):
    made = barrier(({'wall_s': 1800.0, 'n_evaluations': 10}, {'wall_s': 900.0, 'processes': 4, 'n_evaluations': 5}))
    accounted = barrier(({'wall_s': 10.0},))
    accounted.jobs[0].set_detailed_job_info({'retval': 0, 'stderr': '', 'stdout': SACCT})
    jobs = job_costs()
    assert jobs['core_h'].tolist() == pytest.approx([0.5, 1.0, 8.0])
    assert jobs['wall_s'].tolist() == [1800.0, 900.0, 3600.0]
    assert jobs['cores'].tolist() == [1, 4, 8]
    assert jobs['measured_by'].tolist() == ['results', 'results', 'scheduler']
    assert jobs['path'].tolist() == ['neb'] * 3
    assert jobs['root'].tolist() == [made.root.pk] * 2 + [accounted.root.pk]
    assert jobs['exit_status'].tolist() == [501, 0, 0]


@pytest.mark.parametrize(
    'stdout',
    ['', SACCT.splitlines()[0], SACCT.replace('3600', '0'), SACCT.replace('28800', ''), 'JobID|State\n1|DONE\n'],
)
def test_an_accounting_that_tells_nothing_is_passed_over(barrier, stdout):
    barrier(({'wall_s': 36.0},)).jobs[0].set_detailed_job_info({'retval': 0, 'stderr': '', 'stdout': stdout})
    assert job_costs()['core_h'].tolist() == pytest.approx([0.01])


def test_what_nobody_measured_is_missing_and_not_nothing(barrier):
    made = barrier((None, {'wall_s': 7200.0, 'n_evaluations': 7}))
    costs = add_up_costs(job_costs())
    assert costs[['step', 'n_jobs', 'n_measured', 'n_missing', 'core_h']].values.tolist() == [['neb', 2, 1, 1, 2.0]]
    unknown = barrier((None,))
    costs = add_up_costs(job_costs([unknown.root]))
    assert pd.isna(costs['core_h'][0])
    assert pd.isna(costs['wall_h'][0])
    assert pd.isna(costs['n_evaluations'][0])
    assert add_up_costs(job_costs([made.root, unknown.root]))['n_missing'].tolist() == [2]


def test_jobs_that_nobody_called_add_up_by_their_process_whatever_their_labels(aiida_profile_clean, make_calcjob_node):
    for label in ('run-1/OUTCAR', 'run-2/OUTCAR', ''):
        node = make_calcjob_node('embarrier.potential.neb', {}, exit_status=0)
        node.label = label
        node.set_process_label('VaspNebImport')
    assert add_up_costs(job_costs())[['step', 'n_jobs']].values.tolist() == [['VaspNebImport', 3]]


def test_jobs_from_the_database_cost_nothing(barrier):
    made = barrier()
    made.jobs[0].base.extras.set('_aiida_cached_from', 'somewhere')
    costs = add_up_costs(job_costs())
    assert costs[['n_jobs', 'n_cached', 'n_measured', 'n_missing']].values.tolist() == [[1, 1, 0, 0]]
    assert pd.isna(costs['core_h'][0])


def test_of_processes_data_and_groups(barrier):
    first, second = barrier(), barrier()
    group = Group('published').store()
    group.add_nodes([second.band])
    for question, pks in (
        ([first.root], [first.jobs[0].pk]),
        ([first.chain], [first.jobs[0].pk]),
        ([first.jobs[0]], [first.jobs[0].pk]),
        ([first.band], [first.jobs[0].pk]),
        ([group], [second.jobs[0].pk]),
        ([first.band, group], [first.jobs[0].pk, second.jobs[0].pk]),
        ([first.hop], []),
        ([], []),
    ):
        assert job_costs(question)['pk'].tolist() == pks, question


def test_all_columns_that_are_named_can_be_added_up_by(barrier):
    barrier()
    jobs = job_costs()
    for by in BY:
        assert add_up_costs(jobs, by)['core_h'].tolist() == pytest.approx([0.5]), by
    with pytest.raises(ValueError, match="costs cannot be added up by 'colour': choose from step, path"):
        add_up_costs(jobs, 'colour')
