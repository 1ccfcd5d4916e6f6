"""How calcfunctions refuse input that makes no sense."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from aiida.engine import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ('refuse_politely',)

#: Exit status of a calcfunction whose input makes no sense; the message says why.
ERROR_INPUT = 201


def refuse_politely(function: Callable[..., Any]) -> Callable[..., Any]:
    """Turn a ValueError of the plain rooms, which tells the user what to mend, into an exit code with its message."""

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except ValueError as error:
            return ExitCode(ERROR_INPUT, str(error))

    return wrapped
