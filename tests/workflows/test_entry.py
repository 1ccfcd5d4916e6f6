"""A barrier of the literature beside a computed one: from a literature row, and from a row of a dataset."""

import json

import pandas as pd
import pytest
from aiida.engine import run_get_node
from aiida.orm import Dict
from systems import aluminium, aluminium_vacancy_ends

from aiida_embarrier.data.convert import node_from_structure
from aiida_embarrier.data.table import TableData
from aiida_embarrier.workflows.entry import DatasetEntryWorkChain
from aiida_embarrier.workflows.entry_inputs import read_row, validate_entry
from aiida_embarrier.workflows.studies import same_inputs

OVERRIDES = {
    'n_images': 3,
    'supercell': [2, 2, 2],
    'engine': {'relax': {'force_threshold': 0.1}, 'neb': {'force_threshold': 0.3, 'climb': False}},
}

ROW = {
    'name': 'Al_1',
    'barrier': 0.61,
    'barrier_definition': 'rate_limiting',
    'functional': 'PBE',
    'source': 'a handbook',
    'ion': 'Al',
}


@pytest.fixture
def build(toy_codes):
    """Return a function that fills a builder; aluminium with its first hop unless other steps are given."""

    def make(row=ROW, steps=None, overrides=None, **inputs):
        if row is not None and steps is None:
            structure, kinds = node_from_structure(aluminium((1, 1, 1)))
            steps = {'structure': structure, 'kinds': kinds, 'hops': {'ion': 'Al', 'number': 0}}
        return DatasetEntryWorkChain.get_builder_from_protocol(
            None, row=row, derive=steps, engine='toy', overrides={**OVERRIDES, **(overrides or {})}, **inputs
        )

    return make


@pytest.fixture
def dataset(aiida_profile):
    """Return a dataset of one row, the vacancy hop of aluminium."""
    initial, final = aluminium_vacancy_ends()
    path = [initial[0].frac_coords.tolist(), final[0].frac_coords.tolist()]
    row = {
        'name': 'Al_vacancy',
        'lattice': json.dumps(initial.lattice.matrix.tolist()),
        'species': json.dumps([site.specie.symbol for site in initial[1:]]),
        'frac_coords': json.dumps(initial.frac_coords[1:].tolist()),
        'n_atoms': len(initial),
        'barrier': 0.61,
        'barrier_definition': 'literature',
        'ion': 'Al',
        'path': json.dumps(path),
        'functional': 'GGA',
        'flags': json.dumps(['unwrapped_hop']),
    }
    frame = pd.DataFrame([row, {**row, 'name': 'Al_here', 'path': json.dumps([path[0], path[0]])}])
    frame = frame.astype(
        {'n_atoms': 'Int64', **{key: 'string' for key, value in row.items() if isinstance(value, str)}}
    )
    return TableData(frame, units={'barrier': 'eV'}, title='Two rows')


@pytest.mark.slow
def test_literature_row(build):
    _, node = run_get_node(build())
    assert node.is_finished_ok, node.exit_message
    outputs = node.outputs
    entry = outputs.entry.get_dict()
    barriers = outputs.summary['barriers']
    assert entry['literature'] == {'barrier': 0.61, 'definition': 'rate_limiting', 'functional': 'PBE', 'notes': None}
    assert entry['comparison'] == {
        'definition': 'rate_limiting',
        'is_assumed': False,
        'literature': 0.61,
        'computed': barriers['rate_limiting'],
        'difference': pytest.approx(barriers['rate_limiting'] - 0.61),
    }
    assert {name: entry['computed'][name] for name in ('forward', 'reverse', 'span')} == {
        name: barriers[name] for name in ('forward', 'reverse', 'span')
    }
    assert entry['computed']['converged'] is True
    assert [branch['step'] for branch in entry['branches']][:2] == ['source', 'occupancies']
    assert entry['nodes']['band'] == outputs.band.uuid
    assert entry['nodes']['structure'] == outputs.structure.uuid
    # the host was relaxed once, by the derivation, and the band says so
    relaxations = [child for child in node.called_descendants if child.process_label == 'toy_relax']
    cells = [child.inputs.cell.value for child in relaxations]
    assert cells.count('full') == 1
    assert outputs.band.base.attributes.get('host_treatment') == 'cell'
    # a way leads from the entry back to the crystal
    assert outputs.entry.creator.inputs.band.pk == outputs.band.pk
    assert {link.link_label for link in node.base.links.get_incoming().all()} >= {'row', 'derive__structure'}


def test_hosts_are_the_same_where_the_inputs_of_their_relaxation_hold_the_same(build):
    builder = build()
    derive, barrier = (
        {name: node.store() for name, node in part['engine_inputs']['relax'].items()}
        for part in (builder.derive, builder.barrier)
    )
    assert derive['parameters'].uuid != barrier['parameters'].uuid
    assert same_inputs(derive, barrier)
    assert same_inputs(
        derive, {**barrier, 'options': Dict({'queue_name': 'short'}).store(), 'metadata': {'label': 'x'}}
    )
    other = Dict({**barrier['parameters'].get_dict(), 'force_threshold': 0.05}).store()
    assert not same_inputs(derive, {**barrier, 'parameters': other})
    assert not same_inputs(derive, {**barrier, 'kinds': other})


@pytest.mark.slow
def test_host_is_relaxed_again_where_the_barrier_says_how(build):
    """Only the threshold differs: a relaxed host of the other one would stand for what it is not."""
    builder = build(overrides={'relax_endpoints': False})
    relax = builder.barrier.engine_inputs.relax
    relax['parameters'] = Dict({**relax['parameters'].get_dict(), 'force_threshold': 0.09})
    _, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    relaxations = [child for child in node.called_descendants if child.process_label == 'toy_relax']
    assert [child.inputs.cell.value for child in relaxations].count('full') == 2


@pytest.mark.slow
def test_row_of_a_dataset(build, dataset):
    _, node = run_get_node(build(None, dataset=dataset, row_name='Al_vacancy'))
    assert node.is_finished_ok, node.exit_message
    entry = node.outputs.entry.get_dict()
    assert entry['source'] == 'Two rows, row Al_vacancy'
    assert entry['literature']['definition'] == 'literature'
    assert entry['comparison']['definition'] == 'forward'
    assert entry['comparison']['is_assumed'] is True
    assert any('does not say how its barrier is defined' in text for text in entry['warnings'])
    assert any('unwrapped_hop' in text for text in entry['warnings'])
    assert 0.3 < entry['comparison']['computed'] < 1.0
    assert node.outputs.entry.creator.inputs.row.creator.inputs.dataset.pk == dataset.pk
    assert 'derivation' not in node.outputs


def test_structure_that_cannot_be_derived(build):
    structure, kinds = node_from_structure(aluminium((1, 1, 1)))
    steps = {
        'parent': structure,
        'kinds': kinds,
        'substitution': {'substitute': {'Cu': 'Ni'}},
        'hops': {'ion': 'Al', 'number': 0},
    }
    _, node = run_get_node(build(steps=steps))
    assert node.exit_status == 310
    assert 'Cu' in node.exit_message
    assert node.outputs.derivation['message']
    assert 'entry' not in node.outputs
    # `resume` starts it again with the same inputs
    again = node.get_builder_restart()._inputs(prune=True)
    assert validate_entry(again, None) is None
    assert again['derive']['parent'].uuid == structure.uuid


@pytest.mark.slow
def test_band_that_does_not_converge(build):
    builder = build(overrides={'relax_host': 'none', 'relax_endpoints': False})
    neb = builder.barrier.engine_inputs.neb
    neb['parameters'] = Dict({**neb['parameters'].get_dict(), 'max_steps': 1, 'force_threshold': 1e-6})
    _, node = run_get_node(builder)
    assert node.exit_status == 510
    entry = node.outputs.entry.get_dict()
    assert entry['computed']['converged'] is False
    assert any('did not converge' in text for text in entry['warnings'])


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'barrier': None}, "row 'Al_1' has no `barrier`"),
        ({'barrier': 'high'}, "the barrier 'high': give a number in eV"),
        ({'barrier': -0.2}, 'the barrier -0.2: give a number in eV, from 0'),
        ({'barrier': 350.0}, 'one in meV or kJ/mol is to be converted'),
        ({'ion': 'aluminium'}, "'aluminium' is no element: give a chemical symbol such as Li; did you mean Al"),
        ({'barrier_definition': 'forwards'}, "did you mean 'forward'"),
        ({'source': ''}, 'has no `source`'),
        ({'ion': 'Cu'}, 'the barrier of the row is that of Cu, the hop that of Al'),
        ({'citation': 'x'}, "unknown parameter 'citation'"),
    ],
)
def test_bad_rows_are_refused_at_launch(build, change, message):
    with pytest.raises(ValueError, match=message) as caught:  # noqa: PT012  (a port or the whole may refuse it)
        found = validate_entry(dict(build({**ROW, **change})), None)
        raise ValueError(found)
    assert message in str(caught.value)


def test_bad_inputs_are_refused_at_launch(build, dataset):
    def refusal(*arguments, **inputs):
        return validate_entry(dict(build(*arguments, **inputs)), None)

    assert refusal() is None
    assert refusal(None, dataset=dataset, row_name='Al_vacancy') is None
    assert "did you mean 'Al_vacancy'" in refusal(None, dataset=dataset, row_name='Al_vacanc')
    assert "row 'Al_here'" in refusal(None, dataset=dataset, row_name='Al_here')
    assert 'the input `row_name` is missing' in refusal(None, dataset=dataset)
    assert 'leave out `row`' in refusal(dataset=dataset, row_name='Al_vacancy')
    assert 'there is no row' in refusal(None)
    structure, _ = node_from_structure(aluminium((1, 1, 1)))
    assert 'the row has no structure' in refusal(steps={})
    assert 'the row has no hop' in refusal(steps={'structure': structure})
    assert 'an entry is one hop' in refusal(steps={'structure': structure, 'hops': {'ion': 'Al'}})
    table = TableData(pd.DataFrame({'name': ['a'], 'barrier': [1.0]}))
    assert 'the table holds no barriers: it lacks the column(s) lattice' in refusal(None, dataset=table, row_name='a')
    with pytest.raises(ValueError, match="no step 'structures'"):
        build(steps={'structures': structure})


FILE = """\
name: LiX
barrier: 0.3
source: a paper
ion: Li
structure: X.cif
"""


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        (FILE.replace('structure: X.cif', ''), "row 'LiX' has no structure: name a file"),
        (FILE.replace('X.cif', 'Y.cif'), 'there is no file'),
        (FILE.replace('barrier: 0.3', 'barrier: high'), 'barrier'),
        (FILE.replace('barrier: 0.3', ''), 'barrier: Field required'),
        (FILE.replace('barrier: 0.3', 'barrier: -0.3'), 'the barrier -0.3: give a number in eV, from 0'),
        (FILE.replace('barrier: 0.3', 'barrier: .inf'), 'the barrier inf: give a number'),
        (FILE.replace('barrier: 0.3', 'barrier: .nan'), 'the barrier nan: give a number'),
        (
            FILE.replace('ion: Li', 'ion: lithium'),
            "'lithium' is no element: give a chemical symbol such as Li; did you",
        ),
        (FILE + 'barrier: 0.4', "the key 'barrier' stands there twice"),
        (FILE + 'derive: {charge_state: charged, charge_state: discharged}', "'charge_state' stands there twice"),
        (FILE + 'barrier_definition: backward', 'unknown barrier_definition'),
        (FILE + 'citation: x', "unknown key 'citation'"),
        (FILE + 'hop: first', "a hop is a number or a mapping, got 'first'"),
        (FILE + 'derive: {charge: charged}', "unknown key 'charge': did you mean 'charge_state'"),
        (FILE + 'parent: X.cif', 'has a `structure` and `parent`'),
        ('- a list', 'holds no mapping'),
        ('a: [', 'is not YAML'),
    ],
)
def test_bad_files_are_refused(tmp_path, text, message):
    (tmp_path / 'X.cif').touch()
    path = tmp_path / 'row.yaml'
    path.write_text(text)
    with pytest.raises(ValueError, match=r'row\.yaml') as caught:
        read_row(path)
    assert message in str(caught.value)


def test_file(tmp_path):
    (tmp_path / 'X.cif').touch()
    path = tmp_path / 'row.yaml'
    path.write_text(FILE + 'hop: {between: [0, 1]}\nderive: {charge_state: charged}')
    row = read_row(path)
    assert row.facts == {
        'name': 'LiX',
        'barrier': 0.3,
        'barrier_definition': 'literature',
        'source': 'a paper',
        'ion': 'Li',
    }
    assert row.hops == {'ion': 'Li', 'between': [0, 1]}
    assert row.charge_state == {'ion': 'Li', 'state': 'charged'}
