"""Trainings that were done before: a study takes them from the database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aiida.common.links import LinkType
from aiida.orm import CalcJobNode, Data, QueryBuilder, WorkChainNode

from aiida_embarrier.calculations.learning import TrainCalculation
from aiida_embarrier.workflows.train import TrainModelWorkChain

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ('finished_training',)

#: Inputs of a training that decide what is learned. Options of jobs and limits of the chain do not.
_DECISIVE = ('code', 'datasets', 'splits', 'parameters', 'parent', 'settings')


def finished_training(inputs: Mapping[str, Any]) -> WorkChainNode | None:
    """Return a training that ended well and had the same inputs, by the contents of their nodes; None without one.

    :param inputs: of a training, as :class:`~aiida_embarrier.workflows.train.TrainModelWorkChain` takes them; their
        nodes are stored.
    """
    wanted = _hashes(inputs)
    for chain in _similar(wanted):
        links = chain.base.links.get_incoming(link_type=LinkType.INPUT_WORK).all()
        found = {
            link.link_label: link.node.base.caching.get_hash()
            for link in links
            if link.link_label.partition('__')[0] in _DECISIVE
        }
        if found == wanted and 'model' in chain.outputs and _still_holds(chain):
            return chain
    return None


def _hashes(inputs: Mapping[str, Any]) -> dict[str, str | None]:
    """Return the hashes of the nodes that decide, by the labels of their links."""
    found = {}
    for name in _DECISIVE:
        given = inputs.get(name)
        if isinstance(given, Mapping):
            found.update({f'{name}__{label}': node.base.caching.get_hash() for label, node in given.items()})
        elif given is not None:
            found[name] = given.base.caching.get_hash()
    return found


def _similar(wanted: Mapping[str, str | None]) -> Iterator[WorkChainNode]:
    """Return trainings that ended well and share the rows of a target, the newest first."""
    label = next(name for name in wanted if name.startswith('splits__'))
    query = QueryBuilder()
    query.append(Data, filters={'extras._aiida_hash': wanted[label]}, tag='split')
    query.append(
        WorkChainNode,
        with_incoming='split',
        edge_filters={'label': label},
        filters={'process_type': TrainModelWorkChain.build_process_type(), 'attributes.exit_status': 0},
        tag='chain',
    )
    query.order_by({'chain': {'id': 'desc'}}).distinct()
    return iter(query.all(flat=True))


def _still_holds(chain: WorkChainNode) -> bool:
    """Return whether its last job would still be taken from the database: this version computes the same numbers."""
    jobs = [node for node in chain.called if isinstance(node, CalcJobNode)]
    if not jobs:
        return False
    job = max(jobs, key=lambda node: node.pk)
    versions = job.base.attributes.get('cache_version', {})
    return bool(job.base.caching.is_valid_cache) and versions.get('calc_job') == TrainCalculation.CACHE_VERSION
