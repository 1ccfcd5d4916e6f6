"""From a resolved protocol to the inputs of the engine's work chains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.common.exceptions import NotExistent
from aiida.orm import Dict, Int, SinglefileData, load_node

from aiida_embarrier.bands.band import kinds_of
from aiida_embarrier.engines.functionals import load_functionals
from aiida_embarrier.engines.vasp import FUNCTIONALS
from aiida_embarrier.engines.vasp.incar import Task, make_incar
from aiida_embarrier.engines.vasp.layout import Layout
from aiida_embarrier.engines.vasp.parallel import check_ranks
from aiida_embarrier.engines.vasp.potcars import check_exchange, check_family, find_potcars, n_valence
from aiida_embarrier.engines.vasp.settings import check_protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiida.orm import AbstractCode
    from pymatgen.core import Structure

__all__ = ('check_inputs', 'inputs_from_protocol')


def inputs_from_protocol(
    protocol: Mapping[str, Any], *, code: AbstractCode, options: Mapping[str, Any] | None = None
) -> dict[str, dict[str, Any]]:
    """Return the inputs of the relax and NEB work chains.

    :param protocol: the resolved protocol of the engine.
    :param code: the code of VASP.
    :param options: options of the jobs: `resources`, `max_wallclock_seconds`, `queue_name`, ...
    :raises ValueError: for values that make no sense, and where the POTCAR family is not in the profile.
    """
    check_protocol(protocol)
    check_family(protocol['paw']['family'])
    shared: dict[str, Any] = {
        'code': code,
        # what the chains are given apart does not make two results differ
        'protocol': Dict({name: value for name, value in protocol.items() if name != 'max_iterations'}),
        'max_iterations': Int(protocol['max_iterations']),
    }
    if options:
        shared['options'] = Dict(dict(options))
    if protocol['vdw_kernel'] is not None:
        shared['vdw_kernel'] = _kernel(protocol['vdw_kernel'])
    return {'relax': dict(shared), 'neb': dict(shared)}


def check_inputs(
    engine_inputs: Mapping[str, Mapping[str, Any]], structure: Structure, *, charge: float = 0.0, n_images: int = 7
) -> str | None:
    """Return what forbids inputs of the work chains for a crystal, None where nothing does.

    A potential that is missing, an odd number of electrons without spin, and ranks that the images cannot share.

    :param engine_inputs: inputs of the chains, `relax` and `neb`.
    :param structure: the crystal, with kinds as site properties.
    :param charge: of the crystal in units of e.
    :param n_images: number of images, the endpoints included.
    """
    neb = engine_inputs['neb']
    protocol = neb['protocol'].get_dict()
    options = neb['options'].get_dict() if 'options' in neb else {}
    kinds, indices = kinds_of(structure)
    functional = load_functionals(FUNCTIONALS).resolve(protocol['functional'], protocol['hubbard_u'])
    try:
        layout = Layout.of(
            kinds,
            list(indices),
            functional,
            magnetic_start=protocol['magnetic_start'],
            moments=protocol['moments'],
        )
        potcars = find_potcars(protocol['paw']['family'], protocol['paw']['mapping'], layout.elements)
        check_exchange(functional, potcars)
        electrons = {'charge': charge, 'n_valence': n_valence(layout, potcars)}
        for task in (Task('relax'), Task('neb', n_images=n_images)):
            make_incar(layout, protocol, functional, task, **electrons)
    except ValueError as error:
        return str(error)
    return check_ranks(options, neb['code'], n_images, protocol)


def _kernel(identifier: Any) -> SinglefileData:
    try:
        node = load_node(identifier)
    except (NotExistent, ValueError) as error:
        raise ValueError(f'protocol key `vdw_kernel`: there is no node {identifier!r}: {error}') from error
    if not isinstance(node, SinglefileData):
        raise ValueError(f'protocol key `vdw_kernel`: node {node.pk} is no SinglefileData')
    return node
