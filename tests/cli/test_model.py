"""``model``: what a model says of itself, and its way out to others and back in."""

import json

import pytest
from aiida.orm import QueryBuilder
from learned_models import write_model_folder

from aiida_embarrier.data.model import ModelData
from aiida_embarrier.jobs.learning import Scaler


@pytest.fixture
def folder(tmp_path):
    write_model_folder(tmp_path / 'model', title='gaps')
    return tmp_path / 'model'


def test_show_a_folder_without_a_profile(run, folder, no_profile):
    shown = run('model', 'show', 'model')
    lines = [line.split() for line in shown.splitlines()]
    assert ['title', 'gaps'] in lines
    assert ['epochs', '5', 'of', '7,', 'the', 'best', 'was', '4'] in lines
    assert ['gap', 'test', '3', '0.25', '0.5', '0.7500', '0.1'] in lines
    assert 'alignn, 1 + 1 layers, 8 features, batch normalisation' in shown
    assert '12 nearest within 8 Å, whole shells' in shown
    assert 'leaks' not in shown
    found = json.loads(run('model', 'show', folder / 'model.json', '--format', 'json'))
    assert found['epochs'] == 5
    assert 'pk' not in found


def test_scaling_that_leaks_is_said(run, tmp_path):
    scaler = Scaler(label='gap', property='band gap', method='whole_set', leaks=True)
    write_model_folder(tmp_path / 'leaking', ('gap',))
    card = json.loads((tmp_path / 'leaking' / 'model.json').read_text())
    (tmp_path / 'leaking' / 'model.json').write_text(json.dumps({**card, 'scalers': [scaler.model_dump()]}))
    shown = run('model', 'show', 'leaking')
    assert 'whole_set (leaks)' in shown
    assert 'warning: the targets were scaled by all rows' in shown


def test_there_and_back(run, folder):
    imported = json.loads(run('model', 'import', folder, '--label', 'gaps of others', '--format', 'json'))
    again = json.loads(run('model', 'import', folder, '--format', 'json'))
    assert again['pk'] == imported['pk'], 'a model is stored once'
    assert run('model', 'show', 'gaps of others').splitlines()[0].split() == ['pk', str(imported['pk'])]
    assert run('show', imported['pk']) == run('model', 'show', imported['pk'])
    assert 'no learning curve to draw' in run('plot', imported['pk'], code=1)
    shown = run(
        'model', 'export', imported['pk'], '-o', 'out/gaps', '--licence', 'CC-BY-4.0', '--limits', 'halides only'
    )
    assert 'wrote out/gaps/model.safetensors' in shown
    assert 'names no licence' not in shown
    written = ModelData.from_folder('out/gaps').card
    assert (written.licence, written.limits) == ('CC-BY-4.0', 'halides only')
    assert written.source == f'AiiDA node {imported["uuid"]}'
    assert (folder / 'model.safetensors').read_bytes() == ModelData.from_folder('out/gaps').weights


def test_export_keeps_what_is_there(run, folder):
    shown = run('model', 'export', folder, '-o', 'out')
    assert 'names no licence' in shown
    assert 'is there already' in run('model', 'export', folder, '-o', 'out', code=1)
    run('model', 'export', folder, '-o', 'out', '--overwrite', '--title', 'another')
    assert ModelData.from_folder('out').card.title == 'another'


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda weights: weights[:-4], 'truncated'),
        (lambda weights: weights[:-1] + bytes([weights[-1] ^ 1]), 'sha256'),
        (lambda weights: b'PK' + weights, 'no safetensors file'),
    ],
    ids=['truncated', 'altered', 'another format'],
)
@pytest.mark.parametrize('command', ['show', 'import'])
def test_weights_that_are_not_those_of_the_card(run, folder, change, message, command):
    path = folder / 'model.safetensors'
    path.write_bytes(change(path.read_bytes()))
    before = QueryBuilder().append(ModelData).count()
    assert message in run('model', command, folder, code=1)
    assert QueryBuilder().append(ModelData).count() == before, 'nothing is stored'


def test_no_model(run, tmp_path):
    (tmp_path / 'empty').mkdir()
    assert 'there is no file model.json' in run('model', 'show', 'empty', code=1)
    assert "there is no folder 'not/there'" in run('model', 'show', 'not/there', code=1)
    shown = run('model', 'show', '987654', code=1)
    assert "'987654' is no folder and no model of this package (released, released-potential), so it is" in shown
    assert "there is no node '987654'" in shown
