"""What one asks a source of crystals, and what it answers."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

import spglib
from pymatgen.core import Composition, Element, Structure

from aiida_embarrier.structures.crystals import check_element

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ('Answer', 'Entry', 'Provider', 'ProviderError', 'Query', 'canonical_formula', 'cut', 'now', 'space_group_of')

#: How far sites may lie from where symmetry wants them, in Å, when the space group of an entry is sought.
SYMPREC = 0.1


class ProviderError(RuntimeError):
    """A source of crystals cannot be asked, or its answer makes no sense; the message says what to do."""


@dataclass(frozen=True)
class Query:
    """What is sought; everything that is given has to fit.

    :param formula: composition, such as LiFePO4; multiples of it fit too.
    :param chemical_system: elements of which nothing but these all, such as Fe-Li-O-P.
    :param elements: elements that are there, perhaps beside others.
    :param space_group: number, or Hermann-Mauguin symbol such as Pnma, of which the number is kept.
    :param ids: identifiers of the source.
    :param max_results: entries that are returned at most.
    :raises ValueError: where nothing is sought, and for formulas, elements and space groups that are none.
    """

    formula: str | None = None
    chemical_system: str | None = None
    elements: tuple[str, ...] = ()
    space_group: int | str | None = None
    ids: tuple[str, ...] = ()
    max_results: int = 50

    def __post_init__(self) -> None:
        object.__setattr__(self, 'elements', tuple(self.elements))
        object.__setattr__(self, 'ids', tuple(self.ids))
        if not (self.formula or self.chemical_system or self.elements or self.ids):
            raise ValueError('nothing is sought: name a formula, a chemical system, elements or ids')
        if self.formula:
            canonical_formula(self.formula)
        for element in (*self.elements, *self.system):
            check_element(element)
        if self.space_group is not None:
            object.__setattr__(self, 'space_group', _space_group(self.space_group))
        if self.max_results < 1:
            raise ValueError(f'max_results is at least 1, got {self.max_results}')

    @property
    def system(self) -> tuple[str, ...]:
        """The elements of the chemical system, in alphabetical order."""
        return tuple(sorted({part.strip() for part in (self.chemical_system or '').split('-') if part.strip()}))

    def to_dict(self) -> dict[str, Any]:
        """Return what is sought as plain Python values; what is not is left out."""
        given = {name: value for name, value in asdict(self).items() if value not in (None, ())}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}

    @classmethod
    def from_dict(cls, entries: Mapping[str, Any]) -> Query:
        """Return the query that :meth:`to_dict` wrote.

        :raises ValueError: for unknown entries, and queries that make no sense.
        """
        known = [entry.name for entry in fields(cls)]
        unknown = sorted(set(entries) - set(known))
        if unknown:
            raise ValueError(f'a query has no entry {unknown[0]!r}: choose from {", ".join(known)}')
        return cls(**dict(entries))

    def fits(self, entry: Entry) -> bool:
        """Return whether an entry is what is sought, its identifier apart."""
        composition = entry.structure.composition.element_composition
        symbols = {element.symbol for element in composition}
        if self.formula and canonical_formula(composition) != canonical_formula(self.formula):
            return False
        if self.system and symbols != set(self.system):
            return False
        if not set(self.elements) <= symbols:
            return False
        if self.space_group is None:
            return True
        return self.space_group == space_group_of(entry.structure)[1]


@dataclass(frozen=True, eq=False)
class Entry:
    """One crystal of a source.

    :param id: its identifier there.
    :param structure: the crystal, ordered or not.
    :param formula: reduced formula.
    :param space_group: Hermann-Mauguin symbol; None where it is not known.
    :param extra: what else the source says of it, plain Python values.
    """

    id: str
    structure: Structure
    formula: str
    space_group: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        identifier: str,
        structure: Structure,
        space_group: str | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> Entry:
        """Return the entry of a crystal, its formula and, where the source does not say it, its space group found."""
        formula = structure.composition.element_composition.reduced_formula
        symbol = space_group_of(structure)[0] if space_group is None else space_group
        return cls(identifier, structure, formula, symbol, dict(extra or {}))


@dataclass(frozen=True, eq=False)
class Answer:
    """What a source answered.

    :param entries: the crystals, in the order of the source.
    :param provider: name of the source.
    :param version: which state of the source it was; None where it does not say.
    :param query: what was sought.
    :param retrieved_at: when, in ISO 8601, UTC.
    :param where: address or folder of the source.
    :param complete: whether there are no more entries than those here.
    :param problems: entries and files that could not be read, and why.
    """

    entries: tuple[Entry, ...]
    provider: str
    version: str | None
    query: Query
    retrieved_at: str
    where: str
    complete: bool = True
    problems: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the answer without the crystals as plain Python values."""
        return {
            'provider': self.provider,
            'where': self.where,
            'version': self.version,
            'query': self.query.to_dict(),
            'retrieved_at': self.retrieved_at,
            'complete': self.complete,
            'entries': [
                {
                    'id': entry.id,
                    'formula': entry.formula,
                    'space_group': entry.space_group,
                    'n_atoms': len(entry.structure),
                    'ordered': entry.structure.is_ordered,
                    'volume': float(entry.structure.volume),
                    **({'extra': entry.extra} if entry.extra else {}),
                }
                for entry in self.entries
            ],
            'problems': list(self.problems),
        }


class Provider(Protocol):
    """A source of crystals."""

    name: str

    def search(self, query: Query) -> Answer:
        """Return the crystals that fit a query.

        :raises ProviderError: where the source cannot be asked.
        """
        ...


def canonical_formula(formula: str | Composition) -> str:
    """Return a formula so that equal compositions have equal ones: reduced, elements in alphabetical order.

    :raises ValueError: for what is no formula.
    """
    try:
        composition = Composition(formula).element_composition
        known = bool(composition) and all(Element.is_valid_symbol(element.symbol) for element in composition)
    except (ValueError, KeyError):
        known = False
    if not known:
        raise ValueError(f'{formula!r} is no formula: write it like LiFePO4')
    amounts = composition.get_integer_formula_and_factor()[0]
    reduced = Composition(amounts).get_el_amt_dict()
    return ''.join(f'{symbol}{amount:g}' if amount != 1 else symbol for symbol, amount in sorted(reduced.items()))


def space_group_of(structure: Structure) -> tuple[str | None, int | None]:
    """Return symbol and number of the space group of a crystal, None for both where spglib finds none."""
    try:
        symbol, number = structure.get_space_group_info(symprec=SYMPREC)
    except (TypeError, ValueError, AttributeError):  # pymatgen unpacks what spglib did not find
        return None, None
    return symbol, int(number)


def _space_group(given: int | str) -> int:
    """Return the number of a space group; the underscores of a symbol may be left out, as in P21/c."""
    text = str(given).strip()
    if text.isdigit():
        if not 1 <= int(text) <= 230:
            raise ValueError(f'there is no space group {text}: numbers are 1 to 230')
        return int(text)
    numbers = _space_groups()
    plain = text.replace('_', '').replace(' ', '')
    if plain not in numbers:
        raise ValueError(f'{given!r} is no space group: give a number, or a symbol such as Pnma or P2_1/c')
    return numbers[plain]


@cache
def _space_groups() -> dict[str, int]:
    """Return the numbers of space groups by their symbols in all settings, short and full."""
    types: list[Any] = [spglib.get_spacegroup_type(hall) for hall in range(1, 531)]
    return {
        symbol.replace('_', '').replace(' ', ''): int(entry.number)
        for entry in types
        for name in (entry.international_short, entry.international_full, entry.international)
        for symbol in name.split('=')
    }


def now() -> str:
    """Return the time in ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec='seconds')


def cut(entries: Iterable[Entry], query: Query) -> tuple[tuple[Entry, ...], bool]:
    """Return as many entries as are asked for, and whether these are all."""
    found = list(entries)
    return tuple(found[: query.max_results]), len(found) <= query.max_results
