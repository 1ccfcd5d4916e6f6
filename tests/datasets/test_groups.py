"""Groups of rows that belong together, against the published ones and against pairs of rows."""

import json
from collections import defaultdict

import pandas as pd
import pytest

from aiida_embarrier.datasets.classes import canonical_space_group, class_groups, structural_group
from aiida_embarrier.datasets.groups import base_name, group_labels, with_groups
from aiida_embarrier.datasets.schema import GROUPS


def partition(labels):
    """Return the sets of names that share a label."""
    sets = defaultdict(set)
    for name, label in labels.items():
        sets[label].add(name)
    return {frozenset(names) for names in sets.values()}


@pytest.mark.parametrize(('column', 'number'), zip(GROUPS, (433, 279, 169, 241), strict=True))
def test_published_groups(barriers, shared_data, column, number):
    """All four labels part the published rows exactly as groups.json does."""
    published = json.loads((shared_data / 'barriers_train' / 'groups.json').read_text())
    ours = partition(dict(zip(barriers.frame['name'], barriers.frame[column], strict=True)))
    assert ours == partition({name: groups[column] for name, groups in published.items()})
    assert len(ours) == number


def test_families_hold_hosts_and_frameworks(barriers):
    for narrow in ('host_group', 'framework_group'):
        assert (barriers.frame.groupby(narrow)['family_group'].nunique() == 1).all()


def test_order_of_rows_does_not_matter(barriers):
    frame = barriers.frame
    mixed = frame.sample(frac=1, random_state=0).reset_index(drop=True)
    again = with_groups(mixed).set_index('name').loc[frame['name'], list(GROUPS)]
    pd.testing.assert_frame_equal(again.reset_index(drop=True), frame[list(GROUPS)])


def row(name, ion, species, length=10.0):
    return {'name': name, 'ion': ion, 'species': json.dumps(species), 'lattice': f'[[{length},0,0],[0,10,0],[0,0,10]]'}


def test_what_joins_rows():
    frame = pd.DataFrame(
        [
            row('A_1', 'Li', ['Mn', 'O', 'O']),
            row('A_2', 'Li', ['Mn', 'O', 'O', 'Li'], 11.0),  # the same name, another content
            row('B', 'Na', ['Mn', 'O', 'O'], 12.0),  # the same framework, another ion
            row('C', 'Li', ['O', 'O', 'Mn'], 10.001),  # the same cell, its atoms in another order
            row('D', 'Li', ['Co', 'O', 'O'], 12.0),
        ]
    )
    labels = group_labels(frame)
    assert list(labels['host_group']) == ['A_1', 'A_2', 'B', 'A_1', 'D']
    assert list(labels['framework_group']) == ['A_1', 'A_1', 'B', 'A_1', 'D']
    assert list(labels['family_group']) == ['A_1', 'A_1', 'A_1', 'A_1', 'D']
    assert list(labels['chemsys_group']) == ['Li-Mn-O', 'Li-Mn-O', 'Mn-Na-O', 'Li-Mn-O', 'Co-Li-O']
    assert [base_name(name) for name in ('A_1', 'Na2MnSiO4_pc_1', 'NiO2_Li')] == ['A', 'Na2MnSiO4_pc', 'NiO2_Li']


def test_metals_have_no_framework():
    """Hops in two metals join nothing, though both have no atoms but the ion."""
    frame = pd.DataFrame([row('A', 'Cu', ['Cu'] * 3), row('B', 'Al', ['Al'] * 3, 12.0), row('C', 'Cu', ['Cu'], 11.0)])
    assert list(group_labels(frame)['family_group']) == ['A', 'B', 'A']


def test_numbers_in_names_of_properties_join_nothing():
    """They tell no paths: `mp_12` and `mp_13` are two crystals."""
    frame = pd.DataFrame([row('mp_12', None, ['Mn', 'O']), row('mp_13', None, ['Co', 'O'], 12.0)]).drop(columns='ion')
    assert list(group_labels(frame)['family_group']) == ['mp_12', 'mp_13']


def test_classes(barriers):
    """35 labels are 27 groups, and all published rows have one of them."""
    groups = class_groups()
    assert (len(groups), len(set(groups.values()))) == (35, 27)
    assert set(barriers.frame['structural_class']) <= set(groups)
    assert structural_group(' post-spinel(CF)') == 'POST-SPINELS'
    assert structural_group('NEW ONES') == 'NEW ONES'
    assert structural_group(None) is None
    assert canonical_space_group('C m c a') == canonical_space_group('Bmab') == 'Cmce'
    assert canonical_space_group('Pnma') == 'Pnma'
    merged = barriers.frame['space_group'].map(canonical_space_group)
    assert merged.nunique() == barriers.frame['space_group'].nunique() - 5
