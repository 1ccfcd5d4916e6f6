"""Bands to draw."""

from pathlib import Path

import numpy as np
import pytest

from aiida_embarrier.bands import Band
from aiida_embarrier.structures.endpoints import make_endpoints
from aiida_embarrier.structures.hops import find_hops
from aiida_embarrier.structures.reading import read_structure

LIFEPO4 = Path(__file__).resolve().parents[2] / 'examples' / 'LiFePO4.cif'
ENERGIES = np.array([-838.489, -838.427, -838.330, -838.318, -838.336, -838.431, -838.469])


@pytest.fixture(scope='session')
def lifepo4() -> Band:
    """Return a band of the hop along b in LiFePO4, bent as the real path is, with energies like those of CHGNet."""
    host = read_structure(LIFEPO4)
    ends = make_endpoints(host, find_hops(host, 'Li')[0]).band(
        engine='potential', potential='chgnet-0.3.0', climbing=True, converged=True, residual_force=0.04
    )
    fractions = np.linspace(0, 1, len(ENERGIES))
    start, end = ends.positions
    positions = start + (end - start) * fractions[:, None, None]
    positions[:, list(ends.mobile), 0] += 0.4 * np.sin(np.pi * fractions)[:, None]
    return ends.replace(positions=positions, energies=ENERGIES, max_perpendicular_forces=None)
