"""Attributes of nodes that can be queried through ``Node.fields``; the one place that knows AiiDA's pydantic layer."""

from __future__ import annotations

from typing import Any

from aiida.orm.pydantic import OrmMetadataField

__all__ = ('attribute',)


def attribute(description: str) -> Any:
    """Declare an attribute of a node that is None where it is not known."""
    return OrmMetadataField(None, description=description)
