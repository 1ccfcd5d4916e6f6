"""What evaluated rows share with the training, for one split or several side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aiida_embarrier.datasets.leakage import CRITERIA
from aiida_embarrier.figures.style import COLOURS, new_figure

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ('leakage_shares',)


def leakage_shares(summaries: Mapping[str, pd.DataFrame], *, part: str = 'test', title: str | None = None) -> Figure:
    """Draw the share of evaluated rows that have something in common with the training, criterion by criterion.

    :param summaries: `summary` of a :class:`~aiida_embarrier.datasets.leakage.LeakageReport` for each split by its
        name, at most six.
    :param part: the part that is shown; splits without it are left out.
    :param title: None for one that says the part.
    :raises ValueError: where no split has the part, and for more than six splits.
    """
    shown = {name: table[table['part'] == part].set_index('criterion') for name, table in summaries.items()}
    shown = {name: table for name, table in shown.items() if len(table)}
    if not shown:
        raise ValueError(f'no split has the part {part!r} to show')
    if len(shown) > len(COLOURS):
        raise ValueError(f'{len(shown)} splits are too many for one figure: show at most {len(COLOURS)}')
    criteria = [key for key in CRITERIA if any(key in table.index for table in shown.values())]
    places = np.arange(len(criteria))
    height = 0.8 / len(shown)
    figure = new_figure(6.4, 1.2 + len(criteria) * (0.22 + 0.14 * len(shown)))
    axes = figure.subplots()
    for number, (name, table) in enumerate(shown.items()):
        shares = table['fraction'].reindex(criteria) * 100
        centres = places + (number - (len(shown) - 1) / 2) * height
        n_rows = int(table['n_rows'].iloc[0])
        axes.barh(centres, shares, 0.9 * height, color=COLOURS[number], label=f'{name} ({n_rows} rows)')
        for centre, share in zip(centres, shares, strict=True):
            if np.isfinite(share):
                axes.annotate(f'{share:.0f}', (share, centre), (3, 0), textcoords='offset points', va='center', size=7)
    axes.set_yticks(places, [key.replace('_', ' ') for key in criteria])
    axes.invert_yaxis()
    axes.set_xlim(0, 108)
    axes.set_xlabel(f'{part} rows that share it with the training (%)')
    axes.spines[['top', 'right']].set_visible(False)
    axes.legend(title='split', frameon=False, loc='upper left', bbox_to_anchor=(1.0, 1.0))
    axes.set_title(title or 'What leaks', loc='left')
    return figure
