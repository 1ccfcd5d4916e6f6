"""Jobs of the worker that need no potential: what they share.

A job without the entry `job` is one of a potential (:mod:`aiida_embarrier.jobs.schemas`). Each other kind has a
subclass of `PlainJob`, whose `job` names it, and one of `PlainResult`; what runs it stands in
:data:`aiida_embarrier.worker.plain.KINDS`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field, model_validator

from aiida_embarrier.jobs.schemas import NUMERICS_VERSION, Schema

__all__ = ('Outcome', 'PlainJob', 'PlainResult')


class Outcome(StrEnum):
    """How a job without a potential ended."""

    DONE = 'done'
    REFUSED = 'refused'  # the input cannot be treated as it is: `error` says why, and what to do
    INTERRUPTED = 'interrupted'  # wall time or a signal
    FAILED = 'failed'  # the machine, or an error of the package


class PlainJob(Schema):
    """What every job without a potential says.

    :param job: kind of the job; subclasses narrow it to one value.
    :param max_seconds: wall time that the scheduler gives; the worker stops itself at 0.95 of it.
    """

    job: str
    numerics_version: int = NUMERICS_VERSION
    max_seconds: float | None = Field(None, gt=0)

    @model_validator(mode='after')
    def _same_version(self) -> PlainJob:
        if self.numerics_version != NUMERICS_VERSION:
            raise ValueError(
                f'the job was written for numerics version {self.numerics_version}, this worker has '
                f'{NUMERICS_VERSION}: install the same aiida-embarrier on both machines'
            )
        return self


class PlainResult(Schema):
    """What every job without a potential answers.

    :param outcome: how it ended.
    :param error: message where it is not done, else None.
    :param error_kind: `input`, `parent` (the model it was to start from), `device` (what it asks for is not on the
        machine), `folder` or `unexpected` where `error` is set and the job was not interrupted.
    :param warnings: what a reader of the results must know.
    :param versions: versions of the packages that decided the results.
    :param wall_s: wall time of the worker in seconds.
    """

    outcome: Outcome = Outcome.DONE
    error: str | None = None
    error_kind: Literal['input', 'parent', 'device', 'folder', 'unexpected'] | None = None
    warnings: list[str] = Field(default_factory=list)
    versions: dict[str, str] = Field(default_factory=dict)
    wall_s: float = 0.0
