"""``launch barrier-model``: its file, what a dry run shows, what is launched, and how it is shown and drawn."""

import functools
import json

import pandas as pd
import pytest
import yaml
from aiida.common.links import LinkType
from aiida.orm import Dict, WorkChainNode
from barrier_paths import path_rows
from barrier_predictions import predicted_rows, predictions_of
from learned_models import write_model_folder

from aiida_embarrier.data.dataset import DatasetData
from aiida_embarrier.data.model import ModelData
from aiida_embarrier.data.table import TableData
from aiida_embarrier.datasets.tables import write_parquet

CONFIG = {
    'title': 'medians',
    'dataset': 'barriers.parquet',
    'models': ['median', {'label': 'chemistry', 'model': 'chemsys_median'}],
    'validations': [{'how': 'random', 'folds': 4, 'seeds': [0, 1]}, {'how': 'family_group', 'folds': 5}],
    'fit': 'chemistry',
    'coverage': 0.5,
    'n_resamples': 100,
    'hardware': {'threads': 1},
}


@pytest.fixture
def write(run, tmp_path):
    rows = path_rows(40)
    (tmp_path / 'barriers.parquet').write_bytes(write_parquet(rows))
    for part in ('train', 'test', 'testing'):
        rows[['name']].assign(part=part).to_csv(tmp_path / f'{part}.csv', index=False)
    names = [*rows['name'], 'nobody']
    pd.DataFrame({'name': names, 'part': 'train'}).to_csv(tmp_path / 'other.csv', index=False)

    def write_config(**changes):
        (tmp_path / 'model.yaml').write_text(yaml.safe_dump({**CONFIG, **changes}))
        return 'model.yaml'

    return write_config


@pytest.fixture
def stored(write):
    """Return the same function for a dataset that is a node, which takes no import."""
    node = DatasetData(path_rows(40), schema='barrier').store()
    return functools.partial(write, dataset=node.pk)


def test_dry_run(run, write):
    shown = run('launch', 'barrier-model', write(), '--dry-run')
    assert 'random, 4 folds × 2 seed(s); family_group, 5 folds × 1 seed(s)' in shown
    assert ['chemistry', 'chemsys_median', '-', '-'] in [line.split() for line in shown.splitlines()]
    config = write(describe={'potential': 'chgnet', 'budget': 40})
    found = json.loads(run('launch', 'barrier-model', config, '--dry-run', '--format', 'json'))
    assert found['rows'] == 40
    assert found['n_fits'] == 2 * (2 * 4 + 5) + 1
    assert found['describe']['potential']['model'] == '0.3.0'


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'model': ['median']}, "unknown key 'model': did you mean 'models'"),
        ({'models': []}, 'models'),
        ({'models': ['medain'], 'fit': None}, "medain: there is no model 'medain' of barriers: did you mean 'median'"),
        (
            {'models': [{'model': 'extra_trees', 'settings': {'ntrees': 5}}], 'fit': None},
            "extra_trees: the model extra_trees has no setting 'ntrees': did you mean 'n_trees'",
        ),
        (
            {'models': [{'model': 'ensemble', 'settings': {'members': {'trees': {}}}}], 'fit': None},
            'ensemble: trees: a member is one of extra_trees, random_forest, gradient_boosting, support_vectors, not',
        ),
        ({'fit': 'chem'}, "`fit` is 'chem', which is no label of a model"),
        ({'validations': [{'how': 'family', 'folds': 3}]}, 'family_group'),
        ({'validations': [{'how': 'split'}]}, 'the validation `split` needs a `split`'),
        ({'describe': {'potentail': 'chgnet'}}, "did you mean 'potential'"),
        ({'describe': {}, 'models': ['potential_path'], 'fit': None}, 'one, such as `potential: chgnet`'),
        ({'describe': {}, 'features': '12'}, 'either `features`, or how to `describe`'),
        ({'models': [{'model': 'model_1_add', 'parent': 'mp'}], 'fit': None}, "'mp', which is not among the `parents`"),
        (
            {'models': [{'model': 'model_3', 'settings': {'training': {'epoch': 3}}}], 'fit': None},
            'model_3: `training`: epoch: Extra inputs are not permitted',
        ),
        ({'models': ['ensemble'], 'fit': None}, 'ensemble reads numbers that describe paths: say how to `describe`'),
        ({'validations': [{'how': 'host_group', 'folds': 90}]}, 'host_group asks for 90 folds of 20 group(s): ask for'),
        ({'validations': [{'how': 'random', 'folds': 41}]}, 'random asks for 41 folds of 40 row(s): ask for 40 at'),
        ({'split': 'testing.csv'}, "testing.csv has the part 'testing', which is none of train"),
        ({'split': 'other.csv'}, "the split names 'nobody', which is no row of the dataset (1 of 41 names are none)"),
        ({'split': 'test.csv'}, 'no row of the part `train`'),
        ({'split': 'train.csv', 'validations': [{'how': 'split'}]}, 'parts `validation` and `test`, and the split has'),
        ({'split': {'method': 'random', 'share': 0.1}}, "a split has no parameter 'share'"),
        ({'hardware': {'gpus': 1}}, "unknown parameter 'gpus'"),
        ({'dataset': 'other.parquet'}, 'there is no file'),
    ],
)
def test_files_that_are_refused(run, write, changes, message):
    assert message in run('launch', 'barrier-model', write(**changes), '--dry-run', code=1)


def test_rows_without_a_part_are_told(run, write, tmp_path):
    rows = path_rows(40)[['name']].assign(part=['train'] * 20 + ['test'] * 8 + ['unused'] * 2 + [None] * 10)
    rows.head(35).to_csv(tmp_path / 'some.csv', index=False)
    config = write(split='some.csv')
    shown = run('launch', 'barrier-model', config, '--dry-run')
    assert 'train 20, test 8, unused 2; 10 rows are in no part, and left out' in shown
    found = json.loads(run('launch', 'barrier-model', config, '--dry-run', '--format', 'json'))
    assert (found['parts'], found['n_without_part']) == ({'train': 20, 'test': 8, 'unused': 2}, 10)


def test_notes_of_a_dry_run(run, write):
    config = write(coverage=0.99)
    notes = json.loads(run('launch', 'barrier-model', config, '--dry-run', '--format', 'json'))['notes']
    assert notes[0] == (
        'the validation random gives no intervals: with the 30 rows beside each fold a coverage of about 0.892 is the '
        'highest, and 0.99 is asked for'
    )
    assert len(notes) == 3  # the last one of paths
    assert 'note: the validation family_group gives no intervals' in run('launch', 'barrier-model', config, '--dry-run')


def test_doubtful_barriers_are_told_before_they_are_learned(run, write, tmp_path):
    rows = path_rows(40)
    rows.loc[0, 'barrier'], rows.loc[2, 'barrier'] = 300.0, -1.0
    (tmp_path / 'some.parquet').write_bytes(write_parquet(rows))
    rows[['name']].assign(part=['train', None] * 20).to_csv(tmp_path / 'half.csv', index=False)
    config = write(dataset='some.parquet', split='half.csv', validations=[])
    (note,) = json.loads(run('launch', 'barrier-model', config, '--dry-run', '--format', 'json'))['notes']
    assert note.startswith('2 of 20 rows have a known defect of path or barrier (2 implausible_barrier)')
    assert '`aiida-embarrier dataset info some.parquet --defects`' in note


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda _: ModelData.from_folder('parent'), 'is no table of numbers that describe paths but a ModelData'),
        (lambda rows: TableData(rows[['name', 'formula']]), "the column 'formula' of the table of features holds no"),
        (lambda rows: TableData(rows[['name', 'n_atoms']].head(30)), '10 of 40 rows have no features'),
    ],
)
def test_features_that_are_refused(run, stored, worker_code, tmp_path, make, message):
    write_model_folder(tmp_path / 'parent')
    node = make(path_rows(40)).store()
    for how in ([], ['--dry-run']):
        assert message in run('launch', 'barrier-model', stored(features=node.pk), *how, code=1)


@pytest.mark.slow
def test_model(run, write, worker_code, tmp_path):
    shown = run('launch', 'barrier-model', write(), '--label', 'mine', '--format', 'json')
    # around it stand a note and the reports of the process, from stderr
    found, _ = json.JSONDecoder().raw_decode(shown[shown.index('{') :])
    assert (found['exit_status'], found['results']['fitted']) == (0, 'chemistry')
    shown = run('show', found['pk'])
    assert '27 in' in shown
    lines = [line.split()[:3] for line in shown.splitlines()]
    assert ['chemistry', 'family_group', '40'] in lines
    assert f'aiida-embarrier model analyse {found["pk"]} -o FOLDER' in shown
    run('model', 'analyse', found['pk'], '-o', 'analysis')
    assert '<h1>medians</h1>' in (tmp_path / 'analysis' / 'index.html').read_text()
    run('plot', found['pk'], '-o', 'parity.png')
    assert (tmp_path / 'parity.png').stat().st_size > 10_000
    model = found['results']['nodes']['model']
    shown = run('model', 'show', model)
    assert 'chemsys_median' in shown
    assert '40 rows' in shown
    run('model', 'export', model, '-o', 'exported', '--licence', 'MIT')
    card = json.loads(run('model', 'show', 'exported', '--format', 'json'))
    assert (card['kind'], card['licence']) == ('barrier', 'MIT')
    assert f'model {model} ' not in run('model', 'import', 'exported')  # another card


@pytest.fixture
def chain(make_calcjob_node, monkeypatch):
    """Return a function that makes an ended process whose last job ended with a status, and lets launches return it."""

    def make(exit_status, message=None, job_status=0, **outputs):
        node = WorkChainNode(process_type='aiida.workflows:embarrier.barrier_model')
        node.base.links.add_incoming(Dict({}).store(), link_type=LinkType.INPUT_WORK, link_label='parameters')
        node.store()
        make_calcjob_node('embarrier.barrier_model', {}, exit_status=job_status, caller=node)
        for label, value in outputs.items():
            value.store().base.links.add_incoming(node, link_type=LinkType.RETURN, link_label=label)
        node.set_process_state('finished')
        node.set_exit_status(exit_status)
        node.set_exit_message(message)
        monkeypatch.setattr('aiida_embarrier.cli.launch.start._run', lambda *_: node)
        return node

    return make


def test_a_model_is_found_by_the_label_of_its_launch(run, chain, tmp_path):
    write_model_folder(tmp_path / 'model')
    node = chain(0, model=ModelData.from_folder(tmp_path / 'model'))
    node.label = node.called[0].label = 'my model'
    assert run('model', 'show', 'my model') == run('model', 'show', node.outputs.model.pk)
    failed = chain(402)
    failed.label = 'my model'
    assert run('model', 'show', 'my model') == run('model', 'show', node.outputs.model.pk)
    shown = run('show', 'my model', code=1)
    assert f"'my model' names 2 nodes: give the PK of one, such as {node.pk} (" in shown


def test_a_fit_without_validation_has_nothing_to_draw(run, stored, worker_code, chain, tmp_path):
    write_model_folder(tmp_path / 'model')
    node = chain(0, results=Dict({'fitted': 'chemistry'}), model=ModelData.from_folder(tmp_path / 'model'))
    shown = run('launch', 'barrier-model', stored(validations=[]))
    assert 'share it: ' in shown
    assert 'draw it: ' not in shown
    for how in (['plot'], ['model', 'analyse'], ['model', 'analyse', '--data', 'barriers.parquet']):
        assert 'fitted a model and validated none' in run(*how, node.pk, code=1)


def test_plot_has_the_words_of_the_page(run, make_calcjob_node, tmp_path):
    outputs = {'results': Dict({'fitted': 'trees'}), 'predictions': TableData(predictions_of(predicted_rows()))}
    node = make_calcjob_node('embarrier.barrier_model', {}, outputs=outputs)
    run('plot', node.pk, '-o', 'parity.svg')
    drawn = (tmp_path / 'parity.svg').read_text()
    for text in ('trees', 'random folds', 'new cells', 'n = 56: MAE', 'known barrier (eV)', 'predicted barrier (eV)'):
        assert text in drawn, text


def test_what_is_advised_where_input_was_refused(run, stored, worker_code, chain):
    features = TableData(path_rows(4)[['name', 'n_atoms']])
    node = chain(402, 'no such setting', 201, results=Dict({}), features=features)
    shown = run('launch', 'barrier-model', stored(), code=1)
    assert shown.count('no such setting') == 1
    assert f'`features: {node.pk}` in place of `describe`' in shown
    assert 'resume' not in shown
    chain(402, 'no such setting', 201)
    assert 'launch it again with inputs that are mended' in run('launch', 'barrier-model', stored(), code=1)
    node = chain(402, 'killed', 303)
    assert f'`aiida-embarrier resume {node.pk}` goes on from there' in run('launch', 'barrier-model', stored(), code=1)


def test_a_failed_analysis_is_shown(run, make_calcjob_node):
    node = make_calcjob_node(
        'embarrier.barrier_model', {}, outputs={'results': Dict({})}, exit_status=403, exit_message='no figures'
    )
    assert 'failed: no figures' in run('show', node.pk)


def test_scores_of_a_split_have_no_folds(run, make_calcjob_node):
    score = {'model': 'median', 'validation': 'test', 'n': 5, 'seeds': [0], 'values': {}}
    results = Dict({'scores': [score], 'rows': {'train': 20, 'test': 5}, 'n_unused': 12})
    node = make_calcjob_node('embarrier.barrier_model', {}, outputs={'results': results})
    assert '12 rows, which the split has in no part' in run('show', node.pk)
    lines = [line.split() for line in run('show', node.pk).splitlines()]
    assert ['median', 'test', '5', '-', '-', '-', '-', '-'] in lines


@pytest.mark.slow
def test_what_is_launched(run, write, worker_code, tmp_path, monkeypatch):
    started = []
    place = 'aiida_embarrier.cli.launch.barrier_model.start'
    monkeypatch.setattr(place, lambda builder, **how: started.append((builder, how)))
    write_model_folder(tmp_path / 'parent')
    config = write(
        models=[{'model': 'model_1_add', 'parent': 'mp'}],
        fit='model_1_add',
        parents={'mp': 'parent'},
        split={'method': 'random', 'test_fraction': 0.2, 'seed': 3},
        describe={'budget': 10},
        options={'queue_name': 'long', 'max_wallclock_seconds': 60},
    )
    run('launch', 'barrier-model', config, '--wall-time', '600', '--submit')
    ((builder, how),) = started
    assert how == {'label': None, 'submit': True, 'output_format': 'text'}
    assert (builder.options['queue_name'], builder.options['max_wallclock_seconds']) == ('long', 600)
    assert builder.describe.parameters.get_dict() == {'potential': None, 'budget': 10}
    assert builder.parents['mp'].base.attributes.get('labels') == ['gap']
    assert builder.split.table['part'].value_counts().to_dict() == {'train': 32, 'test': 8}
    assert builder.parameters['fit'] == 'model_1_add'
    assert builder.dataset.base.attributes.get('schema_name') == 'barrier'
