"""Made-up migration paths with barriers, small enough to fit models to in a moment."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

    from aiida_embarrier.prediction.paths import MigrationPath

IONS = ('Li', 'Na', 'Mg')
#: One for each crystal, so that each is a family of its own.
METALS = (
    *('Ti', 'Mn', 'Fe', 'Co', 'Ni', 'V', 'Cr', 'Cu', 'Zn', 'Sc', 'Y', 'Zr', 'Nb', 'Mo', 'Ru', 'Rh', 'Pd', 'Ag', 'Cd'),
    *('La', 'Hf', 'Ta', 'W', 'Re', 'Os', 'Ir', 'Pt', 'Au', 'Sn', 'Pb'),
)


def path_rows(n: int = 20) -> pd.DataFrame:
    """Return paths in rock salts with a vacancy, 60 at most; two in each crystal, whose barriers grow with the hop.

    Barriers depend on the ion, so that a model that knows it beats the median.
    """
    rows = []
    for number in range(n):
        crystal = number // 2
        ion, metal = IONS[crystal % len(IONS)], METALS[crystal]
        constant = 4.2 + 0.05 * crystal
        hop = 0.5 + 0.1 * (number % 2)
        rows.append(
            {
                'name': f'{metal}O_{crystal}_{number % 2 + 1}',
                'formula': f'{ion}{metal}O2',
                'lattice': json.dumps((constant * np.eye(3)).tolist()),
                'species': json.dumps([metal, 'O', 'O']),
                'frac_coords': '[[0.5,0.5,0.5],[0.5,0,0.5],[0,0.5,0.5]]',
                'n_atoms': 4,
                'barrier': 0.2 + 0.4 * (crystal % len(IONS)) + 0.3 * (hop - 0.5) + 0.01 * crystal,
                'ion': ion,
                'path': json.dumps([[0.0, 0.0, 0.0], [hop / 2, 0.0, 0.0], [hop, 0.0, 0.0]]),
                'structural_class': 'LAYERED' if crystal % 2 else 'SPINEL',
            }
        )
    return pd.DataFrame(rows).astype({'n_atoms': 'Int64'})


def hops(paths: Sequence[MigrationPath], **_: Any) -> pd.DataFrame:
    """Describe paths by two numbers, as quickly as can be."""
    return pd.DataFrame(
        {'hop': [path.hop_length for path in paths], 'volume': [abs(np.linalg.det(path.lattice)) for path in paths]},
        index=[path.name for path in paths],
    )


def describe_with(monkeypatch: pytest.MonkeyPatch, function: Any) -> None:
    """Let jobs describe paths with a function."""
    monkeypatch.setattr('aiida_embarrier.worker.path_features.describe', function)
