"""Parts of a path: other ends, joints."""

import numpy as np
import pytest
from systems import adatom_path, computed_band, straight_band, with_emt

from aiida_embarrier.bands.barriers import split_at_minima
from aiida_embarrier.bands.segments import ion_displacement, join, part, unwrapped, with_ends


@pytest.fixture(scope='module')
def path():
    return with_emt(adatom_path(), converged=True, residual_force=0.04, equivalent_endpoints=True)


def test_parts_joined_are_the_whole(path):
    whole = join(split_at_minima(path), equivalent_endpoints=True)
    np.testing.assert_array_equal(whole.positions, path.positions)
    np.testing.assert_array_equal(whole.energies, path.energies)
    np.testing.assert_array_equal(whole.forces, path.forces)
    assert whole.info == path.info


def test_part(path):
    piece = part(path, 2, 5)
    np.testing.assert_array_equal(piece.positions, path.positions[2:6])
    np.testing.assert_array_equal(piece.energies, path.energies[2:6])
    assert piece.info.equivalent_endpoints is None
    for first, last in ((-1, 3), (3, 3), (2, 9)):
        with pytest.raises(ValueError, match=f'no part from image {first} to image {last}'):
            part(path, first, last)


def test_joint_has_the_worst_of_its_parts(path):
    first, last = split_at_minima(path)
    first = first.replace(max_perpendicular_forces=np.full(5, 0.1), residual_force=0.1)
    last = last.replace(max_perpendicular_forces=np.full(5, 0.2), residual_force=0.2, converged=False)
    whole = join([first, last])
    assert whole.info.converged is False
    assert whole.info.residual_force == 0.2
    np.testing.assert_array_equal(whole.max_perpendicular_forces, [0.1] * 4 + [np.nan] + [0.2] * 4)
    unknown = join([first, last.replace(residual_force=None, converged=None, forces=None)])
    assert (unknown.info.converged, unknown.info.residual_force, unknown.forces) == (None, None, None)


def test_parts_that_are_wrapped_are_joined_as_they_are_meant(path):
    first, last = split_at_minima(path)
    wrapped = last.replace(positions=last.positions - path.lattice[0])
    np.testing.assert_allclose(join([first, wrapped]).positions, path.positions, atol=1e-12)


def test_parts_that_do_not_meet_are_refused(path):
    first, last = split_at_minima(path)
    moved = last.replace(positions=last.positions + np.array([0, 0, 0.2]))
    with pytest.raises(ValueError, match=r'part 1 does not begin where part 0 ends: an atom lies 0.200 Å away'):
        join([first, moved])
    with pytest.raises(ValueError, match='another lattice'):
        join([first, last.replace(lattice=1.1 * last.lattice)])
    with pytest.raises(ValueError, match='no part'):
        join([])


def test_path_follows_its_ends():
    band = straight_band(5)
    shift = np.zeros_like(band.positions[0])
    shift[3] = [0, 0.3, 0]
    # programs wrap positions as they like
    moved = with_ends(band, band.positions[0] + band.lattice[1], band.positions[-1] + shift - band.lattice[0], 9)
    assert moved.n_images == 9
    np.testing.assert_allclose(moved.positions[0], band.positions[0], atol=1e-12)
    np.testing.assert_allclose(moved.positions[-1], band.positions[-1] + shift, atol=1e-12)
    np.testing.assert_allclose(moved.positions[4], band.positions[2] + shift / 2, atol=1e-9)
    assert np.all(np.isnan(moved.energies))


def test_bent_path_stays_bent(path):
    moved = with_ends(path, path.positions[0], path.positions[-1], 17)
    np.testing.assert_allclose(moved.positions[::2], path.positions, atol=1e-9)


def test_path_without_images_between_is_relaxed_by_idpp():
    ends = computed_band()
    two = ends.replace(positions=ends.positions[[0, -1]], energies=None, forces=None, max_perpendicular_forces=None)
    moved = with_ends(two, two.positions[0], two.positions[-1], 5)
    straight = with_ends(ends, two.positions[0], two.positions[-1], 5)
    # the ion evades its neighbours, which make way
    assert np.abs(moved.positions[2] - straight.positions[2]).max() > 0.01


def test_ends_that_do_not_fit_are_refused(path):
    with pytest.raises(ValueError, match=r'has positions of the shape \(9, 3\), got \(8, 3\)'):
        with_ends(path, path.positions[0][:-1], path.positions[-1], 5)
    still = path.replace(positions=np.repeat(path.positions[:1], 9, axis=0))
    with pytest.raises(ValueError, match='the path has no length'):
        with_ends(still, path.positions[0], path.positions[0], 5)


def test_ion_displacement(path):
    assert ion_displacement(path, path.positions[0], path.positions[4]) == pytest.approx(4.05 / 2**0.5, abs=0.01)
    others = path.replace(mobile=())
    moved = path.positions[0].copy()
    moved[0] += [0, 0, 5]
    assert ion_displacement(path, path.positions[0], moved) == 0
    assert ion_displacement(others, path.positions[0], moved) == pytest.approx(5)
    # a relaxed structure is brought next to where it was before that
    back = unwrapped(path, 4, path.positions[4] + path.lattice[0])
    np.testing.assert_allclose(back, path.positions[4], atol=1e-12)
