"""vasprun.xml in VASP's layout: what aiida-vasp and pymatgen read of it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

import numpy as np

from .elements import ELEMENTS
from .output import KBAR, VERSION, Step, _incar_value

if TYPE_CHECKING:
    from pathlib import Path

    from .inputs import Inputs, Poscar


class Vasprun:
    """Writes vasprun.xml step by step, so that a killed run leaves a truncated one."""

    def __init__(self, path: Path, inputs: Inputs, poscar: Poscar, nbands: int) -> None:
        self.inputs, self.poscar, self.nbands = inputs, poscar, nbands
        self.file = path.open('w', encoding='utf-8')
        self._start()

    def _start(self) -> None:
        inputs, tags = self.inputs, self.inputs.tags
        write = self.file.write
        write('<?xml version="1.0" encoding="ISO-8859-1"?>\n<modeling>\n <generator>\n')
        write('  <i name="program" type="string">vasp </i>\n')
        write(f'  <i name="version" type="string">{VERSION}  </i>\n </generator>\n <incar>\n')
        for name, value in inputs.given.items():
            write(f'  <i type="string" name="{name}">{escape(_incar_value(value))}</i>\n')
        write(' </incar>\n <kpoints>\n')
        write(_varray('kpointlist', inputs.kpoints, 1))
        write(_varray('weights', inputs.weights[:, None], 1))
        write(' </kpoints>\n <parameters>\n  <separator name="electronic" >\n')
        write(_item('PREC', str(tags['PREC']).lower(), 'string') + _item('ENMAX', inputs.cutoff))
        write(_item('EDIFF', tags['EDIFF']) + _item('NELECT', inputs.electrons) + _item('NBANDS', self.nbands, 'int'))
        write(_item('ISMEAR', tags['ISMEAR'], 'int') + _item('SIGMA', tags['SIGMA']))
        write(_item('ISPIN', tags['ISPIN'], 'int') + _item('NELM', tags['NELM'], 'int'))
        write(_item('NELMIN', 2, 'int') + _item('ALGO', str(tags['ALGO']), 'string'))
        write(_item('LDAU', tags['LDAU'], 'logical') + _item('GGA', inputs.gga, 'string'))
        write(_item('METAGGA', str(tags['METAGGA'] or '--'), 'string') + _item('LORBIT', tags['LORBIT'], 'int'))
        write('  </separator>\n  <separator name="ionic" >\n')
        for name in ('NSW', 'IBRION', 'ISIF'):
            write(_item(name, tags[name], 'int'))
        write(_item('POTIM', tags['POTIM']) + _item('EDIFFG', tags['EDIFFG']))
        write('  </separator>\n </parameters>\n <atominfo>\n')
        write(f'  <atoms> {len(inputs.symbols)} </atoms>\n  <types> {len(inputs.potcar)} </types>\n')
        write(
            '  <array name="atoms" >\n   <dimension dim="1">ion</dimension>\n   <field type="string">element</field>\n'
        )
        write('   <field type="int">atomtype</field>\n   <set>\n')
        for kind, (data, count) in enumerate(zip(inputs.potcar, self.poscar.counts, strict=True), start=1):
            write(f'    <rc><c>{data.element:2s}</c><c>{kind:4d}</c></rc>\n' * count)
        write('   </set>\n  </array>\n  <array name="atomtypes" >\n   <dimension dim="1">type</dimension>\n')
        for name, kind in (
            ('atomspertype', 'int'),
            ('element', 'string'),
            ('mass', ''),
            ('valence', ''),
            ('pseudopotential', 'string'),
        ):
            write(f'   <field{f" type={chr(34)}{kind}{chr(34)}" if kind else ""}>{name}</field>\n')
        write('   <set>\n')
        for data, count in zip(inputs.potcar, self.poscar.counts, strict=True):
            mass = ELEMENTS[data.element].mass
            cells = (
                f'{count:4d}',
                f'{data.element:2s}',
                f'{mass:16.8f}',
                f'{data.zval:16.8f}',
                f'{escape(data.title):40s}',
            )
            write('    <rc>' + ''.join(f'<c>{cell}</c>' for cell in cells) + '</rc>\n')
        write('   </set>\n  </array>\n </atominfo>\n')
        write(self._structure(self.poscar.positions, self.poscar.lattice, 'initialpos', 1))
        self.file.flush()

    def step(self, step: Step, energies: list[float], last: bool) -> None:
        """Write an ionic step; the last one of a run holds the electronic structure, too.

        :param energies: of the electronic steps, in eV.
        """
        write = self.file.write
        write(' <calculation>\n')
        for energy in energies:
            write(
                '  <scstep>\n   <time name="total">    0.10    0.10</time>\n'
                f'{_energies(energy, step.entropy, 3)}  </scstep>\n'
            )
        write(self._structure(step.positions, step.lattice, None, 2))
        write(_varray('forces', step.forces, 2))
        write(_varray('stress', KBAR * step.stress, 2))
        write(_energies(step.energy, step.entropy, 2))
        if last:
            write(self._electrons(step))
        write(' </calculation>\n')
        self.file.flush()

    def finish(self, positions: np.ndarray, lattice: np.ndarray) -> None:
        """End the file."""
        self.file.write(self._structure(positions, lattice, 'finalpos', 1) + '</modeling>\n')
        self.file.close()

    def _structure(self, positions: np.ndarray, lattice: np.ndarray, name: str | None, depth: int) -> str:
        space = ' ' * depth
        head = f'{space}<structure name="{name}" >\n' if name else f'{space}<structure>\n'
        crystal = _varray('basis', lattice, depth + 2)
        crystal += f'{space}  <i name="volume"> {abs(np.linalg.det(lattice)):16.8f} </i>\n'
        crystal += _varray('rec_basis', np.linalg.inv(lattice).T, depth + 2)
        body = _varray('positions', positions @ np.linalg.inv(lattice), depth + 1)
        return f'{head}{space} <crystal>\n{crystal}{space} </crystal>\n{body}{space}</structure>\n'

    def _electrons(self, step: Step) -> str:
        """Return eigenvalues and density of states of an invented insulator with a gap of 2 eV around 1 eV."""
        channels = 2 if self.inputs.tags['ISPIN'] == 2 else 1
        total = 0.0 if step.moments is None else float(step.moments.sum())
        text = '  <eigenvalues>\n   <array>\n    <dimension dim="1">band</dimension>\n'
        text += '    <dimension dim="2">kpoint</dimension>\n'
        text += (
            '    <dimension dim="3">spin</dimension>\n    <field>eigene</field>\n    <field>occ</field>\n    <set>\n'
        )
        for spin in range(channels):
            filled = self.inputs.electrons / 2 + (total / 2 if spin == 0 else -total / 2) * (channels == 2)
            bands = np.arange(self.nbands)
            occupation = np.clip(filled - bands, 0, 1)
            energies = np.where(
                occupation > 0.5, -6.0 + 6.0 * (bands + 1) / max(filled, 1), 2.0 + 0.05 * (bands - filled)
            )
            rows = ''.join(f'       <r> {e:9.4f} {o:8.4f} </r>\n' for e, o in zip(energies, occupation, strict=True))
            text += f'     <set comment="spin {spin + 1}">\n'
            for number in range(len(self.inputs.kpoints)):
                text += f'      <set comment="kpoint {number + 1}">\n{rows}      </set>\n'
            text += '     </set>\n'
        text += '    </set>\n   </array>\n  </eigenvalues>\n  <dos>\n   <i name="efermi"> 1.00000000 </i>\n'
        text += '   <total>\n    <array>\n'
        text += '     <dimension dim="1">gridpoints</dimension>\n     <dimension dim="2">spin</dimension>\n'
        text += '     <field>energy</field>\n'
        text += '     <field>total</field>\n     <field>integrated</field>\n     <set>\n'
        grid = np.linspace(-8, 8, 33)
        for spin in range(channels):
            text += f'      <set comment="spin {spin + 1}">\n'
            text += ''.join(f'       <r> {e:9.4f} {abs(e - 1) > 1:8.4f} {0.5 * (e + 8):9.4f} </r>\n' for e in grid)
            text += '      </set>\n'
        return text + '     </set>\n    </array>\n   </total>\n  </dos>\n'


def _varray(name: str, rows: np.ndarray, depth: int) -> str:
    space = ' ' * depth
    body = ''.join(f'{space} <v> ' + ' '.join(f'{x:16.8f}' for x in row) + ' </v>\n' for row in rows)
    return f'{space}<varray name="{name}" >\n{body}{space}</varray>\n'


def _item(name: str, value: object, kind: str = '') -> str:
    numbers = {'logical': lambda: 'T' if value else 'F', '': lambda: f'{float(str(value)):16.8f}'}
    text = numbers.get(kind, lambda: str(value))()
    return f'   <i {f"type={chr(34)}{kind}{chr(34)} " if kind else ""}name="{name}">{text}</i>\n'


def _energies(energy: float, entropy: float, depth: int) -> str:
    space = ' ' * depth
    values = (('e_fr_energy', energy - entropy), ('e_wo_entrp', energy + entropy), ('e_0_energy', energy))
    body = ''.join(f'{space} <i name="{name}"> {value:16.8f} </i>\n' for name, value in values)
    return f'{space}<energy>\n{body}{space}</energy>\n'
