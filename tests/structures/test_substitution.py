"""Species exchanged: what they carry, and who takes up the difference in charge."""

import pytest

from aiida_embarrier.structures.oxidation import oxidation_states_of, usual_oxidation_state, with_oxidation_states
from aiida_embarrier.structures.substitution import substitute


@pytest.fixture
def charged_olivine(olivine):
    """Return LiFePO4 with oxidation states and the moments of high-spin iron."""
    table = {'Li': 1, 'Fe': 2, 'P': 5, 'O': -2}
    symbols = [site.specie.symbol for site in olivine]
    olivine.add_site_property('magmom', [4.0 if symbol == 'Fe' else 0.0 for symbol in symbols])
    return with_oxidation_states(olivine, [table[symbol] for symbol in symbols])


def states(structure, element):
    found = oxidation_states_of(structure)
    return {state for site, state in zip(structure, found, strict=True) if site.specie.symbol == element}


def moments(structure, element):
    return {site.properties['magmom'] for site in structure if site.specie.symbol == element}


def test_ions_of_the_same_charge_leave_the_host_alone(charged_olivine):
    made = substitute(charged_olivine, {'Li': 'Na'})
    assert made.structure.composition.reduced_formula == 'NaFePO4'
    assert made.sites == (0, 1, 2, 3)
    assert (made.changed, made.warnings) == ({}, ())
    assert states(made.structure, 'Na') == {1.0}
    assert states(made.structure, 'Fe') == {2.0}
    assert moments(made.structure, 'Fe') == {4.0}
    assert made.structure.lattice == charged_olivine.lattice


def test_the_metal_takes_up_the_charge_of_other_ions(charged_olivine):
    made = substitute(charged_olivine, {'Li': 'Mg'}, indices=[0, 1])
    assert made.structure.composition.formula == 'Li2 Mg2 Fe4 P4 O16'
    assert made.changed == {'Fe': (2.0, 1.5)}
    assert 'oxidation state +1.50' in made.warnings[0]
    assert states(made.structure, 'Fe') == {1.5}
    assert states(made.structure, 'Li') == {1.0}
    assert sum(oxidation_states_of(made.structure)) == pytest.approx(0)
    # high-spin d6 to halfway between d6 and d7
    assert moments(made.structure, 'Fe') == {3.5}


def test_states_are_guessed_only_when_asked(olivine):
    plain = substitute(olivine, {'Li': 'K'})
    assert oxidation_states_of(plain.structure) is None
    guessed = substitute(olivine, {'Li': 'K'}, guess=True)
    assert states(guessed.structure, 'K') == {1.0}
    assert states(guessed.structure, 'P') == {5.0}
    given = substitute(olivine, {'Fe': 'Mn'}, {'Fe': 2, 'Mn': 2})
    assert states(given.structure, 'Mn') == {2.0}
    # The parent has the states that were taken for it, and is left as it was.
    assert oxidation_states_of(plain.parent) is None
    assert states(guessed.parent, 'Li') == {1.0}
    assert states(guessed.parent, 'Fe') == {2.0}
    assert oxidation_states_of(olivine) is None


def test_what_cannot_be_is_refused(olivine, charged_olivine):
    with pytest.raises(ValueError, match="there is no 'Na' in LiFePO4"):
        substitute(olivine, {'Na': 'Li'})
    with pytest.raises(ValueError, match=r"'Sodium' is no element.*did you mean Na"):
        substitute(olivine, {'Li': 'Sodium'})
    with pytest.raises(ValueError, match='no species are exchanged'):
        substitute(olivine, {})
    with pytest.raises(ValueError, match='Li would be exchanged for itself'):
        substitute(olivine, {'Li': 'Li'})
    with pytest.raises(ValueError, match=r'site 7 is none of those of Li: choose from \[0, 1, 2, 3\]'):
        substitute(olivine, {'Li': 'Na'}, indices=[7])
    with pytest.raises(ValueError, match=r'oxidation state of Mn is not certain.*--oxidation Mn='):
        substitute(charged_olivine, {'Fe': 'Mn'})
    with pytest.raises(ValueError, match='oxidation state of Fe is not certain'):
        usual_oxidation_state('Fe')
