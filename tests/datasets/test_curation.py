"""Rows are chosen and put together, and what is left out is named with the reason."""

import numpy as np
import pandas as pd
import pytest

from aiida_embarrier.datasets.curation import curate_rows, filter_rows
from aiida_embarrier.datasets.joining import join_labels, join_rows
from aiida_embarrier.datasets.schema import check_rows, flags_of
from aiida_embarrier.datasets.tables import write_parquet


def reasons(found):
    return dict(zip(found.left_out['name'], found.left_out['reason'], strict=True))


def test_conditions(barriers):
    """Each condition against a plain selection; rows without a value meet no condition on it."""
    frame = barriers.frame
    by_hand = {
        'ion': ('Li', frame['ion'] == 'Li'),
        'functional': (['GGA', 'LDA'], frame['functional'].isin(['GGA', 'LDA'])),
        'barrier': ({'min': 0.2, 'max': 0.65}, frame['barrier'].between(0.2, 0.65)),
        'mace_relax': ({'max': 1.0}, frame['mace_relax'] <= 1.0),
        'name': ({'contains': 'PO4'}, frame['name'].str.contains('PO4')),
        'crystal_system': ({'not': ['Cubic']}, frame['crystal_system'] != 'Cubic'),
        'repairs': ({'known': True}, frame['repairs'].notna()),
        'flags': ({'known': False}, frame['flags'].isna()),
    }
    for column, (condition, expected) in by_hand.items():
        found = filter_rows(frame, {column: condition})
        assert list(found.frame['name']) == list(frame['name'][expected]), column
        assert list(found.left_out['name']) == list(frame['name'][~expected])
        check_rows(found.frame, 'barrier')
    assert frame['mace_relax'].isna().any(), 'some rows have no value'
    assert list(filter_rows(frame, {'jid': ['3', 4]}).frame['jid']) == [3, 4], 'a command line has texts'
    assert list(filter_rows(frame.assign(note='12'), {'note': '12'}).frame['jid']) == list(frame['jid'])
    both = filter_rows(frame, {'ion': 'Mg', 'barrier': {'max': 0.3}})
    assert list(both.frame['name']) == list(frame['name'][(frame['ion'] == 'Mg') & (frame['barrier'] <= 0.3)])
    assert reasons(both)['Li4P2S7'] == 'ion is not Mg'
    assert set(both.left_out['reason']) == {'ion is not Mg', 'barrier is not at most 0.3'}


def test_flags(barriers):
    frame = barriers.frame
    without = filter_rows(frame, {'flags': {'not': ['coinciding_atoms', 'close_ion']}}).frame
    bad = {row['name'] for row in frame.to_dict('records') if {'coinciding_atoms', 'close_ion'} & set(flags_of(row))}
    assert set(frame['name']) - set(without['name']) == bad
    only = filter_rows(frame, {'flags': 'unwrapped_hop'}).frame
    assert len(only) == 12
    assert {'unwrapped_hop' in flags_of(row) for row in only.to_dict('records')} == {True}


def test_groups_are_those_of_the_rows_that_are_left(barriers):
    """A group is named by its first row, which may be one that was left out."""
    frame = barriers.frame
    group = frame[frame['family_group'] == frame['family_group'].mode()[0]]
    first = group['family_group'].iloc[0]
    found = filter_rows(frame, {'name': {'not': [first]}}).frame
    rest = found[found['name'].isin(group['name'])]
    assert first not in set(found['family_group'])
    assert rest['family_group'].nunique() >= 1


def test_conditions_that_make_no_sense(barriers):
    for conditions, message in (
        ({'iom': 'Li'}, "no column 'iom': did you mean 'ion'"),
        ({'ion': {'below': 1}}, "no condition 'below' on ion: choose from min, max"),
        ({'ion': {'min': 1}}, 'holds no numbers'),
        ({'flags': ['none']}, "no defect 'none': choose from coinciding_atoms"),
        ({'flags': {'min': 1}}, "flags have no 'min'"),
        ({'barrier': {'max': '1'}}, "max of 'barrier' is a number, not '1'"),
        ({'barrier': 'low'}, "the column 'barrier' holds numbers: could not convert string to float: 'low'"),
        ({'barrier': {'max': -1}}, 'no row meets the conditions: loosen them'),
    ):
        with pytest.raises(ValueError, match=message):
            filter_rows(barriers.frame, conditions)


def test_rows_of_two_datasets(barriers):
    """A dataset that was parted comes back; of rows in both one side is kept."""
    frame = barriers.frame
    one, other = frame.head(300), frame.tail(300).reset_index(drop=True)
    with pytest.raises(ValueError, match=r'41 name\(s\) are in both datasets .*left or right \(--duplicates\)'):
        join_rows(one, other)
    changed = other.assign(barrier=9.0)
    for side, value in (('left', False), ('right', True)):
        joined = join_rows(one, changed, side)
        assert (len(joined.frame), len(joined.left_out)) == (559, 41)
        twice = joined.frame.set_index('name').loc[sorted(set(one['name']) & set(other['name'])), 'barrier']
        assert (twice == 9.0).all() == value
    whole = join_rows(one, frame.tail(259).reset_index(drop=True)).frame
    pd.testing.assert_frame_equal(whole, frame)
    with pytest.raises(ValueError, match='a barrier and a property dataset'):
        join_rows(one, one.drop(columns='barrier').assign(target=1.0))
    with pytest.raises(ValueError, match="no 'both' for duplicates"):
        join_rows(one, other, 'both')


def test_truth_values_with_gaps(barriers):
    """A column of truth values that only some rows have is one that a table keeps."""
    one, other = barriers.frame[:3], barriers.frame[3:5].reset_index(drop=True)
    both = join_rows(one.assign(checked=[True, False, True]), other).frame
    assert both['checked'].dtype == 'boolean'
    assert both['checked'].tolist() == [True, False, True, pd.NA, pd.NA]
    labels = pd.DataFrame({'name': one['name'][:2], 'checked': [True, None]})
    write_parquet(join_labels(one, labels).frame)


def test_labels(barriers):
    frame = barriers.frame.head(5).drop(columns='flags', errors='ignore')
    labels = pd.DataFrame(
        {'name': [*frame['name'][::-1][:4], 'x'], 'note': list('edcbx'), 'ion': 'K', 'space_group': 'P1'}
    )
    found = join_labels(frame, labels)
    assert [None if pd.isna(note) else note for note in found.frame['note']] == [None, 'b', 'c', 'd', 'e']
    assert reasons(found) == {'x': 'the dataset has no row of this name'}
    gaps = frame.assign(space_group=['Pc', None, None, 'Pc', 'Pc'])
    assert list(join_labels(gaps, labels, ['space_group']).frame['space_group']) == ['Pc', 'P1', 'P1', 'Pc', 'Pc']
    replaced = join_labels(gaps, labels, ['space_group'], overwrite=True).frame['space_group']
    assert list(replaced) == ['Pc', 'P1', 'P1', 'P1', 'P1']
    for table, columns, message in (
        (labels.drop(columns='name'), None, 'no column name'),
        (pd.concat([labels, labels]), None, 'more than once'),
        (labels, ['none'], "no column 'none'"),
        (labels[['name', 'ion']], None, 'no column that the dataset has not'),
    ):
        with pytest.raises(ValueError, match=message):
            join_labels(frame, table, columns)


def test_labels_that_follow_from_joined_ones(barriers):
    """Flags and merged classes are those of the labels that were joined; barrier and structure no table replaces."""
    frame = barriers.frame[barriers.frame['flags'].isna() & (barriers.frame['charge_state'] == 'charged')]
    frame = frame.head(3).drop(columns='flags').assign(mechanism=[None, 'interstitial', None])
    new = {
        'structural_class': ['SPINELS', frame['structural_class'].iloc[1], None],
        'mechanism': ['vacancy', None, None],
    }
    table = pd.DataFrame({'name': frame['name'], 'barrier': 9.0, 'final_lattice': '[]', 'flags': '["x"]', **new})
    found = join_labels(frame, table, list(new), overwrite=True).frame
    assert found['structural_group'].tolist() == ['SPINEL', *frame['structural_group'][1:]]
    assert found['charge_state'].tolist() == ['discharged', 'charged', 'charged']
    assert [flags_of(row) for row in found.to_dict('records')] == [['class_alias'], [], []]
    back = join_labels(found, frame, ['structural_class'], overwrite=True).frame
    assert 'flags' not in back
    assert back['structural_group'].tolist() == frame['structural_group'].tolist()
    for column, why in (('barrier', 'the rows are about'), ('final_lattice', 'the rows are about'), ('flags', 'anew')):
        with pytest.raises(ValueError, match=f"the column '{column}' is no label .*{why}"):
            join_labels(frame, table, [column], overwrite=True)
    assert 'final_lattice' not in join_labels(frame, table.assign(note='a')).frame


def test_rows_of_bands(barriers):
    """Rows without labels of paths are told apart by their hops, and a note says which rule went without what."""
    row = barriers.frame.head(1).drop(columns=['path_label', 'space_group'])
    kinds = [('GGA', 3.0), ('SCAN', 3.02), ('SCAN', 3.3)]
    frame = pd.concat([row.assign(name=f'{kind}_{hop}', functional=kind, hop_length=hop) for kind, hop in kinds])
    found = curate_rows(frame.reset_index(drop=True))
    assert list(found.frame['name']) == ['GGA_3.0', 'SCAN_3.3']
    assert found.notes == (
        'the rule same_path goes without space_group, path_label: no row says it',
        'paths are told apart by the length of their hop, to 0.1 Å',
        'the rule complete goes without space_group: no row says it',
    )
    assert curate_rows(barriers.frame.head(3)).notes == ()
    with pytest.raises(ValueError, match="no column 'path_label'"):
        curate_rows(frame.reset_index(drop=True), {'same_path': ['path_label']})
    with pytest.raises(ValueError, match="no column 'functional'"):
        curate_rows(frame.drop(columns='functional'))


def test_preferred_functionals(barriers):
    """Of several rows of one path those with GGA or GGA+U stay; a path with another functional only stays, too."""
    row = barriers.frame.head(1)
    functionals = ['LDA', 'GGA', 'SCAN', 'GGA+U']
    same = pd.concat([row.assign(name=f'same_{name}', functional=name) for name in functionals])
    alone = row.assign(name='alone', functional='SCAN', path_label='another')
    unsaid = row.assign(name='unsaid', functional=np.nan, path_label='third')
    frame = pd.concat([same, alone, unsaid], ignore_index=True)
    found = curate_rows(frame)
    assert list(found.frame['name']) == ['same_GGA', 'same_GGA+U', 'alone']
    assert reasons(found) == {
        'same_LDA': 'LDA, while same_GGA, same_GGA+U has a preferred functional for the same path',
        'same_SCAN': 'SCAN, while same_GGA, same_GGA+U has a preferred functional for the same path',
        'unsaid': 'it does not say its functional',
    }
    other = curate_rows(frame, {'preferred_functionals': ['SCAN'], 'complete': []})
    assert list(other.frame['name']) == ['same_SCAN', 'alone', 'unsaid']
    with pytest.raises(ValueError, match="no rule 'prefer': choose from same_path"):
        curate_rows(frame, {'prefer': 'GGA'})
    with pytest.raises(ValueError, match="no column 'phase'"):
        curate_rows(frame, {'same_path': ['phase']})


def test_published_rows_are_curated_already(barriers):
    assert len(curate_rows(barriers.frame).frame) == 559
    clean = curate_rows(barriers.frame, {'without_flags': ['coinciding_atoms']})
    assert len(clean.frame) == 559 - barriers.report['flags']['coinciding_atoms']
