"""Convergence studies: which runs there are, what they share, what the table says, and runs that fail."""

import pytest
from aiida.engine import run_get_node
from aiida.orm import CalcJobNode, Dict, Float
from systems import EMT, aluminium, aluminium_vacancy_ends, straight_band

from aiida_embarrier.data.band import BandData
from aiida_embarrier.data.convert import node_from_structure
from aiida_embarrier.workflows.convergence import ConvergenceWorkChain, from_coarse_to_fine, validate_inputs
from aiida_embarrier.workflows.studies import changes, flat, label_of, merge

OVERRIDES = {
    'n_images': 5,
    'min_image_distance': 7.5,
    'relax_host': 'none',
    'engine': {
        'potential': {'name': 'ase', 'model': 'emt', 'calculator': EMT.calculator},
        'settings': {'processes': 1},
    },
}
FORCE = 'engine.neb.force_threshold'


@pytest.fixture
def build(worker_code):
    """Return a function that fills a builder for EMT."""

    def make(variables, start='crystal', **options):
        path = {}
        if start == 'crystal':
            path = {'structure': node_from_structure(aluminium((1, 1, 1)))[0], 'hop': {'ion': 'Al', 'number': 0}}
        elif start == 'ends':
            initial, final = (node_from_structure(end)[0] for end in aluminium_vacancy_ends())
            path = {'initial': initial, 'final': final}
        else:
            path = {'band': BandData(straight_band())}
        return ConvergenceWorkChain.get_builder_from_protocol(
            worker_code, variables=variables, **{'overrides': OVERRIDES, **options}, **path
        )

    return make


@pytest.mark.slow
def test_images_and_forces(build):
    builder = build({'n_images': [5, 3], FORCE: [0.05, 0.1]}, tolerance=0.02)
    _, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    runs = {link.link_label: link.node for link in node.base.links.get_outgoing(link_label_filter='run_%').all()}
    assert set(runs) == {'run_base', 'run_n_images_3', 'run_engine_neb_force_threshold_0_1'}
    # the base set stands in both lists and is run once; the others take its endpoints
    jobs = {
        label: [job for job in run.called_descendants if isinstance(job, CalcJobNode)] for label, run in runs.items()
    }
    assert all(len(jobs[label]) == 1 for label in set(runs) - {'run_base'})
    assert len(jobs['run_base']) > 1
    table = node.outputs.table.get_dict()
    images, forces = table['variables']
    assert [row['value'] for row in images['rows']] == [3, 5]
    assert [row['value'] for row in forces['rows']] == [0.1, 0.05]
    assert images['rows'][1]['forward'] == forces['rows'][1]['forward']
    assert images['rows'][0]['n_images'] == 3
    # the saddle lies in the middle by symmetry, so even three images find it
    assert images['recommended'] == 3
    assert abs(images['rows'][0]['difference']) < 0.02
    assert images['rows'][1]['difference'] == 0
    # what was shared is part of the cost of each
    alone = runs['run_n_images_3'].outputs.summary['n_force_evaluations']
    shared = sum(
        count for step, count in runs['run_base'].outputs.summary['force_evaluations'].items() if step != 'neb'
    )
    assert images['rows'][0]['evaluations'] == alone + shared
    assert images['rows'][0]['cost'] == 31 * (alone + shared)
    assert table['n_force_evaluations'] == sum(run.outputs.summary['n_force_evaluations'] for run in runs.values())
    assert node.outputs.table.creator.process_label == 'tabulate_settings'
    # endpoints are the same to the last bit
    bands = [run.outputs.band.band for run in runs.values()]
    assert all((band.positions[[0, -1]] == bands[0].positions[[0, -1]]).all() for band in bands)


@pytest.mark.slow
def test_runs_that_fail_do_not_spoil_the_rest(build):
    builder = build({FORCE: [0.1, 0.05, 1e-30]}, start='band')
    for label, change in builder.variations.items():
        if '1e_30' in label:
            parameters = change['engine_inputs']['neb']['parameters'].get_dict()
            change['engine_inputs']['neb']['parameters'] = Dict({**parameters, 'max_steps': 2})
        else:
            wrong = builder.barrier['engine_inputs']['neb']['potential'].get_dict()
            change['engine_inputs']['neb']['potential'] = Dict({**wrong, 'calculator': 'no_such_module:Calculator'})
    _, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    (forces,) = node.outputs.table['variables']
    assert [row['status'] for row in forces['rows']] == ['failed', 'converged', 'not converged']
    assert 'no_such_module' in forces['rows'][0]['message']
    assert forces['recommended'] is None
    assert forces['message'].startswith('the finest setting, 1e-30, gave no barrier to compare with')


@pytest.mark.slow
def test_no_run_succeeds(build):
    builder = build({FORCE: [0.1, 0.05]}, start='band')
    for neb in (builder.barrier['engine_inputs']['neb'],):
        neb['potential'] = Dict({**neb['potential'].get_dict(), 'calculator': 'no_such_module:Calculator'})
    _, node = run_get_node(builder)
    assert node.exit_status == 310
    assert 'no_such_module' in node.exit_message


@pytest.mark.usefixtures('aiida_profile')
def test_runs_of_a_study(build):
    builder = build(
        {'n_images': [5, 7], 'supercell': [[2, 2, 2], [3, 2, 2]], 'engine.relax.force_threshold': [0.03, 0.1]}
    )
    variables = builder.study['variables']
    assert [variable['runs'] for variable in variables] == [
        ['base', 'n_images_7'],
        ['supercell_2_2_2', 'supercell_3_2_2'],
        ['engine_relax_force_threshold_0_1', 'base'],
    ]
    assert set(flat(builder.variations['n_images_7'])) == {'n_images'}
    assert set(flat(builder.variations['engine_relax_force_threshold_0_1'])) == {'engine_inputs.relax.parameters'}


@pytest.mark.usefixtures('aiida_profile')
@pytest.mark.parametrize(
    ('variables', 'start', 'message'),
    [
        ({'n_images': [3, 5]}, 'band', "'n_images' has no influence on a given band"),
        ({'supercell': [[1, 1, 1], [2, 2, 2]]}, 'ends', "'supercell' has no influence on given endpoints"),
        ({'relax_host': ['none', 'cell']}, 'ends', "'relax_host' has no influence"),
    ],
)
def test_variables_without_influence_are_refused(build, variables, start, message):
    builder = build(variables, start=start)
    assert message in validate_inputs(dict(builder), None)


@pytest.mark.usefixtures('aiida_profile')
@pytest.mark.parametrize(
    ('variables', 'message'),
    [
        ({}, 'no variable is given'),
        ({'n_images': [5]}, 'needs at least two different values'),
        ({'n_images': [5, 5]}, 'needs at least two different values'),
        ({'n_images': [5, 'many']}, 'cannot be put in order'),
        ({'n_imags': [5, 7]}, "unknown protocol key 'n_imags': did you mean 'n_images'"),
        ({'engine.neb.force_treshold': [0.1, 0.05]}, "did you mean 'force_threshold'"),
        ({'n_images': [2, 5]}, 'at least 3 images'),
        ({'supercell': [[0, 1, 1], [1, 1, 1]]}, 'is no supercell'),
    ],
)
def test_bad_variables_are_refused(build, variables, message):
    with pytest.raises(ValueError, match=message.replace('[', r'\[')):
        build(variables)


@pytest.mark.usefixtures('aiida_profile')
def test_bad_inputs_are_refused_at_launch(build):
    builder = build({'n_images': [5, 7]})
    inputs = dict(builder)
    assert validate_inputs(inputs, None) is None
    study = {'variables': [{'key': 'n_images', 'values': [5, 7], 'runs': ['base', 'other']}]}
    assert "the run 'other' of the variable 'n_images' is not among" in validate_inputs(
        {**inputs, 'study': Dict(study)}, None
    )
    assert "no input 'n_imags': did you mean 'n_images'" in validate_inputs(
        {**inputs, 'variations': {'n_images_7': {'n_imags': builder.study}}}, None
    )
    ports = ConvergenceWorkChain.spec().inputs
    assert 'no variable is given' in ports['study'].validate(Dict({})).message
    assert 'as many `runs`' in ports['study'].validate(Dict({'variables': [{'key': 'n_images'}]})).message
    assert '0.01 means 10 meV' in ports['tolerance'].validate(Float(10)).message
    assert 'is not one of forward, reverse' in ports['quantity'].validate(builder.barrier['engine']).message


@pytest.mark.parametrize(
    ('key', 'values', 'ordered'),
    [
        ('n_images', [7, 3, 7, 5], [3, 5, 7]),
        ('supercell', [[2, 2, 2], [[1, 1, 0], [-1, 1, 0], [0, 0, 1]]], [[[1, 1, 0], [-1, 1, 0], [0, 0, 1]], [2, 2, 2]]),
        ('engine.neb.force_threshold', [0.02, 0.1], [0.1, 0.02]),
        ('engine.potential.model', ['r2scan', '0.3.0'], ['r2scan', '0.3.0']),
    ],
)
def test_from_coarse_to_fine(key, values, ordered):
    assert from_coarse_to_fine(key, values) == ordered


def test_changes_and_merge():
    from aiida.orm import Str

    base = {'engine': Str('a'), 'n': 1, 'engine_inputs': {'neb': {'x': 1, 'y': 2}}, 'metadata': {'label': 'no'}}
    other = {'engine': Str('a'), 'n': 2, 'engine_inputs': {'neb': {'x': 1, 'y': 3}}}
    change = changes(base, other)
    assert change == {'n': 2, 'engine_inputs': {'neb': {'y': 3}}}
    assert flat(merge(base, change)) == flat(other)
    foreign = {'engine': Str('b'), 'n': 1, 'engine_inputs': {'neb': {'x': 1}}}
    assert flat(merge(base, changes(base, foreign))) == flat(foreign)


def test_labels():
    assert label_of('engine.neb.force_threshold', 0.05) == 'engine_neb_force_threshold_0_05'
    assert label_of('shift', -1, taken={'shift_1'}) == 'shift_1_2'
    assert label_of('supercell', [[1, 1, 0], [-1, 1, 0], [0, 0, 1]]) == 'supercell_1_1_0_1_1_0_0_0_1'
