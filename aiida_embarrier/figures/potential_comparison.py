"""One path by several potentials: energy paths over each other, and their barriers side by side."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from aiida_embarrier.bands.profile import EnergyProfile
from aiida_embarrier.figures.energy_path import draw_energies
from aiida_embarrier.figures.style import COLOURS, colours, heading, new_figure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from aiida_embarrier.bands import Band

__all__ = ('potential_comparison',)

_PROBLEM = COLOURS[1]
#: Height of the bar of one potential in inches, and of the rest of the figure.
_BAR, _REST = 0.45, 1.2
#: Characters of a reason for failure that fit beside a bar.
_REASON = 44
#: Behind words, so that the line of the reference does not cross them.
_PLATE = {'facecolor': 'white', 'edgecolor': 'none', 'pad': 0.5}


def potential_comparison(
    table: Mapping[str, Any], bands: Mapping[str, Band], *, title: str | None = None, width: float = 9.6
) -> Figure:
    """Draw the energy paths of several potentials over each other, and their barriers as bars beside them.

    Bands that did not converge have hollow points, a dashed line and a hatched bar. A reference is a line through the
    bars. A potential that failed has no bar but says so.

    :param table: as :func:`aiida_embarrier.calculations.studies.tabulate_potentials` makes it.
    :param bands: the bands by the labels of the table.
    :param title: None for one made of what is known of the bands.
    :param width: of the figure in inches.
    :raises ValueError: where there is no band to draw.
    """
    rows = table['rows']
    if not bands:
        raise ValueError('there is no band to draw: all potentials failed')
    figure = new_figure(width, max(4.0, _REST + _BAR * len(rows)))
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
    palette = dict(zip((row['label'] for row in rows), islice(colours(), len(rows)), strict=True))
    left.axhline(0, color='0.85', linewidth=0.8, zorder=0)
    for row in rows:
        if row['label'] in bands:
            profile = EnergyProfile.from_band(bands[row['label']])
            draw_energies(left, profile, colour=palette[row['label']], hollow=row['status'] == 'not converged')
    left.set(xlabel='reaction coordinate (Å)', ylabel='energy relative to the first image (eV)')
    left.spines[['top', 'right']].set_visible(False)
    _draw_bars(right, table, palette)
    first = next(iter(bands.values()))
    how = 'single points on one path' if table['single_point'] else 'each relaxed by itself'
    figure.suptitle(title if title is not None else f'{heading(first)}, {how}', fontsize=11)
    return figure


def _draw_bars(axes: Axes, table: Mapping[str, Any], palette: Mapping[str, str]) -> None:
    rows, quantity, reference = table['rows'], table['quantity'], table['reference']
    for place, row in enumerate(rows):
        value = row.get(quantity)
        if value is None:
            reason = row['message'] if len(row['message']) <= _REASON else f'{row["message"][: _REASON - 1]}…'
            axes.annotate(
                f'failed: {reason}',
                (0, place),
                xytext=(4, 0),
                textcoords='offset points',
                va='center',
                fontsize=8,
                color=_PROBLEM,
                bbox=_PLATE,
                zorder=5,
            )
            continue
        unconverged = row['status'] == 'not converged'
        axes.barh(
            place,
            value,
            height=0.6,
            color='white' if unconverged else palette[row['label']],
            edgecolor=palette[row['label']],
            hatch='///' if unconverged else None,
        )
        axes.annotate(
            f'{value:.3f}' + (', not converged' if unconverged else ''),
            (value, place),
            xytext=(4, 0),
            textcoords='offset points',
            va='center',
            fontsize=9,
            bbox=_PLATE,
            zorder=5,
        )
    if reference is not None:
        axes.axvline(reference['barrier'], color='0.2', linestyle='--', linewidth=1.2)
        axes.annotate(
            f'{reference["label"]} {reference["barrier"]:.3f}',
            (reference['barrier'], 1),
            xycoords=axes.get_xaxis_transform(),
            xytext=(0, 3),
            textcoords='offset points',
            ha='center',
            fontsize=9,
        )
    values = [row[quantity] for row in rows if row.get(quantity) is not None]
    axes.set_xlim(0, 1.3 * max([*values, *([] if reference is None else [reference['barrier']])]) or 1)
    axes.set_yticks(range(len(rows)), [row['name'] for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel(f'{quantity.replace("_", "-")} barrier (eV)')
    axes.spines[['top', 'right']].set_visible(False)
