"""The door between nodes and plain objects loses nothing: moments, oxidation states, order, unwrapped positions."""

import numpy as np
import pytest
from aiida.orm import Dict, StructureData
from pymatgen.core import Lattice, Structure

from aiida_embarrier.data.convert import (
    disordered_from_node,
    geometry_from_node,
    node_from_disordered,
    node_from_geometry,
    node_from_structure,
    structure_from_node,
)


@pytest.fixture
def antiferromagnet():
    """Return a cell whose two Fe differ in their moment only, one atom outside the cell."""
    return Structure(
        Lattice.from_parameters(4, 5, 6, 80, 95, 110),
        ['Li', 'Fe', 'Fe', 'O'],
        [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0, 0], [1.3, -0.2, 0.4]],
        site_properties={'magmom': [0, 4, -4, 0], 'oxidation_state': [1, 2, 2, -2]},
    )


@pytest.mark.usefixtures('aiida_profile')
def test_round_trip_keeps_kinds_and_positions(antiferromagnet):
    node, kinds = node_from_structure(antiferromagnet)
    assert [kind.name for kind in node.kinds] == ['Li', 'Fe1', 'Fe2', 'O']
    assert kinds['Fe2'] == {'magnetic_moment': -4.0, 'oxidation_state': 2.0}
    again = structure_from_node(node, kinds)
    np.testing.assert_allclose(again.cart_coords, antiferromagnet.cart_coords, atol=1e-12)
    assert again.site_properties['magmom'] == [0, 4, -4, 0]
    assert again.site_properties['oxidation_state'] == [1, 2, 2, -2]
    assert node_from_structure(again)[1].get_dict() == kinds.get_dict()


@pytest.mark.usefixtures('aiida_profile')
def test_oxidation_states_on_species(antiferromagnet):
    structure = Structure(antiferromagnet.lattice, ['Li+', 'Fe2+', 'Fe3+', 'O2-'], antiferromagnet.frac_coords)
    node, kinds = node_from_structure(structure)
    assert [kind.name for kind in node.kinds] == ['Li', 'Fe1', 'Fe2', 'O']
    assert kinds['Fe2'] == {'oxidation_state': 3.0}


@pytest.mark.usefixtures('aiida_profile')
def test_geometry_and_back(antiferromagnet):
    node, kinds = node_from_structure(antiferromagnet)
    geometry = geometry_from_node(node, kinds)
    assert geometry.magnetic_moments == [0, 4, -4, 0]
    assert geometry.elements == ['Li', 'Fe', 'Fe', 'O']
    again = node_from_geometry(geometry, like=node)
    assert [site.kind_name for site in again.sites] == ['Li', 'Fe1', 'Fe2', 'O']
    np.testing.assert_allclose([s.position for s in again.sites], [s.position for s in node.sites])


@pytest.mark.usefixtures('aiida_profile')
def test_unknown_property_of_a_kind(antiferromagnet):
    node, _ = node_from_structure(antiferromagnet)
    with pytest.raises(ValueError, match=r"'Fe1' has unknown properties \['spin'\]: choose from"):
        structure_from_node(node, Dict({'Fe1': {'spin': 4}}))


@pytest.mark.usefixtures('aiida_profile')
def test_disordered_crystal_is_refused():
    node = StructureData(cell=np.eye(3).tolist())
    node.append_atom(position=(0, 0, 0), symbols=['Li', 'Na'], weights=[0.5, 0.5])
    with pytest.raises(ValueError, match='disordered: order the crystal first'):
        structure_from_node(node)


@pytest.mark.usefixtures('aiida_profile')
def test_a_disordered_crystal_goes_there_and_back():
    crystal = Structure(
        Lattice.cubic(4),
        [{'Fe2+': 0.25, 'Fe3+': 0.5}, {'Li+': 0.5}, {'Li+': 0.25}, 'O2-'],
        [[0, 0, 0], [0.5, 0, 0], [0, 0.5, 0], [1.5, 0.5, -0.5]],
        site_properties={'magmom': [4.0, 0.0, 0.0, 0.0]},
    )
    node, kinds = node_from_disordered(crystal)
    assert [kind.name for kind in node.kinds] == ['FeFe', 'Li', 'Li1', 'O']
    assert kinds['FeFe'] == {'oxidation_states': [2.0, 3.0], 'magnetic_moment': 4.0}
    assert kinds['Li1'] == {'oxidation_states': [1.0], 'magnetic_moment': 0.0}
    again = disordered_from_node(node.store(), kinds)
    assert [site.species for site in again] == [site.species for site in crystal]
    assert again.site_properties == crystal.site_properties
    np.testing.assert_allclose(again.cart_coords, crystal.cart_coords)
    # what it is without its kinds: elements and occupancies
    bare = disordered_from_node(node)
    assert [site.species.as_dict() for site in bare] == [{'Fe': 0.75}, {'Li': 0.5}, {'Li': 0.25}, {'O': 1.0}]


@pytest.mark.usefixtures('aiida_profile')
def test_an_oxidation_state_of_an_ordered_kind_will_do():
    node, kinds = node_from_structure(Structure(Lattice.cubic(4), ['Li+', 'F-'], [[0, 0, 0], [0.5, 0.5, 0.5]]))
    assert [str(site.specie) for site in disordered_from_node(node, kinds)] == ['Li+', 'F-']


@pytest.mark.usefixtures('aiida_profile')
@pytest.mark.parametrize(
    ('kinds', 'message'),
    [
        ({'LiNa': {'oxidation_states': [1]}}, r'has 2 symbols \(Li, Na\) and 1 oxidation states: give one for each'),
        ({'LiNa': {'charge': 1}}, r"'LiNa' has unknown properties \['charge'\]"),
    ],
)
def test_kinds_of_a_disordered_crystal_that_do_not_fit(kinds, message):
    node, _ = node_from_disordered(Structure(Lattice.cubic(4), [{'Li': 0.5, 'Na': 0.5}], [[0, 0, 0]]))
    with pytest.raises(ValueError, match=message):
        disordered_from_node(node, Dict(kinds))


@pytest.mark.usefixtures('aiida_profile')
def test_a_kind_that_is_no_element_is_refused():
    node = StructureData(cell=np.eye(3).tolist())
    node.append_atom(position=(0, 0, 0), symbols=['X'], name='unknown')
    with pytest.raises(ValueError, match="holds 'X', which is no element"):
        disordered_from_node(node)
