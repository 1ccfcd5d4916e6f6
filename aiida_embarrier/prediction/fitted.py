"""A model of barriers that was fitted: its predictions with intervals and flags, and its two files."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import safetensors.numpy

from aiida_embarrier.datasets.definitions import names_of_definitions
from aiida_embarrier.jobs.learning import CARD_FILE, WEIGHTS_FILE
from aiida_embarrier.jobs.model_files import (
    STATISTICS,
    ModelFilesError,
    barrier_card,
    read_any_model_files,
    replace_file,
)
from aiida_embarrier.prediction.domain import Domain
from aiida_embarrier.prediction.intervals import ConformalIntervals
from aiida_embarrier.prediction.registry import restore_model

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from aiida_embarrier.jobs.prediction import BarrierModelCard
    from aiida_embarrier.prediction.base import BarrierModel, Rows

__all__ = ('FittedModel', 'difficulty_of_rows', 'domain_of', 'read_barrier_model', 'restored', 'write_barrier_model')

#: Stem of the files of a model.
_STEM = WEIGHTS_FILE.partition('.')[0]


@dataclass(frozen=True)
class FittedModel:
    """A model, how sure it is, and what it takes for unlike the rows that it learned from.

    :param model: that predicts.
    :param card: what it says of itself.
    :param intervals: of its predictions; None where it has none.
    :param domain: None where it flags nothing.
    """

    model: BarrierModel
    card: BarrierModelCard
    intervals: ConformalIntervals | None = field(default=None, repr=False)
    domain: Domain | None = field(default=None, repr=False)

    def predict(self, rows: Rows) -> pd.DataFrame:
        """Return what the model says of rows; barriers and labels of these are not looked at.

        :param rows: with the features that the card names, where it names any.
        :returns: in the order of the rows `name`, `prediction` (eV), `lower` and `upper` (eV, NaN without intervals)
            `flags` (JSON list of why a row is unlike what was learned from), `in_training` (whether it is one of the
            rows that were learned from; missing where the model cannot tell) and `barrier_definition` (of what is
            predicted; missing where the card does not say).
        """
        asked = type(rows)(rows.paths, rows.features, rows.labels)
        found = np.asarray(self.model.predict(asked), dtype=float)
        lower, upper = np.full(len(found), np.nan), np.full(len(found), np.nan)
        finite = np.flatnonzero(np.isfinite(found))
        if self.intervals is not None and self.card.coverage is not None and len(finite):
            some = asked.take(finite)
            hard = difficulty_of_rows(self.model, self.domain, some)
            lower[finite], upper[finite] = self.intervals.intervals(found[finite], hard, self.card.coverage)
        flags: list[list[str]] = [[] for _ in rows.paths]
        if self.domain is not None:
            flags = self.domain.flags(rows.paths, rows.features)
        known = None if self.domain is None else self.domain.knows(rows.features)
        return pd.DataFrame(
            {
                'name': pd.Series([path.name for path in rows.paths], dtype='str'),
                'prediction': found,
                'lower': lower,
                'upper': upper,
                'flags': pd.Series([json.dumps(some) for some in flags], dtype='str'),
                'in_training': pd.Series([None] * len(found) if known is None else known.tolist(), dtype='boolean'),
                'barrier_definition': pd.Series(
                    [names_of_definitions(self.card.barrier_definitions)] * len(found), dtype='str'
                ),
            }
        )


def difficulty_of_rows(model: BarrierModel, domain: Domain | None, rows: Rows) -> np.ndarray | None:
    """Return how hard rows are: what the model says of them, and how far they are from what it learned from.

    The distance keeps the promise of intervals also for rows far away. With extremely randomised trees in folds of
    families, 90 % intervals by the spread of the trees held 79 % of the rows that are flagged `unlike_training`, those
    by spread and distance 90 %, and were no wider.

    :param domain: of the rows that the model learned from.
    :returns: shape (n_rows, k); None where nothing is known.
    """
    own = model.difficulty(rows)
    known = [] if own is None else [np.reshape(np.asarray(own, dtype=float), (len(rows), -1))]
    if domain is not None and domain.columns:
        known.append(domain.distances(rows.features)[:, None])
    return np.hstack(known) if known else None


def domain_of(rows: Rows, read: Sequence[str]) -> Domain:
    """Return what the rows that a model learned from tell of paths unlike them.

    :param read: features that the model reads; distances in others say nothing of it.
    """
    return Domain.fit(rows.paths, rows.features[list(read)] if read else None, rows.labels['family_group'].tolist())


def write_barrier_model(folder: Path, fitted: FittedModel) -> BarrierModelCard:
    """Write a model into a folder: `model.safetensors` and `model.json`; nothing is pickled.

    :returns: its card, in which what was learned, the number of parameters and the sha256 of the weights are filled in.
    :raises OSError: where the files cannot be written.
    """
    arrays, values = fitted.model.state()
    parts: dict[str, Mapping[str, np.ndarray]] = {'model': arrays}
    plain: dict[str, dict[str, Any] | None] = {}
    for name, part in (('intervals', fitted.intervals), ('domain', fitted.domain)):
        own, plain[name] = ({}, None) if part is None else part.state()
        parts[name] = own
    named = {
        f'{part}.{name}': np.asarray(array, order='C') for part, some in parts.items() for name, array in some.items()
    }
    weights = safetensors.numpy.save(named)
    card = fitted.card.model_copy(
        update={
            **plain,
            'state': values,
            'n_parameters': sum(array.size for name, array in named.items() if not name.endswith(STATISTICS)),
            'weights_sha256': hashlib.sha256(weights).hexdigest(),
        }
    )
    text = card.model_dump_json(indent=1)
    replace_file(folder / WEIGHTS_FILE, weights)
    replace_file(folder / CARD_FILE, text.encode())
    return card


def read_barrier_model(folder: Path, stem: str = _STEM) -> FittedModel:
    """Return the model in a folder.

    :param stem: name of its files without their endings.
    :raises ModelFilesError: for files that are missing, truncated or altered, and for a model of something else.
    """
    weights, card = read_any_model_files(folder, stem)
    return restored(weights, barrier_card(card))


def restored(weights: bytes, card: BarrierModelCard) -> FittedModel:
    """Return the model of weights and a card that were checked.

    :raises ModelFilesError: for what this version cannot make of it.
    """
    parts: dict[str, dict[str, np.ndarray]] = {'model': {}, 'intervals': {}, 'domain': {}}
    for name, array in safetensors.numpy.load(weights).items():
        part, _, own = name.partition('.')
        if part not in parts:
            raise ModelFilesError(f'the weights hold {name!r}, which no model of barriers has: they were altered')
        parts[part][own] = array
    try:
        model = restore_model(card.model, parts['model'], card.state)
        intervals = (
            None if card.intervals is None else ConformalIntervals.from_state(parts['intervals'], card.intervals)
        )
        domain = None if card.domain is None else Domain.from_state(parts['domain'], card.domain)
    except (KeyError, TypeError, ValueError) as error:  # a model, too, that only a newer version knows
        what = str(error) if isinstance(error, ValueError) else f'{type(error).__name__}: {error}'
        raise ModelFilesError(
            f'the model {card.model} cannot be made of its files ({what}): take the version '
            f'of aiida-embarrier that wrote them, {card.versions.get("aiida-embarrier", "which is not known")}'
        ) from error
    return FittedModel(model, card, intervals, domain)
