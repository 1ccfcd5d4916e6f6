"""Which rows of datasets of properties are one crystal: duplicates, and what test rows share with other rows.

A model that was pre-trained on the crystal of a test row has seen it, whatever its property and its id were then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from aiida_embarrier.datasets.same_crystals import TOLERANCE, crystal_keys, formulas_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ('OverlapReport', 'overlap', 'rows_that_test', 'without')

#: Columns of a dataset that are needed.
_COLUMNS = ('name', 'lattice', 'species', 'frac_coords', 'material_id', 'published_split', 'target')


@dataclass(frozen=True, eq=False)
class OverlapReport:
    """What datasets have in common.

    :param datasets: `dataset`, `unit`, `n_rows`, `n_crystals`, `n_duplicates` (rows whose crystal another row of it
        has, too), `largest_difference` (of the targets of one crystal), `n_test` (rows that test), `n_test_leaking`
        (test rows whose crystal another row of the same dataset has that does not test).
    :param pairs: `dataset`, `other`, `n_shared` (crystals in both), `n_rows` (rows of `dataset` with these), and
        `n_test` (test rows of `other` whose crystal is among the rows of `dataset` that do not test).
    :param duplicates: `dataset`, `crystal`, `name`, `part`, `target`: rows whose crystal is there again.
    """

    datasets: pd.DataFrame
    pairs: pd.DataFrame
    duplicates: pd.DataFrame

    def to_dict(self) -> dict[str, Any]:
        """Return the tables of datasets and pairs as plain values."""
        tables = {'datasets': self.datasets, 'pairs': self.pairs}
        return {
            key: table.astype(object).where(table.notna(), None).to_dict('records') for key, table in tables.items()
        }


def overlap(
    frames: Mapping[str, pd.DataFrame],
    *,
    units: Mapping[str, str | None] | None = None,
    tolerance: float = TOLERANCE,
    progress: Callable[[int, int], None] | None = None,
) -> OverlapReport:
    """Find the crystals that rows of datasets share, within each and between each two.

    :param frames: rows of properties by what their dataset is called; rows that `published_split` calls `test` test.
    :param units: of the targets.
    :param tolerance: see :func:`~aiida_embarrier.datasets.same_crystals.crystal_keys`.
    :param progress: called with how many rows are done, and out of how many.
    :raises ValueError: for rows of another schema, and for no dataset.
    """
    if not frames:
        raise ValueError('there is no dataset to compare')
    rows = joined(frames)
    rows['crystal'] = crystal_keys(rows, tolerance=tolerance, progress=progress)
    rows['testing'] = rows['part'] == 'test'
    of_dataset = {label: rows[rows['dataset'] == label] for label in frames}
    datasets = [_about(label, some, (units or {}).get(label)) for label, some in of_dataset.items()]
    pairs = [
        _shared(label, some, other_label, other)
        for label, some in of_dataset.items()
        for other_label, other in of_dataset.items()
        if label != other_label
    ]
    again = rows[rows.duplicated(['dataset', 'crystal'], keep=False)]
    columns = ['dataset', 'crystal', 'name', 'part', 'target']
    duplicates = again.sort_values(['dataset', 'crystal', 'name'])[columns].reset_index(drop=True)
    names = ['dataset', 'other', 'n_shared', 'n_rows', 'n_test']
    return OverlapReport(pd.DataFrame(datasets), pd.DataFrame(pairs, columns=names), duplicates)


def joined(frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the rows of datasets below each other: crystals, names, targets, and the column `dataset`.

    `part` is the part that the source of a row publishes, empty where there is none.
    """
    pieces = [
        frame[[name for name in _COLUMNS if name in frame]].assign(dataset=label) for label, frame in frames.items()
    ]
    rows = pd.concat(pieces, ignore_index=True)
    published = rows['published_split'] if 'published_split' in rows else pd.Series(None, index=rows.index)
    rows['part'] = published.where(published.notna(), '').astype('str').str.strip().str.lower()
    if 'target' not in rows:
        rows['target'] = float('nan')
    return rows


def _about(label: str, rows: pd.DataFrame, unit: str | None) -> dict[str, Any]:
    spread = rows.groupby('crystal')['target'].agg(lambda values: values.max() - values.min())
    testing, others = rows[rows['testing']], rows[~rows['testing']]
    return {
        'dataset': label,
        'unit': unit,
        'n_rows': len(rows),
        'n_crystals': int(rows['crystal'].nunique()),
        'n_duplicates': int(rows['crystal'].duplicated(keep=False).sum()),
        'largest_difference': float(spread.max()),
        'n_test': len(testing),
        'n_test_leaking': int(testing['crystal'].isin(others['crystal']).sum()),
    }


def _shared(label: str, rows: pd.DataFrame, other_label: str, other: pd.DataFrame) -> dict[str, Any]:
    inside = rows['crystal'].isin(other['crystal'])
    trained, tested = rows[~rows['testing']], other[other['testing']]
    return {
        'dataset': label,
        'other': other_label,
        'n_shared': int(rows['crystal'][inside].nunique()),
        'n_rows': int(inside.sum()),
        'n_test': int(tested['crystal'].isin(trained['crystal']).sum()),
    }


def rows_that_test(frame: pd.DataFrame, split: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return the rows of a dataset that test: those that a split says, or else its column `published_split`.

    :param split: with `name` and `part`.
    :raises ValueError: where none does.
    """
    if split is not None:
        names = set(split['name'][split['part'] == 'test'])
        found = frame[frame['name'].isin(names)]
    else:
        found = frame[joined({'': frame})['part'].to_numpy() == 'test']
    if not len(found):
        raise ValueError('no row of this dataset tests: give a split with test rows, or leave the dataset out')
    return found


def without(
    frame: pd.DataFrame,
    tests: Mapping[str, pd.DataFrame],
    *,
    tolerance: float = TOLERANCE,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, list[str]]:
    """Return the names of the rows of a dataset that hold the crystal of a test row, by what they are a test of.

    So do rows with the id that a test row has in the Materials Project (`material_id`, where both have that column),
    however far its structure was relaxed since. Of the others only rows whose reduced formula some test row has are
    compared: 1.3 s for 9395 band gaps and 1785 test rows.

    :param frame: rows to pre-train on.
    :param tests: test rows by what they test; of one dataset and others.
    :param tolerance: see :func:`~aiida_embarrier.datasets.same_crystals.crystal_keys`.
    :return: for each test, the names of the rows to leave out, in their order; a row may be there several times.
    :raises ValueError: for rows of another schema.
    """
    wanted = {label: formulas_of(rows) for label, rows in tests.items()}
    formulas = set().union(*wanted.values())
    inside = formulas_of(frame).isin(formulas)
    rows = joined({'': frame[inside], **{f'test {label}': some for label, some in tests.items()}})
    rows['crystal'] = crystal_keys(rows, tolerance=tolerance, progress=progress)
    pool = rows[rows['dataset'] == '']
    found = {}
    for label, some in tests.items():
        same = pool['name'][pool['crystal'].isin(rows['crystal'][rows['dataset'] == f'test {label}'])]
        found[label] = frame['name'][frame['name'].isin(same) | _of_one_id(frame, some)].tolist()
    return found


def _of_one_id(frame: pd.DataFrame, others: pd.DataFrame) -> pd.Series:
    """Return which rows have an id that others have, too."""
    if 'material_id' not in frame or 'material_id' not in others:
        return pd.Series(False, index=frame.index)
    ids = {value for value in others['material_id'].tolist() if isinstance(value, str) and value}
    return frame['material_id'].isin(ids)
