"""Messages about input that does not fit a schema."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError

__all__ = ('describe',)


def describe(error: ValidationError) -> str:
    """Return what pydantic found wrong, one finding after the other, in one line."""
    findings = []
    for finding in error.errors():
        where = '.'.join(str(part) for part in finding['loc'])
        message = finding['msg'].removeprefix('Value error, ')
        got = textwrap.shorten(repr(finding['input']), 200, placeholder=' ...')
        findings.append(f'{where}: {message} (got {got})' if where else message)
    return '; '.join(findings)
