"""`barriers_train.json.gz`: the published rows with the framework and the path of the ion apart."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from aiida_embarrier.datasets.importing.base import (
    Crystal,
    DatasetError,
    barrier_of,
    barrier_row,
    check_cell,
    check_ion,
    clean,
    read_rows,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = ('read',)

#: By how much a length of the file may differ from that of its path, in Å.
_LENGTH_TOLERANCE = 2e-3

_SWAPPED = (
    'swapped_symmetry: the columns of crystal system and space group were swapped, and swapped back, before the import'
)


def read(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Return the rows of such a file as a table of barriers.

    :raises DatasetError: naming the row and the tag that does not fit.
    """
    return read_rows(rows, _row)


def _row(row: dict[str, Any], index: int) -> dict[str, Any]:
    name = clean(row.get('sys_name'))
    if name is None:
        raise DatasetError(f'row {index} has no sys_name')
    missing = [
        key
        for key in ('lattice', 'species', 'frac_coords', 'path_frac', 'mobile_species')
        if row.get(key) in (None, [])
    ]
    if missing:
        raise DatasetError(f'row {name} has no {missing[0]}: every row needs a structure and a path')
    where = f'row {name}'
    try:
        crystal = Crystal(
            np.array(row['lattice'], dtype=float),
            tuple(row['species']),
            np.array(row['frac_coords'], dtype=float).reshape(-1, 3),
        )
        path = np.array(row['path_frac'], dtype=float).reshape(-1, 3)
    except (TypeError, ValueError) as error:
        raise DatasetError(f'{where}: the structure cannot be read: {error}') from error
    check_cell(crystal, where)
    check_ion(row['mobile_species'], where)
    _check_consistency(row, crystal, path, where)
    predictions = row.get('published_predictions_eV') or {}
    labels = {
        'formula': clean(row.get('composition')),
        'crystal_system': clean(row.get('crystal_system')),
        'space_group': clean(row.get('space_group')),
        'repairs': json.dumps([_SWAPPED]) if row.get('crystal_system_swapped_in_source') else None,
        'published_split': clean(row.get('split')),
        'functional': clean(row.get('xc')),
        'structural_class': clean(row.get('class')),
        'path_label': clean(row.get('path_info')),
        'endpoint_symmetry': clean(row.get('endpoint_symmetry')),
        'jid': row.get('jid'),
        'formula_composite': clean(row.get('formula_composite')),
        'source_class': clean(row.get('source_class')),
        'mace_relax': row.get('mace_relax_eV'),
        'mace_no_relax': row.get('mace_no_relax_eV'),
        **{f'prediction_{model}': value for model, value in predictions.items()},
    }
    return barrier_row(
        name, crystal, path, row['mobile_species'], barrier_of(row.get('barrier_eV'), f'{where}, barrier_eV'), labels
    )


def _check_consistency(row: dict[str, Any], crystal: Crystal, path: np.ndarray, where: str) -> None:
    """Refuse a row whose numbers contradict each other: the file was altered or damaged.

    :raises DatasetError: naming both numbers.
    """
    if len(path) < 2 or not np.all(np.isfinite(path)):
        raise DatasetError(f'{where}: the path needs at least two positions of finite numbers')
    found = {
        'n_atoms': (row.get('n_atoms'), len(crystal.species) + 1, 0),
        'path_length_A': (
            row.get('path_length_A'),
            float(np.linalg.norm((path[-1] - path[0]) @ crystal.lattice)),
            _LENGTH_TOLERANCE,
        ),
    }
    for key, (said, computed, tolerance) in found.items():
        if said is not None and abs(said - computed) > tolerance:
            raise DatasetError(
                f'{where}: {key} is {said}, its structure and path have {computed:.5g}: the file was altered or is in '
                'other units than Å; take it from its source again'
            )
    composite = row.get('formula_composite')
    if composite:
        said_atoms = {symbol: int(count) for symbol, count in _formula(composite)}
        atoms = Counter(crystal.species) + Counter({row['mobile_species']: len(path)})
        if said_atoms != dict(atoms):
            made = ' '.join(f'{symbol}{count}' for symbol, count in atoms.items())
            raise DatasetError(
                f'{where}: its composite is {composite}, its species and path make {made}: the file was altered; take '
                'it from its source again'
            )


def _formula(text: str) -> list[tuple[str, str]]:
    return re.findall(r'([A-Z][a-z]?)(\d+)', text)
