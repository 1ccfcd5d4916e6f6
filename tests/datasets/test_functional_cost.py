"""What a comparison is expected to take."""

import pytest
from pymatgen.core import Element

from aiida_embarrier.datasets.functional_cost import RELATIVE_COST, SystemSize, cost_factor, estimate, valence_electrons


@pytest.mark.parametrize(
    ('symbols', 'expected'),
    [
        (['H'], 1),
        (['He'], 2),
        (['Li', 'Fe', 'P', *['O'] * 4], 1 + 8 + 5 + 24),
        (['Zn'], 12),  # the 3d shell of zinc counts, that of gallium does not
        (['Ga'], 3),
        (['La'], 3),
        (['Hf'], 4),
        (['W'], 6),
        (['Pb'], 4),
        (['I'], 7),
        (['Xe'], 8),
    ],
)
def test_valence_electrons(symbols, expected):
    assert valence_electrons(symbols) == expected


def test_main_groups_have_as_many_as_their_group_says():
    for element in Element:
        if element.Z < 87 and element.group in (1, 2, 13, 14, 15, 16, 17) and element.is_metal is not None:
            if element.symbol in ('H', 'D', 'T') or element.is_lanthanoid or element.is_actinoid:
                continue
            assert valence_electrons([element.symbol]) == element.group % 10, element


def test_factors():
    assert cost_factor('SCAN+U-rVV10') is RELATIVE_COST['scan+u']
    assert cost_factor('hse06') is None
    # 75 % less time than SCAN
    assert RELATIVE_COST['pbe'].factor == pytest.approx(0.25 * RELATIVE_COST['scan'].factor)


def cells(systems, functionals, charges=(0.0,), climbing=(False, True)):
    return [
        {'system': system, 'functional': functional, 'charge': charge, 'climbing': climb}
        for system in systems
        for functional in functionals
        for charge in charges
        for climb in climbing
    ]


def test_what_is_shared_is_counted_once():
    size = SystemSize(n_atoms=10, n_electrons=100, n_images=7, host_atoms=5, host_electrons=50)
    found = estimate({'a': size}, cells(['a'], ['pbe'], (0.0, -1.0)))
    assert found['n_cells'] == 4
    assert found['jobs'] == {'hosts': 1, 'endpoints': 4, 'bands': 4, 'images': 20}
    # the host once, endpoints once for each charge, five images for each band
    assert [cell['work'] for cell in found['cells']] == [0.125 + 7, 5, 7, 5]
    assert found['functionals']['pbe']['share'] == 1


def test_larger_systems_and_dearer_functionals():
    sizes = {'a': SystemSize(10, 100, 5), 'b': SystemSize(20, 200, 5, relaxes_endpoints=False)}
    found = estimate(sizes, cells('ab', ['pbe', 'scan', 'hse06'], climbing=(False,)))
    work = {(cell['system'], cell['functional']): cell['work'] for cell in found['cells']}
    assert work['a', 'pbe'] == 3 + 2
    assert work['b', 'pbe'] == 3 * 8
    assert work['b', 'scan'] == 4 * work['b', 'pbe']
    assert work['b', 'hse06'] == work['b', 'pbe']
    assert found['unknown'] == ['hse06']
    assert found['functionals']['hse06']['source'] == 'not known: counted as PBE'
    assert found['functionals']['scan']['share'] == pytest.approx(4 / 6)
    assert found['jobs']['hosts'] == 0
    assert found['jobs']['endpoints'] == 6
