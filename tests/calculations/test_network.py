"""Calcfunctions of a network: which hops it has, and the barrier for transport by the energies of whole paths."""

import pytest
from aiida.orm import Dict
from pymatgen.core import Lattice, Structure
from systems import computed_band

from aiida_embarrier.calculations.network import create_network, summarise_network
from aiida_embarrier.calculations.paths import divide_hops, resolve_hops
from aiida_embarrier.data.band import BandData
from aiida_embarrier.data.convert import node_from_structure

pytestmark = pytest.mark.usefixtures('aiida_profile')


@pytest.fixture
def crystal():
    """Return a crystal whose shortest hop leads through an oxygen atom."""
    lattice = Lattice.orthorhombic(3.0, 4.0, 5.0)
    return node_from_structure(Structure(lattice, ['Li', 'O'], [[0, 0, 0], [0.5, 0.05, 0]]))[0]


def test_hops_through_atoms_are_left_out_unless_named(crystal):
    chosen, left_out = divide_hops(crystal, {'ion': 'Li'})
    assert [hop.number for hop in left_out] == [0]
    assert 0 not in [hop.number for hop in chosen]
    assert [hop.number for hop in resolve_hops(crystal, {'ion': 'Li', 'numbers': [1, 0]})] == [0, 1]
    with pytest.raises(ValueError, match=r'hop\(s\) 0 left out: .* there are no others'):
        resolve_hops(crystal, {'ion': 'Li', 'max_length': 3.5})


def test_network_says_what_it_left_out_and_counts_from_the_lowest_image(crystal):
    hops = Dict({'ion': 'Li', 'max_length': 4.5})
    made = create_network(crystal, hops, Dict({'min_image_distance': 8.0}))
    assert made['plan']['left_out'] == [0]
    assert list(made['plan']['hops']) == ['hop_1']
    band = BandData(computed_band().replace(energies=[0.0, -0.08, 0.4, -0.08, 0.0]))
    summary = Dict(
        {
            'barriers': dict.fromkeys(('forward', 'reverse', 'rate_limiting', 'span'), 0.4),
            'residual_force': 0.04,
            'n_force_evaluations': 10,
            'warnings': [],
        }
    )
    table = summarise_network(
        crystal, hops, made['plan'], Dict({}), band_hop_1=band.store(), summary_hop_1=summary.store()
    )
    assert table['left_out'] == [0]
    assert table['percolation']['1']['barrier'] == pytest.approx(0.48)
