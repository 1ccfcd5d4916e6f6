"""Calcfunction that counts what a dataset holds."""

from __future__ import annotations

from typing import Any

from aiida.engine import calcfunction
from aiida.orm import Dict

from aiida_embarrier.calculations.refusal import refuse_politely
from aiida_embarrier.data.table import TableData

__all__ = ('SETTINGS', 'summarise_dataset')

#: What can be chosen, see :func:`aiida_embarrier.datasets.statistics.dataset_statistics`.
SETTINGS = ('bin_width', 'thresholds', 'ranges')


@calcfunction
@refuse_politely
def summarise_dataset(dataset: TableData, parameters: Dict | None = None) -> dict[str, Any]:
    """Count what a dataset holds.

    :param dataset: of barriers or of a property; also a plain table with the columns of a schema.
    :param parameters: some of `bin_width`, `thresholds` and `ranges`, as
        :func:`~aiida_embarrier.datasets.statistics.dataset_statistics` takes them.
    :return: `numbers`, and the tables that the dataset has something for, by their names in
        :data:`~aiida_embarrier.datasets.statistics_tables.TABLES`.
    """
    from aiida_embarrier.datasets.statistics import dataset_statistics
    from aiida_embarrier.datasets.statistics_tables import TABLES

    settings = {} if parameters is None else parameters.get_dict()
    unknown = sorted(set(settings) - set(SETTINGS))
    if unknown:
        raise ValueError(f'there is no setting {unknown[0]!r} of statistics: choose from {", ".join(SETTINGS)}')
    for name, value in settings.items():
        values = [value] if name == 'bin_width' else value
        if not isinstance(values, list) or not all(isinstance(number, int | float) for number in values):
            raise ValueError(f'{name} is a {"number" if name == "bin_width" else "list of numbers"}, got {value!r}')
    about = dataset.base.attributes.all
    frame = dataset.table
    schema = about.get('schema_name') or ('barrier' if 'barrier' in frame else 'property')
    found = dataset_statistics(frame, schema, target=about.get('target'), unit=about.get('target_unit'), **settings)
    tables = {
        name: TableData(table, units=found.units_of(name), title=TABLES[name].title)
        for name, table in found.tables.items()
    }
    return {'numbers': Dict(found.numbers), **tables}
