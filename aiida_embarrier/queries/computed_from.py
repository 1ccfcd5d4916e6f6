"""Everything computed from a crystal, and the crystals of the database that are the one in a file."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiida.common.hashing import make_hash
from aiida.common.links import LinkType
from aiida.orm import CifData, Data, ProcessNode, QueryBuilder, SinglefileData, StructureData, load_node

from aiida_embarrier.queries.bands import find_bands
from aiida_embarrier.queries.descriptions import composition_of, describe_nodes
from aiida_embarrier.queries.links import INPUTS, ancestries, links_from, links_into
from aiida_embarrier.queries.origins import origins

if TYPE_CHECKING:
    from collections.abc import Iterable
    from os import PathLike

    import pandas as pd
    from pymatgen.core import Structure

__all__ = ('CRYSTAL_COLUMNS', 'PROCESS_COLUMNS', 'bands_from', 'crystal_of', 'find_crystals', 'processes_from')

#: Columns of the table of crystals, and what they hold.
CRYSTAL_COLUMNS = {
    'pk': 'PK of the node',
    'uuid': 'UUID of the node',
    'name': 'what it is: formula, or name of the file',
    'match': 'node: asked for; content: the same as in the file; matcher: the same crystal',
    'ctime': 'when it was stored',
}

#: Columns of the table of processes, and what they hold.
PROCESS_COLUMNS = {
    'pk': 'PK of a process that somebody started',
    'uuid': 'UUID of the process',
    'process': 'process label',
    'label': 'its label',
    'state': 'its state',
    'exit_status': 'its exit status, None while it runs and where it was killed or excepted',
    'n_steps': 'processes below it, itself included, that used the crystal or what was made of it',
    'ctime': 'when it was started',
}

#: Tolerances of pymatgen's StructureMatcher for crystals of the same volume: relative lengths, sites, degrees.
LENGTHS, SITES, ANGLES = 0.05, 0.1, 2.0


def find_crystals(path: str | PathLike[str]) -> pd.DataFrame:
    """Return the crystals in the database that are the one in a file.

    That is any node of the same content: a crystal with the same cell and sites, or a file of the same bytes; and, of
    the crystals that no process made, those that pymatgen's StructureMatcher takes for the same: lengths within 5 %,
    sites within 0.1 of the mean distance, angles within 2 degrees, at the same volume and whatever the choice of the
    cell. Magnetic moments and oxidation states do not count.

    :return: one row per node with :data:`CRYSTAL_COLUMNS`, the oldest first; it may be empty.
    :raises FileNotFoundError: where there is no such file.
    :raises ValueError: for a file that holds no crystal.
    """
    from aiida_embarrier.data.convert import node_from_structure
    from aiida_embarrier.structures.reading import read_structure

    structure = read_structure(path)
    content = Path(path).read_bytes()
    as_crystal = _hash(node_from_structure(structure)[0])
    as_file = _hash(SinglefileData.from_bytes(content, filename=Path(path).name))
    found = dict.fromkeys(
        _with({'extras._aiida_hash': {'in': [as_crystal, as_file]}}, StructureData, SinglefileData), 'content'
    )
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    found |= dict.fromkeys(_with({'attributes.md5': md5}, CifData), 'content')
    for pk in _given_crystals(structure):
        if pk not in found and _agree(structure, load_node(pk)):
            found[pk] = 'matcher'
    return _crystals(found)


def _hash(node: Data) -> str:
    """Return the hash that a node of this content has in the database."""
    text: str = make_hash(node.base.caching.get_objects_to_hash())
    return text


def _with(filters: dict[str, Any], *classes: type[Data]) -> list[int]:
    """Return the PKs of the nodes of these classes that meet conditions."""
    pks: list[int] = QueryBuilder().append(list(classes), filters=filters, project='id').all(flat=True)
    return pks


def crystal_of(pk: int) -> pd.DataFrame:
    """Return the table of a node that is asked for, with :data:`CRYSTAL_COLUMNS`."""
    return _crystals({pk: 'node'})


def bands_from(pks: Iterable[int], replaced: bool = False) -> pd.DataFrame:
    """Return the bands with energies computed from data, in however many steps.

    :param pks: PKs of crystals, or of any other data.
    :param replaced: also bands in place of which a later job of the same process left another.
    :return: as :func:`~aiida_embarrier.queries.bands.find_bands` and :func:`~aiida_embarrier.queries.origins.origins`.
    """
    import pandas as pd

    bands = find_bands(pks=_descendants(pks)[0], replaced=replaced)
    where_from = pd.DataFrame(origins(bands['pk']), columns=['process', 'label', 'hop', 'run'])
    return pd.concat([bands, where_from.astype({'process': 'Int64', 'hop': 'Int64'})], axis='columns')


def processes_from(pks: Iterable[int]) -> pd.DataFrame:
    """Return the processes that somebody started and that used data, or what was made of it, the oldest first.

    :param pks: PKs of crystals, or of any other data.
    :return: one row per process with :data:`PROCESS_COLUMNS`, also for those that failed before they had a band.
    """
    import pandas as pd

    steps = _descendants(pks)[1]
    used: dict[int, int] = {}
    for pk, calls in ancestries(steps).items():
        root = calls[-1].caller if calls else pk
        used[root] = used.get(root, 0) + 1
    rows: list[Any] = []
    if used:
        attributes = ('process_label', 'process_state', 'exit_status')
        query = QueryBuilder()
        query.append(
            ProcessNode,
            filters={'id': {'in': sorted(used)}},
            project=['id', 'uuid', 'label', 'ctime', *(f'attributes.{name}' for name in attributes)],
        )
        query.order_by({ProcessNode: [{'ctime': 'asc'}, {'id': 'asc'}]})
        rows = [
            (pk, uuid, process, label or None, state, exit_status, used[pk], ctime)
            for pk, uuid, label, ctime, process, state, exit_status in query.all()
        ]
    return pd.DataFrame(rows, columns=list(PROCESS_COLUMNS)).astype({'exit_status': 'Int64'})


def _descendants(pks: Iterable[int]) -> tuple[set[int], set[int]]:
    """Return what was made of data, and the processes that used it or that; work chains that were given it, too."""
    data = set(pks)
    processes: set[int] = set()
    generation = set(data)
    while generation:
        used = links_from(generation, INPUTS)
        new = {link.target for link in used} - processes
        processes |= new
        generation = {link.target for link in links_from(new, (LinkType.CREATE,))} - data
        data |= generation
    return data, processes


def _given_crystals(structure: Structure) -> list[int]:
    """Return the PKs of the crystals that no process made and that have the composition of a structure."""
    everything = QueryBuilder().append(StructureData, project='id').all(flat=True)
    given = set(everything) - {link.target for link in links_into(everything, (LinkType.CREATE,))}
    if not given:
        return []
    names = ('kinds', 'sites')
    query = QueryBuilder().append(
        StructureData, filters={'id': {'in': sorted(given)}}, project=['id', *(f'attributes.{name}' for name in names)]
    )
    wanted = structure.composition.element_composition.fractional_composition
    found = []
    for pk, kinds, sites in query.all():
        if composition_of(kinds, sites).fractional_composition.almost_equals(wanted, rtol=1e-3, atol=1e-4):
            found.append(pk)
    return sorted(found)


def _agree(structure: Structure, node: Data) -> bool:
    """Return whether a crystal node is the same crystal as a structure."""
    from pymatgen.analysis.structure_matcher import ElementComparator, StructureMatcher

    matcher = StructureMatcher(ltol=LENGTHS, stol=SITES, angle_tol=ANGLES, scale=False, comparator=ElementComparator())
    plain = structure.copy()
    plain.remove_oxidation_states()
    return bool(matcher.fit(plain, node.get_pymatgen_structure()))


def _crystals(found: dict[int, str]) -> pd.DataFrame:
    import pandas as pd

    entries = sorted(describe_nodes(found).values(), key=lambda entry: (entry.ctime, entry.pk))
    rows = [(entry.pk, entry.uuid, entry.text, found[entry.pk], entry.ctime) for entry in entries]
    return pd.DataFrame(rows, columns=list(CRYSTAL_COLUMNS))
