"""Entries of the Dict nodes that say what a step is to do."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ('check_keys',)


def check_keys(settings: Mapping[str, Any], known: Iterable[str]) -> None:
    """Refuse entries that nobody reads.

    :raises ValueError: naming the closest known one.
    """
    names = list(known)
    for key in settings:
        if key not in names:
            close = difflib.get_close_matches(str(key), names, n=1)
            hint = f'did you mean {close[0]!r}? ' if close else ''
            raise ValueError(f'unknown parameter {key!r}: {hint}(known: {", ".join(names)})')
