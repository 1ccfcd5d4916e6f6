"""The bands of many nodes at once: a node that reads its arrays by itself opens the repository for each of them."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from aiida.manage import get_manager
from aiida.orm import QueryBuilder
from aiida.repository import Repository

from aiida_embarrier.data.band import BandData, band_from

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from aiida_embarrier.bands.band import Band

__all__ = ('bands_of',)

#: So many bands are in memory at a time.
BATCH = 200
SUFFIX = '.npy'


def bands_of(pks: Collection[int], backend: Any = None) -> Iterator[tuple[int, Band]]:
    """Return the bands of nodes by their PKs.

    :param backend: storage of the nodes, that of the profile by default.
    """
    storage = backend or get_manager().get_profile_storage()
    repository = storage.get_repository()
    ordered = sorted(pks)
    for first in range(0, len(ordered), BATCH):
        query = QueryBuilder(backend=backend).append(
            BandData,
            filters={'id': {'in': ordered[first : first + BATCH]}},
            project=['id', 'attributes', 'repository_metadata'],
        )
        rows = [(pk, attributes, Repository.flatten(metadata)) for pk, attributes, metadata in query.all()]
        keys = {key for _, _, files in rows for key in files.values() if key is not None}
        content = {key: stream.read() for key, stream in repository.iter_object_streams(keys)}
        for pk, attributes, files in rows:
            arrays = {
                name.removesuffix(SUFFIX): np.load(io.BytesIO(content[key]), allow_pickle=False)
                for name, key in files.items()
                if name.endswith(SUFFIX) and key is not None
            }
            yield pk, band_from(attributes, arrays)
