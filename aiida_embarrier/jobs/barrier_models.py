"""The models of barriers that there are, by their names: what a job may ask for, known before anything is computed."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ValidationError

from aiida_embarrier.jobs.learning import TrainingSettings
from aiida_embarrier.jobs.messages import describe

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = (
    'BELOW',
    'KNOWN_MODELS',
    'MEMBERS',
    'NO_NUMBERS',
    'NO_STRUCTURAL_GROUP',
    'KnownModel',
    'check_member',
    'check_model',
    'check_name',
    'check_setting',
    'highest_coverage',
)


class KnownModel(NamedTuple):
    """What a model of barriers takes.

    :param settings: names of its settings.
    :param reads_numbers: whether it reads numbers that describe paths; others look at paths themselves.
    """

    settings: tuple[str, ...] = ()
    reads_numbers: bool = False


_COLUMNS = ('prefixes', 'without')
_TREES = ('n_trees', 'share')
_NETWORK = ('architecture', 'training', 'hold_back')

#: The models of :data:`aiida_embarrier.prediction.registry.MODELS`, which alone knows how they are made.
KNOWN_MODELS = {
    'median': KnownModel(),
    'class_median': KnownModel(),
    'chemsys_median': KnownModel(),
    'random_forest': KnownModel((*_TREES, *_COLUMNS), reads_numbers=True),
    'extra_trees': KnownModel((*_TREES, *_COLUMNS), reads_numbers=True),
    'gradient_boosting': KnownModel(('n_trees', 'rate', 'depth', *_COLUMNS), reads_numbers=True),
    'support_vectors': KnownModel(('penalty', 'inverse_width', 'tube', *_COLUMNS), reads_numbers=True),
    'design_rules': KnownModel((*_TREES, 'without'), reads_numbers=True),
    'potential_path': KnownModel(reads_numbers=True),
    'potential_relaxed': KnownModel(reads_numbers=True),
    'potential_neb': KnownModel(reads_numbers=True),
    'ensemble': KnownModel(('members',), reads_numbers=True),
    'model_1_add': KnownModel(_NETWORK),
    'model_1_sub': KnownModel(_NETWORK),
    'model_1_cc': KnownModel(_NETWORK),
    'model_2': KnownModel(_NETWORK),
    'model_3': KnownModel(_NETWORK),
    'model_4': KnownModel(_NETWORK),
    'scratch_add': KnownModel(_NETWORK),
    'scratch_sub': KnownModel(_NETWORK),
    'scratch_cc': KnownModel(_NETWORK),
    'profile': KnownModel(_NETWORK),
}

#: Those of them that an ensemble may be made of.
MEMBERS = ('extra_trees', 'random_forest', 'gradient_boosting', 'support_vectors')

#: Share of the missed barriers that are to lie below their intervals.
BELOW = 0.3

NO_NUMBERS = (
    'the model {model} reads numbers that describe paths: say how to `describe` them, or give the table of `features` '
    'that `embarrier.path_features` made of this dataset'
)
NO_STRUCTURAL_GROUP = (
    'the rows have no `structural_group`, which class_median predicts by: give every row of the dataset a '
    '`structural_class`, or leave this baseline out'
)


def check_name(name: str, known: Iterable[str] = KNOWN_MODELS) -> None:
    """Check that there is a model of a name.

    :raises ValueError: for an unknown one, with the closest known one.
    """
    names = list(known)
    if name not in names:
        close = difflib.get_close_matches(name, names, n=1)
        meant = f': did you mean {close[0]!r}? There are' if close else ': choose from'
        raise ValueError(f'there is no model {name!r} of barriers{meant} {", ".join(names)}')


def check_setting(model: str, setting: str, choices: Iterable[str]) -> None:
    """Check that a model has a setting.

    :raises ValueError: for an unknown one, with the closest known one.
    """
    names = list(choices)
    if setting not in names:
        close = difflib.get_close_matches(setting, names, n=1)
        meant = f': did you mean {close[0]!r}? It' if close else ': it'
        raise ValueError(f'the model {model} has no setting {setting!r}{meant} has {", ".join(names) or "none"}')


def check_member(label: str, model: str) -> None:
    """Check that a model can be a member of an ensemble.

    :raises ValueError: for one that cannot.
    """
    if model not in MEMBERS:
        raise ValueError(f'{label}: a member is one of {", ".join(MEMBERS)}, not {model!r}')


def check_model(name: str, settings: Mapping[str, Any]) -> None:
    """Check the name of a model and those of its settings, of the members of an ensemble, and how networks are trained.

    :raises ValueError: for what there is not, naming the closest known one, and for a training that cannot be.
    """
    check_name(name)
    for setting in settings:
        check_setting(name, setting, KNOWN_MODELS[name].settings)
    if settings.get('training') is not None:
        try:
            TrainingSettings.model_validate(settings['training'])
        except ValidationError as error:
            raise ValueError(f'`training`: {describe(error)}') from error
    members = settings.get('members')
    for label, member in members.items() if isinstance(members, dict) else ():
        if isinstance(member, dict):
            model = str(member.get('model', label))
            check_member(str(label), model)
            check_model(model, member.get('settings') or {})


def highest_coverage(n_groups: int, below: float) -> float:
    """Return the highest coverage that intervals can promise which are calibrated on so many groups of related rows.

    :param below: share of the missed barriers that are to lie below their intervals.
    """
    return 1 - 1 / (n_groups + 1) / min(below, 1 - below)
