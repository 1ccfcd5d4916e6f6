"""Progress bars of jobs, on standard error where that is a terminal."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from aiida_embarrier.jobs.progress import describe_progress, fraction_done

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ('job_bar', 'percent_bar', 'show_line')


@contextmanager
def percent_bar() -> Iterator[tqdm | None]:
    """Show a bar from 0 to 100 while the block runs; None where nobody would see it."""
    if not sys.stderr.isatty():
        yield None
        return
    with tqdm(total=100, desc='starting', bar_format='{desc} |{bar:30}| {elapsed}', leave=False) as bar:
        yield bar


def show_line(bar: tqdm, line: dict[str, Any]) -> None:
    """Let a bar show a line of progress at its next refresh."""
    bar.n = round(100 * fraction_done(line))
    bar.set_description_str(describe_progress(line), refresh=False)


@contextmanager
def job_bar() -> Iterator[Callable[[dict[str, Any]], None] | None]:
    """Show a bar of a job while the block runs.

    :returns: what takes the job's lines of progress; None where nobody would see the bar.
    """
    with percent_bar() as bar:
        if bar is None:
            yield None
            return

        def show(line: dict[str, Any]) -> None:
            if line['event'] == 'step':
                show_line(bar, line)
                bar.refresh()

        yield show
