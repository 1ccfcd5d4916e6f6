"""Protocols: what a name means, and that a misspelt key is an error and not silence."""

import pytest

from aiida_embarrier.engines.base import available_engines, get_engine
from aiida_embarrier.engines.protocols import resolve_protocol
from aiida_embarrier.jobs.potentials import resolve_potential
from aiida_embarrier.jobs.schemas import NebTask, RelaxTask
from aiida_embarrier.workflows.barrier_inputs import barrier_protocol


def test_default_is_balanced():
    assert barrier_protocol() == barrier_protocol(protocol='balanced')


def test_stringent_is_tighter_than_balanced_than_fast():
    fast, balanced, stringent = (barrier_protocol(protocol=name) for name in ('fast', 'balanced', 'stringent'))
    assert fast['n_images'] < balanced['n_images'] < stringent['n_images']
    thresholds = [protocol['engine']['neb']['force_threshold'] for protocol in (fast, balanced, stringent)]
    assert thresholds == sorted(thresholds, reverse=True)
    assert len(set(thresholds)) == 3


def test_overrides_reach_every_depth():
    resolved = barrier_protocol(overrides={'n_images': 11, 'engine': {'neb': {'climb': False}}})
    assert resolved['n_images'] == 11
    assert resolved['engine']['neb']['climb'] is False
    assert resolved['engine']['neb']['method'] == 'improvedtangent'


@pytest.mark.parametrize(
    ('overrides', 'message'),
    [
        ({'n_imges': 3}, "unknown protocol key 'n_imges': did you mean 'n_images'"),
        ({'engine': {'neb': {'climbing': True}}}, "unknown protocol key 'engine.neb.climbing': did you mean 'climb'"),
        ({'charge': 1}, "the engine 'potential' knows no electrons and computes neutral cells only"),
        ({'engine': {'relax': 0.1}}, "protocol key 'engine.relax' takes a mapping, got 0.1"),
    ],
)
def test_misspelt_key_is_an_error(overrides, message):
    with pytest.raises(ValueError, match=message):
        barrier_protocol(overrides=overrides)


def test_unknown_protocol_and_engine():
    with pytest.raises(ValueError, match="unknown protocol 'balancd': did you mean 'balanced'"):
        barrier_protocol(protocol='balancd')
    with pytest.raises(ValueError, match="unknown engine 'vas'"):
        get_engine('vas')
    assert 'potential' in available_engines()


def test_arguments_of_a_calculator_are_free():
    resolved = resolve_protocol(get_engine('potential').protocol, None, {'potential': {'arguments': {'any': 1}}})
    assert resolved['potential']['arguments'] == {'any': 1}


@pytest.mark.parametrize('protocol', ['fast', 'balanced', 'stringent'])
def test_protocols_are_valid_jobs(protocol):
    resolved = barrier_protocol(protocol=protocol)['engine']
    assert set(resolved['neb']) <= set(NebTask(label='x', **resolved['neb']).model_dump())
    geometry = {'lattice': [[4, 0, 0], [0, 4, 0], [0, 0, 4]], 'elements': ['Al'], 'positions': [[0, 0, 0]]}
    RelaxTask(label='x', structure=geometry, **resolved['relax'])
    resolve_potential(resolved['potential']['name'])


def test_every_parameter_of_a_task_stands_in_the_protocol():
    resolved = barrier_protocol()['engine']
    assert set(resolved['neb']) == set(NebTask.model_fields) - {'kind', 'label'}
    assert set(resolved['relax']) == set(RelaxTask.model_fields) - {'kind', 'label', 'structure', 'cell'}
