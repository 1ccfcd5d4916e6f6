"""What a crystal must be before hops can be sought in it: ordered, no two atoms in one place, moments that fit."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any

import numpy as np
from pymatgen.core import Element

from aiida_embarrier.bands.geometry import OVERLAP

if TYPE_CHECKING:
    from pymatgen.core import Structure

__all__ = ('check_crystal', 'check_element', 'check_ion', 'site_name')


def site_name(structure: Structure, index: int) -> str:
    """Return how messages name a site: its species, number and fractional coordinates."""
    coordinates = ', '.join(f'{value:.4f}' for value in structure[index].frac_coords)
    return f'{structure[index].species_string} (site {index} at {coordinates})'


def check_crystal(structure: Structure) -> None:
    """Refuse crystals that no atomistic calculation can start from.

    :raises ValueError: for partly occupied sites, atoms on top of each other, moments that are missing on some sites or
        not collinear, and coordinates that are not finite.
    """
    if not len(structure):
        raise ValueError('the structure has no atoms')
    if not np.all(np.isfinite(structure.frac_coords)):
        raise ValueError('the structure has coordinates that are not finite numbers')
    for index, site in enumerate(structure):
        if not site.is_ordered:
            raise ValueError(
                f'{site_name(structure, index)} is partly or doubly occupied: order the structure first '
                '(`aiida-embarrier derive orderings`), so that every site holds exactly one atom'
            )
    centers, others, _, distances = structure.get_neighbor_list(OVERLAP)
    if len(distances):
        nearest = int(np.argmin(distances))
        raise ValueError(
            f'{site_name(structure, centers[nearest])} and {site_name(structure, others[nearest])} are '
            f'{distances[nearest]:.2f} Å apart, on top of each other: remove one of them'
        )
    _check_moments(structure)


def _check_moments(structure: Structure) -> None:
    moments = [_moment(site) for site in structure]
    if all(moment is None for moment in moments):
        return
    for index, moment in enumerate(moments):
        if moment is None:
            raise ValueError(
                f'{site_name(structure, index)} has no magnetic moment while other sites have one: give every site a '
                '`magmom`, 0 where there is none'
            )
        try:
            float(moment)
        except TypeError:
            raise ValueError(
                f'{site_name(structure, index)} has the magnetic moment {moment}: only collinear moments, one number '
                'per site, are supported'
            ) from None


def _moment(site: Any) -> Any:
    moment = site.properties.get('magmom')
    return getattr(site.specie, 'spin', None) if moment is None else moment


def check_ion(structure: Structure, ion: str, remedy: str = '') -> list[int]:
    """Return the indices of the sites that hold an ion.

    :param ion: chemical symbol.
    :param remedy: what to do about an element that the structure lacks, for the message.
    :raises ValueError: where the structure has none; the message names what it has, and what may have been meant.
    """
    sites = [index for index, site in enumerate(structure) if site.specie.symbol == ion]
    if not sites:
        elements = ', '.join(sorted({site.specie.symbol for site in structure}))
        message = f'there is no {ion!r} in {structure.composition.reduced_formula}: it consists of {elements}'
        if remedy and Element.is_valid_symbol(ion):
            message += f'; {remedy}'
        raise ValueError(message + _suggestion(ion))
    return sites


def check_element(ion: str) -> None:
    """Refuse what is no chemical symbol.

    :raises ValueError: with the symbol that may have been meant.
    """
    if not Element.is_valid_symbol(ion):
        raise ValueError(f'{ion!r} is no element: give a chemical symbol such as Li' + _suggestion(ion))


#: Ions that migrate in batteries: the likeliest to be meant, before all other elements.
_USUAL = ('Li', 'Na', 'K', 'Mg', 'Ca', 'Zn', 'Al')


def _suggestion(ion: str) -> str:
    """Return which symbol may have been meant: of an ion with its charge, of a name, or the closest one."""
    letters = re.sub(r'[^A-Za-z]', '', ion).capitalize()
    if Element.is_valid_symbol(letters):
        return f'; did you mean {letters}?' if letters != ion else ''
    names = {element.long_name: element.symbol for element in Element}
    close = difflib.get_close_matches(letters, names, n=1, cutoff=0.7)
    close = [names[name] for name in close]
    for symbols in (_USUAL, names.values()):
        close = close or difflib.get_close_matches(letters, symbols, n=1, cutoff=0.5)
    return f'; did you mean {close[0]}?' if close else ''
