"""`TableData`: a pandas table as a node, with what it holds as attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.common.exceptions import ValidationError
from aiida.orm import Data
from aiida.orm.nodes.caching import NodeCaching

from aiida_embarrier.data.fields import attribute
from aiida_embarrier.datasets.tables import check_table, column_type, content_hash, read_parquet, write_parquet

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

__all__ = ('TableData',)

#: The file in the repository of a node.
FILE = 'table.parquet'


class TableCaching(NodeCaching):
    """The hash of a table: that of its content, not of the bytes of its file, which depend on who wrote it."""

    def get_objects_to_hash(self) -> dict[str, Any]:
        """Return what makes a table: its attributes, the hash of its content among them."""
        return {name: value for name, value in super().get_objects_to_hash().items() if name != 'repository_hash'}


class TableData(Data):
    """A pandas table: a parquet file, and a summary of it as attributes.

    Columns hold numbers, text, truth values, dates or categories, and come back exactly as they were. Two tables of the
    same content have the same hash, whatever wrote their files.

    :param frame: the table; its rows are numbered from 0.
    :param units: units of columns by their names; columns without one are numbers or words.
    :param title: what the table shows, in one line.
    :raises TypeError: for what is no DataFrame.
    :raises ValueError: for tables that a file cannot give back exactly, with the remedy.
    """

    class AttributesModel(Data.AttributesModel):
        """The attributes that can be queried."""

        title: str | None = attribute('What the table shows')
        n_rows: int | None = attribute('Number of rows')
        columns: list[dict[str, str | None]] | None = attribute('For each column its `name`, `dtype` and `unit`')
        content_hash: str | None = attribute('sha256 of names, types and values of the columns')

    _CLS_NODE_CACHING = TableCaching

    def __init__(
        self,
        frame: pd.DataFrame | None = None,
        *,
        units: Mapping[str, str] | None = None,
        title: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if frame is not None:
            self._set_table(frame, dict(units or {}), title)

    def _set_table(self, frame: pd.DataFrame, units: dict[str, str], title: str | None) -> None:
        check_table(frame, units)
        content = write_parquet(frame)
        columns = [
            {'name': str(name), 'dtype': column_type(frame[name]), 'unit': units.get(str(name))}
            for name in frame.columns
        ]
        self.base.repository.put_object_from_bytes(content, FILE)
        self.base.attributes.set_many(
            {'title': title, 'n_rows': len(frame), 'columns': columns, 'content_hash': content_hash(frame)}
        )

    def _validate(self) -> bool:
        super()._validate()
        if (
            self.base.attributes.get('content_hash', None) is None
            or FILE not in self.base.repository.list_object_names()
        ):
            raise ValidationError('a table node needs a table: TableData(frame)')
        return True

    @property
    def table(self) -> pd.DataFrame:
        """The table as it was put in."""
        return read_parquet(self.base.repository.get_object_content(FILE, mode='rb'))

    @property
    def title(self) -> str | None:
        """What the table shows."""
        title: str | None = self.base.attributes.get('title', None)
        return title

    @property
    def units(self) -> dict[str, str]:
        """Units of the columns that have one, by their names."""
        columns = self.base.attributes.get('columns')
        return {column['name']: column['unit'] for column in columns if column['unit'] is not None}
