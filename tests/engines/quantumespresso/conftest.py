"""Made-up pseudopotentials, settings, and an antiferromagnetic band."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from aiida_embarrier.bands.band import Band, BandInfo
from aiida_embarrier.engines.base import get_engine

#: A run of neb.x 6.7, which the documentation imports.
RUN = Path(__file__).resolve().parents[3] / 'examples' / 'neb_x_h2_h'

#: Valence and functional of made-up pseudopotentials, as headers of UPF files call them.
INVENTED = {
    'invented/pbe': ('PBE', {'H': 1, 'Li': 3, 'O': 6, 'Mn': 15, 'Al': 3}),
    'invented/pbesol': ('SLA PW PSX PSC', {'Li': 3, 'O': 6}),
}


def invented_upf(element: str, z_valence: int, functional: str) -> bytes:
    """Return a file that has the header of a pseudopotential and nothing else."""
    return (
        f'<UPF version="2.0.1"><PP_INFO>invented for tests, no pseudopotential</PP_INFO>\n'
        f'<PP_HEADER element="{element}" functional="{functional}" z_valence="{z_valence}.0"/></UPF>\n'
    ).encode()


@pytest.fixture
def families(aiida_profile):
    """Make the families of made-up pseudopotentials; Mn wants the highest cutoffs."""
    from aiida.orm import QueryBuilder
    from aiida_pseudo.data.pseudo import UpfData
    from aiida_pseudo.groups.family import CutoffsPseudoPotentialFamily

    for label, (functional, valences) in INVENTED.items():
        if QueryBuilder().append(CutoffsPseudoPotentialFamily, filters={'label': label}).count():
            continue
        family = CutoffsPseudoPotentialFamily(label=label).store()
        nodes = [
            UpfData(io.BytesIO(invented_upf(element, z, functional)), filename=f'{element}.{label[9:]}.upf').store()
            for element, z in valences.items()
        ]
        family.add_nodes(nodes)
        cutoffs = {element: {'cutoff_wfc': 40.0 + z, 'cutoff_rho': 320.0 + z} for element, z in valences.items()}
        family.set_cutoffs(cutoffs, 'normal', unit='Ry')


@pytest.fixture
def protocol():
    """Return a factory of resolved protocols with the made-up pseudopotentials."""

    def make(name='balanced', **overrides):
        return get_engine('quantumespresso').resolve_protocol(name, {'pseudo_family': 'invented/pbe', **overrides})

    return make


@pytest.fixture
def afm_band():
    """Return a band of MnO with spins up and down, in a skewed cell, along which an atom leaves the cell."""
    lattice = Lattice([[3.1, 0.2, 0.0], [0.0, 3.2, 0.1], [0.3, 0.0, 8.8]])
    places = np.array([[0, 0, 0], [0.5, 0.5, 0.25], [0, 0, 0.5], [0.9, 0.5, 0.75]])
    moments = [5.0, 0.0, -5.0, 0.0]
    images = []
    for move in (0.0, 0.1, 0.2):
        structure = Structure(
            lattice, ['Mn', 'O', 'Mn', 'O'], places + np.array([[0, 0, 0]] * 3 + [[move, 0, 0]]), to_unit_cell=False
        )
        structure.add_site_property('magmom', moments)
        images.append(structure)
    return Band.from_structures(images, mobile=[3], info=BandInfo(mechanism='any', host='MnO'))


@pytest.fixture(scope='session')
def run():
    """Return what a converged run of neb.x wrote: its output, and PW.out of each image."""
    images = [gzip.decompress((RUN / f'H2+H_{number}' / 'PW.out.gz').read_bytes()).decode() for number in range(1, 8)]
    return (RUN / 'neb0.out').read_text(), images


@pytest.fixture
def h3_band():
    """Return the straight band of the exchange of H2 + H."""
    bohr = 0.529177210903
    first = np.array([[-4.56670009, 0, 0], [0, 0, 0], [1.55776676, 0, 0]]) * bohr
    last = np.array([[-1.55776676, 0, 0], [0, 0, 0], [4.56670009, 0, 0]]) * bohr
    lattice = Lattice(np.diag([12, 5, 5]) * bohr)
    images = [
        Structure(lattice, ['H'] * 3, first + (last - first) * x, coords_are_cartesian=True)
        for x in np.linspace(0, 1, 7)
    ]
    for image in images:
        image.add_site_property('magmom', [0.5] * 3)
    return Band.from_structures(images, info=BandInfo(mechanism='any', host='H2'))
