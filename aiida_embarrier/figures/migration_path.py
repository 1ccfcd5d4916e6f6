"""A picture of the way that the ion takes through the crystal, seen along a low-index direction."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from ase.data import atomic_numbers, covalent_radii
from matplotlib import colormaps
from matplotlib.collections import LineCollection, PatchCollection
from matplotlib.colors import Normalize, to_hex, to_rgb
from matplotlib.lines import Line2D
from matplotlib.patches import Circle

from aiida_embarrier.figures.style import element_colour, heading, how_computed, new_figure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from aiida_embarrier.bands import Band

__all__ = ('migration_path', 'viewing_direction')

#: Atoms are drawn at this part of their covalent radius, so that atoms behind them can be seen.
_ATOM_SIZE = 0.5
#: Atoms of unlike elements closer than this times the sum of their covalent radii are joined by a line.
_BOND_TOLERANCE = 1.15
#: How far the atoms farthest behind the path fade into white.
_FADING = 0.65
#: A direction with more indices must show the path this much better: columns of atoms make clean pictures.
_SIMPLER_PREFERRED = 1.3
_ION_COLOUR = '#333333'
_OTHER_SITES_COLOUR = '#BBBBBB'
_ION_RADIUS = 0.3  # Å
#: Lattice vectors whose projection is shorter than this part of their length point at the reader, or away.
_SHORTEST_ARROW = 0.12
#: Arrows of lattice vectors with a smaller angle between them, in degrees, share one label.
_SHARED_LABEL = 25


@dataclass(frozen=True)
class _View:
    """An orthographic view: positions in Å become coordinates right, up, and towards the reader."""

    axes: np.ndarray

    def __call__(self, positions: np.ndarray) -> np.ndarray:
        return np.asarray(positions @ self.axes.T)


@dataclass(frozen=True)
class _Surroundings:
    """Atoms near the path that do not migrate, with their periodic images."""

    elements: list[str]
    positions: np.ndarray


def migration_path(
    band: Band,
    *,
    radius: float = 4.0,
    direction: Sequence[int] | None = None,
    title: str | None = None,
    width: float = 6.4,
) -> Figure:
    """Draw the images of the migrating ion as a line of circles among the atoms of the host around it.

    The host is that of the first image; atoms behind the path fade. The circles are coloured by the energy of their
    image relative to the first, where energies are known.

    :param band: the band; its migrating atoms must be named.
    :param radius: atoms up to this distance in Å from any image of the ion are drawn.
    :param direction: direction [u v w] in the basis of the lattice vectors along which the reader looks at the crystal;
        None for the one that shows the path best, see :func:`viewing_direction`.
    :param title: None for one made of what is known of the band.
    :param width: of the figure in inches; the height follows from the crystal.
    :raises ValueError: for a band that names no migrating atom, and for a direction without length.
    """
    path = _path(band)
    surroundings = _surroundings(band, radius)
    indices = tuple(direction) if direction is not None else viewing_direction(band, radius=radius)
    view = _view(band.lattice_of(0), indices, path)

    ions = view(path)
    atoms = view(surroundings.positions)
    points = np.concatenate([ions.reshape(-1, 3), atoms])[:, :2]
    low, high = points.min(axis=0) - 0.9, points.max(axis=0) + 0.9
    low[1] -= 1.6  # room for the axes and the scale bar
    span = high - low
    figure = new_figure(width, max(2.8, 0.82 * width * span[1] / span[0] + 1.1))
    axes = figure.add_subplot(aspect='equal')
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    axes.set_axis_off()

    handles = _draw_atoms(axes, surroundings.elements, atoms, band.mobile_ion)
    handles += _draw_ions(figure, axes, band, ions)
    figure.legend(handles=handles, loc='outside lower center', ncols=len(handles), frameon=False, fontsize=9)
    _draw_lattice_vectors(axes, view(band.lattice_of(0)), low + 0.3)
    _draw_scale_bar(axes, high[0] - 0.2, low[1] + 0.3)
    figure.suptitle(title if title is not None else _title(band, indices), fontsize=11)
    return figure


def viewing_direction(band: Band, *, radius: float = 4.0) -> tuple[int, int, int]:
    """Return the direction [u v w] with indices -1, 0, 1 that shows the path of the ion best.

    That is where the projected path is long and the ion keeps away from the host atoms in the projection: the product
    of the visible part of the path's length and the mean distance in projection to the nearest host atom is largest.
    Directions with fewer indices are preferred.

    :param band: the band; its migrating atoms must be named.
    :param radius: host atoms up to this distance in Å from the path count.
    """
    path = _path(band)
    host = _surroundings(band, radius).positions
    lattice = band.lattice_of(0)
    steps = np.diff(path, axis=1).reshape(-1, 3)
    total = np.linalg.norm(steps, axis=1).sum() or 1.0
    best: tuple[int, int, int] = (0, 0, 1)
    best_score = -1.0
    # Of a direction and its opposite one is enough.
    low_indices = [(u, v, w) for u in (0, 1) for v in (-1, 0, 1) for w in (-1, 0, 1) if (u, v, w) > (0, 0, 0)]
    for indices in sorted(low_indices, key=lambda uvw: (np.count_nonzero(uvw), -min(uvw))):
        axis = np.array(indices) @ lattice
        axis /= np.linalg.norm(axis)
        visible = np.linalg.norm(np.cross(steps, axis), axis=1).sum() / total
        apart = path.reshape(-1, 1, 3) - host
        clearance = np.linalg.norm(np.cross(apart, axis), axis=2).min(axis=1).mean() if len(host) else 1.0
        score = visible * clearance
        if score > best_score * _SIMPLER_PREFERRED:
            best, best_score = indices, score
    return best


def _path(band: Band) -> np.ndarray:
    """Return the positions of the migrating atoms, shape (n_mobile, n_images, 3)."""
    if not band.mobile:
        raise ValueError('the band names no migrating atom: set `mobile` to draw its path')
    return band.positions[:, list(band.mobile)].swapaxes(0, 1)


def _surroundings(band: Band, radius: float) -> _Surroundings:
    from pymatgen.core import Lattice

    lattice = Lattice(band.lattice_of(0))
    host = [index for index in range(band.n_atoms) if index not in band.mobile]
    fractional = band.fractional[0, host]
    found: dict[tuple[int, ...], np.ndarray] = {}
    for centre in _path(band).reshape(-1, 3):
        near = lattice.get_points_in_sphere(fractional, centre, radius, zip_results=False)
        for position, _, number, image in zip(*near, strict=True):
            found[(host[int(number)], *(int(shift) for shift in image))] = lattice.get_cartesian_coords(position)
    elements = band.elements
    return _Surroundings([elements[key[0]] for key in found], np.array(list(found.values())).reshape(-1, 3))


def _view(lattice: np.ndarray, indices: Sequence[int], path: np.ndarray) -> _View:
    """Return the view along a lattice direction that lays the hop from left to right."""
    towards = np.asarray(indices, dtype=float) @ lattice
    if np.linalg.norm(towards) < 1e-8:
        raise ValueError(f'the viewing direction {list(indices)} has no length')
    towards /= np.linalg.norm(towards)
    hop = path[0, -1] - path[0, 0]
    right = hop - (hop @ towards) * towards
    if np.linalg.norm(right) < 1e-3 * max(1.0, float(np.linalg.norm(hop))):
        # The hop points at the reader: any perpendicular will do.
        right = np.cross(np.eye(3)[np.argmin(np.abs(towards))], towards)
    right /= np.linalg.norm(right)
    return _View(np.array([right, np.cross(towards, right), towards]))


def _draw_atoms(axes: Axes, elements: list[str], atoms: np.ndarray, ion: str | None) -> list[Line2D]:
    """Draw bonds and atoms from back to front, and return what the legend says about them."""
    counts = Counter(element for element in elements if element != ion)
    palette = {element: element_colour(element) for element in sorted(counts, key=lambda name: (-counts[name], name))}
    if ion in elements:
        palette[str(ion)] = _OTHER_SITES_COLOUR
    radii = np.array([_radius(element) for element in elements])
    depth = atoms[:, 2]
    # 0 in front of the path and at its height, 1 for what lies farthest behind.
    behind = np.clip((np.median(depth) - depth) / max(float(np.ptp(depth)) / 2, 1e-9), 0, 1) if len(depth) else depth
    white = np.ones(3)
    fill = [
        np.array(to_rgb(palette[element])) * (1 - _FADING * far) + white * _FADING * far
        for element, far in zip(elements, behind, strict=True)
    ]
    segments, greys = [], []
    for first, second in itertools.combinations(range(len(elements)), 2):
        unlike = elements[first] != elements[second] and ion not in {elements[first], elements[second]}
        distance = np.linalg.norm(atoms[first] - atoms[second])
        if unlike and distance < _BOND_TOLERANCE * (radii[first] + radii[second]):
            segments.append(atoms[[first, second], :2])
            greys.append(str(0.45 + 0.4 * float(behind[[first, second]].mean())))
    axes.add_collection(LineCollection(segments, colors=greys, linewidths=1.6, zorder=1, capstyle='round'))
    order = np.argsort(depth)
    sizes = np.where(np.array(elements) == ion, _ION_RADIUS, _ATOM_SIZE * radii)
    axes.add_collection(
        PatchCollection(
            [Circle((x, y), size) for (x, y, _), size in zip(atoms[order], sizes[order], strict=True)],
            facecolors=[fill[index] for index in order],
            edgecolors=[str(0.2 + 0.5 * float(behind[index])) for index in order],
            linewidths=0.7,
            zorder=2,
        )
    )
    return [
        _marker(colour, f'{element}, other sites' if element == ion else element, _radius(element))
        for element, colour in palette.items()
    ]


def _draw_ions(figure: Figure, axes: Axes, band: Band, ions: np.ndarray) -> list[Line2D]:
    """Draw the images of every migrating ion, its ends numbered, and return what the legend says about them."""
    known = bool(np.isfinite(band.energies).all())
    relative = band.energies - band.energies[0]
    for track in ions:
        axes.plot(track[:, 0], track[:, 1], color=_ION_COLOUR, linewidth=1.5, zorder=3)
        circles = PatchCollection(
            [Circle((x, y), _ION_RADIUS) for x, y, _ in track],
            edgecolors='black',
            linewidths=[2.0 if image in {0, band.n_images - 1} else 0.9 for image in range(band.n_images)],
            zorder=4,
        )
        if known:
            circles.set(array=relative, cmap=colormaps['cividis'], norm=Normalize(relative.min(), relative.max()))
        else:
            circles.set_facecolor(_ION_COLOUR)
        axes.add_collection(circles)
        for image in (0, band.n_images - 1):
            dark = not known or relative[image] < relative.min() + 0.6 * np.ptp(relative)
            x, y, _ = track[image]
            letters = 'white' if dark else 'black'
            axes.text(x, y, str(image), color=letters, fontsize=7, ha='center', va='center_baseline', zorder=5)
    if known:
        bar = figure.colorbar(circles, ax=axes, shrink=0.7, aspect=20, pad=0.01)
        bar.set_label('energy relative to the first image (eV)', fontsize=9)
        bar.ax.tick_params(labelsize=8)
    names = {band.elements[index] for index in band.mobile}
    colour = to_hex(colormaps['cividis'](0.5)) if known else _ION_COLOUR
    return [_marker(colour, f'{" and ".join(sorted(names))}, images 0 to {band.n_images - 1}', 0.6, edge='black')]


def _draw_lattice_vectors(axes: Axes, vectors: np.ndarray, corner: np.ndarray) -> None:
    """Draw the directions of the lattice vectors; one towards the reader is a dot in a ring, one away a cross."""
    directions = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    origin = corner + 0.3 - np.minimum(directions[:, :2].min(axis=0), -0.1)
    labels: dict[str, np.ndarray] = {}
    for name, direction in zip('abc', directions, strict=True):
        flat = direction[:2]
        tip = origin + flat
        if np.linalg.norm(flat) < _SHORTEST_ARROW:
            axes.plot(*origin, 'o', markersize=9, markerfacecolor='white', markeredgecolor='black', zorder=6)
            axes.plot(*origin, '.' if direction[2] > 0 else 'x', markersize=5, color='black', zorder=7)
            # Away from the arrows, wherever these point.
            aside = -directions[:, :2].sum(axis=0)
            x, y = origin + 0.4 * aside / max(float(np.linalg.norm(aside)), 1e-9)
            _write_axis(axes, name, x, y)
        else:
            arrow = {'arrowstyle': '-|>', 'color': 'black', 'shrinkA': 0, 'shrinkB': 0}
            axes.annotate('', (tip[0], tip[1]), (origin[0], origin[1]), arrowprops=arrow)
            labels[name] = flat
    while labels:
        # The longest arrow carries the names of all that lie on or near it.
        longest = max(labels.values(), key=lambda flat: round(float(np.linalg.norm(flat)), 6))
        along = longest / np.linalg.norm(longest)
        near = np.cos(np.radians(_SHARED_LABEL))
        names = [name for name, flat in labels.items() if flat @ along >= near * np.linalg.norm(flat)]
        x, y = origin + longest + (0.25 + 0.12 * (len(names) - 1)) * along
        _write_axis(axes, ', '.join(names), x, y)
        labels = {name: flat for name, flat in labels.items() if name not in names}


def _write_axis(axes: Axes, name: str, x: float, y: float) -> None:
    axes.text(x, y, name, style='italic', weight='bold', ha='center', va='center', fontsize=10, zorder=6)


def _draw_scale_bar(axes: Axes, right: float, height: float, length: float = 2.0) -> None:
    """Draw a bar of a length in Å whose right end lies at `right`."""
    axes.plot([right - length, right], [height, height], color='black', linewidth=3, solid_capstyle='butt', zorder=5)
    axes.text(right - length / 2, height + 0.15, f'{length:g} Å', ha='center', va='bottom', fontsize=9)


def _title(band: Band, indices: Sequence[int]) -> str:
    along = ''.join(f'{abs(index)}' if index >= 0 else rf'$\overline{{{abs(index)}}}$' for index in indices)
    length = f', {band.hop_length:.2f} Å' if band.hop_length is not None else ''
    method = how_computed(band)
    return f'{heading(band)}{length}\nseen along [{along}] of the cell' + (f' · {method}' if method else '')


def _radius(element: str) -> float:
    return float(covalent_radii[atomic_numbers[element]])


def _marker(colour: str, label: str, radius: float, edge: str = '0.2') -> Line2D:
    size = 4 + 5 * radius
    return Line2D([], [], ls='', marker='o', markersize=size, markerfacecolor=colour, markeredgecolor=edge, label=label)
