"""Jobs that make datasets, without AiiDA: tables and results in the folder, nothing half-written."""

import gzip
import json
import re

import numpy as np
import pandas as pd
import pytest
from potential_systems import vacancy_hop

from aiida_embarrier.bands.band import BandInfo
from aiida_embarrier.bands.io import write_npz
from aiida_embarrier.jobs.datasets import AssembleDatasetJob, BandEntry, DatasetResult, ImportDatasetJob
from aiida_embarrier.jobs.plain import Outcome
from aiida_embarrier.worker.plain import run_plain_job

TABLES = ('dataset.parquet', 'defects.parquet', 'repairs.parquet')


def do(folder, job):
    (folder / 'job.json').write_text(job.model_dump_json())
    result = run_plain_job(folder / 'job.json')
    tables = [name for name in TABLES if (folder / name).exists()]
    return result, tables


@pytest.fixture
def content(shared_data):
    raw = (shared_data / 'barriers_train' / 'barriers_train.json.gz').read_bytes()
    return [row for row in json.loads(gzip.decompress(raw)) if row['n_atoms'] < 50][:4]


def test_import(tmp_path, content):
    (tmp_path / 'x').write_bytes(json.dumps(content).encode())
    result, tables = do(tmp_path, ImportDatasetJob(file='x', name='four.json', source='a book'))
    assert (result.outcome, result.n_rows, result.schema_name) == (Outcome.DONE, 4, 'barrier')
    assert tables == list(TABLES)
    assert list(pd.read_parquet(tmp_path / 'dataset.parquet')['source']) == ['a book'] * 4
    assert DatasetResult.model_validate_json((tmp_path / 'results.json').read_text()) == result
    steps = [json.loads(line) for line in (tmp_path / 'progress.jsonl').read_text().splitlines()]
    assert {step.get('task') for step in steps} == {None, 'labels', 'defects'}


def test_what_is_refused(tmp_path, content):
    for file, job, message in (
        (b'[', {}, 'four.json ends too early'),
        (json.dumps(content).encode(), {'format': 'ten-tags'}, 'structure_ini: there is no structure'),
        (json.dumps([{**content[0], 'lattice': None}]).encode(), {}, 'has no lattice'),
    ):
        (tmp_path / 'x').write_bytes(file)
        result, tables = do(tmp_path, ImportDatasetJob(file='x', name='four.json', **job))
        assert (result.outcome, tables) == (Outcome.REFUSED, [])
        assert re.search(message, result.error), result.error
    result, _ = do(tmp_path, ImportDatasetJob(file='nowhere', name='four.json'))
    assert result.error == 'there is no file nowhere in the folder of the job'


def test_job_that_is_stopped(tmp_path, content):
    """A job that is asked to stop leaves no dataset."""
    (tmp_path / 'x').write_bytes(json.dumps(content).encode())
    (tmp_path / 'stop').touch()
    result, tables = do(tmp_path, ImportDatasetJob(file='x', name='four.json'))
    assert (result.outcome, tables) == (Outcome.INTERRUPTED, [])


def test_assemble(tmp_path):
    ends = vacancy_hop('Cu')
    images = np.linspace(ends.positions[0], ends.positions[-1], 3)
    for name, converged in (('a', True), ('b', False)):
        band = ends.replace(
            positions=images,
            energies=np.array([0, 0.5, 0.1]),
            forces=None,
            max_perpendicular_forces=None,
            info=BandInfo(converged=converged),
        )
        write_npz(tmp_path / f'{name}.npz', band)
    bands = {name: BandEntry(file=f'{name}.npz', name=f'row {name}', labels={'note': name}) for name in 'ab'}
    result, tables = do(tmp_path, AssembleDatasetJob(bands=bands, definition='reverse'))
    assert (result.n_rows, tables, set(result.left_out)) == (1, list(TABLES), {'b'})
    row = pd.read_parquet(tmp_path / 'dataset.parquet').iloc[0]
    assert (row['name'], row['note'], row['barrier']) == ('row a', 'a', pytest.approx(0.4))
    result, _ = do(tmp_path, AssembleDatasetJob(bands=bands, include_unconverged=True))
    assert list(pd.read_parquet(tmp_path / 'dataset.parquet')['converged']) == [True, False]
    assert result.warnings == []
