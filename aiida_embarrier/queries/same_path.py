"""The same path computed by different engines, potentials or functionals, or with another charge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from aiida.orm import load_node

from aiida_embarrier.queries.bands import find_bands
from aiida_embarrier.queries.origins import origins

if TYPE_CHECKING:
    import pandas as pd
    from pymatgen.core import Structure

    from aiida_embarrier.bands.band import Band
    from aiida_embarrier.data.band import BandData

__all__ = ('METHOD', 'PATH_COLUMNS', 'same_path')

#: What tells one way to compute a path from another.
METHOD = ('engine', 'potential', 'functional', 'charge')

#: Columns of the table, and what they hold.
PATH_COLUMNS = {
    'group': 'number of the path, the same for bands of the same path',
    'pk': 'PK of the band',
    'uuid': 'UUID of the band',
    'host': 'reduced formula of the host crystal',
    'formula': 'reduced formula of an image',
    'mobile_ion': 'element of the migrating ion',
    'n_atoms': 'atoms of an image',
    'n_images': 'images, the endpoints included',
    'engine': 'engine',
    'potential': 'potential and its model',
    'functional': 'key of the density functional',
    'charge': 'charge of the cell in e',
    'hop_length': 'distance between the ends of the path in Å',
    'barrier_forward': 'forward barrier in eV, in the direction of the first band of the path',
    'barrier_reverse': 'reverse barrier in eV, in the direction of the first band of the path',
    'converged': 'whether the band met its criteria',
    'reversed': 'whether the band runs against the first one of its path',
    'match': 'first: what the others are compared with; order: atom by atom; symmetry: as crystals',
    'process': 'PK of the process that somebody started',
    'label': 'label of that process',
    'hop': 'number of the hop',
    'run': 'what tells the band from others of that process',
}

#: Largest relative difference of lattice vectors, and in degrees of angles, between methods.
LENGTHS, ANGLES = 0.1, 5.0
#: Elements that stand for the ion at the two ends of a path; none of them is in a crystal.
MARKS = ('Og', 'Ts')


def same_path(node: BandData | None = None, tolerance: float = 0.5, **filters: Any) -> pd.DataFrame:
    """Return bands of the same path, with what computed them.

    Bands are of the same path where they have as many atoms of the same elements, hops as long, and crystals that
    agree: the first image with the ion marked at both ends of its path. First atom by atom in fractional coordinates,
    as bands agree that were made of the same crystal and hop; then by pymatgen's StructureMatcher, so that hops which
    symmetry makes of each other are one, and so are their two directions. Cells may differ in volume, not in size.

    :param node: the band whose path is asked for; None for all paths that were computed in at least two ways.
    :param tolerance: how far atoms may be from each other in Å, as root mean square over the crystal and for the ion.
    :param filters: conditions of :func:`~aiida_embarrier.queries.bands.find_bands`.
    :return: one row per band with :data:`PATH_COLUMNS`, those of a path together.
    :raises ValueError: for a tolerance that is not positive, and a band without energies or migrating ion.
    """
    import pandas as pd

    if tolerance <= 0:
        raise ValueError(f'the tolerance is a distance in Å and positive, not {tolerance:g}')
    table = find_bands(**{'replaced': False, **filters})
    if node is not None:
        table = _alike(table, node)
    rows: list[dict[str, Any]] = []
    n_groups = 0
    for _, bucket in table.groupby(['formula', 'mobile_ion', 'n_atoms'], sort=True):
        if node is None and _n_methods(bucket) < 2:
            continue
        for group in _groups(bucket.sort_values('pk'), tolerance, None if node is None else node.pk):
            members = pd.DataFrame(group)
            if node is None and _n_methods(members) < 2:
                continue
            n_groups += 1
            rows += [{**row, 'group': n_groups} for row in group]
    rows = [{**row, **origin} for row, origin in zip(rows, origins(row['pk'] for row in rows), strict=True)]
    found = pd.DataFrame(rows, columns=list(PATH_COLUMNS))
    return found.astype({'converged': 'boolean', 'reversed': 'boolean', 'process': 'Int64', 'hop': 'Int64'})


def _alike(table: pd.DataFrame, node: BandData) -> pd.DataFrame:
    """Return of a table of bands those that could be of the same path as one, and that one."""
    attributes = node.base.attributes
    if not node.is_computed or attributes.get('mobile_ion', None) is None:
        raise ValueError(f'band {node.pk} has no energies, or names no migrating ion: there is no barrier to compare')
    if node.pk not in set(table['pk']):
        import pandas as pd

        table = pd.concat([find_bands(pks=[node.pk]), table])
    alike = table['n_atoms'] == attributes.get('n_atoms')
    for name in ('formula', 'mobile_ion'):
        alike &= table[name] == attributes.get(name)
    return table[alike]


def _n_methods(bands: pd.DataFrame) -> int:
    return len(bands.loc[:, list(METHOD)].drop_duplicates())


def _groups(bucket: pd.DataFrame, tolerance: float, wanted: int | None) -> list[list[dict[str, Any]]]:
    """Return bands of one composition and size grouped by their paths.

    :param wanted: PK of a band: only the bands of its path; None for all.
    """
    rows = bucket.to_dict(orient='records')
    if wanted is not None:
        rows.sort(key=lambda row: row['pk'] != wanted)
    firsts: list[tuple[Band, list[dict[str, Any]]]] = []
    for row in rows:
        near = [entry for entry in firsts if abs(entry[1][0]['hop_length'] - row['hop_length']) <= tolerance]
        if wanted is not None and firsts and not near:
            continue  # its images need not be read
        band = load_node(row['pk']).band
        for first, group in near:
            match = _match(first, band, tolerance)
            if match is not None:
                how, backwards = match
                if backwards:
                    row['barrier_forward'], row['barrier_reverse'] = row['barrier_reverse'], row['barrier_forward']
                group.append({**row, 'match': how, 'reversed': backwards})
                break
        else:
            if wanted is None or not firsts:
                firsts.append((band, [{**row, 'match': 'first', 'reversed': False}]))
    return [group for _, group in firsts]


def _match(first: Band, other: Band, tolerance: float) -> tuple[str, bool] | None:
    """Return how two bands are of the same path and whether they run against each other, None where they are not."""
    for backwards in (False, True):
        if _same_order(first, other.reversed() if backwards else other, tolerance):
            return 'order', backwards
    for backwards in (False, True):
        if _same_crystal(first, other.reversed() if backwards else other, tolerance):
            return 'symmetry', backwards
    return None


def _same_order(first: Band, other: Band, tolerance: float) -> bool:
    """Return whether the ends of two paths agree atom by atom in fractional coordinates."""
    if (
        not np.array_equal(first.elements, other.elements)
        or first.mobile != other.mobile
        or not _similar_cells(first, other)
    ):
        return False
    cell = first.lattice_of(0)
    for image in (0, -1):
        shifts = first.fractional[image] - other.fractional[image]
        shifts -= np.round(shifts)
        distances = np.linalg.norm(shifts @ cell, axis=1)
        if np.sqrt(np.mean(distances**2)) > tolerance or distances[list(first.mobile)].max() > tolerance:
            return False
    return True


def _similar_cells(first: Band, other: Band) -> bool:
    from pymatgen.core import Lattice

    one, two = Lattice(first.lattice_of(0)), Lattice(other.lattice_of(0))
    lengths = np.allclose(one.abc, two.abc, rtol=LENGTHS, atol=0)
    return bool(lengths and np.allclose(one.angles, two.angles, rtol=0, atol=ANGLES))


def _same_crystal(first: Band, other: Band, tolerance: float) -> bool:
    """Return whether the marked crystals of two paths agree up to symmetry and the choice of the cell."""
    from pymatgen.analysis.structure_matcher import StructureMatcher

    one, two = _marked(first), _marked(other)
    matcher = StructureMatcher(
        ltol=LENGTHS, angle_tol=ANGLES, stol=tolerance / (one.volume / len(one)) ** (1 / 3), primitive_cell=False
    )
    distances = matcher.get_rms_dist(one, two)
    return distances is not None and distances[1] * (one.volume / len(one)) ** (1 / 3) <= 2 * tolerance


def _marked(band: Band) -> Structure:
    """Return the first image without the migrating ions, with a mark for each at both ends of its path."""
    from pymatgen.core import Structure

    mobile = list(band.mobile)
    framework = [index for index in range(band.n_atoms) if index not in band.mobile]
    coordinates = band.fractional
    species = [band.elements[index] for index in framework]
    places = [*coordinates[0, framework]]
    for image, mark in zip((0, -1), MARKS, strict=True):
        species += [mark] * len(mobile)
        places += [*coordinates[image, mobile]]
    return Structure(band.lattice_of(0), species, places)
