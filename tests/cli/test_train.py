"""``launch train``: its file, what a dry run shows, what is launched, and how a training is shown and drawn."""

import json

import pandas as pd
import pytest
import yaml
from learned_models import ARCHITECTURE, rocksalts, write_model_folder

from aiida_embarrier.data.dataset import DatasetData
from aiida_embarrier.datasets.tables import write_parquet

CONFIG = {
    'title': 'gaps of rock salts',
    'targets': {
        'gap': {
            'dataset': 'gaps.parquet',
            'property': 'band gap',
            'unit': 'eV',
            'split': {'method': 'source', 'validation_fraction': 0.2},
        }
    },
    'architecture': ARCHITECTURE,
    'training': {'epochs': 3, 'batch_size': 4, 'lr': 0.01},
}


@pytest.fixture
def write(run, tmp_path):
    (tmp_path / 'gaps.parquet').write_bytes(write_parquet(rocksalts()))

    def write_config(**changes):
        (tmp_path / 'training.yaml').write_text(yaml.safe_dump({**CONFIG, **changes}))
        return 'training.yaml'

    return write_config


def test_dry_run(run, write):
    shown = run('launch', 'train', write(), '--dry-run')
    lines = [line.split() for line in shown.splitlines()]
    assert ['gap', 'band', 'gap', 'eV', '9', '3', '4'] in lines
    assert '1 + 1 layers, 8 features' in shown
    found = json.loads(run('launch', 'train', write(), '--dry-run', '--format', 'json'))
    assert found['training']['epochs'] == 3
    assert found['targets'][0]['left_out'] == 0
    assert 'cuda, 2 per node, 3 node(s)' in run('launch', 'train', write(), '--dry-run', '--gpus', 2, '--nodes', 3)


@pytest.mark.slow
def test_training(run, write, worker_code, tmp_path):
    shown = run('launch', 'train', write(), '--label', 'mine', '--format', 'json')
    found, _ = json.JSONDecoder().raw_decode(shown)  # behind it stand the reports of the process, from stderr
    assert (found['exit_status'], found['model']['status']) == (0, 'trained')
    shown = run('show', found['pk'])
    assert 'all epochs' in shown
    assert 'train 9, validation 3, test 4' in shown
    run('plot', found['pk'], '-o', 'curve.png')
    run('plot', found['pk'], '--figure', 'parity', '-o', 'parity.png')
    assert (tmp_path / 'curve.png').stat().st_size > 10_000
    assert (tmp_path / 'parity.png').stat().st_size > 10_000


@pytest.mark.slow
def test_what_is_launched(run, write, worker_code, tmp_path, monkeypatch):
    """Files become nodes, each once; options of the command line go before those of the file."""
    started = []
    monkeypatch.setattr('aiida_embarrier.cli.launch.train.start', lambda builder, **how: started.append((builder, how)))
    write_model_folder(tmp_path / 'parent')
    config = write(
        architecture=None,
        parent='parent',
        transfer='last_layer',
        hardware={'threads': 1},
        options={'queue_name': 'gpu', 'max_wallclock_seconds': 60},
    )
    run('launch', 'train', config, '--wall-time', '600', '--submit')
    run('launch', 'train', config)
    (first, how), (second, _) = started
    assert how == {'label': None, 'submit': True, 'output_format': 'text'}
    assert first.parameters['transfer'] == {'strategy': 'last_layer'}
    assert first.parameters['title'] == 'gaps of rock salts'
    assert first.settings.get_dict() == {'threads': 1}
    assert (first.options['queue_name'], first.options['max_wallclock_seconds']) == ('gpu', 600)
    learned = first.datasets['gap'].base.attributes.all
    assert (learned['target'], learned['target_unit']) == ('band gap', 'eV')
    assert first.splits['gap'].table['part'].value_counts().to_dict() == {'train': 9, 'test': 4, 'validation': 3}
    assert first.parent.pk == second.parent.pk
    assert learned['content_hash'] == second.datasets['gap'].base.attributes.get('content_hash')
    creator = second.datasets['gap'].creator
    assert creator.base.caching.is_created_from_cache, 'the file was imported before'


def test_gpus(run, write, worker_code, monkeypatch):
    started = []
    monkeypatch.setattr('aiida_embarrier.cli.launch.train.start', lambda builder, **_: started.append(builder))
    dataset = DatasetData(rocksalts(), schema='property', target='band gap', target_unit='eV').store()
    targets = {'gap': {'dataset': dataset.pk, 'split': {'method': 'source'}}}
    run('launch', 'train', write(targets=targets), '--gpus', '2')
    run('launch', 'train', write(targets=targets, hardware={'device': 'cuda', 'devices': 3}))
    assert [entry.settings['devices'] for entry in started] == [2, 3]
    assert {entry.settings['device'] for entry in started} == {'cuda'}
    assert 'goes with --gpus' in run('launch', 'train', write(), '--nodes', '2', code=2)
    assert 'say --cpus-per-gpu' in run('launch', 'train', write(), '--gpus', '1', '--cores', '4', code=2)
    assert 'leave `nodes` at 1' in run('launch', 'train', write(), '--gpus', '1', '--nodes', '2', code=1)
    two = write(hardware={'device': 'cuda', 'nodes': 2})
    assert 'leave `nodes` at 1' in run('launch', 'train', two, '--gpus', '1', code=1), 'nodes of the file still count'


def test_samples(run, write, tmp_path):
    target = {**CONFIG['targets']['gap'], 'sample': {'method': 'random', 'size': 6, 'seed': 2}}
    del target['split']
    shown = run('launch', 'train', write(targets={'gap': target}), '--dry-run')
    assert ['gap', 'band', 'gap', 'eV', '5', '1', '4'] in [line.split() for line in shown.splitlines()]
    assert '6 row(s) are in no part' in shown


def test_split_in_a_file(run, write, tmp_path, monkeypatch):
    monkeypatch.setattr('aiida_embarrier.cli.launch.train.load_profile', lambda *_: pytest.fail('needs a profile'))
    monkeypatch.setattr('aiida_embarrier.data.table.TableData', lambda *_, **__: pytest.fail('needs a profile'))
    rows = rocksalts()
    split = pd.DataFrame({'name': rows['name'], 'part': ['train'] * 12 + ['test'] * 4})
    split.to_csv(tmp_path / 'split.csv', index=False)
    target = {**CONFIG['targets']['gap'], 'split': 'split.csv'}
    shown = run('launch', 'train', write(targets={'gap': target}), '--dry-run')
    assert ['gap', 'band', 'gap', 'eV', '12', '0', '4'] in [line.split() for line in shown.splitlines()]
    split.replace(rows['name'].iloc[0], 'nobody').to_csv(tmp_path / 'split.csv', index=False)
    assert "names 'nobody', which is no row of" in run('launch', 'train', 'training.yaml', '--dry-run', code=1)
    for wrong, message in (
        (
            split.replace('test', 'tests'),
            "has the part 'tests', which is none of train, validation, test, excluded, unused",
        ),
        (pd.concat([split, split.tail(1).assign(part='train')]), 'more than once: a row belongs to one part'),
    ):
        wrong.to_csv(tmp_path / 'split.csv', index=False)
        assert message in ' '.join(run('launch', 'train', 'training.yaml', '--dry-run', code=1).split())
    split.rename(columns={'part': 'fold'}).to_csv(tmp_path / 'split.csv', index=False)
    assert "is no split: it has no column 'part'" in run('launch', 'train', 'training.yaml', '--dry-run', code=1)


def change(**entries):
    return {'targets': {'gap': {**CONFIG['targets']['gap'], **entries}}}


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'trainings': {}}, "unknown key 'trainings': did you mean 'training'"),
        ({'training': {'epoch': 3}}, "`training`: unknown parameter 'epoch': did you mean 'epochs'"),
        ({'training': {'lr': -1}}, 'lr: Input should be greater than 0'),
        ({'architecture': 'tinny'}, "there is no architecture 'tinny'"),
        ({'graphs': {'cutof': 5}}, "`graphs`: unknown parameter 'cutof': did you mean 'cutoff'"),
        ({'hardware': {'gpus': 2}}, "unknown parameter 'gpus'"),
        ({'transfer': 'all'}, '`transfer` says what of a parent model is kept'),
        ({'targets': {}}, 'targets: Dictionary should have at least 1 item'),
        (change(split={'fraction': 0.1}), 'names its `method`'),
        (change(split={'method': 'random', 'test_fracion': 0.1}), "unknown parameter 'test_fracion'"),
        (change(split={'method': 'random', 'test_fraction': 2}), 'lies between 0 and 1'),
        (change(split={'method': 'random', 'size': 10}), 'say `sample: {size: ...}`'),
        (change(split=None), 'either `split` or `sample`'),
        (change(sample={'size': 3}), 'either `split` or `sample`'),
        (change(split=None, sample={'size': 300}), '300'),
        (change(split=None, sample={'method': 'published', 'size': 10}), '`method: published` and the `file`'),
        (change(dataset='nowhere.parquet'), "there is no file 'nowhere.parquet'"),
        (change(split='split.csv'), "there is no file 'split.csv'"),
        ({'parent': 'models/nowhere', 'architecture': None}, "there is no file 'models/nowhere'"),
    ],
)
def test_what_is_wrong_with_a_file(run, write, changes, message):
    shown = run('launch', 'train', write(**changes), '--dry-run', code=1)
    assert message in ' '.join(shown.split()), shown


def test_parent_of_another_architecture(run, write, worker_code, tmp_path):
    write_model_folder(tmp_path / 'parent')
    shown = run('launch', 'train', write(parent='parent', architecture='tiny'), code=1)
    assert 'the parent has hidden = 8, and `architecture` asks for 32' in ' '.join(shown.split())
    assert shown == run('launch', 'train', 'training.yaml', '--dry-run', code=1)
    misspelt = run('launch', 'train', write(parent='parent', transfer='lastlayer'), '--dry-run', code=1)
    assert "'last_layer'" in misspelt
    assert "got 'lastlayer'" in misspelt
    found = json.loads(run('launch', 'train', write(parent='parent'), '--dry-run', '--format', 'json'))
    assert found['transfer']['strategy'] == 'all'
    assert len(found['parent']) == 64
