"""The one door between nodes and plain objects.

AiiDA's own conversion of pymatgen structures drops magnetic moments silently and refuses oxidation states. Here a
crystal is a `StructureData` whose kind names tell its atoms apart, and a `Dict` that says what each kind is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.orm import Dict, StructureData

from aiida_embarrier.bands.band import KIND_PROPERTIES, kinds_of
from aiida_embarrier.jobs.schemas import Geometry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pymatgen.core import Structure

__all__ = (
    'disordered_from_node',
    'geometry_from_node',
    'kinds_to_dict',
    'node_from_disordered',
    'node_from_geometry',
    'node_from_structure',
    'structure_from_node',
)

#: What a kind of a disordered crystal may be said to have: one oxidation state for each of its symbols.
OXIDATION_STATES = 'oxidation_states'


def node_from_structure(structure: Structure) -> tuple[StructureData, Dict]:
    """Return the nodes of an ordered pymatgen structure: the crystal, and what its kinds are.

    Sites of one element with different `magmom`, `oxidation_state` or `hubbard_u` become different kinds. Positions are
    stored as they stand, not wrapped into the cell.
    """
    kinds, indices = kinds_of(structure)
    node = StructureData(cell=structure.lattice.matrix.tolist())
    for index, position in zip(indices, structure.cart_coords, strict=True):
        kind = kinds[index]
        node.append_atom(position=position.tolist(), symbols=kind.element, name=kind.name)
    return node, Dict(kinds_to_dict(kinds))


def kinds_to_dict(kinds: Any) -> dict[str, dict[str, float]]:
    """Return the properties of each kind by its name; what is not known is left out."""
    return {
        kind.name: {name: value for name, value in kind.properties().items() if value is not None} for kind in kinds
    }


def structure_from_node(node: StructureData, kinds: Dict | None = None) -> Structure:
    """Return the pymatgen structure of a crystal node, with the properties of its kinds as site properties.

    :param kinds: properties by the name of the kind; None where there are none.
    :raises ValueError: for disordered crystals, and for kinds that name a property nobody knows.
    """
    table = {} if kinds is None else kinds.get_dict()
    known = {name: key for key, name in KIND_PROPERTIES.items()}
    for name, entries in table.items():
        unknown = set(entries) - set(known)
        if unknown:
            raise ValueError(f'kind {name!r} has unknown properties {sorted(unknown)}: choose from {sorted(known)}')
    elements = {}
    for kind in node.kinds:
        if len(kind.symbols) != 1 or kind.has_vacancies:
            raise ValueError(f'kind {kind.name!r} is disordered: order the crystal first')
        elements[kind.name] = kind.symbols[0]
    names = [site.kind_name for site in node.sites]
    return _structure(node, elements, {'kind': names, **_properties(node, table, known)})


def _structure(node: StructureData, held: Mapping[str, Any], properties: dict[str, list[Any]]) -> Structure:
    """Return the pymatgen structure of a node, given what each kind holds and the properties of its sites."""
    from pymatgen.core import Structure

    return Structure(
        node.cell,
        [held[site.kind_name] for site in node.sites],
        [site.position for site in node.sites],
        coords_are_cartesian=True,
        site_properties=properties,
    )


def _properties(
    node: StructureData, table: Mapping[str, Mapping[str, Any]], known: Mapping[str, str]
) -> dict[str, list[Any]]:
    """Return the site properties that the kinds of a node say.

    :param table: properties by the name of the kind.
    :param known: names of site properties by those of the properties of kinds.
    """
    properties = {}
    for name, key in known.items():
        values = [table.get(site.kind_name, {}).get(name) for site in node.sites]
        if any(value is not None for value in values):
            # A kind that says nothing of its moment beside others that do has none: an ion put in, for instance.
            properties[key] = [0.0 if value is None else value for value in values] if key == 'magmom' else values
    return properties


def geometry_from_node(node: StructureData, kinds: Dict | None = None) -> Geometry:
    """Return a crystal node as it stands in a worker's job file."""
    structure = structure_from_node(node, kinds)
    moments = structure.site_properties.get('magmom')
    return Geometry(
        lattice=structure.lattice.matrix.tolist(),
        elements=[site.specie.symbol for site in structure],
        positions=structure.cart_coords.tolist(),
        magnetic_moments=None if moments is None else [float(moment) for moment in moments],
    )


def node_from_geometry(geometry: Geometry, like: StructureData) -> StructureData:
    """Return the crystal node of a worker's result, with the kinds of the crystal that went into the job."""
    node = StructureData(cell=geometry.lattice)
    for kind in like.kinds:
        node.append_kind(kind)
    for site, position in zip(like.sites, geometry.positions, strict=True):
        node.append_site(type(site)(kind_name=site.kind_name, position=position))
    return node


def node_from_disordered(structure: Structure) -> tuple[StructureData, Dict]:
    """Return the nodes of a crystal with partly occupied or shared sites: the crystal, and what its kinds are.

    A kind has the symbols and occupancies of its sites; what is missing to 1 is empty. Oxidation states stand in the
    `Dict` under the name of the kind as a list `oxidation_states`, one for each symbol in their order in the kind,
    beside `magnetic_moment` and `hubbard_u` of the site.
    """
    node = StructureData(cell=structure.lattice.matrix.tolist())
    known: dict[tuple[Any, ...], str] = {}
    table: dict[str, dict[str, Any]] = {}
    others = {key: name for key, name in KIND_PROPERTIES.items() if name != 'oxidation_state'}
    for site in structure:
        species = list(site.species)
        states = [getattr(name, 'oxi_state', None) for name in species]
        if all(state is None for state in states) and site.properties.get('oxidation_state') is not None:
            states = [site.properties['oxidation_state']] * len(species)
        given = [float(state) for state in states if state is not None]
        entries: dict[str, Any] = {OXIDATION_STATES: given} if len(given) == len(species) else {}
        entries |= {
            name: float(site.properties[key]) for key, name in others.items() if site.properties.get(key) is not None
        }
        symbols, weights = [name.symbol for name in species], [float(value) for value in site.species.values()]
        key = tuple(symbols), tuple(weights), str(entries)
        if key not in known:
            stem = ''.join(symbols)
            number = sum(name.rstrip('0123456789') == stem for name in known.values())
            known[key] = f'{stem}{number or ""}'
            table[known[key]] = entries
        node.append_atom(position=site.coords.tolist(), symbols=symbols, weights=weights, name=known[key])
    return node, Dict(table)


def disordered_from_node(node: StructureData, kinds: Dict | None = None) -> Structure:
    """Return the average crystal of a node, its oxidation states on the species.

    :param kinds: properties by the name of the kind, see :func:`node_from_disordered`; of a kind with one symbol an
        `oxidation_state` will do. None where there are none.
    :raises ValueError: for kinds that name a property nobody knows, and lists of oxidation states that do not fit.
    """
    from pymatgen.core import Composition, Element, Species

    table = {} if kinds is None else kinds.get_dict()
    known = [*KIND_PROPERTIES.values(), OXIDATION_STATES]
    held = {}
    for kind in node.kinds:
        entries = table.get(kind.name, {})
        unknown = set(entries) - set(known)
        if unknown:
            raise ValueError(f'kind {kind.name!r} has unknown properties {sorted(unknown)}: choose from {known}')
        states = entries.get(OXIDATION_STATES)
        if states is None and 'oxidation_state' in entries:
            states = [entries['oxidation_state']] * len(kind.symbols)
        if states is not None and len(states) != len(kind.symbols):
            raise ValueError(
                f'kind {kind.name!r} has {len(kind.symbols)} symbols ({", ".join(kind.symbols)}) and {len(states)} '
                'oxidation states: give one for each, in their order'
            )
        occupancies: dict[Any, float] = {}
        for number, (symbol, weight) in enumerate(zip(kind.symbols, kind.weights, strict=True)):
            if not Element.is_valid_symbol(symbol):
                raise ValueError(f'kind {kind.name!r} holds {symbol!r}, which is no element')
            one = Element(symbol) if states is None else Species(symbol, states[number])
            occupancies[one] = occupancies.get(one, 0.0) + weight
        held[kind.name] = Composition(occupancies)
    others = {name: key for key, name in KIND_PROPERTIES.items() if name != 'oxidation_state'}
    return _structure(node, held, _properties(node, table, others))
