"""The rules between the rooms, and that breaking one is noticed."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = REPOSITORY / 'aiida_embarrier'


def check_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter on a copy of the package."""
    command = 'from importlinter.cli import lint_imports_command; lint_imports_command()'
    return subprocess.run(
        [sys.executable, '-c', command, '--no-cache'], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.fixture
def copied_package(tmp_path):
    shutil.copytree(PACKAGE, tmp_path / PACKAGE.name, ignore=shutil.ignore_patterns('__pycache__'))
    shutil.copy(REPOSITORY / 'pyproject.toml', tmp_path)
    return tmp_path


def test_every_room_has_its_place():
    contracts = tomllib.loads((REPOSITORY / 'pyproject.toml').read_text())['tool']['importlinter']['contracts']
    by_id = {contract['id']: contract for contract in contracts}
    rooms = {f'{PACKAGE.name}.{path.parent.name}' for path in PACKAGE.glob('*/__init__.py')}
    plain, daemon = (set(by_id[side]['source_modules']) for side in ('plain', 'daemon'))
    assert plain | daemon == rooms, 'a room lacks a side of the wall in [tool.importlinter] of pyproject.toml'
    assert not plain & daemon


@pytest.mark.parametrize(
    ('module', 'line', 'broken'),
    [
        ('bands/planted.py', 'import aiida.orm', 'Above the wall is plain Python'),
        ('data/planted.py', 'def later():\n    import torch', 'Below the wall nothing reaches torch'),
        ('data/planted.py', 'import aiida_embarrier.worker', 'Below the wall nothing reaches torch'),
        ('bands/planted.py', 'import aiida_embarrier.structures', 'A room imports only rooms that come before it'),
        ('newroom/__init__.py', '', 'A room imports only rooms that come before it'),
    ],
)
def test_broken_rules_are_noticed(copied_package, module, line, broken):
    planted = copied_package / PACKAGE.name / module
    planted.parent.mkdir(exist_ok=True)
    planted.write_text(f'{line}\n')
    finished = check_imports(copied_package)
    assert finished.returncode == 1, finished.stdout + finished.stderr
    assert re.search(f'{broken}.* BROKEN', finished.stdout), finished.stdout


def test_imports_for_type_checking_are_free(copied_package):
    code = 'from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch\n'
    (copied_package / PACKAGE.name / 'data' / 'planted.py').write_text(code)
    finished = check_imports(copied_package)
    assert finished.returncode == 0, finished.stdout + finished.stderr
