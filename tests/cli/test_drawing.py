"""Pictures made of characters."""

import pytest

from aiida_embarrier.cli.drawing import draw_energy_path, draw_history


def test_energy_path():
    assert draw_energy_path([0.0, 0.1, 0.4, 0.1], width=12, height=5) == [
        '      eV',
        '   0.400 ┤         ●',
        '         │        · ·',
        '         │      ··   ··',
        '         │    ·●       ●',
        '   0.000 ┤ ●··',
        '   image   0   1   2   3',
    ]


def test_flat_energy_path_has_one_label():
    lines = draw_energy_path([0.0, 0.0, 0.0])
    assert sum('0.000' in line for line in lines) == 1
    assert sum(line.count('●') for line in lines) == 3


@pytest.mark.parametrize('count', [2, 7, 40, 200])
def test_every_image_is_drawn(count):
    lines = draw_energy_path([number % 5 / 10 for number in range(count)], width=60)
    assert sum(line.count('●') for line in lines) == count


def test_minimum_below_the_first_image():
    lines = draw_energy_path([0.0, -0.2, 0.3], height=6)
    assert [line.split()[0] for line in lines if '┤' in line] == ['0.300', '0.000', '-0.200']


def test_history():
    assert draw_history([1.6, 0.8, 0.4, 0.2, 0.1, 0.05, 0.04], 0.05) == '█▇▆▄▃▁▁'
    assert draw_history([0.01, 0.02], 0.05) == '▁▁'
    long = draw_history([0.9**number for number in range(200)], 1e-9, width=50)
    assert len(long) == 50
    assert list(long) == sorted(long, reverse=True)
