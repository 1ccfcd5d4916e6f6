"""Bands as files: `.npz` between processes (exact), extended XYZ for viewers and other programs."""

from __future__ import annotations

import contextlib
import json
import math
import os
import tempfile
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast
from urllib.parse import quote, unquote

import numpy as np

from aiida_embarrier.bands.band import Band, BandInfo, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ase import Atoms

__all__ = ('read_extxyz', 'read_npz', 'write_extxyz', 'write_npz')

FORMAT_VERSION = 1

_ARRAYS = (
    *('kind_indices', 'lattice', 'positions', 'mobile', 'energies', 'forces', 'max_perpendicular_forces'),
    'moments',
)
_EXTXYZ_HEADER = 'embarrier_band'
_EXTXYZ_SAFE = ''.join(set(map(chr, range(32, 127))) - set('"%\\'))
_EXTXYZ_PERPENDICULAR = 'max_perpendicular_force'


def write_npz(path_or_file: str | os.PathLike[str] | IO[bytes], band: Band) -> None:
    """Write a band as a numpy archive that :func:`read_npz` reads back exactly.

    The same band always gives the same bytes. A file named by its path appears under its name only when it is complete,
    so a checkpoint is never half written.

    :param path_or_file: path, of which the name is kept as it is, or a binary file open for writing.
    """
    if isinstance(path_or_file, (str, os.PathLike)):
        with _completed(Path(path_or_file)) as handle:
            write_npz(handle, band)
        return
    with zipfile.ZipFile(path_or_file, 'w', zipfile.ZIP_STORED) as archive:
        header = json.dumps({'format_version': FORMAT_VERSION, **_header(band)})
        entries: dict[str, Any] = {'header': header} | {name: getattr(band, name) for name in _ARRAYS}
        entries['mobile'] = np.array(band.mobile, dtype=np.int64)
        for name, value in entries.items():
            if value is None:
                continue
            # numpy.savez would stamp the entries with the time of writing
            with archive.open(zipfile.ZipInfo(f'{name}.npy'), 'w', force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.ascontiguousarray(value), allow_pickle=False)


def read_npz(path_or_file: str | os.PathLike[str] | IO[bytes]) -> Band:
    """Read a band written by :func:`write_npz`; nothing in the file is ever executed.

    :raises ValueError: for a file that is not such a band, is damaged, or was written by a newer version.
    """
    try:
        with np.load(path_or_file, allow_pickle=False) as archive:
            entries = {name: archive[name] for name in archive.files}
        header = json.loads(str(entries.pop('header').reshape(-1)[0]))
        version = header.pop('format_version')
    except FileNotFoundError:
        raise
    except (AttributeError, EOFError, KeyError, OSError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f'{_name(path_or_file)} is not a band written by aiida-embarrier: {error}') from error
    if version != FORMAT_VERSION:
        raise ValueError(
            f'{_name(path_or_file)} has band format {version}, this aiida-embarrier reads {FORMAT_VERSION}: '
            'install the same version on both machines'
        )
    entries['mobile'] = tuple(entries['mobile'].tolist())
    return Band(**_from_header(header), **entries)


def write_extxyz(path_or_file: str | os.PathLike[str] | IO[str], band: Band) -> None:
    """Write a band as extended XYZ, one frame per image with its lattice (Å), energy (eV), forces (eV/Å) and moments.

    Positions are not wrapped. The format gives 8 decimals; use :func:`write_npz` to keep every bit. Energies and forces
    that are not known are left out, and what the format has no word for (kinds, migrating atoms, how the band came
    about) stands as JSON in the comment line of each frame under `embarrier_band`.
    """
    from ase.calculators.singlepoint import SinglePointCalculator
    from ase.io import write

    frames = []
    for image in range(band.n_images):
        atoms = band.atoms(image)
        # the moments stand in the header, where None and 0 differ
        atoms.set_initial_magnetic_moments(None)
        atoms.info[_EXTXYZ_HEADER] = _mapped(_escape, {**_header(band), 'mobile': list(band.mobile)})
        atoms.set_array('kind_index', np.array(band.kind_indices))
        if not math.isnan(band.max_perpendicular_forces[image]):
            atoms.info[_EXTXYZ_PERPENDICULAR] = float(band.max_perpendicular_forces[image])
        results: dict[str, Any] = {}
        if not math.isnan(band.energies[image]):
            results['energy'] = float(band.energies[image])
        if band.forces is not None and np.all(np.isfinite(band.forces[image])):
            results['forces'] = band.forces[image]
        if band.moments is not None and np.all(np.isfinite(band.moments[image])):
            results['magmoms'] = band.moments[image]
        if results:
            atoms.calc = SinglePointCalculator(atoms, **results)
        frames.append(atoms)
    if isinstance(path_or_file, (str, os.PathLike)):
        with _completed(Path(path_or_file)) as handle:
            handle.write(_text(frames).encode())
    else:
        write(path_or_file, frames, format='extxyz')


def read_extxyz(path_or_file: str | os.PathLike[str] | IO[str]) -> Band:
    """Read a band from extended XYZ, from :func:`write_extxyz` or from any program that writes one frame per image.

    Frames of other programs carry no kinds and name no migrating atom: kinds are then elements, told apart by the
    `initial_magmoms` of the first frame, and `mobile` is empty.

    :raises ValueError: where the frames do not correspond atom by atom.
    """
    from ase.io import read

    frames = cast('list[Atoms]', read(cast('Any', path_or_file), index=':', format='extxyz'))
    first = frames[0]
    for number, atoms in enumerate(frames):
        if list(atoms.symbols) != list(first.symbols):
            raise ValueError(f'frame {number} and frame 0 differ in the number or order of their elements')
    header = first.info.get(_EXTXYZ_HEADER)
    if header is None:
        from pymatgen.io.ase import AseAtomsAdaptor

        structures = [AseAtomsAdaptor.get_structure(atoms) for atoms in frames]
        if first.has('initial_magmoms'):
            structures[0].add_site_property('magmom', first.get_initial_magnetic_moments().tolist())
        known = Band.from_structures(structures)
        entries: dict[str, Any] = {'kinds': known.kinds, 'kind_indices': known.kind_indices}
    else:
        header = _mapped(unquote, header)
        entries = {**_from_header(header), 'mobile': tuple(header['mobile'])}
        entries['kind_indices'] = first.arrays['kind_index']
    lattices = np.stack([np.array(atoms.cell) for atoms in frames])
    results = [atoms.calc.results if atoms.calc is not None else {} for atoms in frames]
    forces = [result.get('forces', np.full((len(first), 3), np.nan)) for result in results]
    moments = [result.get('magmoms', np.full(len(first), np.nan)) for result in results]
    return Band(
        lattice=lattices[0] if np.all(lattices == lattices[0]) else lattices,
        positions=np.stack([atoms.positions for atoms in frames]),
        energies=np.array([result.get('energy', np.nan) for result in results]),
        forces=np.stack(forces) if any('forces' in result for result in results) else None,
        max_perpendicular_forces=np.array([atoms.info.get(_EXTXYZ_PERPENDICULAR, np.nan) for atoms in frames]),
        moments=np.stack(moments) if any('magmoms' in result for result in results) else None,
        **entries,
    )


def _header(band: Band) -> dict[str, Any]:
    return {'kinds': [asdict(kind) for kind in band.kinds], 'info': band.info.to_dict()}


def _from_header(header: dict[str, Any]) -> dict[str, Any]:
    return {'kinds': tuple(Kind(**kind) for kind in header['kinds']), 'info': BandInfo(**header['info'])}


def _escape(text: str) -> str:
    """Percent-encode what ASE's reader of extended XYZ mangles inside JSON: all but plain printable ASCII."""
    return quote(text, safe=_EXTXYZ_SAFE)


def _mapped(function: Callable[[str], str], value: Any) -> Any:
    """Apply a function to every string inside nested dictionaries and lists."""
    if isinstance(value, dict):
        return {key: _mapped(function, entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_mapped(function, entry) for entry in value]
    return function(value) if isinstance(value, str) else value


def _text(frames: list[Atoms]) -> str:
    import io

    from ase.io import write

    buffer = io.StringIO()
    write(buffer, frames, format='extxyz')
    return buffer.getvalue()


@contextlib.contextmanager
def _completed(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for writing that takes its name only once everything is written."""
    handle = tempfile.NamedTemporaryFile(dir=path.parent, prefix=f'.{path.name}.', delete=False)  # noqa: SIM115
    try:
        with handle:
            yield handle.file
        # NamedTemporaryFile makes files for the owner only; keep to the umask as open() would
        umask = os.umask(0)
        os.umask(umask)
        Path(handle.name).chmod(0o666 & ~umask)
        Path(handle.name).replace(path)
    except BaseException:
        Path(handle.name).unlink(missing_ok=True)
        raise


def _name(path_or_file: Any) -> str:
    return str(path_or_file) if isinstance(path_or_file, (str, os.PathLike)) else 'the file'
