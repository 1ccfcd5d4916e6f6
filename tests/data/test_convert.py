"""The door between nodes and plain objects loses nothing: moments, oxidation states, order, unwrapped positions."""

import numpy as np
import pytest
from aiida.orm import Dict, StructureData
from pymatgen.core import Lattice, Structure

from aiida_embarrier.data.convert import (
    geometry_from_node,
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
