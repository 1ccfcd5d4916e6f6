"""Barriers of a crystal in three lines of Python."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase import Atoms
from pymatgen.core import Structure

from aiida_embarrier.datasets.asked_paths import asked_hops, asked_path
from aiida_embarrier.jobs.barriers_here import answer, barrier_files
from aiida_embarrier.jobs.prediction import BarrierHardware
from aiida_embarrier.structures.reading import read_structure, structure_of_atoms

if TYPE_CHECKING:
    import pandas as pd

    from aiida_embarrier.datasets.asked_paths import AskedPaths

__all__ = ('predict_hops', 'predict_path')


def predict_hops(
    crystal: Structure | Atoms | str | Path,
    ion: str,
    *,
    model: str | Path = 'released',
    hardware: BarrierHardware | None = None,
    **which: Any,
) -> pd.DataFrame:
    """Return the symmetry-distinct hops of an ion in a crystal with predicted barriers.

    The potential, if the model reads energies of one, runs in processes of its own: a script needs no main guard.

    :param crystal: a structure of pymatgen or ASE, or a file with one.
    :param ion: symbol of the migrating ion.
    :param model: `released`, `released-potential`, or the folder of a model.
    :param hardware: that is used; all of this machine unless given.
    :param which: further arguments of :func:`~aiida_embarrier.datasets.asked_paths.asked_hops`, such as `max_length`.
    :returns: a row per hop; see :func:`~aiida_embarrier.jobs.barriers_here.answer`. What a reader must know stands in
        `attrs['warnings']`.
    :raises ValueError: where there is no hop, no model or no prediction; the message says why.
    :raises TypeError: for what is no crystal.
    """
    return _answer(asked_hops(_structure(crystal), ion, **which), model, hardware)


def predict_path(
    initial: Structure | Atoms | str | Path,
    final: Structure | Atoms | str | Path,
    ion: str | None = None,
    *,
    model: str | Path = 'released',
    hardware: BarrierHardware | None = None,
    **how: Any,
) -> pd.Series:
    """Return the path of an ion between two crystals with its predicted barrier.

    :param initial: initial state, as there.
    :param final: final state.
    :param ion: symbol of the migrating ion; None for whichever moves.
    :param model: `released`, `released-potential`, or the folder of a model.
    :param hardware: that is used; all of this machine unless given.
    :param how: further arguments of :func:`~aiida_embarrier.datasets.asked_paths.asked_path`.
    :returns: as a row of :func:`predict_hops`.
    :raises ValueError: for crystals that are not the ends of a hop, and where there is no model or no prediction.
    """
    table = _answer(asked_path(_structure(initial), _structure(final), ion, **how), model, hardware)
    only = table.iloc[0]
    only.attrs = table.attrs
    return only


def _structure(given: Structure | Atoms | str | Path) -> Structure:
    if isinstance(given, str | Path):
        return read_structure(given)
    if isinstance(given, Atoms):
        return structure_of_atoms(given)
    if isinstance(given, Structure):
        return given
    raise TypeError(
        f'a {type(given).__name__} is no crystal: give a Structure of pymatgen, Atoms of ASE, or the path of a file'
    )


def _answer(asked: AskedPaths, model: str | Path, hardware: BarrierHardware | None) -> pd.DataFrame:
    table, warnings = answer(asked, *barrier_files(model), hardware or BarrierHardware())
    table.attrs['warnings'] = warnings
    return table
