"""Questions to a barrier as the work chain really leaves it."""

import pytest
from aiida.engine import run_get_node
from systems import aluminium

from aiida_embarrier.data.convert import node_from_structure
from aiida_embarrier.queries.chains import chain_of, chain_tree
from aiida_embarrier.queries.computed_from import bands_from, find_crystals, processes_from
from aiida_embarrier.queries.costs import job_costs
from aiida_embarrier.queries.failures import find_failures
from aiida_embarrier.workflows.barrier import MigrationBarrierWorkChain


@pytest.mark.slow
@pytest.mark.usefixtures('aiida_profile_clean', 'toy_codes')
def test_barrier_of_the_toy_engine(tmp_path):
    aluminium((1, 1, 1)).to_file(str(tmp_path / 'Al.cif'))
    crystal = node_from_structure(aluminium((1, 1, 1)))[0].store()
    builder = MigrationBarrierWorkChain.get_builder_from_protocol(
        None,
        structure=crystal,
        hop={'ion': 'Al', 'number': 0},
        engine='toy',
        protocol='fast',
        overrides={'n_images': 3, 'supercell': [2, 2, 2]},
    )
    _, process = run_get_node(builder)
    assert process.is_finished_ok, process.exit_message

    chain = chain_of(process.outputs.band)
    tree = chain_tree(chain)
    sources = chain[chain['kind'] == 'source']
    assert sources['pk'].tolist() == [crystal.pk], tree
    steps = chain[chain['kind'] == 'process']
    assert {'toy_neb', 'toy_relax'} <= set(steps['name']), tree
    assert set(steps['root']) == {process.pk}
    assert chain['pk'].is_unique
    known = set(chain['pk'])
    assert all(set(before) <= known for before in chain['made_from'])
    assert tree.splitlines()[0] == f'band of Al in Al ({process.outputs.band.pk})'
    assert f'source: crystal Al ({crystal.pk})' in tree

    bands = bands_from([crystal.pk])
    assert bands['pk'].tolist() == [process.outputs.band.pk]
    assert bands['hop'].tolist() == [0]
    assert processes_from([crystal.pk])['pk'].tolist() == [process.pk]
    assert crystal.pk in find_crystals(tmp_path / 'Al.cif')['pk'].tolist()
    assert find_failures().empty
    assert job_costs().empty, 'the toy engine has no jobs'
