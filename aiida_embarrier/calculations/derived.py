"""Calcfunctions of the derivation of a structure: which ordering is the ground state, which hops, and a summary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.engine import calcfunction
from aiida.orm import Dict, StructureData

from aiida_embarrier.calculations.orderings import ordering_label
from aiida_embarrier.calculations.parameters import check_keys
from aiida_embarrier.calculations.paths import HOP_SELECTION
from aiida_embarrier.calculations.refusal import refuse_politely
from aiida_embarrier.calculations.results import cost_of
from aiida_embarrier.data.convert import structure_from_node
from aiida_embarrier.data.table import TableData

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pymatgen.core import Structure

__all__ = (
    'HOP_KEYS',
    'choose_hops',
    'hops_in_state',
    'lowest_ordering',
    'numbered',
    'rank_orderings',
    'summarise_derivation',
)

#: Which hops of a derived crystal: as for a network of hops, with `number` for one and `between` for two sites.
HOP_KEYS = (*HOP_SELECTION, 'numbers', 'between')


@calcfunction
@refuse_politely
def choose_hops(
    host: StructureData, hops: Dict, kinds: Dict | None = None, charge_state: Dict | None = None
) -> dict[str, Any]:
    """Say which hops of a derived host are meant, in the words of a network of hops.

    :param host: the host in its charge state, not yet relaxed.
    :param hops: `ion`; `number`, `numbers` or `between`, two sites, where not all hops are meant; `mechanism`,
        `max_length`, `extra_vacancies`, `sites`, `symprec`. A site in `between` is its index in the crystal
        before ions were taken out, or three fractional coordinates.
    :param kinds: moments, oxidation states and U of the kinds of the host.
    :param charge_state: results of :func:`~aiida_embarrier.calculations.derivation.charge_state`: its ion, its
        mechanism and its empty sites stand where `hops` does not say them.
    :return: `hops`, see :func:`~aiida_embarrier.calculations.paths.resolve_hops`.
    """
    state = {} if charge_state is None else charge_state.get_dict()
    chosen = hops_in_state(hops.get_dict(), state)
    return {'hops': Dict(numbered(structure_from_node(host, kinds), chosen))}


def hops_in_state(hops: Mapping[str, Any], state: Mapping[str, Any]) -> dict[str, Any]:
    """Return which hops are meant, completed by what the charge state says.

    :param hops: as :func:`choose_hops` takes them.
    :param state: results of the charge state, empty where it was not changed.
    :raises ValueError: for unknown keys, and several choices of a hop at once.
    """
    check_keys(hops, HOP_KEYS)
    chosen = {key: value for key, value in hops.items() if value is not None}
    given = [key for key in ('number', 'numbers', 'between') if key in chosen]
    if len(given) > 1:
        raise ValueError(f'a hop is chosen by one of number, numbers and between; got {" and ".join(given)}')
    if 'between' in chosen and (not isinstance(chosen['between'], list | tuple) or len(chosen['between']) != 2):
        raise ValueError(f'`between` names two sites, got {chosen["between"]!r}')
    if 'number' in chosen:
        chosen['numbers'] = [chosen.pop('number')]
    chosen.setdefault('ion', state.get('ion'))
    if chosen['ion'] is None:
        raise ValueError('no `ion` is named: give the chemical symbol of the migrating ion, such as Li')
    if state.get('ion') == chosen['ion'] and 'mechanism' in state:  # not where the crystal is not known yet
        chosen.setdefault('mechanism', state['mechanism'])
        if chosen['mechanism'] == state['mechanism'] and 'sites' not in chosen:
            if state['mechanism'] == 'interstitial':
                chosen['sites'] = state['sites']
            if 'between' in chosen:
                chosen['between'] = [_place(site, state) for site in chosen['between']]
    return chosen


def _place(site: Any, state: Mapping[str, Any]) -> Any:
    """Return where a site of the crystal before ions were taken out is now; coordinates stay."""
    from aiida_embarrier.structures.charge_states import place_in_state

    if isinstance(site, bool) or not isinstance(site, int):
        return site
    return place_in_state(site, state['removed'], state['kept'], state['mechanism'])


def numbered(structure: Structure, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Return which hops are meant with the number of the hop between two sites instead of these.

    :param structure: the host.
    :param chosen: from :func:`hops_in_state`.
    :raises ValueError: for sites that there are not, and between which there is no hop.
    """
    from aiida_embarrier.structures.hop_between import hop_between

    result = dict(chosen)
    sites = result.pop('between', None)
    if sites is None:
        return result
    options = {key: chosen[key] for key in ('mechanism', 'sites', 'symprec') if key in chosen}
    try:
        hop = hop_between(structure, chosen['ion'], *sites, **options).distinct
        longest = max(chosen.get('max_length', 0.0), hop.length + 0.01)  # so that it is found again, however long it is
    except TypeError as error:
        raise ValueError(f'a value of the hop {dict(chosen)} is of the wrong kind: {error}') from error
    return {**result, 'numbers': [hop.number], 'max_length': longest}


@calcfunction
@refuse_politely
def rank_orderings(table: TableData, ordering: StructureData, parameters: Dict, **results: Dict) -> TableData:
    """Rank orderings by the energies of their relaxed structures, those that were not relaxed by what is known of them.

    :param table: the orderings: `number`, `multiplicity`, `ewald_energy`.
    :param ordering: one of them, for the number of formula units.
    :param parameters: `failures`, why an ordering has no relaxed energy, by label.
    :param results: results of the relaxations, whose `tasks` are the orderings.
    :return: the table with `relaxed_energy` in eV per formula unit, `status`, `message`, and `rank`, 1 for the ground
        state: by relaxed energy where any is known, else by Ewald energy; None for orderings that were not compared.
    """
    frame = table.table
    _, units = structure_from_node(ordering).composition.get_reduced_formula_and_factor()
    failures = parameters['failures']
    tasks = {label: task for node in results.values() for label, task in node['tasks'].items()}
    labels = [ordering_label(int(number)) for number in frame['number']]
    frame['relaxed_energy'] = [
        tasks[label]['energy'] / units if label in tasks and label not in failures else float('nan') for label in labels
    ]
    frame['status'] = [
        'failed' if label in failures else 'relaxed' if label in tasks else 'not relaxed' for label in labels
    ]
    frame['message'] = [failures.get(label, '') for label in labels]
    by = 'relaxed_energy' if tasks else 'ewald_energy'
    # orderings of the same energy (or of none) come in the order of their numbers
    ranks = frame[by].rank(method='first') if frame[by].notna().any() or tasks else frame['number'].rank()
    frame['rank'] = ranks.astype('Int64')
    return TableData(
        frame,
        units={**table.units, 'relaxed_energy': 'eV per formula unit'},
        title=(table.title or 'Orderings').removesuffix('.') + ', ranked',
    )


def lowest_ordering(table: TableData) -> str | None:
    """Return the label of the ordering of rank 1, None where there is none."""
    frame = table.table
    first = frame[(frame['rank'] == 1).fillna(False).astype(bool)]
    return ordering_label(int(first['number'].iloc[0])) if len(first) else None


@calcfunction
def summarise_derivation(parameters: Dict, **nodes: Any) -> Dict:
    """Summarise how a structure was derived.

    :param parameters: `branches` (for each branch of the flow chart its `step`, what was `taken` and `why`),
        `warnings`, `failures` by label, `message`, why it ended early, and `relaxed_in`, the step and label of the
        relaxation of the structure.
    :param nodes: `structure`, the derived structure, and results of the relaxations, `results_STEP`.
    :return: the same, with the energy of the structure in eV, its volume in Å³, and what all jobs took.
    """
    results = {name.removeprefix('results_'): node for name, node in nodes.items() if name.startswith('results_')}
    summary = {**parameters.get_dict(), **cost_of(results)}
    structure = nodes.get('structure')
    if structure is not None:
        crystal = structure_from_node(structure)
        formula, units = crystal.composition.get_reduced_formula_and_factor()
        summary |= {'formula': formula, 'formula_units': int(units), 'volume': float(crystal.volume)}
    step, label = summary.pop('relaxed_in') or (None, None)
    summary['energy'] = results[step]['tasks'][label]['energy'] if step in results else None
    return Dict(summary)
