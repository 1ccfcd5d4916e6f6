"""Real crystals with CHGNet: barriers against ASE's NEB, and the whole way through the pool."""

import numpy as np
import pytest
from potential_systems import crystal_hop, lithium_iron_phosphate, lithium_oxide, run_ase, run_own

from aiida_embarrier.jobs.potentials import resolve_potential
from aiida_embarrier.jobs.schemas import NebTask, Status
from aiida_embarrier.potentials.driver import run_tasks
from aiida_embarrier.potentials.loading import open_evaluator, verify_potential
from aiida_embarrier.potentials.neb import NudgedElasticBand

pytestmark = pytest.mark.slow


# The larger crystal with a climbing image alone: three moving images of it take a minute more and say no more.
@pytest.mark.parametrize(('make', 'n_images'), [(lithium_oxide, 5), (lithium_iron_phosphate, 3)])
def test_barrier_is_that_of_ase(make, n_images):
    spec, settings = resolve_potential('chgnet'), NebTask(label='path')
    band = crystal_hop(make(), spec, n_images)
    task = run_own(band, spec, settings)
    barrier, _, _ = run_ase(band, spec, settings)
    assert task.status == Status.CONVERGED, task.message
    assert task.result().barriers[-1] == pytest.approx(barrier, abs=0.005)
    assert 0.05 < barrier < 1.0


def test_pool_takes_the_same_way_as_one_process():
    spec, settings = verify_potential(resolve_potential('chgnet')), NebTask(label='path', max_steps=3)
    band = crystal_hop(lithium_oxide(), spec)
    alone = run_own(band, spec, settings)
    task = NudgedElasticBand(settings, band, spec)
    with open_evaluator(spec, 'cpu', processes=2) as evaluator:
        run_tasks([task], evaluator)
    # Single precision, summed in another order: 1.1e-6 Å after three steps on one processor, less on others. One unit
    # in the last place of an energy of 150 eV is 1.5e-5 eV.
    np.testing.assert_allclose(task.band.positions, alone.band.positions, rtol=0, atol=1e-5)
    np.testing.assert_allclose(task.band.energies, alone.band.energies, rtol=0, atol=5e-5)
