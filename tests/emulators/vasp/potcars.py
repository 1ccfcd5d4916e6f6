"""Made-up POTCARs: a header that parsers read, and nothing that anybody could compute with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .elements import ELEMENTS, valence

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

#: Variants that are made for each element where no names are asked for.
SUFFIXES = ('', '_pv', '_sv')


def potcar(name: str, exchange: str = 'PE') -> str:
    """Return a made-up data set.

    :param name: such as Mn, Mn_pv or Li_sv; the number of valence electrons follows it.
    :param exchange: LEXCH, what it was made for: PE for PBE, CA for the LDA.
    """
    symbol = name.partition('_')[0]
    element = ELEMENTS[symbol]
    zval = float(valence(name))
    enmax = 200.0 + 10.0 * (element.number % 12) + (60.0 if '_' in name else 0.0)
    title = f'PAW_PBE {name}' if exchange == 'PE' else f'PAW {name}'
    rows = (
        f'   VRHFIN ={symbol}: invented',
        f'   LEXCH  = {exchange}',
        f'   EATOM  = {10 * zval:10.4f} eV, {10 * zval / 13.605693:10.4f} Ry',
        '',
        f'   TITEL  = {title} 01Jan1900',
        '   LULTRA =        F    use ultrasoft PP ?',
        '   IUNSCR =        1    unscreen: 0-lin 1-nonlin 2-no',
        '   RPACOR =    1.500    partial core radius',
        f'   POMASS = {element.mass:8.3f}; ZVAL   = {zval:8.3f}    mass and valenz',
        '   RCORE  =    2.000    outmost cutoff radius',
        '   RWIGS  =    2.000; RWIGS  =    1.058    wigner-seitz radius (au A)',
        f'   ENMAX  = {enmax:8.3f}; ENMIN  = {0.75 * enmax:8.3f} eV',
        '   ICORE  =        2    local potential',
        '   LCOR   =        T    correct aug charges',
        '   LPAW   =        T    paw PP',
        f'   EAUG   = {1.5 * enmax:8.3f}',
    )
    head = f'  {title} 01Jan1900\n {zval:.6f}\n parameters from PSCTR are:\n'
    note = '  invented by the tests of aiida-embarrier: this file holds no potential\n'
    return head + '\n'.join(rows) + '\nEND of PSCTR-controll parameters\n' + note + ' End of Dataset\n'


def write_family(folder: Path, names: Iterable[str], exchange: str = 'PE') -> Path:
    """Write data sets as they are distributed, FOLDER/NAME/POTCAR, and return the folder."""
    for name in names:
        path = folder / name / 'POTCAR'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(potcar(name, exchange), encoding='utf-8')
    return folder


def names_of(elements: Iterable[str]) -> list[str]:
    """Return the names of all variants of some elements."""
    return [element + suffix for element in elements for suffix in SUFFIXES]
