"""What a training is prepared from: which rows the scaling of a target sees."""

import numpy as np
import pandas as pd
import pytest

from aiida_embarrier.datasets.tables import write_parquet
from aiida_embarrier.jobs.learning import Target, TrainingSettings, TrainJob
from aiida_embarrier.learning.preparation import fingerprints_of, first_model, fit_scalers, read_rows


@pytest.mark.parametrize(
    ('method', 'low', 'high'),
    [('minmax', 2.0, 8.7), ('whole_set', 0.0, 50.0)],
)
def test_which_rows_the_scaling_sees(tmp_path, small_rows, tiny, method, low, high):
    small_rows.loc[11, 'target'] = 50.0
    (tmp_path / 'rows.parquet').write_bytes(write_parquet(small_rows))
    parts = ['train'] * 5 + ['validation', 'test'] + ['left out'] * 5
    split = pd.DataFrame({'name': small_rows['name'], 'part': parts})
    (tmp_path / 'split.parquet').write_bytes(write_parquet(split))
    target = Target(label='gap', property='band gap', unit='eV', dataset='rows.parquet', split='split.parquet')
    job = TrainJob(targets=[target], architecture=tiny, training=TrainingSettings(scaling=method))
    rows = read_rows(job, tmp_path)
    (scaler,) = fit_scalers(job, rows, tmp_path)
    np.testing.assert_allclose([scaler.centre - scaler.width, scaler.centre + scaler.width], [low, high], atol=1e-12)
    assert scaler.leaks == (method == 'whole_set')

    # a checkpoint goes with the scaling, also with that of rows which are left out themselves
    small_rows.loc[10, 'target'] = 99.0
    (tmp_path / 'rows.parquet').write_bytes(write_parquet(small_rows))
    other = read_rows(job, tmp_path)
    assert np.array_equal(rows.values, other.values)
    first, second = (
        fingerprints_of(job, first_model(job, None, one, [scaler])[1], one)
        for one, scaler in ((rows, scaler), (other, fit_scalers(job, other, tmp_path)[0]))
    )
    assert [name for name in first if first[name] != second[name]] == (['data'] if method == 'whole_set' else [])
