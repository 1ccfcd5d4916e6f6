"""What nodes are, in a few words, read from their attributes without loading them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiida.orm import Node, QueryBuilder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from pymatgen.core import Composition

__all__ = ('NodeDescription', 'composition_of', 'describe_nodes')

#: Types of data that are settings where no process made them; all others were put in as what is computed.
SETTINGS = (
    *(f'data.core.{name}.' for name in ('int', 'float', 'str', 'bool', 'list', 'dict', 'enum', 'code')),
    'data.core.array.kpoints.',
    'data.pseudo.',
    'data.vasp.potcar',
)
#: A Dict with one of these keys is not a setting: it comes from the literature.
CITATIONS = ('citation', 'source', 'doi', 'bibtex')
#: Characters of a value that are shown.
WIDTH = 80


@dataclass(frozen=True)
class NodeDescription:
    """What a node says of itself.

    :param type_name: name of its class.
    """

    pk: int
    uuid: str
    type_name: str
    node_type: str
    label: str
    ctime: datetime
    attributes: Mapping[str, Any]

    @property
    def is_process(self) -> bool:
        """Whether the node is a process."""
        return self.node_type.startswith('process.')

    @property
    def is_literature(self) -> bool:
        """Whether the node holds what a publication says."""
        return self.type_name == 'Dict' and any(self.attributes.get(key) for key in CITATIONS)

    @property
    def is_setting(self) -> bool:
        """Whether the node, if no process made it, says how something is computed and not what."""
        return self.node_type.startswith(SETTINGS) and not self.is_literature

    @property
    def text(self) -> str:
        """What the node is: a formula, a file name, a citation, the value of a setting, the label of a process."""
        attributes = self.attributes
        if self.is_process:
            return str(attributes.get('process_label') or self.type_name)
        if self.node_type.startswith('data.core.code.'):
            return self.label
        if self.type_name == 'StructureData':
            return f'crystal {composition_of(attributes["kinds"], attributes["sites"]).reduced_formula}'
        if self.type_name == 'BandData':
            return f'band of {attributes.get("mobile_ion")} in {attributes.get("host") or attributes.get("formula")}'
        if self.is_literature:
            cited = next(str(attributes[key]) for key in CITATIONS if attributes.get(key))
            name = attributes.get('name')
            return _short(cited if name is None else f'{name}, {cited}')
        if self.type_name == 'Dict':
            return _short(json.dumps(attributes, ensure_ascii=False, default=str))
        for key in ('value', 'list', 'filename', 'title'):
            if attributes.get(key) is not None:
                value = attributes[key]
                return _short(value if isinstance(value, str) else json.dumps(value, default=str))
        return self.label or self.type_name


def describe_nodes(pks: Iterable[int]) -> dict[int, NodeDescription]:
    """Return what nodes are by their PKs, in one query."""
    wanted = sorted(set(pks))
    if not wanted:
        return {}
    query = QueryBuilder().append(
        Node, filters={'id': {'in': wanted}}, project=['id', 'uuid', 'node_type', 'label', 'ctime', 'attributes']
    )
    return {
        pk: NodeDescription(pk, uuid, node_type.split('.')[-2], node_type, label, ctime, attributes)
        for pk, uuid, node_type, label, ctime, attributes in query.all()
    }


def composition_of(kinds: Iterable[Mapping[str, Any]], sites: Iterable[Mapping[str, Any]]) -> Composition:
    """Return the composition of a crystal from the attributes `kinds` and `sites` of its node, occupancies included."""
    from pymatgen.core import Composition

    known = {kind['name']: kind for kind in kinds}
    amounts: dict[str, float] = {}
    for site in sites:
        kind = known[site['kind_name']]
        for symbol, weight in zip(kind['symbols'], kind['weights'], strict=True):
            amounts[symbol] = amounts.get(symbol, 0.0) + weight
    return Composition(amounts)


def _short(text: str) -> str:
    """Return text in one line, and not too long."""
    line = ' '.join(text.split())
    return line if len(line) <= WIDTH else f'{line[: WIDTH - 1]}…'
