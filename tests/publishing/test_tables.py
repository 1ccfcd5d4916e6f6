"""Tables give back every number, and say how they differ."""

import pandas as pd
import pytest

from aiida_embarrier.publishing.numbers import COLUMNS, NUMBERS
from aiida_embarrier.publishing.tables import differences, read_numbers, write_numbers


def table(**columns):
    """Return a table of two bands with some values."""
    given = {'kind': ['band', 'band'], 'uuid': ['u1', 'u2'], 'n_ancestors': [3, 4], **columns}
    return pd.DataFrame({name: pd.array(given.get(name, [None, None]), dtype=dtype) for name, dtype, *_ in NUMBERS})


@pytest.mark.parametrize('suffix', ['.csv', '.parquet'])
def test_round_trip(tmp_path, suffix):
    frame = table(
        name=['one, "two"\nthree', None],
        formula=['NaN', 'Na3N'],  # sodium nitride is no missing value
        host=['NA', 'None'],
        barrier_forward=[0.1 + 0.2, 1 / 3],
        barrier_reverse=[5e-324, 0.24999999999999997],
        converged=[True, None],
        climbing=[None, False],
        n_images=[5, None],
    )
    write_numbers(frame, tmp_path / f'x{suffix}')
    back = read_numbers(tmp_path / f'x{suffix}')
    pd.testing.assert_frame_equal(back, frame, check_exact=True)
    assert list(back.columns) == list(COLUMNS)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('', 'is not the table of a publication'),
        ('a,b\n1,2\n', "it has no column 'kind'"),
        (','.join(COLUMNS) + '\n' + ','.join(['x'] * len(COLUMNS)) + '\n', 'could not convert'),
        (b'\xff\xfe\x00', 'is not the table of a publication'),
    ],
)
def test_what_is_no_table(tmp_path, content, message):
    path = tmp_path / 'x.csv'
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=message):
        read_numbers(path)


def test_other_suffixes_and_missing_files(tmp_path):
    with pytest.raises(ValueError, match=r'ends in none of \.csv, \.parquet'):
        read_numbers(tmp_path / 'x.xlsx')
    with pytest.raises(ValueError, match='there is no table'):
        read_numbers(tmp_path / 'x.csv')


def test_differences():
    given = table(barrier_forward=[0.3, 0.4], hop_length=[2.0, 3.0], converged=[True, None])
    assert differences(given, given.iloc[::-1], 'the archive') == []
    again = table(barrier_forward=[0.3, 0.4 + 1e-16], hop_length=[2.0 * (1 + 1e-15), 3.5], converged=[None, None])
    assert differences(given, again, 'the archive') == [
        'hop_length of u2 is 3.0 in the table, and 3.5 from the archive',
        'converged of u1 is True in the table, and nothing from the archive',
        f'barrier_forward of u2 is 0.4 in the table, and {0.4 + 1e-16!r} from the archive',
    ]
    assert differences(given, table(barrier_forward=[0.3, 0.4], hop_length=[2.0, 3.0]), 'x', 1e-13)
    assert differences(given.iloc[:1], given, 'x') == ['u2 was published, but is not in the table']
    assert differences(given, given.iloc[:1], 'x') == ['u2 is in the table, but not among what was published']
    assert 'more than once' in differences(pd.concat([given, given]), given, 'x')[0]


def test_digits_of_attributes():
    given, stated = table(barrier_forward=[0.1 + 0.2, 1.0]), table(barrier_forward=[0.3, 1.0])
    assert differences(given, stated, 'x')
    assert differences(given, stated, 'x', 1e-13) == []
    assert differences(given, table(barrier_forward=[0.3, 1.000000000001]), 'x', 1e-13)
