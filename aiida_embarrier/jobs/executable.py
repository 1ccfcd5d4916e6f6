"""The program that jobs of this package run, found without AiiDA: commands without a profile need it too."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

__all__ = ('WORKER', 'find_worker')

#: What the program is called; its code in a profile has the same label.
WORKER = 'embarrier-worker'


def find_worker() -> str | None:
    """Return the path of the `embarrier-worker` of this Python environment, or of the PATH; None if there is none."""
    beside = Path(sys.executable).parent / WORKER
    return str(beside) if beside.is_file() else shutil.which(WORKER)
