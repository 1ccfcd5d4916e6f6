"""Barriers against settings, with the tolerance around the finest one, and what each setting costs."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from aiida_embarrier.figures.style import COLOURS, new_figure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ('convergence_study',)

_BARRIER, _PROBLEM, _RECOMMENDED = COLOURS[0], COLOURS[1], COLOURS[2]
_COST = '0.80'
#: Names of protocol keys that readers know by other words.
_NAMES = {
    'n_images': 'number of images',
    'supercell': 'supercell',
    'min_image_distance': 'distance between images of the ion (Å)',
    'force_threshold': 'force threshold (eV/Å)',
}
#: Characters of a message that fit below a panel, for each inch of its width.
_CHARACTERS_PER_INCH = 13
_PANELS_IN_A_ROW = 3
#: The highest bar of a cost reaches so far up, as a part of the panel.
_BARS = 0.45


def convergence_study(table: Mapping[str, Any], *, title: str | None = None, width: float = 4.2) -> Figure:
    """Draw one panel for each variable: barriers from the coarsest to the finest setting, before bars of their cost.

    The band is the tolerance around the finest setting; the recommended setting is ringed. Settings whose band did not
    converge have hollow points, those that failed a cross at the bottom.

    :param table: as :func:`aiida_embarrier.calculations.studies.tabulate_settings` makes it.
    :param title: None for none.
    :param width: of a panel in inches.
    :raises ValueError: for a table without variables.
    """
    variables = table['variables']
    if not variables:
        raise ValueError('there is no variable to draw')
    columns = min(len(variables), _PANELS_IN_A_ROW)
    lines = -(-len(variables) // columns)
    figure = new_figure(width * columns, 3.9 * lines)
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes, variable in zip(panels, variables, strict=False):
        _draw_panel(axes, variable, table['quantity'], table['tolerance'], round(_CHARACTERS_PER_INCH * width))
        axes.set_ylabel(f'{table["quantity"].replace("_", "-")} barrier (eV)')
    for axes in panels[len(variables) :]:
        axes.set_visible(False)
    if title is not None:
        figure.suptitle(title, fontsize=11)
    return figure


def _draw_panel(axes: Axes, variable: Mapping[str, Any], quantity: str, tolerance: float, characters: int) -> None:
    rows = variable['rows']
    costs = axes.twinx()
    # the bars go behind the barriers
    axes.set_zorder(costs.get_zorder() + 1)
    axes.patch.set_visible(False)
    known = [place for place, row in enumerate(rows) if row.get('cost') is not None]
    costs.bar(known, [rows[place]['cost'] for place in known], width=0.5, color=_COST, label='cost')
    costs.set_ylabel(_cost_text(rows), color='0.4')
    costs.tick_params(axis='y', colors='0.4')
    costs.set_ylim(0, max((rows[place]['cost'] for place in known), default=1) / _BARS)
    with_barrier = [place for place, row in enumerate(rows) if row.get(quantity) is not None]
    axes.plot(with_barrier, [rows[place][quantity] for place in with_barrier], color=_BARRIER, linewidth=1.4)
    for place in with_barrier:
        good = rows[place]['status'] == 'converged'
        axes.plot(place, rows[place][quantity], 'o', color=_BARRIER, markerfacecolor=_BARRIER if good else 'white')
        if variable['recommended'] is not None and rows[place]['value'] == variable['recommended']:
            axes.plot(
                place, rows[place][quantity], 'o', markersize=13, markerfacecolor='none', color=_RECOMMENDED, mew=2
            )
    axes.margins(y=0.15)  # words stand above points and below crosses
    if rows[-1]['status'] == 'converged':
        finest = rows[-1][quantity]
        axes.axhspan(finest - tolerance, finest + tolerance, color=_BARRIER, alpha=0.15, linewidth=0)
        low, high = axes.get_ylim()
        axes.set_ylim(min(low, finest - 2 * tolerance), max(high, finest + 2 * tolerance))
    axes.set_xlim(-0.6, len(rows) - 0.4)
    for place, row in enumerate(rows):
        if row.get(quantity) is None:
            axes.plot(place, 0.04, 'x', color=_PROBLEM, markersize=9, mew=2, transform=axes.get_xaxis_transform())
            axes.annotate(
                'failed',
                (place, 0.09),
                xycoords=axes.get_xaxis_transform(),
                ha='center',
                color=_PROBLEM,
                fontsize=9,
            )
        elif row['status'] != 'converged':
            axes.annotate(
                'not converged',
                (place, row[quantity]),
                xytext=(0, 9),
                textcoords='offset points',
                ha='center',
                color=_PROBLEM,
                fontsize=9,
            )
    axes.set_xticks(range(len(rows)), [row['text'] for row in rows])
    *group, name = variable['key'].split('.')
    level = f'\n{".".join(group)}' if group and name in _NAMES else ''
    axes.set_xlabel(f'{_NAMES.get(name, variable["key"])}{level}')
    axes.spines['top'].set_visible(False)
    costs.spines['top'].set_visible(False)
    axes.set_title('\n'.join(textwrap.wrap(variable['message'], characters)), fontsize=8, loc='left', color='0.25')


def _cost_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return what the cost is: evaluations, times atoms; in one cell the number of atoms is the same for all."""
    atoms = {row['n_atoms'] for row in rows if 'n_atoms' in row}
    return 'cost (evaluations × atoms)' if len(atoms) != 1 else f'cost (evaluations × {atoms.pop()} atoms)'
