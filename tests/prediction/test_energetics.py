"""Images that begin to relax, with the effective-medium theory of ASE as the potential."""

from dataclasses import replace

import numpy as np
import pytest
from prediction.small_paths import CATIONS, small_path
from systems import aluminium_vacancy_ends

from aiida_embarrier.bands.band import Band
from aiida_embarrier.jobs.prediction import FeatureSettings
from aiida_embarrier.potentials.evaluator import Evaluation, EvaluationError, Sites
from aiida_embarrier.prediction.energetics import FRACTIONS, energetics, is_own_mirror_image
from aiida_embarrier.prediction.features import describe
from aiida_embarrier.prediction.paths import MigrationPath


class EffectiveMedium:
    """EMT in this process.

    :param refuses: numbers of the structures, counted from 0, that are refused.
    :param tells: whether it has an opinion of sites: here what their neighbours are.
    """

    def __init__(self, refuses=(), tells=False):
        self.refuses, self.tells = refuses, tells
        self.n = 0

    def evaluate(self, structures, stress=False):  # noqa: ARG002  (as evaluators are called)
        from ase.calculators.emt import EMT

        outcomes = []
        for atoms in structures:
            refused = self.n in self.refuses
            self.n += 1
            if refused:
                outcomes.append(EvaluationError('refused'))
                continue
            atoms.calc = EMT()
            sites = _opinion(atoms) if self.tells else None
            outcomes.append(Evaluation(atoms.get_potential_energy(), atoms.get_forces(), sites=sites))
        return outcomes


def _opinion(atoms):
    repulsion = np.exp(-atoms.get_all_distances(mic=True) / 0.5)
    np.fill_diagonal(repulsion, 0.0)
    felt = repulsion @ atoms.numbers
    return Sites(energies=felt, moments=np.sqrt(felt), features=np.stack([felt, felt**2], axis=1))


@pytest.fixture(scope='module')
def hop():
    """Return the hop of an aluminium atom into a vacancy."""
    initial, final = aluminium_vacancy_ends()
    moves = [initial[number].distance(final[number]) for number in range(len(initial))]
    band = Band.from_structures([initial, final], mobile=(int(np.argmax(moves)),))
    return MigrationPath.from_band(band, 'Al')


def test_images_begin_to_relax(hop):
    assert is_own_mirror_image(hop)
    found = energetics(hop, EffectiveMedium(), n_steps=6)
    assert found.mirrored
    assert found.n_evaluations == 3 * 7
    assert found.energies.shape == found.forces.shape == (7, len(FRACTIONS))
    # the straight path is too high, the relaxed one near the 0.39 eV of a whole band with this potential
    assert found.energies[0].max() - found.energies[0, 0] > 0.5
    assert found.energies[-1].max() - found.energies[-1, 0] == pytest.approx(0.39, abs=0.05)
    assert (found.energies[-1] < found.energies[0]).all()
    assert found.forces[-1].max() < found.forces[0].max() / 3


def test_symmetry_only_saves_evaluations(hop, monkeypatch):
    half = energetics(hop, EffectiveMedium(), n_steps=2)
    monkeypatch.setattr('aiida_embarrier.prediction.energetics.is_own_mirror_image', lambda _: False)
    whole = energetics(hop, EffectiveMedium(), n_steps=2)
    assert (half.n_evaluations, whole.n_evaluations) == (9, 15)
    assert whole.energies == pytest.approx(half.energies, abs=1e-6)
    assert whole.ion_forces == pytest.approx(half.ion_forces, abs=1e-6)


def test_refused_structures_leave_gaps(hop):
    found = energetics(hop, EffectiveMedium(refuses={1}), n_steps=1)
    assert np.isnan(found.energies[:, 1]).all()
    assert np.isfinite(found.energies[:, [0, 2]]).all()
    assert found.n_evaluations == 5


@pytest.mark.parametrize(('noise', 'expected'), [(0.0, True), (0.03, False)])
def test_mirror_image(noise, expected):
    path = small_path()
    perfect = np.concatenate([CATIONS[2:], CATIONS + np.array([0.5, 0, 0])])
    exact = MigrationPath(
        name='a',
        lattice=4.3 * np.eye(3),
        species=path.species,
        coords=perfect + noise * np.random.default_rng(0).uniform(-1, 1, (6, 3)),
        ion='Li',
        points=CATIONS[:2],
    )
    assert is_own_mirror_image(exact) is expected


def test_budget(hop):
    evaluator = EffectiveMedium()
    (numbers,) = describe([hop], evaluator=evaluator, settings=FeatureSettings(budget=10)).to_dict('records')
    assert evaluator.n == 6  # three images that symmetry leaves, as placed and after one step
    assert numbers['potential_relaxed_forward'] < numbers['potential_placed_forward']
    assert numbers['potential_relaxed_forward'] == pytest.approx(numbers['potential_relaxed_reverse'], abs=1e-6)
    assert numbers['potential_mirrored'] == 1
    (without,) = describe([hop]).to_dict('records')
    assert not any(name.startswith('potential_') for name in without)
    assert without.items() <= {name: value for name, value in numbers.items() if value == value}.items() | {
        item for item in without.items() if item[1] != item[1]
    }


def test_what_a_potential_thinks_of_sites_does_not_depend_on_direction_order_or_symmetry(hop, monkeypatch):
    def told(path):
        (numbers,) = describe([path], evaluator=EffectiveMedium(tells=True)).to_dict('records')
        return {name: value for name, value in numbers.items() if name.startswith(('site_', 'embedding_'))}

    expected = told(hop)
    assert {name.rsplit('_', 1)[0] for name in expected if name.startswith('embedding')} == {
        f'embedding_{part}'
        for part in (
            'placed_ends',
            'placed_middle',
            'placed_crystal',
            'placed_around',
            'relaxed_ends',
            'relaxed_middle',
        )
    }
    assert expected['site_placed_energy_rise'] > 0  # the saddle is narrow
    assert expected['site_relaxed_energy_rise'] < expected['site_placed_energy_rise']
    monkeypatch.setattr('aiida_embarrier.prediction.energetics.is_own_mirror_image', lambda _: False)
    reverse = replace(hop, points=hop.points[::-1])
    order = np.random.default_rng(0).permutation(len(hop.species))
    shuffled = replace(hop, species=tuple(hop.species[i] for i in order), coords=hop.coords[order])
    for path in (hop, reverse, shuffled):
        assert told(path) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ('evaluator', 'n'),
    [
        (EffectiveMedium(), 0),
        (EffectiveMedium(refuses={1}, tells=True), 21),  # a quarter of the way, which is not looked at
        (EffectiveMedium(refuses={2}, tells=True), 0),
    ],
)
def test_a_refused_image_or_a_silent_potential_tells_nothing_of_sites(hop, evaluator, n):
    (numbers,) = describe([hop], evaluator=evaluator).to_dict('records')
    assert sum(name.startswith(('site_', 'embedding_')) for name in numbers) == n
