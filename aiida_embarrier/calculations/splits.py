"""Calcfunction that splits a dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.engine import calcfunction
from aiida.orm import Dict

from aiida_embarrier.calculations.refusal import refuse_politely
from aiida_embarrier.data.table import TableData

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from aiida_embarrier.datasets.splits import Split

__all__ = ('PARAMETERS', 'split_dataset', 'split_rows')

#: What the parameters of a split may say, as :func:`~aiida_embarrier.datasets.splits.split_dataset` takes it.
PARAMETERS = (
    'method',
    'test_fraction',
    'n_test',
    'validation_fraction',
    'n_folds',
    'seed',
    'strata',
    'group_by',
    'compare_hops',
)


def split_rows(frame: pd.DataFrame, settings: Mapping[str, Any]) -> Split:
    """Return a split of a dataset.

    :param settings: see :data:`PARAMETERS`.
    :raises ValueError: for settings that there are not or that cannot be met, and for a table that is no dataset.
    """
    from aiida_embarrier.datasets import splits

    unknown = sorted(set(settings) - set(PARAMETERS))
    if unknown:
        raise ValueError(f'a split has no parameter {unknown[0]!r}: choose from {", ".join(PARAMETERS)}')
    if 'name' not in frame or 'species' not in frame:
        raise ValueError('this table is no dataset: it lacks the columns name and species')
    return splits.split_dataset(frame, **settings)


@calcfunction
@refuse_politely
def split_dataset(dataset: TableData, parameters: Dict) -> dict[str, Any]:
    """Split a dataset, and find what its test rows share with its training.

    It took 2 s for 559 rows, most of it for equivalent hops. For many thousands of rows, or hundreds in one host,
    switch them off with `compare_hops`, since a calcfunction keeps its daemon worker from other work.

    :param dataset: a dataset, or a table with the columns of one.
    :param parameters: see :data:`PARAMETERS`.
    :return: `split` (`name`, `part`, `fold` of each row), `leakage` (what each evaluated row shares, and its nearest
        training row), and `report`: parameters, counts by part, the hash of the rows that were split, and the counts of
        what leaks.
    """
    from aiida_embarrier.datasets.tables import content_hash

    frame = dataset.table
    split = split_rows(frame, parameters.get_dict())
    report = {**split.report, 'dataset_hash': content_hash(frame), 'leakage': split.leakage.to_dict()}
    return {
        'split': TableData(split.table, title=f'{split.method} split'),
        'leakage': TableData(split.leakage.table, title='what evaluated rows share with the training'),
        'report': Dict(report),
    }
