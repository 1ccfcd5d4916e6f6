"""The examples in README and documentation work: every fenced block is executed.

Python blocks of a page run one after another in one namespace. Lines of console blocks that begin with ``$ `` are run,
and the lines below are what they print (``...`` stands for any lines). All run in a folder of their own with examples/
at hand. A block is left out only where a comment ``<!-- not executed: REASON -->`` stands directly above it, with one
of the reasons in :data:`REASONS`.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from aiida_embarrier.cli import main

REPOSITORY = Path(__file__).resolve().parents[1]
PAGES = [
    REPOSITORY / 'README.md',
    *sorted(page for page in (REPOSITORY / 'docs').rglob('*.md') if '_build' not in page.parts),
]

#: How the reasons begin for which a block may be left out.
REASONS = (
    'needs a cluster',
    'installs packages',
    'makes a profile',
    'makes nodes in your profile',
    '.ci/run does it',
    'takes minutes',
)

BLOCK = re.compile(
    r'(?:^<!-- not executed: (?P<reason>.+?) -->\n)?^(?P<fence>```+)(?P<language>\w+)\n(?P<code>.*?)^(?P=fence)$',
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    code: str
    line: int
    reason: str | None


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page that could be executed."""
    text = page.read_text()
    return [
        Block(found['language'], found['code'], text.count('\n', 0, found.start('code')) + 1, found['reason'])
        for found in BLOCK.finditer(text)
        if found['language'] in {'python', 'console', 'bash', 'shell', 'sh', 'pycon'}
    ]


def commands(block: Block) -> list[tuple[str, str]]:
    """Return the commands of a console block, each with the output that the page shows."""
    joined = block.code.replace('\\\n', ' ')
    pieces = re.split(r'^\$ ', joined, flags=re.MULTILINE)
    assert not pieces[0].strip(), f'line {block.line}: a console block begins with `$ `'
    return [(command, shown) for command, _, shown in (piece.partition('\n') for piece in pieces[1:])]


def run_command(command: str) -> str:
    """Run a command and return what it prints; ours run in this process, with the profile of the tests."""
    words = shlex.split(command)
    if words[0] == 'aiida-embarrier' and not set(command) & set('|<>&;'):
        result = CliRunner().invoke(main, words[1:], catch_exceptions=False)
        assert result.exit_code == 0, f'{command}\n{result.output}'
        return result.output
    path = f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}'
    finished = subprocess.run(
        ['bash', '-euo', 'pipefail', '-c', command],
        env={**os.environ, 'PATH': path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, f'{command}\n{finished.stdout}{finished.stderr}'
    return finished.stdout


def agrees(shown: str, printed: str) -> bool:
    """Return whether a page shows what was printed, `...` alone on a line standing for any lines."""
    lines = ['.*' if line.strip() == '...' else re.escape(line.rstrip()) for line in shown.rstrip().splitlines()]
    wanted = '\n'.join(lines)
    # Any lines may be no line at all.
    wanted = wanted.replace('.*\n', '(?:.*\n)?').replace('\n.*', '(?:\n.*)?')
    found = '\n'.join(line.rstrip() for line in printed.rstrip().splitlines())
    return re.fullmatch(wanted, found, flags=re.DOTALL) is not None


@pytest.mark.slow
@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_page(page, tmp_path, monkeypatch, aiida_profile):
    shutil.copytree(REPOSITORY / 'examples', tmp_path / 'examples')
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {'__name__': '__main__'}
    for block in blocks(page):
        if block.reason is not None:
            continue
        if block.language == 'python':
            code = '\n' * (block.line - 1) + block.code
            exec(compile(code, str(page), 'exec'), namespace)
            continue
        for command, shown in commands(block):
            printed = run_command(command)
            assert not shown.strip() or agrees(shown, printed), f'{page}: `{command}` prints\n{printed}'


def test_blocks_are_left_out_for_good_reasons_only():
    left_out = [(page, block) for page in PAGES for block in blocks(page) if block.reason is not None]
    for page, block in left_out:
        assert block.reason.startswith(REASONS), f'{page}:{block.line}: {block.reason!r} is no reason of REASONS'
    executed = [block for page in PAGES for block in blocks(page) if block.reason is None]
    assert len(executed) > len(left_out), 'most examples are executed'


def test_every_comment_stands_above_a_block():
    """A comment that drifted away from its block would do nothing."""
    for page in PAGES:
        comments = page.read_text().count('<!-- not executed')
        assert comments == sum(block.reason is not None for block in blocks(page)), page


def test_links_between_pages_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r'\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)', page.read_text()):
            generated = '_generated' in target  # drawn when the docs are built
            assert generated or (page.parent / target).exists(), f'{page}: {target}'


@pytest.mark.parametrize(
    ('shown', 'printed', 'same'),
    [
        ('a\nb', 'a\nb\n', True),
        ('a\n...', 'a\nb\nc\n', True),
        ('...\nc', 'a\nb\nc\n', True),
        ('a\n...\nc', 'a\nc\n', True),
        ('a\n...\nc', 'a\nb\nd\n', False),
        ('b', 'a\nb\n', False),
    ],
)
def test_comparison_of_output(shown, printed, same):
    assert agrees(shown, printed) is same
