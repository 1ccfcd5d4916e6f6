"""What a comparison of functionals takes: its systems, the settings of its cells, and the plan of all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel, ConfigDict, field_validator, model_validator

from aiida_embarrier.engines.base import get_engine
from aiida_embarrier.engines.functionals import load_functionals
from aiida_embarrier.engines.protocols import closest
from aiida_embarrier.workflows.barrier_inputs import barrier_protocol
from aiida_embarrier.workflows.studies import changes, flat, label_of, merge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiida.engine import ProcessBuilder
    from aiida.orm import Str
    from pymatgen.core import Structure

    from aiida_embarrier.datasets.functional_cost import SystemSize

__all__ = (
    'METHOD',
    'ComparedSystem',
    'Experiment',
    'Moments',
    'Section',
    'check_study',
    'estimate_of',
    'factorised',
    'inputs_of_builders',
    'inputs_of_cell',
    'make_study',
    'settings_of',
    'with_moments',
)

#: Inputs of a functional: those of the relax chain, and of the NEB chain without and with climbing image.
METHOD = ('relax', 'neb', 'climbing')
#: Inputs of the barrier work chain that a cell gets from elsewhere.
ELSEWHERE = ('engine', 'engine_inputs', 'charge', 'band', 'relaxed_host', 'metadata')
#: Start moments: by element (a number, or one for each site of the element), or one for each site.
Moments = dict[str, float | list[float]] | list[float]


class Section(BaseModel):
    """A part of the file of a comparison: a misspelt key is an error that names the closest one."""

    model_config = ConfigDict(extra='forbid', frozen=True)

    @model_validator(mode='before')
    @classmethod
    def _known_keys(cls, data: Any) -> Any:
        if isinstance(data, dict):
            for key in data:
                if key not in cls.model_fields:
                    raise ValueError(f'unknown key {key!r}{closest(key, cls.model_fields)}')
        return data


class Experiment(Section):
    """A measured barrier.

    :param barrier: in eV, a number or a range of two.
    :param source: where it is from.
    """

    barrier: float | tuple[float, float]
    source: str = ''

    @field_validator('barrier')
    @classmethod
    def _in_order(cls, value: float | tuple[float, float]) -> float | tuple[float, float]:
        low, high = value if isinstance(value, tuple) else (value, value)
        if not 0 < low <= high:
            raise ValueError(f'a measured barrier is positive, and a range begins with its lower end, got {value}')
        return value

    @property
    def ends(self) -> tuple[float, float]:
        """The lower and the upper end of the range, the same for a number."""
        return self.barrier if isinstance(self.barrier, tuple) else (self.barrier, self.barrier)


def with_moments(structure: Structure, moments: Moments) -> Structure:
    """Return a structure whose sites have start moments.

    :param moments: by element, a number or one for each site of the element in their order; or one for each site.
        Elements that are not named have none.
    :raises ValueError: for elements that the structure does not have, and for numbers that do not fit the sites.
    """
    symbols = [site.specie.symbol for site in structure]
    if isinstance(moments, list):
        if len(moments) != len(symbols):
            raise ValueError(f'{len(symbols)} sites need as many moments, got {len(moments)}')
        values = list(moments)
    else:
        values = [0.0] * len(symbols)
        for element, given in moments.items():
            sites = [index for index, symbol in enumerate(symbols) if symbol == element]
            if not sites:
                raise ValueError(f'there is no {element!r} to give a moment{closest(element, dict.fromkeys(symbols))}')
            each = given if isinstance(given, list) else [given] * len(sites)
            if len(each) != len(sites):
                raise ValueError(f'{len(sites)} sites of {element} need as many moments, got {len(each)}')
            for index, value in zip(sites, each, strict=True):
                values[index] = value
    return structure.copy(site_properties={'magmom': [float(value) for value in values]})


@dataclass(frozen=True, eq=False)
class ComparedSystem:
    """A system of a comparison: a crystal and a hop, or two endpoints.

    :param name: for people; it names the rows of tables.
    :param structure: the crystal, a pymatgen structure whose moments, oxidation states and U are site properties.
    :param hop: which hop, as the input `hop` of the barrier work chain says it.
    :param initial: initial endpoint, instead of a crystal.
    :param final: final endpoint.
    :param mechanism: how many ions may move between two endpoints.
    :param alignment: how two endpoints are aligned.
    :param charges: charges of its cells in units of e; None for those of the comparison.
    :param experiment: what was measured.
    :param overrides: values that replace those of the protocol.
    """

    name: str
    structure: Structure | None = None
    hop: Mapping[str, Any] | None = None
    initial: Structure | None = None
    final: Structure | None = None
    mechanism: str | None = None
    alignment: Mapping[str, Any] | None = None
    charges: tuple[float, ...] | None = None
    experiment: Experiment | None = None
    overrides: Mapping[str, Any] | None = None

    def size(self, settings: Mapping[str, Any]) -> SystemSize:
        """Return what decides how much its cells take.

        :param settings: the resolved protocol of the barrier.
        :raises ValueError: for hops and supercells that are none.
        """
        from aiida_embarrier.datasets.functional_cost import SystemSize, valence_electrons

        def symbols(structure: Structure) -> list[str]:
            return [site.specie.symbol for site in structure]

        common = {'n_images': settings['n_images'], 'relaxes_endpoints': settings['relax_endpoints']}
        if self.structure is None:
            end = symbols(cast('Structure', self.initial))
            return SystemSize(n_atoms=len(end), n_electrons=valence_electrons(end), **common)
        end = symbols(self._endpoint(settings))
        host = symbols(self.structure)
        relaxed = settings['relax_host'] != 'none'
        return SystemSize(
            n_atoms=len(end),
            n_electrons=valence_electrons(end),
            host_atoms=len(host) if relaxed else None,
            host_electrons=valence_electrons(host) if relaxed else 0,
            **common,
        )

    def _endpoint(self, settings: Mapping[str, Any]) -> Structure:
        from aiida_embarrier.structures.endpoints import make_endpoints
        from aiida_embarrier.structures.hops import Hop, find_hops, select_hop

        structure, hop = cast('Structure', self.structure), dict(self.hop or {})
        if 'initial' in hop:
            found = Hop.from_dict(hop)
        else:
            ion, number = hop.pop('ion'), hop.pop('number')
            found = select_hop(find_hops(structure, ion, **hop), number)
        return make_endpoints(
            structure, found, supercell=settings['supercell'], min_distance=settings['min_image_distance']
        ).initial

    def inputs(self) -> dict[str, Any]:
        """Return what of it are keyword arguments of the barrier work chain's `get_builder_from_protocol`, as nodes."""
        from aiida_embarrier.data.convert import node_from_structure

        if self.structure is not None:
            crystal, kinds = node_from_structure(self.structure)
            return {'structure': crystal, 'kinds': kinds, 'hop': self.hop}
        initial, kinds = node_from_structure(cast('Structure', self.initial))
        final, _ = node_from_structure(cast('Structure', self.final))
        given = {'initial': initial, 'final': final, 'kinds': kinds}
        return {**given, 'mechanism': self.mechanism, 'alignment': self.alignment}


# ---------------------------------------------------------------- settings and cells


def merged(*mappings: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested overrides in one; later ones win."""
    result: dict[str, Any] = {}
    for mapping in mappings:
        for key, value in mapping.items():
            known = result.get(key)
            result[key] = merged(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return result


def settings_of(
    engine: str,
    functional: str,
    climbing: bool | None,
    *overrides: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the overrides of the barrier's protocol for a cell.

    :param climbing: None where it does not matter.
    :param overrides: those of the comparison, of the functional and of the system; later ones win.
    :raises ValueError: for functionals that the engine does not have.
    """
    found = get_engine(engine)
    if found.functional_table is None:
        raise ValueError(
            f'the engine {engine!r} has no density functionals to compare; `aiida-embarrier launch potentials` '
            'compares interatomic potentials and engines'
        )
    resolved = load_functionals(found.functional_table).resolve(functional)
    changes = merged({}, *overrides, {'engine': {'functional': functional}})
    if not resolved.has_u:  # U values given for all functionals are for those that have one
        changes['engine'] = {key: value for key, value in changes['engine'].items() if key != 'hubbard_u'}
    if climbing is not None:
        changes = merged(changes, {'engine': {'neb': {'climb': climbing}}})
    return changes


def make_study(
    systems: Sequence[ComparedSystem],
    functionals: Sequence[str],
    charges: Sequence[float],
    climbing: Sequence[bool],
    reference: str | None = None,
) -> dict[str, Any]:
    """Return the plan of a comparison: systems, functionals, hosts and cells, each with its label.

    A cell with climbing image starts from the band of the one without, if both are asked for.

    :raises ValueError: for no systems, functionals, charges or values of climbing, and for those that are repeated.
    """
    for what, values in (
        ('systems', [system.name for system in systems]),
        ('functionals', functionals),
        ('charges', charges),
        ('values of climbing', climbing),
    ):
        if not values or len(set(values)) < len(values):
            raise ValueError(f'a comparison needs {what} that differ from each other, got {list(values)}')
    entries: list[dict[str, Any]] = []
    for system in systems:
        measured = system.experiment
        entries.append(
            {
                'label': label_of(system.name, taken=[entry['label'] for entry in entries]),
                'name': system.name,
                'charges': [float(charge) for charge in system.charges or charges],
                'experiment': None if measured is None else {'range': list(measured.ends), 'source': measured.source},
            }
        )
    methods: list[dict[str, str]] = []
    for key in functionals:
        methods.append({'label': label_of(key, taken=[method['label'] for method in methods]), 'key': key})
    one_each = all(len({charge for charge in entry['charges'] if charge}) <= 1 for entry in entries)
    cells: list[dict[str, Any]] = []
    hosts: list[dict[str, str]] = []
    for entry, system in zip(entries, systems, strict=True):
        if len(set(entry['charges'])) < len(entry['charges']):
            raise ValueError(f'{system.name}: charges have to differ from each other, got {entry["charges"]}')
        for method in methods:
            pair = {'system': entry['label'], 'functional': method['label']}
            if system.structure is not None:
                taken = [host['label'] for host in hosts]
                hosts.append({'label': label_of('host', *pair.values(), taken=taken), **pair})
            for charge in entry['charges']:
                start = None
                for climbs in sorted(climbing):
                    words = (entry['label'], method['label'], _charge_word(charge), 'ci_neb' if climbs else 'neb')
                    label = label_of(*words, taken=[other['label'] for other in (*cells, *hosts)])
                    cells.append(
                        {
                            'label': label,
                            **pair,
                            'charge': charge,
                            'charge_state': _charge_state(charge, one_each),
                            'climbing': climbs,
                            'starts_from': start,
                        }
                    )
                    start = label
    chosen = reference or ('pbe' if 'pbe' in functionals else functionals[0])
    return {'systems': entries, 'functionals': methods, 'hosts': hosts, 'cells': cells, 'reference': chosen}


def _charge_word(charge: float) -> str:
    if not charge:
        return 'neutral'
    return f'{"plus" if charge > 0 else "minus"}_{abs(charge):g}'


def _charge_state(charge: float, one_each: bool) -> str:
    """Return the name under which cells of different systems are compared: -1 of lithium goes with -2 of magnesium."""
    if not charge:
        return 'neutral'
    return 'charged' if one_each else f'charge {charge:+g}'


def estimate_of(
    systems: Sequence[ComparedSystem],
    study: Mapping[str, Any],
    *,
    engine: str,
    protocol: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    functional_overrides: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Return what a comparison will take, see :func:`aiida_embarrier.datasets.functional_cost.estimate`.

    It needs no profile. What is wrong with hops, supercells, functionals or the protocol is found here.

    :param study: from :func:`make_study`.
    :raises ValueError: for what is wrong, with the name of the system.
    """
    from aiida_embarrier.datasets.functional_cost import estimate

    keys = {method['label']: method['key'] for method in study['functionals']}
    names = {entry['label']: entry['name'] for entry in study['systems']}
    sizes = {}
    for entry, system in zip(study['systems'], systems, strict=True):
        try:
            for key in keys.values():
                further = (overrides or {}, (functional_overrides or {}).get(key, {}), system.overrides or {})
                settings = barrier_protocol(engine, protocol, settings_of(engine, key, True, *further))
            sizes[entry['name']] = system.size(settings)
        except ValueError as error:
            raise ValueError(f'{entry["name"]}: {error}') from error
    cells = [
        {**cell, 'system': names[cell['system']], 'functional': keys[cell['functional']]} for cell in study['cells']
    ]
    return estimate(sizes, cells)


def check_study(value: Any) -> str | None:
    """Check the plan of a comparison; :func:`make_study` makes one."""
    missing = [key for key in ('systems', 'functionals', 'hosts', 'cells', 'reference') if key not in value]
    if missing:
        return f'the key {missing[0]!r} is missing: fill the inputs with `get_builder_from_protocol`'
    labels = [cell['label'] for cell in value['cells']]
    for cell in [*value['cells'], *value['hosts']]:
        for kind in ('system', 'functional'):
            known = [entry['label'] for entry in value[f'{kind}s']]
            if cell[kind] not in known:
                return f'cell {cell["label"]!r}: unknown {kind} {cell[kind]!r}{closest(cell[kind], known)}'
        if cell.get('starts_from') is not None and cell['starts_from'] not in labels:
            return f'cell {cell["label"]!r} starts from {cell["starts_from"]!r}, which is no cell'
    if len(set(labels)) < len(labels):
        return 'the labels of cells have to differ'
    return None if value['cells'] else 'there is nothing to compute'


# ---------------------------------------------------------------- inputs of the barrier work chain


def inputs_of_cell(inputs: Any, system: str, functional: str) -> dict[str, Any]:
    """Return what the cells of a system and a functional have in common: inputs of barriers, and of :data:`METHOD`."""
    own = inputs.get('variations', {}).get(system, {}).get(functional, {})
    return merge({**inputs['systems'][system], **inputs['methods'][functional]}, own)


def inputs_of_builders(builders: Mapping[bool, ProcessBuilder]) -> dict[str, Any]:
    """Return what the cells of a system and a functional have in common, of the builders without and with climbing."""
    given: dict[str, Any] = {}
    for climbs, builder in builders.items():
        inputs = merge(builder, {})
        given |= {name: value for name, value in inputs.items() if name not in ELSEWHERE}
        of_engine = inputs['engine_inputs']
        given |= {'relax': of_engine['relax'], 'climbing' if climbs else 'neb': of_engine['neb']}
    return _without_empty(given)


def factorised(given: Mapping[tuple[str, str], dict[str, Any]], engine: Str) -> dict[str, dict[str, Any]]:
    """Return inputs by system and functional as those of each system, those of each functional, and what differs.

    :param given: inputs by the labels of system and functional.
    """
    systems = dict.fromkeys(system for system, _ in given)
    methods = dict.fromkeys(method for _, method in given)
    of_system = {label: _shared([given[label, method] for method in methods]) for label in systems}
    of_method = {label: _shared([given[system, label] for system in systems]) for label in methods}
    filled: dict[str, dict[str, Any]] = {
        'systems': {
            label: {name: value for name, value in inputs.items() if name not in METHOD}
            for label, inputs in of_system.items()
        },
        'methods': {
            label: {name: value for name, value in inputs.items() if name in METHOD}
            for label, inputs in of_method.items()
        },
        'variations': {},
    }
    for (system, method), inputs in given.items():
        known = {**filled['systems'][system], **filled['methods'][method]}
        change = changes({'engine': engine, **known}, {'engine': engine, **inputs})
        if change:
            filled['variations'].setdefault(system, {})[method] = change
    return filled


def _shared(inputs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the first of several inputs, without what another of them does not have."""
    everywhere = set.intersection(*(set(flat(entries)) for entries in inputs))

    def only(entries: Mapping[str, Any], place: str) -> dict[str, Any]:
        kept = {}
        for name, value in entries.items():
            path = f'{place}.{name}' if place else name
            if isinstance(value, Mapping):
                kept[name] = only(value, path)
            elif path in everywhere:
                kept[name] = value
        return kept

    return _without_empty(only(inputs[0], ''))


def _without_empty(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested inputs without namespaces that hold nothing."""
    kept = {name: _without_empty(value) if isinstance(value, Mapping) else value for name, value in inputs.items()}
    return {name: value for name, value in kept.items() if not isinstance(value, Mapping) or value}
