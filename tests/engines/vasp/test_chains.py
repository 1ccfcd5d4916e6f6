"""Whole chains through the stand-in for VASP."""

import re

import numpy as np
import pytest
from aiida.engine import run_get_node
from aiida.orm import CalcJobNode, Float
from aiida.plugins import WorkflowFactory
from pymatgen.core import Structure
from systems import straight_band

from aiida_embarrier.data.band import BandData
from aiida_embarrier.data.convert import node_from_structure
from aiida_embarrier.engines.base import get_engine
from aiida_embarrier.workflows.barrier import MigrationBarrierWorkChain


@pytest.fixture
def primitive_spinel():
    """Return antiferromagnetic MgMn2O4 in the primitive cell, 14 atoms, sites in an order that VASP does not have."""
    spinel = Structure.from_spacegroup(
        'Fd-3m:2', [[8.5, 0, 0], [0, 8.5, 0], [0, 0, 8.5]], ['Mg', 'Mn', 'O'], [[0.125] * 3, [0.5] * 3, [0.2632] * 3]
    ).get_primitive_structure()
    assert len(spinel) == 14
    moments = iter([4.0, -4.0, 4.0, -4.0])
    spinel.add_site_property('magmom', [next(moments) if site.specie.symbol == 'Mn' else 0.0 for site in spinel])
    order = [(5 * index) % 14 for index in range(14)]
    return Structure.from_sites([spinel[index] for index in order])


def incar_of(job):
    text = job.base.repository.get_object_content('INCAR')
    pairs = [line.split(' = ') for line in text.splitlines()]
    return dict(pairs)


def expanded(magmom):
    return [
        float(value)
        for word in magmom.split()
        for value in [word.rpartition('*')[2]] * int(word.rpartition('*')[0] or 1)
    ]


@pytest.mark.slow
def test_an_antiferromagnetic_spinel_from_crystal_to_barrier(primitive_spinel, working_vasp, vasp_potcars):
    structure, kinds = node_from_structure(primitive_spinel)
    builder = MigrationBarrierWorkChain.get_builder_from_protocol(
        working_vasp,
        engine='vasp',
        structure=structure,
        kinds=kinds,
        hop={'ion': 'Mg', 'number': 0},
        protocol='fast',
        overrides={
            'supercell': [1, 1, 1],
            'n_images': 5,
            'engine': {'functional': 'pbe+u', 'paw': {'family': vasp_potcars}, 'kspacing': 1.5},
        },
    )
    builder.charge = Float(-2)
    outputs, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message

    band = outputs['band'].band
    assert (band.info.engine, band.info.functional, band.info.charge) == ('vasp', 'pbe+u', -2.0)
    assert (band.info.converged, band.info.climbing) == (True, True)
    assert 0 < outputs['summary']['barriers']['forward'] < 10
    # on-site moments of every image keep the antiferromagnetic order of the crystal's sites
    start = np.array([band.kinds[kind].magnetic_moment for kind in band.kind_indices])
    assert sorted(start[start != 0]) == [-4, -4, 4, 4]
    assert band.moments.shape == (5, 13)
    assert np.array_equal(np.sign(band.moments[:, start != 0]), np.tile(np.sign(start[start != 0]), (5, 1)))
    assert np.all(np.abs(band.moments[:, start != 0]) > 1)

    jobs = [job for job in node.called_descendants if isinstance(job, CalcJobNode)]
    tasks = set()
    for job in jobs:
        incar = incar_of(job)
        assert 'POTCAR' not in job.base.repository.list_object_names()  # it is licensed
        lines = job.base.repository.get_object_content('POSCAR').splitlines()
        elements, counts = lines[5].split(), [int(count) for count in lines[6].split()]
        assert sorted(elements) == ['Mg', 'Mn', 'O']
        n_atoms = sum(counts)
        by_group = [element for element, count in zip(elements, counts, strict=True) for _ in range(count)]
        moments = expanded(incar['MAGMOM'])
        assert len(moments) == n_atoms
        # each Mn has its moment and nothing else has one; U stands on Mn alone
        assert [abs(moment) for moment in moments] == [4.0 if element == 'Mn' else 0.0 for element in by_group]
        assert sum(moments) == 0
        assert incar['LDAUU'].split() == ['3.9' if element == 'Mn' else '0' for element in elements]
        assert incar['LDAUL'].split() == ['2' if element == 'Mn' else '-1' for element in elements]
        assert incar['LMAXMIX'] == '4'
        assert incar['ISPIN'] == '2'
        # the host is neutral; a Mg ion without its electrons leaves two more than the neutral vacancy would have
        assert ('NELECT' in incar) == (n_atoms == 13)
        tasks.add((n_atoms, 'IMAGES' in incar, incar['IBRION'], incar['ENCUT'], incar['GGA']))
    assert {(14, False, '2'), (13, False, '2'), (13, False, '-1'), (13, True, '3')} == {task[:3] for task in tasks}
    assert {task[3:] for task in tasks} == {('500', 'PE')}
    electrons = {incar_of(job)['NELECT'] for job in jobs if 'NELECT' in incar_of(job)}
    assert len(electrons) == 1
    # the band climbs in a second job, which starts from the wavefunctions of the first
    first, second = [job for job in jobs if 'IMAGES' in incar_of(job)][:2]
    assert [incar_of(job)['LCLIMB'] for job in (first, second)] == ['.FALSE.', '.TRUE.']
    starts = [job.outputs.retrieved.base.repository.get_object_content('02/OUTCAR') for job in (first, second)]
    assert [re.search(r'ISTART =\s+(\d)', text).group(1) for text in starts] == ['0', '1']
    # VTST gets the energies of the endpoints, which are those of the band
    ends = [float(incar_of(second)[tag]) for tag in ('EFIRST', 'ELAST')]
    assert ends == pytest.approx(band.energies[[0, -1]])


@pytest.mark.slow
def test_stock_vasp_and_files_that_are_not_kept(vasp_code, vasp_potcars):
    engine = get_engine('vasp')
    overrides = {
        'paw': {'family': vasp_potcars},
        'kspacing': 2.0,
        'keep_files': False,
        'neb': {'build': 'stock', 'climb': False},
    }
    inputs = engine.inputs_from_protocol(engine.resolve_protocol('fast', overrides), vasp_code(build='stock'))
    outputs, node = run_get_node(
        WorkflowFactory(engine.neb), bands={'one': BandData(straight_band(3))}, **inputs['neb']
    )
    assert node.is_finished_ok, node.exit_message
    band = outputs['bands']['one'].band
    # judged by the perpendicular forces of this package, whatever VASP's own criterion is
    assert (band.info.climbing, band.info.converged) == (False, True)
    assert band.info.residual_force < 0.1
    jobs = [job for job in node.called_descendants if isinstance(job, CalcJobNode)]
    bands = [job for job in jobs if 'IMAGES' in incar_of(job)]
    assert all({'LCLIMB', 'ICHAIN', 'IOPT'}.isdisjoint(incar_of(job)) for job in bands)
    kept = [name for job in jobs for name in job.outputs.retrieved.base.repository.list_object_names()]
    assert 'stdout' in kept
    assert {'01', 'OUTCAR', 'vasprun.xml'}.isdisjoint(kept)


def test_what_cannot_be_computed_is_refused_before_anything_runs(primitive_spinel, working_vasp, vasp_potcars):
    structure, kinds = node_from_structure(primitive_spinel)

    def launch(options=None, **overrides):
        builder = MigrationBarrierWorkChain.get_builder_from_protocol(
            working_vasp,
            engine='vasp',
            structure=structure,
            kinds=kinds,
            hop={'ion': 'Mg', 'number': 0},
            overrides={'n_images': 7, 'engine': {'paw': {'family': vasp_potcars}, **overrides}},
            options=options,
        )
        run_get_node(builder)

    with pytest.raises(ValueError, match='no potential Mn_GW of Mn: choose one of Mn, Mn_pv, Mn_sv'):
        launch(paw={'family': vasp_potcars, 'mapping': {'Mn': 'Mn_GW'}})
    with pytest.raises(ValueError, match=r'64 MPI ranks cannot be shared by the 5 interior images .* use 60 or 65'):
        launch({'withmpi': True, 'resources': {'num_machines': 1, 'num_mpiprocs_per_machine': 64}})
    with pytest.raises(ValueError, match="unknown option 'max_walltime_seconds'"):
        launch({'max_walltime_seconds': 60})
