"""The input files of neb.x as text: the namelist PATH, and for each image an input of pw.x."""

from __future__ import annotations

import numbers
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiida_embarrier.bands.band import Band
    from aiida_embarrier.engines.quantumespresso.settings import Hubbard

__all__ = ('OUTPUT_FOLDER', 'PREFIX', 'PSEUDO_FOLDER', 'neb_input', 'pw_inputs')

#: Names that every job has in its folder; those of aiida-quantumespresso.
PREFIX, OUTPUT_FOLDER, PSEUDO_FOLDER = 'aiida', './out/', './pseudo/'

#: Keys whose values are words; of others a word says why there is no number.
WORDS = (
    'calculation',
    'verbosity',
    'restart_mode',
    'occupations',
    'smearing',
    'vdw_corr',
    'input_dft',
    'assume_isolated',
    'u_projection_type',
    'mixing_mode',
    'diagonalization',
    'startingpot',
    'startingwfc',
    'outdir',
    'prefix',
    'pseudo_dir',
    'string_method',
    'opt_scheme',
    'ci_scheme',
    'ion_dynamics',
    'cell_dofree',
)


def neb_input(path: Mapping[str, Any]) -> str:
    """Return the content of neb.dat."""
    return _namelist('PATH', path, {})


def pw_inputs(
    band: Band,
    namelists: Mapping[str, Mapping[str, Any]],
    pseudos: Mapping[str, str],
    mesh: tuple[int, int, int],
    hubbard: Mapping[str, Hubbard],
    projectors: str,
) -> list[str]:
    """Return the contents of pw_1.in, pw_2.in, ..., one for each image; positions are written as they are meant.

    Lengths and positions have twelve decimals, for neb.x stores no more.

    :param namelists: of pw.x; values of species are mappings by the names of the kinds.
    :param pseudos: file names of the pseudopotentials by the names of the kinds.
    :param mesh: of k-points; Gamma alone lets pw.x use real wavefunctions.
    :param hubbard: what the card HUBBARD says by the names of the kinds; empty for no card.
    :raises ValueError: for a band whose lattice changes along it.
    """
    from ase.data import atomic_masses, atomic_numbers

    if band.lattice.ndim == 3:
        raise ValueError('neb.x has one lattice for all images, but that of this band changes along it')
    present = {band.kinds[index].name: band.kinds[index].element for index in band.kind_indices}
    numbered = {name: number for number, name in enumerate(sorted(present), start=1)}
    control = {**namelists['CONTROL'], 'prefix': PREFIX, 'outdir': OUTPUT_FOLDER, 'pseudo_dir': PSEUDO_FOLDER}
    system = {**namelists['SYSTEM'], 'ibrav': 0, 'nat': band.n_atoms, 'ntyp': len(present)}
    head = ''.join(
        _namelist(name, entries, numbered)
        for name, entries in (('CONTROL', control), ('SYSTEM', system), ('ELECTRONS', namelists['ELECTRONS']))
    )
    head += 'ATOMIC_SPECIES\n'
    for name in numbered:
        head += f'{name:<4} {atomic_masses[atomic_numbers[present[name]]]:.4f} {pseudos[name]}\n'
    tail = 'K_POINTS gamma\n' if mesh == (1, 1, 1) else 'K_POINTS automatic\n{} {} {} 0 0 0\n'.format(*mesh)
    tail += 'CELL_PARAMETERS angstrom\n' + _rows(band.lattice)
    if hubbard:
        tail += f'HUBBARD ({projectors})\n'
        tail += ''.join(f'U {name}-{entry.manifold} {entry.u:.6f}\n' for name, entry in sorted(hubbard.items()))
    names = [band.kinds[index].name for index in band.kind_indices]
    return [
        head + 'ATOMIC_POSITIONS angstrom\n' + _rows(image, [f'{name:<4}' for name in names]) + tail
        for image in band.positions
    ]


def _rows(values: np.ndarray, labels: Sequence[str] = ()) -> str:
    lines = [' '.join(f'{value:18.12f}' for value in row) for row in np.asarray(values)]
    if labels:
        lines = [f'{label} {line}' for label, line in zip(labels, lines, strict=True)]
    return '\n'.join(lines) + '\n'


def _namelist(name: str, entries: Mapping[str, Any], species: Mapping[str, int]) -> str:
    lines = []
    for key, value in sorted(entries.items()):
        if isinstance(value, dict):
            lines += [_entry(f'{key}({species[kind]})', entry, key) for kind, entry in sorted(value.items())]
        else:
            lines.append(_entry(key, value, key))
    return f'&{name}\n' + ''.join(f'  {line}\n' for line in lines) + '/\n'


def _entry(place: str, value: Any, key: str) -> str:
    """Return a line of a namelist; a comment where the value is not known yet, and says so in words."""
    if isinstance(value, str) and key not in WORDS:
        return f'! {place} = {value}'
    return f'{place} = {_fortran(value)}'


def _fortran(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return '.true.' if value else '.false.'
    if isinstance(value, numbers.Integral):
        return str(int(value))
    if isinstance(value, numbers.Real):
        return f'{float(value):.10e}'.replace('e', 'd')
    if isinstance(value, str):
        return f"'{value}'"
    raise ValueError(f'{value!r} is no value for a namelist: give a number, true or false, or a word')
