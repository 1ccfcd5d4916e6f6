"""Calcfunctions that derive a crystal from another one: species and volume, and the charge state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.engine import calcfunction
from aiida.orm import Dict, StructureData

from aiida_embarrier.calculations.parameters import check_keys
from aiida_embarrier.calculations.refusal import refuse_politely
from aiida_embarrier.data.convert import node_from_structure, structure_from_node

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pymatgen.core import Structure

    from aiida_embarrier.structures.charge_states import ChargeState

__all__ = ('charge_state', 'in_charge_state', 'substitute_and_scale')

SCALING_KEYS = (
    'substitute',
    'oxidation_states',
    'guess_oxidation_states',
    'indices',
    'compensation',
    'radii',
    'require_isostructural',
)
CHARGE_KEYS = (
    'ion',
    'state',
    'count',
    'remove',
    'indices',
    'oxidation_states',
    'compensation',
    'guess_oxidation_states',
)


@calcfunction
@refuse_politely
def substitute_and_scale(
    structure: StructureData,
    parameters: Dict,
    kinds: Dict | None = None,
    parent: StructureData | None = None,
    parent_kinds: Dict | None = None,
) -> dict[str, Any]:
    """Exchange species of a crystal, or take one as it is, and scale its cell to the volume that its parent predicts.

    :param structure: the parent, where species are exchanged; or the derived crystal, where a `parent` is given.
    :param parameters: `substitute` (new element by old one; left out where a `parent` is given), `oxidation_states` (by
        element), `guess_oxidation_states`, `indices`, `compensation`: see
        :func:`~aiida_embarrier.structures.substitution.substitute`; `radii`, `require_isostructural`: see
        :func:`~aiida_embarrier.structures.volumes.scale_volume`. Atoms are kept where they are in the cell.
    :param kinds: moments, oxidation states and U of the kinds of `structure`.
    :param parent: the crystal whose volume is known; None for `structure` itself.
    :param parent_kinds: the same of the kinds of `parent`.
    :return: `structure`, `kinds`, and `results`: formulas, volumes, radii and which were used, warnings.
    """
    from aiida_embarrier.structures.substitution import substitute
    from aiida_embarrier.structures.volumes import scale_volume

    settings = parameters.get_dict()
    check_keys(settings, SCALING_KEYS)
    given = structure_from_node(structure, kinds)
    reference = given if parent is None else structure_from_node(parent, parent_kinds)
    species = settings.get('substitute') or {}
    if not species and parent is None:
        raise ValueError('nothing is to be done: name species in `substitute`, or a `parent`')
    derived = given
    notes: list[str] = []
    changed: dict[str, tuple[float, float]] = {}
    if species:
        made = substitute(
            given,
            species,
            settings.get('oxidation_states'),
            settings.get('indices'),
            settings.get('compensation', 'spread'),
            settings.get('guess_oxidation_states', False),
        )
        derived, notes, changed = made.structure, list(made.warnings), made.changed
        if parent is None and made.parent is not None:
            reference = made.parent  # the radii of both go by the states that were given or guessed
    predicted = scale_volume(
        derived,
        reference,
        radii=settings.get('radii', 'ionic-atomic'),
        require_isostructural=settings.get('require_isostructural', True),
    )
    notes += predicted.warnings
    if predicted.fell_back and species and 'given' not in predicted.oxidation_states:
        notes.append(
            'for ionic radii give the oxidation states as `oxidation_states`, or have them guessed with '
            '`guess_oxidation_states: true`, beside `substitute` (under `substitution` in a file of --steps)'
        )
    node, table = node_from_structure(predicted.structure)
    results = {
        **predicted.to_dict(),
        'formula': predicted.structure.composition.reduced_formula,
        'parent_formula': reference.composition.reduced_formula,
        'parent_volume': float(reference.volume),
        'substituted': dict(species),
        'oxidation_states_changed': {element: list(pair) for element, pair in changed.items()},
        'warnings': notes,
    }
    return {'structure': node, 'kinds': table, 'results': Dict(results)}


@calcfunction
@refuse_politely
def charge_state(structure: StructureData, parameters: Dict, kinds: Dict | None = None) -> dict[str, Any]:
    """Take intercalants out of a discharged host; oxidation states and moments follow.

    :param structure: the discharged host.
    :param parameters: `ion`, `state` (`discharged`, `charged`, `dilute` or a share of occupied sites), `count`,
        `remove`, `indices`, `oxidation_states`, `compensation`, `guess_oxidation_states`: see
        :func:`~aiida_embarrier.structures.charge_states.set_charge_state`.
    :param kinds: moments, oxidation states and U of its kinds.
    :return: `structure`, `kinds`, and `results`: `mechanism` and `sites` for hops in this state, `removed`, `kept`,
        `content`, `oxidation_states_changed`, `warnings` and more.
    """
    made = in_charge_state(structure_from_node(structure, kinds), parameters.get_dict())
    node, table = node_from_structure(made.structure)
    formula = made.structure.composition.reduced_formula
    return {'structure': node, 'kinds': table, 'results': Dict({**made.to_dict(), 'formula': formula})}


def in_charge_state(structure: Structure, settings: Mapping[str, Any]) -> ChargeState:
    """Return a host in the charge state that parameters of :func:`charge_state` describe.

    :raises ValueError: for unknown and missing parameters, values of the wrong kind, and states that there are not.
    """
    from aiida_embarrier.structures.charge_states import set_charge_state

    check_keys(settings, CHARGE_KEYS)
    if 'ion' not in settings:
        raise ValueError('charge_state: no `ion` is named: give the chemical symbol of the intercalant, such as Li')
    try:
        return set_charge_state(
            structure,
            settings['ion'],
            settings.get('state'),
            count=settings.get('count'),
            remove=settings.get('remove'),
            indices=settings.get('indices'),
            oxidation_states=settings.get('oxidation_states'),
            compensation=settings.get('compensation', 'spread'),
            guess=settings.get('guess_oxidation_states', False),
        )
    except TypeError as error:
        raise ValueError(f'a value of the charge state {dict(settings)} is of the wrong kind: {error}') from error
