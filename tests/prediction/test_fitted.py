"""Models in their two files: the same predictions come back, and what does not belong there is refused."""

import hashlib
import json

import numpy as np
import pytest
import safetensors.numpy
from barrier_paths import hops, path_rows
from learned_models import write_model_folder

from aiida_embarrier.jobs.model_files import ModelFilesError, parse_card, read_any_model_files
from aiida_embarrier.jobs.prediction import BarrierModelCard
from aiida_embarrier.prediction.base import Rows
from aiida_embarrier.prediction.fitted import (
    FittedModel,
    difficulty_of_rows,
    domain_of,
    read_barrier_model,
    write_barrier_model,
)
from aiida_embarrier.prediction.intervals import ConformalIntervals
from aiida_embarrier.prediction.registry import make_model
from aiida_embarrier.prediction.rows import rows_of


@pytest.fixture(scope='module')
def rows():
    return rows_of(path_rows(40))[0]


@pytest.fixture
def fitted(rows, tmp_path):
    model = make_model('chemsys_median')
    model.fit(rows)
    described = Rows(rows.paths, hops(rows.paths), rows.labels)
    domain = domain_of(described, list(described.features.columns))
    hard = difficulty_of_rows(model, domain, described)
    groups = rows.labels['host_group']
    intervals = ConformalIntervals.fit(rows.barriers, model.predict(rows) + 0.01, hard, groups)
    card = BarrierModelCard(
        model='chemsys_median', barrier_definitions={'span': 30, 'forward': 10}, coverage=0.6, title='medians'
    )
    made = FittedModel(model, card, intervals, domain)
    write_barrier_model(tmp_path, made)
    return made


def test_the_same_predictions(fitted, rows, tmp_path):
    asked = Rows(rows.paths, hops(rows.paths), rows.labels)
    again = read_barrier_model(tmp_path)
    assert again.predict(asked).equals(fitted.predict(asked))
    assert again.card.title == 'medians'
    assert set(again.predict(asked)['barrier_definition']) == {'span, forward'}
    assert again.domain is not None
    weights = safetensors.numpy.load_file(tmp_path / 'model.safetensors')
    assert again.card.n_parameters == sum(array.size for array in weights.values())


def test_unlike_rows_are_flagged(fitted):
    frame = path_rows(4)
    frame.loc[0, 'ion'] = 'K'
    frame.loc[1, 'path'] = '[[0,0,0],[2.5,0,0]]'
    rows, _ = rows_of(frame)
    table = fitted.predict(Rows(rows.paths, hops(rows.paths), rows.labels))
    flags = [json.loads(text) for text in table['flags']]
    assert 'unknown_ion' in flags[0]
    assert {'long_hop', 'unlike_training'} <= set(flags[1])
    assert flags[2:] == [[], []]


def test_rows_far_away_are_hard(rows):
    """What a model says of rows, if anything, stands before their distance from what was learned from."""

    class Unsure(type(make_model('median'))):
        def difficulty(self, rows):
            return np.arange(len(rows))

    described = Rows(rows.paths, hops(rows.paths), rows.labels)
    domain = domain_of(described, list(described.features.columns))
    far = Rows(rows.paths, described.features * 3, rows.labels)
    for model, columns in ((make_model('median'), 1), (Unsure(), 2)):
        near, away = (difficulty_of_rows(model, domain, asked) for asked in (described, far))
        assert near.shape == (len(rows), columns)
        assert (near[:, -1] < 1e-6).all()
        assert (away[:, -1] == domain.distances(far.features)).all()
    assert near[:, 0].tolist() == list(range(len(rows)))
    plain = domain_of(rows, [])
    assert difficulty_of_rows(make_model('median'), plain, rows) is None
    assert difficulty_of_rows(make_model('median'), None, rows) is None
    assert difficulty_of_rows(Unsure(), plain, rows).shape == (len(rows), 1)


def test_models_of_something_else(fitted, tmp_path):
    write_model_folder(tmp_path / 'property')
    with pytest.raises(ModelFilesError, match='predicts gap of crystals, not migration barriers'):
        read_barrier_model(tmp_path / 'property')
    with pytest.raises(ModelFilesError, match='predicts migration barriers of paths, not properties'):
        parse_card((tmp_path / 'model.json').read_text())


def rewrite(folder, arrays=None, **entries):
    """Write files of a model that somebody altered with care: their sha256 is right."""
    weights, card = read_any_model_files(folder)
    arrays = safetensors.numpy.load(weights) if arrays is None else arrays
    weights = safetensors.numpy.save(arrays)
    about = {
        'weights_sha256': hashlib.sha256(weights).hexdigest(),
        'n_parameters': sum(array.size for array in arrays.values()),
        **entries,
    }
    (folder / 'model.safetensors').write_bytes(weights)
    (folder / 'model.json').write_text(card.model_copy(update=about).model_dump_json())


@pytest.mark.parametrize(
    ('arrays', 'entries', 'message'),
    [
        ({'other.x': np.zeros(2)}, {}, "the weights hold 'other.x'"),
        ({'model.x': np.zeros(2)}, {}, 'the model chemsys_median cannot be made of its files'),
        ({'model.medians': np.full(3, np.nan)}, {}, 'model.medians holds numbers that are not finite'),
        (None, {'model': 'chemsys'}, "no model 'chemsys' of barriers.*take the version of aiida-embarrier that wrote"),
        (None, {'n_parameters': 3}, 'parameters, the card says 3'),
        (None, {'weights_sha256': '0'}, 'the weights were altered'),
    ],
)
def test_altered_files(fitted, tmp_path, arrays, entries, message):
    rewrite(tmp_path, arrays, **entries)
    with pytest.raises(ModelFilesError, match=message):
        read_barrier_model(tmp_path)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (lambda weights: weights[:-3], 'truncated'),
        (lambda weights: weights[:-1] + b'\x09', 'altered'),
        (lambda weights: b'PK\x03\x04' + weights, 'no safetensors file'),
    ],
)
def test_damaged_weights(fitted, tmp_path, content, message):
    path = tmp_path / 'model.safetensors'
    path.write_bytes(content(path.read_bytes()))
    with pytest.raises(ModelFilesError, match=message):
        read_barrier_model(tmp_path)
