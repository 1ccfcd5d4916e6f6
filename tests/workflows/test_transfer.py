"""Studies of transfer learning, trained for real by a network of a few hundred numbers."""

import gzip
import io
import json
import re

import pytest
from aiida.engine import run_get_node
from aiida.orm import Bool, Dict, SinglefileData, WorkChainNode, load_node
from study_files import salts, write_study

from aiida_embarrier.data.dataset import DatasetData
from aiida_embarrier.workflows.transfer import TransferStudyWorkChain, of_one_process, validate_budget, validate_plan
from aiida_embarrier.workflows.transfer_plan import Plan, expand
from aiida_embarrier.workflows.transfer_rows import check_rows
from aiida_embarrier.workflows.transfer_spec import read_study


@pytest.fixture
def datasets(aiida_profile):
    return {
        'gap': DatasetData(
            salts(('Cl', 'Br', 'I', 'S', 'F'), 'gap'), schema='property', target='band gap', target_unit='eV'
        ),
        'modulus': DatasetData(
            salts(('F', 'O', 'Se', 'Te'), 'modulus'), schema='property', target='bulk modulus', target_unit='GPa'
        ),
    }


@pytest.fixture
def build(worker_code, datasets, tmp_path):
    def make(only=None, **changes):
        spec = read_study(write_study(tmp_path / 'study', **changes))
        plan = expand(spec)
        if only is not None:
            plan = plan.only(only)
        return TransferStudyWorkChain.get_builder_from_study(worker_code, spec, plan, datasets)

    return make


def trainings_of(node):
    return {
        link.link_label: link.node
        for link in node.base.links.get_outgoing().all()
        if isinstance(link.node, WorkChainNode)
    }


@pytest.mark.slow
def test_a_study_from_its_file_to_its_tables(build):
    builder = build(
        finetuning=[
            {'targets': ['modulus'], 'rows': [20], 'trials': 1},
            # a tenth of four rows is none that validates
            {'targets': ['modulus'], 'rows': [4], 'sources': ['scratch']},
        ]
    )
    outputs, node = run_get_node(builder)
    assert node.exit_status == 511, node.exit_message
    assert 'modulus_4_t1_scratch: 0.1 of 4 rows is less than one row to validate' in node.exit_message
    cells = outputs['cells'].table.set_index('cell')
    done = cells[cells['status'] == 'done']
    assert set(done.index) == {'modulus_20_t1_scratch', 'modulus_20_t1_gap_all_lr0_01'}
    called = trainings_of(node)
    assert set(called) == {'pretrain_gap_all', *done.index}
    for label, row in done.iterrows():
        training = load_node(row['training'])
        assert training.uuid == called[label].uuid
        model = training.outputs.model
        assert row['model'] == model.uuid
        assert (row['n_parameters'], row['epochs'], row['seed']) == (
            model.base.attributes.get('n_parameters'),
            3,
            123,
        )
        assert row['r2'] == pytest.approx(model.base.attributes.get('r2_test'))
        assert row['mae'] == pytest.approx(model.base.attributes.get('mae_test'))
        assert row[['n_train', 'n_validation', 'n_test', 'unit']].to_list() == [18, 2, 8, 'GPa']
        assert 'instead of 4+4 layers of 256' in row['reduced']
    # --- the pre-training ran once, on crystals that test nothing, and the others started from its model
    pretraining = called['pretrain_gap_all']
    assert called['modulus_20_t1_gap_all_lr0_01'].inputs.parent.uuid == pretraining.outputs.model.uuid
    assert node.outputs.pretrained.pretrain_gap_all.uuid == pretraining.outputs.model.uuid
    gaps, split = pretraining.inputs.datasets.gap.table, pretraining.inputs.splits.gap.table
    used = split[split['part'].isin(['train', 'validation'])]['name']
    tested = salts(('F', 'O', 'Se', 'Te'), 'modulus').query('published_split == "test"')
    in_both = gaps.set_index('name').loc[used, 'species'].isin(tested['species'])
    fluorides = [name for name in used if 'F-' in name]
    assert len(fluorides) > 0
    assert not {name.removeprefix('gap') for name in used} & {name.removeprefix('modulus') for name in tested['name']}
    assert in_both.sum() < len(used)
    # --- both trainings on the same rows
    rows = {called[label].inputs.splits.modulus.base.attributes.get('content_hash') for label in done.index}
    assert len(rows) == 1
    summary = outputs['summary'].table.set_index(['source', 'size'])
    assert summary.loc[('gap', 20), 'n_pairs'] == 1
    relations = outputs['relations'].table
    assert ['gap', 'modulus'] in relations[['source', 'target']].to_numpy().tolist()

    # --- again: what was done is taken from the database
    again, second = run_get_node(build(finetuning=[{'targets': ['modulus'], 'rows': [20], 'trials': 1}]))
    assert second.is_finished_ok, second.exit_message
    assert trainings_of(second) == {}
    found = again['cells'].table.set_index('cell')
    assert found['training'].to_dict() == cells.loc[found.index, 'training'].to_dict()


def test_a_pretraining_without_rows_leaves_out_what_starts_from_it(build):
    finetuning = {'targets': ['modulus'], 'rows': [20], 'trials': 2, 'sources': ['gap']}
    outputs, node = run_get_node(build(pretraining={'sources': ['gap'], 'rows': [500]}, finetuning=finetuning))
    assert node.exit_status == 310
    reason = 'its pre-training was left out: a sample of 500 rows cannot be drawn from a pool of'
    assert f'modulus_20_t1_gap_500_all_lr0_01, modulus_20_t2_gap_500_all_lr0_01: {reason}' in node.exit_message
    cells = outputs['cells'].table
    assert (cells['status'] == 'not run').all()
    assert cells['message'].str.startswith(reason).all()
    assert 'pretrained' not in node.outputs


def test_a_training_that_is_refused_does_not_end_the_study(build):
    builder = build(finetuning={'targets': ['modulus'], 'rows': [20], 'sources': ['scratch']})
    resources = {'num_machines': 1, 'num_mpiprocs_per_machine': 2}
    builder.training.options = Dict({'withmpi': True, 'resources': resources})
    builder.reuse = Bool(False)  # another test of this module may have done this training
    outputs, node = run_get_node(builder)
    assert node.exit_status == 310
    assert 'under MPI there is one process per device on each node' in node.exit_message
    assert outputs['cells'].table['status'].to_list() == ['not run']


def test_what_tests_any_target_of_the_study_is_in_no_pretraining_of_a_part_of_it(build):
    part = build(
        only=['modulus_20_t1_gap_500_all_lr0_01'],
        pretraining={'sources': ['gap'], 'rows': [500]},
        finetuning=[
            {'targets': ['modulus'], 'rows': [20]},
            {'targets': ['gap'], 'rows': [20], 'sources': ['scratch']},
        ],
    )
    _, node = run_get_node(part)
    split = next(link.node for link in node.base.links.get_outgoing().all() if 'pretrain' in link.link_label)
    assert {'modulus', 'gap'} <= set(split.inputs)


def test_a_sample_that_is_larger_than_its_pool_is_refused_before_anything_starts(build):
    builder = build()
    plan = builder.plan.get_dict()
    plan['cells'][0]['rows'] = 60
    builder.plan = Dict(plan)
    with pytest.raises(ValueError, match='60 rows of modulus are asked for, and 56 do not test'):
        run_get_node(builder)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'rows': 16}, r'trial 1 of 16 rows was not published; there are \(trial of rows\): 1 of 20'),
        ({'rows': 'all'}, 'trial 1 of all rows was not published'),
        ({'trial': 2}, 'trial 2 of 20 rows was not published'),
        ({}, 'which `test.published: false` gives up'),
    ],
)
def test_samples_that_were_not_published_are_refused_before_anything_starts(build, change, message):
    rows = {'modulus': {'test': [3], 'trial1_20': list(range(20))}}
    builder = build(finetuning={'targets': ['modulus'], 'rows': [20], 'sources': ['scratch']})
    builder.published = SinglefileData(io.BytesIO(gzip.compress(json.dumps(rows).encode())), filename='splits.json.gz')
    plan = builder.plan.get_dict()
    plan['cells'][0].update({'sampling': 'published', **change})
    plan['test']['published'] = bool(change)
    names = [f'modulus-{number}' for number in range(64)]
    frame = builder.datasets['modulus'].table.assign(name=names)
    about = {'schema': 'property', 'target': 'bulk modulus', 'target_unit': 'GPa'}
    datasets = {'modulus': DatasetData(frame, **about)}
    assert re.search(message, check_rows(Plan(**plan), datasets, builder.published))


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda plan: plan['cells'][1].update(pretraining='pretrain_nothing'), 'which is not pre-trained'),
        (lambda plan: plan['cells'][1].update(label=plan['cells'][0]['label']), 'is there more than once'),
        (lambda plan: plan.update(cell=[]), "unknown key 'cell': did you mean 'cells'"),
        (lambda plan: plan.update(cells=[]), 'at least 1 item'),
    ],
)
def test_plans_that_make_no_sense(build, change, message):
    plan = build().plan.get_dict()
    change(plan)
    assert message in validate_plan(Dict(plan), None)


def test_a_budget_that_makes_no_sense(aiida_profile):
    assert "unknown parameter 'max_training'" in validate_budget(Dict({'max_training': 3}), None)
    assert 'max_trainings: Input should be' in validate_budget(Dict({'max_trainings': 'three'}), None)
    assert validate_budget(Dict({'max_core_hours': 3.5, 'estimate': {'core_hours': 2}}), None) is None


def test_a_plan_beyond_its_budget(build):
    builder = build()
    builder.budget = Dict({'max_trainings': 3})
    with pytest.raises(ValueError, match='the plan has 5 trainings, and the budget allows 3'):
        run_get_node(builder)


def test_relations_ask_for_one_process():
    options = {'resources': {'num_machines': 4, 'num_mpiprocs_per_machine': 8}, 'withmpi': True, 'queue_name': 'gpu'}
    assert of_one_process(options) == {
        'resources': {'num_machines': 1, 'num_mpiprocs_per_machine': 1},
        'withmpi': False,
        'queue_name': 'gpu',
    }
    assert of_one_process({}) == {'withmpi': False}
