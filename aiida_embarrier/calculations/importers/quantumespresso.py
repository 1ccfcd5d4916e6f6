"""Finished runs of neb.x of Quantum ESPRESSO."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
    from aiida.orm import RemoteData

    from aiida_embarrier.bands.quantumespresso import NebInput

__all__ = ('ImportQuantumEspressoCalculation', 'QuantumEspressoNebImporter')


class ImportQuantumEspressoCalculation(ImportCalculation):
    """A finished run of neb.x: the files `<prefix>.path`, `<prefix>.axsf` and the input."""

    PARSER = 'embarrier.import.quantumespresso'
    STORED = ('neb.dat', 'pw_*.in', '*.in', '*.inp', '*.path', '*.axsf', '*.dat', '*.int', '*.out', '*.log')
    READ = ('*/PW.out', '*/*/PW.out')


class QuantumEspressoNebImporter(NebImporter):
    """Makes the inputs of :class:`ImportQuantumEspressoCalculation`."""

    @staticmethod
    def parse_remote_data(remote_data: RemoteData, mechanism: str | None = None, **kwargs: Any) -> dict[str, Any]:
        """Return the inputs that the files in a folder tell.

        :param remote_data: the folder in which neb.x ran.
        :param mechanism: `vacancy`, `interstitial` or `any`, which the files do not tell.
        :return: `structures` (`image_1`, ..., those that the input gives), `kinds`, `parameters` (the namelists, PATH
            among them), `kpoints`, `potentials` (file names by kind),
            `settings` and `metadata`, those of them that the files tell.
        :raises ValueError: for folders that are no such run.
        """
        from aiida_embarrier.bands.quantumespresso import given_images, read_band, read_input

        if kwargs:
            raise ValueError(f'unknown arguments {sorted(kwargs)}: there is mechanism')
        folder = local_folder(remote_data)
        imported = read_band(folder, mechanism=mechanism)
        found = read_input(folder)
        lattice = imported.band.lattice_of(0)
        starts = {
            f'image_{number}': like_band(imported, lattice, positions)
            for number, positions in enumerate(given_images(found, lattice), 1)
        }
        kpoints = _kpoints(found)
        namelists = {name.upper(): entries for name, entries in found.namelists.items()}
        return {
            **nodes_of_structures(starts),
            'parameters': Dict({'PATH': found.path, **namelists}),
            **({'kpoints': kpoints} if kpoints is not None else {}),
            'potentials': Dict({'files': found.pseudopotentials}),
            **common_inputs(remote_data, mechanism),
        }


def _kpoints(found: NebInput) -> KpointsData | None:
    """Return the mesh of k-points of an input; None for lists of k-points, which stay in the input file."""
    option, lines = found.cards.get('K_POINTS', ('', []))
    node = KpointsData()
    if option == 'gamma':
        node.set_kpoints_mesh([1, 1, 1])
        return node
    if option == 'automatic' and lines:
        numbers = [int(word) for word in lines[0].split()[:6]]
        node.set_kpoints_mesh(numbers[:3], offset=[0.5 * shift for shift in numbers[3:]] or [0.0] * 3)
        return node
    return None
