"""`CrystalGraph`: a crystal as atoms and directed bonds, in plain arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

__all__ = ('CrystalGraph',)


@dataclass(frozen=True)
class CrystalGraph:
    """A crystal as a graph. Bonds are sorted by the atom they lead to, then by the one they come from.

    The bond that runs back along another is always there, as often as that one; bonds that are there several times
    stand once, with their multiplicity, since their features never differ. A bond may join an atom to an image of its
    own. It then leads into the atom that it leaves; in the published models it is not its own successor in the line
    graph (`dgl.line_graph` leaves out the pair of a bond with itself, though not that of two copies of it), in `alignn`
    2026.8.11 without DGL it is. At 12 nearest neighbours 31 to 72 % of the crystals of four published datasets have
    such bonds.

    :param numbers: atomic numbers, shape (n_atoms,), int16.
    :param source: atom that each bond comes from, shape (n_bonds,), int32.
    :param target: atom that it leads to, shape (n_bonds,), int32, ascending.
    :param vectors: from the first to the second in Å, shape (n_bonds, 3), float32.
    :param multiplicity: how often each bond is there, shape (n_bonds,), uint8.
    :param reverse: number of the bond that runs back, shape (n_bonds,), int32.
    """

    numbers: np.ndarray
    source: np.ndarray
    target: np.ndarray
    vectors: np.ndarray
    multiplicity: np.ndarray
    reverse: np.ndarray
