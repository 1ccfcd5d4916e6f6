"""Tables come back as they were written, and their hash depends on what they hold only."""

import numpy as np
import pandas as pd
import pytest

from aiida_embarrier.datasets.tables import check_table, content_hash, read_parquet, write_parquet


def frame():
    return pd.DataFrame(
        {
            'barrier': [0.1, np.nan, -0.0, np.inf],
            'images': pd.array([7, None, 5, 9], dtype='Int64'),
            'count': np.array([1, 2, 3, 4], dtype='int32'),
            'small': np.array([0.1, 0.2, np.nan, 0.4], dtype='float32'),
            'share': pd.array([0.5, None, 0.25, 1.0], dtype='Float64'),
            'converged': [True, False, True, False],
            'climbing': pd.array([True, None, False, True], dtype='boolean'),
            'system': ['LiFePO4', None, '', 'γ-Li₃PO₄'],
            'functional': pd.Categorical(['pbe', 'scan', None, 'pbe'], categories=['pbe', 'scan', 'lda'], ordered=True),
            'when': pd.to_datetime(['2026-11-26', None, '2026-01-01', '1999-12-31']),
            'there': pd.to_datetime(['2026-11-26', None, '2026-01-01', '1999-12-31'], utc=True).tz_convert(
                'Asia/Tokyo'
            ),
            'took': pd.to_timedelta(['1 s', None, '2 days', '0 s']),
        }
    )


def test_exactly_what_was_put_in():
    back = read_parquet(write_parquet(frame()))
    pd.testing.assert_frame_equal(back, frame(), check_exact=True)
    assert list(back.dtypes) == list(frame().dtypes)
    assert np.signbit(back['barrier'][2])


def test_table_without_rows():
    empty = pd.DataFrame({'a': pd.Series(dtype='float64'), 'b': pd.Series(dtype='str')})
    pd.testing.assert_frame_equal(read_parquet(write_parquet(empty)), empty)
    assert content_hash(empty) == content_hash(empty.copy())


def test_hash_knows_the_content_only():
    reference = content_hash(frame())
    assert content_hash(frame().copy()) == reference
    assert content_hash(read_parquet(write_parquet(frame()))) == reference
    other_nan = frame()
    other_nan['barrier'] = np.array([0.1, np.uint64(0x7FF8000000000001).view('float64'), -0.0, np.inf])
    assert content_hash(other_nan) == reference
    as_objects = frame().astype({'system': object})
    assert content_hash(as_objects) == reference, 'text is text, whatever pandas keeps it in'
    big_endian = frame().astype({'count': '>i4'})
    assert content_hash(big_endian.astype({'count': 'int32'})) == reference


@pytest.mark.parametrize('name', list(frame().columns))
def test_hash_sees_every_change(name):
    reference = content_hash(frame())
    swapped = frame()
    swapped[name] = swapped[name].iloc[::-1].reset_index(drop=True)
    assert content_hash(swapped) != reference
    assert content_hash(frame().rename(columns={name: 'other'})) != reference
    assert (
        content_hash(frame()[[name, *(other for other in frame() if other != name)]]) != reference or name == 'barrier'
    )
    assert content_hash(frame().drop(columns=name)) != reference


def test_hash_sees_types_and_borders():
    assert content_hash(pd.DataFrame({'a': [1, 2]})) != content_hash(pd.DataFrame({'a': [1.0, 2.0]}))
    assert content_hash(pd.DataFrame({'a': ['ab', 'c']})) != content_hash(pd.DataFrame({'a': ['a', 'bc']}))
    assert content_hash(pd.DataFrame({'a': ['', None]})) != content_hash(pd.DataFrame({'a': [None, '']}))
    two = pd.DataFrame({'a': pd.Categorical(['x', 'y'])})
    renamed = pd.DataFrame({'a': pd.Categorical(['x', 'y'], categories=['y', 'x'])})
    assert content_hash(two) != content_hash(renamed)


def test_what_is_no_table():
    with pytest.raises(TypeError, match='a table is a pandas DataFrame, got list'):
        check_table([[1, 2]])
    for wrong, message in (
        (pd.DataFrame(), 'at least one column'),
        (pd.DataFrame([[1, 2]]), 'the name of a column is text, got 0'),
        (pd.DataFrame([[1, 2]], columns=['a', 'a']), "the column 'a' is there more than once"),
        (pd.DataFrame({'a': [1]}, index=['x']), 'numbered from 0: make a column of the index'),
        (pd.DataFrame({'a': [1, 2]}).iloc[1:], 'numbered from 0'),
        (pd.DataFrame({'a': [[1, 2], [3]]}), "the column 'a' holds list, .*JSON text"),
        (pd.DataFrame({'a': [{'b': 1}, 'c']}), "the column 'a' holds dict and str"),
        (pd.DataFrame({'a': [1 + 2j]}), "the column 'a' holds complex128"),
        (pd.DataFrame({'a': pd.Series([None, None], dtype=object)}), "the column 'a' holds nothing, so its type"),
        (pd.DataFrame({'a': pd.Series([1, None], dtype=object)}), "the column 'a' holds int.* with gaps as Int64"),
    ):
        for function in (check_table, write_parquet, content_hash):
            with pytest.raises(ValueError, match=message):
                function(wrong)
    with pytest.raises(ValueError, match="a unit is given for 'b', which is no column: choose from a"):
        check_table(pd.DataFrame({'a': [1]}), {'b': 'eV'})
