"""Fixtures of the potential engine."""

from functools import cache

import pytest
from potential_systems import adatom_hop, vacancy_hop


@pytest.fixture(scope='session')
def hops():
    """Return bands on EMT by their names: vacancies in Al and Cu, an adatom on Au(100)."""

    @cache
    def band(name):
        element, kind = name.split()
        return vacancy_hop(element) if kind == 'vacancy' else adatom_hop(element)

    return band
