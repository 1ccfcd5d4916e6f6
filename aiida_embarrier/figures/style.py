"""What all figures share: colours that colour-blind readers tell apart, letters, and how a figure becomes a file.

Figures are :class:`matplotlib.figure.Figure` objects, never made through pyplot, which keeps global state and may look
for a display: they can be drawn in a daemon, a notebook or a thread alike.
"""

from __future__ import annotations

import re
from colorsys import hls_to_rgb
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.data import atomic_numbers
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from aiida_embarrier.bands.vacancies import mechanism_name

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from aiida_embarrier.bands import Band

__all__ = ('COLOURS', 'FORMATS', 'chemical', 'element_colour', 'how_computed', 'new_figure', 'save')

#: Okabe and Ito's palette without black, grey and the yellow that is hard to see on white: blue, vermillion, green,
#: purple, orange, sky blue. https://jfly.uni-koeln.de/color/
COLOURS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#E69F00', '#56B4E9')

#: Suffixes that :func:`save` writes.
FORMATS = ('.png', '.svg', '.pdf')

#: Colours of elements, the same in every figure. Elements that often stand in one crystal are told apart by readers
#: with protanopia and deuteranopia too, and all are apart from the grey of the ion's other sites: the tests measure it.
_ELEMENT_COLOURS = {
    # anions
    'O': '#D55E00',
    'F': '#97DDA1',
    'S': '#F0E442',
    'Se': '#C9A227',
    'Cl': '#2E8B57',
    'Br': '#8C3B1B',
    'I': '#5B2A86',
    'N': '#2570DE',
    # what makes up the framework
    'P': '#D490CC',
    'Si': '#F4D3A1',
    'B': '#FFAE94',
    'Al': '#7EF9FE',
    'Ge': '#6A7F8C',
    'C': '#4D4D4D',
    'H': '#FFFFFF',
    'Zr': '#2F6F8F',
    'La': '#82FEC3',
    # transition and other metals
    'Fe': '#0072B2',
    'Mn': '#915882',
    'Co': '#0D1B60',
    'Ni': '#65B581',
    'V': '#7A1F3D',
    'Ti': '#5FA0F6',
    'Cr': '#00604A',
    'Cu': '#6B4A1F',
    'Zn': '#5E6AB8',
    'Mo': '#3B6E75',
    'Nb': '#4A5A2A',
    'Sn': '#C6398C',
    'W': '#7239C6',
    # ions that move in other crystals
    'Li': '#B8E35C',
    'Na': '#F2C200',
    'K': '#9C7BD9',
    'Mg': '#A8C545',
    'Ca': '#5F8FA5',
}

_DOTS_PER_INCH = 200


def new_figure(width: float, height: float, **options: Any) -> Figure:
    """Return an empty figure with constrained layout.

    :param width: in inches.
    :param height: in inches.
    :param options: passed on to :class:`matplotlib.figure.Figure`.
    """
    figure = Figure(figsize=(width, height), layout='constrained', facecolor='white', **options)
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write a figure as PNG, SVG or PDF, as the suffix of the path says; the text of SVG and PDF stays text.

    :return: the path.
    :raises ValueError: for another suffix.
    :raises OSError: where the folder is missing or cannot be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise ValueError(f'cannot write a figure as {path.name!r}: end the name in one of {", ".join(FORMATS)}')
    if not path.parent.is_dir():
        raise FileNotFoundError(f'cannot write {path}: there is no folder {path.parent}')
    # Without date and with a fixed salt for its ids the same figure gives the same bytes.
    metadata = {'.png': None, '.svg': {'Date': None}, '.pdf': {'CreationDate': None}}[suffix]
    try:
        with rc_context({'svg.fonttype': 'none', 'pdf.fonttype': 42, 'svg.hashsalt': 'aiida-embarrier'}):
            figure.savefig(path, dpi=_DOTS_PER_INCH, metadata=metadata)
    except OSError as error:
        raise OSError(f'cannot write {path}: {error.strerror}; choose another folder') from error
    return path


def colours() -> Iterator[str]:
    """Yield the colours of the palette, again and again."""
    while True:
        yield from COLOURS


def element_colour(symbol: str) -> str:
    """Return the colour in which an element is drawn in every figure.

    Elements without a colour chosen by hand get one from their atomic number: hues a golden section apart, so that
    neighbours in the periodic table differ.
    """
    if symbol in _ELEMENT_COLOURS:
        return _ELEMENT_COLOURS[symbol]
    number = atomic_numbers[symbol]
    return to_hex(hls_to_rgb(number * (np.sqrt(5) - 1) / 2 % 1, 0.3 + 0.1 * (number % 4), 0.55))


def chemical(formula: str) -> str:
    """Return a formula with its numbers as subscripts, in matplotlib's notation."""
    return re.sub(r'(\d+(?:\.\d+)?)', r'$_{\1}$', formula)


def how_computed(band: Band) -> str:
    """Return engine and functional, or engine and potential, of a band in words; empty where unknown."""
    info = band.info
    method = info.functional or info.potential
    # For the engine of potentials the name of the potential says it all.
    return method or '' if info.engine in {None, 'potential'} else ', '.join(filter(None, (info.engine, method)))


def heading(band: Band) -> str:
    """Return what a band is: host, ion, mechanism and charge, for a title."""
    info = band.info
    mechanism = None if info.mechanism == 'any' else mechanism_name(band)
    hop = ' '.join(filter(None, (band.mobile_ion, mechanism, 'hop')))
    charge = f', charge {info.charge:+g}' if info.charge else ''
    return f'{hop} in {chemical(info.host or band.formula)}{charge}'
