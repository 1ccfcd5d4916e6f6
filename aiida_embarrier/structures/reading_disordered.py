"""Crystals with partly occupied sites from files, and the occupancies that are none."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pymatgen.core import Composition, DummySpecies, Structure
from pymatgen.io.cif import CifFile, CifParser, str2float

from aiida_embarrier.bands.band import KIND_PROPERTIES
from aiida_embarrier.structures.crystals import site_name
from aiida_embarrier.structures.reading import parse_structure

if TYPE_CHECKING:
    from os import PathLike

__all__ = ('check_disordered', 'read_disordered')

#: By how much the rounded digits of a file may lift a sum of occupancies above 1.
ROUNDING = 0.01

#: An occupancy below this is none.
NOTHING = 1e-6


def read_disordered(path: str | PathLike[str]) -> Structure:
    """Return the average crystal in a file, its cell as written there; its sites may be partly occupied or shared.

    Formats are those of :func:`~aiida_embarrier.structures.reading.read_structure`, of which CIF and pymatgen's JSON
    know occupancies. Oxidation states of species are kept.

    :raises FileNotFoundError: where there is no such file.
    :raises ValueError: for files that hold no periodic structure, occupancies that are no numbers from 0 to 1 or sum to
        more than 1 on a site, and species that are no elements.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'there is no file {str(path)!r}')
    try:
        structure = _from_cif(path) if _is_cif(path) else parse_structure(path)
        for name in set(structure.site_properties) - {*KIND_PROPERTIES, 'kind'}:
            structure.remove_site_property(name)
        return check_disordered(structure)
    except ValueError as error:
        text = str(error)
        raise ValueError(text if str(path) in text else f'{path}: {text}') from error


def check_disordered(structure: Structure) -> Structure:
    """Return an average crystal without what is not there, and refuse one that cannot be.

    Sums of occupancies that rounding lifted above 1 are scaled to 1; sites that hold nothing are left out.

    :raises ValueError: for occupancies that are negative or sum to more than 1, for species that are no elements, for
        coordinates that are not finite, and where there are no atoms.
    """
    if not np.all(np.isfinite(structure.frac_coords)):
        raise ValueError('the structure has coordinates that are not finite numbers')
    kept: list[int] = []
    species: list[Composition] = []
    for index, site in enumerate(structure):
        name = site_name(structure, index)
        unknown = [str(one.symbol) for one in site.species if isinstance(one, DummySpecies)]
        if unknown:
            raise ValueError(f'{name} holds {unknown[0]!r}, which is no element: give a chemical symbol such as Li')
        if min(site.species.values(), default=0.0) < 0:
            raise ValueError(f'{name} has a negative occupancy')
        held = {one: value for one, value in site.species.items() if value > NOTHING}
        total = sum(held.values())
        if total > 1 + ROUNDING:
            raise ValueError(
                f'{name} has occupancies that sum to {total:.4g}: a site holds at most one atom; correct the '
                'occupancies, or remove what stands there twice'
            )
        if held:
            kept.append(index)
            species.append(Composition({one: value / max(total, 1.0) for one, value in held.items()}))
    if not kept:
        raise ValueError('the structure has no atoms')
    properties = {key: [values[index] for index in kept] for key, values in structure.site_properties.items()}
    return Structure(structure.lattice, species, structure.frac_coords[kept], site_properties=properties)


def _is_cif(path: Path) -> bool:
    return '.cif' in path.name.lower()


def _from_cif(path: Path) -> Structure:
    """Return the first structure of a CIF, with occupancies as they stand there."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # notes on rounding, and on occupancies, which are checked here
        try:
            blocks = CifFile.from_file(str(path)).data.values()
        # A parser of broken files raises whatever it stumbles on.
        except Exception as error:
            raise ValueError(f'{str(path)!r} cannot be read as a CIF: {error}') from error
        for block in blocks:
            _check_column(block.data)
        try:
            return CifParser(str(path)).parse_structures(primitive=False, check_occu=False)[0]
        except Exception as error:
            reason = ' '.join(str(error).split()) or type(error).__name__
            raise ValueError(f'{str(path)!r} cannot be read as a crystal: {reason}') from error


def _check_column(block: dict[str, list[str]]) -> None:
    """Refuse occupancies that are no numbers, or negative: pymatgen takes them for 1, or leaves the site out."""
    texts = block.get('_atom_site_occupancy', [])
    names = block.get('_atom_site_label', [str(number) for number in range(len(texts))])
    for name, text in zip(names, texts, strict=False):
        if name == text == '?':
            continue  # a row that holds a place and nothing else
        try:
            value = float('nan') if text == '.' else str2float(text)  # which pymatgen takes for 0
        except ValueError:
            value = float('nan')
        if not 0 <= value <= 1 + ROUNDING:
            raise ValueError(f'the occupancy of {name} is {text!r}: it must be a number from 0 to 1')
