"""The tables of a transfer study, gathered from the nodes of its trainings."""

import pytest
from aiida.orm import Dict
from training_nodes import model

from aiida_embarrier.calculations.transfer import reduced_from_published, tabulate_transfer
from aiida_embarrier.data.model import ModelData
from aiida_embarrier.jobs.learning import Architecture, Scaler, Score, TrainingSettings
from aiida_embarrier.workflows.transfer_plan import Cell, Plan, PlannedPreTraining

pytestmark = pytest.mark.usefixtures('aiida_profile')


def planned(label, source, **entries):
    given = {
        'target': 'dc',
        'pretraining': None if source == 'scratch' else f'pretrain_{source}',
        'rows': 800,
        'trial': 1,
        'strategy': None if source == 'scratch' else 'new_head',
        'head': None,
        'freeze': None if source == 'scratch' else 'atoms',
        'lr': 1e-3,
        'sampling': 'published',
        'validation_fraction': 0.1,
        'parameters': {},
        **entries,
    }
    return Cell(label=label, source=source, **given)


def results(**entries):
    rows = {'train': 720, 'validation': 80, 'test': 106}
    return Dict({'rows': rows, 'epochs': 40, 'wall_s': 12.5, 'device': 'a processor', **entries})


def trained(label='dc', tested=0.7, **entries):
    scores = [Score(label=label, part='train', n=720, mae=0.1, rmse=0.2, r2=0.99)]
    if tested is not None:
        scores.append(Score(label=label, part='test', n=106, mae=2.5, rmse=4.0, r2=tested, mae_scaled=0.02))
    scaler = Scaler(label=label, property='total dielectric constant')
    return model(scalers=[scaler], scores=scores, epochs=40, best_epoch=33, n_trained=1, **entries)


@pytest.fixture
def plan():
    pretraining = {'rows': 'all', 'validation_fraction': 0.1, 'seed': 1, 'parameters': {}}
    return Plan(
        title='a study',
        pretrainings=[
            PlannedPreTraining(label='pretrain_fe', source='fe', sources=['fe'], **pretraining),
            PlannedPreTraining(label='pretrain_bg', source='bg', sources=['bg'], **pretraining),
        ],
        cells=[
            planned('scratch', 'scratch'),
            planned('tuned', 'fe'),
            planned('untested', 'fe', trial=2),
            planned('diverged', 'fe', trial=3),
            planned('left_out', 'bg', rows='all'),
        ],
    )


@pytest.fixture
def tables(plan):
    nodes = {
        'results_pretrain_fe': results(rows={'train': 7867, 'validation': 874}, epochs=9),
        'model_pretrain_fe': trained('fe', None),
        'results_scratch': results(),
        'model_scratch': trained(tested=0.5),
        'results_tuned': results(),
        'model_tuned': trained(),
        'results_untested': results(),
        'model_untested': trained(tested=None),
    }
    parameters = {
        'plan': plan.model_dump(),
        'failures': {'diverged': 'the loss is not finite', 'left_out': 'its pre-training 12 failed'},
        'not_run': ['left_out'],
        'trainings': {'tuned': 'f00d', 'diverged': 'dead'},
    }
    return tabulate_transfer(Dict(parameters), **nodes), nodes


def test_a_row_says_what_the_nodes_of_its_training_say(tables):
    found, nodes = tables
    cells = found['cells'].table.set_index('cell')
    row = cells.loc['tuned']
    assert row['status'] == 'done'
    assert row[['r2', 'mae', 'mae_scaled', 'n_test']].to_list() == [0.7, 2.5, 0.02, 106]
    assert row[['size', 'n_train', 'n_validation', 'epochs', 'best_epoch', 'seed']].to_list() == [
        800,
        720,
        80,
        40,
        33,
        123,
    ]
    assert row[['n_parameters', 'n_trained', 'pretraining_size', 'pretraining_epochs']].to_list() == [1, 1, 8741, 9]
    assert row['strategy'] == 'new_head, freeze atoms'
    assert row['architecture'] == 'ALIGNN 1+1 layers of 8'
    assert (row['training'], row['model'], row['device'], row['wall_s']) == (
        'f00d',
        nodes['model_tuned'].uuid,
        'a processor',
        12.5,
    )
    assert (
        row['reduced'] == '1+1 layers of 8 instead of 4+4 layers of 256; pre-trained on 8741 crystals instead of 119477'
    )
    assert found['cells'].units == {'wall_s': 's'}
    # every number of it comes from a node that the calculation was given
    incoming = found['cells'].creator.base.links.get_incoming().all_nodes()
    assert {nodes['model_tuned'].uuid, nodes['results_tuned'].uuid} <= {node.uuid for node in incoming}


def test_trainings_without_a_result(tables):
    cells = tables[0]['cells'].table.set_index('cell')
    assert cells['status'].to_list() == ['done', 'done', 'failed', 'failed', 'not run']
    assert cells.loc['untested', 'message'] == 'its nodes do not say r2, mae, so it does not count'
    assert cells.loc['diverged', 'message'] == 'the loss is not finite'
    assert cells.loc['left_out', 'message'] == 'its pre-training 12 failed'
    assert cells.loc[['untested', 'diverged', 'left_out'], 'r2'].isna().all()
    summary = tables[0]['summary'].table.set_index('source')
    assert summary.loc['fe', ['n_trials', 'n_failed']].to_list() == [1, 2]
    assert summary.loc['fe', 'r2_gain'] == pytest.approx(0.2)


FULL = Architecture().model_dump()


@pytest.mark.parametrize(
    ('architecture', 'epochs', 'pretraining', 'words'),
    [
        (FULL, 500, None, None),
        (FULL, 40, None, '40 epochs instead of 500'),
        ({**FULL, 'hidden': 64}, 500, None, '4+4 layers of 64 instead of 4+4 layers of 256'),
        (FULL, 500, ({'sources': ['fe'], 'rows': 941}, 941, 500), None),
        (FULL, 500, ({'sources': ['fe'], 'rows': 941}, 900, 500), 'pre-trained on 900 crystals instead of 941'),
        (FULL, 500, ({'sources': ['dc'], 'rows': 'all'}, 950, 10), 'pre-trained for 10 epochs instead of 500'),
        (
            FULL,
            500,
            ({'sources': ['fe', 'bg'], 'rows': 'all'}, 30000, 50),
            'pre-trained on 30000 crystals instead of 132270',
        ),
    ],
)
def test_what_falls_short_of_the_published(architecture, epochs, pretraining, words):
    assert reduced_from_published(architecture, epochs, pretraining) == words


def test_what_else_is_to_be_known_of_a_training_is_told(plan):
    made = trained()
    halved = made.card.model_copy(update={'training': TrainingSettings(lr=5e-4)})
    one = plan.only(['tuned'])
    one.pretrainings[0].sources.append('dc')
    parameters = {'plan': one.model_dump(), 'failures': {}, 'not_run': [], 'trainings': {}}
    nodes = {'results_tuned': results(), 'model_tuned': ModelData(made.weights, halved)}
    row = tabulate_transfer(Dict(parameters), **nodes)['cells'].table.iloc[0]
    assert (row['status'], row['lr']) == ('done', 1e-3)
    assert row['message'] == (
        'it diverged, and was trained again with the learning rate 0.0005; its pre-training has learned dc, too'
    )
