"""The band itself: what it refuses, what it derives, what it hands to other libraries."""

import subprocess
import sys

import numpy as np
import pytest
from pymatgen.core import Lattice, Species, Structure

from aiida_embarrier.bands import Band, BandInfo, Kind
from aiida_embarrier.bands.band import kinds_of

KINDS = (Kind('Fe1', 'Fe', 4.0, 2.0, 4.3), Kind('Fe2', 'Fe', -4.0, 2.0, 4.3), Kind('Li', 'Li'))


def example(**changes) -> Band:
    positions = np.zeros((3, 3, 3))
    positions[:, 1] = [2.0, 2.0, 2.0]
    positions[:, 2] = [[1.0, 0, 0], [3.0, 0, 0], [6.0, 0.0, 0.0]]
    positions[2, 0] = [0.0, 4.0, 0.0]
    entries = {
        'kinds': KINDS,
        'kind_indices': np.array([0, 1, 2]),
        'lattice': np.diag([5.0, 6.0, 7.0]),
        'positions': positions,
        'mobile': (2,),
    }
    return Band(**{**entries, **changes})


def test_what_is_derived():
    band = example()
    assert (band.n_images, band.n_atoms) == (3, 3)
    assert band.elements == ['Fe', 'Fe', 'Li']
    assert band.formula == 'LiFe2'
    assert band.mobile_ion == 'Li'
    assert band.hop_length == pytest.approx(5.0)  # a lattice vector, and kept
    assert band.periodic_image_distance == pytest.approx(5.0)
    np.testing.assert_allclose(band.reaction_coordinate, [0.0, 2.0, 2.0 + 5.0])
    np.testing.assert_allclose(band.displacements[1], [[0, 4, 0], [0, 0, 0], [3, 0, 0]])
    np.testing.assert_allclose(band.fractional[2, 2], [6 / 5, 0, 0])
    assert np.isnan(band.energies).all()
    assert np.isnan(band.max_perpendicular_forces).all()


def test_no_or_several_migrating_ions():
    assert example(mobile=()).mobile_ion is None
    assert example(mobile=()).hop_length is None
    assert example(mobile=(0, 1)).mobile_ion == 'Fe'
    assert example(mobile=(0, 2)).mobile_ion is None
    assert example(mobile=(0, 2)).hop_length == pytest.approx(5.0)


def test_periodic_images_in_a_skewed_cell_are_nearer_than_its_vectors():
    band = example(lattice=Lattice.rhombohedral(9.0, 33.0).matrix)
    assert band.periodic_image_distance == pytest.approx(2 * 9.0 * np.sin(np.radians(16.5)))


def test_a_growing_cell_moves_no_atom():
    fractional = example().fractional
    lattices = np.stack([np.diag([5.0, 6.0, 7.0]) * scale for scale in (1.0, 1.1, 1.2)])
    band = example(lattice=lattices, positions=np.stack([fractional[0]] * 3) @ lattices)
    np.testing.assert_allclose(band.displacements, 0, atol=1e-12)
    assert band.hop_length == pytest.approx(0)
    hop = band.replace(positions=fractional @ lattices)
    assert hop.displacements[0, 2, 0] == pytest.approx(0.4 * 5.25)
    assert hop.hop_length == pytest.approx(5.0 * 1.1)
    # whole cells added to an atom of all images change nothing
    wrapped = hop.replace(positions=(fractional + np.array([3, -1, 2])) @ lattices)
    np.testing.assert_allclose(wrapped.reaction_coordinate, hop.reaction_coordinate)


def test_reversal_is_its_own_inverse():
    rng = np.random.default_rng(0)
    band = example(
        lattice=np.stack([np.diag([5.0, 6.0, 7.0]) + image for image in range(3)]),
        energies=rng.normal(size=3),
        forces=rng.normal(size=(3, 3, 3)),
        max_perpendicular_forces=rng.normal(size=3),
        moments=rng.normal(size=(3, 3)),
    )
    twice = band.reversed().reversed()
    for name in ('lattice', 'positions', 'energies', 'forces', 'max_perpendicular_forces', 'moments'):
        np.testing.assert_array_equal(getattr(twice, name), getattr(band, name))
        np.testing.assert_array_equal(getattr(band.reversed(), name), getattr(band, name)[::-1])
    np.testing.assert_allclose(
        np.diff(band.reversed().reaction_coordinate), np.diff(band.reaction_coordinate)[::-1], atol=1e-12
    )


def test_bands_do_not_change():
    positions = np.zeros((2, 3, 3))
    band = example(positions=positions)
    positions[0, 0, 0] = 1.0
    assert band.positions[0, 0, 0] == 0.0
    with pytest.raises(ValueError, match='read-only'):
        band.positions[0, 0, 0] = 1.0
    with pytest.raises(AttributeError):
        band.mobile = (0,)


def test_replace_takes_entries_of_the_info_by_name():
    band = example().replace(engine='potential', charge=-1.0, mobile=(0,))
    assert (band.info.engine, band.info.charge, band.mobile) == ('potential', -1.0, (0,))
    again = band.replace(info=BandInfo(host='LiFePO4'), converged=True)
    assert again.info == BandInfo(host='LiFePO4', converged=True)
    with pytest.raises(TypeError, match='enginee'):
        band.replace(enginee='vasp')


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'positions': np.zeros((3, 3))}, r'\(n_images, n_atoms, 3\), got \(3, 3\)'),
        ({'positions': np.zeros((1, 3, 3))}, 'at least its two endpoints, got 1'),
        ({'positions': np.full((3, 3, 3), np.nan)}, 'positions must be finite'),
        ({'kind_indices': [0, 1]}, r'kind_indices must have shape \(3,\)'),
        ({'kind_indices': [0, 1, 3]}, r'must lie in 0\.\.2'),
        ({'kind_indices': [0, 1, -1]}, r'must lie in 0\.\.2'),
        ({'kinds': (*KINDS[:2], Kind('Fe1', 'Li'))}, "kind names must differ, got 'Fe1'"),
        ({'lattice': np.zeros((3, 3))}, 'span no volume'),
        ({'lattice': np.stack([np.eye(3)] * 2)}, r'lattice must have shape \(3, 3\) or \(3, 3, 3\)'),
        ({'mobile': (3,)}, r'mobile atom indices \(3,\) must lie in 0\.\.2'),
        ({'mobile': (2, 2)}, r'mobile atom indices \(2, 2\) must differ'),
        ({'energies': [0.0, 1.0]}, r'energies must have shape \(3,\), got \(2,\)'),
        ({'forces': np.zeros((2, 3, 3))}, 'forces must have the shape of positions'),
        ({'max_perpendicular_forces': [0.0]}, 'max_perpendicular_forces must have shape'),
        ({'moments': [0.0]}, 'moments must have shape'),
        ({'info': None}, 'info must be a BandInfo'),
    ],
)
def test_what_does_not_fit_together_is_refused(changes, message):
    with pytest.raises((ValueError, TypeError), match=message):
        example(**changes)


def test_unknown_mechanisms_are_refused():
    with pytest.raises(ValueError, match="'kickout': choose one of vacancy, interstitial, any"):
        BandInfo(mechanism='kickout')


# ---------------------------------------------------------------- structures


def test_structures_and_back():
    band = example()
    structures = [band.structure(image) for image in range(3)]
    assert structures[2].frac_coords[2, 0] == pytest.approx(6 / 5)  # not wrapped
    assert structures[0].site_properties['magmom'] == [4.0, -4.0, None]
    assert structures[-1] == band.structure(-1)
    again = Band.from_structures(structures, mobile=[2])
    assert again.kinds == band.kinds
    np.testing.assert_array_equal(again.kind_indices, band.kind_indices)
    np.testing.assert_allclose(again.positions, band.positions, rtol=0, atol=1e-12)
    assert again.lattice.shape == (3, 3)
    with pytest.raises(ValueError, match='image 1 and image 0 differ'):
        Band.from_structures([structures[0], structures[1][::-1]])
    with pytest.raises(IndexError):
        band.structure(3)


def test_structures_with_lattices_of_their_own():
    structures = [Structure(Lattice.cubic(length), ['Li', 'O'], [[0, 0, 0], [0.5, 0.5, 0.5]]) for length in (4, 5)]
    band = Band.from_structures(structures)
    assert band.lattice.shape == (2, 3, 3)
    assert band.structure(1).lattice.a == pytest.approx(5)
    assert band.atoms(-1).cell.lengths() == pytest.approx([5, 5, 5])


def test_atoms():
    atoms = example().atoms(2)
    assert str(atoms.symbols) == 'Fe2Li'
    assert atoms.pbc.all()
    np.testing.assert_array_equal(atoms.get_initial_magnetic_moments(), [4.0, -4.0, 0.0])
    assert atoms.positions[2, 0] == 6.0
    assert not example(kinds=(Kind('Fe', 'Fe'), Kind('Mn', 'Mn'), Kind('Li', 'Li'))).atoms(0).has('initial_magmoms')


def structure(species, **properties) -> Structure:
    places = [[index / len(species), 0, 0] for index in range(len(species))]
    return Structure(Lattice.cubic(10), species, places, site_properties=properties)


def test_kinds_tell_atoms_of_one_element_apart():
    kinds, indices = kinds_of(structure(['Fe', 'O', 'Fe', 'Fe'], magmom=[4.0, None, -4.0, 4.0]))
    assert [kind.name for kind in kinds] == ['Fe1', 'O', 'Fe2']
    assert indices.tolist() == [0, 1, 2, 0]
    assert [kind.magnetic_moment for kind in kinds] == [4.0, None, -4.0]


def test_kinds_from_decorated_species_and_from_names():
    kinds, _ = kinds_of(structure([Species('Fe', 2, spin=4.0), Species('Fe', 3, spin=5.0)]))
    assert [(kind.oxidation_state, kind.magnetic_moment) for kind in kinds] == [(2.0, 4.0), (3.0, 5.0)]
    kinds, _ = kinds_of(structure(['Fe', 'Fe'], kind=['Fe_up', 'Fe_down'], hubbard_u=[4.3, 4.3]))
    assert [(kind.name, kind.hubbard_u) for kind in kinds] == [('Fe_up', 4.3), ('Fe_down', 4.3)]
    with pytest.raises(ValueError, match=r"kind 'Fe' stands for atoms with different properties"):
        kinds_of(structure(['Fe', 'Fe'], kind=['Fe', 'Fe'], magmom=[1.0, -1.0]))


def test_what_kinds_cannot_hold_is_refused():
    with pytest.raises(ValueError, match=r'magmom of Fe \(site 0\).*one number'):
        kinds_of(structure(['Fe'], magmom=[[0.0, 0.0, 4.0]]))
    with pytest.raises(ValueError, match=r'site 0 is partially occupied'):
        kinds_of(structure([{'Fe': 0.5, 'Mn': 0.5}]))


def test_importing_bands_is_light():
    code = (
        'import sys; import aiida_embarrier.bands, aiida_embarrier.bands.io, aiida_embarrier.bands.barriers, '
        'aiida_embarrier.bands.alignment, aiida_embarrier.bands.interpolation, aiida_embarrier.bands.profile; '
        "print([name for name in ('scipy', 'ase', 'pymatgen', 'matplotlib', 'torch', 'aiida') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == '[]'
