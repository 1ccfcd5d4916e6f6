"""Content that must not be published: POTCARs, and CIFs of the ICSD; and datasets, whose licences have to be checked.

The type of a node does not tell: a POTCAR can stand in any file of any node, compressed too. What VASP prints of a
POTCAR into an OUTCAR (title, VRHFIN, ENMAX and the like, below a line that begins with ``POTCAR:``) is no potential and
may be shown.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from aiida.orm import Node, QueryBuilder

from aiida_embarrier.data.dataset import DatasetData

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ('LICENSED_TYPES', 'LicenceSearch', 'licensed_by_type', 'warn_of_datasets')

#: Node types that hold licensed content: VASP's potentials as uploaded by a licensee.
LICENSED_TYPES = ('data.vasp.potcar_file.',)

POTCAR = 'the content of a POTCAR, which the licence of VASP does not allow to publish'
ICSD = 'a crystal from the ICSD, whose licence does not allow to publish it'

#: Lines that only the data of a potential have.
_DATA = re.compile(
    rb'^[ \t]*(?:End of Dataset|parameters from PSCTR are:|END of PSCTR-controll parameters)[ \t]*\r?$', re.MULTILINE
)
#: Lines of the head of a potential; an OUTCAR has them too, below the lines of the last group.
_TITLE = re.compile(rb'^[ \t]*TITEL[ \t]*=[ \t]*\S', re.MULTILINE)
_VALENCE = re.compile(rb'^[ \t]*VRHFIN[ \t]*=', re.MULTILINE)
_OUTPUT = re.compile(rb'^[ \t]*POTCAR:[ \t]+\S', re.MULTILINE)
_ICSD = re.compile(rb'^[ \t]*(?:_database_code_ICSD[ \t]+[\'"]?\d|_icsd_\w)', re.MULTILINE | re.IGNORECASE)
#: What lines of those kinds have in common; files without any of these words need no closer look.
_WORDS = (b'End of Dataset', b'PSCTR', b'TITEL', b'VRHFIN', b'POTCAR:', b'icsd', b'ICSD')


class LicenceSearch:
    """Looks through one file piece by piece."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._icsd = False

    def look(self, piece: bytes) -> None:
        """Look at the next piece, which begins and ends with whole lines."""
        if not any(word in piece for word in _WORDS):
            return
        piece = piece.replace(rb'\n', b'\n')  # as JSON writes the end of a line
        for name, pattern in (('data', _DATA), ('output', _OUTPUT), ('title', _TITLE), ('valence', _VALENCE)):
            if name not in self._seen and pattern.search(piece):
                self._seen.add(name)
        self._icsd = self._icsd or _ICSD.search(piece) is not None

    @property
    def found(self) -> str | None:
        """What the file holds that must not be published, in words; None where there is nothing of the kind."""
        head = {'title', 'valence'} <= self._seen and 'output' not in self._seen
        if head or 'data' in self._seen:
            return POTCAR
        return ICSD if self._icsd else None


def licensed_by_type(pks: Iterable[int]) -> list[tuple[int, str]]:
    """Return nodes that hold licensed content by their type or by the source that they name, each with what it is."""
    types = [{'node_type': {'like': f'{name}%'}} for name in LICENSED_TYPES]
    query = QueryBuilder().append(Node, filters={'id': {'in': list(pks)}, 'or': types}, project='id')
    found: list[tuple[int, str]] = [(pk, POTCAR) for pk in query.all(flat=True)]
    query = QueryBuilder().append(
        Node,
        filters={'id': {'in': list(pks)}, 'attributes.source.db_name': {'like': '%'}},
        project=['id', 'attributes.source.db_name'],
    )
    rows: list[Any] = query.all()
    return sorted(found + [(pk, ICSD) for pk, name in rows if name.lower() == 'icsd'])


def warn_of_datasets(pks: Iterable[int]) -> list[str]:
    """Return a warning that lists the sources of datasets, whose licences no node tells; none without datasets.

    A dataset without a source counts unless a process of ours made it, whose inputs are in the archive too.
    """
    query = QueryBuilder().append(DatasetData, filters={'id': {'in': list(pks)}}, tag='dataset', project='*')
    datasets = query.all(flat=True)
    sources = sorted({str(node.base.attributes.get('source')) for node in datasets if _source_of(node)})
    without = sorted(node.uuid for node in datasets if not _source_of(node) and node.creator is None)
    listed = [*sources, *([f'{len(without)} without a source, such as {without[0]}'] if without else [])]
    if not listed:
        return []
    return [
        f'rows of datasets go out with the archive ({"; ".join(listed)}): check that the licence of each source allows '
        'it, for some state none'
    ]


def _source_of(node: DatasetData) -> Any:
    return node.base.attributes.get('source', None)
