"""Models by their names: each can be made, and what is misspelt is told with what there is."""

import inspect

import pytest

from aiida_embarrier.jobs.barrier_models import KNOWN_MODELS
from aiida_embarrier.prediction.base import BarrierModel
from aiida_embarrier.prediction.registry import MODELS, make_model, model_class


@pytest.mark.parametrize('name', MODELS)
def test_every_model_can_be_made(name):
    cls = model_class(name)
    assert issubclass(cls, BarrierModel)
    assert not inspect.isabstract(cls)
    assert isinstance(make_model(name), cls)


#: What the worker sets itself.
OF_JOBS = {'parent', 'hardware', 'hooks'}


def test_both_halves_know_the_same_models():
    told = {}
    for name, entry in MODELS.items():
        cls = model_class(name)
        settings = set(inspect.signature(cls).parameters) - set(entry.settings) - OF_JOBS
        told[name] = settings, cls.needs_features
    known = {name: (set(model.settings), model.reads_numbers) for name, model in KNOWN_MODELS.items()}
    assert known == told
    assert list(KNOWN_MODELS) == list(MODELS)


@pytest.mark.parametrize(
    ('name', 'settings', 'message'),
    [
        ('medain', {}, "no model 'medain' of barriers: did you mean 'median'"),
        ('zzz', {}, 'choose from median'),
        ('median', {'window': 3}, "the model median has no setting 'window': it has none"),
        ('model_3', {'parents': 'x'}, "has no setting 'parents': did you mean 'parent'"),
        ('model_3', {'network': 'model_4'}, "model_3 has no setting 'network'"),
    ],
)
def test_what_is_misspelt(name, settings, message):
    with pytest.raises(ValueError, match=message):
        make_model(name, **settings)
