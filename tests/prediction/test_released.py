"""Models that come with the package: that they are whole, small, honest on their cards, and say something sensible."""

from dataclasses import replace

import pytest
from prediction.small_paths import small_path

from aiida_embarrier.jobs.barriers_here import RELEASED, released_folder
from aiida_embarrier.prediction.base import Rows
from aiida_embarrier.prediction.features import describe
from aiida_embarrier.prediction.fitted import read_barrier_model

#: Labels of datasets of which no column of a feature may be made.
LABELS = ('class', 'published', 'mace', 'family', 'label', 'barrier')


@pytest.fixture(scope='module', params=RELEASED)
def released(request):
    return read_barrier_model(released_folder(request.param))


def test_files_are_small():
    assert sum(path.stat().st_size for name in RELEASED for path in released_folder(name).iterdir()) < 10e6


def test_what_they_look_at():
    geometry, potential = (read_barrier_model(released_folder(name)).card for name in RELEASED)
    assert geometry.feature_settings.potential is None
    assert potential.feature_settings.potential.label == 'chgnet-0.3.0'
    of_potential = {name for name in potential.features if name.startswith(('potential_', 'site_', 'embedding_'))}
    assert of_potential == set(potential.features) - set(geometry.features)


def test_card(released):
    card = released.card
    assert card.licence == 'MIT'
    assert card.n_parameters > 0
    assert None not in (card.limits, card.title, card.source)
    assert all(source.uuid and source.hash for source in card.datasets)
    assert card.coverage == 0.9
    (family,) = [score for score in card.scores if score.validation == 'family_group']
    assert family.values['mae_eV'].low < family.values['mae_eV'].value < family.values['mae_eV'].high
    assert card.leakage['family_group']['shares_family'] == 0
    assert not [name for name in card.features if any(label in name for label in LABELS)]


def test_predicts(released):
    paths = [small_path(4.2), small_path(4.6), small_path(4.2, ion='Au')]
    paths += [replace(path, points=path.points[::-1]) for path in paths]
    # without a potential: medians stand for what it would say
    table = released.predict(Rows(paths, describe(paths).reindex(columns=released.card.features)))
    assert (table['lower'] <= table['prediction']).all()
    assert (table['prediction'] <= table['upper']).all()
    assert table['prediction'].between(0.0, 8.0).all()
    assert 'unknown_ion' in table['flags'][2]
    assert 'unknown_ion' not in table['flags'][0]
    # the direction in which a path is walked makes no difference
    assert table['prediction'][3:].tolist() == pytest.approx(table['prediction'][:3].tolist(), abs=1e-9)
