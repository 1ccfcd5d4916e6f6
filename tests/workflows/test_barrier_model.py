"""Models of barriers through AiiDA: real jobs from a dataset to a model and its predictions, all of it as nodes."""

import io
import json

import pandas as pd
import pytest
from aiida.engine import run_get_node
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from aiida.orm import Dict, SinglefileData
from barrier_paths import hops, path_rows

from aiida_embarrier.calculations.barrier_analysis import BarrierAnalysisCalculation
from aiida_embarrier.calculations.prediction import (
    BarrierModelCalculation,
    PathFeaturesCalculation,
    PredictBarriersCalculation,
)
from aiida_embarrier.data.dataset import DatasetData
from aiida_embarrier.data.table import TableData
from aiida_embarrier.jobs.barrier_analysis import tables_from_json
from aiida_embarrier.jobs.potentials import resolve_potential
from aiida_embarrier.prediction.rows import paths_of
from aiida_embarrier.workflows.barrier_model import BarrierModelWorkChain
from aiida_embarrier.workflows.barrier_model_jobs import FitBarrierModelWorkChain, PathFeaturesWorkChain

PARAMETERS = {
    'models': ['median', 'class_median', 'chemsys_median'],
    'validations': [{'how': 'random', 'folds': 4, 'seeds': [0, 1]}, {'how': 'family_group', 'folds': 5}],
    'fit': 'chemsys_median',
    'coverage': 0.5,
    'n_resamples': 100,
    'title': 'medians of chemical systems',
}
OPTIONS = {'max_wallclock_seconds': 300}


def dataset(n=20, **entries):
    return DatasetData(path_rows(n), schema='barrier', **entries)


@pytest.mark.slow
def test_from_a_dataset_to_predictions(worker_code):
    rows = dataset(40, source='made up')
    forest = {'label': 'forest', 'model': 'extra_trees', 'settings': {'n_trees': 10}}
    parameters = {
        **PARAMETERS,
        'models': ['median', 'chemsys_median', forest],
        'validations': [{'how': 'random', 'folds': 3}, {'how': 'family_group', 'folds': 4}, {'how': 'split'}],
        'fit': 'forest',
    }
    split = TableData(rows.table[['name']].assign(part=['train'] * 38 + ['validation'] * 2))
    builder = BarrierModelWorkChain.get_builder_from(
        worker_code, rows, parameters, describe={'budget': 5}, split=split, settings={'threads': 1}, options=OPTIONS
    )
    outputs, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    assert set(outputs) == {
        *('features', 'jobs', 'model', 'predictions', 'comparison', 'results', 'analysis', 'figures')
    }
    errors = outputs['comparison'].table.set_index(['model', 'validation'])['mae_eV']
    assert len(errors) == 9
    assert errors['forest', 'family_group'] < 0.7 * errors['median', 'family_group']  # it knows the ion
    model = outputs['model']
    assert model.card.datasets[0].uuid == rows.uuid
    assert model.card.feature_settings.budget == 5
    assert model.card.features == [name for name in outputs['features'].table if name not in {'name', 'reason'}]
    attributes = model.base.attributes
    assert (attributes.get('kind'), attributes.get('model')) == ('barrier', 'extra_trees')
    assert attributes.get('mae_random') == pytest.approx(errors['forest', 'random'])
    assert outputs['results']['n_fits'] == 3 * 8 + 1
    tables = tables_from_json(outputs['analysis'].get_content())
    assert set(tables['comparison']['model']) == {'median', 'chemsys_median', 'forest'}
    pages = outputs['figures'].base.repository
    summary = json.loads(pages.get_object_content('analysis.json'))
    assert (summary['title'], summary['source'], summary['model']) == (PARAMETERS['title'], 'made up', 'forest')
    assert pages.get_object_content('figures/parity.png', 'rb').startswith(b'\x89PNG')
    assert outputs['figures'].creator.uuid == outputs['analysis'].creator.uuid
    assert set(outputs['jobs']) == {'features', 'analysis'}
    assert outputs['analysis'].creator.inputs.split.uuid == split.uuid
    # everything was made by jobs from the dataset
    job = model.creator
    assert job.process_type == 'aiida.calculations:embarrier.barrier_model'
    assert job.inputs.dataset.uuid == rows.uuid
    assert outputs['predictions'].creator.uuid == job.uuid
    assert job.inputs.features.creator.process_type == 'aiida.calculations:embarrier.path_features'
    assert job.inputs.features.creator.inputs.dataset.uuid == rows.uuid

    asked = TableData(path_rows(40).drop(columns=['barrier', 'structural_class']))
    predicting = PredictBarriersCalculation.get_builder()
    predicting.code, predicting.dataset, predicting.model = worker_code, asked, model
    predicting.metadata.options.max_wallclock_seconds = 300
    outputs, job = run_get_node(predicting)
    assert job.is_finished_ok, job.exit_message
    found = outputs['predictions'].table
    assert found['name'].tolist() == path_rows(40)['name'].tolist()
    assert found['prediction'].between(found['lower'], found['upper']).all()
    assert (found['prediction'] - path_rows(40)['barrier']).abs().mean() < 0.05
    assert outputs['results']['n_rows'] == 40


def features(n=20):
    frame = path_rows(n)
    return TableData(
        hops(paths_of(frame)[0]).reset_index(names='name').assign(reason=pd.Series([None] * n, dtype='str'))
    )


def test_a_potential_is_an_input_with_its_version_and_weights(worker_code):
    """So caching takes numbers of another version for others, and a job that was refused for want of it for none."""
    describe = {'potential': {'name': 'chgnet', 'version': '0.4.1'}, 'budget': 5}
    builder = BarrierModelWorkChain.get_builder_from(worker_code, dataset(), PARAMETERS, describe=describe)
    found = builder.describe.parameters.get_dict()
    assert (found['budget'], found['potential']['version']) == (5, '0.4.1')
    assert found['potential']['sha256'] == resolve_potential('chgnet').sha256
    assert PathFeaturesCalculation.exit_codes.ERROR_INVALID_INPUT.invalidates_cache


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'parameters': {**PARAMETERS, 'fits': 'median'}}, "unknown parameter 'fits': did you mean 'fit'"),
        ({'parameters': {**PARAMETERS, 'fit': 'mean'}}, "`fit` is 'mean', which is no label of a model"),
        ({'parameters': {**PARAMETERS, 'models': []}}, 'models'),
        ({'parameters': {**PARAMETERS, 'validations': [{'how': 'split'}]}}, 'needs the input `split`'),
        ({'parameters': {**PARAMETERS, 'validations': [{'how': 'random', 'seeds': [1, 1]}]}}, 'different numbers'),
        (
            {'parameters': {'models': [{'model': 'model_3', 'parent': 'mp'}], 'fit': 'model_3'}},
            "'mp', which is not among the `parents`",
        ),
        ({'parameters': {'models': ['medain'], 'fit': 'medain'}}, "there is no model 'medain'"),
        ({'parameters': {'models': ['ensemble'], 'fit': 'ensemble'}}, 'reads numbers that describe paths'),
        (
            {'parameters': {**PARAMETERS, 'validations': [{'how': 'host_group', 'folds': 11}]}, 'describe': {}},
            r'host_group asks for 11 folds of 10 group\(s\)',
        ),
        ({'settings': {'device': 'gpu'}}, 'device'),
        ({'settings': {'thread': 1}}, "did you mean 'threads'"),
        ({'options': {'queue': 'x'}}, "did you mean 'queue_name'"),
        ({'describe': {'potential': 'chgnot'}}, "did you mean 'chgnet'"),
        ({'describe': {'budget': 0}}, 'budget'),
        (
            {'parameters': {**PARAMETERS, 'models': ['median', 'potential_neb'], 'fit': 'median'}, 'describe': {}},
            'potential_neb: the model potential_neb is the barrier of whole elastic bands .*`neb: {}` beside the',
        ),
    ],
)
def test_inputs_that_are_refused(worker_code, change, message):
    given = {'parameters': PARAMETERS, **change}
    with pytest.raises(ValueError, match=message):
        instantiate_process(
            get_manager().get_runner(), BarrierModelWorkChain.get_builder_from(worker_code, dataset(), **given)
        )


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda rows: {'split': rows[['name']].assign(part='testing')}, "the split has the part 'testing'"),
        (lambda rows: {'split': rows[['name']].assign(part='test')}, 'no row of the part `train`'),
        (lambda rows: {'features': rows[['name', 'n_atoms']].head(5)}, '15 of 20 rows have no features'),
    ],
)
@pytest.mark.parametrize('cls', [BarrierModelWorkChain, FitBarrierModelWorkChain])
def test_tables_of_other_rows_are_refused(worker_code, cls, change, message):
    builder = cls.get_builder()
    builder.code, builder.dataset, builder.parameters = worker_code, dataset(), Dict(PARAMETERS)
    for name, frame in change(path_rows(20)).items():
        builder[name] = TableData(frame)
    with pytest.raises(ValueError, match=message):
        instantiate_process(get_manager().get_runner(), builder)


def test_a_label_is_that_of_the_whole(worker_code):
    builder = BarrierModelWorkChain.get_builder_from(worker_code, dataset(), PARAMETERS)
    builder.metadata.label = 'mine'
    chain = instantiate_process(get_manager().get_runner(), builder)
    assert chain.node.label == 'mine'
    assert 'metadata' not in chain.exposed_inputs(FitBarrierModelWorkChain)


def test_features_are_made_or_given_not_both(worker_code):
    builder = BarrierModelWorkChain.get_builder_from(
        worker_code, dataset(), PARAMETERS, describe={}, features=features()
    )
    with pytest.raises(ValueError, match='either `features`, or how to `describe`'):
        instantiate_process(get_manager().get_runner(), builder)


def test_dataset_without_paths(worker_code):
    frame = pd.DataFrame({'name': ['a'], 'target': [1.0]})
    builder = PathFeaturesCalculation.get_builder()
    builder.code, builder.dataset = worker_code, TableData(frame)
    with pytest.raises(ValueError, match="no column 'lattice'"):
        instantiate_process(get_manager().get_runner(), builder)


@pytest.fixture
def prepared(worker_code, fixture_sandbox):
    """Return a function that writes the files of a job, and returns its job file and what is copied."""

    def prepare(cls, **inputs):
        builder = cls.get_builder()
        builder.code = worker_code
        for name, value in inputs.items():
            builder[name] = value
        process = instantiate_process(get_manager().get_runner(), builder)
        calc = process.prepare_for_submission(fixture_sandbox)
        with fixture_sandbox.open('job.json') as handle:
            return json.load(handle), calc

    return prepare


@pytest.fixture
def fixture_sandbox():
    from aiida.common.folders import SandboxFolder

    with SandboxFolder() as folder:
        yield folder


def test_features_say_what_they_depend_on(prepared, make_calcjob_node):
    table = features()
    potential = {'name': 'chgnet', 'model': '0.3.0', 'version': '0.4.2'}
    make_calcjob_node(
        'embarrier.path_features',
        {'parameters': Dict({'potential': 'chgnet', 'budget': 40})},
        outputs={'features': table, 'results': Dict({'potential': potential})},
    )
    rows = dataset().store()
    job, calc = prepared(
        BarrierModelCalculation,
        dataset=rows,
        features=table,
        parameters=Dict(PARAMETERS),
        settings=Dict({'threads': 2}),
    )
    assert job['feature_settings']['budget'] == 40
    assert job['feature_settings']['potential']['version'] == '0.4.2'
    assert (job['dataset_uuid'], job['hardware']['threads']) == (rows.uuid, 2)
    assert [model['label'] for model in job['models']] == PARAMETERS['models']
    assert {entry[2] for entry in calc.local_copy_list} == {'rows.parquet', 'given_features.parquet'}
    # of a table that nobody knows the origin of nothing is said
    job, _ = prepared(BarrierModelCalculation, dataset=rows, features=features(), parameters=Dict(PARAMETERS))
    assert job['feature_settings'] is None


def test_parents_are_copied_into_folders_of_their_own(prepared):
    from training_nodes import model

    parent = model().store()
    parameters = {'models': [{'model': 'model_3', 'parent': 'mp'}], 'fit': 'model_3'}
    job, calc = prepared(
        BarrierModelCalculation, dataset=dataset(), parameters=Dict(parameters), parents={'mp': parent}
    )
    assert job['models'][0]['parent'] == 'mp'
    copied = {(uuid, name) for uuid, _, name in calc.local_copy_list}
    assert {(parent.uuid, f'parents/mp/model.{suffix}') for suffix in ('json', 'safetensors')} <= copied


def test_a_model_of_properties_predicts_no_barriers(worker_code):
    from training_nodes import model

    builder = PredictBarriersCalculation.get_builder()
    builder.code, builder.dataset, builder.model = worker_code, dataset(), model()
    with pytest.raises(ValueError, match='the model predicts properties of crystals'):
        instantiate_process(get_manager().get_runner(), builder)


@pytest.mark.parametrize(
    ('parameters', 'retrieved'),
    [({}, {'barrier_analysis.json'}), ({'figures': {}}, {'barrier_analysis.json', 'barrier_analysis'})],
)
def test_figures_are_drawn_where_asked_for(prepared, parameters, retrieved):
    tables = {'dataset': dataset(), 'predictions': TableData(pd.DataFrame({'name': ['a']}))}
    job, calc = prepared(BarrierAnalysisCalculation, parameters=Dict(parameters), **tables)
    assert (job['figures'] is not None) == ('figures' in parameters)
    assert set(calc.retrieve_temporary_list) == retrieved
    with pytest.raises(ValueError, match='heading'):
        prepared(BarrierAnalysisCalculation, parameters=Dict({'figures': {'heading': 'x'}}), **tables)


@pytest.mark.parametrize('left', [{'analysis'}, set()])
def test_an_analysis_that_failed_is_told(worker_code, make_calcjob_node, left):
    """Not in silence, and with what there is."""
    builder = BarrierModelWorkChain.get_builder_from(worker_code, dataset(), PARAMETERS)
    chain = instantiate_process(get_manager().get_runner(), builder)
    chain.ctx.analysis = make_calcjob_node(
        'embarrier.barrier_analysis',
        {},
        outputs={name: SinglefileData(io.BytesIO(b'{}')) for name in left},
        exit_status=BarrierAnalysisCalculation.exit_codes.ERROR_WORKER.status,
        exit_message='The worker failed: no width',
    )
    code = chain.inspect_analysis()
    assert code.status == 403
    assert f'job {chain.ctx.analysis.pk} says: The worker failed: no width' in code.message
    assert set(chain.outputs) == left


@pytest.mark.parametrize('cls', [PathFeaturesWorkChain, FitBarrierModelWorkChain])
def test_a_job_that_was_stopped_is_gone_on_with(worker_code, make_calcjob_node, cls):
    builder = cls.get_builder()
    builder.code, builder.dataset = worker_code, dataset()
    if cls is FitBarrierModelWorkChain:
        builder.parameters = Dict(PARAMETERS)
    chain = instantiate_process(get_manager().get_runner(), builder)
    chain.setup()
    chain.take_over()
    entry_point = cls._process_class.build_process_type().partition(':')[2]
    job = make_calcjob_node(
        entry_point,
        {'dataset': dataset()},
        outputs={'checkpoint': SinglefileData(io.BytesIO(b'state')), 'results': Dict({'wall_s': 1.0})},
        exit_status=cls._process_class.exit_codes.ERROR_WALL_TIME.status,
        exit_message='stopped',
    )
    job.seal()
    chain.ctx.children, chain.ctx.iteration = [job], 1
    assert chain.inspect_process().status == 0
    assert chain.ctx.inputs.checkpoint.uuid == job.outputs.checkpoint.uuid
    assert not chain.ctx.is_finished
