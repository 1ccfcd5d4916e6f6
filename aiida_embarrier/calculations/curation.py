"""Calcfunctions that choose rows of datasets and put datasets together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.engine import calcfunction
from aiida.orm import Dict  # noqa: TC002  (AiiDA reads the annotations)

from aiida_embarrier.calculations.parameters import check_keys
from aiida_embarrier.calculations.refusal import refuse_politely
from aiida_embarrier.data.dataset import DatasetData  # noqa: TC001  (AiiDA reads the annotations)
from aiida_embarrier.data.table import TableData
from aiida_embarrier.datasets.curation import curate_rows, filter_rows
from aiida_embarrier.datasets.joining import join_labels, join_rows

if TYPE_CHECKING:
    from aiida_embarrier.datasets.curation import Curated

__all__ = ('curate', 'filter_dataset', 'join_datasets')


@calcfunction
@refuse_politely
def filter_dataset(dataset: DatasetData, conditions: Dict) -> dict[str, Any]:
    """Take the rows of a dataset that meet conditions.

    :param dataset: the dataset.
    :param conditions: by column, see :func:`~aiida_embarrier.datasets.curation.filter_rows`.
    :return: `dataset`, and `left_out`: the names of the other rows, each with the reason.
    """
    return _outputs(dataset, filter_rows(dataset.table, conditions.get_dict()))


@calcfunction
@refuse_politely
def join_datasets(left: DatasetData, right: TableData, parameters: Dict) -> dict[str, Any]:
    """Put the rows of two datasets together, or columns of a table beside those of a dataset.

    :param left: a dataset.
    :param right: a dataset, or for `how: labels` any table with a column `name`.
    :param parameters: `how`: `rows` (with `duplicates`: refuse, left or right) or `labels` (with `columns` and
        `overwrite`); see :mod:`aiida_embarrier.datasets.joining`.
    :return: `dataset`, and `left_out`: names of rows that did not go in, each with the reason.
    """
    settings = parameters.get_dict()
    how = settings.pop('how', 'rows')
    if how not in {'rows', 'labels'}:
        raise ValueError(f'datasets are joined by rows or labels, not by {how!r}')
    check_keys(settings, ('duplicates',) if how == 'rows' else ('columns', 'overwrite'))
    join = join_rows if how == 'rows' else join_labels
    return _outputs(left, join(left.table, right.table, **settings))


@calcfunction
@refuse_politely
def curate(dataset: DatasetData, rules: Dict) -> dict[str, Any]:
    """Take the rows of a dataset that the rules of the published one choose.

    :param dataset: the dataset.
    :param rules: entries that replace those of :data:`~aiida_embarrier.datasets.curation.RULES`.
    :return: `dataset`, and `left_out`: the names of the other rows, each with the reason.
    """
    return _outputs(dataset, curate_rows(dataset.table, rules.get_dict()))


def _outputs(dataset: DatasetData, found: Curated) -> dict[str, Any]:
    left_out = TableData(found.left_out, title='rows that were left out')
    left_out.description = '; '.join(found.notes)  # stands beside the reasons, which the rules had
    return {'dataset': dataset.like(found.frame), 'left_out': left_out}
