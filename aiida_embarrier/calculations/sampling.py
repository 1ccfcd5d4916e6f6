"""Calcfunctions that say which rows of datasets of properties train, validate and test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.engine import calcfunction
from aiida.orm import Dict, SinglefileData

from aiida_embarrier.calculations.parameters import check_keys
from aiida_embarrier.calculations.refusal import refuse_politely
from aiida_embarrier.data.table import TableData

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

__all__ = ('PRETRAINING_PARAMETERS', 'SAMPLE_PARAMETERS', 'pretraining_split', 'sample_split')

#: What the parameters of a pre-training may say, as :func:`~aiida_embarrier.datasets.training_rows.sampled_rows` takes
#: it.
PRETRAINING_PARAMETERS = (
    'size',
    'method',
    'seed',
    'validation_fraction',
    'test_published',
    'test_fraction',
    'test_seed',
)
#: The same of a sample; `trial` and `dataset` belong to published ones.
SAMPLE_PARAMETERS = (*PRETRAINING_PARAMETERS, 'trial', 'dataset')
_PUBLISHED = {'method', 'size', 'trial', 'dataset', 'test_published'}

#: How the label of a split begins that says which rows of a dataset test.
_SPLIT = 'split_'


@calcfunction
@refuse_politely
def sample_split(
    dataset: TableData, parameters: Dict, published: SinglefileData | None = None, **exclude: TableData
) -> dict[str, Any]:
    """Draw the rows that train and validate a model, or take those of a published trial.

    A sample of 800 from 9395 rows, 940 of which test, took 3 s at random and 5 s by the methods `diverse` and
    `cluster`.

    :param dataset: a dataset of a property.
    :param parameters: see :data:`SAMPLE_PARAMETERS`. `method` is one of
        :data:`~aiida_embarrier.datasets.sampling.METHODS`, or `published` with the `trial` and `size` of a trial.
    :param published: the file `splits.json.gz` with the published samples.
    :param exclude: further datasets whose test rows are not to be seen in the training, as :func:`pretraining_split`
        takes them; not with `published`.
    :return: `split` (`name` and `part` of each row: train, validation, test, excluded, unused) and `report`.
    """
    from aiida_embarrier.datasets.training_rows import published_rows, sampled_rows

    settings = parameters.get_dict()
    check_keys(settings, SAMPLE_PARAMETERS)
    frame = _frame(dataset, 'dataset')
    if settings.get('method') != 'published':
        wrong = sorted({'trial', 'dataset'} & set(settings))
        if wrong or published is not None:
            what = f'`{wrong[0]}` goes' if wrong else 'a file with published samples goes'
            raise ValueError(f'{what} with the method `published`, not with {settings.get("method", "random")!r}')
        return _outputs(sampled_rows(frame, **settings, exclude=_tests(exclude)), dataset)
    wrong = sorted(set(settings) - _PUBLISHED)
    if wrong or exclude:
        raise ValueError(
            f'published samples are what they are: leave out {wrong[0] if wrong else sorted(exclude)[0]!r}'
        )
    if published is None:
        raise ValueError('published samples need the file that holds them, the input `published`: splits.json.gz')
    for name in ('trial', 'size'):
        if isinstance(settings.get(name), bool) or not isinstance(settings.get(name), int):
            raise ValueError(f'{name} of a published sample is a whole number, got {settings.get(name)!r}')
    content = published.get_content(mode='rb')
    return _outputs(
        published_rows(frame, content, settings['trial'], settings['size'], settings.get('dataset')), dataset
    )


@calcfunction
@refuse_politely
def pretraining_split(dataset: TableData, parameters: Dict, **tests: TableData) -> dict[str, Any]:
    """Draw the rows that pre-train a model: none of them holds the crystal of a test row, whatever its id.

    It took 2 s for 9395 rows and 1785 test rows of six datasets, since only crystals of formulas that test are
    compared.

    :param dataset: the source.
    :param parameters: see :data:`PRETRAINING_PARAMETERS`; without a `size` all rows that are left.
    :param tests: datasets of the targets by their labels: their rows that `published_split` calls test, or those that a
        split with the label `split_LABEL` beside the dataset LABEL says.
    :return: `split` (`name` and `part` of each row) and `report`, with the names of rows that are left out by targets.
    """
    from aiida_embarrier.datasets.training_rows import pretraining_rows

    settings = parameters.get_dict()
    check_keys(settings, PRETRAINING_PARAMETERS)
    return _outputs(pretraining_rows(_frame(dataset, 'dataset'), _tests(tests), **settings), dataset)


def _frame(node: TableData, label: str) -> pd.DataFrame:
    frame = node.table
    missing = [name for name in ('name', 'lattice', 'species', 'frac_coords', 'target') if name not in frame]
    if missing:
        raise ValueError(f'{label} is no dataset of a property: it lacks the column {missing[0]!r}')
    return frame


def _tests(nodes: Mapping[str, TableData]) -> dict[str, pd.DataFrame]:
    """Return the test rows of datasets by their labels."""
    from aiida_embarrier.datasets.overlap import rows_that_test

    splits = {label.removeprefix(_SPLIT): node for label, node in nodes.items() if label.startswith(_SPLIT)}
    datasets = {label: node for label, node in nodes.items() if not label.startswith(_SPLIT)}
    alone = sorted(set(splits) - set(datasets))
    if alone:
        raise ValueError(f'there is the split {_SPLIT}{alone[0]!s} and no dataset {alone[0]!r}')
    found = {}
    for label, node in datasets.items():
        split = splits[label].table if label in splits else None
        try:
            found[label] = rows_that_test(_frame(node, label), split)
        except ValueError as error:
            raise ValueError(f'{label}: {error}') from error
    return found


def _outputs(found: Any, dataset: TableData) -> dict[str, Any]:
    from aiida_embarrier.datasets.tables import content_hash

    report = {**found.report, 'dataset_hash': content_hash(dataset.table)}
    return {'split': TableData(found.table, title=f'{report["method"]} sample'), 'report': Dict(report)}
