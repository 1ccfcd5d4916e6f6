"""The features of elements."""

import numpy as np
import pytest

from aiida_embarrier.learning.elements import PROPERTIES, features, known


def ones(number: int) -> dict[str, list[int]]:
    """Return which columns of each property of an element are ones."""
    parts = np.split(features()[number], np.cumsum(list(PROPERTIES.values()))[:-1])
    return {name: np.flatnonzero(part).tolist() for name, part in zip(PROPERTIES, parts, strict=True)}


def test_table():
    """92 columns of zeros and ones, at most a one for each property, that tell elements to barium apart."""
    table = features()
    assert table.shape == (101, 92)
    assert table.dtype == np.float32
    assert set(np.unique(table)) == {0, 1}
    assert not table[0].any()
    assert all(len(columns) <= 1 for number in range(101) for columns in ones(number).values())
    same = {(a, b) for a in range(1, 57) for b in range(1, a) if (table[a] == table[b]).all()}
    assert same == set()
    with pytest.raises(ValueError, match='read-only'):
        table[1, 1] = 5


@pytest.mark.parametrize(
    ('number', 'group', 'period', 'block'),
    [(1, 1, 0, 0), (2, 18, 0, 0), (8, 16, 1, 1), (26, 8, 3, 2), (57, 0, 5, 3), (71, 3, 5, 2), (92, 0, 6, 3)],
)
def test_periodic_table(number, group, period, block):
    """Group, period (the first is 0) and block (s, p, d, f) are those of the periodic table."""
    found = ones(number)
    assert (found['group'], found['period'], found['block']) == ([group], [period], [block])


def test_bins_rise_with_the_quantity():
    """Bins are in the order of their quantity: fluorine draws electrons more than lithium, caesium is larger."""
    fluorine, lithium, caesium = (ones(number) for number in (9, 3, 55))
    assert caesium['electronegativity'] < lithium['electronegativity'] < fluorine['electronegativity']
    assert fluorine['covalent_radius'] < lithium['covalent_radius'] < caesium['covalent_radius']
    assert caesium['ionisation_energy'] < lithium['ionisation_energy'] < fluorine['ionisation_energy']


def test_known():
    """Elements from hydrogen to fermium have features; what is no element has none."""
    assert known([0, -1, 1, 100, 101, 118]).tolist() == [False, False, True, True, False, False]
