"""Where bands come from: the process somebody started, the hop, and which bands a later job of it replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.orm import CalcJobNode, ProcessNode, QueryBuilder, WorkChainNode, load_node

from aiida_embarrier.data.band import BandData
from aiida_embarrier.engines.resumption import RESUMES, root_of
from aiida_embarrier.queries.runs import run_of, task_name

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ('origins', 'replaced_bands')


def replaced_bands() -> set[int]:
    """Return the PKs of the bands in place of which a later job of the same process, or one that goes on, left another.

    A restart work chain runs jobs until its bands are done, and each leaves the last good one. What a process that
    somebody resumed had left, and not returned, is replaced too.
    """
    query = QueryBuilder()
    query.append(WorkChainNode, project='id', tag='chain')
    query.append(CalcJobNode, with_incoming='chain', project='id', tag='job')
    query.append(BandData, with_incoming='job', edge_project='label', project='id')
    newest: dict[tuple[int, str], tuple[int, int]] = {}
    replaced: set[int] = set()
    for chain, job, band, label in query.all():
        job_before, band_before = newest.get((chain, label), (0, 0))
        if job > job_before:
            newest[chain, label] = job, band
            replaced.add(band_before)
        else:
            replaced.add(band)
    return (replaced | _left_by_resumed()) - {0}


def _left_by_resumed() -> set[int]:
    query = QueryBuilder()
    query.append(ProcessNode, filters={'extras': {'has_key': RESUMES}}, project=f'extras.{RESUMES}')
    before = set(query.all(flat=True))
    if not before:
        return set()
    query = QueryBuilder()
    query.append(ProcessNode, filters={'uuid': {'in': before}}, project='*')
    left: set[int] = set()
    for process in query.all(flat=True):
        for job in process.called_descendants:
            if isinstance(job, CalcJobNode):
                left |= {link.node.pk for link in job.base.links.get_outgoing(node_class=BandData).all()}
        left -= {link.node.pk for link in process.base.links.get_outgoing(node_class=BandData).all()}
    return left


def origins(pks: Iterable[int]) -> list[dict[str, Any]]:
    """Return for each band where it comes from.

    :return: `process` and `label` of the process that somebody started, `hop`, the number of the hop, and `run`, what
        the band is among others of that process: of a study the setting, of a path that was split the segment. None
        where there is nothing of the kind.
    """
    return [_origin(load_node(pk)) for pk in pks]


def _origin(band: BandData) -> dict[str, Any]:
    maker = band.creator
    if maker is None:
        return {'process': None, 'label': band.label or None, 'hop': None, 'run': None}
    root = root_of(maker)
    label = next(
        (link.link_label for link in band.base.links.get_incoming().all() if link.link_label.startswith('bands__')), ''
    ).removeprefix('bands__')
    returned = [link for link in band.base.links.get_incoming().all() if link.node.pk == root.pk]
    named = returned[0].link_label.rpartition('__')[2] if returned else label
    run = None if root.pk == maker.pk else run_of(maker, root)
    if run is None and not named.startswith('hop_') and named not in ('', 'band'):
        run = task_name(None, named)
    hop = named.removeprefix('hop_') if named.startswith('hop_') else None
    return {
        'process': root.pk,
        'label': root.label or None,
        'hop': int(hop) if hop is not None and hop.isdigit() else _hop_of(maker),
        'run': run,
    }


def _hop_of(process: ProcessNode) -> int | None:
    """Return the number of the hop among the inputs of a process or of those above it."""
    node: ProcessNode | None = process
    while node is not None:
        inputs = node.inputs
        for place in (inputs, inputs.barrier if 'barrier' in inputs else {}):
            if 'hop' in place:
                number = place['hop'].get_dict().get('number')
                return number if isinstance(number, int) else None
        node = node.caller
    return None
