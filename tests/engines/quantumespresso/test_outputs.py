"""Reading what neb.x 6.7 wrote, whole and cut off."""

import numpy as np
import pytest

from aiida_embarrier.engines.quantumespresso.outputs import complete_iterations, read_neb_output, read_pw_output


def test_converged_run(run):
    text, images = run
    output = read_neb_output(text)
    assert (output.version, output.ended, output.converged, output.out_of_steps) == ('6.7MaX', True, True, False)
    iterations = complete_iterations([read_pw_output(image) for image in images])
    assert len(iterations) == len(output.threshold_errors)
    assert output.n_evaluations == 2 + 5 * len(iterations)
    # the energies in the last table of neb.x
    rows = text.split('image        energy (eV)')[-1].splitlines()[2:9]
    assert [entry.energy for entry in iterations[-1]] == pytest.approx(
        [float(row.split()[1]) for row in rows], abs=2e-6
    )
    assert output.wall_s > 0


def test_forces_are_those_of_the_path_file(run):
    """Which holds gradients in Hartree and Bohr, and positions with more digits."""
    from pathlib import Path

    images = [read_pw_output(image) for image in run[1]]
    last = complete_iterations(images)[-1]
    path = (Path(__file__).resolve().parents[3] / 'examples' / 'neb_x_h2_h' / 'H2+H.path').read_text()
    block = path.split('Image:    3\n')[1].splitlines()[1:4]
    values = np.array([[float(word) for word in line.split()[:6]] for line in block])
    assert np.allclose(last[2].positions, values[:, :3] * 0.529177210903, atol=1e-8)
    moving = values[:, 3] != 0  # gradients of fixed atoms are left out there
    assert np.allclose(last[2].forces[moving], -values[moving, 3:] * 27.211386245988 / 0.529177210903, atol=1e-5)


def test_moments_of_6_7_and_7():
    block = '     coordinates at iteration   0\n\nATOMIC_POSITIONS (angstrom)\n' + ''.join(
        f'{name}  {x:.10f}  0.0000000000  0.0000000000\n' for name, x in (('Mn1', 0.0), ('O', 2.0))
    )
    old = block + '     atom:    1    charge:    0.1    magn:    3.9000    constr:    0.0\n' * 1
    old += '     atom:    2    charge:    0.1    magn:   -0.1000    constr:    0.0\n'
    new = block + '     atom   1 (R=0.357)  charge= 12.3010  magn=  3.9000\n'
    new += '     atom   2 (R=0.300)  charge=  4.0010  magn= -0.1000\n'
    for text in (old, new):
        assert read_pw_output(text)[0].moments == pytest.approx([3.9, -0.1])


def test_run_that_was_killed_keeps_its_complete_iterations(run):
    images = list(run[1])
    # image 4 was in the middle of iteration 3 (the fourth), the later images still at the one before
    starts = [image.index('coordinates at iteration   3') for image in images[1:-1]]
    cut = [images[0], *(image[: start - 5] for image, start in zip(images[1:-1], starts, strict=True)), images[-1]]
    cut[2] = images[2][: starts[1] + 2500]
    found = [read_pw_output(image) for image in cut]
    assert len(complete_iterations(found)) == 3
    assert 3 in found[2]
    assert not found[2][3].is_complete


def test_killed_before_the_endpoints_were_done(run):
    images = ['', *run[1][1:]]
    assert complete_iterations([read_pw_output(image) for image in images]) == []


def test_image_that_was_begun_twice_counts_once(run):
    """As after a restart: the last time is the one that holds."""
    block = run[1][2][: run[1][2].index('coordinates at iteration   1')]
    aborted = block[: block.index('Self-consistent Calculation')] + '     Maximum CPU time exceeded\n'
    assert read_pw_output(aborted)[0].out_of_time
    found = read_pw_output(aborted + block)
    assert list(found) == [0]
    assert found[0].is_complete
    assert not found[0].out_of_time


@pytest.mark.parametrize(
    ('end', 'found'),
    [
        ('\n     WARNING :  scf convergence NOT achieved on image   5\n', {'failed_image': 4}),
        ('\n     neb: reached the maximum number of steps\n', {'out_of_steps': True}),
        (
            'Warning: card HUBBARD (ORTHO-ATOMIC) ignored\nWarning: card U H1-1S 1.0 ignored\n',
            {'ignored_cards': ['HUBBARD', 'U']},
        ),
        (
            ' %%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%\n'
            '     Error in routine cdiaghg (12):\n      S matrix not positive definite\n'
            ' %%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%\n',
            {'errors': ['Error in routine cdiaghg (12): S matrix not positive definite']},
        ),
        ('     NEB          :   1h 2m CPU   1d 1h 3m 2.50s WALL\n', {'wall_s': 90182.5}),
    ],
)
def test_ends(end, found):
    output = read_neb_output('     Program NEB v.7.4 starts on ...\n' + end)
    assert not output.ended
    assert {name: getattr(output, name) for name in found} == found
    assert output.version == '7.4'


def test_numbers_without_room(run):
    """Atoms on top of each other have forces for which Fortran prints stars."""
    block = run[1][2][: run[1][2].index('coordinates at iteration   1')]
    force = block[block.index('atom    1 type  1   force =') :].split()[6]
    assert read_pw_output(block)[0].is_complete
    assert not read_pw_output(block.replace(force, '*' * 14))[0].is_complete
    table = run[0].split('frozen')[1]
    error = table.split('\n')[3].split()[2]
    output = read_neb_output(run[0].replace(error, '*' * 14))
    assert output.threshold_errors[0] is None
    assert None not in output.threshold_errors[1:]
