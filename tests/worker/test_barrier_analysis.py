"""Jobs that analyse predicted barriers, without AiiDA."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from barrier_predictions import predicted_rows, predictions_of

from aiida_embarrier.datasets.tables import write_parquet
from aiida_embarrier.figures import barrier_page, page_folder
from aiida_embarrier.jobs.barrier_analysis import (
    ANALYSIS_FILE,
    FIGURES_FOLDER,
    BarrierAnalysisJob,
    tables_from_json,
    tables_to_json,
)
from aiida_embarrier.jobs.plain import Outcome
from aiida_embarrier.jobs.schemas import STOP_FILE
from aiida_embarrier.prediction.analysis import analyse
from aiida_embarrier.prediction.scores import BUCKETS, N_RESAMPLES, THRESHOLDS
from aiida_embarrier.worker.plain import run_plain_job

FRAME = predicted_rows()
PREDICTIONS = predictions_of(FRAME)


def do(folder, frame=FRAME, predictions=PREDICTIONS, **settings):
    for name, table in (('dataset', frame), ('predictions', predictions)):
        if table is not None:
            content = table if isinstance(table, bytes) else write_parquet(table)
            (folder / f'{name}.parquet').write_bytes(content)
    job = BarrierAnalysisJob(dataset='dataset.parquet', predictions='predictions.parquet', **settings)
    (folder / 'job.json').write_text(job.model_dump_json())
    return run_plain_job(folder / 'job.json')


def test_tables_beside_the_results(tmp_path):
    result = do(tmp_path, n_resamples=20, compare_hops=False, limits=[0.2], ranges=[1.0])
    assert (result.outcome, result.n_rows, result.models) == (Outcome.DONE, 56, ['trees', 'median'])
    expected = analyse(PREDICTIONS, FRAME, n_resamples=20, compare_hops=False, limits=[0.2], ranges=[1.0])
    found = tables_from_json((tmp_path / ANALYSIS_FILE).read_text(encoding='utf8'))
    assert list(found) == list(expected) == result.tables
    for name, table in expected.items():
        pd.testing.assert_frame_equal(found[name], table, check_dtype=False)
    assert result.figures == []
    assert not (tmp_path / FIGURES_FOLDER).exists()


@pytest.mark.slow
def test_figures_beside_the_tables(tmp_path):
    result = do(
        tmp_path, n_resamples=5, compare_hops=False, figures={'title': 'Toy', 'source': 'nowhere', 'model': 'median'}
    )
    assert result.outcome is Outcome.DONE, result.error
    folder = tmp_path / FIGURES_FOLDER
    assert {'index.html', 'analysis.json', 'figures/parity.png', 'figures/parity.svg'} < set(result.figures)
    assert {f'tables/{name}.csv' for name in result.tables} < set(result.figures)
    assert set(result.figures) == {path.relative_to(folder).as_posix() for path in folder.rglob('*') if path.is_file()}
    summary = json.loads((folder / 'analysis.json').read_text())
    assert (summary['title'], summary['source'], summary['model']) == ('Toy', 'nowhere', 'median')
    assert 'matplotlib' in result.versions


def test_figures_that_cannot_be_drawn_leave_the_tables(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise ZeroDivisionError('no width')

    monkeypatch.setattr(page_folder, 'save', fail)
    result = do(tmp_path, n_resamples=5, compare_hops=False, figures={})
    assert (result.outcome, result.error_kind) == (Outcome.FAILED, 'unexpected')
    assert 'the tables are done, but their figures could not be drawn: ZeroDivisionError: no width' in result.error
    assert 'by_ion' in tables_from_json((tmp_path / ANALYSIS_FILE).read_text(encoding='utf8'))
    assert not (tmp_path / FIGURES_FOLDER).exists()


def test_a_job_that_is_stopped_while_it_draws_leaves_the_tables(tmp_path, monkeypatch):
    def stop(*_, tell, **__):
        (tmp_path / STOP_FILE).touch()
        tell('parity')

    monkeypatch.setattr(barrier_page, 'write_barrier_analysis', stop)
    result = do(tmp_path, n_resamples=5, compare_hops=False, figures={})
    assert result.outcome is Outcome.INTERRUPTED
    assert (tmp_path / ANALYSIS_FILE).is_file()


def test_what_is_not_known_is_null():
    table = pd.DataFrame({'label': ['a', None], 'n': [1, 2], 'value': [np.nan, 0.1 + 0.2], 'none': [np.nan, np.nan]})
    text = tables_to_json({'one': table})
    assert 'NaN' not in text
    back = tables_from_json(text)['one']
    assert back['value'].tolist()[1] == 0.1 + 0.2
    assert back['value'].dtype == float
    assert back['n'].tolist() == [1, 2]
    assert back.isna().to_numpy().tolist() == table.isna().to_numpy().tolist()


def test_settings_are_those_of_the_analysis():
    job = BarrierAnalysisJob(dataset='a', predictions='b')
    assert (job.n_resamples, tuple(job.limits), tuple(job.thresholds)) == (N_RESAMPLES, BUCKETS, THRESHOLDS)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'frame': None}, 'there is no file dataset.parquet in the folder of the job'),
        ({'predictions': b'rubbish'}, 'predictions.parquet cannot be read'),
        ({'predictions': PREDICTIONS.drop(columns='fold')}, "without 'fold' cannot be analysed"),
        ({'frame': FRAME.drop(columns='barrier')}, "needs the column 'barrier'"),
        ({'frame': FRAME.iloc[1:].reset_index(drop=True)}, 'is no row of the dataset'),
        ({'figures': {'model': 'forest'}}, "there is no model 'forest': choose from median, trees"),
    ],
)
def test_what_cannot_be_analysed(tmp_path, change, message):
    result = do(tmp_path, n_resamples=5, **change)
    assert (result.outcome, result.error_kind) == (Outcome.REFUSED, 'input')
    assert re.search(message, result.error)
    assert not (tmp_path / ANALYSIS_FILE).exists()
