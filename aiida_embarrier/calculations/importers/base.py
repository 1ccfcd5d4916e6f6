"""What importers of finished calculations share."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from aiida.common.datastructures import CalcInfo
from aiida.engine import CalcJob, CalcJobImporter
from aiida.orm import Dict, KpointsData, RemoteData, StructureData

from aiida_embarrier.data.band import BandData

if TYPE_CHECKING:
    from aiida.common.folders import Folder
    from aiida.engine import CalcJobProcessSpec
    from aiida.orm import Node
    from pymatgen.core import Structure

    from aiida_embarrier.bands.imported import ImportedBand

__all__ = ('ImportCalculation', 'NebImporter', 'summary_of')

#: What a user can say of a band that its files do not tell.
SETTINGS = ('mechanism',)


def validate_settings(node: Dict | None, _: Any) -> str | None:
    """Check the settings of an import."""
    from aiida_embarrier.bands.band import MECHANISMS

    settings = {} if node is None else node.get_dict()
    unknown = set(settings) - set(SETTINGS)
    if unknown:
        return f'unknown settings {sorted(unknown)}: choose from {", ".join(SETTINGS)}'
    if settings.get('mechanism') not in {None, *MECHANISMS}:
        return f'unknown mechanism {settings["mechanism"]!r}: choose one of {", ".join(MECHANISMS)}'
    return None


class ImportCalculation(CalcJob):
    """A finished calculation of a band, imported: it only ever runs with a `remote_folder`."""

    #: Entry point of the parser that makes the band of them.
    PARSER: ClassVar[str]
    #: Files that are stored, with their folders below the one that is imported.
    STORED: ClassVar[tuple[str, ...]] = ()
    #: Files that are read and not stored, because they are large.
    READ: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define inputs, outputs and exit codes."""
        super().define(spec)
        spec.inputs.pop('code', None)
        spec.inputs['remote_folder'].required = True
        options = spec.inputs['metadata']['options']
        options['resources'].default = {'num_machines': 1, 'num_mpiprocs_per_machine': 1}
        options['parser_name'].default = cls.PARSER
        spec.input_namespace(
            'structures', valid_type=StructureData, dynamic=True, required=False, help='The images it began with.'
        )
        spec.input('kinds', valid_type=Dict, required=False, help='What the kinds of the structures are.')
        spec.input('parameters', valid_type=Dict, required=False, help='What the program was told.')
        spec.input('kpoints', valid_type=KpointsData, required=False, help='The mesh of k-points.')
        spec.input(
            'potentials',
            valid_type=Dict,
            required=False,
            help='Names of the pseudopotentials and what else of them is needed; never their content.',
        )
        spec.input(
            'settings',
            valid_type=Dict,
            required=False,
            validator=validate_settings,
            help='What the files do not tell: `mechanism`.',
        )
        spec.output('band', valid_type=BandData, help='The band.')
        spec.output('summary', valid_type=Dict, help='Barriers, how it was computed, what is missing, and warnings.')
        spec.exit_code(310, 'ERROR_UNREADABLE', message='The files in the folder make no band: {message}')

    @classmethod
    def is_valid_cache(cls, node: Node) -> bool:  # noqa: ARG003
        """Return that no import stands for another: what is in the folder may have changed."""
        return False

    def parse_scheduler_output(self, retrieved: Node) -> None:
        """Look for nothing that a scheduler of AiiDA would have left: none was there."""

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:  # noqa: ARG002
        """Name the files to fetch; nothing is written, for nothing runs."""
        info = CalcInfo()
        info.codes_info = []
        info.local_copy_list = []
        info.remote_copy_list = []
        info.retrieve_list = _plain_or_compressed(self.STORED)
        info.retrieve_temporary_list = _plain_or_compressed((*self.STORED, *self.READ))
        return info


def _plain_or_compressed(names: tuple[str, ...]) -> list[tuple[str, str, int]]:
    """Return what AiiDA is to fetch, each file with the folders of its path."""
    return [(f'{name}{ending}', '.', name.count('/') + 1) for name in names for ending in ('', '.[gxb]z*')]


class NebImporter(CalcJobImporter):
    """Makes the inputs of an :class:`ImportCalculation` from the files in a folder."""

    @staticmethod
    @abstractmethod
    def parse_remote_data(remote_data: RemoteData, **kwargs: Any) -> dict[str, Node | dict[str, Any]]:
        """Return the inputs that the files in a folder tell."""


def local_folder(remote_data: RemoteData) -> Path:
    """Return the path of a folder on this machine.

    :raises ValueError: where there is none: AiiDA imports from folders that are mounted here only.
    """
    path = Path(remote_data.get_remote_path())
    if not path.is_dir():
        raise ValueError(
            f'there is no folder {path} on this machine: mount or copy it, for AiiDA imports only what it can read here'
        )
    return path


def nodes_of_structures(structures: dict[str, Structure]) -> dict[str, Any]:
    """Return the nodes of structures with the same kinds: the namespace `structures`, and `kinds`."""
    from aiida_embarrier.data.convert import node_from_structure

    nodes = {label: node_from_structure(structure) for label, structure in structures.items()}
    if not nodes:
        return {}
    return {'structures': {label: node for label, (node, _) in nodes.items()}, 'kinds': next(iter(nodes.values()))[1]}


def like_band(imported: ImportedBand, lattice: np.ndarray, positions: np.ndarray) -> Structure:
    """Return a structure with the atoms and kinds of a band."""
    from pymatgen.core import Structure

    first = imported.band.structure(0)
    return Structure(
        lattice,
        imported.band.elements,
        positions,
        coords_are_cartesian=True,
        site_properties=first.site_properties,
    )


def common_inputs(remote_data: RemoteData, mechanism: str | None) -> dict[str, Any]:
    """Return `metadata` with the computer, which a job without code asks for, and `settings` if there are any."""
    settings = {} if mechanism is None else {'settings': Dict({'mechanism': mechanism})}
    return {'metadata': {'computer': remote_data.computer}, **settings}


def summary_of(imported: ImportedBand) -> dict[str, Any]:
    """Return the summary of an imported band: what the summary of a barrier says, as far as it is known."""
    from aiida_embarrier.bands.barriers import barriers
    from aiida_embarrier.bands.interpolation import closest_approach
    from aiida_embarrier.bands.profile import EnergyProfile
    from aiida_embarrier.calculations.paths import warnings_of

    band, info = imported.band, imported.band.info
    summary: dict[str, Any] = {
        'converged': info.converged,
        'residual_force': info.residual_force,
        'n_images': band.n_images,
        'n_atoms': band.n_atoms,
        'hop_length': band.hop_length,
        'periodic_image_distance': band.periodic_image_distance,
        'closest_approach': float(min(pair.distance for pair in closest_approach(band))),
        'potential': None,
        'functional': info.functional,
        'host_treatment': None,
        'imported': imported.settings,
        'sources': imported.sources,
    }
    warnings = list(imported.warnings)
    if info.converged is None:
        warnings.append('whether the band is converged is not known')
    if np.all(np.isfinite(band.energies)):
        found = barriers(band.energies)
        coordinate, energy = EnergyProfile.from_band(band).maximum()
        summary['barriers'] = found.to_dict()
        summary['spline_maximum'] = {'coordinate': float(coordinate), 'energy': float(energy - band.energies[0])}
        # what is not known was said above
        known = band if info.converged is not None else band.replace(converged=True)
        warnings += warnings_of(known, found)
    return {**summary, 'warnings': warnings}
