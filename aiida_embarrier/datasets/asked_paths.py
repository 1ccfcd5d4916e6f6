"""Paths whose barriers are asked for: all hops of an ion in a crystal, the one between two crystals, or a dataset."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from aiida_embarrier.bands.alignment import LatticePolicy, SeveralMoveError, align_endpoints
from aiida_embarrier.bands.geometry import image_distance
from aiida_embarrier.datasets.assembling import path_row
from aiida_embarrier.structures.endpoints import make_endpoints
from aiida_embarrier.structures.hops import DEFAULT_SYMPREC, find_hops, select_hop
from aiida_embarrier.structures.supercells import DEFAULT_MIN_DISTANCE, finite_size_warning, supercell_matrix

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pymatgen.core import Structure

__all__ = ('MAX_HOPS', 'AskedPaths', 'asked_hops', 'asked_path', 'asked_rows')

#: Hops that are described, at most, unless more are asked for: a cell that lost its symmetry has thousands.
MAX_HOPS = 500
#: Atoms of a crystal whose hops are sought and of its supercell, at most.
MAX_ATOMS = 5000
#: Functionals that tell as much as none: most published barriers are theirs.
_PLAIN = {'LDA', 'GGA', 'PBE', 'PBESOL'}


@dataclass(frozen=True)
class AskedPaths:
    """Paths whose barriers are asked for.

    :param rows: of the schema `barrier`, without barriers.
    :param about: what is known of each path that was asked for, also of those without a row: `name`, `length` (Å),
        `n_atoms`, and of a hop its number, direction, multiplicity, clearance and ends.
    :param left_out: why paths have no row, by their names.
    :param warnings: what a reader of the barriers must know.
    """

    rows: pd.DataFrame
    about: list[dict[str, Any]]
    left_out: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def with_predictions(self, predictions: pd.DataFrame) -> pd.DataFrame:
        """Return what is known of the paths with their predictions beside it; gaps where there is none.

        :param predictions: with the column `name`.
        """
        known = pd.DataFrame(self.about).astype({'n_atoms': 'Int64'})
        return known.merge(predictions, on='name', how='left', validate='one_to_one')


def asked_hops(
    crystal: Structure,
    ion: str,
    *,
    mechanism: str = 'vacancy',
    numbers: Sequence[int] = (),
    max_length: float | None = None,
    supercell: int | Sequence[int] | Sequence[Sequence[int]] | np.ndarray | None = None,
    min_distance: float | None = None,
    symprec: float | None = None,
    functional: str | None = None,
    max_hops: int | None = None,
    progress: Callable[[int, int], Any] = lambda _done, _total: None,
) -> AskedPaths:
    """Return the symmetry-distinct hops of an ion in a crystal as straight paths in a supercell, not relaxed.

    :param crystal: the host, see :func:`~aiida_embarrier.structures.hops.find_hops`.
    :param ion: symbol of the migrating ion.
    :param mechanism: `vacancy` or `interstitial`.
    :param numbers: of the hops that are wanted; all unless given.
    :param max_length: longest hop in Å; None for what `find_hops` takes.
    :param supercell: see :func:`~aiida_embarrier.structures.endpoints.make_endpoints`.
    :param min_distance: smallest distance between periodic images of the ion in Å; None for 8 Å.
    :param symprec: how far sites may lie from where symmetry wants them, in Å; None for 0.01 Å.
    :param functional: density functional whose barriers are wanted, such as `GGA+U`; None where it does not matter.
    :param max_hops: where the crystal has more, none are told: it is a large cell or lost its symmetry; None for 500.
        It does not count where `numbers` are given.
    :param progress: called with how many hops were found and have their path already, and with their number.
    :raises ValueError: where there is no hop, where there are too many, for supercells of more than 5000 atoms, and as
        `find_hops` says.
    """
    distance = DEFAULT_MIN_DISTANCE if min_distance is None else min_distance
    _check_size(crystal, supercell, distance)
    hops = find_hops(
        crystal,
        ion,
        mechanism=mechanism,
        max_length=max_length,
        symprec=DEFAULT_SYMPREC if symprec is None else symprec,
        max_hops=None if numbers else max_hops or MAX_HOPS,
    )
    # where there is none, asking for the first says so
    chosen = [select_hop(hops, number) for number in numbers or range(max(1, len(hops)))]
    formula = crystal.composition.element_composition.reduced_formula
    rows, about, left_out = [], [], {}
    warnings: dict[str, None] = {}
    for done, hop in enumerate(chosen):
        progress(done, len(chosen))
        name = f'{formula} {ion} hop {hop.number}'
        known = hop.to_dict() | {'name': name, 'n_atoms': None}
        about.append({key: known[key] for key in _OF_HOP})
        try:
            ends = make_endpoints(crystal, hop, supercell, distance)
        except ValueError as error:
            left_out[name] = str(error)
            continue
        about[-1]['n_atoms'] = len(ends.initial)
        warnings |= dict.fromkeys(ends.warnings)
        rows.append(path_row(name, ends.band()))
    if not rows:
        raise ValueError(next(iter(left_out.values())))
    return AskedPaths(_frame(rows, functional), about, left_out, [*warnings, *_of_functional(functional)])


def _check_size(
    crystal: Structure, supercell: int | Sequence[int] | Sequence[Sequence[int]] | np.ndarray | None, distance: float
) -> None:
    """Refuse what would take minutes and gigabytes before anything is built.

    :raises ValueError: if so.
    """
    if len(crystal) > MAX_ATOMS:
        raise ValueError(
            f'the crystal has {len(crystal)} atoms, more than {MAX_ATOMS}: give its primitive cell, which is enlarged '
            'as far as periodic images of the ion need it'
        )
    if supercell is None:
        # no lattice with vectors that long is denser than the face-centred cubic one
        cells = distance**3 / math.sqrt(2) / crystal.volume
    else:
        cells = float(np.linalg.det(supercell_matrix(supercell)))
    if cells * len(crystal) > MAX_ATOMS:
        raise ValueError(
            f'the supercell would have {cells * len(crystal):.0f} atoms or more, and {MAX_ATOMS} are the most: take a '
            'smaller supercell (--supercell) or a smaller distance between periodic images (--min-distance)'
        )


#: What is told of a hop, in this order.
_OF_HOP = (
    *('name', 'number', 'ion', 'mechanism', 'length', 'direction', 'multiplicity', 'equivalent_ends', 'clearance'),
    *('n_atoms', 'initial', 'final'),
)


def asked_path(
    initial: Structure,
    final: Structure,
    ion: str | None = None,
    *,
    as_written: bool = False,
    lattice_policy: LatticePolicy = 'refuse',
    functional: str | None = None,
) -> AskedPaths:
    """Return the straight path of an ion between two crystals, whose atoms may come in another order.

    :param initial: initial state.
    :param final: final state.
    :param ion: symbol of the migrating ion; None for whichever moves.
    :param as_written: go to the periodic image that the coordinates say, not to the nearest one.
    :param lattice_policy: what to do where the lattices differ, see
        :func:`~aiida_embarrier.bands.alignment.align_endpoints`; both ends come into one lattice, so not `per_image`.
    :param functional: density functional whose barrier is wanted, such as `GGA+U`; None where it does not matter.
    :raises ValueError: for crystals that are not the ends of a hop of one ion.
    """
    try:
        band = align_endpoints(initial, final, ion=ion, keep_images=as_written, lattice_policy=lattice_policy)
    except SeveralMoveError as error:
        raise ValueError(
            f'{error.found}. Barriers are predicted for one moving ion: check that both ends belong to one hop, and '
            'give hops of several ions one by one'
        ) from error
    mover = band.elements[band.mobile[0]]
    name = f'{band.formula} {mover}'
    row = path_row(name, band)
    about = {'name': name, 'ion': mover, 'length': row['hop_length'], 'n_atoms': band.n_atoms}
    distance = image_distance(band.lattice_of(0))
    warning = finite_size_warning(distance, DEFAULT_MIN_DISTANCE, mover, 'take both ends in a larger supercell')
    warnings = [*([] if warning is None else [warning]), *_of_functional(functional)]
    return AskedPaths(_frame([row], functional), [about], {}, warnings)


def asked_rows(frame: pd.DataFrame) -> AskedPaths:
    """Return the paths of a dataset of barriers, whose barriers are not looked at.

    :param frame: of the schema `barrier`.
    """
    about = frame.reindex(columns=['name', 'ion', 'hop_length', 'n_atoms']).rename(columns={'hop_length': 'length'})
    n_known = int(frame['barrier'].notna().sum()) if 'barrier' in frame else 0
    warnings = [f'{n_known} of {len(frame)} paths have a known barrier: `evaluate` compares'] if n_known else []
    return AskedPaths(frame.drop(columns='barrier', errors='ignore'), about.to_dict('records'), {}, warnings)


def _of_functional(functional: str | None) -> list[str]:
    """Return a warning for a functional that no model tells from others."""
    known = None if functional is None else functional.upper()
    if known is None or known in _PLAIN or '+U' in known or 'SCAN' in known:
        return []
    return [
        f'the functional {functional!r} changes nothing: models of barriers tell apart only whether it has a +U, and '
        'whether it is SCAN'
    ]


def _frame(rows: list[dict[str, Any]], functional: str | None) -> pd.DataFrame:
    frame = pd.DataFrame(rows).drop(columns=['barrier', 'barrier_definition'])
    return frame if functional is None else frame.assign(functional=functional)
