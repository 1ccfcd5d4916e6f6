"""The YAML files that describe studies and trainings: what stands in them, and the files that they name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ('beside', 'read_entries')


def read_entries(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file.

    :raises ValueError: for a file that is no YAML or holds no mapping.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding='utf8'))
    except yaml.YAMLError as error:
        raise ValueError(f'{path} is not YAML: {error}') from error
    if not isinstance(content, dict):
        raise ValueError(f'{path} holds no mapping of keys to values')
    return content


def beside(path: Path, identifier: str) -> str:
    """Return a file or folder beside another file, or what names none as it is: PK, UUID or label of a node.

    :raises ValueError: for what looks like a file and is none.
    """
    found = path.parent / identifier
    if found.exists():
        return str(found)
    if '/' in identifier or found.suffix in {'.parquet', '.csv', '.json', '.gz'}:
        raise ValueError(f'{path}: there is no file {str(found)!r}')
    return identifier
