"""Whole elastic bands along paths, with the effective-medium theory of ASE as the potential."""

from dataclasses import replace

import numpy as np
import pytest
from systems import EMT, aluminium_vacancy_ends

from aiida_embarrier.bands.band import Band
from aiida_embarrier.bands.geometry import minimum_image
from aiida_embarrier.jobs.prediction import FeatureSettings, NebSettings
from aiida_embarrier.jobs.schemas import Status
from aiida_embarrier.potentials.evaluator import EvaluationError
from aiida_embarrier.potentials.loading import load_model
from aiida_embarrier.prediction.base import Rows
from aiida_embarrier.prediction.features import describe
from aiida_embarrier.prediction.neb_barriers import neb_barrier, neb_numbers
from aiida_embarrier.prediction.paths import MigrationPath
from aiida_embarrier.prediction.registry import make_model

#: Of the vacancy hop of fcc aluminium with this potential, from bands of seven images.
ALUMINIUM = 0.39


@pytest.fixture(scope='module')
def emt():
    return load_model(EMT, 'cpu')


@pytest.fixture(scope='module')
def hop():
    """Return the hop of an aluminium atom into a vacancy."""
    return MigrationPath.from_band(Band.from_structures(aluminium_vacancy_ends(), mobile=(0,)), 'Al')


@pytest.fixture(scope='module')
def uneven_hop(hop):
    """Return a hop whose ends differ: an atom beside the final site, and not beside the initial one, is copper."""
    to_initial, to_final = (
        np.linalg.norm(minimum_image((hop.coords - point) @ hop.lattice, hop.lattice), axis=1) for point in hop.points
    )
    species = list(hop.species)
    species[int(np.where(to_initial > 3.0, to_final, np.inf).argmin())] = 'Cu'
    return replace(hop, species=tuple(species))


def test_symmetry_only_saves_evaluations(hop, emt, monkeypatch):
    half = neb_barrier(hop, emt, EMT)
    assert half.converged
    assert half.mirrored
    assert half.span == pytest.approx(ALUMINIUM, abs=0.02)
    assert half.forward == half.energies.max()
    assert half.residual_force < NebSettings().force_threshold
    monkeypatch.setattr('aiida_embarrier.prediction.neb_barriers.find_mirror', lambda _: None)
    monkeypatch.setattr('aiida_embarrier.potentials.neb.find_mirror', lambda _: None)
    whole = neb_barrier(hop, emt, EMT)
    assert whole.converged
    assert not whole.mirrored
    assert whole.energies == pytest.approx(half.energies, abs=2e-3)
    assert whole.n_evaluations > 1.4 * half.n_evaluations


def test_both_directions_of_an_uneven_hop(uneven_hop, emt):
    there, back = (neb_barrier(path, emt, EMT) for path in (uneven_hop, uneven_hop.reversed()))
    assert there.converged
    assert back.converged
    assert abs(there.forward - there.reverse) > 0.02
    assert there.span == max(there.forward, there.reverse)
    assert (back.forward, back.reverse) == pytest.approx((there.reverse, there.forward), abs=5e-3)
    assert there.forward - there.reverse == pytest.approx(there.energies[-1])


def test_a_bent_path_is_followed(hop, emt):
    """Led along a bend, the band relaxes to the same saddle."""
    middle = hop.points.mean(axis=0) + np.array([0.0, 0.0, 0.04])
    bent = replace(hop, points=np.stack([hop.points[0], middle, hop.points[-1]]))
    assert not bent.is_straight
    found = neb_barrier(bent, emt, EMT)
    assert found.converged
    assert found.span == pytest.approx(ALUMINIUM, abs=0.02)


def test_a_limit_of_evaluations(uneven_hop, emt):
    n_steps = []
    found = neb_barrier(uneven_hop, emt, EMT, NebSettings(max_evaluations=25), n_steps.append)
    assert found.status == Status.NOT_CONVERGED
    assert 'the limit of 25 evaluations was reached: allow more of them' in found.message
    assert 25 <= found.n_evaluations < 30
    assert len(n_steps) >= found.n_evaluations / 5
    early = neb_barrier(uneven_hop, emt, EMT, NebSettings(max_evaluations=2))
    assert early.message.startswith('the initial state: not converged')
    assert (early.forward, early.span, early.residual_force) == (None, None, None)
    numbers = neb_numbers(uneven_hop, emt, EMT, NebSettings(max_evaluations=25))
    assert numbers['potential_neb_converged'] == 0
    assert np.isnan(numbers['potential_neb_span'])


def test_ends_that_are_one_site(hop, emt):
    """A place beside the site relaxes back to it: there is no barrier to be told."""
    near = replace(hop, points=np.stack([hop.points[0], hop.points[0] + 0.15 * (hop.points[1] - hop.points[0])]))
    found = neb_barrier(near, emt, EMT)
    assert found.status == Status.COLLAPSED
    assert 'both ends relax to the same site' in found.message
    assert found.span is None


def test_an_ion_that_leaves_its_site_is_told(hop, emt):
    """The final site is given beside the vacancy, more than an ångström from where the ion then rests."""
    beyond = hop.points[0] + 0.62 * (hop.points[1] - hop.points[0])
    found = neb_barrier(replace(hop, points=np.stack([hop.points[0], beyond])), emt, EMT)
    assert found.converged
    assert found.span == pytest.approx(ALUMINIUM, abs=0.02)
    (warning,) = found.warnings
    assert 'away from the final site' in warning


def test_what_goes_wrong_with_a_path_is_its_status(hop, emt):
    coords = hop.coords.copy()
    coords[0] = hop.points[0] + 0.001
    found = neb_barrier(replace(hop, coords=coords), emt, EMT)
    assert found.status == Status.FAILED
    assert 'correct the structure' in found.message

    class Refuses:
        def evaluate(self, structures, stress=False):  # noqa: ARG002  (as evaluators are called)
            return [EvaluationError('refused')] * len(structures)

    refused = neb_barrier(hop, Refuses(), EMT)
    assert refused.status == Status.FAILED
    assert refused.message.startswith('the initial state: refused')


def test_a_step_can_end_it(hop, emt):
    def stop(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        neb_barrier(hop, emt, EMT, on_step=stop)


def test_features_and_the_baseline(hop, uneven_hop, emt):
    large = replace(hop, name='large')
    paths = [hop, replace(uneven_hop, name='uneven')]
    settings = FeatureSettings(potential=EMT, budget=5, neb=NebSettings())
    features = describe(paths, evaluator=emt, settings=settings)
    assert (features['potential_neb_converged'] == 1).all()
    small = FeatureSettings(potential=EMT, budget=5, neb=NebSettings(max_atoms=30))
    none = describe([large], evaluator=emt, settings=small)
    assert list(none.columns) == list(features.columns)
    assert none.filter(like='potential_neb_').isna().all(axis=None)
    assert none['potential_placed_forward'].notna().all()
    rows = Rows(paths, features, barriers=np.array([0.4, 0.6]))
    model = make_model('potential_neb')
    model.fit(rows)
    assert model.predict(rows).tolist() == features['potential_neb_span'].tolist()
    assert model.predict(Rows([large], none)).tolist() == [0.5]  # the median of what it learned from
    assert not any(name.startswith('potential_neb') for name in describe([hop], evaluator=emt).columns)


def test_settings():
    with pytest.raises(ValueError, match='needs a `potential`'):
        FeatureSettings(neb=NebSettings())
    # checkpoints of jobs without bands are those of before there were any
    assert set(FeatureSettings(potential=EMT).dumped()) == {'potential', 'budget'}
    assert FeatureSettings(potential=EMT, neb=NebSettings()).dumped()['neb']['n_images'] == 5


@pytest.mark.slow
def test_a_real_potential():
    """The vacancy hop of Li in the smallest useful cell of Li2O, with CHGNet."""
    from pymatgen.core import Lattice, Structure

    from aiida_embarrier.jobs.potentials import resolve_potential
    from aiida_embarrier.structures.endpoints import make_endpoints
    from aiida_embarrier.structures.hops import find_hops

    chgnet = resolve_potential('chgnet')
    crystal = Structure.from_spacegroup('Fm-3m', Lattice.cubic(4.66), ['Li', 'O'], [[0.25, 0.25, 0.25], [0, 0, 0]])
    ends = make_endpoints(crystal, find_hops(crystal, 'Li')[0], [2, 2, 1], 4.0)
    found = neb_barrier(MigrationPath.from_band(ends.band()), load_model(chgnet, 'cpu'), chgnet)
    assert found.converged
    # density functionals give 0.3 to 0.4 eV in larger cells
    assert 0.1 < found.span < 0.6
