"""Reading OUTCARs: every step, whatever is missing."""

import lzma

import numpy as np
import pytest

from aiida_embarrier.bands.vasp_outcar import read_outcar


def steps_of(n_steps, n_atoms=3, **further):
    random = np.random.default_rng(7)
    return [
        {
            'positions': random.uniform(0, 9, (n_atoms, 3)).round(5),
            'forces': random.normal(size=(n_atoms, 3)).round(6),
            'energy': -20.0 - number,
            'moments': [4.0, -4.0, 0.0],
            **further,
        }
        for number in range(n_steps)
    ]


def read(text):
    return read_outcar(text.splitlines(keepends=True))


def test_every_step_is_read(write_outcar):
    steps = steps_of(3, lattice=np.diag([5.0, 6.0, 7.0]))
    run = read(write_outcar(steps, accurate=True))
    assert (run.finished, run.reached_accuracy, run.nelm, run.nsw, run.n_cores) == (True, True, 100, 50, 16)
    assert (run.version, run.elapsed_s, run.wall_s) == ('vasp.6.4.2', 123.456, 123.456)
    assert len(run.steps) == 3
    for step, expected in zip(run.steps, steps, strict=True):
        assert step.energy == expected['energy']
        assert np.array_equal(step.positions, expected['positions'])
        assert np.array_equal(step.forces, expected['forces'])
        assert np.array_equal(step.moments, expected['moments'])
        assert np.array_equal(step.lattice, expected['lattice'])
        assert step.n_electronic == 12
    assert run.scf_converged(-1)


def test_a_file_may_end_anywhere(write_outcar):
    steps = steps_of(3)
    text = write_outcar(steps, finished=False)
    ends = sorted({*range(0, len(text), 97), len(text)})
    counts = []
    for end in ends:
        run = read(text[:end])
        assert not run.finished
        for step, expected in zip(run.steps, steps, strict=False):
            assert np.array_equal(step.forces, expected['forces'])
            assert step.is_finite
        counts.append(len(run.steps))
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (0, 3)
    assert read(text).wall_s == 30.0  # what its steps took, as there is no end


def test_electrons_that_do_not_converge(write_outcar):
    steps = steps_of(2)
    steps[1]['n_electronic'] = 60
    run = read(write_outcar(steps, nelm=60))
    assert [run.scf_converged(index) for index in (0, 1)] == [True, False]


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_what_is_no_number_is_seen(write_outcar, value):
    steps = steps_of(2)
    steps[1]['forces'][1, 2] = value
    run = read(write_outcar(steps))
    assert [step.is_finite for step in run.steps] == [True, False]


def test_stars_of_fortran_are_no_number(write_outcar):
    text = write_outcar(steps_of(1)).replace(
        'energy(sigma->0) =    -20.00000000', 'energy(sigma->0) =  ***************'
    )
    assert '***' in text
    assert not read(text).steps[0].is_finite


def test_projected_forces_are_made_true_again(write_outcar):
    (step,) = steps_of(1)
    tangent = np.random.default_rng(1).normal(size=(3, 3))
    tangent /= np.linalg.norm(tangent)
    along = float(np.vdot(step['forces'], tangent))
    true = step['forces']
    as_they_are = read(write_outcar([{**step, 'tangent': tangent, 'along': along}], vtst=True))
    assert np.array_equal(as_they_are.steps[0].forces, true)
    projected = true - along * tangent + 0.1 * tangent  # what drives the band: springs along it
    found = read(write_outcar([{**step, 'forces': projected, 'tangent': tangent, 'along': along}], vtst=True))
    assert found.vtst
    assert np.allclose(found.steps[0].forces, true, atol=2e-5)


def test_a_real_outcar(shared_data):
    with lzma.open(shared_data / 'neb_vasp_fixtures' / 'pymatgen_neb1' / '00' / 'OUTCAR.xz', 'rt') as handle:
        text = handle.read()
    run = read(text)
    from io import StringIO

    from aiida_vasp.parsers.content_parsers.outcar import _parse_neb_outputs

    theirs = _parse_neb_outputs(StringIO(text))
    assert run.finished
    assert run.steps[-1].energy == theirs['total_energies']['energy_extrapolated']
    assert np.array_equal(run.steps[-1].forces, theirs['forces'])
    assert np.array_equal(run.steps[-1].positions, theirs['outcar_positions'])
    assert run.n_cores > 1
    assert run.elapsed_s > 0
