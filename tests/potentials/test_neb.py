"""The nudged elastic band: against exact barriers, against ASE, and against interruptions."""

import numpy as np
import pytest
from ase.calculators.emt import EMT
from ase.mep import NEB
from ase.optimize import FIRE
from potential_systems import Counting, adatom_hop, emt, line, surface
from scipy.optimize import root

from aiida_embarrier.bands.geometry import OVERLAP
from aiida_embarrier.jobs.schemas import NebTask, Status
from aiida_embarrier.potentials.checkpoint import read_checkpoint, write_checkpoint
from aiida_embarrier.potentials.driver import run_tasks
from aiida_embarrier.potentials.evaluator import Evaluation
from aiida_embarrier.potentials.neb import NudgedElasticBand

MINIMUM, SADDLE, OTHER_MINIMUM = (-0.558, 1.442), (-0.822, 0.624), (-0.050, 0.467)


def run(band, spec, stop_after=None, restore=None, **settings):
    task = NudgedElasticBand(NebTask(label='path', **settings), band, spec)
    if restore is not None:
        task.restore(restore)
    evaluator = Counting(spec)
    stop = None if stop_after is None else lambda _: 'stopped' if evaluator.calls >= stop_after else None
    run_tasks([task], evaluator, **({} if stop is None else {'reason_to_stop': stop}))
    return task, evaluator


def stationary(guess):
    """Return a stationary point of the surface of Müller and Brown and its energy, by a root finder."""
    from analytic_surfaces import MuellerBrown

    value = MuellerBrown().value
    solution = root(lambda xy: value(np.array([*xy, 0.0]))[1][:2], guess, tol=1e-12)
    assert solution.success
    return [*solution.x, 0.0], value(np.array([*solution.x, 0.0]))[0]


@pytest.mark.parametrize('n_images', [7, 8])
@pytest.mark.parametrize('method', ['improvedtangent', 'eb'])
def test_exact_barrier_of_mueller_brown(n_images, method):
    start, low = stationary(MINIMUM)
    end, _ = stationary(OTHER_MINIMUM)
    saddle, high = stationary(SADDLE)
    task, _ = run(line([start, end], n_images), surface('MuellerBrown'), method=method, force_threshold=0.01)
    assert task.status == Status.CONVERGED, task.message
    result = task.result()
    assert result.barriers[-1] == pytest.approx(high - low, abs=1e-3)
    np.testing.assert_allclose(task.band.positions[result.climbing_image, 0], saddle, atol=0.02)
    assert task.band.info.climbing
    assert task.band.info.converged


@pytest.mark.parametrize('n_images', [5, 6, 9])
def test_exact_barrier_of_a_curved_periodic_valley(n_images):
    band = line([[0, 0, 0], [3, 0, 0]], n_images)
    positions = np.array(band.positions)
    positions[1:-1] += [0.05, 0.1, 0.05]
    task, _ = run(band.replace(positions=positions), surface('CurvedCosine'), force_threshold=0.02)
    assert task.status == Status.CONVERGED, task.message
    assert task.result().barriers[-1] == pytest.approx(0.4, abs=1e-3)


@pytest.mark.parametrize(
    ('name', 'method'),
    [
        ('Au adatom', 'improvedtangent'),
        ('Au adatom', 'eb'),
        pytest.param('Al vacancy', 'improvedtangent', marks=pytest.mark.slow),
        pytest.param('Al vacancy', 'eb', marks=pytest.mark.slow),
        pytest.param('Cu vacancy', 'improvedtangent', marks=pytest.mark.slow),
    ],
)
def test_barrier_is_that_of_ase(hops, name, method):
    band = hops(name)
    images = [band.atoms(index) for index in range(band.n_images)]
    for atoms in images:
        atoms.calc = EMT()
    for climb in (False, True):
        reference = NEB(images, k=5.0, climb=climb, method=method)
        FIRE(reference, logfile=None).run(fmax=0.03 if climb else 0.25, steps=300)
    energies = [atoms.get_potential_energy() for atoms in images]
    task, _ = run(band, emt(), method=method, force_threshold=0.03)
    assert task.status == Status.CONVERGED, task.message
    assert task.result().barriers[-1] == pytest.approx(max(energies) - energies[0], abs=0.005)


def test_result_band(hops):
    band = hops('Au adatom').replace(host='Au', mechanism='vacancy', host_treatment='cell', functional='PBE')
    task, evaluator = run(band, emt(), use_symmetry=False)
    result = task.band
    assert result.info.to_dict() == band.info.to_dict() | {
        'engine': 'potential',
        'functional': None,
        'potential': 'FreshEMT',
        'potential_functional': None,
        'charge': 0.0,
        'climbing': True,
        'converged': True,
        'residual_force': task.result().residual_force,
    }
    np.testing.assert_array_equal(result.positions[[0, -1]], band.positions[[0, -1]])
    for index in range(result.n_images):
        outcome = evaluator.model.evaluate([result.atoms(index)])[0]
        assert result.energies[index] == outcome.energy
        np.testing.assert_array_equal(result.forces[index], outcome.forces)
    assert np.isnan(result.max_perpendicular_forces[[0, -1]]).all()
    assert np.max(result.max_perpendicular_forces[1:-1]) == result.info.residual_force < 0.05


def test_every_geometry_is_evaluated_once(hops):
    band = hops('Au adatom')
    task, evaluator = run(band, emt(), use_symmetry=False)
    assert len(set(evaluator.seen)) == len(evaluator.seen) == task.n_evaluations
    assert task.n_evaluations <= band.n_images + task.n_steps * (band.n_images - 2)
    assert len(task.result().barriers) == task.n_steps + 1
    assert task.result().mirrored is False


@pytest.mark.parametrize('optimiser', ['quasi_newton', 'fire'])
@pytest.mark.parametrize('n_images', [5, 7])
def test_half_of_a_mirrored_path_is_mapped(n_images, optimiser):
    band = adatom_hop('Au', n_images)
    settings = {'optimiser': optimiser, 'force_threshold': 0.02}
    whole, _ = run(band, emt(), use_symmetry=False, **settings)
    task, evaluator = run(band, emt(), **settings)
    result = task.result()
    assert result.mirrored
    assert len(set(evaluator.seen)) == len(evaluator.seen) == task.n_evaluations
    # the first step evaluates the far end, too, to see whether the potential agrees
    half = (n_images - 1) // 2
    most = 3 + half + task.n_steps * half
    assert task.n_evaluations <= most  # images at rest are not evaluated again
    assert optimiser != 'fire' or task.n_evaluations == most
    assert result.barriers[-1] == pytest.approx(whole.result().barriers[-1], abs=2e-3)
    for index in range(n_images):
        outcome = evaluator.model.evaluate([task.band.atoms(index)])[0]
        assert task.band.energies[index] == pytest.approx(outcome.energy, abs=1e-4)
        np.testing.assert_allclose(task.band.forces[index], outcome.forces, atol=2e-3)


def test_images_at_rest_are_not_evaluated_again():
    """The images beside the ends of a long way are at rest before that at the saddle is."""
    band = line([[0, 0, 0], [0.05, 0.3, 0], [1.5, -0.2, 0], [3, 0, 0]], 9)
    task, evaluator = run(band, surface('CurvedCosine'), force_threshold=0.05, use_symmetry=False)
    assert task.status == Status.CONVERGED
    assert len(set(evaluator.seen)) == task.n_evaluations < band.n_images + task.n_steps * (band.n_images - 2)
    assert np.all(task.band.max_perpendicular_forces[1:-1] < 0.05)


def test_path_with_an_even_number_of_images_is_not_mirrored():
    """Both images beside the middle would climb to the saddle there, and fall onto each other."""
    task, _ = run(adatom_hop('Au', 6), emt())
    assert task.status == Status.CONVERGED
    assert task.result().mirrored is False


def test_mirrored_path_with_two_saddles():
    """Both climb, the one being the mirror image of the other."""
    task, _ = run(line([[0, 0, 0], [6, 0, 0]], 9), surface('CurvedCosine'), force_threshold=0.02)
    assert task.status == Status.CONVERGED, task.message
    assert task.result().mirrored
    assert task.result().climbing_image != 4
    assert task.result().barriers[-1] == pytest.approx(0.4, abs=2e-3)


def test_potential_that_breaks_the_mirror_is_believed():
    """On a tilted surface the half that would be mapped is wrong: all images are evaluated, none of them twice."""
    band = line([[0, 0, 0], [3, 0, 0]], 5)
    task, evaluator = run(band, surface('Slope'))
    assert task.result().mirrored is False
    assert len(set(evaluator.seen)) == len(evaluator.seen) == task.n_evaluations
    assert task.n_evaluations == band.n_images + task.n_steps * (band.n_images - 2)


@pytest.mark.parametrize('stop_after', [1, 4, 9])
def test_interrupted_band_goes_on_as_if_it_had_not_been(hops, tmp_path, stop_after):
    spec, band = emt(), hops('Au adatom')
    whole, all_seen = run(band, spec, force_threshold=0.01)
    first, seen = run(band, spec, stop_after=stop_after, force_threshold=0.01)
    assert first.status == Status.INTERRUPTED
    write_checkpoint(tmp_path / 'c.npz', {'path': first.state()}, {'path': 'x'})
    state = read_checkpoint(tmp_path / 'c.npz', {'path': 'x'})['path']
    second, seen_later = run(band, spec, restore=state, force_threshold=0.01)
    assert seen.seen + seen_later.seen == all_seen.seen
    np.testing.assert_array_equal(second.band.positions, whole.band.positions)
    assert second.result() == whole.result()


def test_converged_band_goes_on_to_a_tighter_threshold_without_evaluating_again(hops):
    spec, band = emt(), hops('Au adatom')
    loose, seen = run(band, spec, force_threshold=0.1)
    assert loose.status == Status.CONVERGED
    again, nothing = run(band, spec, force_threshold=0.1, restore=loose.state())
    assert again.status == Status.CONVERGED
    assert nothing.seen == []
    assert again.result() == loose.result()
    tight, more = run(band, spec, force_threshold=0.02, restore=loose.state())
    assert tight.status == Status.CONVERGED
    assert tight.result().residual_force < 0.02
    assert set(seen.seen).isdisjoint(more.seen)
    assert tight.n_evaluations == len(seen.seen) + len(more.seen)


def test_step_limit_counts_steps_before_a_restart(hops):
    spec, band = emt(), hops('Au adatom')
    first, seen = run(band, spec, max_steps=4)
    assert first.status == Status.NOT_CONVERGED
    assert 'continue from the checkpoint' in first.message
    assert not first.band.info.converged
    second, more = run(band, spec, max_steps=7, restore=first.state())
    assert second.status == Status.NOT_CONVERGED
    assert second.n_steps == 7
    assert set(seen.seen).isdisjoint(more.seen)


def test_no_step_at_all(hops):
    task, evaluator = run(hops('Au adatom'), emt(), max_steps=0)
    assert task.status == Status.NOT_CONVERGED
    assert len(evaluator.seen) == hops('Au adatom').n_images
    assert np.isfinite(task.band.energies).all()


@pytest.mark.parametrize('optimiser', ['quasi_newton', 'fire'])
def test_no_step_of_an_atom_is_longer_than_allowed(hops, optimiser):
    settings = NebTask(
        label='path', optimiser=optimiser, max_step_length=0.02, max_steps=30, force_threshold=0.01, use_symmetry=False
    )
    task = NudgedElasticBand(settings, hops('Au adatom'), emt())
    evaluator = Counting(emt())
    longest, before = 0.0, task.state()['positions']
    while not task.finished:
        task.tell(evaluator.evaluate(task.ask()))
        now = task.state()['positions']
        longest, before = max(longest, np.linalg.norm(now - before, axis=2).max()), now
    assert longest == pytest.approx(0.02)


def test_a_band_without_a_saddle_converges_and_says_so():
    task, _ = run(line([[0, 0, 0], [2, 0, 0]], 5), surface('Slope'))
    assert task.status == Status.CONVERGED
    assert 'the first image is the highest' in task.message
    assert task.band.info.climbing is False
    assert task.result().climbing_image is None


def test_without_climbing():
    task, _ = run(line([[0, 0, 0], [3, 0, 0]], 6), surface('CurvedCosine'), climb=False)
    assert task.status == Status.CONVERGED
    assert task.band.info.climbing is False
    assert task.result().barriers[-1] < 0.39  # no image of six lies on the saddle


def told(task, barrier, force):
    """Tell a task of five images the energies of a hump and one force on all images."""
    energies = barrier * np.array([0, 0.5, 1, 0.5, 0])
    asked = energies if len(task.ask()) == 5 else energies[1:-1]
    task.tell([Evaluation(energy, np.array([[0.0, force, 0.0]])) for energy in asked])


def test_converged_band_is_the_one_returned_however_far_it_rose(tmp_path):
    settings = {'climb': False, 'force_threshold': 0.05}
    band, spec = line([[0, 0, 0], [3, 0, 0]], 5), surface('CurvedCosine')
    task = NudgedElasticBand(NebTask(label='path', **settings), band, spec)
    told(task, 0.5, 1.0)
    told(task, 3.5, 0.01)  # images fell from a valley onto a ridge and are at rest there
    assert task.status == Status.CONVERGED
    assert task.band.info.converged
    assert task.band.energies.max() == task.result().barriers[-1] == 3.5
    assert task.result().residual_force == task.band.info.residual_force == pytest.approx(0.01)

    task = NudgedElasticBand(NebTask(label='path', **settings, max_steps=1), band, spec)
    told(task, 0.5, 1.0)
    told(task, 3.5, 0.1)
    assert task.status == Status.NOT_CONVERGED
    assert task.band.energies.max() == 0.5  # the last good band
    write_checkpoint(tmp_path / 'c.npz', {'path': task.state()}, {'path': 'x'})
    looser = NudgedElasticBand(NebTask(label='path', **settings | {'force_threshold': 0.2}), band, spec)
    looser.restore(read_checkpoint(tmp_path / 'c.npz', {'path': 'x'})['path'])
    assert looser.status == Status.CONVERGED
    assert looser.band.energies.max() == 3.5


def test_uneven_images_do_not_count_as_converged():
    band = line([[0, 0, 0], [3, 0, 0]], 7)
    positions = np.array(band.positions)
    positions[:, 0, 0] = [0, 0.1, 0.2, 0.3, 0.4, 0.5, 3.0]
    task, _ = run(band.replace(positions=positions), surface('Slope'), force_threshold=5.0, climb=False)
    assert task.status == Status.CONVERGED
    assert task.n_steps > 0  # the forces were below the threshold from the start
    assert task.result().spacing < 0.3


def test_climbing_image_that_falls_onto_its_neighbour():
    band = line([[0, 0, 0], [6, 0, 0]], 7)
    settings = {'spring_constant': 1e-6, 'max_step_length': 0.01, 'force_threshold': 1e-6, 'use_symmetry': False}
    task, _ = run(band, surface('Sawtooth'), optimiser='fire', **settings)
    assert task.status == Status.COLLAPSED
    assert 'images 2 and 3 fell onto each other' in task.message
    steps = np.linalg.norm(np.diff(task.band.positions[:, 0], axis=0), axis=1)
    assert steps.min() > 0.05 * steps.mean()  # the last good band


def test_equal_images_are_refused_before_anything_is_evaluated():
    band = line([[0, 0, 0], [3, 0, 0]], 5)
    positions = np.array(band.positions)
    positions[2] = positions[1]
    task, evaluator = run(band.replace(positions=positions), surface('CurvedCosine'))
    assert task.status == Status.COLLAPSED
    assert 'images 1 and 2' in task.message
    assert evaluator.seen == []


@pytest.mark.parametrize(('name', 'reason'), [('Ridge', 'above its lowest value'), ('Cliff', 'a force of')])
def test_divergence(name, reason):
    band = line([[0, 0, 0], [3, 0, 0]], 5)
    positions = np.array(band.positions)
    positions[1:-1, 0, 1] = 0.01
    task, _ = run(band.replace(positions=positions), surface(name), force_threshold=1e-6)
    assert task.status == Status.DIVERGED
    assert reason in task.message
    assert task.n_steps < 100
    assert np.abs(task.band.positions[:, 0, 1]).max() < 1.0  # the last good band


@pytest.mark.parametrize(('after', 'status'), [(3, Status.FAILED), (20, Status.DIVERGED)])
def test_not_a_number(after, status):
    start, _ = stationary(MINIMUM)
    end, _ = stationary(OTHER_MINIMUM)
    task, _ = run(line([start, end], 7), surface('Broken', after=after))
    assert task.status == status
    assert 'not finite for structure 3' in task.message
    assert np.isfinite(task.band.positions).all()
    assert np.isfinite(task.band.energies).all() == (status == Status.DIVERGED)
    assert not task.band.info.converged


def test_refused_bands():
    settings, spec = NebTask(label='path'), surface('CurvedCosine')
    band = line([[0, 0, 0], [3, 0, 0]], 5)
    with pytest.raises(ValueError, match='no image between'):
        NudgedElasticBand(settings, line([[0, 0, 0], [3, 0, 0]], 2), spec)
    with pytest.raises(ValueError, match='has the charge -1'):
        NudgedElasticBand(settings, band.replace(charge=-1.0), spec)
    lattices = np.stack([band.lattice * (1 + 0.01 * image) for image in range(5)])
    with pytest.raises(ValueError, match='different lattices'):
        NudgedElasticBand(settings, band.replace(lattice=lattices), spec)


def test_atoms_on_top_of_each_other(hops):
    band = hops('Au adatom')
    positions = np.array(band.positions)
    for apart in (0.0, OVERLAP - 0.01):
        positions[2, 4] = positions[2, 7] + band.lattice[0] + [0, 0, apart]
        with pytest.raises(ValueError, match=r'Au4 and Au7 \(counted from 0\) of image 2'):
            NudgedElasticBand(NebTask(label='path'), band.replace(positions=positions), emt())
