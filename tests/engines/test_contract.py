"""The contract that every engine keeps: what its relax and NEB work chains take and return.

That of the engine quantumespresso is tested with its own programs in tests/services/test_quantumespresso.py, by the
tests of this module: pw.x answers in XML of a schema of its own, so that a stand-in would be a large part of pw.x.
"""

import numpy as np
import pytest
from aiida.engine import run_get_node
from aiida.orm import Str, StructureData
from aiida.plugins import WorkflowFactory
from systems import EMT, aluminium, straight_band

from aiida_embarrier.data.band import BandData
from aiida_embarrier.data.convert import node_from_structure
from aiida_embarrier.engines.base import available_engines, get_engine
from aiida_embarrier.workflows.barrier_inputs import barrier_protocol

#: For each engine what makes it quick enough for a test, and the fixture that gives its code (or its codes by the names
#: of the programs); an engine without an entry fails here.
ENGINES = {
    'potential': (
        {
            'potential': {'name': 'ase', 'model': 'emt', 'calculator': EMT.calculator},
            'settings': {'processes': 1},
        },
        'worker_code',
    ),
    'toy': ({}, 'toy_codes'),
    'vasp': ({'paw': {'family': 'EMULATED.54'}, 'kspacing': 1.0}, 'working_vasp'),
}


@pytest.fixture(params=sorted({*available_engines(), 'toy'} - {'quantumespresso'}))
def engine(request):
    """Return an engine and the inputs of its work chains."""
    overrides, fixture = ENGINES[request.param]
    code = request.getfixturevalue(fixture)
    found = get_engine(request.param)
    protocol = barrier_protocol(found.name, 'fast', {'engine': overrides})
    return found, found.inputs_from_protocol(protocol['engine'], code=code)


@pytest.mark.slow
@pytest.mark.parametrize('cell', ['fixed', 'full'])
def test_relax(engine, cell):
    found, inputs = engine
    stretched = aluminium((1, 1, 1))
    stretched.apply_strain(0.02)
    stretched.translate_sites([0], [0.05, 0, 0])
    structures = {'one': node_from_structure(stretched)[0], 'two': node_from_structure(aluminium((1, 1, 1)))[0]}
    chain = WorkflowFactory(found.relax)
    outputs, node = run_get_node(chain, structures=structures, cell=Str(cell), **inputs['relax'])
    assert node.is_finished_ok, node.exit_message
    assert set(outputs['structures']) == {'one', 'two'}
    for label, structure in outputs['structures'].items():
        assert isinstance(structure, StructureData)
        assert [site.kind_name for site in structure.sites] == [site.kind_name for site in structures[label].sites]
        assert isinstance(outputs['results']['tasks'][label]['energy'], float)
        for before, after in zip(structures[label].sites, structure.sites, strict=True):
            assert after.position == pytest.approx(before.position, abs=0.5), 'an atom was wrapped into the cell'
    steps = {label: task['n_steps'] for label, task in outputs['results']['tasks'].items()}
    assert steps['one'] > 0
    assert outputs['results']['n_evaluations'] >= steps['one'] + 1
    if cell == 'fixed':
        assert steps['two'] == 0, 'a crystal without forces is relaxed already'
    lengths = {label: structure.cell_lengths[0] for label, structure in outputs['structures'].items()}
    if cell == 'fixed':
        assert lengths['one'] == pytest.approx(structures['one'].cell_lengths[0])
    else:
        assert lengths['one'] == pytest.approx(lengths['two'], abs=0.01)


@pytest.mark.slow
def test_neb(engine):
    found, inputs = engine
    start, other = straight_band(5, host_treatment='none'), straight_band(3)
    bands = {'one': BandData(start), 'other': BandData(other)}
    outputs, node = run_get_node(WorkflowFactory(found.neb), bands=bands, **inputs['neb'])
    assert node.is_finished_ok, node.exit_message
    assert {label: band.band.n_images for label, band in outputs['bands'].items()} == {'one': 5, 'other': 3}
    assert {label: task['status'] for label, task in outputs['results']['tasks'].items()} == dict.fromkeys(
        ('one', 'other'), 'converged'
    )
    band = outputs['bands']['one'].band
    assert np.all(np.isfinite(band.energies))
    assert band.forces.shape == band.positions.shape
    assert np.allclose(band.positions[[0, -1]], start.positions[[0, -1]])
    assert band.info.converged is True
    assert band.info.engine == found.name
    assert (band.info.functional is None) == (not found.functionals)
    # what the band was made of travels on
    assert (band.info.mechanism, band.info.host, band.info.host_treatment) == ('vacancy', 'Al', 'none')
    assert band.mobile == start.mobile
