"""Look crystals up in a folder or a database."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pymatgen.core import Structure

from aiida_embarrier.jobs.lookup import LookupJob, LookupResult
from aiida_embarrier.jobs.plain import Outcome
from aiida_embarrier.structures.providers.base import ProviderError, Query
from aiida_embarrier.structures.providers.choice import make_provider
from aiida_embarrier.structures.providers.intercalated import find_intercalated
from aiida_embarrier.worker.plain import RefusedError
from aiida_embarrier.worker.versions import versions_of

if TYPE_CHECKING:
    from aiida_embarrier.jobs.schemas import Geometry
    from aiida_embarrier.worker.plain import JobContext

__all__ = ('JOB', 'run')

JOB = LookupJob


def run(job: LookupJob, context: JobContext) -> LookupResult:
    """Ask the source of a job.

    What a source cannot do now it may do at another time, so the job is not refused but fails.
    """
    try:
        provider = make_provider(
            job.provider, job.folder, job.base_url, lambda done, total: context.progress('files', done, total, 'files')
        )
        context.progress('lookup', 0, 1, 'questions')
        if job.ion is None:
            found: Any = provider.search(Query.from_dict(job.query or {}))
            answer = found
        else:
            host = job.formula if job.host is None else _structure(job.host)
            if host is None:
                raise RefusedError('an `ion` goes with a host, or with the `formula` of the intercalated crystal')
            found = find_intercalated(provider, host, job.ion, host_ion=job.host_ion, max_results=job.max_results)
            answer = found.answer
        if job.version not in {None, answer.version}:
            raise ProviderError(
                f'{answer.where} has the version {answer.version}, the job asks for {job.version}: bring back that '
                'state, or leave `version` out'
            )
        context.progress('lookup', 1, 1, 'questions')
    except ProviderError as error:
        return LookupResult(outcome=Outcome.FAILED, error=str(error), error_kind='unexpected')
    except ValueError as error:
        raise RefusedError(str(error)) from error
    return LookupResult(
        **found.to_dict(),
        structures=[json.loads(entry.structure.to_json()) for entry in answer.entries],
        warnings=_warnings(found.to_dict()),
        versions=versions_of('requests'),
    )


def _structure(geometry: Geometry) -> Structure:
    return Structure(geometry.lattice, geometry.elements, geometry.positions, coords_are_cartesian=True)


def _warnings(answer: dict[str, Any]) -> list[str]:
    notes = []
    if not answer['complete']:
        notes.append(
            f'there are more than {len(answer["entries"])} entries: the others were not looked at; raise max_results'
        )
    if answer['problems']:
        notes.append(f'{len(answer["problems"])} could not be read, the first: {answer["problems"][0]}')
    return notes
