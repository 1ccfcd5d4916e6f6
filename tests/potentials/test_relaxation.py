"""Relaxations: against ASE's, and against interruptions."""

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS
from potential_systems import Counting, emt, surface

from aiida_embarrier.jobs.schemas import Geometry, RelaxTask, Status
from aiida_embarrier.potentials.checkpoint import read_checkpoint, write_checkpoint
from aiida_embarrier.potentials.driver import run_tasks
from aiida_embarrier.potentials.evaluator import Evaluation
from aiida_embarrier.potentials.relaxation import Relaxation


def geometry(atoms, **entries):
    return Geometry(
        lattice=atoms.cell.array.tolist(),
        elements=atoms.get_chemical_symbols(),
        positions=atoms.positions.tolist(),
        **entries,
    )


@pytest.fixture(scope='module')
def rattled():
    """A strained and rattled crystal of Cu and Au, 4 atoms."""
    atoms = bulk('Cu', cubic=True)
    atoms.symbols[:1] = 'Au'
    strain = np.array([[0.02, 0.03, 0], [0, -0.02, 0.01], [0, 0, 0.04]])
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    atoms.rattle(0.1, seed=1)
    return atoms


def run(atoms, spec=None, stop_after=None, restore=None, **settings):
    spec = spec or emt()
    task = Relaxation(RelaxTask(label='crystal', structure=geometry(atoms), **settings))
    if restore is not None:
        task.restore(restore)
    evaluator = Counting(spec)
    stop = (lambda _: None) if stop_after is None else lambda _: 'stopped' if evaluator.calls >= stop_after else None
    run_tasks([task], evaluator, reason_to_stop=stop)
    return task, evaluator


@pytest.mark.parametrize('cell', ['fixed', 'full'])
def test_relaxed_structure_is_that_of_ase(rattled, cell):
    reference = rattled.copy()
    reference.calc = EMT()
    BFGS(reference if cell == 'fixed' else FrechetCellFilter(reference), logfile=None).run(fmax=1e-3, steps=300)
    task, evaluator = run(rattled, cell=cell, force_threshold=1e-3, stress_threshold=1e-5)
    result = task.result()
    assert result.status == Status.CONVERGED, result.message
    assert result.energy == pytest.approx(reference.get_potential_energy(), abs=1e-4)
    assert result.max_force < 1e-3
    assert result.energies[-1] == result.energy
    assert result.n_evaluations == result.n_steps + 1 == len(result.energies) == len(set(evaluator.seen))
    if cell == 'full':
        assert result.max_stress < 1e-5
        lengths = np.linalg.norm(result.structure.lattice, axis=1)
        np.testing.assert_allclose(lengths, reference.cell.lengths(), atol=5e-3)
    else:
        assert result.max_stress is None
        assert result.structure.lattice == rattled.cell.array.tolist()


@pytest.mark.parametrize('cell', ['fixed', 'full'])
@pytest.mark.parametrize('stop_after', [1, 7])
def test_interrupted_relaxation_goes_on_as_if_it_had_not_been(rattled, tmp_path, cell, stop_after):
    settings = {'cell': cell, 'force_threshold': 0.01, 'stress_threshold': 1e-4}
    whole, all_seen = run(rattled, **settings)
    first, seen = run(rattled, stop_after=stop_after, **settings)
    assert first.status == Status.INTERRUPTED
    write_checkpoint(tmp_path / 'c.npz', {'crystal': first.state()}, {'crystal': 'x'})
    state = read_checkpoint(tmp_path / 'c.npz', {'crystal': 'x'})['crystal']
    second, seen_later = run(rattled, restore=state, **settings)
    assert seen.seen + seen_later.seen == all_seen.seen
    assert second.result() == whole.result()


def test_more_steps_after_the_step_limit(rattled):
    first, seen = run(rattled, max_steps=2, force_threshold=1e-3)
    assert first.status == Status.NOT_CONVERGED
    assert 'largest force' in first.message
    second, later = run(rattled, max_steps=200, force_threshold=1e-3, restore=first.state())
    assert second.status == Status.CONVERGED
    assert set(seen.seen).isdisjoint(later.seen)


def test_single_evaluation(rattled):
    task, evaluator = run(rattled, max_steps=0)
    result = task.result()
    assert result.status == Status.NOT_CONVERGED
    assert len(evaluator.seen) == result.n_evaluations == 1
    np.testing.assert_array_equal(result.structure.positions, rattled.positions)
    assert result.energy == evaluator.model.evaluate([rattled])[0].energy


def test_no_step_of_an_atom_is_longer_than_allowed(rattled):
    task = Relaxation(RelaxTask(label='crystal', structure=geometry(rattled), max_step_length=0.01))
    evaluator = Counting(emt())
    steps, before = [], rattled.positions
    while not task.finished:
        asked = task.ask()
        steps.append(np.linalg.norm(asked[0].positions - before, axis=1).max())
        before = asked[0].positions
        task.tell(evaluator.evaluate(asked))
    assert max(steps) == pytest.approx(0.01)


def test_magnetic_moments_stay(rattled):
    moments = [1.0, -1.0] * 2
    task = Relaxation(RelaxTask(label='a', structure=geometry(rattled, magnetic_moments=moments), max_steps=0))
    asked = task.ask()
    assert asked[0].get_initial_magnetic_moments().tolist() == moments
    task.tell(Counting(emt()).evaluate(asked))
    assert task.result().structure.magnetic_moments == moments


@pytest.mark.parametrize(('after', 'status'), [(0, Status.FAILED), (2, Status.DIVERGED)])
def test_not_a_number(after, status):
    atoms = bulk('Li') * (2, 2, 2)
    task, _ = run(atoms, surface('Broken', after=after))
    result = task.result()
    assert result.status == status
    assert 'not finite for structure 0' in result.message
    assert (result.energy is None) == (status == Status.FAILED)


def test_refused_element():
    atoms = bulk('Li') * (2, 2, 2)
    task, _ = run(atoms)
    assert task.status == Status.FAILED
    assert 'Li' in task.message
    assert task.result().structure == geometry(atoms)


def test_divergence_returns_the_last_good_structure():
    atoms = bulk('Li') * (3, 3, 3)
    atoms.positions[0, 1] = 0.05
    task, _ = run(atoms, surface('Ridge'), force_threshold=1e-6)
    result = task.result()
    assert result.status == Status.DIVERGED
    assert 'last good structure' in result.message
    assert result.energy < min(result.energies) + 2.0 < result.energies[-1]


def test_atoms_on_top_of_each_other(rattled):
    atoms = rattled.copy()
    atoms.positions[3] = atoms.positions[1] + atoms.cell[1]
    with pytest.raises(ValueError, match=r'Cu1 and Cu3 \(counted from 0\) of the structure'):
        run(atoms)


def test_tasks_share_rounds(rattled):
    tasks = [
        Relaxation(RelaxTask(label='fixed', structure=geometry(rattled))),
        Relaxation(RelaxTask(label='full', structure=geometry(rattled), cell='full')),
    ]
    apart = [run(rattled)[0], run(rattled, cell='full')[0]]
    saved = []
    run_tasks(tasks, Counting(emt()), on_checkpoint=lambda: saved.append([task.n_steps for task in tasks]))
    for task, alone in zip(tasks, apart, strict=True):
        assert task.result().energies == alone.result().energies
    # writing is cheaper than evaluating here, so nothing is ever more than a step behind
    assert saved[0] == [1, 0]
    assert saved[1] == [1, 1]
    assert saved[-1] == [task.n_steps for task in tasks]


def test_converged_structure_is_the_one_returned_however_far_it_rose(rattled):
    task = Relaxation(RelaxTask(label='crystal', structure=geometry(rattled)))
    for energy, force in ((0.0, 1.0), (3.0, 0.01)):
        last = task.ask()[0]
        task.tell([Evaluation(energy, np.tile([0.0, force, 0.0], (len(rattled), 1)))])
    result = task.result()
    assert result.status == Status.CONVERGED
    assert (result.energy, result.max_force) == (3.0, 0.01)
    np.testing.assert_array_equal(result.structure.positions, last.positions)
