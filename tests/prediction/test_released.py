"""Models that come with the package: that they are whole, small, honest on their cards, and say something sensible."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from prediction.small_paths import small_path
from scipy.spatial.transform import Rotation

from aiida_embarrier.datasets.asked_paths import asked_hops
from aiida_embarrier.jobs.barriers_here import RELEASED, released_folder
from aiida_embarrier.prediction.base import Rows
from aiida_embarrier.prediction.features import describe
from aiida_embarrier.prediction.fitted import read_barrier_model
from aiida_embarrier.prediction.rows import paths_of
from aiida_embarrier.structures.reading import read_structure

EXAMPLES = Path(__file__).parents[2] / 'examples'
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


def test_how_a_crystal_is_written_does_not_matter():
    """Of the hops of a real crystal: another origin, order of atoms, orientation and choice of vectors."""
    fitted = read_barrier_model(released_folder('released'))
    paths, _ = paths_of(asked_hops(read_structure(EXAMPLES / 'LiFePO4.cif'), 'Li', max_length=3.5).rows)
    order = np.random.default_rng(0).permutation(len(paths[0].species))
    shift, skew = np.array([0.13, 0.37, 0.71]), np.array([[1, 0, 0], [-1, 1, 0], [0, 2, 1]])
    back, turn = np.linalg.inv(skew), Rotation.from_euler('xyz', (0.4, 1.1, -0.7)).as_matrix()

    def predictions(change):
        changed = [change(path) for path in paths]
        return fitted.predict(Rows(changed, describe(changed)))['prediction'].tolist()

    expected = predictions(lambda path: path)
    for change in (
        lambda path: replace(path, coords=path.coords + shift, points=path.points + shift),
        lambda path: replace(path, species=tuple(path.species[i] for i in order), coords=path.coords[order]),
        lambda path: replace(path, lattice=skew @ path.lattice, coords=path.coords @ back, points=path.points @ back),
    ):
        assert predictions(change) == pytest.approx(expected, abs=1e-6)
    # the arc that a path is bent to is found by other steps
    assert predictions(lambda path: replace(path, lattice=path.lattice @ turn)) == pytest.approx(expected, abs=0.02)
