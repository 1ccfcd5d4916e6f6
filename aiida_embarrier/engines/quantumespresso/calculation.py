"""The CalcJob of neb.x."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from aiida.common import CalcInfo, CodeInfo
from aiida.engine import CalcJob
from aiida.orm import Dict, KpointsData, RemoteData, SinglefileData

from aiida_embarrier.data.band import BandData
from aiida_embarrier.engines.quantumespresso.files import (
    OUTPUT_FOLDER,
    PREFIX,
    PSEUDO_FOLDER,
    neb_input,
    pw_inputs,
)
from aiida_embarrier.engines.quantumespresso.settings import Hubbard

if TYPE_CHECKING:
    from aiida.common.folders import Folder
    from aiida.engine.processes.calcjobs.calcjob import CalcJobProcessSpec

__all__ = ('PATH_FILE', 'QuantumEspressoNebCalculation')

#: The file from which neb.x goes on.
PATH_FILE = f'{PREFIX}.path'
#: The part of the wall time after which the program is to stop by itself.
OWN_STOP = 0.95


def validate_band(node: BandData, _: Any) -> str | None:
    """Check that neb.x can work on a band."""
    band = node.band
    if band.n_images < 3:
        return 'the band has no image between its endpoints: interpolate it first'
    if band.lattice.ndim == 3:
        return 'neb.x has one lattice for all images, but that of this band changes along it'
    return None


class QuantumEspressoNebCalculation(CalcJob):
    """A nudged elastic band with neb.x.

    aiida-quantumespresso's own NebCalculation takes the images as a TrajectoryData, which refuses kinds such as Mn1 and
    Mn2 (no antiferromagnetic cells) and forgets a Hubbard U, and its parser loses a run that was killed. Here the
    images are a BandData, whose positions are written as they are meant.
    """

    CACHE_VERSION = 1

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define the inputs, outputs and exit codes."""
        super().define(spec)
        spec.input('band', valid_type=BandData, validator=validate_band, help='The starting band.')
        spec.input('path', valid_type=Dict, help='The namelist PATH.')
        spec.input('parameters', valid_type=Dict, help='Namelists of pw.x, the same for all images.')
        spec.input('kpoints', valid_type=KpointsData, help='Mesh of k-points; Gamma alone uses real wavefunctions.')
        spec.input_namespace(
            'pseudos', valid_type=SinglefileData, dynamic=True, help='Pseudopotentials by the names of the kinds.'
        )
        spec.input(
            'hubbard',
            valid_type=Dict,
            required=False,
            help='The card HUBBARD: `projectors`, and `kinds` with `u` (eV) and `manifold` by the names of kinds.',
        )
        spec.input(
            'settings',
            valid_type=Dict,
            help='What the band is to say of itself (`functional`, `charge`), whether its convergence is the last that '
            'is asked for (`final`), how unevenly its images may be spaced then (`spacing_tolerance`), and further '
            'words on the command line (`command_line`).',
        )
        spec.input('parent_folder', valid_type=RemoteData, required=False, help='Folder of the run to go on from.')
        options = spec.inputs['metadata']['options']
        options['resources'].default = lambda: {'num_machines': 1, 'num_mpiprocs_per_machine': 1}
        options['withmpi'].default = True
        options['parser_name'].default = 'embarrier.quantumespresso.neb'
        options['input_filename'].default = 'neb.dat'
        options['output_filename'].default = f'{PREFIX}.out'

        spec.output('band', valid_type=BandData, required=False, help='The band of the last complete iteration.')
        spec.output('results', valid_type=Dict, required=False, help='How the run went: iterations, forces, times.')
        spec.exit_code(
            301, 'ERROR_NO_OUTPUT', message='The job left no output of neb.x: {message}', invalidates_cache=True
        )
        spec.exit_code(310, 'ERROR_PROGRAM', message='neb.x stopped with an error: {message}')
        spec.exit_code(
            320,
            'ERROR_CARD_IGNORED',
            message='neb.x {version} does not know the card HUBBARD and would have computed without U: set '
            '`hubbard_card: false`, or use a code of Quantum ESPRESSO 7.1 or newer.',
        )
        spec.exit_code(
            400,
            'ERROR_WALL_TIME',
            message='neb.x stopped by itself before the wall time was over, after {iterations} iteration(s).',
            invalidates_cache=True,
        )
        spec.exit_code(
            401,
            'ERROR_INTERRUPTED',
            message='The job was ended from outside after {iterations} complete iteration(s): {message}',
            invalidates_cache=True,
        )
        spec.exit_code(
            410,
            'ERROR_ELECTRONS',
            message='Self-consistency was not reached on image {image} at iteration {iteration}.',
        )
        spec.exit_code(420, 'ERROR_DIAGONALISATION', message='The diagonalisation failed: {message}')
        spec.exit_code(
            501,
            'ERROR_NOT_CONVERGED',
            message='Not converged within nstep_path: residual force {residual:.3f} eV/Å, {iterations} iterations.',
        )
        spec.exit_code(
            502,
            'ERROR_RESIDUAL_FORCE',
            message='neb.x found its threshold kept, but the largest perpendicular force on an atom is {residual:.3f} '
            'eV/Å, more than {threshold:.3f}.',
        )
        spec.exit_code(
            503,
            'ERROR_SPACING',
            message='The forces have converged, but the images are unevenly spaced: a distance differs by '
            '{spacing:.2f} of the mean from it, more than neb.spacing_tolerance, {tolerance:g}.',
        )

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write the input files."""
        inputs, options = self.inputs, self.inputs.metadata.options
        band = inputs.band.band
        namelists = inputs.parameters.get_dict()
        seconds = options.get('max_wallclock_seconds')
        if seconds is not None:
            namelists['CONTROL'].setdefault('max_seconds', float(round(OWN_STOP * seconds)))
        hubbard: dict[str, Any] = {'kinds': {}, 'projectors': ''}
        if 'hubbard' in inputs:
            hubbard = inputs.hubbard.get_dict()
        texts = pw_inputs(
            band,
            namelists,
            {name: node.filename for name, node in inputs.pseudos.items()},
            tuple(inputs.kpoints.get_kpoints_mesh()[0]),
            {name: Hubbard(**entry) for name, entry in hubbard['kinds'].items()},
            hubbard['projectors'],
        )
        for number, text in enumerate(texts, start=1):
            with folder.open(f'pw_{number}.in', 'w', encoding='utf8') as handle:
                handle.write(text)
        with folder.open(options.input_filename, 'w', encoding='utf8') as handle:
            handle.write(neb_input(inputs.path.get_dict()))
        folder.get_subfolder(OUTPUT_FOLDER, create=True)
        folder.get_subfolder(PSEUDO_FOLDER, create=True)

        code = CodeInfo()
        code.code_uuid = inputs.code.uuid
        code.cmdline_params = [*inputs.settings.get('command_line', []), '-input_images', str(band.n_images)]
        code.stdout_name = options.output_filename
        calc = CalcInfo()
        calc.codes_info = [code]
        calc.local_copy_list = sorted(
            {(node.uuid, node.filename, f'{PSEUDO_FOLDER}{node.filename}') for node in inputs.pseudos.values()}
        )
        if 'parent_folder' in inputs:
            parent = inputs.parent_folder
            where = PurePosixPath(parent.get_remote_path())
            calc.remote_copy_list = [
                (parent.computer.uuid, str(where / 'out' / '*'), OUTPUT_FOLDER),
                (parent.computer.uuid, str(where / PATH_FILE), PATH_FILE),
            ]
        calc.retrieve_list = [
            options.output_filename,
            'CRASH',
            *(f'{PREFIX}.{extension}' for extension in ('path', 'dat', 'int', 'axsf')),
        ]
        calc.retrieve_temporary_list = [(f'{OUTPUT_FOLDER}{PREFIX}_*[0-9]/PW.out', '.', 2)]
        return calc
