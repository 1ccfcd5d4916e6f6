"""Known defects of datasets: rows that have one stay in, and are marked."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from aiida_embarrier.bands.geometry import MIN_CLEARANCE, OVERLAP
from aiida_embarrier.datasets.defect_checks import CLOSE_ION, PLAUSIBLE, check_row
from aiida_embarrier.datasets.schema import to_json

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ('DEFECTS', 'OF_PATHS', 'Defect', 'DefectReport', 'find_defects', 'with_flags')


@dataclass(frozen=True)
class Defect:
    """A known defect.

    :param title: what is wrong, in a line.
    :param repair: what a repair does; None where there is none.
    """

    title: str
    repair: str | None = None


#: The defects that are looked for, by the keys that stand in the column `flags`.
DEFECTS = {
    'coinciding_atoms': Defect(
        f'two atoms, or the ion on its path and an atom, are less than {OVERLAP} Å apart',
        'of atoms of one element in one place all but one are removed; the migrating ion stays',
    ),
    'close_ion': Defect(
        f'the ion comes within {CLOSE_ION} Å of an atom on its path, or within {MIN_CLEARANCE} Å at an end of it'
    ),
    'swapped_symmetry': Defect("crystal system and space group stand in each other's column", 'they are swapped back'),
    'symmetry_alias': Defect(
        'crystal system or space group in an unusual spelling or setting', 'the usual name is put in its place'
    ),
    'class_alias': Defect(
        'the structural class goes by another name in the merged groups', 'the name of the group is put in its place'
    ),
    'unknown_class': Defect('the structural class is none of the known ones'),
    'lattice_mismatch': Defect(
        'the lattices of the initial and the final state differ',
        'the final state gets the lattice of the initial one, at its own fractional coordinates',
    ),
    'unwrapped_hop': Defect(
        'the path as written is longer than the shortest way between its ends',
        'the straight line along the shortest way is put in its place',
    ),
    'unaligned_endpoints': Defect('the ends are not those of a single hop of the ion'),
    'implausible_barrier': Defect(f'the barrier is not between {PLAUSIBLE[0]:g} and {PLAUSIBLE[1]:g} eV'),
    'low_symmetry_endpoints': Defect(
        'the structure was relaxed around the ion at one end, so that the stored final state is approximate'
    ),
    'implausible_target': Defect('the number is not finite'),
}


#: Those that make the path or the barrier of a row doubtful; the others are of its labels, or of how it was computed.
OF_PATHS = (
    'implausible_barrier',
    'unaligned_endpoints',
    'coinciding_atoms',
    'close_ion',
    'lattice_mismatch',
    'unwrapped_hop',
)


@dataclass(frozen=True, eq=False)
class DefectReport:
    """The defects of a dataset.

    :param table: `name`, `defect` (its key), `detail`, `repairable`; one line for each defect of each row.
    """

    table: pd.DataFrame

    @property
    def counts(self) -> dict[str, int]:
        """Number of rows with each defect that is there, in the order of :data:`DEFECTS`."""
        counts = Counter(self.table['defect'])
        return {key: counts[key] for key in DEFECTS if key in counts}

    @property
    def flags(self) -> dict[str, list[str]]:
        """Keys of the defects by the names of the rows that have some."""
        found: dict[str, list[str]] = {}
        for name, key in zip(self.table['name'], self.table['defect'], strict=True):
            found.setdefault(name, []).append(key)
        return found


def find_defects(
    frame: pd.DataFrame, schema: str | None = None, progress: Callable[[str, int, int], None] | None = None
) -> DefectReport:
    """Return the known defects of a dataset; nothing is changed.

    :param schema: `barrier` or `property`; None for `barrier` where there is such a column.
    :param progress: called with what is being done, how many rows of it are done, and out of how many.
    """
    schema = schema or ('barrier' if 'barrier' in frame else 'property')
    found: list[dict[str, Any]] = []
    for number, row in enumerate(frame.to_dict('records')):
        found.extend({'name': row['name'], **finding._asdict()} for finding in check_row(row, schema))
        if progress is not None:
            progress('defects', number + 1, len(frame))
    columns = {'name': 'str', 'defect': 'str', 'detail': 'str', 'repairable': 'bool'}
    return DefectReport(pd.DataFrame(found, columns=list(columns)).astype(columns))


def with_flags(frame: pd.DataFrame, report: DefectReport) -> pd.DataFrame:
    """Return a dataset with the defects of a report in its column `flags`; without any the column is left out."""
    flags = report.flags
    rest = frame.drop(columns='flags', errors='ignore')
    if not flags:
        return rest
    return rest.assign(flags=pd.Series([to_json(flags[name]) if name in flags else None for name in rest['name']]))
