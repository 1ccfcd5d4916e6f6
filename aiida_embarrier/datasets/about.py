"""What a dataset is about, in a few numbers and words."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from aiida_embarrier.datasets.schema import GROUPS, flags_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ('summary',)


def summary(frame: pd.DataFrame) -> dict[str, Any]:
    """Return what is counted in the rows of a dataset.

    :return: `ions` and `elements` (sorted symbols), `n_flagged`, `flags` (number of rows with each defect), `groups`
        (columns that label groups), `published_splits` (parts that rows are labelled with).
    """
    flags = [flags_of({'flags': value}) for value in frame['flags']] if 'flags' in frame else []
    counts = Counter(key for row in flags for key in set(row))
    ions = {str(ion) for ion in frame['ion']} if 'ion' in frame else set()
    elements = ions.union(*(json.loads(species) for species in frame['species'].unique()))
    splits = frame['published_split'].dropna().unique() if 'published_split' in frame else []
    return {
        'ions': sorted(ions),
        'elements': sorted(elements),
        'n_flagged': sum(bool(row) for row in flags),
        'flags': dict(sorted(counts.items())),
        'groups': [name for name in GROUPS if name in frame],
        'published_splits': sorted(map(str, splits)),
    }
