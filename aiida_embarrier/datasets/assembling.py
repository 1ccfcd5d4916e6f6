"""Datasets of barriers from bands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from aiida_embarrier.bands.barriers import QUANTITIES, barriers
from aiida_embarrier.datasets.importing.base import Crystal, barrier_row
from aiida_embarrier.datasets.schema import to_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiida_embarrier.bands.band import Band

__all__ = ('band_row', 'path_row', 'why_left_out')

#: Positions and lattices that differ by less, in Å, are the same.
_SAME = 1e-6


def why_left_out(band: Band, include_unconverged: bool = False) -> str | None:
    """Return why a band makes no row of a dataset, None where it does.

    :param include_unconverged: whether bands that did not converge do, and those of which that is not known.
    """
    if len(band.mobile) != 1:
        return f'{len(band.mobile)} atoms migrate: a row of a dataset is the path of one ion'
    unknown = np.flatnonzero(~np.isfinite(band.energies))
    if len(unknown):
        return f'the energies of image(s) {", ".join(map(str, unknown))} are not known'
    if band.info.converged is not True and not include_unconverged:
        how = 'did not converge' if band.info.converged is False else 'is not known to be converged'
        return f'the band {how}: converge it, or ask for such bands with include_unconverged'
    return None


def band_row(name: str, band: Band, definition: str, labels: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return a band as a row of barriers.

    The row has the path of the ion through all images, and the other atoms in both ends; how these move in between is
    left to the band.

    :param name: of the row.
    :param band: with one migrating atom and the energies of all images.
    :param definition: of the barrier: `forward`, `reverse`, `rate_limiting` or `span`.
    :param labels: further columns.
    :raises ValueError: for a definition that there is not.
    """
    if definition not in QUANTITIES:
        raise ValueError(f'there is no barrier {definition!r}: choose from {", ".join(QUANTITIES)}')
    height = float(getattr(barriers(band.energies, band.info.equivalent_endpoints), definition))
    info = band.info
    row = path_row(name, band) | {
        'barrier': height,
        'barrier_definition': definition,
        'mechanism': info.mechanism if info.mechanism != 'any' else None,
        'functional': info.functional or info.potential_functional,
        'engine': info.engine,
        'potential': info.potential,
        'converged': info.converged,
        'charge': info.charge,
    }
    return {**row, **(labels or {})}


def path_row(name: str, band: Band) -> dict[str, Any]:
    """Return the path of a band as a row of barriers whose barrier is not known.

    :param name: of the row.
    :param band: with one migrating atom.
    """
    ion = band.mobile[0]
    others = np.delete(np.arange(band.n_atoms), ion)
    lattices = np.broadcast_to(band.lattice, (band.n_images, 3, 3))
    coords = np.stack([band.positions[image] @ np.linalg.inv(lattices[image]) for image in range(band.n_images)])
    species = tuple(band.kinds[kind].element for kind in band.kind_indices)
    initial = Crystal(lattices[0], tuple(species[index] for index in others), coords[0, others])
    row = barrier_row(name, initial, coords[:, ion], species[ion], np.nan, {})
    if np.abs(lattices[-1] - lattices[0]).max() > _SAME:
        row['final_lattice'] = to_json(lattices[-1])
    if np.abs(band.positions[-1, others] - band.positions[0, others]).max(initial=0.0) > _SAME:
        row['final_frac_coords'] = to_json(coords[-1, others])
    return row
