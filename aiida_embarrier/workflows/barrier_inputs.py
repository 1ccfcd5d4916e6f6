"""What the barrier work chain accepts: protocols with their values, and checks of its inputs before it starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiida.orm import Bool, Dict, List, Str
from aiida.plugins import WorkflowFactory

from aiida_embarrier.bands.interpolation import check_clearance
from aiida_embarrier.calculations.paths import align_nodes, resolve_hop
from aiida_embarrier.data.convert import structure_from_node
from aiida_embarrier.engines.base import get_engine
from aiida_embarrier.engines.protocols import closest, resolve_protocol

if TYPE_CHECKING:
    from aiida.engine import ProcessSpec

    from aiida_embarrier.engines.base import Engine

__all__ = ('barrier_protocol', 'define_engine_inputs', 'define_preparation', 'port_validator', 'validate_inputs')

PROTOCOL_FILE = Path(__file__).parent / 'protocols' / 'barrier.yaml'
HOST_TREATMENTS = ('none', 'positions', 'cell')
INTERPOLATIONS = ('idpp', 'linear')
MECHANISMS = ('vacancy', 'interstitial', 'any')
LATTICE_POLICIES = ('refuse', 'initial', 'mean', 'per_image')

#: Larger random displacements in Å would make another crystal of it.
LARGEST_RATTLE = 0.5

#: The work chains of an engine, as the namespaces of their inputs are called.
KINDS = ('relax', 'neb')

#: A check of a value: what is wrong with it, or None.
Check = Callable[[Any], str | None]


def barrier_protocol(
    engine: str = 'potential', protocol: str | None = None, overrides: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return everything that a launch with this protocol would use; needs no profile and no code.

    :param overrides: nested mapping; the inputs of the engine stand under the key `engine`.
    :return: the inputs of the work chain, and under `engine` those of the engine.
    :raises ValueError: for unknown engines, protocols and keys, naming the closest known one.
    """
    changes = overrides or {}
    if 'charge' in changes:
        raise ValueError(_no_key_charge(get_engine(engine), changes['charge']))
    resolved = protocol_with_engine(PROTOCOL_FILE, PROTOCOL_CHECKS, engine, protocol, changes)
    preparation = resolved['preparation']
    if preparation['with'] is not None:
        preparation['engine'] = get_engine(preparation['with']).resolve_protocol(
            preparation['protocol'] or protocol, preparation['engine'], ('preparation', 'engine')
        )
    return resolved


def protocol_with_engine(
    file: Path, checks: Mapping[str, Check], engine: str, protocol: str | None, overrides: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return the values of a protocol of a work chain, checked, and under `engine` those of its engine.

    :param file: the protocols of the work chain.
    :param checks: checks of values by their keys.
    :param overrides: nested mapping; the inputs of the engine stand under the key `engine`.
    :raises ValueError: for unknown engines, protocols and keys, and values that a check refuses.
    """
    changes = dict(overrides or {})
    of_engine = changes.pop('engine', {})
    if not isinstance(of_engine, Mapping):
        raise ValueError(f'protocol key `engine` takes a mapping of inputs of the engine, got {of_engine!r}')
    resolved = resolve_protocol(file, protocol, changes)
    for key, check in checks.items():
        message = check(resolved[key])
        if message is not None:
            raise ValueError(f'protocol key `{key}`: {message}')
    resolved['engine'] = get_engine(engine).resolve_protocol(protocol, of_engine, ('engine',))
    return resolved


def check_codes(code: Any, engine: str, preparer: str | None) -> None:
    """Check that given codes are those of an engine, and of one that prepares bands for it.

    :param code: a code, or codes by the names of the programs.
    :raises ValueError: for names of no program of theirs, and for one code where there are two engines.
    """
    engines = [get_engine(name) for name in dict.fromkeys((engine, preparer)) if name is not None]
    programs = [program for found in engines for program in found.codes]
    if isinstance(code, Mapping):
        for name in code:
            if name not in programs:
                raise ValueError(f'no program {name!r} is run{closest(name, programs)}')
    elif len(programs) > 1 and len(engines) > 1:
        spelt_out = ', '.join(f'{program!r}: ...' for program in programs)
        raise ValueError(
            f'the band is prepared by {preparer!r} and computed by {engine!r}: give a code for each program, '
            f'{{{spelt_out}}}'
        )


def one_of(*choices: str) -> Check:
    """Return a check that a value is one of a few words."""
    return lambda value: None if value in choices else f'{value!r} is not one of {", ".join(choices)}'


def check_n_images(value: Any) -> str | None:
    """Check that there is an image between the endpoints."""
    if not isinstance(value, int) or value < 3:
        return f'a band needs a whole number of at least 3 images, the endpoints included; got {value!r}'
    return None


def check_flag(value: Any) -> str | None:
    """Check that a value is true or false."""
    return None if isinstance(value, bool) else f'{value!r} is neither true nor false'


def check_distance(value: Any) -> str | None:
    """Check that a value is a length."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e3:
        return f'{value!r} is no distance in Å'
    return None


def check_rattle(value: Any) -> str | None:
    """Check that a value is a displacement of atoms that leaves a crystal what it is."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LARGEST_RATTLE:
        return f'{value!r} is no random displacement in Å: 0 for none, 0.05 for a little, {LARGEST_RATTLE:g} at most'
    return None


def check_seed(value: Any) -> str | None:
    """Check that a value can be the seed of random numbers."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        return f'{value!r} is no seed: give a whole number, 0 or more'
    return None


def check_supercell(value: Any) -> str | None:
    """Check that a value is a supercell, or None."""
    from aiida_embarrier.structures.supercells import supercell_matrix

    if value is None:
        return None
    try:
        supercell_matrix(value)
    except ValueError as error:
        return str(error)
    return None


def check_waypoints(value: Any) -> str | None:
    """Check that a value is a list of positions."""
    wrong = [
        point
        for point in value
        if not isinstance(point, list | tuple)
        or len(point) != 3
        or not all(isinstance(number, int | float) for number in point)
    ]
    return f'{wrong[0]!r} is no position: give three numbers in Å for each' if wrong else None


def check_ion(value: Any) -> str | None:
    """Check that a value can be the symbol of an element."""
    return None if isinstance(value, str) else f'{value!r} is no chemical symbol'


def check_alignment(value: Any) -> str | None:
    """Check how endpoints are to be aligned."""
    for key, entry in value.items():
        if key not in ALIGNMENT:
            return f'unknown key {key!r}{closest(key, ALIGNMENT)}'
        message = ALIGNMENT[key](entry)
        if message is not None:
            return f'{key}: {message}'
    return None


def check_engine(value: Any) -> str | None:
    """Check that there is such an engine."""
    try:
        get_engine(value)
    except ValueError as error:
        return str(error)
    return None


def check_preparation(value: Any) -> str | None:
    """Check how a starting band is to be prepared; which keys there are the protocol file says."""
    if not isinstance(value['compare'], bool):
        return f'compare: {check_flag(value["compare"])}'
    for key in ('options', 'engine'):
        if not isinstance(value[key], Mapping):
            return f'{key}: takes a mapping, got {value[key]!r}'
    if value['with'] is None:
        idle = [key for key in ('protocol', 'compare', 'options', 'engine') if value[key]]
        return f'{idle[0]}: nothing is prepared: say by which engine, `preparation.with`' if idle else None
    return check_engine(value['with'])


def port_validator(check: Check) -> Any:
    """Return the validator of an input port for a check of the value in its node."""

    def validate(node: Any, _: Any) -> str | None:
        if node is None:
            return None
        value = node.get_list() if isinstance(node, List) else node.get_dict() if isinstance(node, Dict) else node.value
        return check(value)

    return validate


#: Checks of how two endpoints are aligned: keyword arguments of `aiida_embarrier.bands.alignment.align_endpoints`.
ALIGNMENT: dict[str, Check] = {
    'ion': check_ion,
    'lattice_policy': one_of(*LATTICE_POLICIES),
    'threshold': check_distance,
    'keep_images': check_flag,
}

#: Checks of the values of a protocol; the ports of the work chain use them too.
PROTOCOL_CHECKS: dict[str, Check] = {
    'relax_host': one_of(*HOST_TREATMENTS),
    'relax_endpoints': check_flag,
    'map_endpoints': check_flag,
    'rattle': check_rattle,
    'rattle_seed': check_seed,
    'n_images': check_n_images,
    'interpolation': one_of(*INTERPOLATIONS),
    'min_image_distance': check_distance,
    'supercell': check_supercell,
    'preparation': check_preparation,
}


def define_engine_inputs(spec: ProcessSpec) -> None:
    """Define the inputs that name an engine and fill its work chains."""
    spec.input(
        'engine',
        valid_type=Str,
        default=lambda: Str('potential'),
        validator=port_validator(check_engine),
        help='Name of the engine.',
    )
    spec.input_namespace('engine_inputs', dynamic=True, help='Inputs of the work chains of the engine.')
    for kind in KINDS:
        spec.input_namespace(f'engine_inputs.{kind}', dynamic=True, required=False)


def define_preparation(spec: ProcessSpec) -> None:
    """Define the inputs that let a cheaper engine make the starting band."""
    spec.input_namespace(
        'preparation',
        required=False,
        populate_defaults=False,  # else it would be there, without an engine, where nothing is prepared
        help='A cheaper engine that makes the starting band: it relaxes the same endpoints and converges its own band, '
        'which is then moved onto the endpoints of the dearer one. Where that fails, the band is interpolated.',
    )
    spec.input(
        'preparation.engine',
        valid_type=Str,
        required=False,
        validator=port_validator(check_engine),
        help='Name of the cheaper engine.',
    )
    spec.input(
        'preparation.compare',
        valid_type=Bool,
        required=False,
        help='Start from the interpolated band, too, and record how many steps the preparation saved.',
    )
    spec.input_namespace(
        'preparation.engine_inputs', dynamic=True, required=False, help='Inputs of its work chains, as `engine_inputs`.'
    )
    for kind in KINDS:
        spec.input_namespace(f'preparation.engine_inputs.{kind}', dynamic=True, required=False)


def validate_inputs(inputs: Any, _: Any) -> str | None:
    """Check what is to be computed, and the inputs of the engine against its own work chains."""
    starts = {
        'a crystal and a hop': 'structure' in inputs or 'hop' in inputs,
        'two endpoints': 'initial' in inputs or 'final' in inputs,
        'a band': 'band' in inputs,
    }
    given = [name for name, present in starts.items() if present]
    if len(given) != 1:
        return (
            'give a crystal and a hop (`structure`, `hop`), or two endpoints (`initial`, `final`), or a `band`; '
            f'got {" and ".join(given) or "none of them"}'
        )
    missing = [
        name
        for pair in (('structure', 'hop'), ('initial', 'final'))
        for name in pair
        if any(other in inputs for other in pair) and name not in inputs
    ]
    if missing:
        return f'the input `{missing[0]}` is missing'
    message = check_relaxed_host(inputs)
    if message is not None:
        return message
    if 'rattle' in inputs and 'band' in inputs:
        return 'the ends of a given band are not relaxed, so there is nothing to rattle: leave out `rattle`'
    try:
        if 'structure' in inputs:
            resolve_hop(inputs['structure'], inputs['hop'].get_dict(), inputs.get('kinds'))
        if 'initial' in inputs:
            align_nodes(inputs['initial'], inputs['final'], alignment_of(inputs), inputs.get('kinds'))
        if 'band' in inputs and inputs['band'].base.attributes.get('mobile', None):
            check_clearance(inputs['band'].band)
    except ValueError as error:
        return str(error)
    return validate_engine_inputs(inputs)


def check_relaxed_host(inputs: Any) -> str | None:
    """Check that a host that was relaxed before is that of the crystal, site by site."""
    if 'relaxed_host' not in inputs:
        return None
    if 'structure' not in inputs:
        return 'a `relaxed_host` is that of a crystal: give `structure`, or leave it out'
    if inputs['relax_host'].value == 'none':
        return 'a `relaxed_host` was relaxed: say by `relax_host` what of it was, positions or cell'
    names = [[site.kind_name for site in inputs[name].sites] for name in ('structure', 'relaxed_host')]
    if names[0] != names[1]:
        return 'the `relaxed_host` has other sites than `structure`: take the one that was relaxed from it'
    return None


def alignment_of(inputs: Any) -> dict[str, Any]:
    """Return how two endpoints are aligned: keyword arguments of `aiida_embarrier.bands.alignment.align_endpoints`."""
    given = inputs['alignment'].get_dict() if 'alignment' in inputs else {}
    return {**({'mechanism': inputs['mechanism'].value} if 'mechanism' in inputs else {}), **given}


def validate_engine_inputs(inputs: Any) -> str | None:
    """Check the inputs of the engine, and of one that prepares bands, against the specifications of their chains."""
    if 'rattle' in inputs and 'relax_endpoints' in inputs and not inputs['relax_endpoints'].value:
        return 'endpoints that are not relaxed are not rattled either: leave out `rattle`, or relax the endpoints'
    engine = get_engine(inputs['engine'].value)
    message = check_charge(engine, inputs['charge'].value if 'charge' in inputs else 0.0)
    if message is not None:
        return message
    message = check_engine_inputs(engine, inputs.get('engine_inputs', {}), relaxes=needs_relaxation(inputs))
    if message is None:
        message = check_by_engine(engine, inputs)
    preparation = inputs.get('preparation', {})
    if message is not None or not _holds_anything(preparation):
        return message
    if 'engine' not in preparation:
        return 'the input `preparation.engine` is missing: it names the engine that prepares the band'
    if 'band' in inputs:
        return 'a band to start from is there already, so there is nothing to prepare: leave out `preparation`'
    preparer = get_engine(preparation['engine'].value)
    return check_engine_inputs(preparer, preparation.get('engine_inputs', {}), place='preparation.engine_inputs')


def check_charge(engine: Engine, charge: float) -> str | None:
    """Check that an engine can compute cells of this charge."""
    if charge == 0 or 'charge' in engine.capabilities:
        return None
    return (
        f'the engine {engine.name!r} knows no electrons and computes neutral cells only: leave out the charge '
        f'{charge:+g}, or choose an engine with density functionals'
    )


def _no_key_charge(engine: Engine, charge: Any) -> str:
    """Say where a charge is given, or why there is none."""
    known = isinstance(charge, int | float)
    message = check_charge(engine, float(charge)) if known else None
    return message or 'the charge is no key of a protocol: give it as `--charge` (in Python the argument `charge`)'


def check_engine_inputs(
    engine: Engine,
    given: Mapping[str, Any],
    relaxes: bool = True,
    place: str = 'engine_inputs',
    computes_bands: bool = True,
) -> str | None:
    """Check inputs of the work chains of an engine against their specifications.

    :param given: the inputs by the kind of work chain, `relax` and `neb`.
    :param relaxes: whether anything is to be relaxed, so that the inputs for that have to be there.
    :param place: the namespace, for messages.
    :param computes_bands: whether bands are computed, so that the inputs for that have to be there.
    """
    filled_in = {'relax': {'structures', 'kinds', 'cell', 'charge'}, 'neb': {'bands', 'charge'}}
    for kind, entry_point in (('relax', engine.relax), ('neb', engine.neb)):
        if kind not in given:
            if (kind == 'relax' and not relaxes) or (kind == 'neb' and not computes_bands):
                continue
            return f'the namespace `{place}.{kind}` is missing: fill it with `get_builder_from_protocol`'
        ports = WorkflowFactory(entry_point).spec().inputs
        values = dict(given[kind])
        offered = set(ports) - filled_in[kind] - {'metadata'}
        for name in sorted(set(values) - offered):
            if name in ports:
                return f'{place}.{kind}: `{name}` is filled in by the work chain, leave it out'
            return f'{place}.{kind}: the engine {engine.name!r} has no input {name!r}{closest(name, offered)}'
        for name in sorted(offered):
            port = ports[name]
            if name not in values:
                if port.required and not port.has_default():
                    return f'{place}.{kind}: the input `{name}` is missing'
                continue
            error = port.validate(_copied(values[name]))
            if error is not None:
                return f'{place}.{kind}.{name}: {error.message}'
    return None


def check_by_engine(engine: Engine, inputs: Any) -> str | None:
    """Let the engine say what forbids its inputs for the crystal: a pseudopotential that is missing, for instance."""
    node = inputs.get('structure', inputs.get('initial'))
    if engine.check is None or (node is None and 'band' not in inputs):
        return None
    charge = inputs['charge'].value if 'charge' in inputs and 'structure' not in inputs else 0.0
    if node is None:
        band = inputs['band'].band
        structure, n_images = band.structure(0), band.n_images
    else:
        structure, n_images = structure_from_node(node, inputs.get('kinds')), inputs['n_images'].value
    check: Callable[..., str | None] = engine.load(engine.check)
    return check(inputs['engine_inputs'], structure, charge=charge, n_images=n_images)


def _holds_anything(value: Any) -> bool:
    """Return whether there is any node in a namespace; builders have empty ones inside."""
    return any(map(_holds_anything, value.values())) if isinstance(value, Mapping) else True


def _copied(value: Any) -> Any:
    """Return a value whose namespaces validators of plugins may change as they like; nodes stay what they are."""
    return {name: _copied(entry) for name, entry in value.items()} if isinstance(value, Mapping) else value


def needs_relaxation(inputs: Any) -> bool:
    """Return whether these inputs make the work chain relax anything."""
    if 'band' in inputs:
        return False
    host = 'structure' in inputs and inputs['relax_host'].value != 'none'
    return bool(host or inputs['relax_endpoints'].value)
