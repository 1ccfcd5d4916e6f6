"""Pseudopotentials: families of aiida-pseudo, and whether they were made for the functional that is asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiida.orm import QueryBuilder

from aiida_embarrier.engines.protocols import resolve_protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aiida.orm import SinglefileData

    from aiida_embarrier.engines.quantumespresso.settings import Atoms, Settings

__all__ = ('Pseudopotentials', 'choose_pseudos', 'examine', 'find_family', 'functional_of', 'install_command')

#: What Quantum ESPRESSO calls the functionals of the engine in the headers of pseudopotentials, words joined by blanks.
NAMES = {
    'pbe': ('PBE', 'SLA PW PBE PBE', 'SLA PW PBX PBC'),
    'pbesol': ('PBESOL', 'SLA PW PSX PSC'),
    'lda': ('LDA', 'PZ', 'SLA PZ NOGX NOGC', 'SLA PZ', 'PW', 'SLA PW NOGX NOGC', 'SLA PW'),
}
_FUNCTIONAL = re.compile(r'\bfunctional\s*=\s*"([^"]*)"')
_FUNCTIONAL_V1 = re.compile(r'^\s*(\S.*?)\s+Exchange-Correlation functional', re.MULTILINE)


@dataclass(frozen=True)
class Pseudopotentials:
    """The pseudopotentials of a crystal.

    :param nodes: by the names of the kinds.
    :param z_valence: valence by element.
    :param cutoffs: recommended for wavefunctions and density in Ry, None where the family recommends none.
    """

    nodes: dict[str, SinglefileData]
    z_valence: dict[str, float]
    cutoffs: tuple[float, float] | None

    @property
    def files(self) -> dict[str, str]:
        """File names by the names of the kinds; one for each element."""
        return {name: node.filename for name, node in self.nodes.items()}


def find_family(label: str) -> Any:
    """Return a family of pseudopotentials.

    :raises ValueError: where it is not installed, with the command that installs it, and where aiida-pseudo is missing.
    """
    try:
        from aiida_pseudo.groups.family import PseudoPotentialFamily
    except ImportError as error:
        raise ValueError(
            "the engine quantumespresso needs aiida-pseudo: pip install 'aiida-embarrier[quantumespresso]'"
        ) from error
    families = QueryBuilder().append(PseudoPotentialFamily, filters={'label': label}).all(flat=True)
    if not families:
        raise ValueError(
            f'there is no family of pseudopotentials {label!r} in this profile: install it with '
            f'`{install_command(label)}`, or name another (`pseudo_family`); `aiida-pseudo list` shows those there are'
        )
    if len(families) > 1:
        raise ValueError(f'there are {len(families)} families of pseudopotentials {label!r}: relabel all but one')
    return families[0]


def install_command(label: str) -> str:
    """Return the command that installs a family of pseudopotentials."""
    kind, *words = label.split('/')
    if kind == 'SSSP' and len(words) == 3:
        return 'aiida-pseudo install sssp -v {} -x {} -p {}'.format(*words)
    if kind == 'PseudoDojo' and len(words) == 5:
        return 'aiida-pseudo install pseudo-dojo -v {} -x {} -r {} -p {} -f {}'.format(*words)
    return f'aiida-pseudo install family FOLDER {label} -P pseudo.upf'


def functional_of(content: str) -> str | None:
    """Return the functional that a pseudopotential was made for, as the engine calls it.

    :param content: of a file in the format UPF.
    :returns: None where the file does not say; the words of the file for functionals that the engine does not offer.
    """
    found = _FUNCTIONAL.search(content) or _FUNCTIONAL_V1.search(content)
    if found is None:
        return None
    words = ' '.join(found[1].upper().split())
    for key, names in NAMES.items():
        if words in names or any(words == f'{name} {short}' for name in names for short in names if ' ' not in short):
            return key
    return words


def choose_pseudos(settings: Settings, atoms: Atoms) -> Pseudopotentials:
    """Return the pseudopotentials of a crystal.

    :raises ValueError: for families that are missing, lack an element, were made for another functional, or recommend
        no cutoffs where the settings give none.
    """
    family = find_family(settings.family)
    nodes, z_valence = {}, {}
    for name, kind in atoms.kinds.items():
        try:
            node = family.get_pseudo(kind.element)
        except ValueError:
            raise ValueError(
                f'the family of pseudopotentials {settings.family!r} has none for {kind.element}: it has '
                f'{_listed(family.elements)}. Name a family that has it (`pseudo_family`)'
            ) from None
        z_valence[kind.element] = float(node.z_valence)
        nodes[name] = node
    wanted = settings.pseudo_functional
    for name, node in nodes.items():
        found = functional_of(node.get_content())
        if found is not None and found != wanted:
            raise ValueError(
                f'the functional {settings.functional!r} needs pseudopotentials made for {wanted}, but that of '
                f'{atoms.kinds[name].element} in {settings.family!r} ({node.filename}) was made for {found}: choose '
                f'another family (`pseudo_family`) or functional'
            )
    return Pseudopotentials(nodes, z_valence, _cutoffs(family, settings, atoms))


def _cutoffs(family: Any, settings: Settings, atoms: Atoms) -> tuple[float, float] | None:
    if settings.ecutwfc is not None:
        return None
    elements = tuple(sorted({kind.element for kind in atoms.kinds.values()}))
    try:
        wfc, rho = family.get_recommended_cutoffs(elements=elements, stringency=settings.pseudo_stringency, unit='Ry')
    except (AttributeError, ValueError) as error:
        reason = '' if isinstance(error, AttributeError) else f' ({error})'
        raise ValueError(
            f'the family of pseudopotentials {settings.family!r} recommends no cutoffs{reason}: give both, `ecutwfc` '
            'and `ecutrho` in Ry'
        ) from error
    return float(wfc), float(rho)


def _listed(elements: Iterable[str]) -> str:
    known = sorted(elements)
    return ', '.join(known) if len(known) <= 12 else f'{len(known)} others'


def examine() -> list[tuple[str, str | None, str]]:
    """Return for each functional whether its family of pseudopotentials is there, and what installs it."""
    from aiida_embarrier.engines.quantumespresso import ENGINE

    families: Mapping[str, str] = resolve_protocol(ENGINE.protocol)['pseudo_families']
    found: list[tuple[str, str | None, str]] = []
    for functional, label in families.items():
        try:
            present: str | None = find_family(label).label
        except ValueError:
            present = None
        found.append((f'pseudopotentials for {functional}', present, install_command(label)))
    return found
