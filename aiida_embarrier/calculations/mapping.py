"""Endpoints that follow from others by symmetry: which they are, what they become, and whether that holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from aiida.engine import calcfunction
from aiida.orm import Dict, StructureData

from aiida_embarrier.calculations.refusal import refuse_politely
from aiida_embarrier.data.convert import node_from_structure, structure_from_node
from aiida_embarrier.jobs.schemas import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pymatgen.core import Structure

__all__ = ('copy_endpoints', 'economy', 'map_endpoints', 'plan_of_states', 'verdict')

#: A mapped endpoint has the energy of the one it was made of within this, in eV.
ENERGY_TOLERANCE = 0.005

#: What became of an endpoint, the worst first. The first two were relaxed from scratch after all.
VERDICTS = ('energy_differs', 'failed', 'relaxed_further', 'verified')


def plan_of_states(
    host: Structure | None, states: Mapping[str, Structure], pairs: Iterable[tuple[str, str]], symprec: float
) -> dict[str, Any]:
    """Return which states are to be relaxed and how the others follow from them, as plain values.

    :param host: the supercell of the host; None where it is not known, so that all states are relaxed.
    :param states: unrelaxed states by their labels.
    :param pairs: labels of the states that a hop connects.
    :param symprec: how far sites of the host may lie from where symmetry wants them, in Å.
    :return: `representatives`, the labels of the states to relax; `mapped`, for each state that symmetry makes of one
        of those `from`, its `operations` and the states `beside` it that are known when it is mapped; `copies`, for
        each state that another is already the label of that one. Where the host has no symmetry all are relaxed.
    """
    from aiida_embarrier.structures.mapping import StatePlan, plan_states

    try:
        plan = StatePlan(tuple(states), {}, {}) if host is None else plan_states(host, states, symprec)
    except ValueError:  # a host without symmetry
        plan = StatePlan(tuple(states), {}, {})
    known = list(plan.representatives)
    neighbours: dict[str, set[str]] = {label: set() for label in states}
    for pair in pairs:
        first, second = (plan.copies.get(label, label) for label in pair)
        neighbours[first].add(second)
        neighbours[second].add(first)
    mapped = {}
    for label, (start, operations) in plan.mapped.items():
        mapped[label] = {
            'from': start,
            'beside': sorted(neighbours[label] & set(known)),
            'operations': [operation.to_dict() for operation in operations],
        }
        known.append(label)
    return {'representatives': list(plan.representatives), 'mapped': mapped, 'copies': plan.copies}


@calcfunction
@refuse_politely
def map_endpoints(plan: Dict, **structures: StructureData) -> dict[str, Any]:
    """Map relaxed states onto others by symmetry; of several operations the one that moves the other atoms least.

    :param plan: a Dict with the entry `states` from :func:`plan_of_states`.
    :param structures: `relaxed_LABEL` for each state that is relaxed, `unrelaxed_LABEL` for these and for those to map.
    :return: the mapped states by their labels, and `mapping`: the operation of each and how far the other atoms move.
    """
    from aiida_embarrier.structures.mapping import map_state
    from aiida_embarrier.structures.symmetry import SymmetryOperation

    before, after = _by_state(structures)
    made: dict[str, Any] = {}
    report = {}
    for label, entry in plan['states']['mapped'].items():
        if entry['from'] not in after:  # its relaxation failed
            continue
        beside = [(after[name], before[name]) for name in entry['beside'] if name in after]
        mapped = map_state(
            after[entry['from']],
            before[entry['from']],
            before[label],
            [SymmetryOperation.from_dict(operation) for operation in entry['operations']],
            beside,
        )
        after[label] = mapped.structure
        made[label], _ = node_from_structure(mapped.structure)
        report[label] = {
            'from': entry['from'],
            'operation': mapped.operation.to_dict(),
            'motion': mapped.motion if np.isfinite(mapped.motion) else None,
        }
    return {**made, 'mapping': Dict(report)}


@calcfunction
@refuse_politely
def copy_endpoints(plan: Dict, **structures: StructureData) -> dict[str, Any]:
    """Put relaxed states into the order of sites that other hops need.

    :param plan: as for :func:`map_endpoints`.
    :param structures: `relaxed_LABEL` and `unrelaxed_LABEL` of the states, `unrelaxed_LABEL` of their copies.
    :return: the copies by their labels.
    """
    from aiida_embarrier.structures.mapping import IDENTITY, map_state

    before, after = _by_state(structures)
    made = {}
    for label, source in plan['states']['copies'].items():
        if source in after:
            copy = map_state(after[source], before[source], before[label], [IDENTITY])
            made[label], _ = node_from_structure(copy.structure)
    return made


def _by_state(structures: Mapping[str, StructureData]) -> tuple[dict[str, Structure], dict[str, Structure]]:
    """Return unrelaxed and relaxed states by their labels."""
    unrelaxed, relaxed = (
        {
            label.removeprefix(prefix): structure_from_node(node)
            for label, node in structures.items()
            if label.startswith(prefix)
        }
        for prefix in ('unrelaxed_', 'relaxed_')
    )
    return unrelaxed, relaxed


def verdict(energy: float, task: Mapping[str, Any] | None) -> str:
    """Return whether the job that checked a mapped endpoint confirms it.

    :param energy: of the endpoint that it was made of, in eV.
    :param task: results of the check, None where there are none.
    :return: `verified`: its forces were below the threshold at once, and the energies agree; `relaxed_further`: after
        some steps; `energy_differs`; `failed`.
    """
    if task is None or task.get('status', Status.CONVERGED) != Status.CONVERGED or task.get('energy') is None:
        return 'failed'
    if abs(task['energy'] - energy) > ENERGY_TOLERANCE:
        return 'energy_differs'
    return 'verified' if task['n_steps'] == 0 else 'relaxed_further'


def economy(ends: Mapping[str, str], states: Mapping[str, Any] | None, results: Mapping[str, Any]) -> dict[str, Any]:
    """Return what symmetry saved on the endpoints of a hop, as it stands in its summary.

    :param ends: for `initial` and `final` the label of the state.
    :param states: from :func:`plan_of_states`, None where nothing was to be mapped.
    :param results: results of the jobs `relax_endpoints` and, if there was one, `verify_endpoints`.
    """
    if 'relax_endpoints' not in results:
        return {}
    relaxed, checked = (results.get(name, {}).get('tasks', {}) for name in ('relax_endpoints', 'verify_endpoints'))
    mapped = {} if states is None else states['mapped']
    copies = {} if states is None else states['copies']
    outcome, saved, evaluations = {}, 0, 0
    for end, label in ends.items():
        state = copies.get(label, label)
        if state in mapped:
            start = relaxed.get(mapped[state]['from'], {})
            found = verdict(start.get('energy', np.nan), checked.get(state))
            cost = 0 if label in copies else checked.get(state, {}).get('n_evaluations', 0)
        else:
            start, cost = relaxed.get(state, {}), 0
            found = 'copied' if label in copies else 'relaxed'
        outcome[end] = found if found != 'verified' or label not in copies else 'copied'
        if outcome[end] in ('verified', 'copied'):
            saved += 1
        if outcome[end] in ('verified', 'copied', 'relaxed_further'):
            evaluations += start.get('n_evaluations', 0) - cost
        elif outcome[end] != 'relaxed':  # the check was in vain
            evaluations -= cost
    words = [found for found in VERDICTS if found in outcome.values()]
    shared = 'verified' if 'copied' in outcome.values() else 'no_operation'
    return {
        'endpoint_mapping': 'not_asked' if states is None else (words or [shared])[0],
        'endpoint_states': outcome,
        'relaxations_saved': saved,
        'evaluations_saved': evaluations,
    }
