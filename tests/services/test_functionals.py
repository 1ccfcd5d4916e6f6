"""The matrix of the first work, with the stand-in for VASP: four functionals, charge, climbing image, two systems.

It needs none of the services, but 32 barriers take minutes; `make test` has a reduced matrix.
"""

import numpy as np
import pytest
from aiida.common.links import LinkType
from aiida.engine import run_get_node
from aiida.orm import CalcJobNode
from emulators.vasp.crystals import lithia, spinel

from aiida_embarrier.cli.views import functionals as view
from aiida_embarrier.workflows.functionals import FunctionalComparisonWorkChain
from aiida_embarrier.workflows.functionals_inputs import ComparedSystem, Experiment, with_moments

pytestmark = [pytest.mark.slow, pytest.mark.services, pytest.mark.long]

#: Tags that tell the functionals apart.
TAGS = {
    'pbe': ('PE', None, False),
    'pbe+u': ('PE', None, True),
    'scan': (None, 'SCAN', False),
    'scan+u': (None, 'SCAN', True),
}


def incar_of(job):
    return dict(line.split(' = ') for line in job.base.repository.get_object_content('INCAR').splitlines())


@pytest.mark.timeout(3600)
def test_the_whole_matrix(vasp_emulator):
    family = vasp_emulator.potcars(['Li', 'Mg', 'Mn', 'O'])
    systems = [
        ComparedSystem(
            name='MgMn2O4',
            structure=with_moments(spinel(), {'Mn': [4.0, -4.0, 4.0, -4.0]}),
            hop={'ion': 'Mg', 'number': 0},
            charges=(0.0, -2.0),
            experiment=Experiment(barrier=(0.5, 0.7), source='made up'),
        ),
        ComparedSystem(
            name='Li2O',
            structure=lithia(),
            hop={'ion': 'Li', 'number': 0},
            experiment=Experiment(barrier=0.4, source='made up'),
        ),
    ]
    builder = FunctionalComparisonWorkChain.get_builder_from_protocol(
        vasp_emulator.code(),
        systems=systems,
        functionals=list(TAGS),
        engine='vasp',
        charges=(0.0, -1.0),
        protocol='fast',
        options={'withmpi': False},
        overrides={
            'n_images': 3,
            'supercell': [1, 1, 1],
            'relax_host': 'positions',
            'engine': {'paw': {'family': family}, 'kspacing': 1.5},
        },
        min_systems=2,
        max_concurrent=4,
    )
    outputs, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    cells = outputs['cells'].table
    assert len(cells) == 32
    assert set(cells['status']) == {'converged'}
    assert set(cells['charge_state']) == {'neutral', 'charged'}

    called = {link.link_label: link.node for link in node.base.links.get_outgoing(link_type=LinkType.CALL_WORK).all()}
    assert sum(label.startswith('host_') for label in called) == 8
    electrons: dict[tuple[str, float], set[str | None]] = {}
    for cell in cells.itertuples(index=False):
        barrier = called[cell.cell]
        jobs = [job for job in barrier.called_descendants if isinstance(job, CalcJobNode)]
        incars = [incar_of(job) for job in jobs]
        bands = [incar for incar in incars if 'IMAGES' in incar]
        assert bands
        for incar in incars:
            gga, metagga, has_u = TAGS[cell.functional]
            assert incar.get('METAGGA') == metagga
            assert ('LDAUU' in incar) == (has_u and cell.system == 'MgMn2O4'), 'U stands on manganese alone'
            if gga is not None:
                assert incar['GGA'] == gga
            electrons.setdefault((cell.system, cell.charge), set()).add(incar.get('NELECT'))
        assert any(incar.get('LCLIMB') == '.TRUE.' for incar in bands) == cell.climbing
        assert ('band' in barrier.inputs) == cell.climbing
        if cell.climbing:
            start = called[cell.cell.replace('ci_neb', 'neb')].outputs.band
            assert barrier.inputs.band.uuid == start.uuid
        band = node.outputs.bands[cell.cell].band
        assert (band.info.functional, band.info.charge, band.info.climbing) == (
            cell.functional,
            cell.charge,
            cell.climbing,
        )
        if cell.system == 'MgMn2O4':
            signs = np.sign(band.moments[:, [element == 'Mn' for element in band.elements]])
            assert np.array_equal(np.sort(signs, axis=1), np.tile([-1, -1, 1, 1], (3, 1)))
    # electrons are counted for charged cells, where they differ from the neutral ones, and are the same in all jobs
    assert all(len(found) == 1 for found in electrons.values()), electrons
    assert electrons['Li2O', -1.0] != electrons['Li2O', 0.0]
    assert electrons['MgMn2O4', -2.0] != electrons['MgMn2O4', 0.0]

    neutral = cells[(cells['charge'] == 0) & cells['climbing']]
    different = neutral.assign(barrier=neutral['barrier'].round(4)).groupby('system')['barrier'].nunique()
    assert different.to_dict() == {'MgMn2O4': 4, 'Li2O': 2}, 'U changes nothing where nothing gets one'
    effects = outputs['effects'].table
    assert effects.groupby('effect').size().to_dict() == {'charge': 16, 'climbing': 16}
    table = outputs['functionals'].table
    assert (table['n_systems'] == 2).all()
    assert table['relative_core_h'].notna().all()
    assert outputs['recommendation']['better']['functional'] in TAGS
    assert outputs['recommendation']['quick']['functional'] in TAGS
    for name in view.FIGURES:
        view.draw(node, name).draw_without_rendering()
