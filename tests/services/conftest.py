"""Which of these tests may run beside each other, and which give way to those that watch how long things take."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Tests that share Slurm, whose queue they look at, and the files that they are in.
SLURM = 'slurm'
SLURM_FILES = {'test_slurm', 'test_slurm_training', 'test_quantumespresso'}
#: The longest groups in the order in which they start; the shorter ones fill up what is left.
ORDER = (SLURM, 'test_faults', 'test_study')
#: Groups that meet a band while it runs; all others take a processor only where these leave it.
PUNCTUAL = {SLURM, 'test_faults', 'test_pool'}
NICE = 10


def group_of(nodeid: str) -> str:
    """Return the name of the tests that share a worker with this one: those with Slurm, or those of its file."""
    file = Path(nodeid.partition('::')[0]).stem
    return SLURM if file in SLURM_FILES else file


class GroupScheduling(LoadScopeScheduling):
    """Keeps the tests of a group on one worker of pytest-xdist, whose own groups do nothing with pytest 9.2."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> GroupScheduling:
    """Schedule by groups, whatever `--dist` says."""
    return GroupScheduling(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the longest groups start first; the order within a group stays."""
    ranks = {name: rank for rank, name in enumerate(ORDER)}
    places = [place for place, item in enumerate(items) if item.path.parent == Path(__file__).parent]
    ordered = sorted((items[place] for place in places), key=lambda item: ranks.get(group_of(item.nodeid), len(ranks)))
    for place, item in zip(places, ordered, strict=True):
        items[place] = item


@pytest.fixture(autouse=True)
def _give_way(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let computations wait for the tests of faults, where this may be undone: as root, as services need it anyway."""
    if os.geteuid() or group_of(request.node.nodeid) in PUNCTUAL:
        yield
        return
    before = os.getpriority(os.PRIO_PROCESS, 0)
    os.setpriority(os.PRIO_PROCESS, 0, before + NICE)
    yield
    os.setpriority(os.PRIO_PROCESS, 0, before)
