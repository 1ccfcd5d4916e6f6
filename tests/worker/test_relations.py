"""Jobs that relate properties, without AiiDA."""

import re

import pytest
from property_systems import halides

from aiida_embarrier.datasets.relations import relations
from aiida_embarrier.datasets.tables import read_parquet, write_parquet
from aiida_embarrier.jobs.plain import Outcome
from aiida_embarrier.jobs.relations import RelatedDataset, RelationsJob
from aiida_embarrier.worker.plain import run_plain_job


def do(folder, **frames):
    datasets = {}
    for label, frame in frames.items():
        if frame is not None:
            (folder / f'{label}.parquet').write_bytes(frame if isinstance(frame, bytes) else write_parquet(frame))
        datasets[label] = RelatedDataset(file=f'{label}.parquet', unit='eV')
    (folder / 'job.json').write_text(RelationsJob(datasets=datasets).model_dump_json())
    return run_plain_job(folder / 'job.json')


def test_table_beside_the_results(tmp_path):
    frames = {'gap': halides('one'), 'density': halides('other', kind='cubic')}
    result = do(tmp_path, **frames)
    assert (result.outcome, result.n_pairs) == (Outcome.DONE, 2)
    table = read_parquet((tmp_path / 'relations.parquet').read_bytes())
    assert table.equals(relations(frames, units=dict.fromkeys(frames, 'eV')))
    assert '"task": "crystals"' in (tmp_path / 'progress.jsonl').read_text()


@pytest.mark.parametrize(
    ('frame', 'message'),
    [
        (None, 'there is no file density.parquet in the folder of the job'),
        (b'rubbish', 'density.parquet cannot be read'),
        (halides().drop(columns='target'), "density is no dataset of a property: it lacks the column 'target'"),
        (halides().iloc[:0], 'density has no rows: leave it out'),
        (halides().assign(target=float('nan')), "'halide-0' of density has no target: leave it out"),
    ],
)
def test_what_is_refused(tmp_path, frame, message):
    result = do(tmp_path, gap=halides('one'), density=frame)
    assert result.outcome is Outcome.REFUSED
    assert re.search(re.escape(message), result.error), result.error
    assert not (tmp_path / 'relations.parquet').exists()


def test_job_that_is_stopped(tmp_path):
    (tmp_path / 'stop').touch()
    result = do(tmp_path, gap=halides('one'), density=halides('other'))
    assert (result.outcome, (tmp_path / 'relations.parquet').exists()) == (Outcome.INTERRUPTED, False)
