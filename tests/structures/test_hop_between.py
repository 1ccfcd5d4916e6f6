"""The hop between two sites: which distinct hop it is, and to which image it leads."""

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from aiida_embarrier.structures.charge_states import set_charge_state
from aiida_embarrier.structures.endpoints import make_endpoints
from aiida_embarrier.structures.hop_between import hop_between
from aiida_embarrier.structures.hops import find_hops


def test_every_pair_of_neighbours_is_one_of_the_distinct_hops(olivine):
    hops = {hop.number: hop for hop in find_hops(olivine, 'Li', max_length=6.5)}
    lithium = [index for index, site in enumerate(olivine) if site.specie.symbol == 'Li']
    numbers = set()
    for first in lithium:
        for second in lithium:
            if first == second:
                continue
            found = hop_between(olivine, 'Li', first, second)
            assert found.distinct == hops[found.hop.number]
            assert (found.hop.initial.index, found.hop.final.index) == (first, second)
            nearest = olivine[first].distance(olivine[second])
            assert found.hop.length == pytest.approx(nearest, abs=1e-3)
            actual = np.linalg.norm(found.hop.displacement @ olivine.lattice.matrix)
            assert actual == pytest.approx(found.hop.length, abs=1e-3)
            numbers.add(found.hop.number)
    assert min(numbers) == 0
    assert len(numbers) == 3
    assert hop_between(olivine, 'Li', 0, 0).hop.number == 1  # along c to its own image


def test_of_several_nearest_images_the_lowest_number_is_taken(olivine):
    # along b both images of the second site are half a cell away
    found = hop_between(olivine, 'Li', 0, 2)
    assert found.alternatives == 1
    assert found.hop.number == 0
    assert found.hop.direction in {'[010]', '[0 -1 0]'}


def test_coordinates_name_a_site_and_where_it_stands(olivine):
    near = hop_between(olivine, 'Li', [0.01, 0, 0], [0, 0.49, 0])
    assert near.hop.number == 0
    far = hop_between(olivine, 'Li', [0, 0, 0], [0, 1, 0], as_written=True, through=True)
    assert far.hop.length == pytest.approx(olivine.lattice.b)
    assert far.hop.final.image == (0, 1, 0)
    with pytest.raises(ValueError, match='two hops in a row'):
        hop_between(olivine, 'Li', [0, 0, 0], [0, 1, 0], as_written=True)
    shifted = hop_between(olivine, 'Li', [1, 0, 0], [1, 0.5, 0], as_written=True)
    assert shifted.hop.number == 0


def test_hop_to_the_image_of_the_same_site():
    crystal = Structure(Lattice.orthorhombic(3.0, 4.0, 5.0), ['Li', 'O'], [[0, 0, 0], [0.5, 0.5, 0.5]])
    found = hop_between(crystal, 'Li', 0, 0)
    assert found.hop.length == pytest.approx(3.0)
    assert found.hop.number == 0
    assert found.hop.direction in {'[100]', '[-1 0 0]'}


def test_endpoints_of_the_given_hop_have_the_ion_there(olivine):
    hop = hop_between(olivine, 'Li', 3, 1).hop
    ends = make_endpoints(olivine, hop, supercell=[1, 2, 2])
    start, goal = ends.initial[0].coords, ends.final[0].coords
    wanted = (olivine[3].frac_coords, olivine[1].frac_coords)
    for position, site in zip((start, goal), wanted, strict=True):
        offset = olivine.lattice.get_fractional_coords(position) - site
        np.testing.assert_allclose(offset, np.rint(offset), atol=1e-6)
    assert np.linalg.norm(goal - start) == pytest.approx(hop.length, abs=1e-3)


def test_interstitial_hops_between_sites_that_were_emptied(olivine):
    charged = set_charge_state(olivine, 'Li', 'charged')
    found = hop_between(charged.structure, 'Li', 0, 2, mechanism='interstitial', sites=charged.sites)
    full = hop_between(olivine, 'Li', 0, 2)
    assert found.hop.length == pytest.approx(full.hop.length)
    assert found.hop.number == full.hop.number
    by_place = hop_between(
        charged.structure, 'Li', charged.sites[0], charged.sites[2], mechanism='interstitial', sites=charged.sites
    )
    assert by_place.distinct.number == found.distinct.number


@pytest.mark.parametrize(
    ('first', 'second', 'settings', 'message'),
    [
        (0, 5, {}, r'Fe \(site 5 at .*\) is no Li: the sites of Li are \[0, 1, 2, 3\]'),
        (0, 99, {}, 'site 99 is no Li'),
        ([0.25, 0.25, 0.25], 0, {}, r'no site of Li within 0.5 Å of \[0.25, 0.25, 0.25\]: the nearest'),
        ([0, 0], 0, {}, 'three fractional coordinates'),
        ([0, 0, 0], [0, 0, 0], {'as_written': True}, 'are one site'),
        (0, 1, {'mechanism': 'interstitial'}, 'no interstitial site 0: none is given'),
        (0, 1, {'mechanism': 'hopping'}, 'unknown mechanism'),
    ],
)
def test_what_is_no_hop_is_refused(olivine, first, second, settings, message):
    with pytest.raises(ValueError, match=message):
        hop_between(olivine, 'Li', first, second, **settings)
