"""The descriptors of frameworks: olivines, tavorites, and hosts without polyanions."""

import os

import numpy as np
import pytest
from pymatgen.core import Element

from aiida_embarrier.prediction.paths import MigrationPath
from aiida_embarrier.structures.anions import sublattices
from aiida_embarrier.structures.frameworks import FRAMEWORK, distortion, framework_descriptors


def descriptors_of(path: MigrationPath) -> dict[str, float]:
    parts = sublattices(path.lattice, path.species, path.coords)
    hop = (path.points[-1] - path.points[0]) @ path.lattice
    return framework_descriptors(path.lattice, path.species, path.coords, path.ion, hop, parts)


def test_olivine(olivine):
    host = olivine.copy()
    host.remove_sites([[site.specie.symbol for site in host].index('Li')])
    names = [site.specie.symbol for site in host]
    lattice = host.lattice.matrix
    hop = np.array([0.0, 3.0, 0.0])
    found = framework_descriptors(
        lattice, names, host.frac_coords, 'Li', hop, sublattices(lattice, names, host.frac_coords)
    )
    symbols = [site.specie.symbol for site in olivine]
    iron = olivine[symbols.index('Fe')]
    bonds = sorted(site.nn_distance for site in olivine.get_neighbors(iron, 2.6) if site.specie.symbol == 'O')
    assert len(bonds) == 6
    assert found['metal_bond'] == pytest.approx(np.mean(bonds), abs=0.01)
    assert found['metal_distortion'] == pytest.approx(distortion(np.array(bonds)), abs=0.002)
    assert found['metal_radius'] == 0.78
    assert found['metal_charge'] == pytest.approx(2.0)
    phosphorus = olivine[symbols.index('P')]
    bonds = [site.nn_distance for site in olivine.get_neighbors(phosphorus, 2.0)]
    assert found['centre_bond'] == pytest.approx(np.mean(bonds), abs=0.01)
    assert found['centre_radius'] == 0.17
    assert found['centre_electronegativity'] == Element('P').X
    assert found['free_anion_share'] == 0
    assert found['volume_per_anion'] == pytest.approx(olivine.volume / 16)
    assert [found['axis_a'], found['axis_b'], found['axis_c']] == pytest.approx(
        sorted(olivine.lattice.abc, reverse=True), rel=1e-3
    )


@pytest.mark.parametrize('name', ['O-LiFePO4', 'O-NaFePO4', 'O-LiNiPO4'])
def test_the_hop_of_olivines_is_half_of_b(literature, name):
    found = descriptors_of(MigrationPath.from_row(literature[name]))
    assert found['hop_along_b'] == pytest.approx(found['axis_b'] / 2, rel=1e-3)
    assert found['hop_along_b'] == pytest.approx(literature[name].hop_length, rel=1e-3)


@pytest.mark.parametrize(('name', 'metal', 'centre'), [('LiAlPO4F_2', 'Al', 'P'), ('LiMgSO4F_3', 'Mg', 'S')])
def test_a_fifth_of_the_anions_of_tavorites_is_free(literature, name, metal, centre):
    found = descriptors_of(MigrationPath.from_row(literature[name]))
    assert found['free_anion_share'] == pytest.approx(0.2)
    assert found['free_anion_electronegativity'] == Element('F').X
    assert found['metal_electronegativity'] == Element(metal).X
    assert found['centre_electronegativity'] == Element(centre).X
    assert found['anion_electronegativity'] == pytest.approx(0.8 * Element('O').X + 0.2 * Element('F').X)


def test_what_a_host_does_not_have_is_not_said(literature):
    layered = descriptors_of(MigrationPath.from_row(literature['NiO2_Mg']))
    assert all(np.isnan(layered[name]) for name in FRAMEWORK if name.startswith(('centre', 'axis', 'hop')))
    assert layered['free_anion_share'] == 1
    electrolyte = descriptors_of(MigrationPath.from_row(literature['g-Li3PS4_2']))
    assert all(np.isnan(electrolyte[name]) for name in FRAMEWORK if name.startswith('metal'))
    assert electrolyte['centre_bond'] == pytest.approx(2.05, abs=0.05)
    assert electrolyte['anion_radius'] == 1.84


def test_spglib_prints_nothing(literature, capfd, monkeypatch):
    """It finds the symmetry of this host only with a smaller tolerance, which is no news for a user."""
    path = MigrationPath.from_row(literature['Co2S3O12_Ca'])
    monkeypatch.setenv('SPGLIB_WARNING', 'ON')
    descriptors_of(path)
    assert os.environ['SPGLIB_WARNING'] == 'ON'
    monkeypatch.delenv('SPGLIB_WARNING')
    descriptors_of(path)
    assert 'SPGLIB_WARNING' not in os.environ
    assert capfd.readouterr().err == ''


def test_distortion_after_baur():
    assert distortion(np.array([2.0, 2.0, 2.0])) == 0
    assert distortion(np.array([1.9, 2.1])) == pytest.approx(0.05)
