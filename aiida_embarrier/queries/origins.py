"""Where bands come from: the process somebody started, the hop, and which bands a later job of it replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.common.links import LinkType
from aiida.orm import CalcJobNode, Dict, Node, ProcessNode, QueryBuilder, WorkChainNode, load_node

from aiida_embarrier.data.band import BandData
from aiida_embarrier.engines.resumption import RESUMES
from aiida_embarrier.queries.links import ancestries, links_into
from aiida_embarrier.queries.runs import names_of_runs, run_label, task_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from aiida_embarrier.queries.links import Link

__all__ = ('origins', 'replaced_bands')

#: Fewer bands than this are looked up one by one, of more all work chains are.
FEW = 2000
#: How the bands of a job are labelled.
BANDS = 'bands__'
#: Where the inputs of a process name a hop; the first one counts.
HOPS = ('hop', 'barrier__hop')


def replaced_bands(among: Sequence[int] | None = None) -> set[int]:
    """Return the PKs of the bands in place of which a later job of the same process, or one that goes on, left another.

    A restart work chain runs jobs until its bands are done, and each leaves the last good one. What a process that
    somebody resumed had left, and not returned, is replaced too.

    :param among: PKs of the bands that are asked for, which is faster where they are few; None for all.
    """
    chains: dict[str, Any] = {}
    if among is not None and len(among) < FEW:
        if not among:
            return set()
        query = QueryBuilder()
        query.append(WorkChainNode, project='id', tag='chain')
        query.append(CalcJobNode, with_incoming='chain', tag='job')
        query.append(BandData, with_incoming='job', filters={'id': {'in': sorted(among)}})
        chains = {'id': {'in': sorted(set(query.all(flat=True)) or {0})}}
    query = QueryBuilder()
    query.append(WorkChainNode, filters=chains, project='id', tag='chain')
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

    A handful of queries, whatever the number of bands.

    :return: `process` and `label` of the process that somebody started, `hop`, the number of the hop, and `run`, what
        the band is among others of that process: of a study the setting, of a path that was split the segment. None
        where there is nothing of the kind.
    """
    bands = list(pks)
    created = {link.target: link for link in links_into(bands, (LinkType.CREATE,))}
    makers = {band: link.source for band, link in created.items()}
    above = ancestries(makers.values())
    roots = {maker: calls[-1].caller if calls else maker for maker, calls in above.items()}
    names_of_bands = _names_of(bands, created, roots)
    labels = _labels({*roots.values(), *(set(bands) - set(makers))})
    hops = _hops_of({*above, *(call.caller for calls in above.values() for call in calls)})
    names: dict[int, dict[str, str]] = {}

    def run_of_maker(maker: int) -> str | None:
        called = run_label(above[maker][-1].label) if above[maker] else None
        if called is None:
            return None
        root = roots[maker]
        if root not in names:
            names[root] = names_of_runs(load_node(root))
        return names[root].get(called, called)

    def origin(band: int) -> dict[str, Any]:
        maker = makers.get(band)
        if maker is None:
            return {'process': None, 'label': labels[band], 'hop': None, 'run': None}
        root = roots[maker]
        named = names_of_bands[band]
        run = run_of_maker(maker)
        if run is None and not named.startswith('hop_') and named not in ('', 'band'):
            run = task_name(None, named)
        hop = named.removeprefix('hop_') if named.startswith('hop_') else None
        if hop is not None and hop.isdigit():
            number: int | None = int(hop)
        else:
            places = (maker, *(call.caller for call in above[maker]))
            number = next((hops[place] for place in places if place in hops), None)
        return {'process': root, 'label': labels[root], 'hop': number, 'run': run}

    return [origin(band) for band in bands]


def _names_of(bands: Iterable[int], created: Mapping[int, Link], roots: Mapping[int, int]) -> dict[int, str]:
    """Return what the process that somebody started calls bands, else what a job or work chain below it does.

    :param created: links that made the bands.
    :param roots: the processes that somebody started, by the makers of the bands.
    """
    returned = links_into(bands, (LinkType.RETURN,), sources=roots.values())
    at_root = {(link.source, link.target): link.label for link in returned}
    found, others = {}, set()
    for band, link in created.items():
        root = roots[link.source]
        label = link.label if root == link.source else at_root.get((root, band))
        if label is not None:
            found[band] = label.rpartition('__')[2]
        elif link.label.startswith(BANDS):
            found[band] = link.label.removeprefix(BANDS)
        else:
            others.add(band)
    for link in links_into(others, (LinkType.RETURN,)):
        if link.label.startswith(BANDS):
            found.setdefault(link.target, link.label.removeprefix(BANDS))
    return {band: found.get(band, '') for band in created}


def _labels(pks: Iterable[int]) -> dict[int, str | None]:
    """Return the labels of nodes by their PKs, None where they have none."""
    wanted = sorted(pks)
    if not wanted:
        return {}
    query = QueryBuilder().append(Node, filters={'id': {'in': wanted}}, project=['id', 'label'])
    return {pk: label or None for pk, label in query.all()}


def _hops_of(processes: Iterable[int]) -> dict[int, int | None]:
    """Return the numbers of the hops among the inputs of processes, by their PKs; None for a hop without a number."""
    wanted = sorted(processes)
    if not wanted:
        return {}
    query = QueryBuilder()
    query.append(Dict, tag='hop', project='attributes.number')
    query.append(
        ProcessNode,
        with_incoming='hop',
        edge_filters={'label': {'in': list(HOPS)}},
        edge_project='label',
        filters={'id': {'in': wanted}},
        project='id',
    )
    found: dict[int, int | None] = {}
    for number, process, _ in sorted(query.all(), key=lambda row: HOPS.index(row[2])):
        found.setdefault(process, number if isinstance(number, int) else None)
    return found
