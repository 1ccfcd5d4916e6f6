"""Finished NEB calculations of VASP."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from aiida.orm import Dict, KpointsData

from aiida_embarrier.calculations.importers.base import (
    ImportCalculation,
    NebImporter,
    common_inputs,
    like_band,
    local_folder,
    nodes_of_structures,
)

if TYPE_CHECKING:
    from pathlib import Path

    from aiida.orm import RemoteData

__all__ = ('ImportVaspCalculation', 'VaspNebImporter')


class ImportVaspCalculation(ImportCalculation):
    """A finished NEB calculation of VASP in the folders 00, 01, ... NN. POTCARs are never fetched."""

    PARSER = 'embarrier.import.vasp'
    STORED = ('INCAR', 'KPOINTS', '[0-9][0-9]/POSCAR', '[0-9][0-9]/CONTCAR')
    READ = ('[0-9][0-9]/OUTCAR', '[0-9][0-9]/OSZICAR', '[0-9][0-9]/vasprun.xml')


class VaspNebImporter(NebImporter):
    """Makes the inputs of :class:`ImportVaspCalculation`."""

    @staticmethod
    def parse_remote_data(remote_data: RemoteData, mechanism: str | None = None, **kwargs: Any) -> dict[str, Any]:
        """Return the inputs that the files in a folder tell.

        :param remote_data: the folder with INCAR, KPOINTS and 00, 01, ... NN.
        :param mechanism: `vacancy`, `interstitial` or `any`, which the files do not tell.
        :return: `structures` (`image_00`, ..., those with a POSCAR), `kinds`, `parameters` (the INCAR), `kpoints`,
            `potentials`, `settings` and `metadata`, those of them that the files tell.
        :raises ValueError: for folders that are no such calculation.
        """
        from aiida_embarrier.bands.vasp import image_folders, read_band, read_incar

        if kwargs:
            raise ValueError(f'unknown arguments {sorted(kwargs)}: there is mechanism')
        folder = local_folder(remote_data)
        imported = read_band(folder, mechanism=mechanism)
        species = imported.settings['species']
        starts = {
            f'image_{path.name}': like_band(imported, lattice, positions)
            for path in image_folders(folder)
            for lattice, positions in _start(path, imported.settings)
        }
        incar = read_incar(folder)
        kpoints = _kpoints(folder)
        return {
            **nodes_of_structures(starts),
            **({'parameters': Dict({tag.lower(): value for tag, value in incar.items()})} if incar else {}),
            **({'kpoints': kpoints} if kpoints is not None else {}),
            **({'potentials': Dict({'species': species})} if species else {}),
            **common_inputs(remote_data, mechanism),
        }


def _start(folder: Path, settings: dict[str, Any]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return lattice and positions of the POSCAR of an image; nothing where it has none."""
    from aiida_embarrier.bands.imported import find_file
    from aiida_embarrier.bands.vasp import read_poscar
    from aiida_embarrier.bands.vasp_outputs import Species

    path = find_file(folder, 'POSCAR')
    if path is None:
        return []
    structure = read_poscar(path, [Species(**entry) for entry in settings['species']]).structure
    return [(structure.lattice.matrix, structure.cart_coords)]


def _kpoints(folder: Path) -> KpointsData | None:
    """Return the k-points of a KPOINTS file; None where there is none, or one whose kind AiiDA has no node for."""
    from pymatgen.io.vasp.inputs import Kpoints, KpointsSupportedModes

    from aiida_embarrier.bands.imported import find_file, read_text

    path = find_file(folder, 'KPOINTS')
    if path is None:
        return None
    with suppress(Exception):  # pymatgen raises whatever it meets; the file is stored anyway
        found = Kpoints.from_str(read_text(path))
        node = KpointsData()
        if found.style in {KpointsSupportedModes.Gamma, KpointsSupportedModes.Monkhorst}:
            mesh = [int(number) for number in found.kpts[0]]
            # Monkhorst and Pack's meshes leave Gamma out where the number is even
            shifted = found.style == KpointsSupportedModes.Monkhorst
            own = np.array([0.5 if shifted and number % 2 == 0 else 0.0 for number in mesh])
            node.set_kpoints_mesh(mesh, offset=((own + np.array(found.kpts_shift)) % 1).tolist())
            return node
        if found.style == KpointsSupportedModes.Reciprocal:
            node.set_kpoints([list(point) for point in found.kpts], weights=list(found.kpts_weights or []))
            return node
    return None
