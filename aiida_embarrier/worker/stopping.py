"""When the worker stops before it is done: signals and wall time."""

from __future__ import annotations

import signal
import time

__all__ = ('WALL_TIME_FRACTION', 'Signals', 'deadline_of', 'out_of_time')

#: The worker stops itself at this fraction of the wall time it is given.
WALL_TIME_FRACTION = 0.95


class Signals:
    """Takes note of SIGTERM and SIGINT instead of dying of them; a second one ends the process at once."""

    received: str | None = None

    def __enter__(self) -> Signals:
        self._before = {number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT)}
        return self

    def _note(self, number: int, _frame: object) -> None:
        if self.received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = f'stopped by {signal.Signals(number).name}'

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


def deadline_of(started: float, max_seconds: float | None) -> float | None:
    """Return when a job stops itself, on the monotonic clock; None where it has no wall time."""
    return None if max_seconds is None else started + WALL_TIME_FRACTION * max_seconds


def out_of_time(deadline: float | None, longest_round: float) -> str | None:
    """Return the reason to stop where another round would not end before the deadline, else None.

    :param longest_round: seconds that the longest round took so far.
    """
    if deadline is None or time.monotonic() + longest_round < deadline:
        return None
    return f'stopped at {WALL_TIME_FRACTION:g} of the wall time'
