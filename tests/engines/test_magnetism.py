"""Start moments: one rule and one table for all engines."""

import numpy as np
import pytest
from pymatgen.core import Structure

from aiida_embarrier.bands.band import Kind, kinds_of
from aiida_embarrier.engines import vasp
from aiida_embarrier.engines.base import get_engine
from aiida_embarrier.engines.functionals import load_functionals
from aiida_embarrier.engines.magnetism import default_moments, start_moments
from aiida_embarrier.engines.quantumespresso.settings import Atoms, check_settings, moments_of_kinds
from aiida_embarrier.engines.vasp.layout import Layout

MN_UP, MN = Kind('Mn1', 'Mn', magnetic_moment=4.0), Kind('Mn2', 'Mn')
NI, OXYGEN = Kind('Ni', 'Ni'), Kind('O', 'O')


def test_what_is_said_of_an_element_says_nothing_of_others():
    assert start_moments([MN_UP, MN, NI, OXYGEN]) == [4.0, 0.0, 5.0, 0.0]
    assert start_moments([MN, NI, OXYGEN]) == [5.0, 5.0, 0.0]
    assert start_moments([MN_UP, MN, NI, OXYGEN], 'default', {'Mn': 2, 'Ni': 1.5}) == [4.0, 0.0, 1.5, 0.0]
    assert start_moments([MN_UP, MN, NI], 'none') == [4.0, 0.0, 0.0]
    assert start_moments([MN, NI], 'none', {'Ni': 2}) == [0.0, 2.0]
    with pytest.raises(ValueError, match="unknown magnetic_start 'high': choose default or none"):
        start_moments([MN], 'high')


def test_table_is_that_of_its_source():
    from importlib.resources import files

    import yaml

    source = yaml.safe_load((files('pymatgen.io.vasp') / 'VASPIncarBase.yaml').read_text())['INCAR']['MAGMOM']
    assert {element: source.get(element, 0.6) for element in default_moments()} == default_moments()
    assert {element for element in source if element.isalpha()} <= set(default_moments())


@pytest.mark.parametrize(
    'magmom', [[4.0, None, None, None], [4.0, -4.0, None, None], [None] * 4, [None, None, 0.0, 0.0], [0.0] * 4]
)
@pytest.mark.parametrize('keys', [{}, {'magnetic_start': 'none'}, {'moments': {'Ni': 2.0, 'Mn': 3.0}}])
def test_engines_start_from_the_same(magmom, keys):
    structure = Structure(
        np.eye(3) * 6, ['Mn', 'Mn', 'Ni', 'O'], [[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0], [0, 0, 0.5]]
    ).add_site_property('magmom', magmom)
    kinds, indices = kinds_of(structure)
    protocol = get_engine('vasp').resolve_protocol(None, keys)
    layout = Layout.of(
        kinds,
        indices,
        load_functionals(vasp.FUNCTIONALS).resolve('pbe'),
        magnetic_start=protocol['magnetic_start'],
        moments=protocol['moments'],
    )
    settings = check_settings(get_engine('quantumespresso').resolve_protocol(None, keys))
    by_kind = moments_of_kinds(Atoms(kinds, indices), settings)
    if layout.moments is None:
        assert by_kind is None
    else:
        in_vasp = dict(zip(layout.order, layout.moments, strict=True))
        assert [by_kind[kinds[index].name] for index in indices] == [in_vasp[atom] for atom in range(4)]
