"""Calcfunctions of all hops of an ion in one crystal: their endpoints, and the table of what came of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from aiida.engine import calcfunction
from aiida.orm import Dict, StructureData

from aiida_embarrier.calculations.mapping import economy, plan_of_states
from aiida_embarrier.calculations.paths import ENDS, change_warnings, divide_hops, path_of
from aiida_embarrier.calculations.refusal import refuse_politely
from aiida_embarrier.calculations.results import cost_of
from aiida_embarrier.data.convert import node_from_structure, structure_from_node

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pymatgen.core import Structure

    from aiida_embarrier.structures.hops import Hop

__all__ = ('create_network', 'ends_of', 'hop_label', 'summarise_network')

#: What the table says of each hop, beside its barriers.
FROM_SUMMARY = ('residual_force', 'n_force_evaluations', 'warnings')
BARRIERS = ('forward', 'reverse', 'rate_limiting', 'span')


def hop_label(hop: Hop) -> str:
    """Return the name of a hop in labels of inputs, outputs and tasks."""
    return f'hop_{hop.number}'


def ends_of(label: str) -> dict[str, str]:
    """Return the labels of the endpoints of a hop."""
    return {side: f'{label}_{side}' for side in ENDS}


@calcfunction
@refuse_politely
def create_network(
    host: StructureData,
    hops: Dict,
    parameters: Dict,
    crystal: StructureData | None = None,
    kinds: Dict | None = None,
) -> dict[str, Any]:
    """Make the endpoints of several hops in one supercell of the host.

    :param host: the host, relaxed or not.
    :param hops: the hops, see :func:`~aiida_embarrier.calculations.paths.resolve_hops`.
    :param parameters: as for :func:`~aiida_embarrier.calculations.paths.create_endpoints`.
    :param crystal: the crystal that the numbers of the hops refer to, where the host was relaxed; sites correspond.
    :return: for each hop `LABEL_initial`, `LABEL_final` and `LABEL_path`, and `plan`: `hops` by their labels, those
        that `failed` with the reason, the numbers of those `left_out` because they go through an atom, and the
        `states`, see
        :func:`~aiida_embarrier.calculations.mapping.plan_of_states`.
    """
    from aiida_embarrier.structures.endpoints import make_endpoints
    from aiida_embarrier.structures.hops import DEFAULT_SYMPREC
    from aiida_embarrier.structures.supercells import Supercell, supercell_for

    settings = parameters.get_dict()
    found, left_out = divide_hops(crystal or host, hops.get_dict(), kinds)
    structure = structure_from_node(host, kinds)
    supercell = settings.get('supercell')
    if supercell is None:
        supercell = supercell_for(structure, settings['min_image_distance'])
    warnings = [] if crystal is None else change_warnings(crystal, host)
    made, failed = {}, {}
    for hop in found:
        try:
            made[hop_label(hop)] = make_endpoints(structure, hop, supercell, settings['min_image_distance'])
        except ValueError as error:
            failed[hop_label(hop)] = str(error)
    states = {name: getattr(ends, side) for label, ends in made.items() for side, name in ends_of(label).items()}
    plan = None
    if settings.get('map_endpoints'):
        pairs = [(f'{label}_initial', f'{label}_final') for label in made]
        whole = Supercell(structure, supercell).structure
        plan = plan_of_states(whole, states, pairs, hops.get('symprec', DEFAULT_SYMPREC))
    outputs: dict[str, Any] = {label: node_from_structure(state)[0] for label, state in states.items()}
    for label, ends in made.items():
        own = ends_of(label)
        path = {**path_of(ends, warnings), 'ends': own, 'states': None if plan is None else _part(plan, own)}
        outputs[f'{label}_path'] = Dict(path)
    description = {
        'hops': {hop_label(hop): hop.to_dict() for hop in found},
        'failed': failed,
        'left_out': [hop.number for hop in left_out],
        **({} if plan is None else {'states': plan}),
    }
    return {**outputs, 'plan': Dict(description)}


def _part(plan: Mapping[str, Any], ends: Mapping[str, str]) -> dict[str, Any]:
    """Return what of a plan concerns one hop, without operations."""
    copies = {label: plan['copies'][label] for label in ends.values() if label in plan['copies']}
    states = {copies.get(label, label) for label in ends.values()}
    mapped = {label: {'from': plan['mapped'][label]['from']} for label in sorted(states) if label in plan['mapped']}
    return {'mapped': mapped, 'copies': copies}


@calcfunction
@refuse_politely
def summarise_network(
    crystal: StructureData,
    hops: Dict,
    plan: Dict,
    failures: Dict,
    kinds: Dict | None = None,
    **nodes: Any,
) -> Dict:
    """Make the table of a network of hops.

    :param crystal: the crystal in which the hops were found.
    :param hops: the hops, see :func:`~aiida_embarrier.calculations.paths.resolve_hops`.
    :param plan: from :func:`create_network`.
    :param failures: message of each hop that did not converge, by its label.
    :param nodes: `band_LABEL` and `summary_LABEL` for the hops that have them, `results_STEP` of the jobs.
    :return: `hops`, a row for each; `percolation`, the lowest barrier for transport in 1, 2 and 3 dimensions by the
        hops that converged; what symmetry saved, and what the whole took.
    """
    from aiida_embarrier.structures.hops import DEFAULT_SYMPREC, Hop

    summaries, bands, results = (_with_prefix(nodes, prefix) for prefix in ('summary_', 'band_', 'results_'))
    steps = {name: node.get_dict() for name, node in results.items()}
    found = {label: Hop.from_dict(entries) for label, entries in plan['hops'].items()}
    rows = [
        {
            **_row(label, hop, summaries.get(label), failures.get(label)),
            **({} if label in plan['failed'] else economy(ends_of(label), plan.get('states'), steps)),
        }
        for label, hop in found.items()
    ]
    converged = {row['label'] for row in rows if row['status'] == 'converged'}
    structure = structure_from_node(crystal, kinds)
    one = next(iter(found.values()))
    return Dict(
        {
            'formula': structure.composition.reduced_formula,
            'ion': one.ion,
            'mechanism': one.mechanism,
            'hops': rows,
            'left_out': plan.get('left_out', []),
            'n_converged': len(converged),
            'percolation': _percolation(
                structure,
                [(found[label], bands[label].band.energies) for label in found if label in converged],
                hops.get('symprec', DEFAULT_SYMPREC),
            ),
            'n_endpoints': 2 * (len(found) - len(plan['failed'])),
            **{key: sum(row.get(key, 0) for row in rows) for key in ('relaxations_saved', 'evaluations_saved')},
            **cost_of(steps),
        }
    )


def _with_prefix(nodes: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): node for name, node in nodes.items() if name.startswith(prefix)}


def _row(label: str, hop: Hop, summary: Dict | None, failure: str | None) -> dict[str, Any]:
    """Return the row of a hop: what it is, how it ended, and its barriers."""
    row = {
        'hop': hop.number,
        'label': label,
        **{name: getattr(hop, name) for name in ('length', 'direction', 'multiplicity', 'equivalent_ends')},
        'status': 'converged' if failure is None else 'failed' if summary is None else 'not_converged',
        'message': failure or '',
    }
    if summary is not None:
        row |= {f'barrier_{name}': summary['barriers'][name] for name in BARRIERS}
        row |= {name: summary[name] for name in FROM_SUMMARY}
    return row


def _percolation(
    structure: Structure, computed: Sequence[tuple[Hop, np.ndarray]], symprec: float
) -> dict[str, dict[str, Any]] | None:
    """Return the levels of transport, None where the ends of hops are no sites of one ion or vacancy."""
    from aiida_embarrier.structures.percolation import HopEnergies, percolation

    if any(hop.further_vacancies for hop, _ in computed):
        return None
    hops = [hop for hop, _ in computed]
    energies = [HopEnergies(float(np.max(path)), float(np.min(path))) for _, path in computed]
    return {str(level.dimension): level.to_dict() for level in percolation(structure, hops, energies, symprec).values()}
