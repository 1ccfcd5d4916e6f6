"""Files and scripts of examples/barriers that take too long to be run as they are."""

import shutil
from pathlib import Path

import pytest
from barrier_paths import path_rows
from conftest import EXAMPLES

from aiida_embarrier.calculations.prediction_inputs import resolve_models
from aiida_embarrier.datasets.tables import write_parquet
from aiida_embarrier.prediction.network_specs import NETWORKS
from aiida_embarrier.prediction.registry import make_model
from aiida_embarrier.workflows.barrier_model_spec import read_barrier_model
from aiida_embarrier.workflows.train_spec import read_training

BARRIERS = EXAMPLES / 'barriers'


@pytest.fixture
def here(tmp_path):
    """Return a folder with the files of the example, and stand-ins for the data that they name."""
    for file in BARRIERS.glob('*.yaml'):
        shutil.copy(file, tmp_path)
    (tmp_path / 'data' / 'barriers_train').mkdir(parents=True)
    (tmp_path / 'data' / 'tl').mkdir()
    for name in ('barriers_train.json.gz', 'data/barriers_train/barriers_train.json.gz', 'published_split.csv'):
        (tmp_path / name).touch()
    for name in ('fe', 'bg', 'gv', 'ebg', 'ph', 'dc', 'pz'):
        (tmp_path / 'data' / 'tl' / f'{name}.parquet').touch()
    (tmp_path / 'barriers.parquet').write_bytes(write_parquet(path_rows(4)))
    return tmp_path


@pytest.mark.parametrize('name', sorted(file.name for file in BARRIERS.glob('*.yaml')))
def test_files_are_understood_and_their_models_can_be_made(here, name):
    if name.startswith('encoder'):
        assert len(read_training(here / name).targets) == 7
        return
    models = resolve_models(read_barrier_model(here / name).parameters)['models']
    for model in models:
        make_model(model['model'], **model['settings'])
    if name.startswith('networks'):
        assert {model['model'] for model in models} > set(NETWORKS)


def test_bands_of_a_potential_beside_what_is_quicker(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(BARRIERS))
    import neb_baseline

    (tmp_path / 'rows.parquet').write_bytes(write_parquet(path_rows(6)))
    arguments = ['--sample', '4', '--max-evaluations', '9', '--processes', '1', '--folds', '2']
    neb_baseline.main([str(tmp_path / 'rows.parquet'), str(tmp_path / 'out'), *arguments], standalone_mode=False)
    shown = capsys.readouterr().out
    assert 'chgnet, 4 of the 6 rows of at most 40 atoms (6 in all): 0 bands converged' in shown
    assert shown.count('potential_neb ') == 1
    assert Path(tmp_path / 'out' / 'compared_features.parquet').is_file()
