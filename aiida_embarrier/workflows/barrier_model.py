"""From a dataset of barriers to a model that predicts them, compared with others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.engine import WorkChain, if_
from aiida.orm import Dict

from aiida_embarrier.calculations.barrier_analysis import BarrierAnalysisCalculation
from aiida_embarrier.calculations.prediction import validate_model_inputs
from aiida_embarrier.calculations.prediction_inputs import check_described, resolve_features, resolve_models
from aiida_embarrier.engines.base import why
from aiida_embarrier.workflows.barrier_model_jobs import FitBarrierModelWorkChain, PathFeaturesWorkChain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiida.engine import ExitCode, ProcessBuilder, ToContext
    from aiida.engine.processes.workchains.workchain import WorkChainSpec
    from aiida.orm import AbstractCode

    from aiida_embarrier.data.dataset import DatasetData
    from aiida_embarrier.data.model import ModelData
    from aiida_embarrier.data.table import TableData

__all__ = ('BarrierModelWorkChain',)


class BarrierModelWorkChain(WorkChain):
    """Describe the paths of a dataset, compare models of their barriers, fit the one that is kept, say where they err.

    Numbers that describe the paths are made where `describe` says how, or taken where `features` are given; models that
    look at paths themselves need neither.
    """

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define the inputs, the outline, the outputs and the exit codes."""
        super().define(spec)
        # a label is that of the whole: with that of a part, too, it would name none of them
        spec.expose_inputs(
            FitBarrierModelWorkChain, exclude=('checkpoint', 'clean_workdir', 'handler_overrides', 'metadata')
        )
        spec.expose_inputs(
            PathFeaturesWorkChain, namespace='describe', include=('parameters',), namespace_options={'required': False}
        )
        spec.inputs[
            'describe'
        ].help = 'How paths are described where no `features` are given: `parameters` with `potential` and `budget`.'
        spec.inputs.validator = validate_inputs
        spec.outline(
            if_(cls.should_describe)(cls.describe, cls.inspect_features),
            cls.fit,
            cls.inspect_fit,
            if_(cls.should_analyse)(cls.analyse, cls.inspect_analysis),
        )
        spec.output_namespace('jobs', dynamic=True, required=False, help='How the jobs went.', valid_type=Dict)
        spec.expose_outputs(PathFeaturesWorkChain, include=('features',))
        spec.expose_outputs(FitBarrierModelWorkChain, include=('model', 'predictions', 'comparison', 'results'))
        spec.expose_outputs(BarrierAnalysisCalculation, include=('analysis', 'figures'))
        spec.exit_code(401, 'ERROR_FEATURES', message='The paths were not described: work chain {pk} says: {message}')
        spec.exit_code(402, 'ERROR_FIT', message='The models were not fitted: work chain {pk} says: {message}')
        spec.exit_code(
            403,
            'ERROR_ANALYSIS',
            message='Models and predictions are there, but the analysis of these or its figures are not '
            '(`aiida-embarrier resume` makes them): job {pk} says: {message}',
        )

    @classmethod
    def get_builder_from(
        cls,
        code: AbstractCode,
        dataset: DatasetData,
        parameters: Mapping[str, Any],
        *,
        describe: Mapping[str, Any] | None = None,
        features: TableData | None = None,
        split: TableData | None = None,
        parents: Mapping[str, ModelData] | None = None,
        settings: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> ProcessBuilder:
        """Return a builder; what is None is left out.

        :param code: of `embarrier-worker`.
        :param dataset: paths with their barriers.
        :param parameters: `models`, `validations`, `fit` and so on.
        :param describe: `potential` and `budget`, to have paths described.
        :param features: numbers that describe the paths, instead.
        :param split: `name` and `part` of the rows.
        :param parents: models that networks start from, by their labels.
        :param settings: how a job uses its machine.
        :param options: of the jobs.
        """
        builder = cls.get_builder()
        builder.code, builder.dataset, builder.parameters = code, dataset, Dict(dict(parameters))
        if describe is not None:
            # the version and the weights of a potential are inputs, too
            builder.describe = {'parameters': Dict(resolve_features(describe).dumped())}
        if parents:
            builder.parents = dict(parents)
        for name, node in (('features', features), ('split', split)):
            if node is not None:
                builder[name] = node
        for name, entries in (('settings', settings), ('options', options)):
            if entries is not None:
                builder[name] = Dict(dict(entries))
        return builder

    def should_describe(self) -> bool:
        """Return whether paths are to be described."""
        return bool(self.inputs.get('describe'))

    def describe(self) -> ToContext:
        """Describe the paths."""
        inputs = {name: self.inputs[name] for name in _OF_ALL_JOBS if name in self.inputs}
        node = self.submit(
            PathFeaturesWorkChain, dataset=self.inputs.dataset, parameters=self.inputs.describe.parameters, **inputs
        )
        self.report(f'work chain {node.pk} describes the paths')
        return self.to_context(features=node)

    def inspect_features(self) -> ExitCode | None:
        """Attach the numbers, or end."""
        chain = self.ctx.features
        if 'features' in chain.outputs:
            self.out('features', chain.outputs.features)
        if 'results' in chain.outputs:
            self.out('jobs.features', chain.outputs.results)
        if not chain.is_finished_ok:
            failed: ExitCode = self.exit_codes.ERROR_FEATURES.format(pk=chain.pk, message=why(chain))
            return failed
        return None

    def fit(self) -> ToContext:
        """Compare the models, and fit one."""
        inputs = self.exposed_inputs(FitBarrierModelWorkChain)
        if self.should_describe():
            inputs['features'] = self.ctx.features.outputs.features
        node = self.submit(FitBarrierModelWorkChain, **inputs)
        self.report(f'work chain {node.pk} compares models')
        return self.to_context(fit=node)

    def inspect_fit(self) -> ExitCode | None:
        """Attach what the models came to."""
        chain = self.ctx.fit
        self.out_many(self.exposed_outputs(chain, FitBarrierModelWorkChain))
        if not chain.is_finished_ok:
            failed: ExitCode = self.exit_codes.ERROR_FIT.format(pk=chain.pk, message=why(chain))
            return failed
        return None

    def should_analyse(self) -> bool:
        """Return whether there are predictions of rows that were not learned from."""
        return 'predictions' in self.ctx.fit.outputs

    def analyse(self) -> ToContext:
        """Say where the models err."""
        options = self.inputs.options.get_dict() if 'options' in self.inputs else {}
        given = self.inputs.parameters.get_dict()
        shown = {
            'title': given.get('title'),
            'source': self.inputs.dataset.base.attributes.get('source', None),
            'model': given.get('fit'),
        }
        parameters = {'figures': {name: value for name, value in shown.items() if value is not None}}
        if 'n_resamples' in given:
            parameters['n_resamples'] = given['n_resamples']
        node = self.submit(
            BarrierAnalysisCalculation,
            code=self.inputs.code,
            dataset=self.inputs.dataset,
            predictions=self.ctx.fit.outputs.predictions,
            parameters=Dict(parameters),
            metadata={'options': options},
            **({'split': self.inputs.split} if 'split' in self.inputs else {}),
        )
        self.report(f'job {node.pk} analyses the predictions')
        return self.to_context(analysis=node)

    def inspect_analysis(self) -> ExitCode | None:
        """Attach the analysis and its figures, as far as they are there."""
        job = self.ctx.analysis
        self.out_many(self.exposed_outputs(job, BarrierAnalysisCalculation))
        if 'results' in job.outputs:
            self.out('jobs.analysis', job.outputs.results)
        if not job.is_finished_ok:
            failed: ExitCode = self.exit_codes.ERROR_ANALYSIS.format(pk=job.pk, message=why(job))
            return failed
        return None


#: Inputs that the jobs of both chains take.
_OF_ALL_JOBS = ('code', 'settings', 'options', 'max_iterations')


def validate_inputs(inputs: Any, port: Any) -> str | None:
    """Check that the inputs fit together, before anything is described for hours."""
    if inputs.get('describe') and 'features' in inputs:
        return 'give either `features`, or how to `describe` paths'
    if inputs.get('describe') and 'parameters' in inputs:
        asked = resolve_models(inputs['parameters'].get_dict())
        described = resolve_features(inputs['describe']['parameters'].get_dict())
        wrong = check_described(asked['models'], described)
        if wrong is not None:
            return wrong
    return validate_model_inputs(inputs, port)
