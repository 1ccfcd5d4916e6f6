"""Jobs of whole elastic bands: barriers of rows in a table, bands among the numbers of paths, jobs that stop."""

import json

import pandas as pd
import pytest
from systems import EMT, aluminium_vacancy_ends

from aiida_embarrier.bands.band import Band
from aiida_embarrier.datasets.assembling import path_row
from aiida_embarrier.datasets.tables import read_parquet, write_parquet
from aiida_embarrier.jobs.neb_barriers import NEB_BARRIERS_FILE, NebBarriersJob
from aiida_embarrier.jobs.plain import Outcome
from aiida_embarrier.jobs.prediction import FEATURES_FILE, FeatureSettings, NebSettings, PathFeaturesJob
from aiida_embarrier.jobs.progress import JobHistory, read_lines
from aiida_embarrier.jobs.schemas import PROGRESS_FILE, STOP_FILE
from aiida_embarrier.worker import path_features
from aiida_embarrier.worker.plain import run_plain_job


def rows(*names):
    band = Band.from_structures(aluminium_vacancy_ends(), mobile=(0,))
    return pd.DataFrame([path_row(name, band) for name in names])


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return a function that runs a job, with the potential in this process instead of some of its own."""
    load = path_features.open_evaluator
    monkeypatch.setattr(path_features, 'open_evaluator', lambda *given: in_this_process(load, *given))

    def start(job, frame):
        (tmp_path / 'rows.parquet').write_bytes(write_parquet(frame))
        (tmp_path / 'job.json').write_text(job.model_dump_json())
        return run_plain_job(tmp_path / 'job.json')

    return start


def in_this_process(load, potential, device, processes, largest):
    from aiida_embarrier.potentials.loading import load_model

    return load_model(potential, 'cpu') if processes is None else load(potential, device, processes, largest)


def test_barriers(run, tmp_path):
    frame = rows('one', 'nowhere')
    frame.loc[1, 'path'] = '[[0, 0, 0], [0, 0, 0]]'
    result = run(NebBarriersJob(dataset='rows.parquet', potential=EMT), frame)
    assert result.outcome == Outcome.DONE
    assert result.n_converged == 1
    assert list(result.left_out) == ['nowhere']
    (row,) = read_parquet((tmp_path / NEB_BARRIERS_FILE).read_bytes()).to_dict('records')
    assert row['status'] == 'converged'
    assert row['n_evaluations'] == result.n_evaluations
    assert row['span'] == pytest.approx(0.39, abs=0.02)
    assert max(json.loads(row['energies'])) == pytest.approx(row['forward'])
    history = JobHistory()
    history.add(read_lines((tmp_path / PROGRESS_FILE).read_text()))
    assert list(history.tasks) == ['one (1 of 1), initial', 'one (1 of 1), band']
    assert history.tasks['one (1 of 1), band'].last['force_threshold'] == 0.05


def test_what_did_not_converge_is_told(run, tmp_path):
    few = NebSettings(max_evaluations=1)
    result = run(NebBarriersJob(dataset='rows.parquet', potential=EMT, neb=few), rows('one'))
    assert result.n_converged == 0
    (row,) = read_parquet((tmp_path / NEB_BARRIERS_FILE).read_bytes()).to_dict('records')
    assert row['status'] == 'not_converged'
    assert row['span'] != row['span']  # no number
    assert row['energies'] == '[]'


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'neb': NebSettings(max_atoms=20)}, 'a path has 31 atoms, `max_atoms` allows 20'),
        ({'potential': EMT.model_copy(update={'version': '0.1'})}, 'was prepared for ase 0.1'),
    ],
)
def test_jobs_that_are_refused(run, change, message):
    result = run(NebBarriersJob(**({'dataset': 'rows.parquet', 'potential': EMT} | change)), rows('one'))
    assert result.outcome == Outcome.REFUSED
    assert message in result.error


def test_no_path_among_the_rows(run):
    frame = rows('nowhere')
    frame['path'] = '[[0, 0, 0], [0, 0, 0]]'
    assert 'none of the rows is a path' in run(NebBarriersJob(dataset='rows.parquet', potential=EMT), frame).error


@pytest.mark.parametrize('job', [NebBarriersJob, PathFeaturesJob])
def test_a_band_is_stopped_with_its_job(run, tmp_path, monkeypatch, job):
    """The request to stop comes when the band has begun."""
    from aiida_embarrier.potentials.neb import NudgedElasticBand

    begun = []
    tell = NudgedElasticBand.tell

    def stop(self, outcomes):
        begun.append(self)
        (tmp_path / STOP_FILE).touch()
        tell(self, outcomes)

    monkeypatch.setattr(NudgedElasticBand, 'tell', stop)
    features = FeatureSettings(potential=EMT, neb=NebSettings())
    asked = {'features': features} if job is PathFeaturesJob else {'potential': EMT}
    result = run(job(dataset='rows.parquet', **asked), rows('one', 'two'))
    assert result.outcome == Outcome.INTERRUPTED
    assert len(begun) == 1


def test_features(run, tmp_path):
    features = FeatureSettings(potential=EMT, budget=5, neb=NebSettings())
    result = run(PathFeaturesJob(dataset='rows.parquet', features=features), rows('one'))
    assert result.n_described == 1
    (row,) = read_parquet((tmp_path / FEATURES_FILE).read_bytes()).to_dict('records')
    assert row['potential_neb_converged'] == 1
    assert 0 < row['potential_neb_span'] < row['potential_placed_forward']
