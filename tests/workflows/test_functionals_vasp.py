"""Comparison of functionals by the VASP engine, with the stand-in for VASP.

The whole matrix of the first work (four functionals, with and without charge, with and without climbing image, two
systems) takes minutes: it is in tests/services/test_functionals.py.
"""

import numpy as np
import pytest
from aiida.engine import run_get_node
from aiida.orm import CalcJobNode
from emulators.vasp.crystals import spinel

from aiida_embarrier.workflows.functionals import FunctionalComparisonWorkChain
from aiida_embarrier.workflows.functionals_inputs import ComparedSystem, Experiment, with_moments


def incar_of(job):
    lines = job.base.repository.get_object_content('INCAR').splitlines()
    return dict(line.split(' = ') for line in lines)


@pytest.mark.slow
def test_two_functionals_of_a_charged_spinel(vasp_emulator):
    code = vasp_emulator.code()
    family = vasp_emulator.potcars(['Mg', 'Mn', 'O'])
    system = ComparedSystem(
        name='MgMn2O4',
        structure=with_moments(spinel(), {'Mn': [4.0, -4.0, 4.0, -4.0]}),
        hop={'ion': 'Mg', 'number': 0},
        charges=(-2.0,),
        experiment=Experiment(barrier=(0.5, 0.7), source='made up'),
    )
    builder = FunctionalComparisonWorkChain.get_builder_from_protocol(
        code,
        systems=[system],
        functionals=['pbe', 'scan+u'],
        engine='vasp',
        climbing=(True,),
        protocol='fast',
        options={'withmpi': False},
        overrides={
            'n_images': 3,
            'supercell': [1, 1, 1],
            'relax_host': 'none',
            'engine': {'paw': {'family': family}, 'kspacing': 1.5, 'hubbard_u': {'Mn': 2.7}},
        },
    )
    outputs, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    cells = outputs['cells'].table.set_index('functional')
    assert list(cells['status']) == ['converged', 'converged']
    assert cells.loc['pbe', 'barrier'] != cells.loc['scan+u', 'barrier']
    assert (cells['total_core_h'] > 0).all()
    assert (cells['charge_state'] == 'charged').all()
    assert outputs['recommendation']['better']['functional'] is None  # one system says nothing

    for functional, label in (('pbe', 'MgMn2O4_pbe_minus_2_ci_neb'), ('scan+u', 'MgMn2O4_scan_u_minus_2_ci_neb')):
        barrier = node.base.links.get_outgoing(link_label_filter=label).one().node
        jobs = [job for job in barrier.called_descendants if isinstance(job, CalcJobNode)]
        incars = [incar_of(job) for job in jobs]
        assert sum('IMAGES' in incar for incar in incars) >= 1
        assert len({incar['NELECT'] for incar in incars}) == 1
        for incar in incars:
            # each job by its own functional, U where it has one, and the moments that were given
            assert (incar.get('METAGGA'), 'LDAUU' in incar) == (
                ('SCAN', True) if functional == 'scan+u' else (None, False)
            )
            assert incar['ISPIN'] == '2'
        if functional == 'scan+u':
            assert {value for incar in incars for value in incar['LDAUU'].split()} == {'2.7', '0'}
        assert '.TRUE.' in {incar['LCLIMB'] for incar in incars if 'IMAGES' in incar}
        band = node.outputs.bands[label].band
        assert (band.info.functional, band.info.charge, band.info.climbing) == (functional, -2.0, True)
        signs = np.sign(band.moments[:, [element == 'Mn' for element in band.elements]])
        assert np.array_equal(np.sort(signs, axis=1), np.tile([-1, -1, 1, 1], (3, 1)))
