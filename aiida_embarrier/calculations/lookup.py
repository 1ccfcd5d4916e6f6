"""The CalcJob that looks crystals up in a folder or a database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.orm import AbstractCode, Dict, StructureData
from pydantic import ValidationError

from aiida_embarrier.calculations.parameters import check_keys
from aiida_embarrier.calculations.plain import PlainCalculation
from aiida_embarrier.data.convert import geometry_from_node
from aiida_embarrier.jobs.lookup import LookupJob
from aiida_embarrier.jobs.messages import describe
from aiida_embarrier.jobs.plain import PlainJob

if TYPE_CHECKING:
    from aiida.common.folders import Folder
    from aiida.engine import CalcJobProcessSpec
    from aiida.orm import ProcessNode

__all__ = ('LookupCalculation',)

#: Entries of the parameters: those of a job but its host, which is an input of its own.
PARAMETERS = [name for name in LookupJob.model_fields if name != 'host' and name not in PlainJob.model_fields]


class LookupCalculation(PlainCalculation):
    """A question to a source of crystals, with its answer.

    The machine of the code asks: it needs a way to the database, and the Materials Project a key in its environment
    variable ``MP_API_KEY``, set where AiiDA does not see it (the profile of its shell, not a prepend text).

    An answer of today need not be that of tomorrow, so a lookup is never taken from the cache; only one in a folder
    whose `version` is given is, for it fails where the folder has another one.
    """

    _parser = 'embarrier.lookup'

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define the inputs and outputs."""
        super().define(spec)
        spec.input('code', valid_type=AbstractCode, help='The worker.')
        spec.input(
            'parameters',
            valid_type=Dict,
            validator=_check_parameters,
            help='`provider` (folder, materials_project, optimade) with its `folder` or `base_url`; a `query` '
            '(formula, chemical_system, elements, space_group, ids, max_results), or the `ion` of an intercalated '
            'crystal with its `formula` or the input `host`, `host_ion` and `max_results`; and `version`.',
        )
        spec.input(
            'host',
            valid_type=StructureData,
            required=False,
            validator=_check_host,
            help='Host of the crystal that is sought.',
        )
        spec.inputs.validator = _check_question
        spec.output_namespace(
            'structures',
            valid_type=StructureData,
            dynamic=True,
            help='The crystals, `entry_000` and so on, in the order of the entries in `results`.',
        )
        spec.output_namespace('kinds', valid_type=Dict, dynamic=True, help='What the kinds of each crystal are.')

    @classmethod
    def is_valid_cache(cls, node: ProcessNode) -> bool:
        """Return whether the answer holds at any time."""
        parameters = node.inputs.parameters
        pinned = parameters.get('provider', None) == 'folder' and parameters.get('version', None) is not None
        return pinned and super().is_valid_cache(node)

    def _job(self, folder: Folder) -> LookupJob:  # noqa: ARG002
        host = geometry_from_node(self.inputs.host) if 'host' in self.inputs else None
        return LookupJob(**self.inputs.parameters.get_dict(), host=host)


def _check_parameters(parameters: Dict, _: Any) -> str | None:
    """Return what is wrong with the parameters by themselves."""
    settings = parameters.get_dict()
    try:
        check_keys(settings, PARAMETERS)
        LookupJob(**settings)
    except ValidationError as error:
        return describe(error)
    except ValueError as error:
        return str(error)
    return None


def _check_host(host: StructureData | None, _: Any) -> str | None:
    if host is None:
        return None
    try:
        geometry_from_node(host)
    except ValueError as error:
        return str(error)
    return None


def _check_question(inputs: Any, _: Any) -> str | None:
    """Return whether parameters and host fit each other."""
    if 'parameters' not in inputs:
        return None
    settings = inputs['parameters'].get_dict()
    if settings.get('ion') is None:
        return 'a host goes with the `ion` that is sought in it' if 'host' in inputs else None
    if ('host' in inputs) == (settings.get('formula') is not None):
        return 'an `ion` goes with either the input `host` or the `formula` of the intercalated crystal'
    return None
