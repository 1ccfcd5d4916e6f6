"""The tables of design rules in the documentation are what their script makes."""

import pandas as pd
import pytest
from conftest import DOCS, EXAMPLES


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import design_rules_table

    return design_rules_table


@pytest.mark.slow
def test_the_tables_are_what_the_script_makes(literature, script):
    frame = pd.DataFrame(list(literature.values()))
    straight, bent = script.describe(frame, bent=False), script.describe(frame, bent=True)
    page = (DOCS / 'explanation' / 'design_rules.md').read_text()
    found = script.correlations(frame, straight, bent)
    assert script.rule_table(frame, bent) in page
    assert script.correlation_table(found) in page
    # what the page says of them
    assert found['bent'].abs().idxmax() == 'window_excess'
    assert found['one_ion'].abs().idxmax() == 'diagonal_fraction_window'
    assert found[['bent', 'one_ion']].abs().max().max() <= 0.505
    assert found.loc['stable_preferred', 'one_ion'] > 0.25 > 0.08 > abs(found.loc['stable_preferred', 'bent'])
    for name in ('min_anion_distance', 'valence_range', 'bond_range', 'econ_range'):
        assert abs(found.loc[name, 'bent']) > abs(found.loc[name, 'straight'])


@pytest.mark.filterwarnings('ignore:An input array is constant')
def test_ranks_among_one_ion_leave_out_what_differs_between_ions(literature, script):
    frame = pd.DataFrame([literature[name] for name in ('Mn2O4_Zn', 'Mn2O4_Ca', 'd-V2O5_Zn', 'd-V2O5_Ca')])
    bent = script.describe(frame, bent=True)
    found = script.correlations(frame, bent, bent)
    assert found.loc['ion_electronegativity'].isna().tolist() == [False, False, False, True]
    # zinc and calcium are both slower in the spinel, where they have fewer anions
    assert found.loc['coordination_stable', 'one_ion'] == pytest.approx(-1)
    assert abs(found.loc['coordination_stable', 'bent']) < 1
