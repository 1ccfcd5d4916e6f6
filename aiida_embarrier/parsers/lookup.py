"""Parser of lookups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from aiida_embarrier.jobs.lookup import LookupResult
from aiida_embarrier.parsers.plain import PlainParser

if TYPE_CHECKING:
    from pathlib import Path

    from aiida.engine import ExitCode

__all__ = ('LookupParser',)


class LookupParser(PlainParser):
    """The crystals that a lookup found, and its answer."""

    RESULT = LookupResult
    LEFT_OUT: ClassVar[frozenset[str]] = frozenset({'structures'})

    def _out(self, result: Any, temporary: Path | None) -> ExitCode | None:  # noqa: ARG002
        from pymatgen.core import Structure

        from aiida_embarrier.data.convert import node_from_disordered, node_from_structure

        for number, entries in enumerate(result.structures):
            structure = Structure.from_dict(entries)
            convert = node_from_structure if structure.is_ordered else node_from_disordered
            node, kinds = convert(structure)
            label = f'entry_{number:03d}'
            self.out(f'structures.{label}', node)
            self.out(f'kinds.{label}', kinds)
        return None
