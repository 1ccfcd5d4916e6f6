"""The command line as a whole: help, errors, profiles, and what it may import."""

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from aiida_embarrier import __version__, cli
from aiida_embarrier.cli import main
from aiida_embarrier.cli.launch import PROCESSES
from aiida_embarrier.cli.params import bundle, load_profile, with_profile

#: Packages that take long to import and that no `--help` needs.
HEAVY = ('aiida', 'ase', 'matplotlib', 'numpy', 'pymatgen', 'scipy', 'torch')


def in_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in an interpreter of its own."""
    import os

    return subprocess.run(
        [sys.executable, '-c', code], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


@pytest.fixture
def runner():
    return CliRunner()


@pytest.fixture
def command_that(monkeypatch):
    """Return a function that makes `main` have one command, `try`, which does what it is given."""

    def make(action):
        @click.command('try')
        def command():
            action()

        monkeypatch.setattr(cli.CommandLine, 'get_command', lambda *_: command)

    return make


def test_help_lists_every_command(runner):
    shown = runner.invoke(main, ['--help'])
    assert shown.exit_code == 0
    for name in cli.COMMANDS:
        assert f'\n  {name} ' in shown.output


@pytest.mark.parametrize('name', cli.COMMANDS)
def test_every_command_has_help(runner, name):
    shown = runner.invoke(main, [name, '--help'])
    assert shown.exit_code == 0
    assert f'Usage: main {name}' in shown.output


def test_help_imports_nothing_heavy():
    code = f"""
import sys
from click.testing import CliRunner
from aiida_embarrier.cli import COMMANDS, main
from aiida_embarrier.cli.launch import PROCESSES
for arguments in ([], *([name] for name in COMMANDS), *(['launch', name] for name in PROCESSES)):
    assert CliRunner().invoke(main, [*arguments, '--help']).exit_code == 0
print([name for name in {HEAVY} if name in sys.modules])
"""
    assert in_python(code).stdout.strip() == '[]'


def test_version(runner):
    assert __version__ in runner.invoke(main, ['--version']).output


def test_unknown_command(runner):
    shown = runner.invoke(main, ['hopz'])
    assert shown.exit_code == 2
    assert "No such command 'hopz'" in shown.output


def test_value_errors_are_messages(runner, command_that):
    def action():
        raise ValueError('the value 7 is too large: give at most 5')

    command_that(action)
    shown = runner.invoke(main, ['try'])
    assert shown.exit_code == 1
    assert shown.output == 'Error: the value 7 is too large: give at most 5\n'
    with pytest.raises(ValueError, match='the value 7'):
        runner.invoke(main, ['--traceback', 'try'], catch_exceptions=False)


@pytest.mark.parametrize('words', ['invalid attribute value ', "Error occurred validating port 'inputs.hop': "])
def test_words_of_aiida_before_a_message_are_left_out(runner, command_that, words):
    def action():
        raise ValueError(f'{words}there is no hop 9')

    command_that(action)
    assert runner.invoke(main, ['try']).output == 'Error: there is no hop 9\n'


def test_errors_of_files_name_the_path(runner, command_that, tmp_path):
    command_that(lambda: (tmp_path / 'missing').read_text())
    shown = runner.invoke(main, ['try'])
    assert shown.exit_code == 1
    assert shown.output == f'Error: {tmp_path / "missing"}: No such file or directory\n'


def test_errors_of_aiida_are_messages(runner, command_that):
    from aiida.common.exceptions import NotExistent

    def action():
        raise NotExistent('no Node found with pk<5>')

    command_that(action)
    shown = runner.invoke(main, ['try'])
    assert shown.exit_code == 1
    assert shown.output == 'Error: no Node found with pk<5>\n'


def test_faults_of_the_code_are_not_hidden(runner, command_that):
    command_that(lambda: {}['missing'])
    with pytest.raises(KeyError):
        runner.invoke(main, ['try'], catch_exceptions=False)


@pytest.mark.parametrize('arguments', [[], ['--profile', 'mine']])
def test_no_profile_names_the_remedy(arguments, tmp_path):
    code = f"""
import click
from aiida_embarrier.cli.params import with_profile

@click.command()
@with_profile
def command():
    raise AssertionError('this must not run')

command({arguments})
"""
    finished = in_python(code, AIIDA_PATH=str(tmp_path), AIIDA_PROFILE='')
    assert finished.returncode == 1
    assert 'verdi presto --use-zeromq\n    verdi daemon start\n    aiida-embarrier setup' in finished.stderr
    assert 'Traceback' not in finished.stderr


def test_unknown_profile_names_the_known(aiida_profile):
    with pytest.raises(click.ClickException, match=rf"no AiiDA profile 'absent': choose one of .*{aiida_profile.name}"):
        load_profile('absent')


def test_loaded_profile_stays(runner, aiida_profile):
    from aiida.manage import get_manager

    @click.command()
    @with_profile
    def command():
        click.echo(get_manager().get_profile().name)

    assert runner.invoke(command).output.strip() == aiida_profile.name
    assert runner.invoke(command, ['-p', aiida_profile.name]).output.strip() == aiida_profile.name


def test_module_run(tmp_path):
    script = Path(sys.executable).parent / 'aiida-embarrier'
    finished = subprocess.run([script, '--version'], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert __version__ in finished.stdout
    assert json.dumps(finished.stderr) == '""'


@pytest.mark.parametrize('name', PROCESSES)
def test_every_launch_has_help(runner, name):
    shown = runner.invoke(main, ['launch', name, '--help'])
    assert shown.exit_code == 0
    assert f'Usage: main launch {name}' in shown.output
    for option in ('--code', '--wall-time', '--submit', '--profile', '--format'):
        assert f'  {option}' in shown.output or f', {option}' in shown.output


def test_options_in_a_bundle(runner):
    @click.command()
    @bundle('both', click.option('--a'), click.option('--b'))
    @click.option('--c')
    def command(both, c):
        click.echo(json.dumps([both, c]))

    assert json.loads(runner.invoke(command, ['--b', '2', '--c', '3']).output) == [{'a': None, 'b': '2'}, '3']
