"""The samples that the paper on transfer learning drew: which rows trained, validated and tested its models."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pandas as pd

from aiida_embarrier.datasets.importing.reading import published_splits

if TYPE_CHECKING:
    from collections.abc import Collection
    from os import PathLike

__all__ = ('VALIDATION_FRACTION', 'PublishedSample', 'published_sample', 'published_trials')

#: Share of a sample that validated, in the order of the file its last rows: 720 of 800 rows trained, 80 validated
#: (`keep_data_order` in the configurations of doi:10.1038/s41524-024-01486-1).
VALIDATION_FRACTION = 0.1


@dataclass(frozen=True)
class PublishedSample:
    """Rows of one trial by their names, as :func:`~aiida_embarrier.datasets.importing.reading.read_dataset` calls them.

    :param dataset: such as `dc`.
    :param trial: from 1; None for the test rows alone.
    :param size: rows that train or validate.
    :param parts: names by `train`, `validation` and `test`, in the order of the file, without those that are missing.
    :param missing: the names by part that are not among those that were said to be there.
    """

    dataset: str
    trial: int | None
    size: int
    parts: dict[str, list[str]]
    missing: dict[str, list[str]] = field(default_factory=dict)

    @property
    def notes(self) -> list[str]:
        """What readers should know: what of the published rows is not there."""
        return [
            f'{len(names)} of {len(names) + len(self.parts[part])} published {part} rows of {self.dataset} are not '
            f'there, {names[0]} the first of them'
            for part, names in self.missing.items()
            if names
        ]

    def table(self, names: Collection[str]) -> pd.DataFrame:
        """Return the part of each of some names, `unused` for those of none; columns `name` and `part`, by names."""
        part_of = {name: part for part, some in self.parts.items() for name in some}
        ordered = sorted(names)
        parts = [part_of.get(name, 'unused') for name in ordered]
        return pd.DataFrame({'name': pd.Series(ordered, dtype='str'), 'part': pd.Series(parts, dtype='str')})


def published_trials(source: str | PathLike[str] | bytes, dataset: str) -> list[tuple[int, int]]:
    """Return the trials of a dataset and the sizes of their samples, as pairs.

    :param source: path of `splits.json.gz`, or its bytes.
    :raises FileNotFoundError: where there is no such file.
    :raises DatasetError: where it is none, or has no such dataset.
    """
    samples = published_splits(source, dataset)['sample'].unique()
    found = (re.fullmatch(r'trial(\d+)_(\d+)', sample) for sample in samples)
    return sorted((int(one[1]), int(one[2])) for one in found if one is not None)


def published_sample(
    source: str | PathLike[str] | bytes,
    dataset: str,
    trial: int | None = None,
    size: int | None = None,
    *,
    available: Collection[str] | None = None,
) -> PublishedSample:
    """Return the rows of a published trial.

    :param source: path of `splits.json.gz`, or its bytes.
    :param dataset: such as `dc`, also the beginning of the names of its rows.
    :param trial: 1 to 5; None for the test rows alone.
    :param size: of the sample: 10, 100, 200, 500 or 800 rows, a tenth of which validated.
    :param available: names of the rows that are at hand; None for all.
    :raises FileNotFoundError: where there is no such file.
    :raises DatasetError: where it is none, or has no such dataset.
    :raises ValueError: for a trial or size that was not published, and where none of its rows is there.
    """
    if (trial is None) != (size is None):
        raise ValueError('a published sample is named by both its trial and its size; give neither for the test rows')
    rows = published_splits(source, dataset)
    parts = {'train': [], 'validation': [], 'test': _names(rows, dataset, 'test')}
    if trial is not None and size is not None:
        sample = _names(rows, dataset, f'trial{trial}_{size}')
        if not sample:
            trials = published_trials(source, dataset)
            known = ', '.join(f'{one} of {n}' for one, n in trials) or 'none at all, only test rows'
            raise ValueError(
                f'no trial {trial} of {size} rows of {dataset} was published; there are (trial of rows): {known}'
            )
        n_validation = round(VALIDATION_FRACTION * len(sample))
        parts['train'] = sample[: len(sample) - n_validation]
        parts['validation'] = sample[len(sample) - n_validation :]
    return _available(PublishedSample(dataset, trial, size or 0, parts), available)


def _names(rows: pd.DataFrame, dataset: str, sample: str) -> list[str]:
    return [f'{dataset}-{row}' for row in rows['row_id'][rows['sample'] == sample]]


def _available(sample: PublishedSample, available: Collection[str] | None) -> PublishedSample:
    if available is None:
        return sample
    names = set(available)
    parts = {part: [name for name in some if name in names] for part, some in sample.parts.items()}
    missing = {part: [name for name in some if name not in names] for part, some in sample.parts.items()}
    if not any(parts.values()):
        example = next(name for some in missing.values() for name in some)
        raise ValueError(
            f'none of the published rows of {sample.dataset} is there, such as {json.dumps(example)}: was another '
            'dataset given, or were its rows renamed?'
        )
    for part in ('train', 'validation'):
        if missing[part] and not parts[part]:
            raise ValueError(
                f'none of the {len(missing[part])} published {part} rows of {sample.dataset} is there, '
                f'{missing[part][0]} the first of them'
            )
    return PublishedSample(sample.dataset, sample.trial, sample.size, parts, missing)
