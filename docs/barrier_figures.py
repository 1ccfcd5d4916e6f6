"""Figures of the explanation of barriers, drawn by the code that they explain."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aiida_embarrier.bands import Band, BandInfo, Kind
from aiida_embarrier.bands.barriers import barriers
from aiida_embarrier.bands.profile import EnergyProfile
from aiida_embarrier.figures.energy_path import energy_path
from aiida_embarrier.figures.style import COLOURS, new_figure, save

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Two humps, a minimum between them that is below both ends, and ends of different energy.
TWO_HUMPS = np.array([0.10, 0.22, 0.30, 0.16, 0.00, 0.18, 0.38, 0.27, 0.16])


def draw_figures(folder: Path) -> None:
    """Write all figures of the explanation as SVG."""
    folder.mkdir(exist_ok=True)
    save(definitions(), folder / 'barrier_definitions.svg')
    save(energy_path(illustrative_band()), folder / 'energy_path.svg')


def illustrative_band() -> Band:
    """Return a band with energies made up for the explanation: one ion walks 4 Å through an empty cell."""
    n_images = len(TWO_HUMPS)
    positions = np.zeros((n_images, 1, 3))
    positions[:, 0, 0] = np.linspace(0, 4, n_images)
    return Band(
        kinds=(Kind('Li', 'Li'),),
        kind_indices=np.zeros(1),
        lattice=10 * np.eye(3),
        positions=positions,
        mobile=(0,),
        energies=TWO_HUMPS,
        info=BandInfo(mechanism='vacancy', host='an illustrative host', converged=True),
    )


def definitions() -> Figure:
    """Return the illustrative path with an arrow for every definition."""
    band = illustrative_band()
    found = barriers(band.energies)
    profile = EnergyProfile.from_band(band)
    grid = np.linspace(0, profile.coordinates[-1], 400)
    figure = new_figure(7.2, 4.0)
    axes = figure.add_subplot()
    axes.plot(grid, profile.energy(grid), color='0.6', linewidth=1.4)
    axes.plot(profile.coordinates, profile.energies, 'o', color='black', markersize=5)
    first, last = float(band.energies[0]), float(band.energies[-1])
    top, bottom = float(band.energies.max()), float(band.energies.min())
    axes.hlines([top, bottom], -1.0, 4.9, colors='0.75', linestyles=':', linewidth=1)
    low = profile.coordinates[found.rate_limiting_images[0]]
    arrows = (
        (0.0, first, top, f'forward\n{found.forward:.2f} eV', 'left'),
        (4.0, last, top, f'reverse\n{found.reverse:.2f} eV', 'left'),
        (float(low), bottom, top, f'rate-limiting\n{found.rate_limiting:.2f} eV', 'right'),
        (-0.85, bottom, top, f'span\n{found.span:.2f} eV', 'left'),
    )
    for (place, start, end, label, align), colour in zip(arrows, COLOURS, strict=False):
        _arrow(axes, (place, start, end), label, align, colour)
    axes.set(
        xlabel='reaction coordinate (Å)', ylabel='energy (eV)', xlim=(-1.1, 5.0), ylim=(-0.04, 0.43), xticks=range(5)
    )
    axes.spines[['top', 'right']].set_visible(False)
    return figure


def _arrow(axes: Axes, where: tuple[float, float, float], label: str, align: str, colour: str) -> None:
    place, start, end = where
    style = {'arrowstyle': '<|-|>', 'color': colour, 'shrinkA': 0, 'shrinkB': 0, 'linewidth': 1.3}
    axes.annotate('', (place, end), (place, start), arrowprops=style)
    axes.annotate(
        label,
        (place, start + 0.78 * (end - start)),
        xytext=(6 if align == 'left' else -6, 0),
        textcoords='offset points',
        color=colour,
        ha=align,
        va='center',
        fontsize=9,
    )
