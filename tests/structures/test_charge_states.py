"""Charge states: which ions go, what the metals become, and hops in the emptied host."""

import itertools

import numpy as np
import pytest
from pymatgen.analysis.ewald import EwaldSummation
from pymatgen.core import Structure

from aiida_embarrier.structures import charge_states
from aiida_embarrier.structures.charge_states import set_charge_state
from aiida_embarrier.structures.endpoints import make_endpoints
from aiida_embarrier.structures.hops import find_hops
from aiida_embarrier.structures.oxidation import decorated, oxidation_states_of, with_oxidation_states
from aiida_embarrier.structures.supercells import Supercell


@pytest.fixture
def host(olivine):
    """Return LiFePO4 with oxidation states and the moments of antiferromagnetic high-spin iron."""
    table = {'Li': 1, 'Fe': 2, 'P': 5, 'O': -2}
    symbols = [site.specie.symbol for site in olivine]
    signs = itertools.cycle([1, -1])
    olivine.add_site_property('magmom', [4.0 * next(signs) if symbol == 'Fe' else 0.0 for symbol in symbols])
    return with_oxidation_states(olivine, [table[symbol] for symbol in symbols])


def iron(structure):
    found = oxidation_states_of(structure)
    return [
        (state, site.properties['magmom'])
        for site, state in zip(structure, found, strict=True)
        if site.specie.symbol == 'Fe'
    ]


def test_discharged_is_the_host_as_given(host):
    made = set_charge_state(host, 'Li', 'discharged')
    assert made.structure.composition == host.composition
    assert (made.mechanism, made.content, made.removed, len(made.sites)) == ('vacancy', 1.0, (), 0)
    assert iron(made.structure)[0] == (2.0, 4.0)


def test_charged_has_no_ion_and_oxidised_iron_with_its_moments(host):
    made = set_charge_state(host, 'Li', 'charged')
    assert made.structure.composition.reduced_formula == 'FePO4'
    assert (made.removed, made.kept, made.content) == ((0, 1, 2, 3), (), 0.0)
    assert made.mechanism == 'interstitial'
    np.testing.assert_allclose(made.sites, host.frac_coords[:4])
    assert iron(made.structure) == [(3.0, 5.0), (3.0, -5.0), (3.0, 5.0), (3.0, -5.0)]
    assert made.changed == {'Fe': (2.0, 3.0)}
    assert made.warnings == ()
    assert sum(oxidation_states_of(made.structure)) == pytest.approx(0)


def test_content_between_is_that_of_the_lowest_ewald_energy(host):
    made = set_charge_state(host, 'Li', 0.5)
    energies = {}
    for removed in itertools.combinations(range(4), 2):
        left = host.copy()
        left.remove_sites(removed)
        states = [2.5 if site.specie.symbol == 'Fe' else site.properties['oxidation_state'] for site in left]
        energies[removed] = EwaldSummation(decorated(left, states), w=1 / 2**0.5).total_energy
    lowest = min(energies.values())
    best = sorted(removed for removed, energy in energies.items() if energy < lowest + 1e-4)
    assert made.removed == best[0]
    assert made.choices == (6, len(best))
    assert max(energies.values()) > lowest + 0.1
    assert {state for state, _ in iron(made.structure)} == {2.5}
    assert {abs(moment) for _, moment in iron(made.structure)} == {4.5}


def test_without_oxidation_states_the_ions_keep_away_from_each_other(olivine):
    made = set_charge_state(Supercell(olivine, [1, 2, 1]).structure, 'Li', count=2, state='given')
    assert len(made.kept) == 2
    assert 'by their distances from each other alone' in made.warnings[0]
    assert oxidation_states_of(made.structure) is None
    cell = Supercell(olivine, [1, 2, 1]).structure
    kept = cell.distance_matrix[made.kept[0], made.kept[1]]
    lithium = cell.distance_matrix[np.ix_(made.kept + made.removed, made.kept + made.removed)]
    assert kept == pytest.approx(lithium.max())


def test_states_are_guessed_or_given_when_asked(olivine):
    made = set_charge_state(olivine, 'Li', 'charged', guess=True)
    assert made.changed == {'Fe': (2.0, 3.0)}
    given = set_charge_state(olivine, 'Li', 'charged', oxidation_states={'Li': 1})
    assert given.changed == {'Fe': (2.0, 3.0)}


def test_localised_charges_are_whole(host):
    made = set_charge_state(host, 'Li', 0.25, compensation='localised')
    assert sorted(state for state, _ in iron(made.structure)) == [2.0, 3.0, 3.0, 3.0]
    assert {abs(moment) for state, moment in iron(made.structure) if state == 3.0} == {5.0}


def test_given_ions_go_and_ions_of_the_framework_stay(host):
    made = set_charge_state(host, 'Li', 'given', remove=[1, 3])
    assert made.removed == (1, 3)
    assert made.content == 0.5
    only = set_charge_state(host, 'Li', 'charged', indices=[0, 1])
    assert only.structure.composition.formula == 'Li2 Fe4 P4 O16'
    assert (only.removed, only.content) == ((0, 1), 0.0)


def test_dilute_keeps_one_ion(host):
    made = set_charge_state(host, 'Li', 'dilute')
    assert len(made.kept) == 1
    assert made.choices == (4, 4)
    alone = Structure(host.lattice, ['Li', 'Fe', 'O'], [[0, 0, 0], [0.5, 0.5, 0.5], [0.25, 0.25, 0.25]])
    assert 'one Li only' in set_charge_state(alone, 'Li', 'dilute').warnings[0]


def test_hops_of_the_emptied_host_are_those_of_the_full_one(host):
    """One ion put in where others were hops between the same places over the same distances."""
    made = set_charge_state(host, 'Li', 'charged')
    full = find_hops(host, 'Li', max_length=6.0)
    empty = find_hops(made.structure, 'Li', mechanism='interstitial', sites=made.sites, max_length=6.0)
    assert [hop.length for hop in empty] == pytest.approx([hop.length for hop in full])
    assert [hop.multiplicity for hop in empty] == [hop.multiplicity for hop in full]
    assert [hop.direction for hop in empty] == [hop.direction for hop in full]
    ends = make_endpoints(made.structure, empty[0], supercell=[1, 2, 2])
    others = make_endpoints(host, full[0], supercell=[1, 2, 2])
    assert ends.initial.composition['Li'] == 1
    np.testing.assert_allclose(
        ends.final[0].coords - ends.initial[0].coords, others.final[0].coords - others.initial[0].coords, atol=1e-6
    )


def test_metals_that_cannot_be_oxidised_leave_no_states(host):
    zinc = host.copy()
    zinc.replace_species({'Fe': 'Zn'})
    made = set_charge_state(zinc, 'Li', 'charged')
    assert oxidation_states_of(made.structure) is None
    assert 'cannot take up 4 e' in made.warnings[0]


@pytest.mark.parametrize(
    ('state', 'settings', 'message'),
    [
        (0.4, {}, r'0.4 of the 4 ions of the cell is no whole number: 0.25 and 0.5 are the nearest'),
        (1.5, {}, '1.5 is no charge state: give discharged, charged, dilute, or a share'),
        ('charge', {}, "'charge' is no charge state"),
        ('charged', {'indices': [5]}, r'Fe \(site 5 at .*\) is no Li'),
        ('charged', {'indices': []}, 'no site of the intercalant is named'),
        ('given', {'remove': [7]}, r'site 7 is no intercalant: choose from \[0, 1, 2, 3\]'),
        ('given', {'count': 5}, '5 ions cannot stay: the cell has 4'),
    ],
)
def test_what_makes_no_sense_is_refused(olivine, state, settings, message):
    with pytest.raises(ValueError, match=message):
        set_charge_state(olivine, 'Li', state, **settings)


def test_too_many_choices_are_counted_and_refused(olivine, monkeypatch):
    monkeypatch.setattr(charge_states, 'MAX_CHOICES', 5)
    with pytest.raises(ValueError, match='there are 6 ways to remove 2 of 4 ions, more than 5'):
        set_charge_state(olivine, 'Li', 0.5)


def test_a_crystal_of_the_ion_alone_is_refused(olivine):
    lithium = Structure(olivine.lattice, ['Li'], [[0, 0, 0]])
    with pytest.raises(ValueError, match='nothing is left'):
        set_charge_state(lithium, 'Li', 'charged')


def test_the_state_is_called_what_it_is(olivine):
    assert set_charge_state(olivine, 'Li').state == 'discharged'
    assert set_charge_state(olivine, 'Li', count=2).state == 'given'
    assert set_charge_state(olivine, 'Li', remove=[0]).state == 'given'
    for ways in ({'state': 'charged', 'remove': [0]}, {'state': 0.5, 'count': 1}, {'count': 1, 'remove': [0]}):
        with pytest.raises(ValueError, match=' both say which ions stay: give one of them'):
            set_charge_state(olivine, 'Li', **ways)
