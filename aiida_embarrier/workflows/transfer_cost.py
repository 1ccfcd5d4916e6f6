"""What a study of transfer learning is expected to take, before anything is launched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiida_embarrier.jobs.learning import ARCHITECTURES, Architecture, TrainingSettings, architecture_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiida_embarrier.workflows.transfer_plan import Plan
    from aiida_embarrier.workflows.transfer_spec import Budget, Rows

__all__ = ('DatasetSize', 'check_budget', 'check_sizes', 'estimate_of')

#: Seconds of one core for each atom of a training row and epoch, by architecture: forward, backward and step of 96
#: crystals with 705 atoms in batches of 16. The machine had two cores and much else to do, so others may be faster.
SECONDS_PER_ATOM = {'medium': 4.8e-3, 'small': 1.9e-3, 'tiny': 6.2e-4}

#: What a row that validates takes of a row that trains: it goes forward only.
VALIDATION = 0.35
#: Seconds of every training that do not depend on its rows: the worker starts, AiiDA submits, retrieves and parses.
OVERHEAD = 15.0


@dataclass(frozen=True)
class DatasetSize:
    """What of a dataset decides how long a training on it takes.

    :param n_rows: number of rows.
    :param mean_atoms: mean number of atoms of a row.
    """

    n_rows: int
    mean_atoms: float


def estimate_of(plan: Plan, sizes: Mapping[str, DatasetSize], budget: Budget) -> dict[str, Any]:
    """Return what a study is expected to take at most: every training goes through all of its epochs.

    :param sizes: by the labels of datasets.
    :return: numbers of trainings, `core_hours` of all and of their kinds, `wall_hours` with the trainings side by side,
        each on one core, the `longest_training_s`, and the `assumptions`.
    """
    pretraining, cells = [], []
    for entry in plan.pretrainings:
        rows = [(_rows(entry.rows, sizes[label]), sizes[label].mean_atoms) for label in entry.sources]
        pretraining.append(_seconds(rows, entry.parameters, entry.validation_fraction, budget))
    for cell in plan.cells:
        size = sizes[cell.target]
        rows = [(_rows(cell.rows, size), size.mean_atoms)]
        cells.append(_seconds(rows, cell.parameters, cell.validation_fraction, budget))
    total = sum(pretraining) + sum(cells)
    given = budget.seconds_per_atom is not None
    side_by_side = min(budget.max_concurrent, plan.n_trainings)
    return {
        'n_pretrainings': len(pretraining),
        'n_cells': len(cells),
        'core_hours': total / 3600,
        'core_hours_pretraining': sum(pretraining) / 3600,
        'core_hours_cells': sum(cells) / 3600,
        'wall_hours': max(total / side_by_side, max([*pretraining, *cells])) / 3600,
        'longest_training_s': max([*pretraining, *cells]),
        'assumptions': [
            'all epochs are trained: early stopping ends sooner',
            f'{OVERHEAD:g} s for each training beside its epochs',
            'seconds for each atom and epoch as the budget says'
            if given
            else 'seconds for each atom and epoch as measured on one core of the machine of the developers; measure '
            'yours, and say `budget.seconds_per_atom`',
            f'{side_by_side} training(s) side by side, each on one core',
        ],
    }


def check_sizes(plan: Plan, sizes: Mapping[str, DatasetSize]) -> None:
    """Refuse samples that are larger than their dataset, of pre-trainings and of what is tested.

    :raises ValueError: naming the first training, and how many rows there are.
    """
    asked = [(entry.label, entry.rows, label) for entry in plan.pretrainings for label in entry.sources]
    asked += [(cell.label, cell.rows, cell.target) for cell in plan.cells]
    for training, rows, label in asked:
        known = sizes[label].n_rows
        if rows != 'all' and rows > known:
            raise ValueError(
                f'{training}: {rows} rows of {label} are asked for, and there are {known}, test rows among them: '
                'ask for fewer, or for `all`'
            )


def check_budget(estimate: Mapping[str, Any], budget: Budget) -> str | None:
    """Return what is to be said of a study that is expected to take more than its budget; None of others.

    :raises ValueError: where the budget refuses that.
    """
    if budget.max_core_hours is None or estimate['core_hours'] <= budget.max_core_hours:
        return None
    message = (
        f'the study is expected to take {estimate["core_hours"]:.1f} core-hours, and its budget is '
        f'{budget.max_core_hours:g}'
    )
    if budget.on_excess == 'refuse':
        raise ValueError(
            f'{message}: raise `budget.max_core_hours`, say `on_excess: warn`, or leave out rows, epochs or trainings'
        )
    return message


def _rows(rows: Rows, size: DatasetSize) -> int:
    return size.n_rows if rows == 'all' else min(int(rows), size.n_rows)


def _seconds(
    rows: list[tuple[int, float]], parameters: Mapping[str, Any], validation_fraction: float, budget: Budget
) -> float:
    """Return the core-seconds of a training on rows of datasets, with their mean numbers of atoms."""
    epochs = TrainingSettings(**parameters['training']).epochs
    per_atom = budget.seconds_per_atom or _seconds_per_atom(architecture_of(parameters['architecture']))
    share = 1 - validation_fraction + VALIDATION * validation_fraction
    atoms = sum(number * mean for number, mean in rows)
    return OVERHEAD + epochs * share * atoms * per_atom


def _seconds_per_atom(architecture: Architecture) -> float:
    """Return the time of an architecture as measured; of others by numbers of products, from the nearest that was."""
    measured = {name: ARCHITECTURES[name] for name in SECONDS_PER_ATOM}
    work = {name: _work(known) for name, known in measured.items()}
    own = _work(architecture)
    larger = [name for name in work if work[name] >= own]
    nearest = min(larger, key=lambda name: work[name]) if larger else max(work, key=lambda name: work[name])
    return SECONDS_PER_ATOM[nearest] * own / work[nearest]


def _work(architecture: Architecture) -> float:
    """Return numbers of products for each atom: about 13 bonds of an atom make 13 times 13 angles."""
    bonds, hidden = 13.0, float(architecture.hidden)
    angles = bonds * bonds
    of_bonds = (2 * architecture.alignn_layers + architecture.gcn_layers) * bonds
    return (architecture.alignn_layers * angles + of_bonds) * hidden * (hidden + 30.0)
