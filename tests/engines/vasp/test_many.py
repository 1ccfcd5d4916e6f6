"""Several structures or bands side by side: what a chain of many makes of those of one."""

import pytest
from aiida.common.links import LinkType
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from aiida.orm import Dict, WorkChainNode
from systems import computed_band, straight_band

from aiida_embarrier.data.band import BandData
from aiida_embarrier.engines.base import get_engine
from aiida_embarrier.engines.vasp.neb import VaspNebWorkChain


@pytest.fixture
def chain(working_vasp, vasp_potcars):
    """Return a chain of two bands that submitted nothing."""
    settings = get_engine('vasp').resolve_protocol(None, {'paw': {'family': vasp_potcars}})
    settings.pop('max_iterations')
    return instantiate_process(
        get_manager().get_runner(),
        VaspNebWorkChain,
        code=working_vasp,
        protocol=Dict(settings),
        bands={'one': BandData(straight_band()), 'other': BandData(straight_band(3))},
    )


def ended(exit_status, status, with_band=True):
    """Return the chain of one band that ended."""
    node = WorkChainNode().store()
    results = Dict(
        {'status': status, 'message': 'why', 'n_evaluations': 7, 'wall_s': 2.0, 'forces': [[0.0] * 3]}
    ).store()
    results.base.links.add_incoming(node, link_type=LinkType.RETURN, link_label='results')
    if with_band:
        band = BandData(computed_band()).store()
        band.base.links.add_incoming(node, link_type=LinkType.RETURN, link_label='band')
    node.set_process_state('finished')
    node.set_exit_status(exit_status)
    node.set_exit_message(f'exit {exit_status}')
    return node


def inspect(chain, **chains):
    chain.ctx.labels = list(chains)
    for label, node in chains.items():
        chain.ctx[f'chain_{label}'] = node
    return chain.inspect_chains()


def test_all_went_well(chain):
    assert inspect(chain, one=ended(0, 'converged'), other=ended(0, 'converged')) is None
    assert set(chain.outputs['bands']) == {'one', 'other'}
    results = chain.outputs['results'].get_dict()
    assert (results['n_evaluations'], results['wall_s'], results['core_s']) == (14, 4.0, 0)
    assert {label: task['status'] for label, task in results['tasks'].items()} == {
        'one': 'converged',
        'other': 'converged',
    }
    assert 'forces' not in results['tasks']['one']


@pytest.mark.parametrize('exit_status', [201, 312, 410, 502])
def test_one_that_fails_does_not_spoil_the_other(chain, exit_status):
    code = inspect(chain, one=ended(0, 'converged'), other=ended(exit_status, 'failed', with_band=exit_status != 201))
    assert code.status == exit_status
    assert code.message == f"band 'other': exit {exit_status}"
    assert 'one' in chain.outputs['bands']
    assert ('other' in chain.outputs['bands']) == (exit_status != 201)
    assert chain.outputs['results']['tasks']['other']['message'] == 'why'


def test_the_gravest_failure_names_the_chain(chain):
    code = inspect(chain, one=ended(501, 'not_converged'), other=ended(502, 'diverged'))
    assert (code.status, code.message) == (502, "band 'other': exit 502")


def test_what_nobody_foresaw(chain):
    code = inspect(chain, one=ended(999, 'failed'), other=ended(0, 'converged'))
    assert code.status == 310
