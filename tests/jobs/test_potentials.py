"""Pinned potentials, and the check of weights and versions."""

import importlib.metadata

import pytest
from pydantic import ValidationError

from aiida_embarrier.jobs.potentials import (
    KNOWN_MODELS,
    PotentialSpec,
    file_sha256,
    resolve_potential,
    weights_path,
)
from aiida_embarrier.potentials.evaluator import WeightsError
from aiida_embarrier.potentials.loading import verify_potential


@pytest.mark.parametrize(('name', 'model'), list(KNOWN_MODELS))
def test_known_weights_are_those_in_the_wheels(name, model):
    spec = resolve_potential(name, model)
    assert file_sha256(weights_path(spec)) == spec.sha256 == KNOWN_MODELS[name, model].sha256
    assert verify_potential(spec) == spec
    assert spec.version is not None
    assert spec.functional


def test_first_model_is_the_default():
    assert resolve_potential().label == 'chgnet-0.3.0'
    assert resolve_potential('sevennet').label == 'sevennet-7net-0'


@pytest.mark.parametrize(
    ('entries', 'message'),
    [
        ({'name': 'chgent', 'model': '0.3.0'}, r"'chgent': did you mean 'chgnet'\? There are chgnet, sevennet, ase"),
        ({'name': 'chgnet', 'model': '9'}, 'choose one of 0.3.0, r2scan'),
        ({'name': 'ase', 'model': 'x'}, "needs `calculator` as 'module:callable'"),
        ({'name': 'ase', 'model': 'x', 'calculator': 'a.b'}, "needs `calculator` as 'module:callable'"),
        ({'name': 'ase', 'model': 'x', 'calculator': 'a:b', 'weights': '/w'}, 'weights need their sha256'),
    ],
)
def test_refused_specs(entries, message):
    with pytest.raises(ValidationError, match=message):
        PotentialSpec(**entries)


def test_own_weights_are_hashed_where_they_can_be_read(tmp_path):
    weights = tmp_path / 'own.model'
    weights.write_bytes(b'abc')
    spec = resolve_potential(
        'ase', calculator='mace.calculators:MACECalculator', weights=str(weights), weights_argument='model_paths'
    )
    assert spec.sha256 == 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'
    assert spec.label == 'MACECalculator'
    assert spec.distribution is None  # it is not installed here
    assert spec.version is None
    with pytest.raises(ValueError, match='give their sha256'):
        resolve_potential('ase', calculator='a:b', weights=str(tmp_path / 'no'), weights_argument='path')


def test_version_is_recorded_where_open_and_checked_where_given():
    spec = resolve_potential('ase', calculator='ase.calculators.emt:EMT')
    installed = spec.version
    assert verify_potential(spec.model_copy(update={'version': None})).version == installed
    with pytest.raises(WeightsError, match=rf'prepared for ase 0\.1, here is {installed}'):
        verify_potential(spec.model_copy(update={'version': '0.1'}))
    with pytest.raises(WeightsError, match=r'needs no-such-thing 1\.0, which is not installed here'):
        verify_potential(spec.model_copy(update={'distribution': 'no-such-thing', 'version': '1.0'}))


@pytest.mark.parametrize(
    ('calculator', 'distribution'),
    [
        ('ase.calculators.emt:EMT', 'ase'),
        ('yaml.nodes:Node', 'PyYAML'),
        ('analytic_surfaces:FreshEMT', None),  # a module of one's own
        ('pymatgen.core:Structure', None),  # several distributions share this name
    ],
)
def test_distribution_of_a_calculator_is_that_it_is_installed_from(calculator, distribution):
    spec = resolve_potential('ase', calculator=calculator)
    version = None if distribution is None else importlib.metadata.version(distribution)
    assert (spec.distribution, spec.version) == (distribution, version)
    open_spec = spec.model_copy(update={'distribution': None, 'version': None})  # as prepared where it is not installed
    assert verify_potential(open_spec) == spec


def test_distribution_that_is_named_is_kept():
    spec = resolve_potential('ase', calculator='pymatgen.core:Structure', distribution='pymatgen-core')
    assert spec.version == importlib.metadata.version('pymatgen-core')


def test_altered_weights_of_a_known_model():
    spec = resolve_potential('chgnet').model_copy(update={'sha256': '0' * 64})
    with pytest.raises(WeightsError, match=f'expected {"0" * 64}'):
        verify_potential(spec)


def test_package_that_is_not_installed(monkeypatch):
    import importlib.util

    monkeypatch.setattr(importlib.util, 'find_spec', lambda _: None)
    with pytest.raises(WeightsError, match=r"pip install 'aiida-embarrier\[potential\]'"):
        verify_potential(resolve_potential('chgnet'))
