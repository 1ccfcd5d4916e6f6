"""Small pictures drawn with characters, for the terminal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ('draw_energy_path', 'draw_history')

BARS = '▁▂▃▄▅▆▇█'


def draw_energy_path(energies: Sequence[float], width: int = 60, height: int = 8) -> list[str]:
    """Return the lines of a picture of the energies of a band against the images.

    :param energies: one per image, in eV; at least two.
    :param width: columns from the first image to the last; fewer where that many images need fewer.
    :param height: lines from the lowest energy to the highest.
    """
    count = len(energies)
    spacing = max(min(width // (count - 1), 8), 1)
    columns = spacing * (count - 1) + 1
    low, high = min(energies), max(energies)
    scale = (height - 1) / (high - low) if high > low else 0.0
    grid = [[' '] * columns for _ in range(height)]

    def row_of(energy: float) -> int:
        return height - 1 - round((energy - low) * scale)

    for column in range(columns):
        image, offset = divmod(column, spacing)
        if offset:
            here, there = energies[image], energies[image + 1]
            grid[row_of(here + (there - here) * offset / spacing)][column] = '·'
        else:
            grid[row_of(energies[image])][column] = '●'
    # one label a line: where all energies are the same there is only one
    labels = {row_of(energy): f'{energy:8.3f} ┤ ' for energy in (0.0, low, high) if low <= energy <= high}
    lines = [labels.get(row, f'{"":8} │ ') + ''.join(cells).rstrip() for row, cells in enumerate(grid)]
    step = max(1, math.ceil(4 / spacing))
    numbers = [' '] * (columns + 3)
    for image in range(0, count, step):
        text = str(image)
        numbers[image * spacing : image * spacing + len(text)] = text
    return [f'{"eV":>8}', *lines, f'{"image":>8}   ' + ''.join(numbers).rstrip()]


def draw_history(values: Sequence[float], aim: float, width: int = 60) -> str:
    """Return a row of bars for positive values that have to fall below an aim, on a logarithmic scale.

    The lowest bar stands for the aim. Of more values than columns every so-manieth is drawn, the last always.
    """
    stride = math.ceil(len(values) / width)
    chosen = [max(value, aim) for value in list(values)[::-1][::stride][::-1]]
    span = math.log(max(chosen) / aim)
    if span == 0:
        return BARS[0] * len(chosen)
    return ''.join(BARS[math.ceil(math.log(value / aim) / span * (len(BARS) - 1))] for value in chosen)
