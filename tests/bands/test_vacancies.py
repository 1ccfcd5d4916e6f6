"""How many sites are empty, told by the composition of images and host."""

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from aiida_embarrier.bands.band import Band, BandInfo
from aiida_embarrier.bands.vacancies import mechanism_name, n_vacancies
from aiida_embarrier.figures.style import heading


def band(missing, **info):
    """Return a path in 8 cells of LiCoO2 from which so many Li are missing."""
    species = ['Li'] * (8 - missing) + ['Co'] * 8 + ['O'] * 16
    coordinates = [[0.03 * number, 0, 0] for number in range(len(species))]
    images = [Structure(Lattice.cubic(30), species, np.add(coordinates, [0, shift, 0])) for shift in (0, 0.1)]
    return Band.from_structures(images, [0], BandInfo(**{'host': 'LiCoO2', 'mechanism': 'vacancy', **info}))


@pytest.mark.parametrize(
    ('missing', 'name'), [(1, 'vacancy'), (2, 'divacancy'), (3, 'trivacancy'), (4, '4-fold vacancy')]
)
def test_vacancies_are_counted(missing, name):
    path = band(missing)
    assert n_vacancies(path) == missing
    assert mechanism_name(path) == name
    assert heading(path).startswith(f'Li {name} hop in')


@pytest.mark.parametrize(
    'info',
    [
        {'mechanism': 'interstitial'},
        {'host': None},
        {'host': 'LiNiO2'},
        {'host': 'Li'},
        {'host': 'LiCoO3'},
        {'host': 'a host'},
    ],
)
def test_what_cannot_be_told_is_left_as_it_is(info):
    path = band(2, **info)
    assert n_vacancies(path) is None
    assert mechanism_name(path) == path.info.mechanism
