"""Orderings of a disordered crystal: all that differ by symmetry, counted, enumerated and ranked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aiida_embarrier.structures.arrangements import distinct_arrangements
from aiida_embarrier.structures.ewald import find_charges
from aiida_embarrier.structures.occupancies import DEFAULT_TOLERANCE, fix_contents
from aiida_embarrier.structures.ordering_cell import Cell, OrderingCount

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pymatgen.core import Structure

    Supercell = int | str | Sequence[int] | Sequence[Sequence[int]] | np.ndarray | None
    #: What is done, how much of it, out of how much, and what is counted.
    Progress = Callable[[str, int, int, str], None]

__all__ = (
    'DEFAULT_LIMIT',
    'Ordering',
    'OrderingCount',
    'Orderings',
    'TooManyOrderingsError',
    'count_orderings',
    'find_orderings',
)

#: Most arrangements that are enumerated unless asked: without any symmetry half a minute of a core and 1.5 GB.
DEFAULT_LIMIT = 5_000_000

#: Orderings that pymatgen's transformation is asked for unless told: it slows down with their number.
MOST_PROPOSED = 1000

#: A limit that would take more memory than this, in MB, is not recommended.
MOST_MEMORY = 64_000


class TooManyOrderingsError(ValueError):
    """There are more arrangements than the limit.

    :param n_arrangements: how many there are.
    :param n_distinct: how many of them differ by symmetry.
    """

    def __init__(self, message: str, n_arrangements: int, n_distinct: int) -> None:
        super().__init__(message)
        self.n_arrangements = n_arrangements
        self.n_distinct = n_distinct


@dataclass(frozen=True, eq=False)
class Ordering:
    """One ordering.

    :param number: its place among all distinct ones, counted from 0, by Ewald energy where they are ranked.
    :param structure: the ordered crystal; oxidation states and other properties of its sites are those of the average
        crystal, and empty sites are left out.
    :param multiplicity: how many arrangements symmetry makes of it.
    :param ewald_energy: electrostatic energy of the cell in eV, None where there are no charges.
    """

    number: int
    structure: Structure
    multiplicity: int
    ewald_energy: float | None


@dataclass(frozen=True, eq=False)
class Orderings:
    """The orderings of a cell.

    :param count: how many there are.
    :param orderings: those whose structures were made, in order: the lowest Ewald energy first where they are ranked.
    :param multiplicities: of all distinct orderings that were found, in the same order.
    :param energies: their Ewald energies in eV, None where they are not ranked.
    :param oxidation_states: charges by species that the energies were computed with, empty where there are none.
    :param oxidation_source: where these are from: `given`, `file`, `guess` or `none`.
    :param warnings: those of the count, and those of the charges.
    """

    count: OrderingCount
    orderings: tuple[Ordering, ...]
    multiplicities: np.ndarray
    energies: np.ndarray | None
    oxidation_states: dict[str, float]
    oxidation_source: str
    warnings: tuple[str, ...] = ()

    @property
    def ranked(self) -> bool:
        """Whether the orderings have Ewald energies."""
        return self.energies is not None


def count_orderings(
    structure: Structure,
    *,
    supercell: Supercell = None,
    fix: str = 'occupancy',
    tolerance: float = DEFAULT_TOLERANCE,
    symprec: float = 0.01,
) -> OrderingCount:
    """Count the orderings of a disordered crystal, without making any of them.

    Orderings are equivalent where an operation of the average crystal, translations in the cell included, makes one of
    the other.

    :param structure: the average crystal; species may carry oxidation states.
    :param supercell: one, three or nine integers, `'fit'` for the smallest diagonal supercell that holds whole atoms
        within `tolerance`, None for the cell as it is.
    :param fix: `occupancy`, sites with the same occupancies share their atoms; or `orbit`, only those that symmetry of
        the crystal makes of each other do.
    :param tolerance: by how much rounding to whole atoms may change an occupancy.
    :param symprec: how far sites may lie from where symmetry wants them, in Å.
    :raises ValueError: where the cell holds no whole atoms, and where its symmetry is not found.
    """
    cell = Cell(fix_contents(structure, supercell, fix, tolerance, symprec), symprec)
    return cell.count()


def find_orderings(
    structure: Structure,
    *,
    supercell: Supercell = None,
    fix: str = 'occupancy',
    tolerance: float = DEFAULT_TOLERANCE,
    exact: bool = True,
    algorithm: str = 'fast',
    limit: int | None = None,
    keep: int | None = None,
    oxidation_states: Mapping[str, float] | None = None,
    progress: Progress | None = None,
    symprec: float = 0.01,
) -> Orderings:
    """Find the orderings of a disordered crystal, ranked by Ewald energy.

    :param structure: the average crystal; species may carry oxidation states.
    :param supercell: as for :func:`count_orderings`, and so are `fix`, `tolerance` and `symprec`.
    :param exact: enumerate all that differ by symmetry; else let pymatgen's order-disorder transformation propose
        orderings and its structure matcher tell them apart.
    :param algorithm: how pymatgen searches: `fast` or `best_first`; the exact mode takes no notice of it.
    :param limit: most arrangements that are enumerated, 5 million unless given; with pymatgen's transformation most
        orderings that it proposes, 1000.
    :param keep: how many structures are made, the lowest first; None for all.
    :param oxidation_states: by symbol, in units of e; None for those in the structure, or else a guess.
    :param progress: called with what is done, how much of it, out of how much, and the name of what is counted.
    :raises TooManyOrderingsError: where there are more arrangements than `limit`.
    :raises ValueError: where the cell holds no whole atoms, and where its symmetry is not found.
    """
    if keep is not None and keep < 0:
        raise ValueError(f'the number of structures to keep is not negative, got {keep}')
    contents = fix_contents(structure, supercell, fix, tolerance, symprec)
    cell = Cell(contents, symprec)
    count = cell.count()
    if exact:
        _check_limit(count, DEFAULT_LIMIT if limit is None else limit)
    charges, source, warnings = find_charges(contents, oxidation_states)
    if exact:
        found = distinct_arrangements(cell.permutations, cell.sets, cell.counts, _counted(progress, count))
    else:
        from aiida_embarrier.structures.transformation import arrangements_of_pymatgen

        found, more = arrangements_of_pymatgen(
            cell, charges, algorithm, MOST_PROPOSED if limit is None else limit, progress
        )
        warnings = [*warnings, *more]
    energies = None if charges is None else cell.energies(found.species, charges)
    order = np.arange(len(found.species))
    if energies is not None:
        # Equivalent sums differ in their last digits; what is equal stays in the order of the enumeration.
        order = np.argsort(np.round(energies, 6), kind='stable')
        energies = energies[order]
    multiplicities = found.multiplicities[order]
    kept = order if keep is None else order[:keep]
    states = charges if source == 'given' else None
    made = []
    for number, row in enumerate(kept):
        if progress is not None and number % 100 == 0:
            progress('structures', number, len(kept), 'structures')
        energy = None if energies is None else float(energies[number])
        made.append(Ordering(number, cell.ordered(found.species[row], states), int(multiplicities[number]), energy))
    return Orderings(
        count,
        tuple(made),
        multiplicities,
        energies,
        {} if charges is None else {str(name): charge for name, charge in charges.items()},
        source,
        (*count.warnings, *warnings),
    )


def _check_limit(count: OrderingCount, limit: int) -> None:
    if count.n_arrangements <= limit:
        return
    memory = _megabytes(count)
    higher = f'raise the limit (about {memory} MB of memory), ' if memory < MOST_MEMORY else ''
    raise TooManyOrderingsError(
        f'{count.formula} has {count.n_arrangements} arrangements, {count.n_distinct} of them distinct, more than the '
        f'limit of {limit} arrangements: take a smaller cell, {higher}or let pymatgen propose low ones (--pymatgen '
        '--algorithm best_first, for fast may take hours here)',
        count.n_arrangements,
        count.n_distinct,
    )


def _megabytes(count: OrderingCount) -> int:
    """Return about how much memory the distinct orderings take."""
    n_sites = sum(entry['n_sites'] for entry in count.contents)
    return count.n_distinct * (10 * n_sites + 32) // 10**6 + 100


def _counted(progress: Progress | None, count: OrderingCount) -> Callable[[float], None] | None:
    if progress is None:
        return None
    total = count.n_arrangements
    return lambda part: progress('orderings', min(round(part * total), total), total, 'arrangements')
