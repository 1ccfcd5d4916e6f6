"""The table of a publication: the UUIDs of what it shows, with the numbers.

There are two ways to it, which have to agree: from the attributes of the nodes, which is what queries and figures read,
and from their content, that is energies, positions and tables. AiiDA keeps 14 digits of numbers in attributes, while
arrays keep all: what is published is computed from the content.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from aiida.orm import Data, QueryBuilder
from aiida.repository import Repository

from aiida_embarrier.bands.band import BandInfo
from aiida_embarrier.bands.barriers import barriers
from aiida_embarrier.publishing.checks import ancestors, parents_of
from aiida_embarrier.publishing.shown import DATASET, shown_nodes

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from aiida_embarrier.bands.band import Band
    from aiida_embarrier.publishing.shown import Links, Starting

__all__ = ('COLUMNS', 'NUMBERS', 'NumberColumn', 'datasets_of', 'numbers')


class NumberColumn(NamedTuple):
    """A column of the table.

    :param name: of the column.
    :param dtype: a type of pandas that knows missing values.
    :param unit: None for words and pure numbers.
    :param meaning: in one line.
    """

    name: str
    dtype: str
    unit: str | None
    meaning: str


#: Columns of numbers that the energies of a band give.
_BARRIERS = (
    NumberColumn('barrier_forward', 'Float64', 'eV', 'Largest energy of all images minus that of the first image'),
    NumberColumn('barrier_reverse', 'Float64', 'eV', 'Largest energy of all images minus that of the last image'),
    NumberColumn(
        'barrier_rate_limiting',
        'Float64',
        'eV',
        'Largest rise from any image to a later one; of a path between equivalent ends, which goes on, the span',
    ),
    NumberColumn(
        'barrier_rate_limiting_reverse',
        'Float64',
        'eV',
        'The same for the path walked from the last to the first image',
    ),
    NumberColumn('barrier_span', 'Float64', 'eV', 'Largest energy of all images minus the smallest'),
)

NUMBERS = (
    NumberColumn('kind', 'string', None, 'band, dataset, table, model, files or values'),
    NumberColumn('name', 'string', None, 'Label of the node, or of the process and the name of its output'),
    NumberColumn('uuid', 'string', None, 'UUID of the node, the same in every database'),
    NumberColumn('formula', 'string', None, 'Reduced formula of an image'),
    NumberColumn('host', 'string', None, 'Reduced formula of the host crystal'),
    NumberColumn('mobile_ion', 'string', None, 'Element of the migrating ion'),
    NumberColumn('mechanism', 'string', None, 'vacancy, interstitial or any'),
    NumberColumn('hop_length', 'Float64', 'Å', 'Distance between the ends of the path of the ion'),
    NumberColumn('n_images', 'Int64', None, 'Number of images, the endpoints included'),
    NumberColumn('n_atoms', 'Int64', None, 'Number of atoms of an image'),
    NumberColumn('engine', 'string', None, 'Engine that computed the energies'),
    NumberColumn('functional', 'string', None, 'Density functional; none with interatomic potentials'),
    NumberColumn('potential', 'string', None, 'Interatomic potential and its model'),
    NumberColumn('charge', 'Float64', 'e', 'Charge of the cell'),
    NumberColumn('climbing', 'boolean', None, 'Whether the highest image climbed'),
    NumberColumn('converged', 'boolean', None, 'Whether the band met its convergence criteria'),
    NumberColumn('residual_force', 'Float64', 'eV/Å', 'Largest force by the definition of convergence'),
    *_BARRIERS,
    NumberColumn('n_rows', 'Int64', None, 'Rows of a table or dataset, entries of values, files of a model or folder'),
    NumberColumn('n_numbers', 'Int64', None, 'Numbers in a table, a dataset or values'),
    NumberColumn(
        'content_hash',
        'string',
        None,
        'sha256 of the content of a table, dataset or values, of files that of their names and sha256',
    ),
    NumberColumn('n_ancestors', 'Int64', None, 'Number of nodes that it came from'),
)

COLUMNS = tuple(column.name for column in NUMBERS)

#: Kinds of rows by the beginnings of the node types, in the order of the table.
_KINDS = {
    'band': 'data.embarrier.band.',
    'dataset': DATASET,
    'table': 'data.embarrier.table.',
    'model': 'data.embarrier.model.',
    'files': 'data.core.folder.',
    'values': 'data.core.dict.',
}

#: What only the content of a band, and of a table, gives.
_CONTENT_ONLY = ('barrier_rate_limiting_reverse', 'n_numbers')

#: Columns of bands, and of tables and datasets; the others hold for every row.
_OF_BAND = COLUMNS[COLUMNS.index('formula') : COLUMNS.index('n_rows')]
_OF_TABLE = ('n_rows', 'content_hash')

#: What a band says of how it came about, which no content tells.
_OF_ORIGIN = tuple(name for name in _OF_BAND if name in BandInfo().to_dict())


def numbers(starting: Starting, links: Links, *, recompute: bool = True, backend: Any = None) -> pd.DataFrame:
    """Return the table: a row for each result that was asked for or that a process returned, and its datasets.

    Results are bands, datasets, tables, models, folders and Dicts; what a job retrieved is none.

    :param links: all links between the nodes.
    :param recompute: whether to compute numbers from the content of the nodes, or to read their attributes.
    :param backend: storage of the nodes, that of the profile by default.
    :return: the columns :data:`COLUMNS`, of attributes those that these have; energies in eV.
    """
    import pandas as pd

    names = shown_nodes(starting, links, backend)
    parents = parents_of(links)
    rows: dict[int, dict[str, Any]] = {}
    query = QueryBuilder(backend=backend).append(
        Data,
        filters={'id': {'in': list(names)}},
        project=['id', 'uuid', 'node_type', 'label', 'attributes', 'repository_metadata'],
    )
    for pk, uuid, node_type, label, attributes, metadata in query.all():
        kind = next((kind for kind, beginning in _KINDS.items() if node_type.startswith(beginning)), None)
        if kind is not None and not names[pk].endswith('/retrieved'):
            row = {'kind': kind, 'name': label or names[pk] or None, 'uuid': uuid}
            row['n_ancestors'] = len(ancestors(pk, parents))
            rows[pk] = row | _stated(kind, attributes, metadata)
    if recompute:
        for pk, found in _computed({pk: row['kind'] for pk, row in rows.items()}, backend):
            rows[pk] |= found
    ordered = sorted(rows.values(), key=lambda row: (list(_KINDS).index(row['kind']), row['name'] or '', row['uuid']))
    columns = [column for column in NUMBERS if recompute or column.name not in _CONTENT_ONLY]
    return pd.DataFrame(
        {column.name: pd.array([row.get(column.name) for row in ordered], dtype=column.dtype) for column in columns}
    )


def datasets_of(starting: Starting, links: Links, backend: Any = None) -> list[Any]:
    """Return the dataset nodes that the table shows."""
    shown = list(shown_nodes(starting, links, backend))
    wanted = {'id': {'in': shown}, 'node_type': {'like': f'{DATASET}%'}}
    return list(QueryBuilder(backend=backend).append(Data, filters=wanted).all(flat=True))


def _stated(kind: str, attributes: dict[str, Any], metadata: dict[str, Any]) -> dict[str, Any]:
    """Return what the attributes of a node say, and the keys of its files, which are their sha256."""
    if kind == 'values':
        return _values(attributes)
    if kind in {'model', 'files'}:
        files = {name: key for name, key in Repository.flatten(metadata).items() if key is not None}
        return {'n_rows': len(files), 'content_hash': _digest(files)}
    wanted = _OF_BAND if kind == 'band' else _OF_TABLE
    return {name: attributes.get(name) for name in wanted}


def _computed(kinds: dict[int, str], backend: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    """Return what the content of bands, tables and datasets gives, by their PKs."""
    from aiida_embarrier.datasets.tables import content_hash
    from aiida_embarrier.publishing.band_content import bands_of

    for pk, band in bands_of([pk for pk, kind in kinds.items() if kind == 'band'], backend):
        yield pk, _of_band(band)
    tables = [pk for pk, kind in kinds.items() if kind in {'dataset', 'table'}]
    if tables:
        query = QueryBuilder(backend=backend).append(Data, filters={'id': {'in': tables}}, project=['id', '*'])
        for pk, node in query.iterall(batch_size=20):
            table = node.table
            n_numbers = int(table.select_dtypes('number').notna().to_numpy().sum())
            yield pk, {'n_rows': len(table), 'n_numbers': n_numbers, 'content_hash': content_hash(table)}


def _of_band(band: Band) -> dict[str, Any]:
    import numpy as np

    row = {name: getattr(band.info, name) for name in _OF_ORIGIN}
    row |= {name: getattr(band, name) for name in ('formula', 'mobile_ion', 'n_images', 'n_atoms', 'hop_length')}
    if np.all(np.isfinite(band.energies)):
        found = barriers(band.energies, band.info.equivalent_endpoints)
        heights = {column.name: getattr(found, column.name.removeprefix('barrier_')) for column in _BARRIERS}
    else:
        heights = {column.name: None for column in _BARRIERS}
    return row | heights


def _values(values: dict[str, Any]) -> dict[str, Any]:
    return {'n_rows': len(values), 'n_numbers': _count(values), 'content_hash': _digest(values)}


def _digest(values: dict[str, Any]) -> str:
    text = json.dumps(values, sort_keys=True, separators=(',', ':'), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _count(value: Any) -> int:
    """Return how many numbers stand in mappings and lists; truth values are none."""
    if isinstance(value, dict | list):
        return sum(map(_count, value.values() if isinstance(value, dict) else value))
    return int(isinstance(value, int | float) and not isinstance(value, bool))
