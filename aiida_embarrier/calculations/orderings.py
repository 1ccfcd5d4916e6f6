"""The CalcJob that orders a disordered crystal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.orm import AbstractCode, Dict, StructureData
from pydantic import ValidationError

from aiida_embarrier.calculations.parameters import check_keys
from aiida_embarrier.calculations.plain import PlainCalculation
from aiida_embarrier.data.convert import disordered_from_node
from aiida_embarrier.data.table import TableData
from aiida_embarrier.jobs.messages import describe
from aiida_embarrier.jobs.orderings import STRUCTURES_FILE, TABLE_FILE, AverageCrystal, OrderingSettings, OrderingsJob

if TYPE_CHECKING:
    from aiida.common.folders import Folder
    from aiida.engine import CalcJobProcessSpec

__all__ = ('OrderingsCalculation', 'ordering_label')


def ordering_label(number: int) -> str:
    """Return the name of an ordering in the outputs."""
    return f'ordering_{number:04d}'


class OrderingsCalculation(PlainCalculation):
    """All orderings of a disordered crystal that differ by symmetry, ranked by Ewald energy."""

    _parser = 'embarrier.orderings'

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define the inputs and outputs."""
        super().define(spec)
        spec.input('code', valid_type=AbstractCode, help='The worker.')
        spec.input(
            'structure',
            valid_type=StructureData,
            help='The crystal with partly occupied or shared sites; '
            '`aiida_embarrier.data.convert.node_from_disordered` makes one.',
        )
        spec.input(
            'kinds',
            valid_type=Dict,
            required=False,
            help='What its kinds are, by their names: `oxidation_states`, one for each symbol; `magnetic_moment`.',
        )
        spec.input(
            'parameters',
            valid_type=Dict,
            required=False,
            validator=_check_parameters,
            help=f'How it is ordered: {", ".join(OrderingSettings.model_fields)}.',
        )
        spec.inputs.validator = _check_crystal
        spec.output_namespace(
            'structures',
            valid_type=StructureData,
            dynamic=True,
            help='Orderings of lowest Ewald energy, `ordering_0000` and so on by their numbers in the table.',
        )
        spec.output_namespace('kinds', valid_type=Dict, dynamic=True, help='What the kinds of each of them are.')
        spec.output(
            'table',
            valid_type=TableData,
            required=False,
            help='All distinct orderings: number, multiplicity, Ewald energy of the cell in eV.',
        )

    def _job(self, folder: Folder) -> OrderingsJob:  # noqa: ARG002
        inputs = self.inputs
        crystal = disordered_from_node(inputs.structure, inputs.kinds if 'kinds' in inputs else None)
        parameters = inputs.parameters.get_dict() if 'parameters' in inputs else {}
        return OrderingsJob(crystal=AverageCrystal.of(crystal), settings=OrderingSettings(**parameters))

    def _temporary_files(self) -> list[str]:
        return [STRUCTURES_FILE, TABLE_FILE]


def _check_parameters(parameters: Dict | None, _: Any) -> str | None:
    if parameters is None:
        return None
    settings = parameters.get_dict()
    try:
        check_keys(settings, OrderingSettings.model_fields)
        OrderingSettings(**settings)
    except ValidationError as error:
        return describe(error)
    except ValueError as error:
        return str(error)
    return None


def _check_crystal(inputs: Any, _: Any) -> str | None:
    if 'structure' not in inputs:
        return None
    try:
        AverageCrystal.of(disordered_from_node(inputs['structure'], inputs.get('kinds')))
    except ValueError as error:
        return str(error)
    return None
