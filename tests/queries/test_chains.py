"""The chain of processes behind a node or a row of a dataset."""

import pandas as pd
import pytest
from aiida.common.links import LinkType
from aiida.orm import Dict, Int, SinglefileData
from systems import computed_band

from aiida_embarrier.data.band import BandData
from aiida_embarrier.data.table import TableData
from aiida_embarrier.queries.chains import CHAIN_COLUMNS, chain_of, chain_of_row, chain_tree

from .conftest import calculate, call


def short(chain):
    return [tuple(row) for row in chain[['step', 'kind', 'name']].values]


def test_back_to_the_crystal(barrier, crystal):
    made = barrier()
    chain = chain_of(made.band)
    assert list(chain.columns) == list(CHAIN_COLUMNS)
    assert short(chain) == [
        (0, 'node', 'band of Al in Al'),
        (1, 'process', 'PotentialNebCalculation'),
        (2, 'process', 'make_endpoints'),
        (3, 'source', 'crystal Al'),
    ]
    assert chain['made_from'].tolist()[:3] == [[made.jobs[0].pk], [chain['pk'][2]], [crystal.pk]]
    assert chain['settings'][1] == {'parameters': '{"force_threshold": 0.05}'}
    assert chain['settings'][2] == {'hop': '{"ion": "Al", "number": 3}'}
    assert chain['made'][1] == {'bands__band': made.band.pk}
    assert chain['root'].tolist()[1:3] == [made.root.pk] * 2
    assert chain['call'].tolist()[1:3] == ['neb/iteration_01', 'make_endpoints']
    assert chain_tree(chain).splitlines() == [
        f'band of Al in Al ({made.band.pk})',
        f'└─ PotentialNebCalculation ({made.jobs[0].pk}), neb/iteration_01 of barrier {made.root.pk}',
        f'   └─ make_endpoints ({chain["pk"][2]}), barrier {made.root.pk}',
        f'      └─ source: crystal Al ({crystal.pk})',
    ]


def test_earlier_jobs_are_steps_too(barrier):
    made = barrier(({'wall_s': 1.0}, {'wall_s': 2.0}))
    chain = chain_of(made.band)
    assert chain['pk'].tolist()[1:3] == [made.jobs[1].pk, made.jobs[0].pk]
    assert chain['exit_status'].tolist()[1:3] == [0, 501]
    assert f'PotentialNebCalculation ({made.jobs[0].pk}), exit status 501' in chain_tree(chain)


def test_what_is_used_twice_stands_there_once(crystal):
    one, two, sum_ = Int(1), Int(2), Int(3)
    calculate('scale', {'crystal': crystal}, {'result': one})
    calculate('count', {'crystal': crystal, 'scaled': one}, {'result': two})
    calculate('add', {'one': one, 'two': two}, {'result': sum_})
    chain = chain_of(sum_)
    assert [name for _, _, name in short(chain)] == ['3', 'add', 'count', 'scale', 'crystal Al']
    assert chain['step'].tolist() == [0, 1, 2, 3, 4], 'the longest way counts'
    tree = chain_tree(chain)
    assert tree.count('scale') == 2
    assert tree.count('(see above)') == 1


def test_process_stands_for_what_it_returned(barrier):
    made = barrier()
    chain = chain_of(made.root)
    assert [name for _, _, name in short(chain)] == [
        'barrier', 'PotentialNebCalculation', 'make_endpoints', 'crystal Al',
    ]  # fmt: skip
    assert chain['step'].tolist() == [0, 1, 2, 3]
    job = chain_of(made.jobs[0])
    assert job['pk'].tolist() == chain['pk'].tolist()[1:]
    assert job['step'].tolist() == [0, 1, 2]


def test_process_that_returned_nothing_stands_for_what_it_was_given(crystal):
    chain = chain_of(call('barrier', structure=crystal, n_images=Int(7)))
    assert short(chain) == [(0, 'node', 'barrier'), (1, 'source', 'crystal Al')]
    assert chain['settings'][0] == {'n_images': '7'}


def test_source_comes_from_nowhere(crystal):
    chain = chain_of(crystal)
    assert short(chain) == [(0, 'node', 'crystal Al')]
    assert chain_tree(chain) == f'crystal Al ({crystal.pk})'


def test_literature_is_found_among_the_inputs_of_work_chains(crystal, barrier):
    entry = call('entry', row=Dict({'name': 'Al-1', 'citation': 'Doe 2020', 'barrier': 0.6}))
    made = barrier(caller=entry)
    chain = chain_of(made.band)
    assert short(chain)[-1] == (3, 'literature', 'Al-1, Doe 2020')
    assert chain['root_process'].tolist()[1:3] == ['entry', 'entry']
    assert '└─ literature: Al-1, Doe 2020' in chain_tree(chain)


def test_file_is_named(aiida_profile_clean):
    file, node = SinglefileData.from_string('data_Al', filename='Al.cif'), Int(1)
    calculate('read', {'file': file, 'doi': Dict({'doi': '10.1/2'})}, {'result': node})
    assert short(chain_of(node))[2:] == [(2, 'source', 'Al.cif'), (2, 'literature', '10.1/2')]


def dataset(rows):
    frame = pd.DataFrame(rows)
    return TableData(frame.astype(dict.fromkeys(frame.columns, 'string')), title='barriers').store()


def test_row_goes_back_to_its_band_and_its_literature(barrier):
    made = barrier()
    node = dataset([{'name': 'a', 'origin': made.band.uuid, 'source': 'Doe 2020'}, {'name': 'b'}])
    chain = chain_of_row(node, 'a')
    assert short(chain) == [
        (0, 'row', f'row a of dataset {node.pk}'),
        (1, 'literature', 'Doe 2020'),
        (1, 'data', 'band of Al in Al'),
        (2, 'process', 'PotentialNebCalculation'),
        (3, 'process', 'make_endpoints'),
        (4, 'source', 'crystal Al'),
    ]
    lines = chain_tree(chain).splitlines()
    assert lines[1] == f'├─ band of Al in Al ({made.band.pk})'
    assert lines[-1] == '└─ literature: Doe 2020'


def test_row_of_a_file_goes_back_to_the_file(aiida_profile_clean):
    node = TableData(pd.DataFrame({'name': ['a'], 'barrier': [0.3]}))
    calculate('read', {'file': SinglefileData.from_string('[]', filename='rows.json')}, {'dataset': node})
    assert [name for _, _, name in short(chain_of_row(node, 'a'))] == [
        f'row a of dataset {node.pk}', 'TableData', 'read', 'rows.json',
    ]  # fmt: skip


def test_row_whose_node_is_elsewhere(aiida_profile_clean):
    away = BandData(computed_band())
    chain = chain_of_row(dataset([{'name': 'a', 'origin': away.uuid}]), 'a')
    assert short(chain)[1] == (
        1, 'missing', f'node {away.uuid}, which is not in this profile: import the archive that holds it',
    )  # fmt: skip
    assert chain['uuid'][1] == away.uuid
    assert '└─ missing: node' in chain_tree(chain)


def test_unknown_rows_and_tables_without_names(aiida_profile_clean):
    node = dataset([{'name': 'LiFePO4_1'}, {'name': 'LiCoO2_1'}])
    with pytest.raises(ValueError, match=f"the dataset {node.pk} has no row 'LiFePO4', did you mean 'LiFePO4_1'"):
        chain_of_row(node, 'LiFePO4')
    with pytest.raises(ValueError, match="no row 'x': its 2 rows are named 'LiFePO4_1', "):
        chain_of_row(node, 'x')
    with pytest.raises(ValueError, match='without the column `name`: it is no dataset'):
        chain_of_row(TableData(pd.DataFrame({'x': [1]})).store(), 'x')


def test_job_whose_inputs_were_returned_by_a_work_chain(crystal):
    """A link of a work chain to what it returned is no step: who made it is."""
    result, end = Int(1), Int(2)
    root = call('barrier', structure=crystal)
    calculate('scale', {'crystal': crystal}, {'result': result}, root)
    result.base.links.add_incoming(root, LinkType.RETURN, 'result')
    calculate('use', {'x': result}, {'result': end})
    assert [name for _, kind, name in short(chain_of(end)) if kind == 'process'] == ['use', 'scale']
