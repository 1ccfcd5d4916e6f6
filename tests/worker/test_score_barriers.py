"""The job that scores: a table in, scores out, and nothing to score refused."""

import pandas as pd
import pytest

from aiida_embarrier.datasets.tables import write_parquet
from aiida_embarrier.jobs.plain import Outcome
from aiida_embarrier.jobs.scoring import ScoreBarriersJob
from aiida_embarrier.worker.plain import run_plain_job


@pytest.mark.parametrize('known', [True, False])
def test_score(tmp_path, known):
    barriers = [0.2, 0.6] if known else [float('nan')] * 2
    table = pd.DataFrame({'name': ['a', 'b'], 'barrier': barriers, 'prediction': [0.3, 0.4], 'flags': '[]'})
    table = table.assign(lower=[0.1, 0.3], upper=[0.4, 0.5])
    (tmp_path / 'judged.parquet').write_bytes(write_parquet(table))
    (tmp_path / 'job.json').write_text(ScoreBarriersJob(table='judged.parquet', n_resamples=10).model_dump_json())
    result = run_plain_job(tmp_path / 'job.json')
    if known:
        assert result.scores['mae_eV'] == pytest.approx(0.15)
    else:
        assert result.outcome is Outcome.REFUSED
        assert 'nothing to score' in result.error
