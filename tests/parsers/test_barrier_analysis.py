"""Parser of analyses of barriers: tables and figures, and what is left of those that did not come to their end."""

import pandas as pd
import pytest

from aiida_embarrier.jobs.barrier_analysis import (
    ANALYSIS_FILE,
    FIGURES_FOLDER,
    BarrierAnalysisResult,
    tables_to_json,
)
from aiida_embarrier.parsers.barrier_analysis import BarrierAnalysisParser

TABLES = tables_to_json({'comparison': pd.DataFrame({'model': ['median'], 'mae_eV': [0.3]})})
FIGURES = ['index.html', 'figures/parity.png']
DONE = BarrierAnalysisResult(n_rows=2, models=['median'], tables=['comparison'])
DRAWN = DONE.model_copy(update={'figures': FIGURES})


@pytest.fixture
def parse(make_calcjob_node, tmp_path):
    """Return a function that parses what a job left, and returns exit status, message and outputs."""

    def run(result, tables=TABLES, figures=()):
        if tables is not None:
            (tmp_path / ANALYSIS_FILE).write_text(tables, encoding='utf8')
        for name in figures:
            path = tmp_path / FIGURES_FOLDER / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(name.encode())
        kept = {} if result is None else {'results.json': result.model_dump_json()}
        parser = BarrierAnalysisParser(make_calcjob_node('embarrier.barrier_analysis', {}, kept))
        code = parser.parse(retrieved_temporary_folder=str(tmp_path))
        return (0, None, parser.outputs) if code is None else (code.status, code.message, parser.outputs)

    return run


def test_tables_alone(parse):
    status, _, outputs = parse(DONE)
    assert (status, set(outputs)) == (0, {'results', 'analysis'})
    assert outputs['analysis'].get_content() == TABLES


def test_tables_and_figures(parse):
    status, _, outputs = parse(DRAWN, figures=FIGURES)
    assert (status, set(outputs)) == (0, {'results', 'analysis', 'figures'})
    repository = outputs['figures'].base.repository
    assert sorted(repository.list_object_names()) == ['figures', 'index.html']
    assert repository.get_object_content('figures/parity.png', 'rb') == b'figures/parity.png'
    assert 'figures' not in outputs['results'].get_dict()


def test_figures_that_did_not_arrive(parse):
    status, message, outputs = parse(DRAWN, figures=FIGURES[:1])
    assert (status, set(outputs)) == (302, {'results', 'analysis'})
    assert 'figures/parity.png is not there' in message


@pytest.mark.parametrize(('outcome', 'status'), [('failed', 303), ('interrupted', 401)])
def test_tables_of_a_job_that_ended_while_it_drew(parse, outcome, status):
    found, message, outputs = parse(BarrierAnalysisResult(outcome=outcome, error='at the parity plot'))
    assert (found, set(outputs)) == (status, {'results', 'analysis'})
    assert 'at the parity plot' in message


def test_tables_of_a_job_that_was_killed(parse):
    status, _, outputs = parse(None, figures=FIGURES[:1])
    assert (status, set(outputs)) == (301, {'analysis'}), 'figures may be missing, so none are shown'


@pytest.mark.parametrize('tables', [None, TABLES[:-5]])
def test_tables_that_are_missing_or_cut_off(parse, tables):
    assert (parse(DONE, tables)[0], parse(None, tables)[0]) == (302, 301)
    assert 'analysis' not in parse(None, tables)[2]
