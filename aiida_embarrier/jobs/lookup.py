"""Jobs that look crystals up in a folder or a database."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from aiida_embarrier.jobs.plain import PlainJob, PlainResult
from aiida_embarrier.jobs.schemas import Geometry

__all__ = ('LookupJob', 'LookupResult')


class LookupJob(PlainJob):
    """Crystals that fit a query, or the answer to whether a host with an ion in it is known.

    :param provider: where to look.
    :param folder: path on the machine of the worker, for `folder`.
    :param base_url: address, for `optimade`.
    :param query: what is sought, see :class:`~aiida_embarrier.structures.providers.base.Query`.
    :param ion: instead of a query: the ion of the intercalated crystal that is sought.
    :param host: the host of that crystal.
    :param formula: the formula of that crystal, where there is no host to compare with.
    :param host_ion: ions of the host that the sought one replaces.
    :param max_results: entries that are looked at, for an `ion`.
    :param version: the version that the source must have, so that the answer is the same at any time; None for any.
    """

    job: Literal['lookup'] = 'lookup'
    provider: Literal['folder', 'materials_project', 'optimade']
    folder: str | None = None
    base_url: str | None = None
    query: dict[str, Any] | None = None
    ion: str | None = None
    host: Geometry | None = None
    formula: str | None = None
    host_ion: str | None = None
    max_results: int = Field(200, ge=1)
    version: str | None = None

    @model_validator(mode='after')
    def _one_question(self) -> LookupJob:
        if (self.query is None) == (self.ion is None):
            raise ValueError('ask either with `query`, or for an intercalated crystal with `ion`')
        if self.host is not None and self.formula is not None:
            raise ValueError('give either the host or the `formula` of the intercalated crystal, not both')
        if self.ion is None and (self.host, self.formula, self.host_ion) != (None, None, None):
            raise ValueError('a host, a `formula` and a `host_ion` go with an `ion`: put a formula into `query`')
        for name, value, user in (('folder', self.folder, 'folder'), ('base_url', self.base_url, 'optimade')):
            if (value is not None) != (self.provider == user):
                verb = 'needs' if self.provider == user else 'has no use for'
                raise ValueError(f'the provider {self.provider} {verb} the entry `{name}`')
        if self.query is not None:
            from aiida_embarrier.structures.providers.base import Query

            Query.from_dict(self.query)
        return self


class LookupResult(PlainResult):
    """What the source answered.

    Entries are those of :class:`~aiida_embarrier.structures.providers.base.Answer`, and with an `ion` also of
    :class:`~aiida_embarrier.structures.providers.intercalated.Intercalated`.

    :param structures: the crystals of the entries in the same order, as pymatgen writes them.
    """

    provider: str | None = None
    where: str | None = None
    version: str | None = None
    query: dict[str, Any] = Field(default_factory=dict)
    retrieved_at: str | None = None
    complete: bool = True
    entries: list[dict[str, Any]] = Field(default_factory=list)
    problems: list[str] = Field(default_factory=list)
    verdict: Literal['in_database', 'to_be_derived'] | None = None
    matches: list[dict[str, Any]] | None = None
    structures: list[dict[str, Any]] = Field(default_factory=list)
