"""What a comparison of functionals will take, before it is launched: jobs, images, electrons, and relative work.

Nobody knows beforehand how many ionic and electronic steps a band needs. What can be said is how one step of a cell
compares with one of another: the work is taken to grow with the third power of the number of valence electrons, and
with a factor for each functional. Images of a band are independent of each other and cost the same.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from pymatgen.core import Element

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ('RELATIVE_COST', 'CostFactor', 'SystemSize', 'cost_factor', 'estimate', 'valence_electrons')


class CostFactor(NamedTuple):
    """How an ionic step by a functional compares with one by PBE.

    :param factor: the ratio of their costs.
    :param source: where it is from.
    """

    factor: float
    source: str


_MEASURED = (
    'PBE and PBE+U took 75 % less time than SCAN in NEB calculations of nine battery materials '
    '(https://doi.org/10.1038/s41524-022-00837-0)'
)
_LIKE_PBE = 'a functional of density and gradient, as PBE: taken as the same'

#: Factors by the keys of functionals without dispersion correction, which adds next to nothing.
RELATIVE_COST = {
    'pbe': CostFactor(1.0, 'the reference'),
    'pbe+u': CostFactor(1.0, _MEASURED),
    'pbesol': CostFactor(1.0, _LIKE_PBE),
    'lda': CostFactor(1.0, 'depends on the density only: taken as PBE'),
    'scan': CostFactor(4.0, _MEASURED),
    'scan+u': CostFactor(4.0, f'{_MEASURED}; SCAN+U usually took longer than SCAN, by how much is not known'),
    'r2scan': CostFactor(4.0, 'a meta-GGA: taken as SCAN, though it converges in fewer electronic steps'),
    'r2scan+u': CostFactor(4.0, 'a meta-GGA: taken as SCAN, though it converges in fewer electronic steps'),
}

#: Numbers of electrons of the noble gases.
_CORES = (2, 10, 18, 36, 54, 86)


@dataclass(frozen=True)
class SystemSize:
    """What of a system decides what its cells take.

    :param n_atoms: atoms of an image.
    :param n_electrons: valence electrons of an image, see :func:`valence_electrons`.
    :param n_images: images of a band, the endpoints included.
    :param host_atoms: atoms of the cell in which the host is relaxed; None where it is not.
    :param host_electrons: valence electrons of that cell.
    :param relaxes_endpoints: whether endpoints are relaxed.
    """

    n_atoms: int
    n_electrons: int
    n_images: int
    host_atoms: int | None = None
    host_electrons: int = 0
    relaxes_endpoints: bool = True


def valence_electrons(symbols: Iterable[str]) -> int:
    """Return the number of valence electrons of atoms.

    Electrons outside the noble-gas core count, without a full d shell of the main groups and a full f shell. Projectors
    for semicore states add to it: this is to compare systems, not to set up calculations.
    """
    return sum(_valence(symbol) for symbol in symbols)


def _valence(symbol: str) -> int:
    element = Element(symbol)
    core = max((number for number in _CORES if number < element.Z), default=0)
    valence = int(element.Z) - core
    if core >= 54 and valence > 16:  # from Lu and Lr on
        valence -= 14
    if core >= 18 and element.group >= 13:
        valence -= 10
    return valence


def cost_factor(functional: str) -> CostFactor | None:
    """Return how a functional compares with PBE, None where that is not known."""
    return RELATIVE_COST.get(functional.lower().partition('-')[0])


def estimate(systems: Mapping[str, SystemSize], cells: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what a comparison will take.

    :param systems: their sizes by label.
    :param cells: for each its `system`, `functional`, `charge` and `climbing`.
    :return: `n_cells`; `jobs`: numbers of `hosts`, `endpoints` (at most: of two that symmetry relates one is relaxed)
        and `bands`, and `images`, the moving images of all bands; `systems`: their sizes; `functionals`: for each its
        `factor`, where that is from, its number of bands and its `share` of the work; `cells`: for each its work per
        ionic step in units of one structure of the smallest system by PBE; `unknown`: functionals without a factor,
        counted as PBE; `assumptions`: in words.
    """
    smallest = min((size.n_electrons for size in systems.values()), default=1)
    names = list(dict.fromkeys(str(cell['functional']) for cell in cells))
    factors = {name: cost_factor(name) for name in names}
    work = dict.fromkeys(names, 0.0)
    bands = dict.fromkeys(names, 0)
    hosts: set[tuple[str, str]] = set()
    ends: set[tuple[str, str, float]] = set()
    per_cell = []
    for cell in cells:
        name, system = str(cell['functional']), str(cell['system'])
        size = systems[system]
        known = factors[name]
        factor = 1.0 if known is None else known.factor
        structures = float(size.n_images - 2)
        if size.relaxes_endpoints and (system, name, cell['charge']) not in ends:
            ends.add((system, name, cell['charge']))
            structures += 2
        amount = factor * structures * (size.n_electrons / smallest) ** 3
        if size.host_atoms is not None and (system, name) not in hosts:
            hosts.add((system, name))
            amount += factor * (size.host_electrons / smallest) ** 3
        per_cell.append({**{key: cell[key] for key in ('system', 'functional', 'charge', 'climbing')}, 'work': amount})
        work[name] += amount
        bands[name] += 1
    total = sum(work.values())
    return {
        'n_cells': len(cells),
        'jobs': {
            'hosts': len(hosts),
            'endpoints': 2 * len(ends),
            'bands': len(cells),
            'images': sum(systems[str(cell['system'])].n_images - 2 for cell in cells),
        },
        'systems': {label: asdict(size) for label, size in systems.items()},
        'functionals': {
            name: {
                'factor': 1.0 if known is None else known.factor,
                'source': 'not known: counted as PBE' if known is None else known.source,
                'n_bands': bands[name],
                'share': work[name] / total if total else 0.0,
            }
            for name, known in factors.items()
        },
        'cells': per_cell,
        'unknown': [name for name, known in factors.items() if known is None],
        'assumptions': [
            'work per ionic step of all images and of the relaxations, in units of one structure of the smallest '
            'system by PBE; it grows with the third power of the number of valence electrons',
            'as many ionic and electronic steps for all cells',
            'each of hosts, endpoints and bands takes at least one job; a band that is continued takes more',
        ],
    }
