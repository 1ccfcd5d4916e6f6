"""Versions of the packages that decide the numbers of a job."""

from __future__ import annotations

import importlib.metadata

from aiida_embarrier import __version__

__all__ = ('versions_of',)


def versions_of(*distributions: str) -> dict[str, str]:
    """Return the versions of this package and of distributions; one that is not installed is left out."""
    versions = {'aiida-embarrier': __version__}
    for name in distributions:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
