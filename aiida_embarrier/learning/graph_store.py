"""Graphs of all crystals of a dataset: built once, kept in a few large files, read memory-mapped."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import shutil
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, overload

import numpy as np

from aiida_embarrier.datasets.tables import content_hash
from aiida_embarrier.learning.graph import CrystalGraph
from aiida_embarrier.learning.graphs import VERSION, build_graph

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import pandas as pd

    from aiida_embarrier.jobs.learning import GraphSettings

__all__ = ('Graphs', 'RefusedRowsError', 'graphs_of')

#: What a graph depends on beside the settings.
COLUMNS = ('lattice', 'species', 'frac_coords')
#: Arrays with a row per atom, and with one per bond; their types are those of :class:`CrystalGraph`.
ATOM_ARRAYS = {'numbers': np.int16}
BOND_ARRAYS = {
    'source': np.int32,
    'target': np.int32,
    'vectors': np.float32,
    'multiplicity': np.uint8,
    'reverse': np.int32,
}
#: Where in these arrays each graph ends.
ENDS = ('atom_ends', 'bond_ends')
INDEX_FILE = 'index.json'
#: What folders are called that a store is written in before it is whole, and after how many seconds one is forgotten.
DRAFT, DRAFT_SECONDS = '.draft-', 86400.0
#: Rows that are built together, and after which progress is told: a third of a second with some 30 atoms each.
CHUNK = 200
#: How many refused rows an error names.
N_NAMED = 5

#: Text of the columns of a row.
Row = tuple[str, str, str]
Arrays = dict[str, np.ndarray]


class RefusedRowsError(ValueError):
    """Some rows cannot become graphs.

    :param reasons: why not, by the names of the rows.
    :param n_rows: how many rows there are.
    :param graphs: those of the other rows, in their order.
    """

    def __init__(self, reasons: Mapping[str, str], n_rows: int, graphs: Graphs) -> None:
        self.reasons, self.graphs = dict(reasons), graphs
        named = '; '.join(f'{name}: {reason}' for name, reason in list(self.reasons.items())[:N_NAMED])
        more = f'; and {len(self.reasons) - N_NAMED} more' if len(self.reasons) > N_NAMED else ''
        super().__init__(f'{len(self.reasons)} of {n_rows} rows cannot become graphs: {named}{more}')


class Graphs(Sequence[CrystalGraph]):
    """The graphs of a dataset in the order of its rows; each is a view of arrays that hold all of them.

    :param arrays: by their names: those of :class:`CrystalGraph`, joined, with `atom_ends` and `bond_ends`.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        # Slices of a memory map cost ten times as much as those of the plain array that it is.
        self._arrays = {name: array.view(np.ndarray) for name, array in arrays.items()}
        self._atoms, self._bonds = (np.concatenate([[0], self._arrays[name]]) for name in ENDS)

    @property
    def n_atoms(self) -> np.ndarray:
        """Number of atoms of each graph, shape (n,), int64."""
        return np.diff(self._atoms)

    @property
    def n_bonds(self) -> np.ndarray:
        """Number of bonds of each graph, shape (n,), int64."""
        return np.diff(self._bonds)

    def __len__(self) -> int:
        return len(self._atoms) - 1

    @overload
    def __getitem__(self, index: int) -> CrystalGraph: ...

    @overload
    def __getitem__(self, index: slice) -> list[CrystalGraph]: ...

    def __getitem__(self, index: int | slice) -> CrystalGraph | list[CrystalGraph]:
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(len(self)))]
        row = range(len(self))[index]
        atoms = slice(self._atoms[row], self._atoms[row + 1])
        bonds = slice(self._bonds[row], self._bonds[row + 1])
        return CrystalGraph(
            **{name: self._arrays[name][atoms] for name in ATOM_ARRAYS},
            **{name: self._arrays[name][bonds] for name in BOND_ARRAYS},
        )


def graphs_of(
    frame: pd.DataFrame,
    settings: GraphSettings,
    folder: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    processes: int = 1,
) -> Graphs:
    """Return the graphs of the crystals of a table, from a store where it has them, else built and stored.

    Jobs that share a store may run at the same time. A store that is damaged is built anew.

    :param frame: rows with `name`, `lattice`, `species` and `frac_coords` as in the schema *property*.
    :param folder: where stores of graphs lie, each in a folder named by a hash of crystals and settings; None to keep
        the graphs in memory.
    :param progress: called with the number of rows that were built, and of all; not where a store has them.
    :param processes: that build.
    :raises RefusedRowsError: where rows cannot become graphs, with all of them, and the graphs of the others.
    """
    place = None if folder is None else folder / _key(frame, settings)
    stored = None if place is None else _read(place)
    if stored is None:
        stored = _build(frame, settings, progress, processes)
        if place is not None:
            _write(place, stored)
            stored = _read(place) or stored
    return Graphs(stored)


def _key(frame: pd.DataFrame, settings: GraphSettings) -> str:
    """Return a hash of all that the graphs depend on."""
    parts = (str(VERSION), settings.model_dump_json(), content_hash(frame[list(COLUMNS)].reset_index(drop=True)))
    return hashlib.sha256('\n'.join(parts).encode()).hexdigest()[:32]


def _build(
    frame: pd.DataFrame, settings: GraphSettings, progress: Callable[[int, int], None] | None, processes: int
) -> Arrays:
    rows: list[Row] = list(zip(*(frame[name].tolist() for name in COLUMNS), strict=True))
    chunks = [rows[first : first + CHUNK] for first in range(0, max(len(rows), 1), CHUNK)]
    parts: list[Arrays] = []
    refused: dict[str, str] = {}
    done = 0
    for chunk, (arrays, reasons) in zip(chunks, _mapped(chunks, settings, processes), strict=True):
        parts.append(arrays)
        refused |= {str(frame['name'].iloc[done + row]): reason for row, reason in reasons.items()}
        done += len(chunk)
        if progress is not None:
            progress(done, len(rows))
    joined = _joined(parts)
    if refused:
        raise RefusedRowsError(refused, len(rows), Graphs(joined))
    return joined


def _mapped(
    chunks: list[list[Row]], settings: GraphSettings, processes: int
) -> Iterator[tuple[Arrays, dict[int, str]]]:
    """Yield the graphs of each chunk, and the reasons of rows without one."""
    build = partial(_build_chunk, settings=settings)
    if min(processes, len(chunks)) <= 1:
        yield from map(build, chunks)
        return
    context = multiprocessing.get_context('spawn')
    executor = ProcessPoolExecutor(min(processes, len(chunks)), mp_context=context)
    try:
        yield from executor.map(build, chunks)
    finally:
        executor.shutdown(cancel_futures=True)


def _build_chunk(rows: list[Row], settings: GraphSettings) -> tuple[Arrays, dict[int, str]]:
    graphs: list[CrystalGraph] = []
    reasons: dict[int, str] = {}
    for number, row in enumerate(rows):
        try:
            lattice, species, coords = (json.loads(text) for text in row)
            graphs.append(build_graph(lattice, _numbers(species), coords, settings))
        except (ValueError, TypeError) as error:
            reasons[number] = str(error)
    arrays: Arrays = {
        name: np.concatenate(
            [getattr(graph, name) for graph in graphs] or [np.empty((0, 3) if name == 'vectors' else 0, dtype)]
        )
        for name, dtype in (ATOM_ARRAYS | BOND_ARRAYS).items()
    }
    arrays['atom_ends'] = np.cumsum([len(graph.numbers) for graph in graphs], dtype=np.int64)
    arrays['bond_ends'] = np.cumsum([len(graph.source) for graph in graphs], dtype=np.int64)
    return arrays, reasons


def _numbers(symbols: list[str]) -> list[int]:
    try:
        return [_atomic_numbers()[symbol] for symbol in symbols]
    except KeyError as error:
        raise ValueError(f'there is no element {error.args[0]!r}') from None


@cache
def _atomic_numbers() -> dict[str, int]:
    from pymatgen.core import Element

    return {element.symbol: element.Z for element in Element}


def _joined(parts: list[Arrays]) -> Arrays:
    arrays = {name: np.concatenate([part[name] for part in parts]) for name in ATOM_ARRAYS | BOND_ARRAYS}
    for name in ENDS:
        # the last end of a part; none where all of its rows were refused
        before = np.cumsum([0] + [part[name][-1:].sum() for part in parts[:-1]])
        arrays[name] = np.concatenate([part[name] + first for part, first in zip(parts, before, strict=True)])
    return arrays


def _read(place: Path) -> Arrays | None:
    """Return the arrays of a store, memory-mapped; None where there is none, or a byte is not as written."""
    with suppress(OSError, ValueError, KeyError):
        digests = json.loads((place / INDEX_FILE).read_text())
        arrays = {}
        for name in (*ATOM_ARRAYS, *BOND_ARRAYS, *ENDS):
            path = place / f'{name}.npy'
            if _digest(path) != digests[name]:
                return None
            arrays[name] = np.load(path, mmap_mode='r', allow_pickle=False)
        return arrays
    return None


def _write(place: Path, arrays: Arrays) -> None:
    """Write a store; another process that writes the same one, or reads it, is not disturbed."""
    place.parent.mkdir(parents=True, exist_ok=True)
    _remove_old_drafts(place.parent)
    draft = Path(tempfile.mkdtemp(prefix=DRAFT, dir=place.parent))
    try:
        draft.chmod(place.parent.stat().st_mode & 0o2777)  # whoever may read the folder may read its stores
        digests = {}
        for name, array in arrays.items():
            np.save(draft / f'{name}.npy', array, allow_pickle=False)
            digests[name] = _digest(draft / f'{name}.npy')
        (draft / INDEX_FILE).write_text(json.dumps(digests))
        if place.exists() and _read(place) is None:
            damaged = draft.with_name(f'{draft.name}-damaged')
            with suppress(FileNotFoundError):
                place.rename(damaged)
            shutil.rmtree(damaged, ignore_errors=True)
        # Fails where another process was faster: its store is as good as this one.
        with suppress(OSError):
            draft.rename(place)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _remove_old_drafts(folder: Path) -> None:
    """Remove what jobs left that were killed while they wrote; a job that writes now takes no day to do it."""
    for path in folder.glob(f'{DRAFT}*'):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > DRAFT_SECONDS:
                shutil.rmtree(path, ignore_errors=True)


def _digest(path: Path) -> str:
    with path.open('rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()
