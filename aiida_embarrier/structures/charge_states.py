"""Charge states of an intercalation host: all of its ions there, all gone, or some of them.

What leaves with an ion is its charge: the transition metals of the host take it up, and their moments follow.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from aiida_embarrier.structures.crystals import check_crystal, check_ion, site_name
from aiida_embarrier.structures.ewald import EwaldMatrix
from aiida_embarrier.structures.oxidation import (
    guess_oxidation_states,
    oxidation_states_of,
    shift_charge,
    shift_moments,
    with_oxidation_states,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pymatgen.core import Structure

__all__ = ('MAX_CHOICES', 'STATES', 'ChargeState', 'place_in_state', 'set_charge_state')

#: States with a name.
STATES = ('discharged', 'charged', 'dilute')
#: Choices of ions that are looked at; a 30-fold host with half of its ions has 1.6e8.
MAX_CHOICES = 2_000_000
#: Energies of choices nearer than this, in eV, are equal.
_SAME_ENERGY = 1e-5


@dataclass(frozen=True, eq=False)
class ChargeState:
    """An intercalation host in one state.

    :param structure: the host in that state.
    :param ion: chemical symbol of the intercalant.
    :param state: the state as it was asked for.
    :param sites: fractional coordinates of the sites that are empty now, shape (n, 3): where an ion can be put in
        again, what `find_hops(structure, ion, mechanism='interstitial', sites=...)` takes.
    :param removed: indices in the crystal as given of the ions that are gone.
    :param kept: indices in the crystal as given of the intercalants that stayed.
    :param content: share of the intercalant sites that are occupied.
    :param mechanism: of hops in this state: `vacancy` where ions stayed and none went, else `interstitial`.
    :param changed: mean oxidation state before and after by element, of those that changed.
    :param choices: how many ways there were to choose the ions, and how many of them have the lowest energy.
    :param warnings: what a reader must know.
    """

    structure: Structure
    ion: str
    state: str | float | int
    sites: np.ndarray
    removed: tuple[int, ...]
    kept: tuple[int, ...]
    content: float
    mechanism: str
    changed: dict[str, tuple[float, float]]
    choices: tuple[int, int] = (1, 1)
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return all but the structure as plain Python values."""
        return {
            'ion': self.ion,
            'state': self.state,
            'content': self.content,
            'mechanism': self.mechanism,
            'sites': self.sites.tolist(),
            'removed': list(self.removed),
            'kept': list(self.kept),
            'oxidation_states_changed': {element: list(pair) for element, pair in self.changed.items()},
            'n_choices': self.choices[0],
            'n_lowest': self.choices[1],
            'warnings': list(self.warnings),
        }


def set_charge_state(
    structure: Structure,
    ion: str,
    state: str | float | None = None,
    *,
    count: int | None = None,
    remove: Sequence[int] | None = None,
    indices: Sequence[int] | None = None,
    oxidation_states: Mapping[str, float] | None = None,
    compensation: str = 'spread',
    guess: bool = False,
) -> ChargeState:
    """Return a host with as many of its intercalants as a charge state has.

    Where the crystal carries oxidation states, or some are given, the charge of the ions that go is taken up by the
    transition metals (:func:`~aiida_embarrier.structures.oxidation.shift_charge`), and moments of high-spin ions follow
    (:func:`~aiida_embarrier.structures.oxidation.shift_moments`).

    Of a content between, those ions go whose absence leaves the lowest Ewald energy, of choices with the same energy
    (equivalent ones) that with the lowest indices. The energy is that of the oxidation states spread over the metals;
    of a crystal without any, that of the ions alone, unit charges before a uniform background.

    :param structure: the discharged host, ordered, with the ion on all its sites.
    :param ion: chemical symbol of the intercalant.
    :param state: `discharged`, the host as given; `charged`, without any intercalant; `dilute`, with one of them in the
        cell as given; or the share of the intercalant sites that stay occupied, 0 to 1. None, or `given`, where `count`
        or `remove` says it; and as discharged where nothing does.
    :param count: how many of the ions stay, instead of a share.
    :param remove: indices of the ions that go, instead of a choice by energy.
    :param indices: sites of the intercalant, where others of the same element belong to the framework; None for all.
    :param oxidation_states: oxidation state by element, where the crystal carries none.
    :param compensation: `spread` or `localised`, how the metals take up the charge.
    :param guess: find the oxidation states of a crystal that carries none, see
        :func:`~aiida_embarrier.structures.oxidation.guess_oxidation_states`.
    :raises ValueError: for an ion that the crystal does not have, shares that give no whole number of ions, and more
        choices than :data:`MAX_CHOICES`.
    """
    check_crystal(structure)
    sites = _intercalants(structure, ion, indices)
    state = _name(state, count, remove)
    if remove is not None:
        wrong = [index for index in remove if index not in sites]
        if wrong:
            raise ValueError(f'site {wrong[0]} is no intercalant: choose from {sites}')
        stays = len(sites) - len(set(remove))
    else:
        stays = _how_many(state, count, len(sites))
    states = oxidation_states_of(structure)
    if oxidation_states or (guess and states is None):
        guessed = guess_oxidation_states(structure, oxidation_states)
        states = None if guessed is None else guessed[0]
    choices: tuple[int, int] = (1, 1)
    notes: list[str] = []
    if remove is not None:
        removed = sorted(set(remove))
    elif stays in {0, len(sites)}:
        removed = [] if stays else sites
    else:
        removed, choices, notes = _choose(structure, sites, len(sites) - stays, states)
    if state == 'dilute' and len(sites) == 1:
        notes.append(f'the cell has one {ion} only: dilute is as discharged here; give a supercell')
    left = [index for index in range(len(structure)) if index not in set(removed)]
    changed_structure, changed, more = _without(structure, removed, left, states, compensation)
    return ChargeState(
        structure=changed_structure,
        ion=ion,
        state=state,
        sites=structure.frac_coords[removed].reshape(-1, 3),
        removed=tuple(removed),
        kept=tuple(index for index in sites if index not in set(removed)),
        content=stays / len(sites),
        mechanism='interstitial' if removed else 'vacancy',
        changed=changed,
        choices=choices,
        warnings=(*notes, *more),
    )


def _intercalants(structure: Structure, ion: str, indices: Sequence[int] | None) -> list[int]:
    sites = check_ion(structure, ion)
    if indices is None:
        return sites
    for index in indices:
        if index not in sites:
            name = site_name(structure, index) if 0 <= index < len(structure) else f'site {index}'
            raise ValueError(f'{name} is no {ion}: the sites of {ion} are {sites}')
    if not len(indices):
        raise ValueError(f'no site of the intercalant is named: choose from {sites}, or leave indices out')
    return sorted(set(indices))


def _name(state: str | float | None, count: int | None, remove: Sequence[int] | None) -> str | float:
    """Return how the state is called, `given` where count or remove say it; refuse one that is said in two ways."""
    said = {'state': None if state == 'given' else state, 'count': count, 'remove': remove}
    ways = [name for name, value in said.items() if value is not None]
    if len(ways) > 1:
        raise ValueError(f'{" and ".join(ways)} both say which ions stay: give one of them')
    if ways in (['count'], ['remove']):
        return 'given'
    return 'discharged' if state is None else state


def _how_many(state: str | float, count: int | None, n_sites: int) -> int:
    """Return how many ions stay."""
    if count is not None:
        if not 0 <= count <= n_sites:
            raise ValueError(f'{count} ions cannot stay: the cell has {n_sites}')
        return count
    if isinstance(state, str) and state in STATES:
        return {'discharged': n_sites, 'charged': 0, 'dilute': 1}[state]
    try:
        share = float(state)
    except ValueError:
        share = math.nan
    if not 0 <= share <= 1:
        raise ValueError(f'{state!r} is no charge state: give {", ".join(STATES)}, or a share from 0 to 1')
    stays = round(share * n_sites)
    if abs(stays - share * n_sites) > 0.02:
        below = math.floor(share * n_sites)
        raise ValueError(
            f'{share:g} of the {n_sites} ions of the cell is no whole number: {below / n_sites:.4g} and '
            f'{(below + 1) / n_sites:.4g} are the nearest shares; a supercell allows others'
        )
    return stays


def _choose(
    structure: Structure, sites: list[int], n_removed: int, states: list[float] | None
) -> tuple[list[int], tuple[int, int], list[str]]:
    """Return which ions go: those that leave the lowest electrostatic energy."""
    total = math.comb(len(sites), n_removed)
    if total > MAX_CHOICES:
        raise ValueError(
            f'there are {total} ways to remove {n_removed} of {len(sites)} ions, more than {MAX_CHOICES}: name those '
            'that go with remove, or take a smaller cell'
        )
    notes: list[str] = []
    charges = None if states is None else _charges(structure, sites, n_removed, states)
    if charges is None:
        notes.append(
            'the ions that go were chosen by their distances from each other alone, for no oxidation states are known: '
            'give some where it matters'
        )
        matrix, chosen, charges = EwaldMatrix(_part(structure, sites)), list(range(len(sites))), np.ones(len(sites))
    else:
        matrix, chosen = EwaldMatrix(structure), sites
    lowest, best, n_lowest = math.inf, np.array([], dtype=np.intp), 0
    for kept in _combinations(len(sites), len(sites) - n_removed):
        there = np.zeros((len(kept), len(sites)))
        np.put_along_axis(there, kept, charges[chosen][kept], axis=1)
        energies = matrix.energies(there, chosen, charges)
        here = float(energies.min())
        near = np.flatnonzero(energies < min(here, lowest) + _SAME_ENERGY)
        if here < lowest - _SAME_ENERGY:
            lowest, n_lowest = here, 0
        if len(near):
            best = kept[near[-1]]  # those with the highest indices stay: those with the lowest ones go
            n_lowest += len(near)
    gone = [site for number, site in enumerate(sites) if number not in set(best.tolist())]
    return gone, (total, n_lowest), notes


def _charges(structure: Structure, sites: list[int], n_removed: int, states: list[float]) -> np.ndarray | None:
    """Return the charge of each site where some ions are gone, the rest spread over the metals; None without metals.

    Spread, whatever the compensation: on which metals charges localise is known only after the choice.
    """
    framework = [index for index in range(len(structure)) if index not in set(sites)]
    charge = n_removed * float(np.mean([states[index] for index in sites]))
    shift = shift_charge(_part(structure, framework), [states[index] for index in framework], charge)
    if shift.states is None:
        return None
    charges = np.array(states, dtype=float)
    charges[framework] = shift.states
    return charges


def _combinations(n: int, k: int, size: int = 100_000) -> Iterator[np.ndarray]:
    """Yield the choices of k out of n as index arrays of shape (at most size, k), in lexical order."""
    choices = itertools.combinations(range(n), k)
    while chunk := list(itertools.islice(choices, size)):
        yield np.array(chunk, dtype=np.intp)


def _part(structure: Structure, indices: Sequence[int]) -> Structure:
    return type(structure).from_sites([structure[index] for index in indices])


def _without(
    structure: Structure, removed: list[int], left: list[int], states: list[float] | None, compensation: str
) -> tuple[Structure, dict[str, tuple[float, float]], list[str]]:
    """Return the host without some ions, which oxidation states changed, and warnings."""
    if len(left) == 0:
        raise ValueError('nothing is left of the crystal: it consists of the ion alone')
    host = structure.copy()
    host.remove_sites(removed)
    if 'kind' in host.site_properties:
        host.remove_site_property('kind')  # atoms of one kind may differ from now on
    if states is None:
        return host, {}, []
    before = [states[index] for index in left]
    charge = sum(states[index] for index in removed)
    sources = structure.frac_coords[removed].tolist()
    shift = shift_charge(host, before, charge, sources, compensation)
    notes = list(shift.warnings)
    if shift.states is not None:
        moments, more = shift_moments(host, before, shift.states)
        if moments is not None:
            host.add_site_property('magmom', moments)
        notes += more
    return with_oxidation_states(host, shift.states), shift.changed, notes


def place_in_state(site: int, removed: Sequence[int], kept: Sequence[int], mechanism: str) -> int:
    """Return where a site of the crystal as given is among those that an ion hops between in a charge state.

    :param site: index in the crystal as given.
    :param removed: indices there of the ions that are gone.
    :param kept: indices there of the intercalants that stayed.
    :param mechanism: `interstitial`: hops lead from one emptied site to another; `vacancy`: from a kept ion to another.
    :return: for `interstitial` the number of the site among the emptied ones, for `vacancy` its index in the host.
    :raises ValueError: for a site that is none of those.
    """
    interstitial = mechanism == 'interstitial'
    places = list(removed if interstitial else kept)
    if site not in places:
        what = 'emptied' if interstitial else 'occupied'
        raise ValueError(f'site {site} is none of the {what} ones: choose from {places}, or give coordinates')
    return places.index(site) if interstitial else site - sum(gone < site for gone in removed)
