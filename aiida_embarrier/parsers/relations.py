"""Parser of jobs that say how properties relate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida_embarrier.data.table import TableData
from aiida_embarrier.datasets.tables import read_parquet
from aiida_embarrier.jobs.relations import RELATIONS_FILE, RelationsResult
from aiida_embarrier.parsers.plain import PlainParser

if TYPE_CHECKING:
    from pathlib import Path

    from aiida.engine import ExitCode

__all__ = ('RelationsParser',)


class RelationsParser(PlainParser):
    """The table of relations."""

    RESULT = RelationsResult

    def _out(self, result: Any, temporary: Path | None) -> ExitCode | None:  # noqa: ARG002
        assert temporary is not None
        try:
            table = read_parquet((temporary / RELATIONS_FILE).read_bytes())
        except (OSError, ValueError) as error:
            return self.exit_codes.ERROR_RESULTS_UNREADABLE.format(message=str(error).splitlines()[0])
        self.out('relations', TableData(table, title='relations of properties'))
        return None
