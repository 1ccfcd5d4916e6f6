"""Rows of one or several datasets of properties as crystals to learn from, each with its part and its values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from aiida_embarrier.datasets.parts import LEARNED_PARTS
from aiida_embarrier.datasets.same_crystals import crystal_keys
from aiida_embarrier.learning.scaling import unscale

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from aiida_embarrier.jobs.learning import Scaler

__all__ = ('CrystalRows', 'gather_rows', 'prediction_table')

#: A crystal in several parts belongs to the first of these: what tests one property is not seen while another is
#: learned.
_STRONGEST = ('test', 'validation', 'train')

_CRYSTAL = ['lattice', 'species', 'frac_coords']

#: Names of rows that a message quotes.
_QUOTED = 5


@dataclass(frozen=True)
class CrystalRows:
    """Crystals to learn from.

    :param frame: their columns `name`, `lattice`, `species` and `frac_coords` as in datasets of properties.
    :param labels: of the targets.
    :param parts: part of each crystal, shape (n,).
    :param values: in the units of the targets, NaN where a crystal has none, float64, shape (n, n_labels).
    :param names: of the rows that these are from, None where there is none, shape (n, n_labels).
    :param notes: what a reader of the results must know.
    """

    frame: pd.DataFrame
    labels: tuple[str, ...]
    parts: np.ndarray
    values: np.ndarray
    names: np.ndarray
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.frame)

    def of_part(self, part: str) -> np.ndarray:
        """Return the numbers of the crystals in a part, in their order."""
        return np.flatnonzero(self.parts == part)

    @property
    def counts(self) -> dict[str, int]:
        """Number of crystals by part."""
        return {part: int((self.parts == part).sum()) for part in LEARNED_PARTS}

    def counts_of(self, label: str) -> dict[str, int]:
        """Return the number of rows of a target by part."""
        known = ~np.isnan(self.values[:, self.labels.index(label)])
        return {part: int((known & (self.parts == part)).sum()) for part in LEARNED_PARTS}


def gather_rows(
    tables: Mapping[str, tuple[pd.DataFrame, pd.DataFrame]], progress: Callable[[int, int], None] | None = None
) -> CrystalRows:
    """Gather the rows of targets; with several targets, rows that hold the same crystal become one.

    Where a target has the same crystal several times, its rows stay apart: their values differ, and which of them is
    right is not for a training to say. A crystal whose rows are in different parts is in `test` before `validation`
    before `train`, whichever of its properties is learned. With a single target all rows stay as they are.

    :param tables: dataset and split of each target by its label: the first with the columns of the schema *property*,
        the second with `name` and `part`.
    :param progress: called with how many rows were compared, and out of how many.
    :raises ValueError: for rows without a finite value, which are named; for splits that do not fit their dataset; and
        where no row is left to train on.
    """
    used = {label: _used_rows(label, rows, split) for label, (rows, split) in tables.items()}
    labels = tuple(used)
    stacked = pd.concat([rows.assign(label=label) for label, rows in used.items()], ignore_index=True)
    notes = []
    if len(labels) > 1:
        keys = crystal_keys(stacked, progress=progress).to_numpy()
        moved = _one_part(stacked, keys)
        if moved:
            notes.append(
                f'{moved} rows hold a crystal that is in another part for another row: they count as rows of the part '
                'that comes first of test, validation, train'
            )
        # the first row of a target with a crystal is merged with the first of another, the second with the second
        rank = stacked.assign(key=keys).groupby(['label', 'key'], sort=False).cumcount().to_numpy()
        group = pd.MultiIndex.from_arrays([keys, rank])
    else:
        group = pd.MultiIndex.from_arrays([np.arange(len(stacked)), np.zeros(len(stacked), dtype=int)])
    number, unique = pd.factorize(group)
    column = np.array([labels.index(label) for label in stacked['label']], dtype=int)
    values = np.full((len(unique), len(labels)), np.nan)
    names = np.full((len(unique), len(labels)), None, dtype=object)
    values[number, column] = stacked['target'].to_numpy(dtype=float)
    names[number, column] = stacked['name'].to_numpy(dtype=object)
    first = np.unique(number, return_index=True)[1]
    frame = stacked.loc[first, ['name', *_CRYSTAL]].reset_index(drop=True)
    rows = CrystalRows(frame, labels, stacked['part'].to_numpy(dtype=object)[first], values, names, tuple(notes))
    for label in labels:
        if rows.counts_of(label)['train'] == 0:
            raise ValueError(
                f'no row of {label} is left to train on: give rows the part `train` in its split, and see that they '
                'are not the crystals that test another target'
            )
    return rows


def prediction_table(rows: CrystalRows, scalers: Sequence[Scaler], found: np.ndarray) -> pd.DataFrame:
    """Return what was predicted of the rows of each target, as :data:`~aiida_embarrier.jobs.learning.PREDICTIONS_FILE`.

    Of a target that a crystal has no row of nothing is told.

    :param scalers: of the targets.
    :param found: predictions in scaled units, shape (n, n_labels).
    """
    tables = []
    for number, scaler in enumerate(scalers):
        known = ~np.isnan(rows.values[:, number])
        tables.append(
            pd.DataFrame(
                {
                    'name': pd.Series(rows.names[known, number], dtype='str'),
                    'target': pd.Series([scaler.label] * int(known.sum()), dtype='str'),
                    'part': pd.Series(rows.parts[known], dtype='str'),
                    'value': rows.values[known, number],
                    'prediction': unscale(scaler, found[known, number]),
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


def _used_rows(label: str, rows: pd.DataFrame, split: pd.DataFrame) -> pd.DataFrame:
    """Return name, crystal, value and part of the rows that a training uses."""
    for what, frame, columns in (('dataset', rows, ['name', 'target', *_CRYSTAL]), ('split', split, ['name', 'part'])):
        missing = [name for name in columns if name not in frame]
        if missing:
            raise ValueError(f'the {what} of {label} has no column {missing[0]!r}: it needs {", ".join(columns)}')
        repeated = frame['name'][frame['name'].duplicated()]
        if len(repeated):
            raise ValueError(f'the {what} of {label} has the name {repeated.iloc[0]!r} more than once')
    unknown = split['name'][~split['name'].isin(rows['name'])]
    if len(unknown):
        raise ValueError(
            f'the split of {label} names rows that its dataset does not have: {_quote(unknown)}; make the split of '
            'this dataset'
        )
    parts = split.set_index('name')['part']
    columns = [name for name in ('name', 'target', *_CRYSTAL, 'material_id') if name in rows]
    used = rows[columns].assign(part=rows['name'].map(parts))
    used = used[used['part'].isin(LEARNED_PARTS)]
    values = pd.to_numeric(used['target'], errors='coerce').to_numpy(dtype=float)
    wrong = used['name'][~np.isfinite(values)]
    if len(wrong):
        raise ValueError(
            f'{len(wrong)} rows of {label} have no finite value: {_quote(wrong)}; give them one, or leave them out of '
            'the split'
        )
    return used


def _one_part(stacked: pd.DataFrame, keys: np.ndarray) -> int:
    """Give all rows of a crystal the same part, in place; return how many rows changed theirs."""
    strength = stacked['part'].map({part: number for number, part in enumerate(_STRONGEST)}).to_numpy(dtype=int)
    strongest = pd.Series(strength).groupby(keys).transform('min').to_numpy()
    stacked['part'] = np.array(_STRONGEST, dtype=object)[strongest]
    return int((strongest != strength).sum())


def _quote(names: Sequence[str] | pd.Series) -> str:
    shown = ', '.join(list(names)[:_QUOTED])
    return f'{shown}, ...' if len(names) > _QUOTED else shown
