"""The numbers that models of barriers learn from: of geometry and composition, and of a potential, if any."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from aiida_embarrier.bands.geometry import minimum_image
from aiida_embarrier.jobs.prediction import FeatureSettings
from aiida_embarrier.prediction.descriptors import describe_geometry
from aiida_embarrier.prediction.energetics import FRACTIONS, energetics
from aiida_embarrier.prediction.neb_barriers import neb_numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from aiida_embarrier.potentials.evaluator import Evaluator
    from aiida_embarrier.potentials.task import OptimisationTask
    from aiida_embarrier.prediction.energetics import Energetics
    from aiida_embarrier.prediction.paths import MigrationPath

__all__ = ('STEPS', 'describe', 'settings_for')

#: How the names of numbers begin that a potential is needed for.
OF_POTENTIAL = ('potential_', 'site_', 'embedding_')
#: Steps of relaxation that a larger budget does not exceed: a path then takes 20 evaluations at most.
STEPS = 3
#: Length in Å over which the weight of atoms around the ion falls off where their mean is told.
RANGE_OF_SURROUNDINGS = 0.5
#: Energies beyond this, in eV, are those of overlapping atoms and tell no more than that.
LARGEST_ENERGY = 10.0


def describe(
    paths: Sequence[MigrationPath],
    *,
    evaluator: Evaluator | None = None,
    settings: FeatureSettings | None = None,
    on_step: Callable[[OptimisationTask], Any] = lambda _: None,
) -> pd.DataFrame:
    """Return the numbers of paths, one row each in their order, NaN where one is not known.

    :param evaluator: of the potential; None for geometry and composition alone.
    :param settings: for the budget of evaluations of each path; at least five, of images that do not relax. Elastic
        bands are of its potential.
    :param on_step: called after each step of an elastic band; what it raises ends the whole.
    :raises ValueError: for a path that cannot be described.
    """
    settings = settings or FeatureSettings()
    rows = []
    for path in paths:
        found = describe_geometry(path)
        if evaluator is not None:
            n_steps = max(0, min(STEPS, settings.budget // len(FRACTIONS) - 1))
            energies = energetics(path, evaluator, n_steps)
            found |= {**_of_potential(energies), **_of_sites(path, energies)}
            if settings.neb is not None and settings.potential is not None:
                found |= neb_numbers(path, evaluator, settings.potential, settings.neb, on_step)
        rows.append(found)
    return pd.DataFrame(rows, index=[path.name for path in paths])


def settings_for(columns: Iterable[str], settings: FeatureSettings | None) -> FeatureSettings | None:
    """Return with which settings some of the numbers are made: without a potential that none of them needs."""
    if settings is None or any(name.startswith(OF_POTENTIAL) for name in columns):
        return settings
    return settings.model_copy(update={'potential': None, 'neb': None})


def _of_potential(found: Energetics) -> dict[str, float]:
    """Return what a potential tells of a path; energies relative to those of the ends, cut where atoms overlap."""
    numbers: dict[str, float] = {'potential_mirrored': float(found.mirrored)}
    for name, energies in (('placed', found.energies[0]), ('relaxed', found.energies[-1])):
        numbers |= {f'potential_{name}_{key}': value for key, value in _profile(energies).items()}
    gained = np.clip(found.energies[0] - found.energies[-1], 0, LARGEST_ENERGY)
    numbers['potential_gained_ends'] = float(gained[[0, -1]].mean())
    numbers['potential_gained_middle'] = float(gained[2])
    numbers['potential_force_middle'] = float(np.log(found.forces[0][2] + 0.01))
    numbers['potential_force_ends'] = float(np.log(found.forces[0][[0, -1]].mean() + 0.01))
    numbers['potential_force_left'] = float(np.log(np.max(found.forces[-1]) + 0.01))
    numbers['potential_slope'] = float(np.clip((found.ion_forces[3] - found.ion_forces[1]) / 2, -5, 5))
    numbers['potential_shift_middle'] = float(found.shifts[2])
    numbers['potential_shift_ends'] = float(found.shifts[[0, -1]].mean())
    numbers['potential_host_shift'] = float(found.host_shifts[2])
    return numbers


def _of_sites(path: MigrationPath, found: Energetics) -> dict[str, float]:
    """Return what a potential thinks of the ion and of the host, the same in both directions of the path.

    Nothing where it does not tell, or refused one of the images that are looked at.
    """
    numbers: dict[str, float] = {}
    for name, sites in (('placed', found.placed), ('relaxed', found.relaxed)):
        initial, middle, final = sites[0], sites[2], sites[-1]
        if initial is None or middle is None or final is None:
            continue
        energies = [float(image.energies[0]) for image in (initial, middle, final)]
        numbers[f'site_{name}_energy_ends'] = (energies[0] + energies[2]) / 2
        numbers[f'site_{name}_energy_rise'] = energies[1] - (energies[0] + energies[2]) / 2
        numbers[f'site_{name}_energy_asymmetry'] = abs(energies[2] - energies[0])
        # each end is compared with the middle: the atoms of a mirrored end are those of the other in another order
        changes = [np.abs(middle.moments - end.moments).sum() for end in (initial, final)]
        numbers[f'site_{name}_moment_change'] = float(np.mean(changes))
        parts = {'ends': (initial.features[0] + final.features[0]) / 2, 'middle': middle.features[0]}
        if name == 'placed':
            numbers['site_placed_moment_mean'] = float((initial.moments + final.moments).mean() / 2)
            parts['crystal'] = (initial.features + final.features).mean(axis=0) / 2
            lengths = np.linalg.norm(
                minimum_image((path.host_at(0.5) - path.at([0.5])) @ path.lattice, path.lattice), axis=-1
            )
            weights = np.exp(-lengths / RANGE_OF_SURROUNDINGS)
            parts['around'] = weights @ middle.features[1:] / max(float(weights.sum()), 1e-12)
        for part, values in parts.items():
            numbers |= {f'embedding_{name}_{part}_{i:02d}': float(value) for i, value in enumerate(values)}
    return numbers


def _profile(energies: np.ndarray) -> dict[str, float]:
    """Return barriers of five energies, in eV."""
    relative = np.clip(energies - energies.min(), 0, LARGEST_ENERGY)  # NaN stays: then nothing is known
    ends = (relative[0] + relative[-1]) / 2
    return {
        'forward': float(relative.max() - relative[0]),
        'reverse': float(relative.max() - relative[-1]),
        'span': float(relative.max()),
        'middle': float(relative[2] - ends),
        'quarters': float((relative[1] + relative[3]) / 2 - ends),
        'asymmetry': float(abs(relative[-1] - relative[0])),
    }
