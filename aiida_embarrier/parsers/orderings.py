"""Parser of orderings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from aiida_embarrier.data.convert import node_from_structure
from aiida_embarrier.data.table import TableData
from aiida_embarrier.datasets.tables import read_parquet
from aiida_embarrier.jobs.orderings import STRUCTURES_FILE, TABLE_FILE, OrderingsResult
from aiida_embarrier.parsers.plain import PlainParser

if TYPE_CHECKING:
    from pathlib import Path

    from aiida.engine import ExitCode

__all__ = ('OrderingsParser',)


class OrderingsParser(PlainParser):
    """The table of all distinct orderings, and the structures of the lowest."""

    RESULT = OrderingsResult

    def _out(self, result: Any, temporary: Path | None) -> ExitCode | None:
        from pymatgen.core import Structure

        from aiida_embarrier.calculations.orderings import ordering_label

        try:
            assert temporary is not None
            table = read_parquet((temporary / TABLE_FILE).read_bytes())
            structures = json.loads((temporary / STRUCTURES_FILE).read_text())
        except (OSError, ValueError) as error:
            return self.exit_codes.ERROR_RESULTS_UNREADABLE.format(message=str(error))
        title = f'Orderings of {result.formula}'
        self.out('table', TableData(table, units={'ewald_energy': 'eV'}, title=title))
        for number, entries in enumerate(structures):
            node, kinds = node_from_structure(Structure.from_dict(entries))
            self.out(f'structures.{ordering_label(number)}', node)
            self.out(f'kinds.{ordering_label(number)}', kinds)
        return None
