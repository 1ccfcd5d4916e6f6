"""Models as nodes: what is asked for in queries, the files of others, and what makes two models the same."""

import hashlib
import json

import numpy as np
import pytest
from aiida.common.exceptions import ModificationNotAllowed, ValidationError
from aiida.orm import QueryBuilder
from safetensors.numpy import save

from aiida_embarrier.data.model import ModelData
from aiida_embarrier.jobs.learning import (
    Architecture,
    GraphSettings,
    ModelCard,
    Scaler,
    Score,
    Source,
    TrainingSettings,
    Transfer,
)
from aiida_embarrier.jobs.model_files import ModelFilesError
from aiida_embarrier.jobs.prediction import BarrierModelCard

pytestmark = pytest.mark.usefixtures('aiida_profile')


def weights(value=0.5):
    return save(
        {
            'heads.dc.weight': np.array([[1.0, 2.0, 3.0]], dtype=np.float32),
            'heads.dc.bias': np.array([value], dtype=np.float32),
        }
    )


def card(content, **entries):
    given = {
        'architecture': Architecture(hidden=3),
        'graphs': GraphSettings(),
        'scalers': [Scaler(label='dc', property='dielectric constant', centre=3.0, width=2.5, leaks=True)],
        'training': TrainingSettings(seed=7, scaling='whole_set'),
        'transfer': Transfer(strategy='new_head'),
        'parent': 'f' * 64,
        'datasets': [Source(label='dc', uuid='b8b9', hash='a1', rows={'train': 80, 'test': 20})],
        'epochs': 12,
        'best_epoch': 9,
        'n_parameters': 4,
        'n_trained': 3,
        'weights_sha256': hashlib.sha256(content).hexdigest(),
        'scores': [
            Score(label='dc', part='train', n=80, mae=0.1, rmse=0.2, r2=0.9),
            Score(label='dc', part='test', n=20, mae=0.3, rmse=0.4, r2=0.7),
        ],
        **entries,
    }
    return ModelCard(**given)


def test_what_can_be_queried():
    content = weights()
    node = ModelData(content, card(content, title='dielectric constants')).store()
    assert node.weights == content
    assert node.card == card(content, title='dielectric constants')
    attributes = node.base.attributes.all
    expected = {
        'kind': 'alignn',
        'title': 'dielectric constants',
        'labels': ['dc'],
        'properties': ['dielectric constant'],
        'units': [None],
        'leaking_scaling': True,
        'dataset_uuids': ['b8b9'],
        'dataset_hashes': ['a1'],
        'strategy': 'new_head',
        'parent_sha256': 'f' * 64,
        'seed': 7,
        'epochs': 12,
        'best_epoch': 9,
        'n_parameters': 4,
        'n_trained': 3,
        'mae_test': 0.3,
        'rmse_test': 0.4,
        'r2_test': 0.7,
    }
    assert {name: attributes[name] for name in expected} == expected
    assert attributes['architecture']['hidden'] == 3
    assert len(attributes['scores']) == 2
    query = QueryBuilder().append(
        ModelData, filters={'attributes.labels': {'contains': ['dc']}, 'attributes.mae_test': {'<': 0.31}}
    )
    assert node.uuid in [found.uuid for found in query.all(flat=True)]
    assert set(attributes) <= set(ModelData.AttributesModel.model_fields)


def test_several_properties_have_no_single_score():
    content = save({f'heads.{label}.bias': np.array([1.0], dtype=np.float32) for label in ('dc', 'gap')})
    scores = [Score(label=label, part='test', n=9, mae=0.1, rmse=0.2) for label in ('dc', 'gap')]
    scalers = [
        Scaler(label='gap', property='band gap', unit='eV'),
        Scaler(label='dc', property='dielectric constant'),
    ]
    node = ModelData(content, card(content, scalers=scalers, scores=scores, n_parameters=2, n_trained=2, transfer=None))
    attributes = node.base.attributes.all
    assert (attributes['labels'], attributes['units']) == (['gap', 'dc'], ['eV', None])
    assert (attributes['mae_test'], attributes['r2_test'], attributes['strategy']) == (None, None, None)
    assert attributes['leaking_scaling'] is False


def test_files_for_others(tmp_path):
    content = weights()
    node = ModelData(content, card(content)).store()
    files = node.export(tmp_path / 'out' / 'model')
    assert [file.name for file in files] == ['model.safetensors', 'model.json']
    back = ModelData.from_folder(tmp_path / 'out' / 'model')
    assert back.base.attributes.all == node.base.attributes.all
    assert (back.weights, back.card) == (node.weights, node.card)
    with pytest.raises(FileExistsError, match='choose another folder'):
        node.export(tmp_path / 'out' / 'model')


def test_what_is_refused(tmp_path):
    content = weights()
    with pytest.raises(ModelFilesError, match='the weights were altered'):
        ModelData(content[:-1] + b'\x01', card(content))
    with pytest.raises(ModelFilesError, match='truncated'):
        ModelData(content[:-2], card(content))
    with pytest.raises(ValueError, match='give both'):
        ModelData(content)
    with pytest.raises(ValidationError, match='needs weights and a card'):
        ModelData().store()
    with pytest.raises(FileNotFoundError, match=r'holds no model\.safetensors'):
        ModelData.from_folder(tmp_path)
    ModelData(content, card(content)).export(tmp_path / 'model')
    (tmp_path / 'model' / 'model.json').write_bytes(b'\xff\xfe')
    with pytest.raises(ModelFilesError, match='is not text'):
        ModelData.from_folder(tmp_path / 'model')


def test_a_model_is_what_it_computes():
    """Title, licence and who trained it differ; weights, scaling and graphs must not."""
    content, other = weights(), weights(0.25)
    node = ModelData(content, card(content)).store()

    def same(*given):
        return node.base.caching.get_hash() == ModelData(*given).store().base.caching.get_hash()

    assert same(content, card(content, title='the same', licence='MIT', datasets=[]))
    assert same(content, json.dumps(card(content).model_dump(mode='json')))  # other white space
    assert not same(other, card(other))
    assert not same(content, card(content, graphs=GraphSettings(doubled=True)))
    scaler = Scaler(label='dc', property='dielectric constant', centre=3.0, width=2.0)
    assert not same(content, card(content, scalers=[scaler]))


def test_a_stored_model_does_not_change():
    content = weights()
    node = ModelData(content, card(content)).store()
    with pytest.raises(ModificationNotAllowed):
        node.base.repository.put_object_from_bytes(b'', 'model.safetensors')


def barrier_files(value=0.25, **entries):
    content = save({'model.medians': np.array([value])})
    estimate = {'value': 0.21, 'low': 0.19, 'high': 0.23}
    given = {
        'model': 'median',
        'state': {'groups': ['']},
        'ions': {'Li': 12},
        'coverage': 0.9,
        'datasets': [{'uuid': 'b8b9', 'hash': 'a1', 'rows': {'train': 12}}],
        'scores': [
            {
                'model': 'x',
                'validation': 'host_group',
                'n': 12,
                'folds': 3,
                'seeds': [0],
                'values': {'mae_eV': estimate},
            }
        ],
        'n_parameters': 1,
        'weights_sha256': hashlib.sha256(content).hexdigest(),
        **entries,
    }
    return content, BarrierModelCard.model_validate(given)


def test_a_model_of_barriers():
    content, about = barrier_files(title='a median')
    node = ModelData(content, about).store()
    found = (
        QueryBuilder().append(ModelData, filters={'attributes.kind': 'barrier'}, project='attributes').first(flat=True)
    )
    assert (found['model'], found['coverage'], found['ions']) == ('median', 0.9, {'Li': 12})
    assert (found['mae_host_group'], found['mae_random']) == (0.21, None)
    assert (found['labels'], found['units'], found['dataset_uuids']) == (['barrier'], ['eV'], ['b8b9'])
    assert node.card == about
    with pytest.raises(ModelFilesError, match='predicts migration barriers'):
        node.property_card  # noqa: B018


def test_models_of_barriers_are_the_same_where_they_predict_the_same(tmp_path):
    def hash_of(**entries):
        return ModelData(*barrier_files(**entries)).store().base.caching.get_hash()

    node = ModelData(*barrier_files(title='one')).store()
    assert hash_of(title='other') == node.base.caching.get_hash()
    for entries in ({'state': {'groups': ['Li']}}, {'model': 'class_median'}, {'value': 0.5}):
        assert hash_of(**entries) != node.base.caching.get_hash()
    node.export(tmp_path)
    assert ModelData.from_folder(tmp_path).card == node.card
    (tmp_path / 'model.safetensors').write_bytes(save({'model.medians': np.array([0.3])}))
    with pytest.raises(ModelFilesError, match='altered'):
        ModelData.from_folder(tmp_path)
