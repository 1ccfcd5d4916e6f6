"""The plan of a study of transfer learning: every training that its file asks for, each once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pydantic import Field

from aiida_embarrier.engines.protocols import closest
from aiida_embarrier.jobs.learning import Architecture, GraphSettings, TrainingSettings, Transfer, architecture_of
from aiida_embarrier.workflows.functionals_inputs import Section
from aiida_embarrier.workflows.studies import label_of
from aiida_embarrier.workflows.transfer_spec import Rows, TestRows, transfer_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from aiida_embarrier.workflows.transfer_spec import FineTuning, StudySpec

__all__ = ('SCRATCH', 'Cell', 'Plan', 'PlannedPreTraining', 'expand')

#: What a training is called that starts from no model.
SCRATCH = 'scratch'


class PlannedPreTraining(Section):
    """A model that others start from.

    :param label: names it in the plan, and the link to its process.
    :param source: what the study calls it: the label of a dataset, or of a model of several properties.
    :param sources: labels of the datasets that it learns.
    :param rows: of each of them.
    :param validation_fraction: share of the rows that validates.
    :param seed: of the rows that are drawn.
    :param parameters: of the training, as the process `embarrier.train` takes them.
    """

    label: str
    source: str
    sources: list[str]
    rows: Rows
    validation_fraction: float
    seed: int
    parameters: dict[str, Any]


class Cell(Section):
    """A training on a target that is tested: one row of the result.

    :param label: names it in the plan, and the link to its process.
    :param target: label of the dataset.
    :param source: what it starts from, as the study calls it; `scratch` for nothing.
    :param pretraining: label of that pre-training; None from scratch.
    :param rows: for training and validation together.
    :param trial: number of the draw of rows.
    :param strategy: of the fine-tuning; None from scratch.
    :param head: of the strategy, where it was said.
    :param freeze: of the strategy, where it was said.
    :param lr: learning rate.
    :param sampling: how the rows are drawn.
    :param validation_fraction: share of the rows that validates.
    :param parameters: of the training, as the process `embarrier.train` takes them.
    """

    label: str
    target: str
    source: str
    pretraining: str | None
    rows: Rows
    trial: int
    strategy: str | None
    head: str | None
    freeze: str | None
    lr: float
    sampling: str
    validation_fraction: float
    parameters: dict[str, Any]


class Plan(Section):
    """All trainings of a study; plain values, so that a node holds it.

    :param test: the rows that test.
    :param tested: labels of all targets of the study, also of those that this part of it leaves out: no pre-training
        sees their test crystals, so that it is the same one in every part. Empty for the targets of the cells.
    :param pretrainings: models that others start from.
    :param cells: trainings that are tested.
    """

    title: str | None = None
    test: TestRows = TestRows()
    tested: list[str] = Field(default_factory=list)
    pretrainings: list[PlannedPreTraining] = Field(default_factory=list)
    cells: list[Cell] = Field(min_length=1)

    @property
    def targets(self) -> list[str]:
        """Labels of the datasets that cells are tested on, in order."""
        return list(dict.fromkeys(cell.target for cell in self.cells))

    @property
    def unseen(self) -> list[str]:
        """Labels of the datasets whose test crystals are in no pre-training, in order."""
        return list(dict.fromkeys([*self.tested, *self.targets]))

    @property
    def datasets(self) -> list[str]:
        """Labels of all datasets that are needed, in order."""
        learnt = [label for entry in self.pretrainings for label in entry.sources]
        unseen = self.unseen if self.pretrainings else self.targets
        return list(dict.fromkeys([*learnt, *unseen]))

    @property
    def n_trainings(self) -> int:
        """Number of trainings."""
        return len(self.pretrainings) + len(self.cells)

    def only(self, labels: Collection[str]) -> Plan:
        """Return the plan of some of the cells, and of the pre-trainings that these start from.

        :raises ValueError: for labels that name no cell, and for none.
        """
        known = [cell.label for cell in self.cells]
        for label in labels:
            if label not in known:
                raise ValueError(f'the study has no cell {label!r}{closest(label, known)}')
        cells = [cell for cell in self.cells if cell.label in labels]
        if not cells:
            raise ValueError('no cell is left to train')
        needed = {cell.pretraining for cell in cells}
        return self.model_copy(
            update={'cells': cells, 'pretrainings': [entry for entry in self.pretrainings if entry.label in needed]}
        )


def expand(spec: StudySpec) -> Plan:
    """Return every training that a study asks for; what is the same is there once.

    :raises ValueError: where nothing is left to train, or more than the budget allows.
    """
    planned = _PreTrainings(spec)
    cells: dict[str, Cell] = {}
    for block in spec.finetuning:
        for cell in _cells_of(spec, block, planned):
            cells.setdefault(_content(cell), cell)
    if not cells:
        raise ValueError('the study trains nothing: every source is the target itself')
    taken: set[str] = set()
    named = []
    for cell in cells.values():
        label = label_of(*_words(cell, planned), taken=taken)
        taken.add(label)
        named.append(cell.model_copy(update={'label': label}))
    needed = {cell.pretraining for cell in named}
    plan = Plan(
        title=spec.title,
        test=spec.test,
        tested=list(dict.fromkeys(cell.target for cell in named)),
        pretrainings=[entry for entry in planned.entries.values() if entry.label in needed],
        cells=named,
    )
    if plan.n_trainings > spec.budget.max_trainings:
        raise ValueError(
            f'the study has {plan.n_trainings} trainings, and its budget allows {spec.budget.max_trainings}: raise '
            '`budget.max_trainings`, or leave out sources, rows, trials, strategies or learning rates'
        )
    return plan


class _PreTrainings:
    """The pre-trainings of a study, made as they are asked for, those of the same content once."""

    def __init__(self, spec: StudySpec) -> None:
        self.spec = spec
        self.entries: dict[str, PlannedPreTraining] = {}

    def of(self, source: str, target: str) -> list[PlannedPreTraining]:
        """Return what a source gives for a target; nothing where it is the target itself."""
        declared, spec = self.spec.pretraining, self.spec
        if source in declared.multi:
            multi = declared.multi[source]
            sources = list(multi.sources or spec.datasets)
            left_out = multi.leave_out_target and target in sources
            if left_out:
                sources.remove(target)
            if not sources:
                return []
            words = [source, *(['without', target] if left_out else [])]
            architecture = multi.architecture if multi.architecture is not None else spec.architecture
            return [self._entry(source, sources, multi.rows, 'multi', architecture, words)]
        if source == target:
            return []
        return [
            self._entry(source, [source], rows, 'pretraining', spec.architecture, [source, rows])
            for rows in declared.rows
        ]

    def _entry(
        self, source: str, sources: list[str], rows: Rows, stage: str, architecture: Any, words: list[Any]
    ) -> PlannedPreTraining:
        settings = self.spec.training.settings(stage, seed=self.spec.seed)
        parameters = _parameters(architecture_of(architecture), self.spec.graphs, settings)
        entry = PlannedPreTraining(
            label=label_of('pretrain', *words),
            source=source,
            sources=sources,
            rows=rows,
            validation_fraction=self.spec.pretraining.validation_fraction,
            seed=self.spec.pretraining.seed,
            parameters=parameters,
        )
        return self.entries.setdefault(_content(entry, 'source'), entry)

    def called(self, label: str | None) -> PlannedPreTraining | None:
        """Return the one of a label."""
        return next((entry for entry in self.entries.values() if entry.label == label), None)


def _cells_of(spec: StudySpec, block: FineTuning, planned: _PreTrainings) -> Iterator[Cell]:
    """Yield the cells of a block of a study, still without labels."""
    sources = spec.sources if block.sources is None else block.sources
    strategies = [transfer_of(entry) for entry in block.strategies]
    rates: list[float | None] = [None] if block.lr is None else list(block.lr)
    for target in block.targets:
        for rows in block.rows:
            for sampling in block.sampling:
                for trial in block.numbers_of_trials:
                    common = {
                        'label': '',
                        'target': target,
                        'rows': rows,
                        'trial': trial,
                        'sampling': sampling,
                        'validation_fraction': block.validation_fraction,
                    }
                    seed = spec.seed + trial - 1
                    for source in sources:
                        if source == SCRATCH:
                            yield _scratch(spec, rows, seed, common)
                            continue
                        for entry in planned.of(source, target):
                            for transfer in strategies:
                                for lr in rates:
                                    yield _finetuning(spec, rows, seed, source, entry, transfer, lr, common)


def _scratch(spec: StudySpec, rows: Rows, seed: int, common: dict[str, Any]) -> Cell:
    settings = spec.training.settings('scratch', rows, seed=seed)
    parameters = _parameters(architecture_of(spec.architecture), spec.graphs, settings)
    none = dict.fromkeys(('pretraining', 'strategy', 'head', 'freeze'))
    return Cell(**common, **none, source=SCRATCH, lr=settings.lr, parameters=parameters)


def _finetuning(
    spec: StudySpec,
    rows: Rows,
    seed: int,
    source: str,
    entry: PlannedPreTraining,
    transfer: Transfer,
    lr: float | None,
    common: dict[str, Any],
) -> Cell:
    settings = spec.training.settings('finetuning', rows, seed=seed, **({} if lr is None else {'lr': lr}))
    architecture = architecture_of(entry.parameters['architecture'])
    return Cell(
        **common,
        source=source,
        pretraining=entry.label,
        **transfer.model_dump(),
        lr=settings.lr,
        parameters=_parameters(architecture, spec.graphs, settings, transfer),
    )


def _parameters(
    architecture: Architecture, graphs: dict[str, Any], settings: TrainingSettings, transfer: Transfer | None = None
) -> dict[str, Any]:
    """Return the parameters of a training: what differs from the published settings."""
    found = {
        'architecture': {'base': 'published', **architecture.model_dump(exclude_defaults=True)},
        'graphs': GraphSettings(**graphs).model_dump(exclude_defaults=True),
        'training': settings.model_dump(exclude_defaults=True),
    }
    return found if transfer is None else {**found, 'transfer': transfer.model_dump(exclude_none=True)}


def _content(entry: Section, *left_out: str) -> str:
    """Return what makes a training, so that the same ones are known."""
    return json.dumps(entry.model_dump(exclude={'label', *left_out}), sort_keys=True)


def _words(cell: Cell, planned: _PreTrainings) -> list[Any]:
    """Return the words of the label of a cell: its label does not depend on what else is in the study."""
    words: list[Any] = [cell.target, cell.rows, f't{cell.trial}', cell.source]
    entry = planned.called(cell.pretraining)
    if entry is not None:
        words += [*([] if entry.rows == 'all' else [entry.rows]), cell.strategy]
        words += [word for word in (cell.head and f'{cell.head}_head', cell.freeze and f'freeze_{cell.freeze}') if word]
        words.append(f'lr{cell.lr:g}')
    return [*words, *([] if cell.sampling == 'random' else [cell.sampling])]
