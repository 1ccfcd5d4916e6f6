"""Design rules of the literature for mobile ions, as numbers: what the anions do to an ion along its path.

- Z. Rong et al., Chem. Mater. 27, 6016 (2015): an ion is mobile where its stable site is not the one it prefers and the
  activated one is, and where the coordination changes little on the way.
- W. Lu et al., Chem. Mater. 33, 5809 (2021): the share of the volume, area and diagonal of its surroundings that an ion
  fills, and how little the first of them changes along the path. The paper was not at hand: the definitions here are a
  reading of its terms.
- Jalem's descriptors of olivines and tavorites: :mod:`~aiida_embarrier.structures.frameworks`.
- Bond valence sums, by which paths are searched since S. Adams, Solid State Ionics 177, 1625 (2006).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aiida_embarrier.structures.coordination import path_environment
from aiida_embarrier.structures.frameworks import FRAMEWORK, framework_descriptors
from aiida_embarrier.structures.ionic_radii import anion_radius, cation_charge, shannon_radius
from aiida_embarrier.structures.windows import narrowest_window

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike

    from aiida_embarrier.structures.coordination import PathEnvironment

__all__ = ('DESIGN_RULES', 'PREFERRED', 'design_rules', 'preferred_coordination')

#: Coordination numbers that ions prefer, the lowest and the highest: after the statistics of I. D. Brown, Acta
#: Crystallogr. B 44, 545 (1988), as Rong et al. use them. Recalled, not read: pass others where you know better.
PREFERRED: dict[str, tuple[float, float]] = {
    'Li': (4, 6),
    'Mg': (6, 6),
    'Zn': (4, 4),
    'Ca': (8, 8),
    'Al': (4, 6),
    'Na': (6, 6),
    'K': (8, 12),
}
#: Radius of a cation by that of an anion from which on 6, 8 and 12 anions around it do not touch (Pauling's first rule,
#: J. Am. Chem. Soc. 51, 1010 (1929)): what ions prefer that are not in the list.
_RATIOS = ((1.0, 12.0), (0.732, 8.0), (0.414, 6.0), (0.0, 4.0))
#: Effective coordination numbers this near to a preferred one are it: that of Mg in delta-V2O5 is 5.4.
_NEAR = 0.75

#: Names, units and meanings of all descriptors. The ends of a path are its stable sites: what is said of them is the
#: mean of both. The activated site is the middle of the path, as it is of the paths of Rong et al.: the octahedron of
#: spinels, the tetrahedron of olivines and layered hosts, the pyramid of delta-V2O5.
DESIGN_RULES: dict[str, tuple[str, str]] = {
    'econ_stable': ('', 'ECoN (Hoppe) of the stable site'),
    'econ_activated': ('', 'ECoN of the activated site'),
    'econ_range': ('', 'largest less smallest ECoN on the path'),
    'econ_difference': ('', 'ECoN of the final less that of the initial site'),
    'coordination_stable': ('', 'anions before the largest gap, stable site'),
    'coordination_range': ('', 'largest less smallest number of such anions on the path'),
    'mismatch_stable': ('', 'ECoN of the stable site less the nearest preferred coordination number'),
    'mismatch_activated': ('', 'ECoN of the activated site less the nearest preferred one'),
    'stable_preferred': (
        '',
        '1 where the stable site has the preferred coordination, by ECoN or by the gap (bad), else 0',
    ),
    'activated_preferred': ('', '1 where the activated site has it (good), else 0'),
    'rong_score': ('', 'activated_preferred - stable_preferred: 1 mobile, -1 not'),
    'min_anion_distance': ('Å', 'shortest distance to an anion on the path'),
    'min_anion_excess': ('Å', 'shortest distance less both Shannon radii, at its smallest on the path'),
    'min_cation_distance': ('Å', 'shortest distance to a cation of the host on the path'),
    'bond_stable': ('Å', 'weighted mean bond length (Hoppe), stable site'),
    'bond_range': ('Å', 'largest less smallest of it on the path'),
    'valence_stable': ('', 'bond valence sum by charge of the ion, stable site'),
    'valence_largest': ('', 'largest bond valence sum by charge on the path'),
    'valence_range': ('', 'largest less smallest bond valence sum by charge on the path'),
    'valence_mismatch': ('', 'largest deviation of the bond valence sum from the charge, by charge, on the path'),
    'valence_difference': ('', 'bond valence sum by charge of the final less that of the initial site'),
    'volume_stable': ('Å³', 'volume of the polyhedron, stable site'),
    'volume_activated': ('Å³', 'volume of the polyhedron, activated site'),
    'volume_fraction_stable': ('', 'volume of the ion by that of the polyhedron, stable site'),
    'volume_fraction_activated': ('', 'the same at the activated site'),
    'volume_fraction_range': ('', 'largest less smallest of it on the path'),
    'diagonal_fraction_stable': ('', 'diameter of the ion by the diagonal of the polyhedron, stable site'),
    'diagonal_fraction_activated': ('', 'the same at the activated site'),
    'window_corners': ('', 'anions of the narrowest window'),
    'window_radius': ('Å', 'radius of the circle through its three nearest anions'),
    'window_free_radius': ('Å', 'what their Shannon radii leave of it'),
    'window_excess': ('Å', 'what the ion leaves of that'),
    'window_area': ('Å²', 'area of the window'),
    'area_fraction': ('', 'cross section of the ion by the area of the window'),
    'diagonal_fraction_window': ('', 'diameter of the ion by the diagonal of the window'),
    'window_offset': ('', 'distance of the window from the middle of the path, 0 to 0.5'),
    **FRAMEWORK,
}


def design_rules(
    lattice: ArrayLike,
    species: Sequence[str],
    coords: ArrayLike,
    ion: str,
    points: ArrayLike,
    preferred: Mapping[str, tuple[float, float]] = PREFERRED,
) -> dict[str, float]:
    """Return the descriptors of :data:`DESIGN_RULES` for a path; NaN where a rule has nothing to say.

    They do not depend on the order of atoms, on the origin and the cell, and, but for the two that are differences of
    the ends, on the direction of the path.

    :param lattice: lattice vectors as rows in Å, shape (3, 3).
    :param species: symbols of the n atoms of the host, without the ion.
    :param coords: their fractional coordinates, shape (n, 3), or shape (k, n, 3) where they move with the ion.
    :param ion: symbol of the ion.
    :param points: its fractional coordinates from the initial to the final site, shape (k, 3), evenly spaced, k odd.
        Take about 21 of them, since nothing is found between them, and bend straight paths first
        (:func:`~aiida_embarrier.structures.bending.bent_path`).
    :param preferred: coordination numbers that ions prefer, the lowest and the highest.
    """
    cell, atoms, places = (np.asarray(values, dtype=float) for values in (lattice, coords, points))
    environment = path_environment(cell, species, atoms, ion, places)
    first = atoms[0] if atoms.ndim == 3 else atoms
    found = dict.fromkeys(DESIGN_RULES, float('nan'))
    found |= framework_descriptors(cell, species, first, ion, (places[-1] - places[0]) @ cell, environment.parts)
    # where an anion is out of reach at any point, the path leaves the crystal
    if np.isfinite(environment.distances[:, 0]).all():
        found |= _site_preference(environment, preferred)
        found |= _bonds(environment)
        found |= _fractions(environment)
    return found


def preferred_coordination(
    ion: str, anion: str, preferred: Mapping[str, tuple[float, float]] = PREFERRED
) -> tuple[float, float]:
    """Return the lowest and the highest coordination number that an ion prefers; NaN where nothing is known.

    Of an ion that is not in `preferred` it is told by its Shannon radius and that of the anion (Pauling's first rule).
    """
    if ion in preferred:
        return preferred[ion]
    ratio = float(shannon_radius(ion, cation_charge(ion))) / anion_radius(anion)
    number = next((number for least, number in _RATIOS if ratio >= least), float('nan'))
    return number, number


def _ends(values: np.ndarray) -> float:
    return float(values[0] + values[-1]) / 2


def _range(values: np.ndarray) -> float:
    return float(values.max() - values.min())


def _site_preference(environment: PathEnvironment, preferred: Mapping[str, tuple[float, float]]) -> dict[str, float]:
    """Return the descriptors after Rong et al."""
    econ, _ = environment.hoppe
    numbers = environment.coordination
    middle = len(econ) // 2
    limits = [
        preferred_coordination(environment.ion, str(symbol), preferred) for symbol in environment.anions[[0, -1], 0]
    ]
    lowest, highest = (float(value) for value in np.mean(limits, axis=0))
    known = lowest <= highest
    mismatches = econ - np.clip(econ, lowest, highest) if known else np.full(len(econ), np.nan)
    # the host is not relaxed around the ion, which spoils the one number or the other
    suits = (np.abs(mismatches) <= _NEAR) | ((lowest <= numbers) & (numbers <= highest))
    suits = np.where(known, suits, np.nan)
    return {
        'econ_stable': _ends(econ),
        'econ_activated': float(econ[middle]),
        'econ_range': _range(econ),
        'econ_difference': float(econ[-1] - econ[0]),
        'coordination_stable': _ends(numbers),
        'coordination_range': _range(numbers),
        'mismatch_stable': _ends(mismatches),
        'mismatch_activated': float(mismatches[middle]),
        'stable_preferred': _ends(suits),
        'activated_preferred': float(suits[middle]),
        'rong_score': float(suits[middle]) - _ends(suits),
    }


def _bonds(environment: PathEnvironment) -> dict[str, float]:
    """Return distances to anions and cations, and bond valences."""
    _, lengths = environment.hoppe
    charge = cation_charge(environment.ion)
    valences = environment.bond_valences / charge
    radii = np.array([anion_radius(str(symbol)) for symbol in environment.anions[:, 0]])
    own = shannon_radius(environment.ion, charge, environment.hoppe[0])
    cations = float(environment.cation_distances.min())
    return {
        'min_anion_distance': float(environment.distances[:, 0].min()),
        'min_anion_excess': float((environment.distances[:, 0] - radii - own).min()),
        'min_cation_distance': cations if np.isfinite(cations) else float('nan'),
        'bond_stable': _ends(lengths),
        'bond_range': _range(lengths),
        'valence_stable': _ends(valences),
        'valence_largest': float(valences.max()),
        'valence_range': _range(valences),
        'valence_mismatch': float(np.abs(valences - 1).max()),
        'valence_difference': float(valences[-1] - valences[0]),
    }


def _fractions(environment: PathEnvironment) -> dict[str, float]:
    """Return the descriptors after Lu et al."""
    charge = cation_charge(environment.ion)
    radii = shannon_radius(environment.ion, charge, environment.hoppe[0])
    volumes = np.array([shape.volume for shape in environment.polyhedra])
    diagonals = np.array([shape.diagonal for shape in environment.polyhedra])
    filled = 4 / 3 * np.pi * radii**3 / volumes
    across = 2 * radii / diagonals
    middle = len(radii) // 2
    found = {
        'volume_stable': _ends(volumes),
        'volume_activated': float(volumes[middle]),
        'volume_fraction_stable': _ends(filled),
        'volume_fraction_activated': float(filled[middle]),
        'volume_fraction_range': _range(filled),
        'diagonal_fraction_stable': _ends(across),
        'diagonal_fraction_activated': float(across[middle]),
    }
    window = narrowest_window(environment)
    if window is None:
        return found
    own = float(shannon_radius(environment.ion, charge, window.corners))
    free = window.radius - float(np.mean([anion_radius(symbol) for symbol in window.anions]))
    return found | {
        'window_corners': float(window.corners),
        'window_radius': window.radius,
        'window_free_radius': free,
        'window_excess': free - own,
        'window_area': window.area,
        'area_fraction': np.pi * own**2 / window.area,
        'diagonal_fraction_window': 2 * own / window.diagonal,
        'window_offset': abs(window.at - 0.5),
    }
