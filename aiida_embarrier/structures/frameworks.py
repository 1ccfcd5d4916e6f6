"""What the framework around an ion is built of: the descriptors of olivines LiMXO4 and tavorites AMXO4Z, for any host.

R. Jalem et al., J. Mater. Chem. A 2, 720 (2014) learned barriers of olivines, and Sci. Rep. 8, 5845 (2018) those of
tavorites, from radii and electronegativities of M, X and the rest, lattice constants, bond lengths, polyhedra with
their distortion and the length of the hop. The lists themselves were not at hand: these are the quantities that are
named where the works are described, computed in one way for all hosts. M are metals, X centres of polyanions, Z anions
that belong to none.
"""

from __future__ import annotations

import os
import warnings
from collections import Counter
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import spglib
from ase.data import atomic_numbers
from pymatgen.core import Composition

from aiida_embarrier.structures.anions import electronegativity
from aiida_embarrier.structures.coordination import anions_around, coordination_numbers, polyhedron
from aiida_embarrier.structures.ionic_radii import anion_radius, cation_charge, shannon_radius
from aiida_embarrier.structures.oxidation_guess import likely_states

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from aiida_embarrier.structures.anions import Sublattices
    from aiida_embarrier.structures.coordination import AnionsAround

__all__ = ('FRAMEWORK', 'distortion', 'framework_descriptors')

#: Names, units and meanings of the descriptors of frameworks.
FRAMEWORK = {
    'metal_radius': ('Å', 'Shannon radius of M at its state and coordination number'),
    'metal_electronegativity': ('', 'electronegativity of M (Pauling)'),
    'metal_charge': ('e', 'likely oxidation state of M'),
    'metal_bond': ('Å', 'bond length M to anion'),
    'metal_volume': ('Å³', 'volume of the polyhedron of M'),
    'metal_distortion': ('', 'distortion of its bonds (Baur)'),
    'centre_radius': ('Å', 'Shannon radius of X'),
    'centre_electronegativity': ('', 'electronegativity of X (Pauling)'),
    'centre_bond': ('Å', 'bond length X to anion'),
    'centre_volume': ('Å³', 'volume of the polyhedron of X'),
    'centre_distortion': ('', 'distortion of its bonds (Baur)'),
    'ion_electronegativity': ('', 'electronegativity of the migrating ion (Pauling)'),
    'anion_electronegativity': ('', 'electronegativity of the anions, mean'),
    'anion_radius': ('Å', 'Shannon radius of the anions, mean'),
    'free_anion_share': ('', 'share of anions that belong to no polyanion (Z of tavorites)'),
    'free_anion_electronegativity': ('', 'electronegativity of Z, mean'),
    'volume_per_anion': ('Å³', 'volume of the cell for each anion'),
    'axis_a': ('Å', 'lattice constant a of the standard cell of an orthorhombic polyanionic host without its ions'),
    'axis_b': ('Å', 'lattice constant b of that cell'),
    'axis_c': ('Å', 'lattice constant c of that cell'),
    'hop_along_b': ('Å', 'length of the hop along b of that cell, as of channels of olivines'),
}

#: Metals that are ions as the migrating one is, not M of the framework.
_ALKALI = frozenset({'Li', 'Na', 'K', 'Rb', 'Cs'})
#: Anions around a metal, at least: fewer are no polyhedron.
_LEAST = 4
#: Lattice constants are those of a host whose atoms lie within this of their sites, in Å: those of relaxed cells do.
_SYMPREC = 0.1
#: Space groups that are orthorhombic, first and last: there a, b and c are told apart by the standard setting.
_ORTHORHOMBIC = 16, 74


def framework_descriptors(
    lattice: np.ndarray,
    species: Sequence[str],
    coords: np.ndarray,
    ion: str,
    hop: np.ndarray,
    parts: Sublattices,
) -> dict[str, float]:
    """Return the descriptors of :data:`FRAMEWORK`, means over the atoms of a kind; NaN where the host has no such atom.

    :param lattice: lattice vectors as rows in Å, shape (3, 3).
    :param species: symbols of the n atoms of the host, without the ion.
    :param coords: their fractional coordinates, shape (n, 3).
    :param ion: symbol of the migrating ion.
    :param hop: from the initial to the final site in Å, shape (3,).
    :param parts: which atoms are anions.
    """
    found = dict.fromkeys(FRAMEWORK, float('nan'))
    found['ion_electronegativity'] = electronegativity(ion)
    if not parts.anions.any():
        return found
    names = np.array(species)
    anions = names[parts.anions]
    free = parts.anions.copy()
    free[parts.bonds[:, 1]] = False
    found['anion_electronegativity'] = _mean([electronegativity(symbol) for symbol in anions])
    found['anion_radius'] = _mean([anion_radius(symbol) for symbol in anions])
    found['free_anion_share'] = float(free.sum() / len(anions))
    found['free_anion_electronegativity'] = _mean([electronegativity(symbol) for symbol in names[free]])
    found['volume_per_anion'] = abs(float(np.linalg.det(lattice))) / len(anions)
    states = _states(Composition(Counter(species)).formula, ion)
    metals = np.flatnonzero(parts.metals & (names != ion) & [symbol not in _ALKALI for symbol in species])
    if len(metals):
        around = anions_around(lattice, species, coords, parts.anions, coords[metals])
        numbers = coordination_numbers(around.distances, least=_LEAST)
        found |= _of_polyhedra('metal', names[metals], around, numbers, states)
        found['metal_charge'] = _mean([states.get(symbol, np.nan) for symbol in names[metals]])
    centres = np.flatnonzero(parts.centres)
    if len(centres):
        around = anions_around(lattice, species, coords, parts.anions, coords[centres])
        numbers = np.bincount(parts.bonds[:, 0], minlength=len(names))[centres]
        found |= _of_polyhedra('centre', names[centres], around, numbers, states)
        found |= _axes(lattice, names[names != ion], coords[names != ion], hop)
    return found


def distortion(lengths: np.ndarray) -> float:
    """Return the distortion index ``Σ |l_i - l_av| / (n l_av)`` of bond lengths in Å, shape (n,).

    W. H. Baur, Acta Crystallogr. B 30, 1195 (1974).
    """
    mean = lengths.mean()
    return float(np.abs(lengths - mean).mean() / mean)


def _of_polyhedra(
    kind: str, symbols: np.ndarray, around: AnionsAround, numbers: np.ndarray, states: dict[str, float]
) -> dict[str, float]:
    """Return the descriptors of atoms with the anions around them.

    :param numbers: of anions that belong to each atom, shape (k,); 0 for an atom without any.
    """
    bonds, volumes, distortions, radii = [], [], [], []
    for symbol, lengths, positions, number in zip(symbols, around.distances, around.positions, numbers, strict=True):
        if not number or not np.isfinite(lengths[number - 1]):
            continue
        taken = lengths[:number]
        bonds.append(taken.mean())
        distortions.append(distortion(taken))
        radii.append(float(shannon_radius(symbol, states.get(symbol, cation_charge(symbol)), number)))
        if number >= _LEAST:
            shape = polyhedron(positions[np.isfinite(lengths)], number)
            volumes.append(shape.volume if shape.corners == number else np.nan)
    return {
        f'{kind}_radius': _mean(radii),
        f'{kind}_electronegativity': _mean([electronegativity(symbol) for symbol in symbols]),
        f'{kind}_bond': _mean(bonds),
        f'{kind}_volume': _mean(volumes),
        f'{kind}_distortion': _mean(distortions),
    }


def _mean(values: Sequence[float]) -> float:
    """Return the mean of the values that are known; NaN where none is."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float('nan')


@lru_cache(maxsize=1024)
def _states(formula: str, ion: str) -> dict[str, float]:
    """Return the likeliest oxidation states of a host with one ion more."""
    return likely_states(Composition(formula) + Composition(ion)) or {}


@contextmanager
def _without_notes() -> Iterator[None]:
    """Keep spglib from printing that it tries again with a smaller tolerance; errors it raises as ever.

    It looks at this variable each time it has something to say.
    """
    before = os.environ.get('SPGLIB_WARNING')
    os.environ['SPGLIB_WARNING'] = 'OFF'
    try:
        yield
    finally:
        if before is None:
            del os.environ['SPGLIB_WARNING']
        else:
            os.environ['SPGLIB_WARNING'] = before


def _axes(lattice: np.ndarray, names: np.ndarray, coords: np.ndarray, hop: np.ndarray) -> dict[str, float]:
    """Return lattice constants of an orthorhombic host and the hop along b; nothing of another one."""
    cell = (lattice.tolist(), coords.tolist(), [atomic_numbers[symbol] for symbol in names])
    try:
        with warnings.catch_warnings(), _without_notes():
            warnings.simplefilter('ignore', DeprecationWarning)  # where it finds none, of its own way to say so
            dataset = spglib.get_symmetry_dataset(cell, symprec=_SYMPREC)
    except spglib.SpglibError:  # older versions, and those set up like them, return None instead
        return {}
    if dataset is None or not _ORTHORHOMBIC[0] <= dataset.number <= _ORTHORHOMBIC[1]:
        return {}
    a, b, c = (float(length) for length in np.linalg.norm(dataset.std_lattice, axis=1))
    return {'axis_a': a, 'axis_b': b, 'axis_c': c, 'hop_along_b': abs(float((dataset.std_rotation_matrix @ hop)[1]))}
