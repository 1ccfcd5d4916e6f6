"""A study of transfer learning: models are pre-trained once, and fine-tuned on every target that is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.engine import ToContext
from aiida.orm import Bool, Dict, Int, SinglefileData
from pydantic import ValidationError

from aiida_embarrier.calculations.parameters import check_keys
from aiida_embarrier.calculations.relations import RelationsCalculation
from aiida_embarrier.calculations.transfer import tabulate_transfer
from aiida_embarrier.data.dataset import DatasetData
from aiida_embarrier.data.model import ModelData
from aiida_embarrier.data.table import TableData
from aiida_embarrier.engines.base import why
from aiida_embarrier.engines.resumption import taking_finished_jobs
from aiida_embarrier.jobs.messages import describe
from aiida_embarrier.workflows.pool import PoolWorkChain
from aiida_embarrier.workflows.train import TrainModelWorkChain
from aiida_embarrier.workflows.transfer_plan import Plan
from aiida_embarrier.workflows.transfer_reuse import finished_training
from aiida_embarrier.workflows.transfer_rows import RowsError, StudyRows, check_rows
from aiida_embarrier.workflows.transfer_spec import Budget

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiida.engine import ExitCode, ProcessBuilder
    from aiida.engine.processes.workchains.workchain import WorkChainSpec
    from aiida.orm import AbstractCode, ProcessNode

    from aiida_embarrier.workflows.transfer_spec import StudySpec

__all__ = ('TransferStudyWorkChain',)

#: Inputs of a training that differ from one to the other; all others are those of the study.
_OWN = ('datasets', 'splits', 'parameters', 'parent', 'checkpoint', 'metadata')

#: Entries of the input `budget`.
_BUDGET = ('max_trainings', 'max_concurrent', 'max_wall_seconds', 'max_core_hours', 'on_excess', 'estimate')


def plan_of(node: Dict) -> Plan:
    """Return the plan in a node."""
    return Plan(**node.get_dict())


def validate_plan(node: Dict, _: Any) -> str | None:
    """Check the plan."""
    try:
        plan = plan_of(node)
    except ValidationError as error:
        return describe(error)
    except ValueError as error:
        return str(error)
    known = {entry.label for entry in plan.pretrainings}
    for cell in plan.cells:
        if cell.pretraining is not None and cell.pretraining not in known:
            return f'the cell {cell.label!r} starts from {cell.pretraining!r}, which is not pre-trained'
    labels = [*known, *(cell.label for cell in plan.cells)]
    repeated = [label for label in labels if labels.count(label) > 1]
    return f'the label {repeated[0]!r} is there more than once' if repeated else None


def validate_budget(node: Dict | None, _: Any) -> str | None:
    """Check that the budget has known entries, with values that can be."""
    if node is None:
        return None
    entries = node.get_dict()
    try:
        check_keys(entries, _BUDGET)
        Budget(**{name: value for name, value in entries.items() if name != 'estimate'})
    except ValidationError as error:
        return describe(error)
    except ValueError as error:
        return str(error)
    return None


def validate_inputs(inputs: Any, _: Any) -> str | None:
    """Check that datasets, plan, published samples and budget fit together."""
    if 'plan' not in inputs:
        return 'the input `plan` is missing'
    plan = plan_of(inputs['plan'])
    limit = inputs['budget'].get_dict().get('max_trainings') if 'budget' in inputs else None
    if limit is not None and plan.n_trainings > limit:
        return f'the plan has {plan.n_trainings} trainings, and the budget allows {limit}'
    return check_rows(plan, inputs.get('datasets', {}), inputs.get('published'))


class TransferStudyWorkChain(PoolWorkChain):
    """Pre-train models, fine-tune them on targets with few rows, and compare that with training from scratch.

    What is pre-trained is trained once, whatever starts from it. Structures that test any target are in no
    pre-training. Trainings run side by side up to a limit, and each starts as soon as it can. One that fails is a row
    of the result that says why, and the others go on; where a pre-training fails, so do those alone that start from it.
    Trainings that were done before are taken from the database: a study that is started again trains what is missing.
    """

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define the inputs, the outline, the outputs and the exit codes."""
        super().define(spec)
        spec.input_namespace(
            'datasets', valid_type=DatasetData, dynamic=True, help='Datasets of properties by their labels in the plan.'
        )
        spec.input(
            'plan',
            valid_type=Dict,
            validator=validate_plan,
            help='All trainings: `aiida_embarrier.workflows.transfer_plan.Plan` as plain values.',
        )
        spec.input(
            'published',
            valid_type=SinglefileData,
            required=False,
            help='Sample ids of the authors, where rows are drawn as `published`.',
        )
        spec.input(
            'published_results',
            valid_type=TableData,
            required=False,
            help='Results of the authors, beside which ours are put.',
        )
        spec.input(
            'budget',
            valid_type=Dict,
            required=False,
            validator=validate_budget,
            help='What it was to take at most, and `estimate`, what it was expected to take.',
        )
        spec.input(
            'reuse',
            valid_type=Bool,
            default=lambda: Bool(True),
            help='Whether trainings are taken from the database where the same was trained before.',
        )
        spec.input(
            'relations',
            valid_type=Bool,
            default=lambda: Bool(True),
            help='Whether sources and targets are compared by their correlation and their distributions.',
        )
        spec.expose_inputs(TrainModelWorkChain, namespace='training', exclude=_OWN)
        # what a training checks of all its inputs it checks itself: here most of them are missing
        spec.inputs['training'].validator = None
        spec.inputs.validator = validate_inputs
        spec.outline(cls.setup, cls.pool_steps(), cls.relate, cls.tabulate)
        spec.output('cells', valid_type=TableData, required=False, help='A row for each training that is tested.')
        spec.output('summary', valid_type=TableData, required=False, help='Means over trials, and gains over scratch.')
        spec.output('relations', valid_type=TableData, required=False, help='How sources and targets relate.')
        spec.output_namespace(
            'pretrained', valid_type=ModelData, required=False, dynamic=True, help='The models that others start from.'
        )
        spec.exit_code(310, 'ERROR_NO_CELL', message='No training has a result; the first of them: {message}')
        spec.exit_code(
            511,
            'ERROR_SOME_CELLS',
            message='{failed} of {n_cells} trainings have no result; tables of what the others gave are outputs, and '
            '`aiida-embarrier resume` trains what is missing. {message}',
        )

    @classmethod
    def get_builder_from_study(
        cls,
        code: AbstractCode,
        spec: StudySpec,
        plan: Plan,
        datasets: Mapping[str, DatasetData],
        *,
        published: SinglefileData | None = None,
        published_results: TableData | None = None,
        options: Mapping[str, Any] | None = None,
        estimate: Mapping[str, Any] | None = None,
    ) -> ProcessBuilder:
        """Return a builder with everything filled in; every input can still be changed.

        :param code: of `embarrier-worker`.
        :param spec: what the file of the study says.
        :param plan: all or some of its trainings.
        :param datasets: by the labels of the study.
        :param options: of the jobs; those of the study unless given.
        :param estimate: what it is expected to take.
        """
        builder = cls.get_builder()
        builder.datasets = {label: datasets[label] for label in plan.datasets}
        builder.plan = Dict(plan.model_dump())
        builder.training.code = code
        wall = {} if spec.budget.max_wall_seconds is None else {'max_wallclock_seconds': spec.budget.max_wall_seconds}
        builder.training.options = Dict({**wall, **(spec.options if options is None else options)})
        if spec.hardware:
            builder.training.settings = Dict(spec.hardware)
        for name, node in (('published', published), ('published_results', published_results)):
            if node is not None:
                builder[name] = node
        limits = spec.budget.model_dump(exclude={'seconds_per_atom'}, exclude_none=True)
        builder.budget = Dict({**limits, **({} if estimate is None else {'estimate': dict(estimate)})})
        builder.max_concurrent = Int(spec.budget.max_concurrent)
        builder.reuse = Bool(spec.reuse)
        builder.relations = Bool(spec.relations)
        return builder

    # ---------------------------------------------------------------- trainings

    def setup(self) -> None:
        """Begin with the pre-trainings, and say what is going to happen."""
        plan = plan_of(self.inputs.plan)
        self.ctx.left_out = {}
        self.ctx.rows = {}
        self.ctx.pretrainings = {entry.label: entry.model_dump() for entry in plan.pretrainings}
        self.ctx.cells = {cell.label: cell.model_dump() for cell in plan.cells}
        # from scratch first, as it waits for nothing; the sort is stable
        ordered = sorted(plan.cells, key=lambda cell: cell.pretraining is not None)
        self.fill_pool([*self.ctx.pretrainings, *(cell.label for cell in ordered)])
        limit = f', {self.inputs.max_concurrent.value} at a time' if 'max_concurrent' in self.inputs else ''
        self.report(
            f'{len(plan.pretrainings)} pre-training(s) and {len(plan.cells)} training(s) on {", ".join(plan.targets)}'
            f'{limit}'
        )

    def is_ready(self, task: str) -> bool:
        """Return whether the model that a training starts from is there, or will never be."""
        before = self.ctx.cells[task]['pretraining'] if task in self.ctx.cells else None
        return before is None or self.has_ended(before)

    def start_task(self, task: str) -> ProcessNode | None:
        """Draw the rows of a training and start it, unless it was done before."""
        try:
            inputs = self._inputs_of(task)
        except RowsError as error:
            self._leave_out(task, error)
            return None
        if self.inputs.reuse.value:
            done = finished_training(inputs)
            if done is not None:
                self.ctx[task] = done
                self.report(f'{task} was done before: {done.pk}')
                return None
        try:
            node = self.submit(TrainModelWorkChain, metadata={'call_link_label': task}, **inputs)
        except ValueError as error:  # its inputs do not fit, say for a row without a target: the others may
            self._leave_out(task, error)
            return None
        self.report(f'{task}: {node.pk}')
        return node

    def _leave_out(self, task: str, error: ValueError) -> None:
        self.ctx.left_out = {**self.ctx.left_out, task: str(error)}
        self.report(f'{task} is left out: {error}')

    def _inputs_of(self, task: str) -> dict[str, Any]:
        """Return the inputs of a training, all nodes stored.

        :raises RowsError: where it cannot start, with the reason.
        """
        common = dict(self.inputs.training)
        rows = StudyRows(self.inputs, self.ctx)
        if task in self.ctx.pretrainings:
            entry = self.ctx.pretrainings[task]
            labels = entry['sources']
            splits = {label: rows.of_pretraining(label, entry) for label in labels}
            return {**common, **self._learning(labels, splits, entry['parameters'])}
        cell = self.ctx.cells[task]
        before = cell['pretraining']
        parent = {} if before is None else {'parent': self._model_of(before)}
        splits = {cell['target']: rows.of_cell(cell)}
        return {**common, **self._learning([cell['target']], splits, cell['parameters']), **parent}

    def _learning(self, labels: list[str], splits: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
        return {
            'datasets': {label: self.inputs.datasets[label] for label in labels},
            'splits': splits,
            'parameters': Dict(parameters).store(),  # stored: an earlier training is known by its hash
        }

    def _model_of(self, pretraining: str) -> ModelData:
        node = self.ctx.get(pretraining)
        if node is None:
            raise RowsError(f'its pre-training was left out: {self.ctx.left_out[pretraining]}')
        if not node.is_finished_ok:
            raise RowsError(f'its pre-training {node.pk} failed: {why(node)}')
        return node.outputs.model

    # ---------------------------------------------------------------- what came of it

    def relate(self) -> Any:
        """Compare sources and targets by their correlation and their distributions."""
        plan = plan_of(self.inputs.plan)
        if not self.inputs.relations.value or not plan.pretrainings or len(plan.datasets) < 2:
            return None
        training = self.inputs.training
        options = training.options.get_dict() if 'options' in training else {}
        try:
            with taking_finished_jobs(self.inputs.reuse.value):
                node = self.submit(
                    RelationsCalculation,
                    code=training.code,
                    datasets={label: self.inputs.datasets[label] for label in plan.datasets},
                    metadata={'call_link_label': 'relate', 'options': of_one_process(options)},
                )
        except ValueError as error:  # the tables of the trainings are worth more
            self.report(f'there are no relations of the datasets: {error}')
            return None
        self.report(f'comparing {", ".join(plan.datasets)}: {node.pk}')
        return ToContext(relating=node)

    def tabulate(self) -> ExitCode | None:
        """Gather what there is in tables, and attach it."""
        relating = self.ctx.get('relating')
        if relating is not None and relating.is_finished_ok:
            self.out('relations', relating.outputs.relations)
        elif relating is not None:
            self.report(f'there are no relations of the datasets: {why(relating)}')
        nodes: dict[str, Any] = {}
        failures, trainings = dict(self.ctx.left_out), {}
        for label in (*self.ctx.pretrainings, *self.ctx.cells):
            node = self.ctx.get(label)
            if node is None:
                continue
            trainings[label] = node.uuid
            if not node.is_finished_ok:
                failures[label] = why(node)
                continue
            nodes |= {f'results_{label}': node.outputs.results, f'model_{label}': node.outputs.model}
        parameters = {
            'plan': self.inputs.plan.get_dict(),
            'failures': failures,
            'not_run': list(self.ctx.left_out),
            'trainings': trainings,
        }
        if 'published_results' in self.inputs:
            nodes['published'] = self.inputs.published_results
        tables, process = tabulate_transfer.run_get_node(
            Dict(parameters), **nodes, metadata={'call_link_label': 'tabulate'}
        )
        pretrained = {label: nodes[f'model_{label}'] for label in self.ctx.pretrainings if f'model_{label}' in nodes}
        if pretrained:
            self.out('pretrained', pretrained)
        if not process.is_finished_ok:
            return self.exit_codes.ERROR_NO_CELL.format(message=why(process))
        self.out_many(tables)
        return self._end(tables['cells'], failures)

    def _end(self, table: TableData, failures: Mapping[str, str]) -> ExitCode | None:
        """Return the exit code, with the reasons of failures, each once."""
        cells = table.table
        failed = cells[cells['status'] != 'done']
        reasons: dict[str, list[str]] = {}
        for row in failed.itertuples(index=False):
            reasons.setdefault(failures.get(row.cell, row.message), []).append(row.cell)
        message = '; '.join(f'{_listed(labels)}: {reason}' for reason, labels in reasons.items())
        if len(failed) == len(cells):
            return self.exit_codes.ERROR_NO_CELL.format(message=message)
        if len(failed):
            return self.exit_codes.ERROR_SOME_CELLS.format(failed=len(failed), n_cells=len(cells), message=message)
        return None


def _listed(labels: list[str], most: int = 3) -> str:
    """Return labels for a message, of many the first ones."""
    more = f' and {len(labels) - most} more' if len(labels) > most else ''
    return ', '.join(labels[:most]) + more


def of_one_process(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of trainings for a job of one process on one machine, in the same queue and account."""
    counts = {'num_machines', 'num_mpiprocs_per_machine', 'tot_num_mpiprocs'}
    resources = {key: 1 if key in counts else value for key, value in options.get('resources', {}).items()}
    return {**options, 'withmpi': False, **({'resources': resources} if resources else {})}
