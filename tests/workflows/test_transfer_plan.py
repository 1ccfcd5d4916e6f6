"""The file of a transfer study and what it expands to."""

import copy

import pytest
import yaml

from aiida_embarrier.jobs.learning import ARCHITECTURES, architecture_of
from aiida_embarrier.workflows.transfer_plan import Plan, expand
from aiida_embarrier.workflows.transfer_spec import read_study

STUDY = {
    'datasets': {'fe': 'fe.parquet', 'bg': 'bg.parquet', 'dc': 'dc.parquet', 'flat': 1234},
    'published': 'splits.json.gz',
    'pretraining': {
        'sources': ['fe', 'bg'],
        'rows': [941, 'all'],
        'multi': {
            'multi': {'sources': ['fe', 'bg', 'dc'], 'architecture': {'base': 'tiny', 'head_layers': 2}},
            'multi_others': {
                'sources': ['fe', 'bg', 'dc'],
                'leave_out_target': True,
                'architecture': {'base': 'tiny', 'head_layers': 2},
            },
        },
    },
    'finetuning': [
        {
            'targets': ['dc', 'fe'],
            'rows': [10, 800],
            'trials': 2,
            'sampling': ['published'],
            'lr': [1e-3, 1e-4],
            'strategies': ['all', {'strategy': 'new_head', 'freeze': 'atoms'}],
        },
        {'targets': ['flat'], 'rows': [100], 'trials': [3], 'sources': ['scratch', 'multi', 'multi_others']},
    ],
    'architecture': 'tiny',
    'training': {
        'common': {'epochs': 3},
        'multi': {'loss': 'l1'},
        'scratch': {'lr': 0.002},
        'by_rows': {10: {'batch_size': 1}},
    },
}


@pytest.fixture
def read(tmp_path):
    for name in ('fe.parquet', 'bg.parquet', 'dc.parquet', 'splits.json.gz'):
        (tmp_path / name).touch()

    def make(**changes):
        file = tmp_path / 'study.yaml'
        file.write_text(yaml.safe_dump({**copy.deepcopy(STUDY), **changes}, sort_keys=False))
        return read_study(file)

    return make


def test_a_study_names_each_training_once(read, tmp_path):
    spec = read()
    assert spec.datasets['fe'].dataset == str(tmp_path / 'fe.parquet')
    assert spec.datasets['flat'].dataset == '1234'  # a PK
    plan = expand(spec)
    # fe and bg at two sizes, all three properties, and without dc and without fe; for `flat` nothing is left out
    assert [entry.label for entry in plan.pretrainings] == [
        'pretrain_fe_941',
        'pretrain_fe_all',
        'pretrain_bg_941',
        'pretrain_bg_all',
        'pretrain_multi',
        'pretrain_multi_others_without_dc',
        'pretrain_multi_others_without_fe',
    ]
    assert plan.pretrainings[5].sources == ['fe', 'bg']
    # for dc 4 pre-trainings of one property and for fe 2, with 2 of several, each by 2 strategies and 2 rates
    per_draw = (1 + 6 * 4) + (1 + 4 * 4)
    assert len(plan.cells) == 2 * 2 * per_draw + 3
    labels = [cell.label for cell in plan.cells]
    assert len(set(labels)) == len(labels)
    assert 'dc_10_t1_fe_941_new_head_freeze_atoms_lr0_0001_published' in labels
    assert labels[-3:] == [
        'flat_100_t3_scratch',
        'flat_100_t3_multi_all_lr0_001',
        'flat_100_t3_multi_others_all_lr0_001',
    ]
    assert {cell.pretraining for cell in plan.cells[-2:]} == {'pretrain_multi'}
    assert not any(cell.source == cell.target for cell in plan.cells)
    assert plan.targets == ['dc', 'fe', 'flat']
    assert plan.datasets == ['fe', 'bg', 'dc', 'flat']
    assert Plan(**plan.model_dump()) == plan


def test_settings_of_a_training(read):
    plan = expand(read())
    cells = {cell.label: cell for cell in plan.cells}
    scratch = cells['dc_10_t2_scratch_published']
    assert scratch.parameters['training'] == {'epochs': 3, 'lr': 0.002, 'batch_size': 1, 'seed': 124}
    assert (scratch.lr, scratch.strategy, scratch.pretraining) == (0.002, None, None)
    assert 'transfer' not in scratch.parameters
    tuned = cells['dc_800_t1_multi_new_head_freeze_atoms_lr0_0001_published']
    assert tuned.parameters['training'] == {'epochs': 3, 'lr': 1e-4}
    assert tuned.parameters['transfer'] == {'strategy': 'new_head', 'freeze': 'atoms'}
    # what starts from a model has its architecture
    assert architecture_of(tuned.parameters['architecture']).head_layers == 2
    assert architecture_of(scratch.parameters['architecture']) == ARCHITECTURES['tiny']
    multi = next(entry for entry in plan.pretrainings if entry.label == 'pretrain_multi')
    assert multi.parameters['training'] == {'epochs': 3, 'loss': 'l1'}


def test_labels_do_not_depend_on_what_else_is_in_the_study(read):
    whole = {cell.label: cell for cell in expand(read()).cells}
    block = {**STUDY['finetuning'][0], 'targets': ['fe'], 'rows': [800], 'lr': [1e-4], 'sources': ['bg']}
    part = expand(read(finetuning=block))
    assert {cell.label for cell in part.cells} <= set(whole)
    assert all(whole[cell.label] == cell for cell in part.cells)


def test_a_part_of_a_plan(read):
    plan = expand(read())
    part = plan.only(['fe_800_t1_bg_all_lr0_0001_published', 'flat_100_t3_scratch'])
    assert [cell.label for cell in part.cells] == ['fe_800_t1_bg_all_lr0_0001_published', 'flat_100_t3_scratch']
    assert [entry.label for entry in part.pretrainings] == ['pretrain_bg_all']
    # it is the one of the whole study: what tests a target that is left out is not in it, either
    assert part.unseen == plan.targets
    assert set(part.datasets) == {'bg', *plan.targets}
    assert plan.only(['flat_100_t3_scratch']).datasets == ['flat']
    with pytest.raises(ValueError, match="no cell 'flat_100_t1_scratch': did you mean 'flat_100_t3_scratch'"):
        plan.only(['flat_100_t1_scratch'])


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'finetunning': []}, "unknown key 'finetunning': did you mean 'finetuning'"),
        ({'architecture': 'huge'}, "there is no architecture 'huge': choose from published"),
        ({'training': {'common': {'epoch': 3}}}, "common: unknown key 'epoch': did you mean 'epochs'"),
        ({'training': {'scratch': {'epochs': 0}}}, 'scratch: epochs: Input should be greater than 0'),
        ({'graphs': {'neighbors': 'radius'}}, "unknown key 'neighbors': did you mean 'neighbours'"),
        ({'hardware': {'gpus': 1}}, "hardware: unknown parameter 'gpus'"),
        ({'pretraining': {'sources': ['fee']}}, "pretraining.sources: there is no dataset 'fee': did you mean 'fe'"),
        ({'pretraining': {'multi': {'all_of_them': {}}}}, "cannot be called 'all_of_them': multi, or multi_"),
        ({'finetuning': {'targets': ['fee'], 'rows': [10]}}, "targets: there is no dataset 'fee': did you mean 'fe'"),
        (
            {'finetuning': {'targets': ['dc'], 'rows': [10], 'sources': ['dc']}},
            "sources: nothing is pre-trained as 'dc'",
        ),
        ({'finetuning': {'targets': ['dc'], 'rows': [1]}}, 'a row for training and one for validation are the least'),
        ({'finetuning': {'targets': ['dc'], 'rows': [10], 'trials': 0}}, 'trials are counted from 1, got 0'),
        (
            {'finetuning': {'targets': ['dc'], 'rows': [10], 'strategies': ['last-layer']}},
            "there is no strategy 'last-layer': did you mean 'last_layer'",
        ),
        (
            {'finetuning': {'targets': ['dc'], 'rows': [10], 'strategies': [{'strategy': 'all', 'frozen': 'atoms'}]}},
            "unknown key 'frozen': did you mean 'freeze'",
        ),
        ({'published': None}, '`published` samples need the file of them'),
        ({'test': {'published': False}}, '`published` samples test the published rows'),
        (
            {'finetuning': {'targets': ['dc'], 'rows': ['all'], 'sampling': ['published']}},
            '`published` samples have numbers of rows, not `all`',
        ),
        ({'datasets': {'scratch': 'fe.parquet'}}, "a dataset cannot be called 'scratch'"),
        ({'datasets': {'fe': 'data/no.parquet'}}, "there is no dataset 'bg'"),
    ],
)
def test_what_makes_no_sense(read, changes, message):
    with pytest.raises(ValueError, match=message):
        expand(read(**changes))


def test_a_file_that_is_missing(read):
    with pytest.raises(ValueError, match=r'there is no file .*data/none.parquet'):
        read(datasets={**STUDY['datasets'], 'flat': 'data/none.parquet'})


def test_a_study_beyond_its_budget(read):
    with pytest.raises(ValueError, match=r'has 178 trainings, and its budget allows 100: raise `budget.max_trainings`'):
        expand(read(budget={'max_trainings': 100}))


def test_a_study_of_nothing(read):
    with pytest.raises(ValueError, match='every source is the target itself'):
        expand(read(finetuning={'targets': ['fe'], 'rows': [10], 'sources': ['fe']}))
