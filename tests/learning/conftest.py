"""Small crystals with a property, and a tiny network, for the tests of this room."""

import json

import numpy as np
import pandas as pd
import pytest

from aiida_embarrier.jobs.learning import Architecture, GraphSettings
from aiida_embarrier.learning.graph import CrystalGraph
from aiida_embarrier.learning.graph_store import graphs_of

#: Prototypes by fractional coordinates of the cation and of the anion in a primitive cubic or rhombohedral cell.
FCC = [[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]
PROTOTYPES = {
    'rocksalt': (FCC, [[0, 0, 0], [0.5, 0.5, 0.5]]),
    'zincblende': (FCC, [[0, 0, 0], [0.25, 0.25, 0.25]]),
    'caesium': ([[1, 0, 0], [0, 1, 0], [0, 0, 1]], [[0, 0, 0], [0.5, 0.5, 0.5]]),
}
#: Names of crystals: two elements, prototype, lattice constant in Å, and a number that stands for a property in eV.
CRYSTALS = (
    ('Na', 'Cl', 'rocksalt', 5.64, 5.0),
    ('Li', 'F', 'rocksalt', 4.03, 8.7),
    ('Mg', 'O', 'rocksalt', 4.21, 4.5),
    ('Ca', 'O', 'rocksalt', 4.81, 3.6),
    ('Zn', 'S', 'zincblende', 5.41, 2.0),
    ('Ga', 'As', 'zincblende', 5.65, 0.2),
    ('In', 'P', 'zincblende', 5.87, 0.5),
    ('Al', 'P', 'zincblende', 5.46, 1.6),
    ('Cs', 'Cl', 'caesium', 4.12, 5.3),
    ('Cs', 'Br', 'caesium', 4.29, 4.6),
    ('Ti', 'Fe', 'caesium', 2.98, 0.0),
    ('Ni', 'Al', 'caesium', 2.89, 0.1),
)


@pytest.fixture
def small_rows() -> pd.DataFrame:
    """Return 12 crystals of two atoms and their band gaps in eV, as a dataset of the schema property has them."""
    rows = []
    for cation, anion, prototype, constant, gap in CRYSTALS:
        cell, coords = PROTOTYPES[prototype]
        rows.append(
            {
                'name': cation + anion,
                'lattice': json.dumps((constant * np.array(cell)).tolist()),
                'species': json.dumps([cation, anion]),
                'frac_coords': json.dumps(coords),
                'n_atoms': 2,
                'target': gap,
            }
        )
    return pd.DataFrame(rows).astype({'n_atoms': 'Int64'})


@pytest.fixture
def small_graphs(small_rows: pd.DataFrame) -> list[CrystalGraph]:
    """Return the graphs of those crystals."""
    return list(graphs_of(small_rows, GraphSettings()))


@pytest.fixture
def tiny() -> Architecture:
    """Return an architecture of all kinds of layers with few features."""
    return Architecture(alignn_layers=2, gcn_layers=2, hidden=8, embedding=6, edge_bins=10, angle_bins=5, head_width=7)
