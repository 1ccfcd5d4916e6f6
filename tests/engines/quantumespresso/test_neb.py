"""Several bands in one work chain: one that fails does not spoil the others, and the exit code says what was worst."""

import pytest
from aiida.common.links import LinkType
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from aiida.orm import CalcFunctionNode, Dict, InstalledCode, WorkChainNode

from aiida_embarrier.data.band import BandData
from aiida_embarrier.engines.quantumespresso.neb import QuantumEspressoNebWorkChain


@pytest.fixture
def chain(aiida_localhost, protocol, afm_band):
    code = InstalledCode(label='neb', computer=aiida_localhost, filepath_executable='/bin/true').store()

    def make(labels, **overrides):
        return instantiate_process(
            get_manager().get_runner(),
            QuantumEspressoNebWorkChain,
            code=code,
            pw_code=code,
            bands={label: BandData(afm_band) for label in labels},
            settings=Dict(protocol(**overrides)),
        )

    return make


def ended(process, label, exit_status, band=None):
    """Let the work chain of a band have ended."""
    node = WorkChainNode().store()
    node.set_process_state('finished')
    node.set_exit_status(exit_status)
    node.set_exit_message(f'{exit_status} happened.' if exit_status else None)
    outputs = {'results': Dict({'n_evaluations': 7, 'n_steps': 2, 'wall_s': 3.0})}
    if band is not None:
        outputs['band'] = BandData(band)
    for name, value in outputs.items():
        maker = CalcFunctionNode().store()
        value.base.links.add_incoming(maker, link_type=LinkType.CREATE, link_label=name)
        value.store()
        value.base.links.add_incoming(node, link_type=LinkType.RETURN, link_label=name)
    process.ctx[f'band_{label}'] = node


@pytest.mark.parametrize(
    ('exit_status', 'status', 'code'),
    [
        (0, 'converged', None),
        (501, 'not_converged', 501),
        (400, 'interrupted', 400),
        (410, 'failed', 410),
        (320, 'failed', 320),
        (201, 'failed', 201),
        (310, 'failed', 310),
    ],
)
def test_outcomes(chain, afm_band, exit_status, status, code):
    process = chain(['good', 'other'])
    good = afm_band.replace(energies=[0.0, 0.3, 0.1], converged=True)
    ended(process, 'good', 0, good)
    ended(process, 'other', exit_status, good if exit_status in (0, 501) else None)
    found = process.results()
    assert (None if found is None else found.status) == code
    assert set(process.outputs['bands']) == ({'good', 'other'} if exit_status in (0, 501) else {'good'})
    results = process.outputs['results'].get_dict()
    assert results['tasks']['other']['status'] == status
    assert (results['n_evaluations'], results['wall_s']) == (14, 6.0)
    if code is not None:
        assert f'other: {exit_status} happened.' in found.message


def test_images_that_are_not_to_be_moved(chain, afm_band):
    process = chain(['one'], neb={'max_steps': 0})
    assert process.only_evaluates
    ended(process, 'one', 0, afm_band.replace(energies=[0.0, 0.3, 0.1], converged=False))
    code = process.results()
    assert code.status == 501
    assert 'evaluated as they are' in code.message
    assert process.outputs['results']['tasks']['one']['status'] == 'not_converged'


def test_bands_are_checked_at_launch(chain, afm_band):
    port = QuantumEspressoNebWorkChain.spec().inputs['bands']
    short = afm_band.replace(positions=afm_band.positions[[0, 2]], energies=None, max_perpendicular_forces=None)
    assert "band 'x': the band has no image between" in port.validate({'x': BandData(short)}).message
    assert 'no band to optimise' in port.validate({}).message
