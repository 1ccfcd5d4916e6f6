"""Paths that are their own mirror image."""

import numpy as np
import pytest
from pymatgen.core import Structure
from systems import straight_band

from aiida_embarrier.bands.interpolation import interpolate
from aiida_embarrier.structures.endpoints import make_endpoints
from aiida_embarrier.structures.hops import find_hops
from aiida_embarrier.structures.mirror import find_mirror
from aiida_embarrier.structures.reading import read_structure

EXAMPLE = 'examples/LiFePO4.cif'


def olivine_band(n_images=5, **settings):
    """Return the band of the shortest lithium hop of LiFePO4, and the hop."""
    structure = read_structure(EXAMPLE)
    hop = find_hops(structure, 'Li')[0]
    return interpolate(make_endpoints(structure, hop, supercell=[1, 2, 1]).band(), n_images, **settings), hop


def test_symmetric_hop_has_a_mirror():
    band, hop = olivine_band()
    assert hop.symmetric
    mirror = find_mirror(band)
    np.testing.assert_array_equal(mirror.targets[mirror.targets], np.arange(band.n_atoms))
    for image in range(band.n_images):
        np.testing.assert_allclose(mirror.positions(band.positions[image]), band.positions[-1 - image], atol=0.01)
    # forces turn with the positions: those of the first image, taken twice, are as they were
    forces = np.random.default_rng(1).normal(size=band.positions[0].shape)
    np.testing.assert_allclose(mirror.forces(mirror.forces(forces)), forces, atol=1e-9)
    small = band.positions[1] + 1e-3 * forces
    np.testing.assert_allclose(
        mirror.positions(small) - mirror.positions(band.positions[1]), 1e-3 * mirror.forces(forces), atol=1e-9
    )


def test_symmetrised_path_keeps_its_ends():
    band, _ = olivine_band()
    mirror = find_mirror(band)
    positions = band.positions + np.random.default_rng(2).normal(scale=0.01, size=band.positions.shape)
    path = mirror.symmetrised(positions)
    np.testing.assert_array_equal(path[[0, -1]], positions[[0, -1]])
    np.testing.assert_array_equal(path[1], positions[1])
    for image in (1, 2):
        np.testing.assert_allclose(mirror.positions(path[image]), path[-1 - image], atol=1e-9)


def test_waypoint_on_one_side_breaks_the_mirror():
    band, _ = olivine_band()
    ion = band.positions[:, band.mobile[0]]
    waypoint = ion[1] + [0.6, 0.0, 0.3]
    led, _ = olivine_band(waypoints=[waypoint.tolist()], method='linear')
    assert find_mirror(led) is None


def test_hop_between_unlike_sites_has_none():
    """Sites of the interstitial hop below differ, and no operation takes one to the other."""
    host = Structure.from_spacegroup('Fm-3m', np.eye(3) * 4.05, ['Al'], [[0, 0, 0]])
    ends = []
    for coords in ([0.5, 0.5, 0.5], [0.25, 0.25, 0.25]):
        end = host.copy()
        end.append('H', coords)
        ends.append(end)
    from aiida_embarrier.bands.band import Band

    assert find_mirror(interpolate(Band.from_structures(ends, [4]), 5)) is None


def test_lattices_that_differ_along_the_path_have_none():
    band = straight_band(5)
    lattices = np.stack([band.lattice * (1 + 0.01 * image) for image in range(5)])
    assert find_mirror(band.replace(lattice=lattices)) is None


@pytest.mark.parametrize('n_images', [3, 4, 7])
def test_straight_vacancy_hop(n_images):
    assert find_mirror(straight_band(n_images)) is not None
