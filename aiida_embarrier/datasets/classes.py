"""Labels that mean the same: structural classes and their groups, crystal systems, space groups."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

__all__ = (
    'CRYSTAL_SYSTEMS',
    'canonical_crystal_system',
    'canonical_space_group',
    'class_groups',
    'is_space_group',
    'structural_group',
)

CRYSTAL_SYSTEMS = ('Triclinic', 'Monoclinic', 'Orthorhombic', 'Tetragonal', 'Trigonal', 'Hexagonal', 'Cubic')

#: Space groups that the literature writes in several ways: another case, a mirror plane without its slash, the full
#: symbol, and the symbols before 1992 or in another setting (e instead of a or b).
SPACE_GROUP_ALIASES = {'CmCm': 'Cmcm', 'C12/c': 'C2/c', 'P21m': 'P21/m', 'Cmca': 'Cmce', 'Bmab': 'Cmce'}


@cache
def class_groups() -> dict[str, str]:
    """Return the group of each label of a structural class, as `classes.yaml` lists them: 35 labels, 27 groups."""
    import yaml

    groups: dict[str, str] = yaml.safe_load(Path(__file__).with_name('classes.yaml').read_text(encoding='utf8'))
    return groups


def structural_group(label: str | None) -> str | None:
    """Return the group that a label of a structural class belongs to; a label that is not known is its own group."""
    if not isinstance(label, str) or not label.strip():
        return None
    plain = ' '.join(label.split()).upper()
    return class_groups().get(plain, plain)


def canonical_space_group(symbol: str | None) -> str | None:
    """Return how this package writes a space group; symbols of other settings stay as they are."""
    if not isinstance(symbol, str) or not symbol.strip():
        return None
    plain = ''.join(symbol.split())
    return SPACE_GROUP_ALIASES.get(plain, plain)


def canonical_crystal_system(name: str | None) -> str | None:
    """Return how this package writes a crystal system."""
    if not isinstance(name, str) or not name.strip():
        return None
    return ' '.join(name.split()).capitalize()


def is_space_group(symbol: str | None) -> bool:
    """Return whether a text looks like a Hermann-Mauguin symbol: a letter of a lattice, then axes and planes."""
    return (
        isinstance(symbol, str) and re.fullmatch(r'[PABCFIR]-?[1-6mabcden][0-9/mabcden-]*', symbol.strip()) is not None
    )
