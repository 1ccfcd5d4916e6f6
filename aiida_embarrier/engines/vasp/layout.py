"""The order in which VASP gets the atoms, and what it is told of each.

VASP knows groups of atoms with one PAW potential and one U; aiida-vasp writes a group for each run of sites of the same
kind name into POSCAR and POTCAR. Kinds of this package that differ in their moments only, as in an antiferromagnet, are
one group, and groups of one element stand beside each other; MAGMOM is per atom.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml
from pymatgen.core import Element

from aiida_embarrier.engines.functionals import default_shell
from aiida_embarrier.engines.magnetism import start_moments

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiida_embarrier.bands.band import Kind
    from aiida_embarrier.engines.functionals import Functional

__all__ = ('Group', 'Layout', 'paw_names', 'render_poscar')

#: LDAUL of a shell.
SHELLS = {'p': 1, 'd': 2, 'f': 3}


@cache
def element_table() -> dict[str, dict[str, Any]]:
    """Return the usual PAW potential by element."""
    table: dict[str, dict[str, Any]] = yaml.safe_load(Path(__file__).with_name('elements.yaml').read_text('utf8'))
    return table


def paw_names(elements: Sequence[str], mapping: Mapping[str, str]) -> dict[str, str]:
    """Return the name of the PAW potential of each element.

    :param mapping: choices of the user by element.
    :raises ValueError: for elements that have none, and for a mapping of something that is no element.
    """
    for element in mapping:
        if not Element.is_valid_symbol(element):
            raise ValueError(f'paw.mapping: {element!r} is no element')
    names = {}
    for element in dict.fromkeys(elements):
        name = mapping.get(element) or element_table().get(element, {}).get('paw')
        if name is None:
            raise ValueError(
                f'there is no usual PAW potential of {element}: name one with the protocol key '
                f'paw.mapping: {{{element}: ...}}'
            )
        names[element] = name
    return names


@dataclass(frozen=True)
class Group:
    """Atoms that VASP treats alike.

    :param name: its name: the element, numbered where an element has several groups.
    :param element: chemical symbol.
    :param count: number of atoms.
    :param u: effective U in eV.
    :param shell: shell that U acts on, None without U.
    """

    name: str
    element: str
    count: int
    u: float = 0.0
    shell: str | None = None


@dataclass(frozen=True)
class Layout:
    """How the atoms of a crystal or band stand in VASP's files.

    :param order: for each atom in VASP's files its index here.
    :param groups: groups in the order of POSCAR and POTCAR.
    :param moments: start moment of each atom in VASP's order in Bohr magnetons, None where nothing is magnetic.
    """

    order: tuple[int, ...]
    groups: tuple[Group, ...]
    moments: tuple[float, ...] | None

    @classmethod
    def of(
        cls,
        kinds: Sequence[Kind],
        kind_indices: Sequence[int],
        functional: Functional,
        *,
        magnetic_start: str = 'default',
        moments: Mapping[str, float] | None = None,
    ) -> Layout:
        """Return the layout of atoms of these kinds.

        A U of a kind goes before that of the functional's table; functionals without U ignore both.

        :param kind_indices: for each atom the index of its kind.
        :param magnetic_start: `default` for the usual moments by element where the kinds give none, or `none`.
        :param moments: start moments by element, instead of the usual ones.
        :raises ValueError: for a U on an element whose shell is not known.
        """
        shells = [_shell(kind, functional) for kind in kinds]
        elements = list(dict.fromkeys(kinds[index].element for index in kind_indices))

        def key(atom: int) -> tuple[Any, ...]:
            kind = kind_indices[atom]
            u, shell = shells[kind]
            return elements.index(kinds[kind].element), -u, shell or '', kind, atom

        order = tuple(sorted(range(len(kind_indices)), key=key))
        groups: list[tuple[str, float, str | None, int]] = []
        for atom in order:
            element, (u, shell) = kinds[kind_indices[atom]].element, shells[kind_indices[atom]]
            if groups and groups[-1][:3] == (element, u, shell):
                groups[-1] = (element, u, shell, groups[-1][3] + 1)
            else:
                groups.append((element, u, shell, 1))
        named = []
        for number, (element, u, shell, count) in enumerate(groups):
            same = [index for index, group in enumerate(groups) if group[0] == element]
            name = element if len(same) == 1 else f'{element}{same.index(number) + 1}'
            named.append(Group(name, element, count, u, shell))
        start = _moments(kinds, kind_indices, magnetic_start, moments or {})
        return cls(order, tuple(named), None if start is None else tuple(start[atom] for atom in order))

    @property
    def names(self) -> list[str]:
        """Name of the group of each atom in VASP's order."""
        return [group.name for group in self.groups for _ in range(group.count)]

    @property
    def inverse(self) -> np.ndarray:
        """For each atom here its index in VASP's files, so that `array_from_vasp[inverse]` is in the order here."""
        return np.argsort(np.array(self.order))

    @property
    def elements(self) -> list[str]:
        """Elements of the groups, one entry for each group."""
        return [group.element for group in self.groups]


def _shell(kind: Kind, functional: Functional) -> tuple[float, str | None]:
    """Return U and its shell for a kind."""
    if not functional.has_u:
        return 0.0, None
    known = functional.hubbard_u.get(kind.element)
    u = kind.hubbard_u if kind.hubbard_u is not None else None if known is None else known.u
    if not u:
        return 0.0, None
    if known is not None:
        return float(u), known.orbital
    return float(u), default_shell(kind.element)


def _moments(
    kinds: Sequence[Kind], kind_indices: Sequence[int], magnetic_start: str, given: Mapping[str, float]
) -> list[float] | None:
    """Return the start moment of each atom, None where nothing is magnetic."""
    present = sorted(set(kind_indices))
    of_kind = dict(zip(present, start_moments([kinds[index] for index in present], magnetic_start, given), strict=True))
    return [of_kind[index] for index in kind_indices] if any(of_kind.values()) else None


def render_poscar(title: str, layout: Layout, lattice: np.ndarray, positions: np.ndarray) -> str:
    """Return the text of a POSCAR, Cartesian positions as they are.

    Groups of one element have its name, each for itself: VASP takes them for different species, as it is meant to.

    :param positions: in Å, in VASP's order.
    """
    lines = [title, '1.0']
    lines += [' '.join(f'{entry:20.12f}' for entry in vector) for vector in lattice]
    lines += [' '.join(layout.elements), ' '.join(str(group.count) for group in layout.groups)]
    lines += ['Cartesian', *(' '.join(f'{entry:20.12f}' for entry in position) for position in positions)]
    return '\n'.join(lines) + '\n'
