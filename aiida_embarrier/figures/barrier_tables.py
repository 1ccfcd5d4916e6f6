"""What the tables of an analysis of predicted barriers are: titles and definitions for readers, and units."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiida_embarrier.datasets.statistics_tables import Table

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ('LABELS', 'TABLES', 'VALIDATIONS', 'hardest', 'validation_name')

#: Columns of a dataset by whose labels errors are shown; the table of a column is called `by_` and its name.
LABELS = {
    'ion': 'ion',
    'structural_group': 'structural group',
    'functional': 'density functional',
    'charge_state': 'charge state',
    'endpoint_symmetry': 'symmetry of the initial structure',
    'barrier_range': 'known barrier',
}

_ERRORS = (
    'Mean absolute error with its bootstrap interval over rows, median absolute error, mean error (above 0: predicted '
    'too high), shares of rows with small and large errors, and coverage and median width of the intervals.'
)

#: What each table is, by its name, in the order in which they are shown.
TABLES: dict[str, Table] = {
    'comparison': Table(
        'Comparison of models',
        'Errors of each model in each validation, all seeds together, with bootstrap intervals over rows; intervals '
        'over seeds are those of Student’s t. Coverage is the share of barriers inside their intervals.',
    ),
    'differences': Table(
        'Differences from the best model',
        'By how much the mean absolute error of a model exceeds that of the best one of the validation on the same '
        'rows, with its bootstrap interval over rows: above 0 throughout where the best one is surely better.',
    ),
    'buckets': Table(
        'Small and large errors',
        'Shares of predictions by absolute error, low < x ≤ high. A row counts once for each seed.',
    ),
    'directions': Table(
        'Predicted too high and too low',
        'Predictions above and below the known barrier, their mean absolute error, and those of them with a large one. '
        'A row counts once for each seed.',
    ),
    'classification': Table(
        'Low and high barriers',
        'How well predictions tell barriers below (<) a threshold from others: confusion, accuracy, precision (the '
        'share of rows predicted low that are) and recall (the share of low rows predicted so). A row counts once for '
        'each seed.',
    ),
    **{
        f'by_{name}': Table(f'Errors by {label}', f'Rows by {label}. {_ERRORS}')
        for name, label in LABELS.items()
        if name != 'barrier_range'
    },
    'by_barrier_range': Table(
        'Errors by known barrier',
        f'Rows by their known barrier, low ≤ x < high. {_ERRORS} Any model that is not perfect predicts the lowest '
        'barriers too high and the highest too low.',
    ),
    'by_scenario': Table(
        'Errors by what is new',
        'A: another path of a material that was learned from. B: another content of the ion in the same host, ion and '
        f'structural group. C: all others, another chemistry. {_ERRORS}',
    ),
    'by_flag': Table(
        'Errors of flagged rows',
        f'Rows that are unlike those that were learned from, by the reason, and those without a flag. {_ERRORS}',
    ),
    'coverage': Table(
        'Coverage of intervals',
        'Share of known barriers inside their intervals, those of each fold calibrated on the other folds, with '
        'Wilson’s interval as for independent rows, and the mean over groups. Predictions of all seeds together.',
    ),
    'discrimination': Table(
        'Telling paths of one crystal apart',
        'Of crystals with several paths of an ion and different barriers: Kendall’s τ of known and predicted barriers, '
        'the share of pairs in the right order where barriers differ by 0.05 eV or more, the share of crystals whose '
        'lowest path is found, that by chance, and by how much the barrier of the path predicted lowest exceeds the '
        'lowest. Means over crystals with bootstrap intervals.',
    ),
    'hosts': Table('Paths of each crystal', 'The same for each crystal, means over seeds.'),
    'leakage': Table(
        'What predicted rows share with those that were learned from',
        'Shares of the predicted rows for which some row that was learned from has the same: path up to symmetry, name '
        'without the number of the path, cell, composition, framework, family or elements.',
    ),
    'largest_errors': Table(
        'Largest errors', 'The rows of each model whose mean prediction over seeds is farthest from the known barrier.'
    ),
}

#: How rows were parted, from easy to hard, as readers call it.
VALIDATIONS = {
    'random': 'random folds',
    'host_group': 'new cells',
    'framework_group': 'new frameworks',
    'chemsys_group': 'new chemical systems',
    'family_group': 'new families',
    'split': 'held-out rows',
    'evaluated': 'evaluated rows',
}


def validation_name(validation: str) -> str:
    """Return what readers call a validation."""
    return VALIDATIONS.get(validation, validation.replace('_', ' '))


def hardest(validations: Iterable[str]) -> str:
    """Return the validation that says most of new crystals; the last one where none is known."""
    found = list(validations)
    return max(found, key=lambda one: (list(VALIDATIONS).index(one) if one in VALIDATIONS else -1, found.index(one)))
