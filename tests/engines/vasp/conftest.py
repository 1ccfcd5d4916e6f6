"""Crystals that the tests of the vasp engine share."""

import pytest
from pymatgen.core import Structure

from aiida_embarrier.bands.band import Band, BandInfo
from aiida_embarrier.engines.base import get_engine


@pytest.fixture
def protocol():
    """Return a function that resolves protocols of the engine."""

    def resolve(name=None, **overrides):
        return get_engine('vasp').resolve_protocol(name, overrides)

    return resolve


@pytest.fixture
def spinel():
    """Return antiferromagnetic MgMn2O4 in the cubic cell, 56 atoms, moments alternating along the list of Mn."""
    structure = Structure.from_spacegroup(
        'Fd-3m:2', [[8.5, 0, 0], [0, 8.5, 0], [0, 0, 8.5]], ['Mg', 'Mn', 'O'], [[0.125] * 3, [0.5] * 3, [0.2632] * 3]
    )
    sign, moments = 1, []
    for site in structure:
        moments.append(4.0 * sign if site.specie.symbol == 'Mn' else 0.0)
        sign = -sign if site.specie.symbol == 'Mn' else sign
    structure.add_site_property('magmom', moments)
    return structure


@pytest.fixture
def shuffled(spinel):
    """Return the spinel with its sites in an order that is none of VASP's."""
    order = [
        (7 * index) % len(spinel) if len(spinel) % 7 else (5 * index) % len(spinel) for index in range(len(spinel))
    ]
    assert sorted(order) == list(range(len(spinel)))
    return Structure.from_sites([spinel[index] for index in order])


@pytest.fixture
def skewed_band():
    """Return a band of a Li ion that moves further than half of a strongly skewed cell, between two kinds of Mn."""
    lattice = [[4.0, 0.0, 0.0], [-3.4, 4.1, 0.0], [1.2, -1.7, 6.0]]
    ends = [
        Structure(
            lattice,
            ['Mn', 'Li', 'O', 'Mn'],
            [[0.1, 0.2, 0.05], [0.5, 0.5, 0.5], [0.02, 0.75, 0.6], [0.9, 0.85, 0.9]],
            site_properties={'magmom': [4.0, 0.0, 0.0, -4.0]},
        )
        for _ in range(2)
    ]
    ends[1].translate_sites([1], [1.1, 0.6, 0.1], to_unit_cell=False)
    band = Band.from_structures(ends, mobile=[1], info=BandInfo(mechanism='interstitial', host='MnO'))
    weights = [[[weight]] for weight in (0, 0.25, 0.5, 0.75, 1)]
    positions = band.positions[0] + weights * (band.positions[1] - band.positions[0])
    return Band(
        kinds=band.kinds,
        kind_indices=band.kind_indices,
        lattice=band.lattice,
        positions=positions,
        mobile=band.mobile,
        info=band.info,
    )
