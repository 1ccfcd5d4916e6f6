"""The picture of the path through the crystal."""

import itertools

import numpy as np
import pytest
from matplotlib.collections import PatchCollection

from aiida_embarrier.bands import Band, BandInfo, Kind
from aiida_embarrier.figures.migration_path import migration_path, viewing_direction
from aiida_embarrier.figures.style import element_colour


def circle_centres(figure) -> list[np.ndarray]:
    """Return the centres of each collection of circles: atoms first, then the images of each ion."""
    collections = [entry for entry in figure.axes[0].collections if isinstance(entry, PatchCollection)]
    return [
        np.array([(path.vertices.max(axis=0) + path.vertices.min(axis=0)) / 2 for path in entry.get_paths()])
        for entry in collections
    ]


def legend(figure) -> list[str]:
    """Return the entries of the legend."""
    return [entry.get_text() for entry in figure.legends[0].get_texts()]


def test_images_lie_where_the_ion_goes(lifepo4):
    """Seen along c, the hop along b runs from left to right and bends along a."""
    _, ions = circle_centres(migration_path(lifepo4, direction=(0, 0, 1)))
    path = lifepo4.positions[:, lifepo4.mobile[0]]
    np.testing.assert_allclose(ions[:, 0] - ions[0, 0], np.abs(path[:, 1] - path[0, 1]), atol=1e-3)
    np.testing.assert_allclose(np.abs(ions[:, 1] - ions[0, 1]), np.abs(path[:, 0] - path[0, 0]), atol=1e-3)


def test_projected_distances_of_any_view_are_right(lifepo4):
    lattice = lifepo4.lattice_of(0)
    direction = (1, 1, 0)
    axis = np.array(direction) @ lattice
    axis /= np.linalg.norm(axis)
    path = lifepo4.positions[:, lifepo4.mobile[0]]
    _, ions = circle_centres(migration_path(lifepo4, direction=direction))
    for first, second in itertools.combinations(range(lifepo4.n_images), 2):
        wanted = np.linalg.norm(np.cross(path[first] - path[second], axis))
        assert np.linalg.norm(ions[first] - ions[second]) == pytest.approx(wanted, abs=1e-3)


def test_surroundings_are_the_atoms_within_the_radius(lifepo4):
    """Counted by brute force over periodic images."""
    radius = 2.5
    atoms, _ = circle_centres(migration_path(lifepo4, radius=radius))
    shifts = np.array(list(itertools.product((-1, 0, 1), repeat=3))) @ lifepo4.lattice_of(0)
    path = lifepo4.positions[:, lifepo4.mobile[0]]
    host = np.delete(lifepo4.positions[0], lifepo4.mobile[0], axis=0)
    copies = (host[:, None] + shifts).reshape(-1, 3)
    near = np.linalg.norm(copies[:, None] - path, axis=2).min(axis=1) <= radius
    assert len(atoms) == np.count_nonzero(near) > 0


def test_legend_names_elements_and_images(lifepo4):
    assert legend(migration_path(lifepo4)) == ['O', 'Fe', 'P', 'Li, other sites', 'Li, images 0 to 6']


def test_circles_are_coloured_by_energy(lifepo4):
    figure = migration_path(lifepo4)
    circles = figure.axes[0].collections[-1]
    np.testing.assert_allclose(circles.get_array(), lifepo4.energies - lifepo4.energies[0])
    assert figure.axes[1].get_ylabel() == 'energy relative to the first image (eV)'
    unknown = migration_path(lifepo4.replace(energies=None))
    assert len(unknown.axes) == 1, 'no scale of energies where none are known'


def test_title_tells_the_direction(lifepo4):
    title = migration_path(lifepo4, direction=(1, 0, -1)).get_suptitle()
    assert title == (
        'Li vacancy hop in LiFePO$_{4}$, 3.00 Å\nseen along [10$\\overline{1}$] of the cell · chgnet-0.3.0'
    ).replace('3.00', f'{lifepo4.hop_length:.2f}')
    assert migration_path(lifepo4, title='Mine').get_suptitle() == 'Mine'


def test_best_view_is_not_along_the_hop(lifepo4):
    direction = viewing_direction(lifepo4)
    axis = np.array(direction) @ lifepo4.lattice_of(0)
    hop = lifepo4.positions[-1, lifepo4.mobile[0]] - lifepo4.positions[0, lifepo4.mobile[0]]
    assert abs(axis @ hop) / np.linalg.norm(axis) / np.linalg.norm(hop) < 0.2


def test_view_along_the_hop_is_drawn_too(lifepo4):
    _, ions = circle_centres(migration_path(lifepo4, direction=(0, 1, 0)))
    np.testing.assert_allclose(ions[0], ions[-1], atol=1e-3)


def test_several_ions_in_a_skewed_cell():
    lattice = np.array([[4.0, 0, 0], [3.4, 2.2, 0], [3.4, 1.0, 2.1]])
    start = np.array([[0, 0, 0], [0.5, 0.5, 0.5], [0.25, 0.25, 0.25]]) @ lattice
    end = start + np.array([lattice[0], lattice[0], [0, 0, 0]])
    band = Band(
        kinds=(Kind('Na', 'Na'), Kind('Cl', 'Cl')),
        kind_indices=[0, 0, 1],
        lattice=lattice,
        positions=np.stack([start, (start + end) / 2, end]),
        mobile=(0, 1),
        info=BandInfo(mechanism='any'),
    )
    figure = migration_path(band)
    atoms, *ions = circle_centres(figure)
    assert [len(track) for track in ions] == [3, 3]
    assert len(atoms) > 1, 'periodic images are drawn'
    assert figure.get_suptitle().startswith('Na hop in Na$_{2}$Cl, 4.00 Å')


@pytest.mark.parametrize(
    ('direction', 'names'),
    [((1, -1, 0), ['a, b', 'c']), ((0, 0, 1), ['a', 'b', 'c']), ((1, 1, 1), ['a', 'b', 'c']), (None, ['a', 'b', 'c'])],
)
def test_names_of_axes_do_not_cover_each_other(lifepo4, direction, names):
    figure = migration_path(lifepo4, direction=direction)
    figure.draw_without_rendering()
    labels = [entry for entry in figure.axes[0].texts if set(entry.get_text()) <= set('abc, ') and entry.get_text()]
    assert sorted(entry.get_text() for entry in labels) == names
    for one, other in itertools.combinations(labels, 2):
        assert not one.get_window_extent().overlaps(other.get_window_extent())


def test_elements_have_the_same_colour_in_every_figure(lifepo4):
    """Oxygen is the most frequent element of one host and not of the other."""
    few = lifepo4.replace(
        kinds=tuple(Kind(kind.name, {'O': 'F', 'P': 'O'}.get(kind.element, kind.element)) for kind in lifepo4.kinds)
    )
    oxygen = [
        next(entry.get_markerfacecolor() for entry in figure.legends[0].legend_handles if entry.get_label() == 'O')
        for figure in (migration_path(lifepo4), migration_path(few))
    ]
    assert oxygen == [element_colour('O')] * 2


@pytest.mark.parametrize(
    ('changes', 'direction', 'message'),
    [({'mobile': ()}, None, 'names no migrating atom'), ({}, (0, 0, 0), r'direction \[0, 0, 0\] has no length')],
)
def test_what_cannot_be_drawn_is_refused(lifepo4, changes, direction, message):
    with pytest.raises(ValueError, match=message):
        migration_path(lifepo4.replace(**changes), direction=direction)


def test_atoms_in_front_are_drawn_last(lifepo4):
    figure = migration_path(lifepo4, direction=(0, 0, 1))
    atoms = figure.axes[0].collections[1]
    greys = np.asarray(atoms.get_edgecolor())[:, 0]
    assert np.all(np.diff(greys) <= 1e-9), 'from faded to full'
