"""Graphs of three small crystals: rock salt, perovskite, and one without symmetry."""

import numpy as np

from aiida_embarrier.jobs.learning import GraphSettings
from aiida_embarrier.learning.graphs import build_graph

FCC = 2.0 * (np.ones((3, 3)) - np.eye(3))
PEROVSKITE = [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]


def perovskite(displacement=0.0, doubled=False):
    """Return the graph of SrTiO3, each coordinate off by up to so much."""
    random = np.random.default_rng(2)
    coords = np.array(PEROVSKITE) + displacement * random.uniform(-1, 1, (5, 3))
    return build_graph(3.9 * np.eye(3), [38, 22, 8, 8, 8], coords, GraphSettings(n_neighbours=6, doubled=doubled))


def three_crystals(doubled=False):
    """Return the graphs."""
    settings = GraphSettings(n_neighbours=6, doubled=doubled)
    random = np.random.default_rng(4)
    return [
        build_graph(FCC, [3, 9], [[0, 0, 0], [0.5, 0.5, 0.5]], settings),
        perovskite(doubled=doubled),
        build_graph(4 * np.eye(3) + random.normal(0, 0.3, (3, 3)), [3, 8, 15], random.random((3, 3)), settings),
    ]
