"""Whether an intercalated crystal is in a database, or has to be derived."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pymatgen.analysis.structure_matcher import ElementComparator, StructureMatcher
from pymatgen.core import Composition, Structure

from aiida_embarrier.structures.crystals import check_element
from aiida_embarrier.structures.providers.base import Query

if TYPE_CHECKING:
    from aiida_embarrier.structures.providers.base import Answer, Entry, Provider

__all__ = ('Intercalated', 'Match', 'find_intercalated')


@dataclass(frozen=True, eq=False)
class Match:
    """An entry that has the ion, and whether its framework is the one of the host.

    :param entry: the entry.
    :param same_framework: whether its atoms without the ion are arranged as in the host, scaled alike in all
        directions; None where there was no host to compare with.
    :param rms: root mean square distance of corresponding atoms over the cube root of the volume per atom; None where
        the framework is another one or was not compared.
    :param content: number of ions per reduced formula of the framework.
    """

    entry: Entry
    same_framework: bool | None
    rms: float | None
    content: float

    def to_dict(self) -> dict[str, Any]:
        """Return the match without the crystal as plain Python values."""
        return {
            'id': self.entry.id,
            'formula': self.entry.formula,
            'space_group': self.entry.space_group,
            'same_framework': self.same_framework,
            'rms': self.rms,
            'content': self.content,
        }


@dataclass(frozen=True, eq=False)
class Intercalated:
    """Whether an intercalated crystal was found.

    :param verdict: `in_database`, or `to_be_derived`.
    :param matches: entries with the ion; those with the framework of the host first, of these the nearest to it.
    :param answer: what the provider answered, its entries in the order of the matches.
    """

    verdict: str
    matches: tuple[Match, ...]
    answer: Answer

    @property
    def best(self) -> Match | None:
        """The match that answers the question; None where it has to be derived."""
        return self.matches[0] if self.verdict == 'in_database' else None

    def to_dict(self) -> dict[str, Any]:
        """Return verdict, matches and answer as plain Python values."""
        return {
            **self.answer.to_dict(),
            'verdict': self.verdict,
            'matches': [match.to_dict() for match in self.matches],
        }


def find_intercalated(
    provider: Provider,
    host: Structure | str,
    ion: str,
    *,
    host_ion: str | None = None,
    max_results: int = 200,
) -> Intercalated:
    """Return whether a provider has a host with an ion in it.

    :param provider: where to look.
    :param host: the host; or the formula of the intercalated crystal, where its framework is not known and any entry
        of that composition counts.
    :param ion: chemical symbol of the ion.
    :param host_ion: ions of the host that the sought ion replaces, such as the Na of NaFePO4 where LiFePO4 is sought;
        None for the ion itself, or nothing.
    :param max_results: entries that are looked at.
    :raises ValueError: for what is no element, and formulas without the ion.
    """
    check_element(ion)
    if isinstance(host, str):
        if ion not in Composition(host).get_el_amt_dict():
            raise ValueError(
                f'there is no {ion} in {host}: give the formula of the intercalated crystal, such as LiFePO4'
            )
        answer = provider.search(Query(formula=host, max_results=max_results))
        matches = [Match(entry, None, None, _content(entry.structure, ion)) for entry in answer.entries]
        return _verdict(matches, answer)
    framework = _framework(host, {ion, *([host_ion] if host_ion else [])})
    elements = sorted({element.symbol for element in framework.composition.element_composition} | {ion})
    answer = provider.search(Query(chemical_system='-'.join(elements), max_results=max_results))
    wanted = framework.composition.element_composition.reduced_composition
    matcher = StructureMatcher(comparator=ElementComparator())
    matches = []
    for entry in answer.entries:
        bare = _framework(entry.structure, {ion})
        if bare.composition.element_composition.reduced_composition != wanted:
            continue
        distances = matcher.get_rms_dist(framework, bare)
        rms = None if distances is None else float(distances[0])
        matches.append(Match(entry, rms is not None, rms, _content(entry.structure, ion)))
    return _verdict(matches, answer)


def _verdict(matches: list[Match], answer: Answer) -> Intercalated:
    def rank(match: Match) -> tuple[bool, float]:
        return match.same_framework is False, 0.0 if match.rms is None else round(match.rms, 4)

    # The sort keeps the order of the provider where all else is equal.
    ordered = tuple(sorted(matches, key=rank))
    found = bool(ordered) and ordered[0].same_framework is not False
    entries = tuple(match.entry for match in ordered)
    return Intercalated('in_database' if found else 'to_be_derived', ordered, replace(answer, entries=entries))


def _framework(structure: Structure, ions: set[str]) -> Structure:
    """Return a crystal without some elements, and without oxidation states.

    :raises ValueError: where nothing is left.
    """
    bare = structure.copy()
    bare.remove_oxidation_states()
    bare.remove_species([symbol for symbol in ions if symbol in {e.symbol for e in bare.composition}])
    if not len(bare):
        raise ValueError(
            f'nothing is left of {structure.composition.reduced_formula} without {", ".join(sorted(ions))}'
        )
    return bare


def _content(structure: Structure, ion: str) -> float:
    amounts = structure.composition.element_composition.get_el_amt_dict()
    number = amounts.pop(ion, 0.0)
    factor = Composition(amounts).get_reduced_composition_and_factor()[1]
    return round(float(number / factor), 4)
