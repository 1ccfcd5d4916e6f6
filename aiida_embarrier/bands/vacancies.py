"""How many sites of the migrating ion are empty on a path."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiida_embarrier.bands.band import Band

__all__ = ('mechanism_name', 'n_vacancies')

#: Names of paths with several vacancies, by their number.
NAMES = {2: 'divacancy', 3: 'trivacancy'}


def n_vacancies(band: Band) -> int | None:
    """Return how many sites of the migrating ion are empty, by comparing the images with the host.

    :return: None where the mechanism is another one, and where the host is not known, no formula, or has other elements
        than the images.
    """
    from pymatgen.core import Composition

    ion = band.mobile_ion
    if band.info.mechanism != 'vacancy' or band.info.host is None or ion is None:
        return None
    try:
        host = Composition(band.info.host).get_el_amt_dict()
    except ValueError:  # a name instead of a formula
        return None
    there = Counter(band.elements)
    others = [element for element in host if element != ion]
    if not others or set(host) != set(there) | {ion} or any(there[element] == 0 for element in others):
        return None
    cells = there[others[0]] / host[others[0]]
    if any(abs(there[element] - cells * host[element]) > 0.01 for element in others):
        return None
    missing = cells * host[ion] - there[ion]
    return round(missing) if abs(missing - round(missing)) < 0.01 and missing > 0 else None


def mechanism_name(band: Band) -> str | None:
    """Return the mechanism of a path for readers: `divacancy` where two sites of the ion are empty."""
    count = n_vacancies(band)
    if count is None or count == 1:
        return band.info.mechanism
    return NAMES.get(count, f'{count}-fold vacancy')
