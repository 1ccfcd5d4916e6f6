"""POTCAR families as aiida-vasp stores them: which potentials there are, and how many electrons they have."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from aiida.common.exceptions import NotExistent

from aiida_embarrier.engines.vasp.layout import paw_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiida_embarrier.engines.functionals import Functional
    from aiida_embarrier.engines.vasp.layout import Layout

__all__ = ('check_exchange', 'check_family', 'cutoff_warning', 'examine', 'find_potcars', 'n_valence')

ZVAL = re.compile(rb'ZVAL\s*=\s*([0-9.]+)')
ENMAX = re.compile(rb'ENMAX\s*=\s*([0-9.]+)')
LEXCH = re.compile(rb'LEXCH\s*=\s*(\w+)')

#: LEXCH of potentials, and GGA of the INCAR, for the local density approximation.
LOCAL = ('CA', 'HL', 'PZ', 'VW', 'WI')

UPLOAD = 'aiida-vasp potcar uploadfamily --path FOLDER --name {family} --description TEXT'


def potcar_data() -> Any:
    """Return the class of the nodes.

    :raises ValueError: where aiida-vasp is not installed.
    """
    try:
        from aiida_vasp.data.potcar import PotcarData
    except ImportError as error:
        raise ValueError("the engine vasp needs aiida-vasp: pip install 'aiida-embarrier[vasp]'") from error
    return PotcarData


def check_family(family: str) -> None:
    """Check that there is a family.

    :raises ValueError: where there is none of this name, with those there are.
    """
    potcars = potcar_data()
    if potcars.get_potcar_group(family) is None:
        known = sorted(group.label for group in potcars.get_potcar_groups())
        raise ValueError(
            f'there is no POTCAR family {family!r} in this profile ({", ".join(known) or "there is none at all"}): '
            f'name another with the protocol key paw.family, or store it with `{UPLOAD.format(family=family)}`'
        )


def find_potcars(family: str, mapping: Mapping[str, str], elements: Sequence[str]) -> dict[str, Any]:
    """Return the PotcarData node of each element.

    :param mapping: names of PAW potentials by element that differ from the usual ones.
    :raises ValueError: where the family, or a potential in it, is missing.
    """
    check_family(family)
    potcars = potcar_data()
    found = {}
    for element, name in paw_names(elements, mapping).items():
        try:
            found[element] = potcars.find(family_name=family, full_name=name)[0]
        except NotExistent:
            others = sorted(set(potcars.get_full_names(family_name=family, element=element)))
            remedy = (
                f'choose one of {", ".join(others)} with the protocol key paw.mapping: {{{element}: {others[0]}}}'
                if others
                else f'it has none of {element} at all: add it with `{UPLOAD.format(family=family)}`'
            )
            raise ValueError(f'the POTCAR family {family!r} has no potential {name} of {element}: {remedy}') from None
    return found


def check_exchange(functional: Functional, potcars: Mapping[str, Any]) -> None:
    """Check that potentials were made for the local density approximation where it is computed, else for a GGA.

    VASP would compute either with the others, and say nothing.

    :param potcars: PotcarData by element. Those that do not say what they were made for (LEXCH) pass.
    :raises ValueError: where one was not.
    """
    local = functional.tags.get('GGA') in LOCAL
    for element, node in potcars.items():
        match = LEXCH.search(node.find_file_node().get_content())
        if match is None or (match.group(1).decode().upper() in LOCAL) == local:
            continue
        made, wanted = ('a GGA', 'the LDA') if local else ('the LDA', 'a GGA such as PBE')
        raise ValueError(
            f'the potential {node.full_name} of {element} was made for {made} (LEXCH = {match.group(1).decode()}), but '
            f'the functional {functional.key!r} needs one for {wanted}: name a family of such with the protocol key '
            'paw.family'
        )


def n_valence(layout: Layout, potcars: Mapping[str, Any]) -> float:
    """Return the number of electrons of the neutral cell: the sum of ZVAL over its atoms.

    :param potcars: PotcarData by element.
    :raises ValueError: where a potential does not say.
    """
    of_element = _numbers(potcars, ZVAL, 'ZVAL')
    return sum(group.count * of_element[group.element] for group in layout.groups)


def cutoff_warning(encut: float, potcars: Mapping[str, Any]) -> str | None:
    """Return a warning where the cutoff is below what a potential asks for, None where it is not.

    :param encut: in eV.
    :param potcars: PotcarData by element.
    """
    enmax = _numbers(potcars, ENMAX, 'ENMAX')
    element = max(enmax, key=lambda name: enmax[name])
    if encut >= enmax[element]:
        return None
    name = potcars[element].full_name
    return f'the cutoff of {encut:g} eV is below the {enmax[element]:g} eV (ENMAX) that the potential {name} asks for'


def _numbers(potcars: Mapping[str, Any], pattern: re.Pattern[bytes], name: str) -> dict[str, float]:
    """Return a number in the POTCAR of each element."""
    found = {}
    for element, node in potcars.items():
        match = pattern.search(node.find_file_node().get_content())
        if match is None:
            raise ValueError(f'the POTCAR of {element} ({node.full_name}) does not say its {name}')
        found[element] = float(match.group(1))
    return found


def examine() -> list[tuple[str, str | None, str]]:
    """Say which POTCAR families there are, for `aiida-embarrier doctor`."""
    families = sorted(group.label for group in potcar_data().get_potcar_groups())
    return [('POTCAR families', ', '.join(families) or None, UPLOAD.format(family='PBE.54'))]
