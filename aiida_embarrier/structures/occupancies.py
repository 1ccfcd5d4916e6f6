"""What a cell of a disordered crystal holds: whole atoms on sets of sites whose occupancies are the same."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from aiida_embarrier.bands.geometry import image_distance
from aiida_embarrier.structures.average import SAME, site_labels, site_orbits
from aiida_embarrier.structures.crystals import site_name
from aiida_embarrier.structures.supercells import Supercell, supercell_matrix

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymatgen.core import Species, Structure

__all__ = ('DEFAULT_TOLERANCE', 'FIXES', 'Contents', 'SiteSet', 'fix_contents', 'nearest_counts')

#: By how much rounding to whole atoms may change an occupancy. On eight sites it changes none by more than 1/16.
DEFAULT_TOLERANCE = 0.07

#: What the content is fixed for: all sites with the same occupancies, or each crystallographic orbit of them.
FIXES = ('occupancy', 'orbit')

#: The largest multiple of a cell that is looked at for one whose occupancies make whole atoms.
LARGEST_MULTIPLE = 24


@dataclass(frozen=True)
class SiteSet:
    """Sites among which the same atoms are shared out.

    :param sites: their indices in the cell, ascending.
    :param species: what they hold, without vacancies.
    :param occupancies: part of the sites that each species holds, as the file says.
    :param counts: number of atoms of each species.
    """

    sites: tuple[int, ...]
    species: tuple[Species, ...]
    occupancies: tuple[float, ...]
    counts: tuple[int, ...]

    @property
    def vacancies(self) -> int:
        """Number of sites that stay empty."""
        return len(self.sites) - sum(self.counts)

    @property
    def all_counts(self) -> tuple[int, ...]:
        """Number of sites for each species and, last, of empty ones."""
        return (*self.counts, self.vacancies)

    @property
    def deviation(self) -> float:
        """By how much the occupancies are off, the largest of all species and of the empty sites."""
        wanted = np.array([*self.occupancies, 1 - sum(self.occupancies)])
        return float(np.abs(np.array(self.all_counts) / len(self.sites) - wanted).max())

    @property
    def name(self) -> str:
        """How messages name the set: what its sites hold."""
        return occupancy_text(dict(zip(self.species, self.occupancies, strict=True)))

    def to_dict(self) -> dict[str, Any]:
        """Return the set as plain Python values."""
        return {
            'occupancy': {str(name): value for name, value in zip(self.species, self.occupancies, strict=True)},
            'n_sites': len(self.sites),
            'counts': {str(name): count for name, count in zip(self.species, self.counts, strict=True)},
            'vacancies': self.vacancies,
            'deviation': round(self.deviation, 6),
        }


@dataclass(frozen=True, eq=False)
class Contents:
    """A cell of a disordered crystal and the whole atoms in it.

    :param structure: the average crystal in this cell.
    :param supercell: integer matrix, shape (3, 3), whose rows are its lattice vectors in units of those of the crystal.
    :param sets: the sets of sites that are partly occupied or shared; none in an ordered crystal.
    :param warnings: where the content had to be rounded.
    """

    structure: Structure
    supercell: np.ndarray
    sets: tuple[SiteSet, ...]
    warnings: tuple[str, ...] = ()

    @property
    def formula(self) -> str:
        """What the cell holds, in whole atoms."""
        return atoms_text(self.atoms())

    def atoms(self) -> Counter[Any]:
        """Return how many atoms of each species the cell holds."""
        atoms: Counter[Any] = Counter(next(iter(site.species)) for site in self.structure if not _is_disordered(site))
        for entry in self.sets:
            atoms.update({name: count for name, count in zip(entry.species, entry.counts, strict=True) if count})
        return atoms


def fix_contents(
    structure: Structure,
    supercell: int | str | Sequence[int] | Sequence[Sequence[int]] | np.ndarray | None = None,
    fix: str = 'occupancy',
    tolerance: float = DEFAULT_TOLERANCE,
    symprec: float = 0.01,
) -> Contents:
    """Return what a cell of a disordered crystal holds, rounded to whole atoms.

    Of each set of sites the composition is taken that is nearest to the occupancies.

    :param structure: the average crystal; species may carry oxidation states.
    :param supercell: as :func:`~aiida_embarrier.structures.supercells.supercell_matrix` takes it, `'fit'` for the
        smallest diagonal one in which all sets of sites are within `tolerance`, None for the cell itself.
    :param fix: `occupancy`, all sites with the same occupancies share their atoms; or `orbit`, only those that symmetry
        of the crystal makes of each other do.
    :param tolerance: by how much rounding may change an occupancy.
    :param symprec: how far sites may lie from where symmetry wants them, in Å; for `orbit`.
    :raises ValueError: where rounding would change an occupancy by more; the message names the smallest multiple of the
        cell that would do, and the tolerance.
    """
    if fix not in FIXES:
        raise ValueError(f'unknown fix {fix!r}: choose one of {", ".join(FIXES)}')
    if not (math.isfinite(tolerance) and 0 <= tolerance <= 1):
        raise ValueError(f'the tolerance of occupancies is a number from 0 to 1, got {tolerance}')
    matrix, shared = np.eye(3, dtype=int), _shared(structure, fix, symprec)
    if isinstance(supercell, str):
        if supercell != 'fit':
            raise ValueError(f"the supercell {supercell!r} is neither 'fit' nor three integers")
        matrix = _smallest(structure, shared, tolerance)
    elif supercell is not None:
        matrix = supercell_matrix(supercell)
    repeated = Supercell(structure, matrix)
    sets = tuple(_rounded(members, composition, repeated) for members, composition in shared)
    worst = max(sets, key=lambda entry: entry.deviation, default=None)
    if worst is not None and worst.deviation > tolerance + SAME / 10:
        raise ValueError(_why_not(worst, shared, repeated.size, tolerance))
    contents = Contents(repeated.structure, matrix, sets)
    return Contents(repeated.structure, matrix, sets, tuple(_warnings(contents, structure)))


def nearest_counts(occupancies: Sequence[float], n_sites: int) -> tuple[int, ...]:
    """Return the whole numbers of sites that come nearest to occupancies, the empty sites being the rest.

    Each species gets its share rounded down; what is left over goes to those that lost most (the method of the largest
    remainder), for which no other numbers have a smaller largest deviation.

    :param occupancies: part of the sites that each species holds; they sum to at most 1.
    """
    shares = [Fraction(occupancy).limit_denominator(10**6) * n_sites for occupancy in occupancies]
    shares.append(n_sites - sum(shares, Fraction(0)))
    counts = [max(math.floor(share), 0) for share in shares]
    # Of equal remainders the species comes before the vacancy, and the one that is named first.
    order = sorted(range(len(shares)), key=lambda number: (counts[number] - shares[number], number))
    for number in order[: n_sites - sum(counts)]:
        counts[number] += 1
    return tuple(counts[:-1])


def occupancy_text(occupancies: dict[Any, float]) -> str:
    """Return occupancies for people: ``Li:0.5, Na:0.25``."""
    return ', '.join(f'{name}:{value:.4g}' for name, value in occupancies.items())


def atoms_text(atoms: dict[Any, Any]) -> str:
    """Return numbers of atoms for people: ``Li20 Ge2 P4 S24``; oxidation states are left out."""
    by_symbol: Counter[str] = Counter()
    for name, count in sorted(
        atoms.items(), key=lambda item: (item[0].X if item[0].X == item[0].X else 9, str(item[0]))
    ):
        by_symbol[name.symbol] += count
    return ' '.join(f'{symbol}{count:.6g}' for symbol, count in by_symbol.items() if count)


def _electronegativity(name: Any) -> float:
    value = name.X
    return 9.0 if math.isnan(value) else float(value)  # noble gases have none


def _is_disordered(site: Any) -> bool:
    return len(site.species) > 1 or abs(sum(site.species.values()) - 1) > SAME


def _shared(structure: Structure, fix: str, symprec: float) -> list[tuple[list[int], dict[Any, float]]]:
    """Return the sites of the crystal that share their atoms, each set with its occupancies."""
    # Occupancies decide, not moments: sites that differ in these alone share their atoms.
    labels = site_labels(structure, only_occupancies=True)
    disordered = [index for index, site in enumerate(structure) if _is_disordered(site)]
    orbits = site_orbits(structure, symprec) if fix == 'orbit' and disordered else labels
    sets: dict[tuple[int, int], list[int]] = {}
    for index in disordered:
        total = sum(structure[index].species.values())
        if total > 1 + SAME or min(structure[index].species.values()) < 0:
            raise ValueError(
                f'{site_name(structure, index)} has occupancies that sum to {total:.4g}: a site holds at most one '
                'atom; correct the occupancies'
            )
        sets.setdefault((labels[index], orbits[index]), []).append(index)
    return [
        (members, {name: min(value, 1.0) for name, value in structure[members[0]].species.items()})
        for members in sets.values()
    ]


def _rounded(members: list[int], composition: dict[Any, float], repeated: Supercell) -> SiteSet:
    sites = tuple(index * repeated.size + cell for index in members for cell in range(repeated.size))
    species, occupancies = tuple(composition), tuple(map(float, composition.values()))
    return SiteSet(sites, species, occupancies, nearest_counts(occupancies, len(sites)))


def _deviation(members: Sequence[int], composition: dict[Any, float], multiple: int) -> float:
    n_sites = len(members) * multiple
    occupancies = tuple(map(float, composition.values()))
    sites = tuple(range(n_sites))
    return SiteSet(sites, tuple(composition), occupancies, nearest_counts(occupancies, n_sites)).deviation


def _smallest_multiple(sets: list[tuple[list[int], dict[Any, float]]], tolerance: float) -> int | None:
    for multiple in range(1, LARGEST_MULTIPLE + 1):
        if all(_deviation(*entry, multiple) <= tolerance + SAME / 10 for entry in sets):
            return multiple
    return None


def _smallest(structure: Structure, sets: list[tuple[list[int], dict[Any, float]]], tolerance: float) -> np.ndarray:
    """Return the smallest diagonal supercell that fits; of equal ones that with far images, then with short edges."""
    multiple = _smallest_multiple(sets, tolerance)
    if multiple is None:
        raise ValueError(
            f'no supercell of up to {LARGEST_MULTIPLE} cells holds whole atoms within a tolerance of {tolerance:g}: '
            'raise the tolerance, or give the supercell'
        )
    divisors = [number for number in range(1, multiple + 1) if multiple % number == 0]
    candidates = [(a, b, multiple // (a * b)) for a in divisors for b in divisors if multiple % (a * b) == 0]
    lattice = structure.lattice.matrix

    def order(factors: tuple[int, ...]) -> tuple[Any, ...]:
        cell = np.diag(factors) @ lattice
        return -round(image_distance(cell), 4), round(float(np.linalg.norm(cell, axis=1).sum()), 4), factors

    best = min(candidates, key=order)
    return np.diag(best)


def _why_not(worst: SiteSet, sets: list[tuple[list[int], dict[Any, float]]], size: int, tolerance: float) -> str:
    counts = ', '.join(f'{count} {name}' for name, count in zip(worst.species, worst.counts, strict=True))
    multiple = _smallest_multiple(sets, tolerance)
    remedies = []
    if multiple is None:
        remedies.append(f'no supercell of up to {LARGEST_MULTIPLE} cells would do')
    else:
        remedies.append(f'a supercell of {multiple} cells would do (--supercell fit finds one)')
    needed = max(_deviation(*entry, size) for entry in sets)
    remedies.append(f'so would a tolerance of {math.ceil(needed * 1000) / 1000:g}')
    return (
        f'the {len(worst.sites)} site(s) with {worst.name} hold no whole numbers of atoms: the nearest are {counts} '
        f'and {worst.vacancies} empty, which changes an occupancy by {worst.deviation:.3f}, more than the tolerance of '
        f'{tolerance:g}; {", ".join(remedies)}'
    )


def _warnings(contents: Contents, structure: Structure) -> list[str]:
    found = []
    for entry in contents.sets:
        if entry.deviation > SAME:
            counts = ', '.join(f'{count} {name}' for name, count in zip(entry.species, entry.counts, strict=True))
            found.append(
                f'the {len(entry.sites)} sites with {entry.name} were rounded to {counts} and {entry.vacancies} empty: '
                f'occupancies change by up to {entry.deviation:.3f}'
            )
    cells = round(abs(np.linalg.det(contents.supercell)))
    average = atoms_text({name: round(value * cells, 2) for name, value in structure.composition.items()})
    if found and average != contents.formula:
        found.append(f'the composition is {contents.formula} instead of {average}')
    return found
