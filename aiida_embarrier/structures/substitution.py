"""Species exchanged in a known crystal, with their oxidation states and moments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pymatgen.core import Structure

from aiida_embarrier.structures.crystals import check_crystal, check_element, check_ion
from aiida_embarrier.structures.oxidation import (
    guess_oxidation_states,
    oxidation_states_of,
    shift_charge,
    shift_moments,
    usual_oxidation_state,
    with_oxidation_states,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ('Substitution', 'substitute')


@dataclass(frozen=True, eq=False)
class Substitution:
    """A crystal with other species on some of its sites, its cell as before.

    :param structure: the crystal.
    :param sites: indices of the sites whose species were exchanged.
    :param changed: mean oxidation state before and after by element, of the metals that took up a difference in charge.
    :param warnings: what a reader must know.
    :param parent: the crystal that was given, with the oxidation states that were taken for it, where there are any.
    """

    structure: Structure
    sites: tuple[int, ...]
    changed: dict[str, tuple[float, float]]
    warnings: tuple[str, ...] = ()
    parent: Structure | None = None


def substitute(
    structure: Structure,
    species: Mapping[str, str],
    oxidation_states: Mapping[str, float] | None = None,
    indices: Sequence[int] | None = None,
    compensation: str = 'spread',
    guess: bool = False,
) -> Substitution:
    """Return a crystal with other elements on the sites of some.

    Where the crystal carries oxidation states, or some are given, those of the new one are decided anew: an exchanged
    ion has the usual one of its element, or the given one, and the transition metals take up the difference (see
    :func:`~aiida_embarrier.structures.oxidation.shift_charge`). A crystal without any gets none unless `guess` is set.

    :param structure: the parent, ordered.
    :param species: new element by old element, such as ``{'Li': 'Na'}``.
    :param oxidation_states: oxidation state by element of the parent or the derived crystal.
    :param indices: sites that are exchanged, where others of the same element stay; None for all of an element.
    :param compensation: `spread` or `localised`, how the metals take up a difference in charge.
    :param guess: find the oxidation states of a parent that carries none, see
        :func:`~aiida_embarrier.structures.oxidation.guess_oxidation_states`. In the cell of the parent the bonds of the
        new ion are as long as those of the old one, so bond valences of the derived crystal may mislead.
    :raises ValueError: for elements that the crystal does not have or that are none, and for indices of other sites.
    """
    check_crystal(structure)
    if not species:
        raise ValueError('no species are exchanged: name some, such as Li=Na')
    chosen: list[int] = []
    for old, new in species.items():
        check_element(new)
        if old == new:
            raise ValueError(f'{old} would be exchanged for itself: name another element')
        chosen += check_ion(structure, old)
    if indices is not None:
        wrong = [index for index in indices if index not in chosen]
        if wrong:
            raise ValueError(f'site {wrong[0]} is none of those of {", ".join(species)}: choose from {sorted(chosen)}')
        chosen = list(indices)
    chosen = sorted(set(chosen))
    symbols = [site.specie.symbol for site in structure]
    states = _states(
        structure, {key: value for key, value in (oxidation_states or {}).items() if key in symbols}, guess
    )
    new_symbols = [species[symbol] if index in chosen else symbol for index, symbol in enumerate(symbols)]
    properties = {name: list(values) for name, values in structure.site_properties.items() if name != 'kind'}
    if 'magmom' in properties:
        properties['magmom'] = [0.0 if index in chosen else m for index, m in enumerate(properties['magmom'])]
    derived = with_oxidation_states(
        Structure(structure.lattice, new_symbols, structure.frac_coords, site_properties=properties), None
    )
    if states is None:
        return Substitution(derived, tuple(chosen), {}, parent=structure)
    given = dict(oxidation_states or {})
    before = [
        float(given[symbol] if symbol in given else usual_oxidation_state(symbol)) if index in chosen else states[index]
        for index, symbol in enumerate(new_symbols)
    ]
    difference = sum(states[index] - before[index] for index in chosen)
    shift = shift_charge(derived, before, difference, structure.frac_coords[chosen].tolist(), compensation)
    notes = list(shift.warnings)
    if shift.states is not None:
        moments, more = shift_moments(derived, before, shift.states)
        if moments is not None:
            derived.add_site_property('magmom', moments)
        notes += more
    return Substitution(
        with_oxidation_states(derived, shift.states),
        tuple(chosen),
        shift.changed,
        tuple(notes),
        with_oxidation_states(structure, states),
    )


def _states(structure: Structure, given: Mapping[str, float], guess: bool) -> list[float] | None:
    """Return the oxidation states that a crystal carries, or that follow from given ones; None without either."""
    carried = oxidation_states_of(structure)
    if not given and (carried is not None or not guess):
        return carried
    if carried is not None:
        return [float(given.get(site.specie.symbol, state)) for site, state in zip(structure, carried, strict=True)]
    guessed = guess_oxidation_states(structure, given)
    return None if guessed is None else guessed[0]
