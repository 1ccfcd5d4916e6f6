"""Files of finished calculations of other programs to bands."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiida.orm import Dict
from aiida.parsers import Parser

from aiida_embarrier.calculations.importers.base import summary_of
from aiida_embarrier.data.band import BandData

if TYPE_CHECKING:
    from aiida.engine import ExitCode

    from aiida_embarrier.bands.imported import ImportedBand

__all__ = ('ImportQuantumEspressoParser', 'ImportVaspParser')


class ImportParser(Parser):
    """What the parsers of imported calculations share."""

    def parse(self, retrieved_temporary_folder: str | None = None, **kwargs: Any) -> ExitCode | None:  # noqa: ARG002
        """Attach the band and its summary."""
        assert retrieved_temporary_folder is not None
        settings = self.node.inputs.settings.get_dict() if 'settings' in self.node.inputs else {}
        try:
            imported = self._read(Path(retrieved_temporary_folder), settings.get('mechanism'))
        except ValueError as error:
            message = str(error).replace(retrieved_temporary_folder, self.node.get_remote_workdir() or 'the folder')
            return self.exit_codes.ERROR_UNREADABLE.format(message=message)
        self.out('band', BandData(imported.band))
        self.out('summary', Dict(summary_of(imported)))
        return None

    @abstractmethod
    def _read(self, folder: Path, mechanism: str | None) -> ImportedBand:
        """Return the band in a folder.

        :raises ValueError: where there is none.
        """


class ImportVaspParser(ImportParser):
    """Bands of VASP."""

    def _read(self, folder: Path, mechanism: str | None) -> ImportedBand:
        from aiida_embarrier.bands.vasp import read_band
        from aiida_embarrier.bands.vasp_outputs import Species

        # POTCARs stay where they are, what is needed of them is an input
        species = self.node.inputs.potentials['species'] if 'potentials' in self.node.inputs else []
        return read_band(folder, mechanism=mechanism, potentials=[Species(**entry) for entry in species])


class ImportQuantumEspressoParser(ImportParser):
    """Bands of neb.x."""

    def _read(self, folder: Path, mechanism: str | None) -> ImportedBand:
        from aiida_embarrier.bands.quantumespresso import read_band

        return read_band(folder, mechanism=mechanism)
