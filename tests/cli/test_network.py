"""The network of hops on the command line: what show and plot make of it, and what launch accepts."""

import json

import click
import numpy as np
import pytest
from aiida.common.links import LinkType
from aiida.orm import Dict, WorkChainNode
from click.testing import CliRunner
from systems import computed_band

from aiida_embarrier.cli import main
from aiida_embarrier.cli.launch.network import read_numbers
from aiida_embarrier.data.band import BandData


@pytest.fixture
def run():
    """Return a function that runs the command line."""

    def invoke(*arguments, code=0):
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        assert result.exit_code == code, result.output
        return result.output

    return invoke


ROW = {'direction': '[010]', 'multiplicity': 4, 'equivalent_ends': True, 'status': 'converged', 'message': ''}

TABLE = {
    'formula': 'LiFePO4',
    'ion': 'Li',
    'mechanism': 'vacancy',
    'hops': [
        {**ROW, 'hop': 0, 'label': 'hop_0', 'length': 3.0, 'barrier_forward': 0.6, 'barrier_reverse': 0.5}
        | {
            'barrier_rate_limiting': 0.65,
            'residual_force': 0.04,
            'relaxations_saved': 1,
            'warnings': ['finite size: too small'],
        },
        {**ROW, 'hop': 1, 'label': 'hop_1', 'length': 4.7, 'barrier_forward': 0.7, 'barrier_reverse': 0.5}
        | {'residual_force': 0.03, 'relaxations_saved': 2, 'warnings': ['finite size: too small']},
        {**ROW, 'hop': 2, 'label': 'hop_2', 'length': 4.9, 'status': 'failed', 'message': 'take a larger supercell'},
    ],
    'left_out': [3, 5],
    'n_converged': 2,
    'n_endpoints': 4,
    'relaxations_saved': 3,
    'evaluations_saved': 40,
    'n_force_evaluations': 300,
    'percolation': {'1': {'dimension': 1, 'barrier': 0.6, 'hop': 0, 'hops': [0]}},
}


@pytest.fixture
def network(aiida_profile_clean):
    """Return a finished work chain as the network of hops leaves it."""
    node = WorkChainNode(process_type='aiida.workflows:embarrier.network').store()
    band = computed_band()
    other = band.replace(energies=band.energies * np.array([1, 1.5, 1.2, 1.1, 1]))
    outputs = {
        'network': Dict(TABLE),
        'bands__hop_0': BandData(band),
        'bands__hop_1': BandData(other),
        'summaries__hop_0': Dict({'warnings': ['finite size: too small'], 'endpoint_mapping': 'verified'}),
        'summaries__hop_1': Dict({'warnings': [], 'endpoint_mapping': 'no_operation'}),
    }
    for label, output in outputs.items():
        output.store()
        output.base.links.add_incoming(node, link_type=LinkType.RETURN, link_label=label)
    return node


def test_show_is_a_table(run, network):
    text = run('show', network.pk)
    rows = [line.split() for line in text.splitlines()]
    assert ['0', '3.00', '[010]', '4', '0.600', '0.500', '0.650', '0.040', 'converged', '1'] in rows
    assert ['2', '4.90', '[010]', '4', '-', '-', '-', '-', 'failed', '-'] in rows
    assert 'hop 2: take a larger supercell' in text
    assert 'hop(s) 3,5 left out: a straight line through another atom' in text
    assert '4, of which 3 by symmetry instead of a relaxation (40 evaluations saved)' in text
    assert ['1', '0.600', '0', '0'] in rows, 'transport'
    assert text.count('finite size: too small') == 1
    assert 'warning (hop 0, 1)' in text


def test_show_in_json(run, network):
    found = json.loads(run('show', network.uuid, '--format', 'json'))
    assert [row['hop'] for row in found['hops']] == [0, 1, 2]
    assert found['hops'][0]['band'] == network.outputs.bands.hop_0.pk
    assert found['hops'][2]['band'] is None
    assert found['percolation']['1']['barrier'] == 0.6


def test_show_of_one_of_its_bands(run, network):
    text = run('show', network.outputs.bands.hop_0.pk)
    assert 'related by symmetry: one relaxation serves both, checked' in text
    assert 'warning: finite size' in text
    assert 'both relaxed, no symmetry relates them' in run('show', network.outputs.bands.hop_1.pk)


@pytest.mark.parametrize(
    ('percolation', 'words'), [({}, 'lead nowhere'), (None, 'converged'), (TABLE['percolation'], 'limited by hop')]
)
def test_transport(run, aiida_profile_clean, percolation, words):
    node = WorkChainNode(process_type='aiida.workflows:embarrier.network').store()
    table = Dict({**TABLE, 'percolation': percolation}).store()
    table.base.links.add_incoming(node, link_type=LinkType.RETURN, link_label='network')
    assert words in run('show', node.pk)
    assert 'has no band to draw' in run('plot', node.pk, code=1)


def test_plot_holds_all_paths(run, network, tmp_path):
    path = tmp_path / 'paths.svg'
    run('plot', network.pk, '-o', path)
    text = path.read_text()
    for words in ('hop 0, 3.00 Å along [010]', 'hop 1, 4.70 Å along [010]', 'forward 0.600 eV'):
        assert words in text


def test_show_of_a_network_that_is_not_done(run, aiida_profile_clean):
    node = WorkChainNode(process_type='aiida.workflows:embarrier.network').store()
    assert f'`verdi process report {node.pk}`' in run('show', node.pk, code=1)


def test_launch_refuses_before_anything_starts(run, aiida_profile_clean, worker_code, tmp_path):
    from systems import aluminium

    path = tmp_path / 'Al.cif'
    aluminium((1, 1, 1)).to_file(str(path))
    code = ('--code', worker_code.full_label)
    assert 'no list of numbers such as 0,2' in run('launch', 'network', path, '--ion', 'Al', '--hops', 'a', code=2)
    assert 'there is no hop 7' in run('launch', 'network', path, '--ion', 'Al', '--hops', '0,7', *code, code=1)
    assert 'consists of Al' in run('launch', 'network', path, '--ion', 'Li', *code, code=1)


@pytest.mark.parametrize(('text', 'numbers'), [('0-3,5', [0, 1, 2, 3, 5]), ('2', [2]), ('1,0', [1, 0]), (None, None)])
def test_numbers_of_hops(text, numbers):
    assert read_numbers(None, None, text) == numbers


@pytest.mark.parametrize('text', ['3-1', '-2', '1-', 'all', ''])
def test_what_are_no_numbers_of_hops(text):
    with pytest.raises(click.BadParameter, match='no list of numbers such as'):
        read_numbers(None, None, text)


@pytest.mark.slow
def test_launch(run, aiida_profile_clean, worker_code, tmp_path):
    from systems import EMT, aluminium

    path = tmp_path / 'Al.cif'
    aluminium((1, 1, 1)).to_file(str(path))
    settings = {
        'relax_host': 'none',
        'engine.potential.name': 'ase',
        'engine.potential.model': 'emt',
        'engine.potential.calculator': EMT.calculator,
        'engine.settings.processes': 1,
        'engine.neb.force_threshold': 0.1,
    }
    flags = [word for key, value in settings.items() for word in ('--set', f'{key}={value}')]
    text = run(
        *('launch', 'network', path, '--ion', 'Al', '--max-length', 4.5, '--images', 5, '--min-distance', 7.5),
        *('--code', worker_code.full_label, '--label', 'all of aluminium', *flags),
    )
    assert '2 of 2 converged' in text
    assert 'aiida-embarrier plot' in text
