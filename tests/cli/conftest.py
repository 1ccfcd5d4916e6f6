"""Fixtures of the command line."""

import pytest
from click.testing import CliRunner
from systems import aluminium, aluminium_vacancy_ends

from aiida_embarrier.cli import main


@pytest.fixture
def run(tmp_path, monkeypatch, aiida_profile):
    """Return a function that runs the command line in a folder with a crystal and two endpoints."""
    monkeypatch.chdir(tmp_path)
    aluminium((1, 1, 1)).to_file('Al.cif')
    for name, end in zip('AB', aluminium_vacancy_ends(), strict=True):
        end.to_file(f'{name}.vasp', fmt='poscar')

    def invoke(*arguments, code=0):
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        assert result.exit_code == code, result.output
        return result.output

    return invoke


@pytest.fixture
def no_profile(monkeypatch):
    """Make loading a profile an error."""

    def refuse(*_args, **_kwargs):
        raise AssertionError('this command needs no profile')

    monkeypatch.setattr('aiida_embarrier.cli.params.load_profile', refuse)
