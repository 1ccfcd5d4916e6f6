"""``aiida-embarrier launch study``: the plan, what it would take, and mistakes in the file."""

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml
from aiida.common.links import LinkType
from aiida.orm import WorkChainNode
from learned_models import rocksalts

from aiida_embarrier.cli.views.transfer import FIGURES
from aiida_embarrier.data.table import TableData
from aiida_embarrier.datasets.transfer import cells_table, summary_table

SETTINGS = {'base': 'tiny', 'hidden': 8, 'embedding': 6, 'edge_bins': 10, 'angle_bins': 5}


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rocksalts(40).to_parquet('gaps.parquet')
    rocksalts(24).to_parquet('moduli.parquet')

    def make(**changes):
        about = {'property': 'band gap', 'unit': 'eV'}
        study = {
            'title': 'salts',
            'datasets': {
                'gap': {'dataset': 'gaps.parquet', **about},
                'modulus': {'dataset': 'moduli.parquet', 'property': 'bulk modulus', 'unit': 'GPa'},
            },
            'pretraining': {'sources': ['gap']},
            'finetuning': {
                'targets': ['modulus'],
                'rows': [8, 'all'],
                'trials': 2,
                'strategies': ['all', 'last_layer'],
            },
            'architecture': SETTINGS,
            'training': {'common': {'epochs': 4}},
            **changes,
        }
        (tmp_path / 'study.yaml').write_text(yaml.safe_dump(study))
        return 'study.yaml'

    return make


def test_a_plan_and_what_it_would_take(run, write):
    shown = run('launch', 'study', write(budget={'max_concurrent': 3}), '--dry-run')
    assert 'pretrain_gap_all  gap' in shown
    assert 'trainings that are tested  12' in shown
    assert '3 training(s) side by side' in shown
    found = json.loads(run('launch', 'study', 'study.yaml', '--dry-run', '--format', 'json', '--max-concurrent', 1))
    assert [entry['label'] for entry in found['plan']['pretrainings']] == ['pretrain_gap_all']
    assert len(found['plan']['cells']) == 2 * 2 * (1 + 2)
    assert found['estimate']['n_cells'] == 12
    assert found['estimate']['wall_hours'] == pytest.approx(found['estimate']['core_hours'])


def test_the_estimate_follows_rows_epochs_and_atoms(run, write):
    budget = {'seconds_per_atom': 2.0}
    found = json.loads(run('launch', 'study', write(budget=budget), '--dry-run', '--format', 'json'))['estimate']
    share = 0.9 + 0.35 * 0.1  # of the rows those that validate take a third
    rows = 40 + 2 * 3 * (8 + 24)
    assert found['core_hours'] == pytest.approx((13 * 15 + 4 * 2 * 2.0 * share * rows) / 3600)
    assert found['longest_training_s'] == pytest.approx(15 + 4 * 2 * 2.0 * share * 40)


def test_a_study_beyond_its_budget(run, write):
    budget = {'seconds_per_atom': 100.0, 'max_core_hours': 0.1}
    assert 'core-hours, and its budget is 0.1: raise' in run(
        'launch', 'study', write(budget=budget), '--dry-run', code=1
    )
    shown = run('launch', 'study', write(budget={**budget, 'on_excess': 'warn'}), '--dry-run')
    assert 'warning: the study is expected to take' in shown


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'architecture': 'enormous'}, "there is no architecture 'enormous'"),
        (
            {'finetuning': {'targets': ['modulus'], 'rows': [800]}},
            'modulus_800_t1_scratch: 800 rows of modulus are asked for, and there are 24',
        ),
        (
            {'pretraining': {'sources': ['gap'], 'rows': [30, 50]}},
            'pretrain_gap_50: 50 rows of gap are asked for, and there are 40',
        ),
        ({'datasets': {'gap': 'nothing.parquet', 'modulus': 'moduli.parquet'}}, 'there is no file'),
    ],
)
def test_mistakes_are_told_before_anything_starts(run, write, changes, message):
    assert message in run('launch', 'study', write(**changes), '--dry-run', code=1)


# ---------------------------------------------------------------- results


@pytest.fixture
def result(aiida_profile):
    """Return a finished study of made-up trainings: three sources, two sizes, two trials, two strategies."""
    rows = []
    for size, noise in ((100, 0.3), (800, 0.1)):
        for trial in (1, 2):
            for source, gain, strategies in (
                ('scratch', 0.0, [None]),
                ('fe', 0.05, ['all', 'last_layer']),
                ('multi_all', 0.08, ['all']),
            ):
                for strategy in strategies:
                    row = {
                        'cell': f'ph_{size}_t{trial}_{source}_{strategy}',
                        'target': 'ph',
                        'source': source,
                        'size': size,
                        'trial': trial,
                        'strategy': strategy,
                        'lr': 1e-3,
                        'sampling': 'published',
                        'status': 'done',
                        'unit': '1/cm',
                        'wall_s': 60.0,
                        'r2': 0.9 - noise + gain + 0.01 * trial - (0.2 if strategy == 'last_layer' else 0.0),
                        'mae': 100 * (noise + 0.1 - gain) - trial,
                        'pretraining_size': None if source == 'scratch' else 8741,
                        'n_parameters': 12345,
                        'epochs': 15,
                        'reduced': '15 epochs instead of 500',
                    }
                    rows.append(row)
    rows[0] = {**rows[0], 'status': 'failed', 'r2': None, 'mae': None, 'message': 'the machine burnt down'}
    cells = cells_table(rows)
    relations = pd.DataFrame({'source': ['fe'], 'target': ['ph'], 'spearman': [0.4], 'wasserstein': [0.2]})
    node = WorkChainNode(process_type='aiida.workflows:embarrier.transfer').store()
    for label, frame in (('cells', cells), ('summary', summary_table(cells)), ('relations', relations)):
        table = TableData(frame, title=label).store()
        table.base.links.add_incoming(node, link_type=LinkType.RETURN, link_label=label)
    return node


def test_a_study_is_shown(run, result):
    shown = run('show', result.pk)
    lines = [line.split() for line in shown.splitlines()]
    assert '15 of 16 have a result; their jobs took 0.25 h together' in shown
    # scratch of one trial has no spread; a gain is that of the trial that both have
    scratch = next(line for line in lines if line[:3] == ['ph', 'scratch', '100'])
    assert scratch[3:] == ['-', '1', '0.620', '-', '38', '-', '12345']
    tuned = next(line for line in lines if line[:4] == ['ph', 'fe', '100', 'all'])
    assert tuned[4:] == ['2', '0.665', '±', '0.007', '+0.050', '33.5', '±', '0.707', '+13%', '12345']
    assert 'reduced (15 trainings, such as ph_100_t1_fe_all): 15 epochs instead of 500' in shown
    assert 'ph_100_t1_scratch_None: the machine burnt down' in shown
    found = json.loads(run('show', result.pk, '--format', 'json'))
    assert len(found['cells']) == 16
    assert found['cells'][0]['r2'] is None
    assert found['relations'][0]['spearman'] == 0.4


@pytest.mark.parametrize('figure', [None, *(name for name in FIGURES if name not in ('rates_mae', 'sampling_mae'))])
def test_pictures_of_a_study(run, result, figure):
    run('plot', result.pk, '-o', 'picture.png', *(() if figure is None else ('--figure', figure)))
    assert Path('picture.png').stat().st_size > 10_000


def test_a_study_without_a_result(run):
    node = WorkChainNode(process_type='aiida.workflows:embarrier.transfer').store()
    assert 'has no table of trainings' in run('show', node.pk, code=1)
