"""Paths in small crystals: rock salt without two neighbouring cations, an ion going from one vacancy to the other."""

import numpy as np
import pandas as pd

from aiida_embarrier.prediction.base import Rows
from aiida_embarrier.prediction.paths import MigrationPath

CATIONS = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
ANIONS = CATIONS + np.array([0.5, 0, 0])


def small_path(constant=4.3, host=('Mg', 'O'), ion='Li', seed=0, moves=0.0, name=None, functional=None):
    """Return a path in a crystal without symmetry.

    :param constant: lattice constant in Å.
    :param moves: how far the host's atoms move from end to end along each axis, in fractional coordinates, at most.
    """
    random = np.random.default_rng(seed)
    coords = np.concatenate([CATIONS[2:], ANIONS]) + random.uniform(-0.02, 0.02, (6, 3))
    return MigrationPath(
        name=name or f'{ion} in {"".join(host)}, {constant:.2f} Å, {seed}',
        lattice=constant * (np.eye(3) + random.uniform(-0.02, 0.02, (3, 3))),
        species=(host[0],) * 2 + (host[1],) * 4,
        coords=coords,
        ion=ion,
        points=CATIONS[:2] + random.uniform(-0.02, 0.02, (2, 3)),
        final_coords=coords + random.uniform(-moves, moves, coords.shape) if moves else None,
        functional=functional,
    )


def small_rows(n=8):
    """Return paths in crystals of different size, whose barriers fall with it and depend on the ion."""
    ions = ('Li', 'Na', 'Mg')
    constants = np.linspace(4.0, 4.8, n)
    paths = [small_path(constant, ion=ions[number % 3], seed=number) for number, constant in enumerate(constants)]
    barriers = 0.2 + (4.9 - constants) + 0.3 * (np.arange(n) % 3)
    families = pd.DataFrame({'family_group': [f'family {number // 2}' for number in range(n)]})
    return Rows(paths=paths, labels=families, barriers=barriers)
