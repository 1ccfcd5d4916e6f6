"""Which rows the trainings of a study are made with: drawn by calcfunctions, each sample once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from aiida.orm import Dict, load_node

from aiida_embarrier.calculations.sampling import pretraining_split, sample_split
from aiida_embarrier.engines.base import why
from aiida_embarrier.workflows.studies import label_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiida.common import AttributeDict
    from aiida.orm import SinglefileData

    from aiida_embarrier.data.dataset import DatasetData
    from aiida_embarrier.data.table import TableData
    from aiida_embarrier.workflows.transfer_plan import Cell, Plan

__all__ = ('RowsError', 'StudyRows', 'check_rows')


class RowsError(ValueError):
    """A training has no rows, or no model to start from; the message says why."""


class StudyRows:
    """The rows of the trainings of a study that runs.

    :param inputs: of the study.
    :param context: of the study; `rows` holds the PKs of splits that were made, by what they are.
    """

    def __init__(self, inputs: AttributeDict, context: AttributeDict) -> None:
        self._inputs = inputs
        self._context = context
        plan = inputs.plan.get_dict()
        test = plan['test']
        # as `Plan.unseen`; plans of earlier versions have no `tested`
        self._unseen = list(dict.fromkeys([*plan.get('tested', []), *(cell['target'] for cell in plan['cells'])]))
        self._test = {f'test_{name}': value for name, value in test.items()}

    def of_cell(self, cell: Mapping[str, Any]) -> TableData:
        """Return the split of a training that is tested.

        :raises RowsError: where there are not as many rows, or none of that trial.
        """
        target = cell['target']
        if cell['sampling'] == 'published':
            parameters = {'method': 'published', 'size': cell['rows'], 'trial': cell['trial']}
            further = {'published': self._inputs.published}
        else:
            parameters = {**self._drawn(cell['rows']), 'method': cell['sampling'], 'seed': cell['trial']}
            parameters['validation_fraction'] = cell['validation_fraction']
            further = {}
        words = [target, cell['rows'], f't{cell["trial"]}', cell['sampling']]
        return self._split(sample_split, words, self._inputs.datasets[target], parameters, further)

    def of_pretraining(self, label: str, entry: Mapping[str, Any]) -> TableData:
        """Return the split of a dataset that is pre-trained on, without the crystals that test any target.

        :raises RowsError: where there are not as many rows.
        """
        tests: dict[str, TableData] = {}
        for target in self._unseen:
            dataset = tests[target] = self._inputs.datasets[target]
            if not self._publishes_tests(dataset):
                tests[f'split_{target}'] = self._tests_of(target)
        parameters = {**self._drawn(entry['rows']), 'method': 'random', 'seed': entry['seed']}
        parameters['validation_fraction'] = entry['validation_fraction']
        parameters['test_fraction'] = 0.0  # a source that is no target tests nothing, unless its rows say so
        words = ['pretrain', label, entry['rows']]
        return self._split(pretraining_split, words, self._inputs.datasets[label], parameters, tests)

    def _drawn(self, rows: int | str) -> dict[str, Any]:
        return {**self._test, **({} if rows == 'all' else {'size': rows})}

    def _publishes_tests(self, dataset: DatasetData) -> bool:
        published = dataset.base.attributes.get('published_splits', None) or []
        return self._test['test_published'] and 'test' in published

    def _tests_of(self, target: str) -> TableData:
        """Return a split whose test rows are those of every training on a target; its other rows do not matter."""
        words = [target, 'tests']
        return self._split(sample_split, words, self._inputs.datasets[target], self._drawn('all'), {})

    def _split(
        self,
        function: Any,
        words: list[Any],
        dataset: DatasetData,
        parameters: Mapping[str, Any],
        further: Mapping[str, Any],
    ) -> TableData:
        """Return what a calcfunction draws; the same is drawn once."""
        key = json.dumps([*words, parameters], sort_keys=True, default=str)
        if key not in self._context.rows:
            outputs, node = function.run_get_node(
                dataset, Dict(dict(parameters)), **further, metadata={'call_link_label': label_of('rows', *words)}
            )
            if not node.is_finished_ok:
                raise RowsError(why(node))
            self._context.rows = {**self._context.rows, key: outputs['split'].pk}
        return load_node(self._context.rows[key])


def check_rows(plan: Plan, datasets: Mapping[str, DatasetData], published: SinglefileData | None) -> str | None:
    """Return what is wrong with the rows that a plan asks for, None where nothing is seen before they are drawn."""
    for label in plan.datasets:
        if label not in datasets:
            return f'the dataset {label!r} of the plan is missing'
        if datasets[label].schema != 'property':
            return f'models learn properties, and the dataset {label!r} holds {datasets[label].schema}s'
    pools: dict[str, int] = {}
    trials: dict[str, list[tuple[int, int]]] = {}
    for cell in plan.cells:
        if cell.sampling == 'published':
            try:
                _check_published(cell, plan, datasets[cell.target], published, trials)
            except ValueError as error:
                return f'{cell.label}: {error}'
        if cell.rows == 'all':
            continue
        if cell.target not in pools:
            pools[cell.target] = _pool(datasets[cell.target], plan)
        if cell.rows > pools[cell.target]:
            return (
                f'{cell.label}: {cell.rows} rows of {cell.target} are asked for, and {pools[cell.target]} do not test: '
                'ask for fewer, or for `all`'
            )
    return None


def _check_published(
    cell: Cell,
    plan: Plan,
    dataset: DatasetData,
    published: SinglefileData | None,
    trials: dict[str, list[tuple[int, int]]],
) -> None:
    """Check that the rows of a cell were published.

    :param trials: by datasets the trials and sizes that were, filled in here.
    :raises ValueError: where they were not, or cannot be told.
    """
    from aiida_embarrier.datasets.published_samples import published_trials
    from aiida_embarrier.datasets.training_rows import tag_of

    if published is None:
        raise ValueError('published samples need the file of them, the input `published`')
    if not plan.test.published:
        # its pre-training would see them: that leaves out what tests by the plan
        raise ValueError(
            'published samples test the published rows, which `test.published: false` gives up: leave that out'
        )
    if cell.target not in trials:
        tag = tag_of(dataset.table['name'].astype('str'))
        trials[cell.target] = published_trials(published.get_content(mode='rb'), tag)
    if (cell.trial, cell.rows) not in trials[cell.target]:
        known = ', '.join(f'{trial} of {rows}' for trial, rows in trials[cell.target]) or 'none'
        raise ValueError(
            f'trial {cell.trial} of {cell.rows} rows was not published; there are (trial of rows): {known}'
        )


def _pool(dataset: DatasetData, plan: Plan) -> int:
    """Return how many rows of a dataset do not test."""
    frame = dataset.table
    testing = 0
    if plan.test.published and 'published_split' in frame:
        testing = int((frame['published_split'] == 'test').sum())
    return len(frame) - (testing or round(plan.test.fraction * len(frame)))
