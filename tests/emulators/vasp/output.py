"""The files of one image in VASP's layout: OUTCAR, OSZICAR, CONTCAR, XDATCAR and what goes to standard output.

Times in these files are invented, so that they are the same on every machine: :func:`seconds_per_step`.
"""

from __future__ import annotations

import dataclasses
import math
from typing import IO, TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from .inputs import Inputs, Poscar

VERSION = '6.4.2'
#: The version of the tools that a build with VTST's tools names.
VTST_VERSION = '4.2, (08/10/21)'
RULE = '\n\n' + '-' * 104 + '\n\n\n'
KBAR = 1602.1766208
#: How much longer an electronic step takes than one of PBE.
COSTS = {'SCAN': 2.6, 'R2SCAN': 2.2, 'RTPSS': 2.4, 'TPSS': 2.4}


def seconds_per_step(inputs: Inputs, cores: int) -> float:
    """Return the invented time of an electronic step of one image."""
    work = 1e-4 * len(inputs.symbols) ** 2 * len(inputs.kpoints) * (1.9 if inputs.tags['ISPIN'] == 2 else 1.0)
    work *= 1.15 if inputs.tags['LDAU'] else 1.0
    return 0.02 + work * COSTS.get(str(inputs.tags['METAGGA']).upper(), 1.0) / cores


def fortran(value: float, width: int, digits: int) -> str:
    """Return a number as Fortran's E format writes it, without the zero before the point where it has no room."""
    if not math.isfinite(value):
        return 'NaN'.rjust(width)
    exponent = 0 if value == 0 else math.floor(math.log10(abs(value))) + 1
    mantissa = f'{abs(value) / 10.0**exponent:.{digits}f}'
    if mantissa.startswith('1'):
        exponent, mantissa = exponent + 1, f'{0.1:.{digits}f}'
    text = f'{"-" if value < 0 else ""}{mantissa}E{exponent:+03d}'
    return (text if len(text) <= width else text.replace('0.', '.', 1)).rjust(width)


@dataclasses.dataclass
class Step:
    """What one ionic step of one image gave.

    :param iterations: of the electronic steps, with whether they converged.
    :param energy: extrapolated to zero broadening, in eV.
    :param entropy: half of T S, in eV, by which the free energy lies below and the energy without entropy above.
    :param stress: in eV/Å³ with the sign of an outward pressure.
    """

    number: int
    iterations: int
    converged: bool
    energy: float
    entropy: float
    forces: np.ndarray
    stress: np.ndarray
    moments: np.ndarray | None
    positions: np.ndarray
    lattice: np.ndarray

    @property
    def free_energy(self) -> float:
        """Return the free energy, which the forces are the gradient of, in eV."""
        return self.energy - self.entropy


class ImageFiles:
    """Writes the files of one image.

    :param folder: the job's, or an image's.
    :param stdout: where progress goes.
    """

    def __init__(self, folder: Path, inputs: Inputs, poscar: Poscar, stdout: IO[str], cores: int) -> None:
        self.folder, self.inputs, self.poscar, self.stdout = folder, inputs, poscar, stdout
        self.cores = cores
        self.loop = seconds_per_step(inputs, cores)
        self.elapsed = self.began = 1.0
        self.last_energy = 0.0
        self.outcar = (folder / 'OUTCAR').open('w', encoding='utf-8')
        self.oszicar = (folder / 'OSZICAR').open('w', encoding='utf-8')
        self.xdatcar = (folder / 'XDATCAR').open('w', encoding='utf-8')

    def flush(self) -> None:
        """Let other processes see what was written."""
        for file in (self.outcar, self.oszicar, self.xdatcar, self.stdout):
            file.flush()

    def close(self) -> None:
        """Close the files, standard output excepted."""
        for file in (self.outcar, self.oszicar, self.xdatcar):
            file.close()

    @property
    def nbands(self) -> int:
        """Return the number of bands."""
        electrons, starts = self.inputs.electrons, self.inputs.starts
        filled = math.ceil((electrons + (0.0 if starts is None else abs(float(starts.sum())))) / 2)
        usual = max(math.ceil(electrons / 2) + max(len(self.inputs.symbols) // 2, 3), int(0.6 * electrons))
        return int(self.inputs.tags.get('NBANDS', max(usual, filled + 2)))

    def header(self, ranks: int, vtst: bool) -> None:
        """Write everything before the first electronic step."""
        inputs, tags, write = self.inputs, self.inputs.tags, self.outcar.write
        points = len(inputs.kpoints)
        write(f' vasp.{VERSION} (a stand-in that is no VASP: tests of aiida-embarrier) complex\n  \n')
        write(f' executed on             standin date 2026.11.26  12:00:00\n running on   {ranks:2d} total cores\n')
        write(f' distrk:  each k-point on {self.cores:4d} cores,    1 groups\n')
        write(f' distr:  one band on NCORE= {tags["NCORE"]:3d} cores,    1 groups\n{RULE} INCAR:\n')
        for name, value in inputs.given.items():
            write(f'   {name} = {_incar_value(value)}\n')
        for data in inputs.potcar:
            write(f' POTCAR:   {data.title}\n')
        for data in inputs.potcar:
            write(
                f'   VRHFIN ={data.element}:\n   LEXCH  = PE\n   TITEL  = {data.title}\n'
                f'   ZVAL   = {data.zval:8.3f}    mass and valenz\n'
                f'   ENMAX  = {data.enmax:8.3f}; ENMIN  =  {0.75 * data.enmax:8.3f} eV\n'
            )
        if vtst:
            write(f'\n VTST: version {VTST_VERSION}\n\n CHAIN: initializing optimizer\n\n')
            write(f' OPT: Using {"VASP" if not tags["IOPT"] else "VTST"} optimizer {tags["IOPT"] or tags["IBRION"]}\n')
            write(f' CHAIN: Read ICHAIN            {tags["ICHAIN"]}\n')
        write(f'{RULE} Dimension of arrays:\n')
        write(
            f'   k-points           NKPTS = {points:6d}   k-points in BZ     NKDIM = {points:6d}'
            f'   number of bands    NBANDS= {self.nbands:6d}\n'
            f'   number of dos      NEDOS =    301   number of ions     NIONS = {len(inputs.symbols):6d}\n'
            f'   ions per type =          {"".join(f"{count:6d}" for count in self.poscar.counts)}\n\n'
        )
        write(
            f' Startparameter for this run:\n   NWRITE =      2    write-flag & timer\n'
            f'   PREC   = {str(tags["PREC"])[:6].lower():6s}    normal or accurate\n'
            f'   ISTART =  {self.istart:5d}    job   : 0-new  1-cont  2-samecut\n'
            f'   ICHARG =  {tags.get("ICHARG", 0 if self.istart else 2):5d}    charge: 1-file 2-atom 10-const\n'
            f'   ISPIN  =  {tags["ISPIN"]:5d}    spin polarized calculation?\n'
            f'   LASPH  =      {_flag(tags.get("LASPH", False))}    aspherical Exc in radial PAW\n\n'
            f' Electronic Relaxation 1\n   ENCUT  = {inputs.cutoff:6.1f} eV\n'
            f'   NELM   = {tags["NELM"]:6d};   NELMIN=  2; NELMDL= -5     # of ELM steps \n'
            f'   EDIFF  = {fortran(tags["EDIFF"], 7, 1)}   stopping-criterion for ELM\n'
            f'   LMAXMIX     = {tags.get("LMAXMIX", 2):4d} max onsite mixed and CHGCAR\n'
            f' Ionic relaxation\n   EDIFFG = {fortran(tags["EDIFFG"], 7, 1)}   stopping-criterion for IOM\n'
            f'   NSW    = {tags["NSW"]:6d}    number of steps for IOM\n'
            f'   IBRION = {tags["IBRION"]:6d}    ionic relax: 0-MD 1-quasi-New 2-CG\n'
            f'   ISIF   = {tags["ISIF"]:6d}    stress and relaxation\n'
            f'   POTIM  = {tags["POTIM"]:6.4f}    time-step for ionic-motion\n'
            f'   NELECT =  {inputs.electrons:12.4f}    total number of electrons\n'
            f'   NUPDOWN=  {-1:12.4f}    fix difference up-down\n\n'
            ' DOS related values:\n'
            f'   ISMEAR = {tags["ISMEAR"]:6d};   SIGMA  = {tags["SIGMA"]:6.2f}  broadening in eV\n\n'
            f' Write flags\n   LWAVE  =      {_flag(tags["LWAVE"])}    write WAVECAR\n'
            f'   LCHARG =      {_flag(tags["LCHARG"])}    write CHGCAR\n'
            f'   LORBIT = {tags["LORBIT"]:6d}    0 simple, 1 ext\n\n'
            f' Exchange correlation treatment:\n   GGA     =    {inputs.gga}    GGA type\n'
        )
        if tags['METAGGA']:
            write(f'   METAGGA =    {str(tags["METAGGA"]).upper()}    meta-GGA\n')
        write(RULE)
        write(self._cell(self.poscar.lattice))
        self.xdatcar.write(_poscar_head(self.poscar, self.inputs, self.poscar.lattice))
        self.flush()

    istart = 0

    def electronic_step(self, number: int, iteration: int, energy: float, change: float, moment: float) -> None:
        """Write one electronic step, before the free energy of the ionic step is known to have converged."""
        dashes = '-' * 39
        electrons = self.inputs.electrons
        polarised = self.inputs.tags['ISPIN'] == 2
        self.outcar.write(
            f'\n{dashes} Iteration {number:4d}({iteration:4d})  {dashes}\n\n\n'
            f'      LOOP:  cpu time {self.loop:9.4f}: real time {self.loop:9.4f}\n\n'
            f' total energy-change (2. order) :{change: .7E}  ({-abs(change):.7E})\n'
            f' number of electron {electrons:14.7f} magnetization {f"{moment:15.7f}" if polarised else ""}\n'
            f' augmentation part {electrons:15.7f} magnetization {f"{moment:15.7f}" if polarised else ""}\n\n'
            f' Free energy of the ion-electron system (eV)\n  {"-" * 51}\n'
            f'  free energy    TOTEN  = {_number(energy, 18, 8)} eV\n\n'
            f'  energy without entropy = {_number(energy, 16, 8)}  energy(sigma->0) = {_number(energy, 16, 8)}\n{RULE}'
        )
        scheme = {'A': 'CGA', 'D': 'DMP', 'V': 'RMM', 'F': 'RMM'}.get(str(self.inputs.tags['ALGO'])[:1].upper(), 'DAV')
        line = f'{scheme}: {iteration:3d}   {fortran(energy, 18, 12)}   {fortran(change, 12, 5)}'
        line += f'  {fortran(-abs(change), 12, 5)}   512   0.100E+01\n'
        if iteration == 1:
            head = '       N       E                     dE             d eps       ncg     rms          rms(c)\n'
            self.stdout.write(head)
            self.oszicar.write(head)
        self.stdout.write(line)
        self.oszicar.write(line)
        self.elapsed += self.loop

    def ionic_step(self, step: Step) -> None:
        """Write what an ionic step gave, before anything about the band."""
        write = self.outcar.write
        word = (
            'aborting loop because EDIFF is reached'
            if step.converged
            else 'aborting loop EDIFF was not reached (unconverged)'
        )
        write(f'\n{"-" * 24} {word} {"-" * 40}\n\n\n')
        if step.moments is not None and self.inputs.tags['LORBIT'] >= 10:
            write(self._magnetization(step.moments))
        if self.inputs.tags['ISIF']:
            write(self._stress(step))
        write('\n VOLUME and BASIS-vectors are now :\n ' + '-' * 77 + '\n')
        write(self._cell(step.lattice))
        write(f'\n POSITION {"":38}TOTAL-FORCE (eV/Angst)\n {"-" * 83}\n')
        for position, force in zip(step.positions, step.forces, strict=True):
            write(
                ' ' + ''.join(f'{x:13.5f}' for x in position) + '  ' + ''.join(_number(x, 14, 6) for x in force) + '\n'
            )
        drift = ''.join(_number(x, 14, 6) for x in step.forces.sum(axis=0))
        write(f' {"-" * 83}\n    total drift:{"":25}{drift}\n{RULE}')
        free, without, zero = step.free_energy, step.energy + step.entropy, step.energy
        write(
            f'\n  FREE ENERGIE OF THE ION-ELECTRON SYSTEM (eV)\n  {"-" * 51}\n'
            f'  free  energy   TOTEN  = {_number(free, 18, 8)} eV\n\n'
            f'  energy  without entropy= {_number(without, 18, 8)}  energy(sigma->0) = {_number(zero, 16, 8)}\n{RULE}'
        )
        total = '' if step.moments is None else f'  mag= {step.moments.sum():11.4f}'
        difference = step.energy - self.last_energy
        line = f'{step.number:4d} F= {fortran(free, 14, 8)} E0= {fortran(zero, 14, 8)}'
        line += f'  d E ={fortran(difference, 12, 6)}{total}\n'
        self.last_energy = step.energy
        self.stdout.write(line)
        self.oszicar.write(line)
        self.xdatcar.write(f'Direct configuration={step.number:6d}\n')
        for row in step.positions @ np.linalg.inv(step.lattice):
            self.xdatcar.write(' ' + ' '.join(_number(x, 11, 8) for x in row) + '\n')

    def end_of_step(self) -> None:
        """Close the ionic step."""
        self.elapsed += 0.1
        taken = self.elapsed - self.began
        self.outcar.write(f'     LOOP+:  cpu time {taken:9.4f}: real time {taken:9.4f}\n')
        self.began = self.elapsed
        self.flush()

    def contcar(self, positions: np.ndarray, lattice: np.ndarray) -> None:
        """Write the structure that the next step, or the next job, starts from."""
        text = _poscar_head(self.poscar, self.inputs, lattice)
        text += 'Selective dynamics\n' if self.poscar.selective else ''
        text += 'Direct\n'
        for row, free in zip(positions @ np.linalg.inv(lattice), self.poscar.free, strict=True):
            text += ''.join(_number(x, 20, 16) for x in row)
            text += (''.join(f'   {"T" if f else "F"}' for f in free) if self.poscar.selective else '') + '\n'
        text += ' \n' + ('  0.00000000E+00  0.00000000E+00  0.00000000E+00\n' * len(positions))
        (self.folder / 'CONTCAR').write_text(text, encoding='utf-8')

    def reached(self) -> None:
        """Say that the forces are small enough."""
        line = ' reached required accuracy - stopping structural energy minimisation\n'
        self.outcar.write('  \n' + line)
        self.stdout.write(line)

    def footer(self, moments: np.ndarray | None) -> None:
        """Write what ends a run that ended by itself."""
        if moments is not None and self.inputs.tags['LORBIT'] >= 10:
            self.outcar.write(self._magnetization(moments))
        memory = 30000 + 200 * len(self.inputs.symbols) ** 2
        rows = (('Total CPU time used (sec)', self.elapsed), ('User time (sec)', 0.97 * self.elapsed),
                ('System time (sec)', 0.03 * self.elapsed), ('Elapsed time (sec)', 1.02 * self.elapsed))  # fmt: skip
        text = f'\n total amount of memory used by VASP MPI-rank0 {memory:8d}. kBytes\n{"=" * 71}\n\n'
        text += f'   base      :      30000. kBytes\n   wavefun   : {memory - 30000:10d}. kBytes\n \n  \n  \n'
        text += f' General timing and accounting informations for this job:\n {"=" * 56}\n  \n'
        text += ''.join(f'{name:>43}: {value:12.3f}\n' for name, value in rows)
        text += (
            f'  \n{"Maximum memory used (kb)":>43}: {memory:11d}.\n{"Average memory used (kb)":>43}:         N/A\n  \n'
        )
        text += f'{"Minor page faults":>43}: {84225:12d}\n{"Major page faults":>43}: {0:12d}\n'
        self.outcar.write(text + f'{"Voluntary context switches":>43}: {8589:12d}\n')
        self.flush()

    def _cell(self, lattice: np.ndarray) -> str:
        reciprocal = np.linalg.inv(lattice).T
        text = f'  energy-cutoff  :     {self.inputs.cutoff:7.2f}\n'
        text += f'  volume of cell :   {abs(np.linalg.det(lattice)):9.2f}\n'
        text += '      direct lattice vectors                 reciprocal lattice vectors\n'
        for direct, inverse in zip(lattice, reciprocal, strict=True):
            text += '  ' + ''.join(f'{x:13.9f}' for x in direct) + '  ' + ''.join(f'{x:13.9f}' for x in inverse) + '\n'
        return text + '\n'

    def _magnetization(self, moments: np.ndarray) -> str:
        text = '\n\n magnetization (x)\n \n# of ion       s       p       d       tot\n' + '-' * 42 + '\n'
        for number, moment in enumerate(moments, start=1):
            text += f'{number:5d}   ' + ''.join(f'{part * moment:8.3f}' for part in (0.01, 0.02, 0.97, 1.0)) + '\n'
        total = moments.sum()
        return (
            text
            + '-' * 42
            + '\ntot     '
            + ''.join(f'{part * total:8.3f}' for part in (0.01, 0.02, 0.97, 1.0))
            + '\n\n'
        )

    def _stress(self, step: Step) -> str:
        voigt = [step.stress[i, j] for i, j in ((0, 0), (1, 1), (2, 2), (0, 1), (1, 2), (2, 0))]
        volume = abs(np.linalg.det(step.lattice))
        text = '\n FORCE on cell =-STRESS in cart. coord.  units (eV):\n'
        text += '  Direction    XX          YY          ZZ          XY          YZ          ZX\n'
        text += f'  {"-" * 86}\n'
        text += '  Total ' + ''.join(_number(x * volume, 12, 5) for x in voigt) + '\n'
        text += '  in kB ' + ''.join(_number(x * KBAR, 12, 5) for x in voigt) + '\n'
        pressure = KBAR * float(np.trace(step.stress)) / 3
        return text + f'  external pressure = {_number(pressure, 12, 2)} kB  Pullay stress = {0:12.2f} kB\n\n'


def _poscar_head(poscar: Poscar, inputs: Inputs, lattice: np.ndarray) -> str:
    text = f'{poscar.comment[:40]:40s}\n   1.00000000000000     \n'
    for vector in lattice:
        text += '  ' + ''.join(f'{x:22.16f}' for x in vector) + '\n'
    return (
        text
        + ''.join(f'{d.element:>5s}' for d in inputs.potcar)
        + '\n'
        + ''.join(f'{n:6d}' for n in poscar.counts)
        + '\n'
    )


def _number(value: float, width: int, digits: int) -> str:
    return f'{value:{width}.{digits}f}' if math.isfinite(value) else 'NaN'.rjust(width)


def _flag(value: object) -> str:
    return 'T' if value else 'F'


def _incar_value(value: object) -> str:
    if isinstance(value, list):
        return ' '.join(_incar_value(part) for part in value)
    return f'.{str(value).upper()}.' if isinstance(value, bool) else str(value)
