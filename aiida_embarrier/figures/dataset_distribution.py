"""How the values of a dataset are spread: as a histogram, by a label, and against the length of the hop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aiida_embarrier.figures.style import COLOURS, element_colour, new_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from aiida_embarrier.datasets.statistics import Statistics

__all__ = ('axis_label', 'hop_lengths', 'value_histogram', 'values_by_ion')

#: Of the values this share is drawn at least; an axis that reached the last outlier would squeeze all others.
_SHOWN = 0.99

#: Most rows whose points are drawn one by one.
_MOST_POINTS = 5000

#: Colours of low, intermediate and high barriers.
_RANGE_COLOURS = (COLOURS[0], COLOURS[4], COLOURS[1])

#: Most ions with a colour of their own.
_MOST_IONS = 6


def axis_label(statistics: Statistics) -> str:
    """Return what the values are, with their unit."""
    return statistics.name if statistics.unit is None else f'{statistics.name} ({statistics.unit})'


def value_histogram(frame: pd.DataFrame, statistics: Statistics) -> Figure:
    """Draw the histogram of the values; of barriers the low, intermediate and high ones in colours of their own.

    :param frame: the rows that were summarised.
    :param statistics: of these rows.
    """
    table = statistics.tables['histogram']
    values = frame[statistics.quantity].to_numpy(dtype=float)
    edges = np.append(table['low'], table['high'].iloc[-1])
    # a millionth of a bin: edges are rounded, and low <= x < high holds for the rounded ones
    slack = 1e-6 * (edges[1] - edges[0])
    figure = new_figure(7.2, 3.8)
    axes = figure.add_subplot()
    bottom = np.zeros(len(table))
    for label, chosen, colour in _parts(values, statistics):
        places = np.searchsorted(edges, values[chosen] + slack, side='right') - 1
        counts = np.bincount(places, minlength=len(table))
        axes.bar(
            table['low'] + 0.025 * np.diff(edges),
            counts,
            width=0.95 * np.diff(edges),
            bottom=bottom,
            align='edge',
            color=colour,
            linewidth=0,
            label=label,
        )
        bottom += counts
    low, high = _limits(values)
    # the first edge may lie above the lowest value: edges are rounded
    low = edges[edges <= low].max(initial=edges[0])
    high = edges[edges >= high].min(initial=edges[-1])
    axes.set_xlim(low, high)
    axes.set_ylim(0, 1.06 * bottom.max())
    beyond = values[(values > high + slack) | (values < low - slack)]
    notes = [
        f'median {statistics.numbers["median"]:.3g} (dashed), mean {statistics.numbers["mean"]:.3g} '
        f'{statistics.unit or ""}'
    ]
    if len(beyond):
        farthest = beyond[np.abs(beyond - statistics.numbers['median']).argmax()]
        notes.append(f'{_rows(len(beyond))} beyond the axis, the farthest at {farthest:.3g}')
    axes.set_title('; '.join(note.strip() for note in notes), fontsize=9)
    axes.axvline(statistics.numbers['median'], color='0.35', linewidth=1.1, linestyle='--')
    axes.set_xlabel(axis_label(statistics))
    axes.set_ylabel(f'rows per {table["high"].iloc[0] - table["low"].iloc[0]:g} {statistics.unit or ""}'.rstrip())
    if 'ranges' in statistics.tables:
        axes.legend(frameon=False, loc='upper right')
    _tidy(axes)
    return figure


def _parts(values: np.ndarray, statistics: Statistics) -> list[tuple[str, np.ndarray, str]]:
    """Return labels, masks and colours of the parts of the bars."""
    if statistics.ranges is None:
        return [('', ~np.isnan(values), COLOURS[0])]
    table = statistics.tables['ranges']
    low, high = statistics.ranges
    masks = (values < low, (values >= low) & (values <= high), values > high)
    labels = [
        f'{label}: {_rows(n)}, {fraction:.1%}'
        for label, n, fraction in zip(table['range'], table['n'], table['fraction'], strict=True)
    ]
    return list(zip(labels, masks, _RANGE_COLOURS, strict=True))


def values_by_ion(frame: pd.DataFrame, statistics: Statistics) -> Figure:
    """Draw every barrier by its ion: points, and boxes from quartile to quartile with the median."""
    table = statistics.tables['by_ion'].dropna(subset='ion')
    figure = new_figure(7.2, 0.42 * len(table) + 1.0)
    axes = figure.add_subplot()
    every = frame[statistics.quantity].to_numpy(dtype=float)
    _, high = _limits(every)
    random = np.random.default_rng(0)
    for place, (ion, n) in enumerate(zip(table['ion'], table['n'], strict=True)):
        values = every[(frame['ion'] == ion).to_numpy()]
        if n <= _MOST_POINTS:
            offsets = place + random.uniform(-0.26, 0.26, n)
            inside = values <= high
            axes.plot(
                values[inside],
                offsets[inside],
                'o',
                color=element_colour(ion),
                alpha=0.7,
                markersize=3.6,
                mec='0.3',
                mew=0.3,
            )
            if not inside.all():
                axes.plot(
                    np.full((~inside).sum(), high),
                    offsets[~inside],
                    '>',
                    color=element_colour(ion),
                    markersize=5,
                    clip_on=False,
                    markeredgecolor='0.3',
                    markeredgewidth=0.4,
                )
        axes.boxplot(
            values,
            positions=[place],
            orientation='horizontal',
            widths=0.62,
            showfliers=False,
            manage_ticks=False,
            boxprops={'color': '0.35'},
            whiskerprops={'color': '0.35'},
            capprops={'color': '0.35'},
            medianprops={'color': COLOURS[1], 'linewidth': 2.0},
        )
    axes.set_yticks(range(len(table)), [f'{ion} ({n})' for ion, n in zip(table['ion'], table['n'], strict=True)])
    axes.set_ylim(len(table) - 0.5, -0.5)
    axes.set_xlim(0, high)
    axes.set_xlabel('; '.join([axis_label(statistics), *_beyond(every, high)]))
    _tidy(axes)
    return figure


def hop_lengths(frame: pd.DataFrame, statistics: Statistics) -> Figure:
    """Draw barriers against the lengths of hops, with the medians of the bins."""
    known = frame[['ion', 'hop_length', 'barrier']].dropna(subset=['hop_length', 'barrier'])
    _, high = _limits(known['barrier'].to_numpy(dtype=float))
    figure = new_figure(7.2, 4.2)
    axes = figure.add_subplot()
    ions = list(statistics.tables['by_ion']['ion'].dropna())
    named = ions[:_MOST_IONS]
    for ion, shape in zip([*named, None], 'osD^vPX', strict=False):
        chosen = known[known['ion'] == ion] if ion is not None else known[~known['ion'].isin(named)]
        if len(chosen):
            axes.plot(
                chosen['hop_length'],
                np.minimum(chosen['barrier'].astype(float), high),
                shape,
                color=element_colour(ion) if ion is not None else '0.6',
                markersize=4.2,
                alpha=0.75,
                markeredgecolor='0.3',
                markeredgewidth=0.3,
                label=ion or 'others',
                clip_on=False,
            )
    table = statistics.tables['hop_lengths']
    for number, row in enumerate(table.itertuples()):
        label = 'median of a bin' if number == 0 else ''
        axes.hlines(row.median, row.low, row.high, color=COLOURS[1], linewidth=2.2, label=label, zorder=5)
    axes.set_xlim(table['low'].iloc[0], table['high'].iloc[-1])
    axes.set_ylim(0, high)
    axes.set_xlabel('length of the hop (Å)')
    axes.set_ylabel(axis_label(statistics))
    notes = [f'{len(known)} rows']
    if 'hop_length_spearman' in statistics.numbers:
        notes.append(f'rank correlation (Spearman) {statistics.numbers["hop_length_spearman"]:.2f}')
    axes.set_title('; '.join([*notes, *_beyond(known['barrier'].to_numpy(dtype=float), high)]), fontsize=10)
    figure.legend(*axes.get_legend_handles_labels(), loc='outside right upper', frameon=False)
    _tidy(axes)
    return figure


def _limits(values: np.ndarray) -> tuple[float, float]:
    """Return the extremes, or what most values lie between where a few lie far beyond."""
    known = values[~np.isnan(values)]
    low, high = (float(value) for value in np.quantile(known, (1 - _SHOWN, _SHOWN)))
    spread = (high - low) or 1.0
    return (
        float(known.min()) if known.min() > low - 0.25 * spread else low,
        float(known.max()) + 0.02 * spread if known.max() < high + 0.25 * spread else high,
    )


def _beyond(values: np.ndarray, high: float) -> list[str]:
    """Say how many values are drawn at the edge of the axis, if any."""
    n = int((values > high).sum())
    return [f'{_rows(n)} above {high:.3g} at the edge'] if n else []


def _rows(n: int) -> str:
    return f'{n} row' if n == 1 else f'{n} rows'


def _tidy(axes: Axes) -> None:
    axes.spines[['top', 'right']].set_visible(False)
