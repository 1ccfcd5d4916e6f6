"""A small published graph: bands that a calcfunction made, in a group."""

import pytest
from systems import computed_band


@pytest.fixture
def make_band(aiida_profile_clean):
    """Return a function that makes a band by a calcfunction, from a node with its highest energy."""
    from aiida.engine import calcfunction
    from aiida.orm import Float

    from aiida_embarrier.data.band import BandData

    @calcfunction
    def compute(top):
        return BandData(computed_band().replace(energies=[0.0, 0.3, top.value, 0.35, 0.1]))

    def make(top=0.6, label=''):
        band = compute(Float(top))
        band.label = label
        return band

    return make


@pytest.fixture
def group(make_band):
    """Return a group with two bands and a Dict."""
    from aiida.orm import Dict, Group

    found = Group('paper').store()
    found.add_nodes([make_band(0.6, 'first'), make_band(0.1 + 0.2, 'second'), Dict({'answer': 42}).store()])
    return found
