"""What would go into an archive: counts by type and process, and about how large it would be."""

from __future__ import annotations

import json
import zlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiida.manage import get_manager
from aiida.orm import Node, ProcessNode, QueryBuilder

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ('Summary', 'estimate_bytes', 'summarise')

#: Bytes of a node and of a link in the database of an archive, beside attributes and extras, before compression, and
#: what compression leaves of the database: measured on archives of 10 to 10,000 nodes.
NODE, LINK, COMPRESSED = 900, 180, 0.25
#: Bytes of a file in the archive beside its compressed content: its name and its entries in the zip file.
FILE = 250
#: How much of the files is compressed to learn how much smaller they become.
SAMPLE = 8 << 20
#: JSON is read of so many nodes to learn how long it is.
SAMPLE_NODES = 500


@dataclass(frozen=True)
class Summary:
    """Counts of nodes.

    :param by_type: number of nodes by their class.
    :param by_process: number of processes by their labels, and of those that failed.
    :param n_links: number of links between them.
    """

    by_type: dict[str, int]
    by_process: dict[str, tuple[int, int]]
    n_links: int

    @property
    def n_nodes(self) -> int:
        """Number of nodes."""
        return sum(self.by_type.values())


def summarise(pks: Collection[int], n_links: int) -> Summary:
    """Count nodes by type, and processes by label."""
    mine = {'id': {'in': list(pks)}}
    types = QueryBuilder().append(Node, filters=mine, project='node_type').all(flat=True)
    by_type = Counter(name.rpartition('.')[0].rpartition('.')[2] for name in types)
    query = QueryBuilder().append(
        ProcessNode, filters=mine, project=['attributes.process_label', 'attributes.exit_status']
    )
    processes = [(label or 'unknown', status != 0) for label, status in query.all()]
    every, failed = Counter(label for label, _ in processes), Counter(label for label, bad in processes if bad)
    return Summary(
        dict(sorted(by_type.items())), {label: (every[label], failed[label]) for label in sorted(every)}, n_links
    )


def estimate_bytes(pks: Collection[int], n_links: int, n_bytes: int) -> int:
    """Return about how many bytes an archive will have, from a sample of its content.

    :param n_links: number of links between the nodes.
    :param n_bytes: size of all different files.
    """
    mine = {'id': {'in': list(pks)}}
    query = QueryBuilder().append(Node, filters=mine, project=['attributes', 'extras']).limit(SAMPLE_NODES)
    lengths = [len(json.dumps(row)) for row in query.all()]
    each = sum(lengths) / max(len(lengths), 1)
    database = COMPRESSED * (len(pks) * (NODE + each) + n_links * LINK)
    keys = sorted(set(Node.collection.iter_repo_keys(filters=mine)))
    taken = packed = 0
    repository = get_manager().get_profile_storage().get_repository()
    # keys are hashes, so their order is that of a lottery
    for _, stream in repository.iter_object_streams(keys):
        content = stream.read(SAMPLE)
        taken, packed = taken + len(content), packed + len(zlib.compress(content, 6))
        if taken >= SAMPLE:
            break
    return round(database + FILE * len(keys) + (n_bytes * packed / taken if taken else 0))
