"""What the derivation of a structure accepts: its protocol, and checks of its inputs before it starts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiida.orm import Dict

from aiida_embarrier.calculations.derivation import CHARGE_KEYS, SCALING_KEYS, in_charge_state
from aiida_embarrier.calculations.derived import HOP_KEYS, hops_in_state, numbered
from aiida_embarrier.calculations.lookup import LookupCalculation
from aiida_embarrier.calculations.orderings import OrderingsCalculation
from aiida_embarrier.calculations.parameters import check_keys
from aiida_embarrier.calculations.paths import resolve_hops
from aiida_embarrier.data.convert import node_from_structure, structure_from_node
from aiida_embarrier.engines.base import get_engine
from aiida_embarrier.workflows.barrier_inputs import (
    PROTOCOL_CHECKS,
    check_charge,
    check_engine_inputs,
    protocol_with_engine,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiida.orm import StructureData

__all__ = (
    'check_charge_state',
    'check_hops',
    'check_n_orderings',
    'check_substitution',
    'derive_protocol',
    'is_disordered',
    'lookup_inputs',
    'validate_derive',
)

PROTOCOL_FILE = Path(__file__).parent / 'protocols' / 'derive.yaml'

#: Entries of the input `lookup` that are not parameters of the job: which of the entries found is taken.
LOOKUP_KEYS = ('entry',)


def check_n_orderings(value: Any) -> str | None:
    """Check that a value is a number of orderings."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        return f'at least one ordering is relaxed, got {value!r}; to relax none, relax_host: none'
    return None


#: Checks of the values of the protocol.
CHECKS: dict[str, Callable[[Any], str | None]] = {
    **{
        key: PROTOCOL_CHECKS[key]
        for key in (
            *('relax_host', 'relax_endpoints', 'map_endpoints', 'rattle', 'rattle_seed'),
            *('min_image_distance', 'supercell'),
        )
    },
    'relax_orderings': check_n_orderings,
}


def derive_protocol(
    engine: str = 'potential', protocol: str | None = None, overrides: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return everything that a derivation with this protocol would use; needs no profile and no code.

    :param overrides: nested mapping; the inputs of the engine stand under the key `engine`.
    :return: the inputs of the work chain, and under `engine` those of the engine.
    :raises ValueError: for unknown engines, protocols and keys, naming the closest known one.
    """
    return protocol_with_engine(PROTOCOL_FILE, CHECKS, engine, protocol, overrides)


def known_keys(*keys: str) -> Callable[[Any], str | None]:
    """Return a check that a mapping has no other keys."""

    def check(value: Mapping[str, Any]) -> str | None:
        try:
            check_keys(value, keys)
        except ValueError as error:
            return str(error)
        return None

    return check


def check_substitution(value: Mapping[str, Any]) -> str | None:
    """Check that species are exchanged, for elements that there are."""
    from aiida_embarrier.structures.crystals import check_element

    message = known_keys(*SCALING_KEYS)(value)
    species = value.get('substitute')
    if message is not None:
        return message
    if not isinstance(species, Mapping) or not species:
        return f'substitution: `substitute` names the new element by the old one, such as {{Li: Na}}, got {species!r}'
    try:
        for element in (*species, *species.values()):
            check_element(str(element))
    except ValueError as error:
        return f'substitution: {error}'
    return None


check_charge_state = known_keys(*CHARGE_KEYS)
check_hops = known_keys(*HOP_KEYS)


def is_disordered(structure: StructureData) -> bool:
    """Return whether sites of a crystal node are occupied partly, or by several species."""
    return any(len(kind.symbols) != 1 or kind.has_vacancies for kind in structure.kinds)


def validate_derive(inputs: Any, _: Any) -> str | None:
    """Check what is derived from what, and the inputs of the engine against its own work chains."""
    return _check_start(inputs) or _check_jobs(inputs) or _check_steps(inputs) or _check_engine(inputs)


def _check_start(inputs: Any) -> str | None:
    """Check that there is one crystal to start from."""
    if 'structure' in inputs:
        for name in ('lookup', 'parent', 'substitution'):
            if name in inputs:
                return (
                    f'give a crystal as `structure`, or derive one by `lookup`, `parent` and `substitution`; got '
                    f'`structure` and `{name}`'
                )
    elif 'lookup' not in inputs and 'parent' not in inputs:
        return 'there is nothing to start from: give `structure`, or `lookup`, or `parent` with `substitution`'
    for name, other in (('parent', 'substitution'), ('substitution', 'parent')):
        if name in inputs and other not in inputs:
            return f'`{name}` is there without `{other}`: species of a parent are exchanged, so both are needed'
    if 'kinds' in inputs and 'structure' not in inputs and 'parent' not in inputs:
        return '`kinds` are those of `structure` or of `parent`, and neither is there'
    disordered = [name for name in ('structure', 'parent') if name in inputs and is_disordered(inputs[name])]
    if disordered == ['parent']:
        return 'the `parent` is disordered: order it first, then exchange species'
    if 'worker_code' not in inputs and ('lookup' in inputs or disordered):
        what = 'a database is searched' if 'lookup' in inputs else 'orderings are made'
        return f'{what} by a job of embarrier-worker: give its code as `worker_code`'
    if 'orderings' in inputs and 'structure' in inputs and not disordered:
        return 'the crystal is ordered, so there is nothing to order: leave out `orderings`'
    return None


def _check_jobs(inputs: Any) -> str | None:
    """Let the jobs of the worker say what is wrong with their inputs."""
    if 'orderings' in inputs:
        error = OrderingsCalculation.spec().inputs['parameters'].validate(inputs['orderings'])
        if error is not None:
            return f'orderings: {error.message}'
    if 'structure' in inputs and is_disordered(inputs['structure']):
        # the validator of all inputs looks at the crystal
        crystal = {name: inputs[name] for name in ('structure', 'kinds') if name in inputs}
        message = OrderingsCalculation.spec().inputs.validator(crystal, None)
        if message is not None:
            return f'structure: {message}'
    if 'lookup' not in inputs:
        return None
    question = lookup_inputs(inputs)
    ports = LookupCalculation.spec().inputs
    error = ports['parameters'].validate(question['parameters'])
    message = ports.validator(question, None) if error is None else error.message
    return None if message is None else f'lookup: {message}'


def lookup_inputs(inputs: Any) -> dict[str, Any]:
    """Return the inputs of the lookup of a derivation: where only an ion is named, the parent is the host."""
    parameters = {key: value for key, value in inputs['lookup'].get_dict().items() if key not in LOOKUP_KEYS}
    by_framework = 'ion' in parameters and 'formula' not in parameters and 'parent' in inputs
    return {'parameters': Dict(parameters), **({'host': inputs['parent']} if by_framework else {})}


def _check_steps(inputs: Any) -> str | None:
    """Let the steps say what is wrong with their parameters, as far as the crystal is known before the launch."""
    hops = inputs['hops'].get_dict() if 'hops' in inputs else None
    parameters = inputs['charge_state'].get_dict() if 'charge_state' in inputs else None
    known = 'structure' in inputs and not is_disordered(inputs['structure'])
    try:
        if not known:
            if hops is not None:  # the ion may be that of the charge state
                hops_in_state(hops, {'ion': (parameters or {}).get('ion')})
            return None
        structure, kinds = inputs['structure'], inputs.get('kinds')
        state: dict[str, Any] = {}
        if parameters is not None:
            structure, kinds, state = _in_charge_state(structure, kinds, parameters)
        if hops is not None:
            chosen = hops_in_state(hops, state)
            resolve_hops(structure, numbered(structure_from_node(structure, kinds), chosen), kinds)
    except ValueError as error:
        return str(error)
    return None


def _in_charge_state(
    structure: StructureData, kinds: Dict | None, parameters: dict[str, Any]
) -> tuple[StructureData, Dict, dict[str, Any]]:
    """Return a crystal in a charge state as nodes that are not stored, and what there is to say of the state."""
    made = in_charge_state(structure_from_node(structure, kinds), parameters)
    return (*node_from_structure(made.structure), made.to_dict())


def _check_engine(inputs: Any) -> str | None:
    """Check the inputs of the engine."""
    engine = get_engine(inputs['engine'].value)
    message = check_charge(engine, inputs['charge'].value if 'charge' in inputs else 0.0)
    if message is not None:
        return message
    relaxes = inputs['relax_host'].value != 'none' or ('hops' in inputs and inputs['relax_endpoints'].value)
    return check_engine_inputs(engine, inputs.get('engine_inputs', {}), relaxes=bool(relaxes), computes_bands=False)
