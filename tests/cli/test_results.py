"""Commands that read results: show, plot, list, graph, export, doctor, setup, show-protocol; in text and in JSON."""

import json
import os

import pytest
import yaml
from click.testing import CliRunner
from systems import computed_band, straight_band

from aiida_embarrier.cli import doctor, main
from aiida_embarrier.workflows.barrier_inputs import barrier_protocol


@pytest.fixture
def run():
    """Return a function that runs the command line."""

    def invoke(*arguments, code=0):
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        assert result.exit_code == code, result.output
        return result.output

    return invoke


@pytest.fixture
def band(aiida_profile_clean):
    """Return a stored band with energies."""
    from aiida_embarrier.data.band import BandData

    return BandData(computed_band()).store()


def test_show(run, band):
    text = run('show', band.pk)
    assert 'converged       yes' in text
    assert '0.600' in text
    assert 'largest energy of all images minus that of the first image' in text
    assert any(line.split() == ['2', '1.43', '0.600', 'saddle'] for line in text.splitlines()), text
    found = json.loads(run('show', band.uuid, '--format', 'json'))
    assert found['barrier_forward'] == pytest.approx(0.6)
    assert found['energies'] == [0.0, 0.3, 0.6, 0.35, 0.1]


def test_show_names_the_protocol_and_the_command_for_this_band(run, band):
    from aiida.common.links import LinkType
    from aiida.orm import Dict, WorkChainNode

    process = WorkChainNode(description='protocol fast, with changes').store()
    split = 'split it: `aiida-embarrier launch segments PK --depth 0.02`'
    for label, node in (('band', band), ('summary', Dict({'warnings': [split]}).store())):
        node.base.links.add_incoming(process, LinkType.RETURN, label)
    text = run('show', process.pk)
    assert ['protocol', 'fast,', 'with', 'changes'] in [line.split() for line in text.splitlines()]
    assert f'`aiida-embarrier launch segments {band.pk} --depth 0.02`' in text


def test_show_of_a_starting_band(run, aiida_profile_clean):
    from aiida_embarrier.data.band import BandData

    assert 'it has no energies yet' in run('show', BandData(straight_band()).store().pk)


def test_show_of_other_nodes(run, band):
    from aiida.orm import Int, WorkChainNode

    assert 'neither a band nor a process' in run('show', Int(1).store().pk, code=1)
    process = WorkChainNode(process_type='x').store()
    assert f'`verdi process report {process.pk}`' in run('show', process.pk, code=1)
    assert "there is no node '99999'" in run('show', '99999', code=1)


@pytest.mark.parametrize('suffix', ['png', 'svg', 'pdf'])
def test_plot(run, band, tmp_path, suffix):
    path = tmp_path / f'path.{suffix}'
    assert str(path) in run('plot', band.pk, '-o', path)
    assert path.stat().st_size > 1000
    run('plot', band.pk, '--path', '-o', path)


def test_plot_along_a_direction(run, band, tmp_path):
    files = [tmp_path / name for name in ('a.svg', 'b.svg')]
    for file, direction in zip(files, (('0', '1', '0'), ('1', '-1', '0')), strict=True):
        run('plot', band.pk, '--path', '--direction', *direction, '-o', file)
    assert 'seen along [010]' in files[0].read_text()
    assert files[0].read_text() != files[1].read_text()
    refused = tmp_path / 'c.svg'
    assert 'add --path' in run('plot', band.pk, '--direction', 0, 1, 0, '-o', refused, code=2)
    assert 'has no length' in run('plot', band.pk, '--path', '--direction', 0, 0, 0, '-o', refused, code=1)
    assert not refused.exists()


def test_plot_of_several_bands(run, band, tmp_path):
    run('plot', band.pk, band.pk, '-o', tmp_path / 'x.png')
    run('plot', band.pk, band.uuid, '-o', tmp_path / 'x.svg')
    assert (tmp_path / 'x.svg').read_text().count(f'{band.pk}: emt: forward') == 2
    assert 'one band at a time' in run('plot', band.pk, band.pk, '--path', '-o', tmp_path / 'x.png', code=2)


def test_list_filters(run, band):
    from aiida_embarrier.data.band import BandData

    BandData(straight_band()).store()
    high = BandData(computed_band().replace(energies=[0, 1, 2, 1, 0], converged=False)).store()
    pks = [row['pk'] for row in json.loads(run('list', '--format', 'json'))]
    assert pks == [high.pk, band.pk]
    for options, expected in (
        (['--max-barrier', 1], [band.pk]),
        (['--min-barrier', 1], [high.pk]),
        (['--min-barrier', 0.5, '--max-barrier', 3], [high.pk, band.pk]),
        (['--ion', 'Li'], []),
        (['--ion', 'Al', '--converged'], [band.pk]),
        (['--unconverged'], [high.pk]),
        (['--engine', 'potential', '--potential', 'emt', '--limit', 1], [high.pk]),
        (['--formula', 'Al', '--host', 'Al'], [high.pk, band.pk]),
    ):
        assert [row['pk'] for row in json.loads(run('list', *options, '--format', 'json'))] == expected, options
    assert 'yes' in run('list', '--converged')
    assert 'No band meets' in run('list', '--ion', 'Li')


def test_graph(run, band, tmp_path):
    run('graph', band.pk, '-o', tmp_path / 'graph')
    assert 'digraph' in (tmp_path / 'graph.dot').read_text()
    # A suffix is none of the name, and a point in a name no suffix.
    assert 'v1.2.dot' in run('graph', band.pk, '-o', tmp_path / 'v1.2.svg')
    assert sorted(path.name for path in tmp_path.iterdir() if 'v1' in path.name)[0] == 'v1.2.dot'
    assert not (tmp_path / 'v1.2.svg.svg').exists()


def test_export(run, band, tmp_path):
    path = tmp_path / 'x.aiida'
    assert json.loads(run('export', band.pk, '-o', path, '--format', 'json'))['bytes'] == path.stat().st_size
    assert 'exists: choose another name' in run('export', band.pk, '-o', path, code=1)
    run('export', band.pk, '-o', path, '--overwrite')
    assert 'nothing to export' in run('export', '-o', tmp_path / 'y.aiida', code=1)
    assert 'does not exist' in run('export', band.pk, '-o', tmp_path / 'no' / 'y.aiida', code=1)


def test_setup_and_doctor(run, aiida_profile_clean, tmp_path):
    made = json.loads(run('setup', '--computer', 'here', '--work-dir', tmp_path, '--format', 'json'))
    assert made['computer'] == {'label': 'here', 'made': True}
    assert made['code']['label'] == 'embarrier-worker@here'
    assert 'existed' in run('setup', '--computer', 'here')
    findings = {entry['item']: entry for entry in json.loads(run('doctor', '--format', 'json'))}
    assert findings['potential chgnet-0.3.0']['state'] == 'ok'
    assert findings['code embarrier-worker@here']['state'] == 'ok'
    assert findings['broker']['state'] == 'optional'
    assert 'verdi profile configure-broker' in findings['broker']['remedy']


@pytest.mark.slow
def test_doctor_starts_the_worker(run, aiida_profile_clean, tmp_path):
    run('setup', '--computer', 'here', '--work-dir', tmp_path)
    findings = {entry['item']: entry for entry in json.loads(run('doctor', '--deep', '--format', 'json'))}
    assert findings['worker']['state'] == 'ok'
    assert 'chgnet-0.3.0 loads in' in findings['worker']['detail']
    assert findings['worker learns']['state'] == 'ok'
    assert 'a step of training on' in findings['worker learns']['detail']


def test_doctor_says_what_learning_needs(monkeypatch):
    (found,) = doctor._learning()
    assert found.state == 'ok'
    assert 'torch-geometric ' in found.detail
    assert 'lightning-fabric ' in found.detail
    monkeypatch.setattr(doctor, '_version', lambda name: None if name in {'torch', 'safetensors'} else '1')
    (found,) = doctor._learning()
    assert (found.state, found.detail) == ('optional', 'safetensors, torch: not installed here')
    assert "pip install 'aiida-embarrier[learning]'" in found.remedy


def test_doctor_names_the_gpus(monkeypatch, tmp_path):
    def driver(script):
        path = tmp_path / 'nvidia-smi'
        path.write_text(f'#!/bin/sh\n{script}\n')
        path.chmod(0o755)
        return doctor._gpus()

    monkeypatch.setenv('PATH', str(tmp_path), prepend=os.pathsep)
    found = driver("echo 'NVIDIA H100 80GB HBM3, 81559 MiB'; echo 'NVIDIA A2, 15356 MiB'")
    assert found.state == 'ok'
    assert found.detail.startswith('NVIDIA H100 80GB HBM3, 81559 MiB; NVIDIA A2, 15356 MiB')
    found = driver("echo 'Failed to initialize NVML: Driver/library version mismatch'; exit 18")
    assert (found.state, found.remedy) == ('optional', 'look at the driver')
    assert 'version mismatch' in found.detail
    assert driver('true').state == 'optional'


def test_doctor_says_what_is_missing(run, aiida_profile_clean):
    output = run('doctor', code=1)
    assert 'aiida-embarrier setup' in output


def test_doctor_finds_an_executable_that_is_gone(run, aiida_profile_clean, tmp_path):
    from aiida_embarrier.engines.potential.setup import setup_code, setup_computer

    computer, _ = setup_computer('here', work_dir=str(tmp_path))
    setup_code(computer, executable=str(tmp_path / 'embarrier-worker'))
    output = run('doctor', code=1)
    assert 'embarrier-worker@here' in output
    # the remedy works
    assert '--computer here --label NEW --executable PATH' in output
    run('setup', '--computer', 'here', '--label', 'worker-2')


def test_setup_of_a_remote_computer_needs_the_executable(run, aiida_profile_clean):
    arguments = ['setup', '--computer', 'cluster', '--transport', 'core.ssh_async', '--scheduler', 'core.slurm']
    assert 'give the absolute path' in run(*arguments, code=1)
    text = run(*arguments, '--executable', '/opt/embarrier/bin/embarrier-worker')
    assert 'embarrier-worker@cluster' in text
    assert 'verdi computer configure core.ssh_async cluster' in text
    text = run(*arguments, '--executable', '/opt/other/bin/embarrier-worker', code=1)
    assert 'exists with the executable /opt/embarrier/bin/embarrier-worker' in text
    assert '--label' in text
    run(*arguments, '--executable', '/opt/other/bin/embarrier-worker', '--label', 'worker-2')


def test_show_protocol_is_a_config_file(run, tmp_path):
    text = run('show-protocol', '--protocol', 'fast')
    assert yaml.safe_load(text) == barrier_protocol(protocol='fast')
    path = tmp_path / 'config.yaml'
    path.write_text(text)
    changed = json.loads(
        run(
            'show-protocol',
            '--config',
            path,
            '--set',
            'n_images=11',
            '--set',
            'engine.neb.climb=false',
            '--format',
            'json',
        )
    )
    assert changed == barrier_protocol(protocol='fast', overrides={'n_images': 11, 'engine': {'neb': {'climb': False}}})
    assert "did you mean 'n_images'" in run('show-protocol', '--set', 'n_image=1', code=1)
    assert "'cel' is not one of none, positions, cell" in run('show-protocol', '--set', 'relax_host=cel', code=1)
    assert 'at least 3 images' in run('show-protocol', '--set', 'n_images=7.9', code=1)
    assert '`engine` takes a mapping' in run('show-protocol', '--set', 'engine=potential', code=1)
    assert 'is not KEY=VALUE' in run('show-protocol', '--set', 'n_images', code=2)
    assert 'a value, not a group' in run('show-protocol', '--set', 'n_images=1', '--set', 'n_images.x=1', code=2)
    path.write_text('- 1')
    assert 'holds no mapping' in run('show-protocol', '--config', path, code=2)


def test_read_only_folder(run, band):
    for arguments in (['plot', band.pk, '-o', '/proc/x.png'], ['export', band.pk, '-o', '/proc/x.aiida']):
        assert '/proc/x' in run(*arguments, code=1)


def test_verdi_data_embarrier(band, tmp_path):
    from aiida_embarrier.bands.io import read_extxyz, read_npz
    from aiida_embarrier.cli.verdi import embarrier

    runner = CliRunner()
    for name, read in (('x.xyz', read_extxyz), ('x.npz', read_npz)):
        result = runner.invoke(embarrier, ['band', 'export', str(band.pk), '-o', str(tmp_path / name)])
        assert result.exit_code == 0, result.output
        assert read(tmp_path / name).energies.tolist() == pytest.approx([0.0, 0.3, 0.6, 0.35, 0.1])
    result = runner.invoke(embarrier, ['band', 'export', str(band.pk), '-o', str(tmp_path / 'x.cif')])
    assert 'ends in none of .xyz' in result.output
    assert str(band.pk) in runner.invoke(embarrier, ['band', 'list']).output
    assert '0.600' in runner.invoke(embarrier, ['band', 'show', str(band.pk)]).output


def test_verdi_finds_the_group():
    from aiida.plugins.entry_point import load_entry_point

    assert load_entry_point('aiida.cmdline.data', 'embarrier').name == 'embarrier'
