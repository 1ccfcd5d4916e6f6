"""A study of transfer learning in the hands of the daemon, with nobody there: ten trainings, one of which fails."""

import json

import pytest
from shell import make_shell
from study_files import write_study

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture
def shell(tmp_path):
    made = make_shell(tmp_path)
    made.start_daemon()
    yield made
    made.kill_daemon()


def test_ten_trainings_one_of_which_fails(shell):
    study = write_study(
        shell.folder / 'study',
        finetuning=[
            {'targets': ['modulus'], 'rows': [12, 24], 'trials': 2},
            {'targets': ['modulus'], 'rows': [24], 'sources': ['gap'], 'strategies': ['last_layer']},
            {'targets': ['modulus'], 'rows': [24], 'sources': ['gap'], 'lr': [1.0e30]},  # no training survives that
        ],
        budget={'max_concurrent': 3},
        code='embarrier-worker@here',
    )
    started = json.loads(shell('aiida-embarrier', 'launch', 'study', study, '--submit', '--format', 'json').stdout)
    state, status, message = shell.wait_for_end(started['pk'], 1500)
    assert (state, status) == ('finished', 511), message
    found = json.loads(shell('aiida-embarrier', 'show', started['pk'], '--format', 'json').stdout)
    cells = {row['cell']: row for row in found['cells']}
    assert len(cells) == 10
    failed = [label for label, row in cells.items() if row['status'] != 'done']
    assert failed == ['modulus_24_t1_gap_all_lr1e_30']
    assert 'diverged' in cells[failed[0]]['message']
    assert all(row['n_parameters'] and row['epochs'] == 3 for row in cells.values() if row['status'] == 'done')

    # what failed can be trained alone
    only = ('--only-failed-of', started['pk'], '--dry-run', '--format', 'json')
    plan = json.loads(shell('aiida-embarrier', 'launch', 'study', study, *only).stdout)['plan']
    assert [cell['label'] for cell in plan['cells']] == failed
    assert [entry['label'] for entry in plan['pretrainings']] == ['pretrain_gap_all']
