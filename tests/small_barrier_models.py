"""A small model of barriers in a folder, and its jobs run in this process instead of in a worker of their own."""

import io
from contextlib import redirect_stdout
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from barrier_paths import path_rows

from aiida_embarrier.datasets.definitions import definitions_of
from aiida_embarrier.datasets.tables import read_parquet
from aiida_embarrier.jobs import here
from aiida_embarrier.jobs.prediction import BarrierModelCard, FeatureSettings
from aiida_embarrier.prediction.base import Rows
from aiida_embarrier.prediction.features import describe
from aiida_embarrier.prediction.fitted import FittedModel, difficulty_of_rows, domain_of, write_barrier_model
from aiida_embarrier.prediction.intervals import ConformalIntervals
from aiida_embarrier.prediction.registry import make_model
from aiida_embarrier.prediction.rows import rows_of
from aiida_embarrier.worker.plain import run_plain_job

SETTINGS = {'members': {'extra_trees': {'settings': {'n_trees': 5}}, 'support_vectors': {}}}


def write_small_model(folder, potential=None):
    """Write a model of few trees that learned from made-up paths; its intervals are calibrated on made-up errors.

    :param potential: that the card names, though nothing was computed with it.
    """
    frame = path_rows(20)
    rows, _ = rows_of(frame)
    rows = Rows(rows.paths, describe(rows.paths), rows.labels, rows.barriers)
    model = make_model('ensemble', **SETTINGS)
    model.fit(rows)
    domain = domain_of(rows, model.reads(rows.features.columns))
    hard = difficulty_of_rows(model, domain, rows)
    errors = np.resize([0.05, -0.05, 0.1, -0.1], len(rows))
    intervals = ConformalIntervals.fit(
        rows.barriers, model.predict(rows) + errors, hard, groups=rows.labels['host_group']
    )
    card = BarrierModelCard(
        model='ensemble',
        settings=SETTINGS,
        features=list(rows.features.columns),
        feature_settings=FeatureSettings(potential=potential),
        barrier_definitions=definitions_of(frame),
        coverage=0.5,
        title='made up',
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_barrier_model(folder, FittedModel(model, card, intervals, domain))


def run_jobs_in_this_process(monkeypatch):
    """Let jobs run in this process; return the rows that they were given, as they come."""
    given = []

    def run(command, **_):
        path = Path(command[2])
        given.extend(read_parquet(file.read_bytes()) for file in path.parent.glob('*.parquet'))
        with redirect_stdout(io.StringIO()):
            run_plain_job(path)
        return SimpleNamespace(returncode=0, stderr='')

    monkeypatch.setattr(here.subprocess, 'run', run)
    return given
