"""`DatasetData`: a table of barriers or of a property as a node, with what it is about as attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida_embarrier.data.fields import attribute
from aiida_embarrier.data.table import TableData
from aiida_embarrier.datasets.about import summary
from aiida_embarrier.datasets.schema import check_rows, columns_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ('DatasetData',)


class DatasetData(TableData):
    """A dataset: rows of the schema *barrier* or *property*, with what it is about as attributes.

    Every attribute below can be filtered on in a query, for instance
    ``QueryBuilder().append(DatasetData, filters={'attributes.ions': {'contains': ['Li']}})``.

    :param frame: the rows, see :mod:`aiida_embarrier.datasets.schema`; columns beside those of the schema are kept.
    :param schema: `barrier` or `property`.
    :param target: what its numbers are; barriers need no name.
    :param target_unit: their unit, None for pure numbers; barriers are in eV.
    :param title: what the dataset is, in one line.
    :param source: citation, DOI or address of the whole.
    :raises ValueError: for rows that do not keep to the schema, naming the first one.
    """

    class AttributesModel(TableData.AttributesModel):
        """The attributes that can be queried."""

        schema_name: str | None = attribute('Schema of the rows: barrier or property')
        target: str | None = attribute('What the numbers are')
        target_unit: str | None = attribute('Unit of the numbers, None for pure ones')
        source: str | None = attribute('Citation, DOI or address of the whole')
        ions: list[str] | None = attribute('Elements of the migrating ions')
        elements: list[str] | None = attribute('All elements')
        n_flagged: int | None = attribute('Number of rows with a known defect')
        flags: dict[str, int] | None = attribute('Number of rows with each defect')
        groups: list[str] | None = attribute('Columns that label groups of rows')
        published_splits: list[str] | None = attribute('Parts of a published split that rows are labelled with')

    def __init__(
        self,
        frame: pd.DataFrame | None = None,
        *,
        schema: str = 'barrier',
        target: str | None = None,
        target_unit: str | None = None,
        title: str | None = None,
        source: str | None = None,
        **kwargs: Any,
    ) -> None:
        if frame is None:
            super().__init__(**kwargs)
            return
        if schema == 'barrier':
            if target_unit not in {None, 'eV'}:
                raise ValueError(f'barriers are in eV, not in {target_unit!r}: convert them first')
            target, target_unit = target or 'migration barrier', 'eV'
        check_rows(frame, schema)
        units = {name: column.unit for name, column in columns_of(schema).items() if name in frame and column.unit}
        if schema == 'property' and target_unit is not None:
            units['target'] = target_unit
        super().__init__(frame, units=units, title=title, **kwargs)
        self.base.attributes.set_many(
            {
                'schema_name': schema,
                'target': target or 'target',
                'target_unit': target_unit,
                'source': source,
                **summary(frame),
            }
        )

    @property
    def schema(self) -> str:
        """Schema of the rows: `barrier` or `property`."""
        name: str = self.base.attributes.get('schema_name')
        return name

    def like(self, frame: pd.DataFrame, **changes: Any) -> DatasetData:
        """Return a new dataset of other rows, with what this one is about.

        :param frame: the rows.
        :param changes: of the arguments of the constructor.
        """
        own = {name: self.base.attributes.get(name) for name in ('target', 'target_unit', 'title', 'source')}
        return DatasetData(frame, schema=self.schema, **{**own, **changes})
