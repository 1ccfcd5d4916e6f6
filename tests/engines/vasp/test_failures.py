"""Failures of VASP, produced by the stand-in: each is recovered, or ends with its exit code and the last good band."""

import numpy as np
import pytest
from aiida.engine import run_get_node
from aiida.manage.caching import enable_caching
from aiida.orm import CalcJobNode, Dict, load_node
from emulators.vasp.crystals import lithia_hop, shaken_lithia
from emulators.vasp.setup import behave

from aiida_embarrier.bands.band import Band, BandInfo
from aiida_embarrier.data.band import BandData
from aiida_embarrier.data.convert import node_from_structure, structure_from_node
from aiida_embarrier.engines.base import get_engine
from aiida_embarrier.engines.vasp.band import VaspBandWorkChain
from aiida_embarrier.engines.vasp.structure import VaspStructureWorkChain

pytestmark = pytest.mark.slow

#: eV; what a chain finds where nothing fails.
BARRIER = 0.623

#: One code for all: the endpoints are the same in each test, so that all but the first take them from the cache.
_CODES = {}


@pytest.fixture
def code(vasp_code):
    if 'code' not in _CODES:
        _CODES['code'] = vasp_code().uuid
    return load_node(_CODES['code'])


@pytest.fixture
def run_band(code, vasp_potcars):
    """Return a function that computes a band, whose image in the middle climbs at once, while VASP fails as asked."""

    def run(*failures, build='vtst', max_iterations=20, encut=450, nelm=100, **neb):
        failures = [{'task': 'neb', **failure} for failure in failures]
        behave(str(code.filepath_executable), {'build': build, 'failures': failures})
        neb = {'climb_threshold': None, **neb}
        electrons = {'kmesh': [1, 1, 1], 'encut': encut, 'nelm': nelm}
        settings = get_engine('vasp').resolve_protocol(
            'fast', {'paw': {'family': vasp_potcars}, 'neb': neb, **electrons}
        )
        settings.pop('max_iterations')
        path = Band.from_structures(lithia_hop(5), mobile=[0], info=BandInfo(mechanism='vacancy', host='Li2O'))
        with enable_caching(identifier='aiida.calculations:embarrier.vasp.structure'):
            outputs, node = run_get_node(
                VaspBandWorkChain,
                code=code,
                protocol=Dict(settings),
                band=BandData(path),
                max_iterations=max_iterations,
                charge=-1.0,
                options=Dict({'withmpi': False, 'resources': {'num_machines': 1, 'num_mpiprocs_per_machine': 3}}),
            )
        return Outcome(outputs, node)

    return run


class Outcome:
    """What a chain gave and did."""

    def __init__(self, outputs, node):
        self.node = node
        self.band = outputs['band'].band
        self.results = outputs['results'].get_dict()
        self.jobs = [job for job in node.called if isinstance(job, CalcJobNode)]

    @property
    def statuses(self):
        return [job.exit_status for job in self.jobs]

    def tags(self, name):
        return [job.inputs.parameters.get_dict().get(name) for job in self.jobs]

    def assert_recovered(self):
        assert self.node.is_finished_ok, self.node.exit_message
        info = self.band.info
        assert (info.converged, info.climbing, info.functional, info.charge) == (True, True, 'pbe', -1.0)
        assert info.residual_force < 0.1
        assert self.results['status'] == 'converged'
        assert self.band.energies.max() - self.band.energies[0] == pytest.approx(BARRIER, abs=3e-3)
        assert np.argmax(self.band.energies) == 2

    def assert_failed(self, status, *, has_energies=True):
        assert self.node.exit_status == status, self.node.exit_message
        assert self.results['status'] != 'converged'
        assert not self.band.info.converged
        # energies of the endpoints are never lost, and those of images not once they were computed
        assert np.isfinite(self.band.energies[[0, -1]]).all()
        assert np.isfinite(self.band.energies).all() == has_energies
        assert np.isfinite(self.band.positions).all()


def test_faults_of_the_machine(run_band):
    outcome = run_band(
        {'kind': 'crash', 'times': 1},
        {'kind': 'wall_time', 'step': 2, 'after': 1, 'times': 1},
        {'kind': 'node_lost', 'step': 2, 'after': 2, 'times': 1},
        {'kind': 'truncated', 'image': 2, 'after': 3, 'times': 1},
        {'kind': 'missing_contcar', 'image': 3, 'after': 4},
    )
    assert outcome.statuses == [333, 700, 333, 700, 0]
    outcome.assert_recovered()
    # after the wall time the band goes on from where it was, and what a lost node did is lost
    first, second, third, fourth, fifth = (job.inputs.band.band.positions for job in outcome.jobs)
    np.testing.assert_array_equal(first, second)
    assert np.abs(third - second).max() > 0.01
    np.testing.assert_array_equal(third, fourth)
    assert np.abs(fifth - fourth).max() > 0.01


def test_electrons_and_numbers(run_band):
    outcome = run_band(
        {'kind': 'nan', 'image': 1, 'step': 2, 'times': 1},
        {'kind': 'error', 'message': ' RHOSYG: internal error: stars are not distinct', 'after': 1, 'times': 1},
        {'kind': 'scf', 'image': 2, 'after': 2, 'unless': {'ALGO': 'All'}},
        nelm=30,
        max_steps=40,
    )
    # a monitor stops the first where it looks before VASP has ended by itself
    assert outcome.statuses[0] in (150, 703)
    assert outcome.statuses[1:] == [703, 701, 701, 0]
    outcome.assert_recovered()
    assert outcome.tags('maxmove') == [0.2, 0.1, 0.1, 0.1, 0.1]
    assert outcome.tags('symprec') == [None, None, 1e-8, 1e-8, 1e-8]
    assert outcome.tags('algo')[3:] == ['Normal', 'All']
    assert outcome.tags('nelm') == [30, 30, 30, 60, 90]


def test_electrons_that_never_converge(run_band):
    outcome = run_band({'kind': 'scf', 'image': 2, 'step': 3}, nelm=30, max_steps=5)
    outcome.assert_failed(410)
    assert outcome.statuses == [701] * 4
    assert outcome.tags('algo')[1:] == ['Normal', 'All', 'Damped']
    assert 'do not converge, whatever was tried' in outcome.node.exit_message
    # the band is the last one whose electrons had converged, in every image
    runs = outcome.jobs[-1].outputs.results.get_dict()
    assert runs['trusted'] is True
    assert runs['unconverged_images'] == [2]


def test_forces_that_do_not_get_small(run_band):
    outcome = run_band({'kind': 'ionic'}, max_steps=4, force_threshold=0.01, max_iterations=2)
    outcome.assert_failed(501)
    assert outcome.statuses == [702] * 2
    residuals = [job.outputs.results.get_dict()['residual_force'] for job in outcome.jobs]
    assert residuals[0] > residuals[1] == pytest.approx(outcome.band.info.residual_force)


def test_an_endpoint_that_fails(run_band):
    # another cutoff, as the endpoints of the other tests lie in the cache
    outcome = run_band({'kind': 'error', 'message': ' TOO FEW BANDS', 'task': 'static'}, encut=460)
    assert outcome.jobs == []
    assert outcome.node.exit_status == 310
    assert 'the initial endpoint' in outcome.node.exit_message
    assert outcome.results['status'] != 'converged'
    assert not outcome.band.info.converged


def test_a_relaxation(code, vasp_potcars):
    failures = [
        {'kind': 'wall_time', 'step': 2, 'times': 1},
        {'kind': 'error', 'step': 2, 'message': ' ZBRENT: fatal error in bracketing', 'after': 1, 'times': 1},
        {'kind': 'truncated', 'after': 2, 'times': 1},
    ]
    behave(str(code.filepath_executable), {'failures': failures})
    settings = get_engine('vasp').resolve_protocol('fast', {'paw': {'family': vasp_potcars}, 'kmesh': [1, 1, 1]})
    max_iterations = settings.pop('max_iterations')
    outputs, node = run_get_node(
        VaspStructureWorkChain,
        code=code,
        protocol=Dict(settings),
        structure=node_from_structure(shaken_lithia())[0],
        max_iterations=max_iterations,
        options=Dict({'withmpi': False}),
    )
    assert node.is_finished_ok, node.exit_message
    jobs = [job for job in node.called if isinstance(job, CalcJobNode)]
    assert [job.exit_status for job in jobs] == [700, 703, 700, 0]
    assert [job.inputs.parameters.get_dict()['ibrion'] for job in jobs] == [2, 2, 1, 1]
    energies = [job.outputs.results.get_dict()['energy'] for job in jobs]
    assert sorted(energies, reverse=True) == energies
    results = outputs['results'].get_dict()
    assert results['status'] == 'converged'
    # the atoms are back: each Li has four O at the distance of the perfect crystal
    relaxed = structure_from_node(outputs['structure'])
    distances = [neighbour.nn_distance for neighbour in relaxed.get_neighbors(relaxed[0], 2.4)]
    assert distances == pytest.approx([2.087] * 4, abs=0.02)


def test_a_build_without_vtst(run_band):
    outcome = run_band(build='stock', max_steps=3)
    outcome.assert_failed(312)
    assert len(outcome.jobs) == 1
    assert not outcome.band.info.climbing
    assert 'neb.build: stock' in outcome.node.exit_message


@pytest.mark.parametrize(
    ('failure', 'status', 'jobs', 'has_energies'),
    [
        ({'kind': 'nan', 'image': 1, 'step': 3}, 502, 2, True),
        ({'kind': 'crash'}, 310, 2, False),
        ({'kind': 'error', 'message': ' TOO FEW BANDS', 'step': 3}, 310, 1, True),
    ],
    ids=['NaN', 'crash', 'bands'],
)
def test_what_is_not_mended(run_band, failure, status, jobs, has_energies):
    outcome = run_band(failure)
    outcome.assert_failed(status, has_energies=has_energies)
    assert len(outcome.jobs) == jobs
