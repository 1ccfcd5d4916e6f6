"""Go on where an earlier attempt at the same stopped: what restart work chains do in a process that `resume` started.

The process that was started again has the same inputs, and the extra :data:`RESUMES` names the one before. A restart
work chain below it looks for the work chain with the same inputs below that one, whatever their places, and takes over
from its last job: bands or structures, parameters and checkpoint. Jobs that were done are taken from the database by
AiiDA's caching, which compares their inputs.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from aiida.common.links import LinkType
from aiida.manage.caching import enable_caching
from aiida.orm import CalcFunctionNode, CalcJobNode, Data, QueryBuilder, SinglefileData, WorkChainNode, load_node

from aiida_embarrier.calculations.checkpoints import fetch_checkpoint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiida.orm import ProcessNode

__all__ = ('RESUMES', 'is_resumed', 'last_checkpoint', 'last_job_before', 'root_of', 'taking_finished_jobs')

#: Extra of a process that was started to go on from another one: the UUID of that one.
RESUMES = 'embarrier_resumes'

#: The jobs of this package, as the configuration of AiiDA's caching names them.
OUR_JOBS = 'aiida.calculations:embarrier.*'


def root_of(node: ProcessNode) -> ProcessNode:
    """Return the process that nobody called, above a process or itself."""
    while node.caller is not None:
        node = node.caller
    return node


def is_resumed(node: ProcessNode) -> bool:
    """Return whether a process runs below one that `resume` started, or is that."""
    return RESUMES in root_of(node).base.extras.all


@contextmanager
def taking_finished_jobs(resumed: bool, jobs: str = OUR_JOBS) -> Iterator[None]:
    """Let jobs that are made inside be taken from the database where they were done, if so.

    :param jobs: which, as the configuration of AiiDA's caching names them.
    """
    if not resumed:
        yield
        return
    error: BaseException | None = None
    with enable_caching(identifier=jobs):
        try:
            yield
        except BaseException as caught:  # AiiDA would leave caching switched on
            error = caught
    if error is not None:
        raise error


def last_job_before(chain: WorkChainNode) -> CalcJobNode | None:
    """Return the last job of the earlier attempts at a work chain, None where there was none."""
    attempts = _processes_before(root_of(chain))
    inputs = _input_hashes(chain)
    for candidate in _similar_chains(chain):
        if root_of(candidate).uuid in attempts and _input_hashes(candidate) == inputs:
            jobs = [node for node in candidate.called if isinstance(node, CalcJobNode)]
            if jobs:
                return max(jobs, key=lambda node: node.pk)
    return None


def last_checkpoint(job: CalcJobNode) -> SinglefileData | None:
    """Return the checkpoint that a job left: its output, or what was fetched from its folder after it was killed."""
    if 'checkpoint' in job.outputs:
        return job.outputs.checkpoint
    if 'remote_folder' not in job.outputs:
        return None
    query = QueryBuilder()
    query.append(type(job.outputs.remote_folder), filters={'id': job.outputs.remote_folder.pk}, tag='folder')
    query.append(
        CalcFunctionNode,
        with_incoming='folder',
        filters={'attributes.process_label': fetch_checkpoint.__name__},
        tag='fetch',
    )
    query.append(SinglefileData, with_incoming='fetch', tag='checkpoint')
    query.order_by({'checkpoint': {'id': 'desc'}})
    return query.first(flat=True)


def _processes_before(root: ProcessNode) -> set[str]:
    """Return the UUIDs of the processes that a process goes on from, one after the other."""
    found: set[str] = set()
    while (before := root.base.extras.get(RESUMES, None)) is not None and before not in found:
        found.add(before)
        root = load_node(before)
    return found


def _input_hashes(node: WorkChainNode) -> dict[str, str | None]:
    """Return the hashes of the contents of a process's inputs by their labels."""
    links = node.base.links.get_incoming(link_type=LinkType.INPUT_WORK).all()
    return {link.link_label: link.node.base.caching.get_hash() for link in links}


def _similar_chains(chain: WorkChainNode) -> Iterator[WorkChainNode]:
    """Return older work chains of the same class with one input of the same content, the newest first."""
    # what it works on, in a namespace, differs between work chains; settings and codes are the same for thousands
    label, content = max(_input_hashes(chain).items(), key=lambda item: '__' in item[0])
    query = QueryBuilder()
    query.append(Data, filters={'extras._aiida_hash': content}, tag='input')
    query.append(
        WorkChainNode,
        with_incoming='input',
        edge_filters={'label': label},
        filters={'process_type': chain.process_type, 'id': {'<': chain.pk}},
        tag='chain',
    )
    query.order_by({'chain': {'id': 'desc'}}).distinct()
    return iter(query.all(flat=True))
