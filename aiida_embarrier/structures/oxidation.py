"""Oxidation states of a crystal: as it carries them, guessed, and shifted when ions come, go or are exchanged."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pymatgen.analysis.bond_valence import BVAnalyzer
from pymatgen.core import Element, Species, Structure

from aiida_embarrier.structures.crystals import check_element
from aiida_embarrier.structures.oxidation_guess import likely_states

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = (
    'Shift',
    'decorated',
    'guess_oxidation_states',
    'high_spin_moment',
    'oxidation_states_of',
    'shift_charge',
    'shift_moments',
    'usual_oxidation_state',
    'with_oxidation_states',
)

#: Charges, and electrons, nearer to each other than this are equal.
_TOLERANCE = 1e-6


def oxidation_states_of(structure: Structure) -> list[float] | None:
    """Return the oxidation state of each site, None where not all sites carry one.

    They stand in the site property `oxidation_state` or on the species.
    """
    states = []
    for site in structure:
        state = site.properties.get('oxidation_state')
        state = getattr(site.specie, 'oxi_state', None) if state is None else state
        if state is None:
            return None
        states.append(float(state))
    return states


def with_oxidation_states(structure: Structure, states: Sequence[float] | None) -> Structure:
    """Return a copy of a structure whose sites carry oxidation states as a site property, or none.

    :param states: one for each site; None to take away those that are there.
    """
    copied = structure.copy()
    copied.remove_oxidation_states()
    if 'oxidation_state' in copied.site_properties:
        copied.remove_site_property('oxidation_state')
    if states is not None:
        copied.add_site_property('oxidation_state', [float(state) for state in states])
    return copied


def decorated(structure: Structure, states: Sequence[float]) -> Structure:
    """Return a structure whose species carry oxidation states, as pymatgen's analyses take them.

    :param states: one for each site.
    """
    species = [Species(site.specie.symbol, state) for site, state in zip(structure, states, strict=True)]
    return Structure(structure.lattice, species, structure.frac_coords)


def usual_oxidation_state(element: str) -> int:
    """Return the oxidation state of an ion of which only the element is known.

    :raises ValueError: for what is no element, and for an element that has several.
    """
    check_element(element)
    common = Element(element).common_oxidation_states
    if len(common) != 1:
        names = ', '.join(f'{state:+d}' for state in common) or 'none'
        raise ValueError(
            f'the oxidation state of {element} is not certain (common: {names}): give it in oxidation_states '
            f'(--oxidation {element}=...)'
        )
    return int(common[0])


def guess_oxidation_states(
    structure: Structure, given: Mapping[str, float] | None = None
) -> tuple[list[float], str] | None:
    """Return oxidation states for a structure that carries none, and how they were found; None where it is not known.

    Tried in this order: states given for every element; `bond valence`, by the lengths of bonds (pymatgen's
    `BVAnalyzer`); `composition`, the likeliest states that make the cell neutral.

    :param given: oxidation state by element; elements that are left out are guessed by the composition.
    :raises ValueError: for states of elements that the structure does not have.
    """
    symbols = [site.specie.symbol for site in structure]
    given = dict(given or {})
    for element in given:
        if element not in symbols:
            raise ValueError(
                f'an oxidation state is given for {element!r}, which {structure.composition.reduced_formula} does not '
                f'have: it consists of {", ".join(sorted(set(symbols)))}'
            )
    if given and set(given) == set(symbols):
        return [float(given[symbol]) for symbol in symbols], 'given'
    bare = Structure(structure.lattice, symbols, structure.frac_coords)
    if not given:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            try:
                return [float(state) for state in BVAnalyzer().get_valences(bare)], 'bond valence'
            except ValueError:  # no assignment that fits: another way may be found
                pass
    composition = bare.composition.reduced_composition
    guess = likely_states(composition, given)
    if guess is None:
        return None
    return [guess[symbol] for symbol in symbols], 'composition'


@dataclass(frozen=True)
class Shift:
    """Oxidation states after the charge of a cell was moved.

    :param states: one for each site; None where the metals cannot take up the charge.
    :param changed: mean oxidation state before and after by element, of those that changed.
    :param warnings: what a reader must know.
    """

    states: list[float] | None
    changed: dict[str, tuple[float, float]]
    warnings: tuple[str, ...] = ()


def shift_charge(
    structure: Structure,
    states: Sequence[float],
    charge: float,
    sources: Sequence[Sequence[float]] = (),
    how: str = 'spread',
) -> Shift:
    """Let the redox-active metals of a crystal take up charge.

    These are its transition metals that have room between 0 and their highest oxidation state. When oxidised, the metal
    in the lowest state goes first, when reduced, the one in the highest: of the nickel and manganese of
    LiNi0.5Mn1.5O4 nickel is oxidised. A metal that is full leaves the rest to the next one.

    :param structure: the crystal after the change, so without ions that were removed.
    :param states: oxidation state of each site before the change.
    :param charge: positive charge that the metals take up in units of e: the sum of what was removed.
    :param sources: fractional coordinates of what was removed or exchanged, for `localised`.
    :param how: `spread`: all sites of a metal change alike, which keeps the symmetry and may give fractional states;
        `localised`: whole electrons, each at the metal site nearest to a source that was not changed yet. Sites of a
        metal that share a fractional state, such as the Mn of LiMn2O4, come to the two whole states around their new
        mean, with a warning.
    :raises ValueError: for an unknown `how`.
    """
    if how not in {'spread', 'localised'}:
        raise ValueError(f'unknown compensation {how!r}: choose spread or localised')
    new = np.array(states, dtype=float)
    if abs(charge) < _TOLERANCE:
        return Shift(new.tolist(), {})
    left, sign = abs(charge), float(np.sign(charge))
    symbols = np.array([site.specie.symbol for site in structure])
    metals = [element for element in dict.fromkeys(symbols.tolist()) if Element(element).is_transition_metal]
    metals.sort(key=lambda element: (sign * new[symbols == element].mean(), element))
    notes = []
    for element in metals:
        sites = np.flatnonzero(symbols == element)
        room = _room(element, new[sites], sign)
        taken = min(left, float(room.sum()))
        if taken < _TOLERANCE:
            continue
        if how == 'spread':
            new[sites] += sign * taken * room / room.sum() if _uneven(room, taken) else sign * taken / len(sites)
        else:
            notes += _localise(structure, sites, new, room, sign, taken, sources)
        left -= taken
        notes += _unusual(element, new[sites])
        if left < _TOLERANCE:
            break
    if left > _TOLERANCE:
        what = ', '.join(metals) or 'none'
        verb = 'take up' if charge > 0 else 'give'
        message = (
            f'the transition metals ({what}) cannot {verb} {left:g} e of {abs(charge):g} e in the cell: the structure '
            'carries no oxidation states'
        )
        return Shift(None, {}, (*notes, message))
    before = np.array(states, dtype=float)
    changed = {
        element: (float(before[symbols == element].mean()), float(new[symbols == element].mean()))
        for element in metals
        if np.abs(new - before)[symbols == element].max() > _TOLERANCE
    }
    return Shift((np.round(new, 6) + 0.0).tolist(), changed, tuple(notes))


def _unusual(element: str, states: np.ndarray) -> list[str]:
    known = Element(element).icsd_oxidation_states
    if not known or (states.min() > min(known) - _TOLERANCE and states.max() < max(known) + _TOLERANCE):
        return []
    extreme = states.max() if states.max() > max(known) else states.min()
    return [
        f'{element} comes to the oxidation state {extreme:+.2f}; those of crystals in the ICSD are {min(known):+d} to '
        f'{max(known):+d}'
    ]


def _room(element: str, states: np.ndarray, sign: float) -> np.ndarray:
    """Return by how much each site of a metal can change."""
    return np.clip(Element(element).max_oxidation_state - states if sign > 0 else states, 0, None)


def _uneven(room: np.ndarray, taken: float) -> bool:
    return bool(room.min() < taken / len(room) - _TOLERANCE)


def _localise(
    structure: Structure,
    sites: np.ndarray,
    states: np.ndarray,
    room: np.ndarray,
    sign: float,
    taken: float,
    sources: Sequence[Sequence[float]],
) -> list[str]:
    """Change single sites by whole electrons, those nearest to a source first, each once before any one twice.

    :return: warnings where the states of the metal were fractional.
    """
    points = np.asarray(sources, dtype=float).reshape(-1, 3)
    if len(points):
        distances = structure.lattice.get_all_distances(points, structure.frac_coords[sites]).min(axis=0)
    else:
        distances = np.zeros(len(sites))
    nearest = np.lexsort((sites, np.round(distances, 3)))
    if np.abs(states[sites] - np.round(states[sites])).max() > _TOLERANCE:
        return _localise_fractions(structure[int(sites[0])].specie.symbol, sites[nearest], states, sign, taken)
    room = room.copy()
    while taken > _TOLERANCE:
        for site in nearest:
            step = min(1.0, taken, float(room[site]))
            states[sites[site]] += sign * step
            room[site] -= step
            taken -= step
    return []


def _localise_fractions(element: str, sites: np.ndarray, states: np.ndarray, sign: float, taken: float) -> list[str]:
    """Bring sites with fractional states, the nearest first, to whole ones where these add up; return a warning."""
    before = states[sites]
    total = float(before.sum() + sign * taken)
    if np.ptp(before) > _TOLERANCE or abs(total - round(total)) > _TOLERANCE:
        states[sites] += sign * taken / len(sites)
        return [
            f'the charge is spread over {element}, not localised, for its states ({_listed(before)}) are fractional, '
            'and differ or make no whole number together: give whole states'
        ]
    low, higher = divmod(round(total), len(sites))
    # the nearest change most: they get the higher state when oxidised, the lower one when reduced
    whole = [float(low + 1)] * higher + [float(low)] * (len(sites) - higher)
    states[sites] = whole if sign > 0 else whole[::-1]
    return [
        f'the states of {element} were fractional ({_listed(before)}) and are whole now ({_listed(states[sites])}): '
        'also sites that took up none of the charge changed'
    ]


def _listed(states: np.ndarray) -> str:
    values, counts = np.unique(np.round(states, 3), return_counts=True)
    return ', '.join(f'{count} x {value:+g}' for value, count in zip(values, counts, strict=True))


def high_spin_moment(element: str, state: float) -> float | None:
    """Return the spin moment of a 3d ion in the high-spin state in Bohr magnetons, None for other elements.

    The d electrons are the number of the group less the oxidation state; up to five are parallel, further ones pair.
    Fractional states lie between those of the neighbouring integers.
    """
    if not Element(element).is_transition_metal or Element(element).row != 4:
        return None
    electrons = float(np.clip(Element(element).group - state, 0, 10))
    return electrons if electrons <= 5 else 10 - electrons


def shift_moments(
    structure: Structure, before: Sequence[float], after: Sequence[float]
) -> tuple[list[float] | None, list[str]]:
    """Return the moments of a crystal whose oxidation states changed, and warnings.

    A moment that was that of the high-spin ion, within 1 Bohr magneton, becomes that of the new high-spin ion, its sign
    kept; any other stays, with a warning.

    :param structure: the crystal with its old moments (`magmom`).
    :param before: oxidation states before.
    :param after: oxidation states after.
    :returns: None where the structure has no moments.
    """
    moments = structure.site_properties.get('magmom')
    if moments is None:
        return None, []
    new, kept = [], []
    for index, site in enumerate(structure):
        moment = float(moments[index] or 0.0)
        new.append(moment)
        if abs(after[index] - before[index]) < _TOLERANCE:
            continue
        old, wanted = (high_spin_moment(site.specie.symbol, state[index]) for state in (before, after))
        if old is None or wanted is None or abs(abs(moment) - old) > 1.0:
            kept.append(site.specie.symbol)
        else:
            new[-1] = float(np.copysign(round(wanted, 6), moment))
    notes = [
        f'the moments of {kept.count(element)} {element} are as before although its oxidation state changed: they are '
        'not those of high-spin ions; give new ones with --moments where it matters'
        for element in dict.fromkeys(kept)
    ]
    return new, notes
