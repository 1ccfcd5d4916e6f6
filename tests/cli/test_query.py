"""Questions on the command line, in text, JSON and CSV."""

import csv
import io
import json

import pandas as pd
import pytest
from aiida.common.links import LinkType
from aiida.orm import Group, Int, WorkChainNode
from click import BadParameter
from systems import aluminium, computed_band

from aiida_embarrier.cli.query import cost, failures
from aiida_embarrier.cli.query.barriers import read_condition
from aiida_embarrier.cli.query.failures import read_since
from aiida_embarrier.data.band import BandData
from aiida_embarrier.data.convert import node_from_structure
from aiida_embarrier.data.table import TableData


@pytest.fixture
def graph(aiida_profile_clean, make_calcjob_node):
    """Return a crystal, the process that somebody started, its job that failed, and the band that it left."""
    crystal = node_from_structure(aluminium((1, 1, 1)))[0].store()
    root, chain = WorkChainNode(label='mine'), WorkChainNode()
    for process, name in ((root, 'MigrationBarrierWorkChain'), (chain, 'PotentialNebWorkChain')):
        process.set_process_label(name)
    root.base.links.add_incoming(crystal, LinkType.INPUT_WORK, 'structure')
    chain.base.links.add_incoming(root.store(), LinkType.CALL_WORK, 'neb')
    band = BandData(computed_band())
    job = make_calcjob_node(
        'embarrier.potential.neb',
        {'crystal': crystal},
        outputs={'bands__band': band},
        exit_status=501,
        exit_message='Not converged within the step limit: 5 steps',
        caller=chain.store(),
    )
    job.set_process_label('PotentialNebCalculation')
    root.set_process_state('finished')
    root.set_exit_status(0)
    return crystal, root, job, band


def test_barriers(run, graph):
    *_, band = graph
    vasp = BandData(computed_band().replace(engine='vasp', potential=None, functional='pbe', climbing=False)).store()
    assert [row['pk'] for row in json.loads(run('query', 'barriers', '--format', 'json'))] == [vasp.pk, band.pk]
    for condition, pks in (
        ('climbing=true', [band.pk]),
        ('climbing != true', [vasp.pk]),
        ('n_images>=5', [vasp.pk, band.pk]),
        ('n_images>5', []),
        ('functional=pbe', [vasp.pk]),
        ('hop_length<=2.8', []),
    ):
        rows = json.loads(run('query', 'barriers', '--where', condition, '--format', 'json'))
        assert [row['pk'] for row in rows] == pks, condition
    rows = list(csv.DictReader(io.StringIO(run('query', 'barriers', '--engine', 'potential', '--format', 'csv'))))
    assert [(row['pk'], row['process'], row['label']) for row in rows] == [(str(band.pk), str(graph[1].pk), 'mine')]
    assert 'mine' in run('query', 'barriers')
    for both in (('n_images>=5', 'n_images<5'), ('n_images>=6', 'n_images>=5')):
        text = run('query', 'barriers', '--where', both[0], '--where', both[1])
        assert 'No band meets these conditions' in text, both


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('n_image>3', "bands have no attribute 'n_image': did you mean 'n_images'"),
        ('colour=red', "bands have no attribute 'colour': choose from formula, "),
        ('n_images', 'is not NAME<VALUE'),
        ('n_images=[1, 2]', 'more than one value'),
    ],
)
def test_conditions_that_cannot_be_read(text, message):
    with pytest.raises(BadParameter, match=message.replace('[', r'\[')):
        read_condition(text)


def test_origin(run, graph):
    crystal, root, job, band = graph
    assert run('query', 'origin', band.pk).splitlines() == [
        f'band of Al in Al ({band.pk})',
        f'└─ PotentialNebCalculation ({job.pk}), exit status 501, '
        f'neb/iteration_01 of MigrationBarrierWorkChain {root.pk}',
        f'   └─ source: crystal Al ({crystal.pk})',
    ]
    rows = json.loads(run('query', 'origin', band.uuid, '--format', 'json'))
    assert [row['kind'] for row in rows] == ['node', 'process', 'source']
    assert rows[1]['made'] == {'bands__band': band.pk}
    assert 'iteration_01' in run('query', 'origin', band.pk, '--table')
    rows = list(csv.DictReader(io.StringIO(run('query', 'origin', band.pk, '--format', 'csv'))))
    assert json.loads(rows[1]['made_from']) == [crystal.pk]


def test_origin_of_a_row(run, graph):
    *_, band = graph
    table = TableData(pd.DataFrame({'name': ['a'], 'origin': [band.uuid], 'source': ['Doe 2020']})).store()
    text = run('query', 'origin', '--dataset', table.pk, '--row', 'a')
    assert text.startswith(f'row a of dataset {table.pk}\n├─ band of Al in Al ({band.pk})')
    assert text.endswith('└─ literature: Doe 2020\n')
    assert "has no row 'b'" in run('query', 'origin', '--dataset', table.pk, '--row', 'b', code=1)
    assert 'is no dataset: it is of type BandData' in run('query', 'origin', '--dataset', band.pk, '--row', 'a', code=2)
    for arguments in ((), ('--dataset', table.pk), ('--row', 'a'), (band.pk, '--dataset', table.pk, '--row', 'a')):
        assert 'name a NODE, or a row of a dataset' in run('query', 'origin', *arguments, code=2)


def test_from(run, graph):
    crystal, root, _, band = graph
    found = json.loads(run('query', 'from', crystal.pk, '--format', 'json'))
    assert [row['pk'] for row in found['crystals']] == [crystal.pk]
    assert [row['pk'] for row in found['bands']] == [band.pk]
    assert [row['pk'] for row in found['processes']] == [root.pk]
    by_file = json.loads(run('query', 'from', 'Al.cif', '--format', 'json'))
    assert [row['pk'] for row in by_file['bands']] == [band.pk]
    text = run('query', 'from', 'Al.cif')
    assert 'crystal Al' in text
    assert 'MigrationBarrierWorkChain' in text
    assert '0.600' in text
    lonely = node_from_structure(aluminium((2, 1, 1)))[0].store()
    assert 'Nothing has been computed from it' in run('query', 'from', lonely.pk)


def test_from_what_is_not_there(run, graph):
    assert "there is no file 'other.cif'" in run('query', 'from', 'other.cif', code=1)
    assert "there is no node '99999'" in run('query', 'from', '99999', code=1)
    assert 'is a process (MigrationBarrierWorkChain): name the crystal' in run('query', 'from', graph[1].pk, code=1)
    aluminium((1, 1, 1)).scale_lattice(100).to_file('large.cif')
    assert 'The crystal in large.cif is not in this profile' in run('query', 'from', 'large.cif')


def test_same_path(run, graph):
    *_, band = graph
    assert 'No path was computed in two ways' in run('query', 'same-path')
    vasp = BandData(computed_band().replace(engine='vasp', potential=None, functional='pbe')).store()
    rows = json.loads(run('query', 'same-path', band.pk, '--format', 'json'))
    assert [row['pk'] for row in rows] == [band.pk, vasp.pk]
    assert 'pbe' in run('query', 'same-path', '--tolerance', '0.2')
    assert json.loads(run('query', 'same-path', '--ion', 'Li', '--format', 'json')) == []
    assert 'neither a band nor a process' in run('query', 'same-path', Int(1).store().pk, code=1)


def test_failures(run, graph):
    _, root, job, _ = graph
    rows = json.loads(run('query', 'failures', '--format', 'json'))
    assert [(row['pk'], row['exit_status'], row['root'], row['root_exit_status']) for row in rows] == [
        (job.pk, 501, root.pk, 0)
    ]
    text = run('query', 'failures', root.pk, '--own')
    assert 'Not converged within the step limit' in text
    assert 'well' in text
    counted = json.loads(run('query', 'failures', '--by', 'exit_status', '--format', 'json'))
    assert [(row['exit_status'], row['n_failures'], row['n_recovered']) for row in counted] == [(501, 1, 1)]
    assert '501' in run('query', 'failures', '--by', 'exit_status')
    assert json.loads(run('query', 'failures', '--since', '7d', '--limit', '1', '--format', 'json')) == rows
    assert 'Nothing failed' in run('query', 'failures', '--process', 'embarrier.derive')
    assert 'Nothing failed' in run('query', 'failures', '--since', '2999-01-01')
    assert 'is no process: it is of type StructureData' in run('query', 'failures', graph[0].pk, code=1)
    assert "'soon' is neither a time span such as 30m" in run('query', 'failures', '--since', 'soon', code=2)


def test_time_spans():
    ages = [read_since(text) for text in ('2w', '7d', '12h', '30m')]
    assert ages == sorted(ages)
    assert round((ages[3] - ages[1]).total_seconds() / 60) == 7 * 24 * 60 - 30
    assert read_since('2026-11-01').tzinfo is not None


def test_cost(run, graph):
    _, root, job, band = graph
    assert 'Together: unknown, measured for 0 of 1 jobs; the others are not in the sum' in run('query', 'cost')
    sacct = 'AllocCPUS|CPUTimeRAW|ElapsedRaw\n8|28800|3600\n'
    job.set_detailed_job_info({'retval': 0, 'stderr': '', 'stdout': sacct})
    group = Group('published').store()
    group.add_nodes([band])
    for node in (root.pk, band.uuid, 'published'):
        rows = json.loads(run('query', 'cost', node, '--format', 'json'))
        assert [(row['step'], row['core_h'], row['n_missing']) for row in rows] == [('neb', 8.0, 0)], node
    assert 'Together: 8.000 core hours, measured for 1 of 1 jobs.' in run('query', 'cost', '--by', 'computer')
    assert 'scheduler' in run('query', 'cost', '--jobs')
    assert "neither a node nor a group 'thesis'" in run('query', 'cost', 'thesis', code=1)


def test_empty_profile(run, aiida_profile_clean):
    assert 'This profile has no band with energies yet' in run('query', 'barriers')
    assert 'Nothing failed' in run('query', 'failures')
    assert run('query', 'cost') == 'No job has run.\n'
    for question in ('barriers', 'same-path', 'failures', 'cost'):
        assert json.loads(run('query', question, '--format', 'json')) == [], question


def test_choices_are_those_of_the_questions():
    from aiida_embarrier.queries import costs as of_costs
    from aiida_embarrier.queries import failures as of_failures

    assert cost.BY == of_costs.BY
    assert failures.BY == of_failures.BY
