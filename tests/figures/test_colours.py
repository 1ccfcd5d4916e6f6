"""Colours of elements: the same in every figure, and told apart by readers with any kind of colour vision."""

import itertools

import numpy as np
import pytest
from ase.data import chemical_symbols
from matplotlib.colors import to_rgb

from aiida_embarrier.figures.style import element_colour

#: Grey of the sites of the ion that do not migrate, from migration_path.
OTHER_SITES = '#BBBBBB'

#: Simulation of missing cones on linear RGB: G. M. Machado, M. M. Oliveira, L. A. F. Fernandes, IEEE Trans. Vis.
#: Comput. Graph. 15, 1291 (2009), severity 1.
VISION = {
    'normal': np.eye(3),
    'protanopia': np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    'deuteranopia': np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}

#: Elements of common hosts without the migrating ion.
HOSTS = (
    'Fe P O',
    'Fe P O F',
    'V P O F',
    'Mn Fe P O',
    'Co P O',
    'Ni Mn Co O',
    'Ni Co Al O',
    'Ni Mn O Ti',
    'Mn O F',
    'Mn Cr O',
    'V Mo O',
    'Fe S O',
    'Fe Mn Si O',
    'Al Ti P O',
    'Al Ge P O',
    'Zr Si P O',
    'La Zr O',
    'La Ti O',
    'Nb W O',
    'P S Cl',
    'P S Br',
    'P S I',
    'Ge P S',
    'Sn P S',
    'Ti S',
    'Mo S',
    'Mo Se',
    'Si S N',
    'Fe C N O',
    'B H',
    'Cu Zn O',
)


def lab(colour: str, vision: np.ndarray) -> np.ndarray:
    """Return a colour in CIELAB (D65) as it is seen."""
    rgb = np.array(to_rgb(colour))
    linear = np.clip(vision @ np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4), 0, 1)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    ratio = to_xyz @ linear / (to_xyz @ np.ones(3))
    f = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize('vision', VISION)
@pytest.mark.parametrize('host', HOSTS)
def test_elements_of_a_host_are_told_apart(host, vision):
    """A difference of 15 in CIELAB is seen at once, also between small circles."""
    palette = {name: element_colour(name) for name in host.split()} | {'other sites': OTHER_SITES}
    for (one, first), (other, second) in itertools.combinations(palette.items(), 2):
        difference = np.linalg.norm(lab(first, VISION[vision]) - lab(second, VISION[vision]))
        assert difference > 15, f'{one} and {other}: {difference:.1f}'


def test_every_element_has_a_colour_of_its_own():
    colours = {symbol: element_colour(symbol) for symbol in chemical_symbols[1:]}
    assert len(set(colours.values())) == len(colours)
    assert OTHER_SITES not in colours.values()
