"""Barriers with Debian's Quantum ESPRESSO 6.7: through Slurm and the daemon, from a profile on PostgreSQL and RabbitMQ.

Its programs run serially: with MPI they wait for each other at full load where cores are busy.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from aiida.engine import run_get_node
from aiida.orm import CalcJobNode
from aiida.plugins import WorkflowFactory
from engines.test_contract import test_neb, test_relax
from pymatgen.core import Lattice, Structure
from services.test_slurm import bench, database, services

from aiida_embarrier.bands.band import Band
from aiida_embarrier.data.band import BandData
from aiida_embarrier.engines.base import get_engine
from aiida_embarrier.workflows.barrier_inputs import barrier_protocol

if TYPE_CHECKING:
    from shell import Shell

__all__ = ('bench', 'database', 'services', 'test_neb', 'test_relax')

pytestmark = [pytest.mark.slow, pytest.mark.services]

PSEUDOS = Path('/usr/share/espresso/pseudo')
EXAMPLE = Path('/usr/share/doc/quantum-espresso/examples/NEB/neb0.in')
FAMILIES = {
    'debian/pbe': ['H.pbe-kjpaw.UPF'],
    'debian/pbesol': ['Li.pbesol-s-rrkjus_psl.0.2.1.UPF', 'O.pbesol-n-rrkjus_psl.0.1.UPF'],
}
BOHR = 0.529177210903
SERIAL = 'export OMP_NUM_THREADS=1'

#: The settings of neb0.in, Quantum ESPRESSO's own example of a band.
H2_H = {
    'engine.pseudo_family': 'debian/pbe',
    'engine.ecutwfc': 20,
    'engine.ecutrho': 100,
    'engine.kpoints_mesh': '[1, 1, 1]',
    'engine.smearing': 'gaussian',
    'engine.degauss': 0.03,
    'engine.mixing_beta': 0.3,
    'engine.conv_thr_per_atom': 3.3e-9,
    'engine.neb.climb_threshold': 'null',
    'engine.neb.ds': 2.0,
    'engine.neb.k_max': 0.3,
    'engine.neb.k_min': 0.2,
    'engine.neb.path.path_thr': 0.1,
}
#: In eV/Å; below it the density's grid is felt, which is coarse at these cutoffs.
FORCE = 0.2
#: A lithium vacancy in Li2O: cutoffs and cell of a test, not of a calculation.
LI2O = {
    'relax_host': 'none',
    'supercell': '[1, 1, 1]',
    'engine.pseudo_family': 'debian/pbesol',
    'engine.ecutwfc': 30,
    'engine.ecutrho': 240,
    'engine.kpoints_mesh': '[1, 1, 1]',
    'engine.smearing': 'fixed',
    'engine.neb.climb_threshold': 'null',
    'engine.neb.force_threshold': FORCE,
}


@pytest.fixture(scope='module')
def programs(bench):
    """Return the shell of a profile that has the programs on the cluster, and their pseudopotentials."""
    shell: Shell = bench.shell
    for name in ('pw', 'neb'):
        options = ('--label', name, '--computer', 'cluster', '--filepath-executable', shutil.which(f'{name}.x'))
        plugin = ('--default-calc-job-plugin', f'quantumespresso.{name}', '--no-with-mpi', '--prepend-text', SERIAL)
        shell('verdi', 'code', 'create', 'core.code.installed', '-n', *options, *plugin)
    for label, files in FAMILIES.items():
        folder = shell.folder / label
        folder.mkdir(parents=True)
        for name in files:
            shutil.copy(PSEUDOS / name, folder)
        shell('aiida-pseudo', 'install', 'family', folder, label, '-P', 'pseudo.upf')
    return shell


def launch(shell: Shell, settings: dict[str, object], *words: object) -> int:
    """Submit a barrier with Quantum ESPRESSO on the cluster, and return its PK."""
    given = [word for key, value in settings.items() for word in ('--set', f'{key}={value}')]
    codes = ('--engine', 'quantumespresso', '--code', 'pw@cluster', '--code', 'neb@cluster')
    done = shell('aiida-embarrier', 'launch', 'barrier', *words, *codes, *given, '--submit', '--format', 'json')
    return json.loads(done.stdout)['pk']


def band_of(shell: Shell, pk: int) -> dict[str, object]:
    """Return the attributes of the band of a process, its energies, and the summary."""
    found = shell.query(
        f'outputs = orm.load_node({pk}).outputs\n'
        'band = outputs.band\n'
        'print(json.dumps({**band.base.attributes.all, "energies": band.band.energies.tolist(),\n'
        '    "summary": outputs.summary.get_dict()}))'
    )
    assert isinstance(found, dict)
    return found


def schedulers(shell: Shell, pk: int) -> list[str]:
    """Return the numbers that Slurm gave to the jobs of a process."""
    found = shell.query(
        f'jobs = [node for node in orm.load_node({pk}).called_descendants if isinstance(node, orm.CalcJobNode)]\n'
        'print(json.dumps([job.get_job_id() for job in jobs]))'
    )
    assert isinstance(found, list)
    return found


def run_by_hand(folder: Path) -> list[float]:
    """Run Quantum ESPRESSO's own example with a pseudopotential in the format UPF, and return its energies."""
    text = EXAMPLE.read_text().replace('HUSPBE.RRKJ3', 'H.pbe-kjpaw.UPF')
    text = text.replace('&CONTROL\n', f"&CONTROL\n  pseudo_dir = '{PSEUDOS}'\n")
    (folder / 'neb0.in').write_text(text)
    done = subprocess.run(
        ['bash', '-c', f'{SERIAL}; neb.x -inp neb0.in'], cwd=folder, check=True, capture_output=True, text=True
    )
    assert 'neb: convergence achieved' in done.stdout
    return [float(row[1]) for row in re.findall(r'^ +(\d) +(-\d+\.\d+) +\d+\.\d+ +[TF] *$', done.stdout, re.M)[-7:]]


def store_band(shell: Shell) -> int:
    """Store the straight band between the endpoints of the example, and return its PK.

    The atoms are told apart by their places in the list: nothing else says which of the three hydrogens goes where.
    """
    pk = shell.query(
        'import numpy as np\n'
        'from pymatgen.core import Lattice, Structure\n'
        'from aiida_embarrier.bands.band import Band, BandInfo\n'
        'from aiida_embarrier.data.band import BandData\n'
        f'bohr = {BOHR}\n'
        'first = np.array([[-4.56670009, 0, 0], [0, 0, 0], [1.55776676, 0, 0]]) * bohr\n'
        'last = np.array([[-1.55776676, 0, 0], [0, 0, 0], [4.56670009, 0, 0]]) * bohr\n'
        'lattice = Lattice(np.diag([12.0, 5.0, 5.0]) * bohr)\n'
        'images = [\n'
        '    Structure(lattice, ["H"] * 3, first + x * (last - first), coords_are_cartesian=True,\n'
        '              site_properties={"magmom": [0.5] * 3})\n'
        '    for x in np.linspace(0, 1, 7)\n'
        ']\n'
        'info = BandInfo(mechanism="any", host="H2")\n'
        'print(json.dumps(BandData(Band.from_structures(images, info=info)).store().pk))'
    )
    assert isinstance(pk, int)
    return pk


def test_exchange_of_hydrogen(programs, tmp_path):
    """The band of the example has the barrier that the program has by hand."""
    pk = launch(programs, H2_H, '--band', store_band(programs))
    by_hand = run_by_hand(tmp_path)
    assert programs.wait_for_end(pk, 400)[:2] == ('finished', 0)
    band = band_of(programs, pk)
    assert (band['engine'], band['functional'], band['mechanism']) == ('quantumespresso', 'pbe', 'any')
    assert (band['converged'], band['climbing'], band['n_images']) == (True, True, 7)
    assert band['barrier_forward'] == pytest.approx(max(by_hand) - by_hand[0], abs=0.005)
    assert band['barrier_forward'] == pytest.approx(0.19, abs=0.01)
    assert all(schedulers(programs, pk))


def test_vacancy_from_crystal_to_barrier(programs):
    """A potential makes the starting band; the charge is that of the vacancy that a Li+ leaves."""
    crystal = Structure.from_spacegroup('Fm-3m', Lattice.cubic(4.6), ['O', 'Li'], [[0, 0, 0], [0.25, 0.25, 0.25]])
    crystal.to(str(programs.folder / 'Li2O.cif'), fmt='cif')
    hop = ('Li2O.cif', '--ion', 'Li', '--hop', 0, '--charge', -1, '--functional', 'pbesol', '--images', 5)
    prepared = ('--prepare-with', 'potential', '--code', 'embarrier-worker@cluster', '--protocol', 'fast')
    pk = launch(programs, LI2O, *hop, *prepared)
    assert programs.wait_for_end(pk, 590)[:2] == ('finished', 0)
    band = band_of(programs, pk)
    assert (band['functional'], band['charge'], band['formula']) == ('pbesol', -1.0, 'Li7O4')
    assert (band['converged'], band['equivalent_endpoints']) == (True, True)
    assert band['residual_force'] <= FORCE
    assert band['barrier_forward'] == pytest.approx(0.31, abs=0.02)
    summary = band['summary']
    assert summary['preparation']['status'] == 'used'
    assert summary['preparation']['engine'] == 'potential'
    # the second endpoint follows from the first by symmetry, and one evaluation says so
    assert summary['force_evaluations']['verify_endpoints'] <= 3


@pytest.fixture
def make_inputs(aiida_localhost):
    """Return a factory of inputs of the engine's work chains on this machine, with a family of pseudopotentials."""
    from aiida.orm import InstalledCode, QueryBuilder
    from aiida_pseudo.data.pseudo import UpfData
    from aiida_pseudo.groups.family import PseudoPotentialFamily

    codes = {
        name: InstalledCode(
            label=f'{name}_here',
            computer=aiida_localhost,
            filepath_executable=shutil.which(f'{name}.x'),
            default_calc_job_plugin=f'quantumespresso.{name}',
            with_mpi=False,
            prepend_text=SERIAL,
        ).store()
        for name in ('pw', 'neb')
    }

    def make(label, files, **settings):
        if not QueryBuilder().append(PseudoPotentialFamily, filters={'label': label}).count():
            PseudoPotentialFamily(label=label).store().add_nodes([UpfData(PSEUDOS / name).store() for name in files])
        found = get_engine('quantumespresso')
        protocol = barrier_protocol(found.name, 'fast', {'engine': {'pseudo_family': label, **settings}})
        return found, found.inputs_from_protocol(protocol['engine'], code=codes)

    return make


@pytest.fixture
def engine(make_inputs, request):
    """Return the engine for the tests of the contract that all engines keep; for bands as quick as it can be."""
    settings = {'functional': 'lda', 'ecutwfc': 20, 'ecutrho': 80, 'kpoints_distance': 0.6, 'degauss': 0.05}
    if request.node.name == 'test_neb':
        settings |= {'ecutwfc': 8, 'ecutrho': 32, 'kpoints_mesh': [1, 1, 1], 'conv_thr_per_atom': 1e-7}
        settings['neb'] = {'force_threshold': 0.5, 'climb_threshold': None}
    return make_inputs('debian/lda', ['Al.pz-vbc.UPF'], **settings)


def test_antiferromagnet_with_u(make_inputs):
    """Nickel oxide: opposite moments and U on both kinds of nickel in every image, as 6.7 takes them."""
    found, inputs = make_inputs(
        'debian/nio',
        ['Ni.pbe-nd-rrkjus.UPF', 'O.pbe-rrkjus.UPF'],
        functional='pbe+u',
        hubbard_card=False,
        hubbard_projectors='atomic',
        ecutwfc=25,
        ecutrho=200,
        kpoints_mesh=[2, 2, 2],
        max_iterations=1,
        conv_thr_per_atom=1e-6,
        neb={'climb': False, 'max_steps': 1},
    )
    half = 4.17 / 2
    lattice = Lattice([[half, half, 0], [-half, half, 0], [0, 0, 4.17]])
    places = [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0, 0, 0.5]]
    images = [Structure(lattice, ['Ni', 'Ni', 'O', 'O'], places) for _ in range(3)]
    for number, image in enumerate(images):
        image.translate_sites([3], [0, 0, 0.01 * number])
        image.add_site_property('magmom', [2.0, -2.0, 0.0, 0.0])
    band = BandData(Band.from_structures(images, mobile=[3]))
    outputs, node = run_get_node(WorkflowFactory(found.neb), bands={'band': band}, **inputs['neb'])
    assert node.exit_status == 501  # after the one step that it was allowed
    moments = outputs['bands']['band'].band.moments
    assert (moments[:, 0] > 0.5).all()
    assert (moments[:, 1] < -0.5).all()
    job = next(job for job in node.called_descendants if isinstance(job, CalcJobNode))
    text = job.base.repository.get_object_content('pw_2.in')
    assert 'hubbard_u(1) = 6.2000000000d+00\n  hubbard_u(2) = 6.2000000000d+00\n' in text
    assert outputs['results']['tasks']['band']['n_evaluations'] == 3
