"""Crystals that the tests of this room share."""

from pathlib import Path
from typing import Any

import pytest
from pymatgen.core import Lattice, Structure

EXAMPLES = Path(__file__).resolve().parents[2] / 'examples'


@pytest.fixture
def olivine() -> Structure:
    return Structure.from_file(EXAMPLES / 'LiFePO4.cif')


@pytest.fixture
def layered() -> Structure:
    """Return LiCoO2 in its rhombohedral primitive cell, which is as skewed as crystals get (32.99 degrees)."""
    lattice = Lattice.rhombohedral(4.96, 32.99)
    return Structure(lattice, ['Li', 'Co', 'O', 'O'], [[0.5] * 3, [0.0] * 3, [0.26] * 3, [0.74] * 3])


@pytest.fixture(scope='session')
def spinel_once() -> Structure:
    crystal = Structure.from_spacegroup(
        'Fd-3m', Lattice.cubic(8.245), ['Li', 'Mn', 'O'], [[0.0] * 3, [0.625] * 3, [0.3886] * 3]
    )
    return crystal.get_primitive_structure()


@pytest.fixture
def spinel(spinel_once: Structure) -> Structure:
    """Return cubic LiMn2O4 in its primitive cell of 14 atoms."""
    return spinel_once.copy()


@pytest.fixture
def antiferromagnetic_spinel(spinel: Structure) -> Structure:
    """Return the spinel with two manganese ions up and two down."""
    signs = iter([1, 1, -1, -1])
    spinel.add_site_property('magmom', [4.0 * next(signs) if site.specie.symbol == 'Mn' else 0.0 for site in spinel])
    return spinel


@pytest.fixture(scope='session')
def literature(shared_data: Path) -> dict[str, Any]:
    """Return the rows of the published barriers by name."""
    from aiida_embarrier.datasets.importing.reading import read_dataset

    frame = read_dataset(shared_data / 'barriers_train' / 'barriers_train.json.gz').frame
    return {row['name']: row for _, row in frame.iterrows()}
