"""``aiida-embarrier dataset assemble``: a dataset of bands that were computed."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.dataset.results import echo_report, node_report
from aiida_embarrier.cli.params import FORMAT, band_of, find_node, with_profile

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ('command',)

EXAMPLES = """\b
Examples:
  aiida-embarrier dataset assemble 293 310 342 --title 'my barriers'
  aiida-embarrier dataset assemble --group screening --definition rate_limiting"""


@click.command('assemble', epilog=EXAMPLES)
@click.argument('nodes', nargs=-1, metavar='NODE...')
@click.option('-G', '--group', 'groups', multiple=True, metavar='LABEL', help='All nodes of a group; may be repeated.')
@click.option(
    '--definition',
    type=click.Choice(['forward', 'reverse', 'rate_limiting', 'span']),
    default='forward',
    show_default=True,
    help='Which barrier the rows have.',
)
@click.option('--include-unconverged', is_flag=True, help='Also bands that did not converge, and imported ones.')
@click.option('--repair', 'repairs', multiple=True, metavar='DEFECT', help='Repair rows with this defect.')
@click.option('--title', help='What the dataset is, in one line.')
@click.option('--source', metavar='TEXT', help='Citation, DOI or address.')
@click.option('--code', metavar='LABEL', help='Code of the worker; the one of this machine otherwise.')
@FORMAT
@with_profile
def command(
    nodes: tuple[str, ...],
    groups: tuple[str, ...],
    repairs: tuple[str, ...],
    code: str | None,
    output_format: str,
    **settings: Any,
) -> None:
    """Make a dataset of bands: NODEs are bands, processes with a band, or entries with a literature value beside it.

    Links lead from the dataset to every band. Bands that did not converge are left out, and named, unless they are
    asked for.
    """
    from aiida.orm import Dict

    from aiida_embarrier.cli.dataset.running import run_worker

    found = [*map(find_node, nodes), *_of_groups(groups)]
    if not found:
        raise click.UsageError('nothing to make a dataset of: name bands or processes, or a group with --group')
    inputs, names = _inputs(found)
    known = {key: value for key, value in settings.items() if value is not None}
    parameters = {**known, 'names': names, **({'repairs': list(repairs)} if repairs else {})}
    label = settings['title'] or 'dataset of bands'
    process = run_worker('embarrier.dataset.assemble', code, label=label, **inputs, parameters=Dict(parameters))
    results = process.outputs.results.get_dict()
    left = [{'name': names.get(key, key), 'reason': why} for key, why in results.get('left_out', {}).items()]
    report = {**node_report(process, process.outputs.dataset), 'repairs': results.get('repairs'), 'left_out': left}
    echo_report(report, output_format)


def _of_groups(labels: Iterable[str]) -> list[Any]:
    from aiida.common.exceptions import NotExistent
    from aiida.orm import load_group

    found = []
    for label in labels:
        try:
            found += list(load_group(label).nodes)
        except NotExistent as error:
            raise click.ClickException(f'there is no group {label!r} in this profile') from error
    return found


def _inputs(nodes: list[Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the bands and entries of nodes as inputs, each band once, and the names of their rows."""
    from aiida.orm import Dict, ProcessNode, load_node

    bands_of: dict[str, tuple[Any, Any]] = {}  # by UUID, with the node that named it
    entry_of: dict[str, Any] = {}
    for node in nodes:
        entry = node.outputs.entry if isinstance(node, ProcessNode) and 'entry' in node.outputs else node
        if isinstance(entry, Dict):
            if 'band' not in entry.get('nodes', {}):
                raise click.ClickException(f'node {entry.pk} is no entry of `embarrier.entry`: it names no band')
            band = load_node(entry['nodes']['band'])
            entry_of.setdefault(band.uuid, entry)
        else:
            band = band_of(node)
        bands_of.setdefault(band.uuid, (node, band))
    bands: dict[str, Any] = {}
    entries: dict[str, Any] = {}
    wanted: dict[str, str] = {}
    for uuid, (node, band) in bands_of.items():
        label = f'band_{len(bands):04d}'
        bands[label] = band
        name = None
        if uuid in entry_of:  # also where the band was named before its entry
            entries[label] = entry_of[uuid]
            name = entries[label].get('name', None)
        wanted[label] = name or _name_of(node, band)
    inputs = {'bands': bands, **({'entries': entries} if entries else {})}
    return inputs, _distinct(wanted)


def _name_of(node: Any, band: Any) -> str:
    """Return a name for the row of a band: a label that somebody gave, or its host and ion."""
    attributes = band.base.attributes
    host = attributes.get('host', None) or attributes.get('formula', None)
    return node.label or band.label or f'{host}_{attributes.get("mobile_ion", None)}'


def _distinct(names: dict[str, str]) -> dict[str, str]:
    """Return names with a number behind where several rows would have the same one."""
    counts, numbers = Counter(names.values()), Counter[str]()
    taken = {name for name, count in counts.items() if count == 1}
    found = {}
    for label, name in names.items():
        new = name
        while counts[name] > 1 and (new == name or new in taken):
            numbers[name] += 1
            new = f'{name}_{numbers[name]}'
        taken.add(new)
        found[label] = new
    return found
