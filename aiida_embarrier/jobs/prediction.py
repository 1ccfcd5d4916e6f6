"""Jobs that describe migration paths, fit and compare models of barriers, and predict with them; what a model says."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, JsonValue, field_validator, model_validator

from aiida_embarrier.jobs.plain import PlainJob, PlainResult
from aiida_embarrier.jobs.potentials import PotentialSpec
from aiida_embarrier.jobs.schemas import Label, Schema

__all__ = (
    'ABOUT_FEATURES',
    'COLUMNS_OF_PATHS',
    'NUMBERS_OF_POTENTIAL',
    'BarrierHardware',
    'BarrierModelCard',
    'BarrierModelJob',
    'BarrierModelResult',
    'BarrierScore',
    'Estimate',
    'FeatureSettings',
    'ModelSpec',
    'NebSettings',
    'PathFeaturesJob',
    'PathFeaturesResult',
    'PredictBarriersJob',
    'PredictBarriersResult',
    'Validation',
)

#: A row per path: `name`, numbers, and `reason` (why a path could not be described, else missing).
FEATURES_FILE = 'features.parquet'
#: Columns of it that are no numbers of a path.
ABOUT_FEATURES = ('name', 'reason', 'key')
#: A row per path that was described, as in `features.parquet`, and the `key` of what its numbers depend on.
FEATURES_CHECKPOINT_FILE = 'features_checkpoint.parquet'
#: A row per model, validation, seed and row: `model`, `validation`, `seed`, `fold`, `name`, `barrier`, `prediction`,
#: `difficulty` (JSON list), `lower`, `upper`, `flags` (JSON list), `barrier_definition` (of the known barrier).
#: Of a job that only predicts: `name`, `prediction`, `lower`, `upper`, `flags`, `in_training` (whether the model
#: learned from this row; missing where it cannot tell), `barrier_definition` (what is predicted), `reason` (why a row
#: could not be predicted).
BARRIERS_FILE = 'predictions.parquet'
#: The same, as far as a job came, and the `key` of what its numbers depend on.
MODEL_CHECKPOINT_FILE = 'folds_checkpoint.parquet'
#: A row per model and validation: numbers of rows, folds and seeds, errors with 95 % confidence intervals.
COMPARISON_FILE = 'comparison.parquet'
#: Folder of parent models in that of a job, each in a folder of its own.
PARENTS = 'parents'

#: Columns of a dataset that tell a path; a job that predicts sees no others.
COLUMNS_OF_PATHS = (
    'name',
    'lattice',
    'species',
    'frac_coords',
    'ion',
    'path',
    'final_lattice',
    'final_frac_coords',
    'functional',
)


class NebSettings(Schema):
    """A whole elastic band of a potential along a path, its ends relaxed at fixed cell.

    :param n_images: images, ends included.
    :param climb: let the highest image climb.
    :param spring_constant: in eV/Å².
    :param force_threshold: of ends and band in eV/Å.
    :param max_evaluations: of the potential for one path; a band that needs more has not converged.
    :param max_atoms: no band is run in a cell with more atoms, the ion included; None for any.
    """

    n_images: int = Field(5, ge=3)
    climb: bool = True
    spring_constant: float = Field(5.0, gt=0)
    force_threshold: float = Field(0.05, gt=0)
    max_evaluations: int = Field(2000, gt=0)
    max_atoms: int | None = Field(None, gt=0)


class FeatureSettings(Schema):
    """What the numbers that describe paths depend on beside the paths.

    :param potential: whose energies along a path are among them; None for geometry and composition alone.
    :param budget: evaluations of the potential for each path, at most, those of `neb` not counted.
    :param neb: a whole elastic band of the potential along each path, too, which takes some hundreds of evaluations;
        None for none.
    """

    potential: PotentialSpec | None = None
    budget: int = Field(150, gt=0)
    neb: NebSettings | None = None

    @model_validator(mode='after')
    def _band_has_potential(self) -> FeatureSettings:
        if self.neb is not None and self.potential is None:
            raise ValueError('`neb` needs a `potential` whose elastic bands are meant')
        return self

    def dumped(self) -> dict[str, Any]:
        """Return the settings as JSON values for what is told apart by them; without an entry that is not used."""
        return self.model_dump(mode='json', exclude={'neb'} if self.neb is None else None)


class BarrierHardware(Schema):
    """What a job may use of its machine; it changes nothing of what is predicted.

    :param device: of the potential: `auto` for a GPU where there is one.
    :param processes: one-thread processes that evaluate it on a CPU; None for as many as cores and memory allow.
    :param threads: of the models; None for all cores.
    """

    device: Literal['auto', 'cpu', 'cuda'] = 'auto'
    processes: int | None = Field(None, gt=0)
    threads: int | None = Field(None, gt=0)


class PathFeaturesJob(PlainJob):
    """Paths to describe by numbers.

    A job that is stopped leaves :data:`FEATURES_CHECKPOINT_FILE`; what it came to is not computed again by the next.

    :param dataset: file with the rows, of the schema `barrier`; only :data:`COLUMNS_OF_PATHS` are looked at.
    :param features: what the numbers depend on.
    :param restart: name of the checkpoint of an earlier job.
    :param checkpoint_seconds: how often a checkpoint is written.
    """

    job: Literal['path_features'] = 'path_features'
    dataset: str
    features: FeatureSettings = FeatureSettings()
    hardware: BarrierHardware = BarrierHardware()
    restart: str | None = None
    checkpoint_seconds: float = Field(60.0, gt=0)


class PathFeaturesResult(PlainResult):
    """How paths were described; the numbers lie beside it.

    :param n_rows: rows of the dataset.
    :param n_described: of which were described.
    :param n_taken_over: of which an earlier job described.
    :param n_features: numbers of each.
    :param left_out: rows that could not be described, and why, by their names.
    :param potential: with the version that was found here.
    :param rows_per_s: described rows per second.
    :param checkpoint: whether a checkpoint lies beside it.
    """

    n_rows: int = 0
    n_described: int = 0
    n_taken_over: int = 0
    n_features: int = 0
    left_out: dict[str, str] = Field(default_factory=dict)
    potential: PotentialSpec | None = None
    device: str | None = None
    rows_per_s: float | None = None
    checkpoint: bool = False


class ModelSpec(Schema):
    """A model to fit.

    :param label: its name in tables; that of the model unless given.
    :param model: one of :data:`aiida_embarrier.prediction.registry.MODELS`.
    :param settings: keyword arguments of its class.
    :param parent: label of the parent model that it starts from, for networks.
    """

    label: Label
    model: str
    settings: dict[str, JsonValue] = Field(default_factory=dict)
    parent: Label | None = None

    @model_validator(mode='before')
    @classmethod
    def _named_like_its_model(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {'label': value, 'model': value}
        if isinstance(value, dict) and 'label' not in value and 'model' in value:
            return {'label': value['model'], **value}
        return value


#: Models that are one number of a potential, by the entry of :class:`FeatureSettings` that makes it.
NUMBERS_OF_POTENTIAL = {'potential_path': 'potential', 'potential_relaxed': 'potential', 'potential_neb': 'neb'}

#: How rows are parted for a validation: at random, by groups that stay together, or as a split says.
How = Literal['random', 'host_group', 'framework_group', 'family_group', 'chemsys_group', 'split']


class Validation(Schema):
    """A way to predict rows that a model did not learn from.

    :param how: `random`, the column whose groups stay together, or `split`: a model of the rows of the part `train`
        predicts those of `validation`, and one of both those of `test`; in tables these stand as `validation`, `test`.
    :param folds: number of parts, each predicted by a model of the others.
    :param seeds: with each of them parts are drawn and models are fitted anew.
    """

    how: How
    folds: int = Field(10, gt=1)
    seeds: list[int] = Field(default_factory=lambda: [0], min_length=1)

    @field_validator('seeds')
    @classmethod
    def _seeds_differ(cls, value: list[int]) -> list[int]:
        if any(seed < 0 for seed in value) or len(set(value)) < len(value):
            raise ValueError('seeds are different numbers from 0')
        return value


class BarrierModelJob(PlainJob):
    """Models of barriers to compare, and one of them to keep.

    Rows of the part `test` of a split are learned from by no model; rows of other parts than `train`, `validation` and
    `test` are left out.

    :param dataset: file with the rows, of the schema `barrier`.
    :param dataset_uuid: of the node that they come from.
    :param dataset_hash: hash of its content.
    :param features: file with `name` and numbers for each row, as :class:`PathFeaturesJob` makes it; None for models
        that look at paths themselves.
    :param feature_settings: what it was made with; None where that is not known.
    :param split: file with `name` and `part`; None where all rows are learned from.
    :param models: that are compared.
    :param validations: how.
    :param fit: label of the model that is fitted to all rows but those that test, and kept.
    :param seed: of that fit.
    :param coverage: of the intervals.
    :param n_resamples: of the bootstrap over rows.
    :param title: of the model that is kept, one line for people.
    :param licence: of the model.
    :param limits: what the model is not good for.
    :param source: address, DOI or UUID of its origin.
    :param restart: name of the checkpoint of an earlier job: folds that it came to are not fitted again.
    :param checkpoint_seconds: how often a checkpoint is written.
    """

    job: Literal['barrier_model'] = 'barrier_model'
    dataset: str
    dataset_uuid: str | None = None
    dataset_hash: str | None = None
    features: str | None = None
    feature_settings: FeatureSettings | None = None
    split: str | None = None
    models: list[ModelSpec] = Field(min_length=1)
    validations: list[Validation] = Field(default_factory=list)
    fit: Label | None = None
    seed: int = Field(0, ge=0)
    coverage: float = Field(0.9, gt=0, lt=1)
    n_resamples: int = Field(2000, gt=0)
    title: str | None = None
    licence: str | None = None
    limits: str | None = None
    source: str | None = None
    hardware: BarrierHardware = BarrierHardware()
    restart: str | None = None
    checkpoint_seconds: float = Field(60.0, gt=0)

    @model_validator(mode='after')
    def _fits_together(self) -> BarrierModelJob:
        labels = [spec.label for spec in self.models]
        hows = [str(validation.how) for validation in self.validations]
        for what, found in (('label', labels), ('validation', hows)):
            repeated = [name for name in found if found.count(name) > 1]
            if repeated:
                raise ValueError(f'the {what} {repeated[0]!r} is there more than once')
        if self.fit is not None and self.fit not in labels:
            raise ValueError(f'`fit` is {self.fit!r}, which is no label of a model: choose from {", ".join(labels)}')
        if self.fit is None and not self.validations:
            raise ValueError('nothing is asked for: give `validations`, or the label of a model to `fit`')
        if 'split' in hows and self.split is None:
            raise ValueError('the validation `split` needs a split: give one, or another validation')
        return self


class Estimate(Schema):
    """A number and its 95 % confidence interval; None where there is none."""

    value: float | None
    low: float | None = None
    high: float | None = None


class BarrierScore(Schema):
    """How a model predicted rows that it did not learn from.

    :param model: its label.
    :param validation: how rows were parted, see :class:`Validation`; of a split the part that was predicted.
    :param n: number of rows.
    :param folds: number of parts; None for a split.
    :param values: `mae_eV`, `r2`, ...: means over the seeds, with intervals by bootstrap over rows; `mae_eV_of_seeds`
        and so on with those over seeds; `coverage` and `median_width_eV` of the intervals.
    """

    model: str
    validation: str
    n: int
    folds: int | None = None
    seeds: list[int]
    values: dict[str, Estimate] = Field(default_factory=dict)


class BarrierModelResult(PlainResult):
    """How models were compared and one was fitted; tables and the model lie beside it.

    :param rows: numbers of rows by part; without a split all are `train`.
    :param n_unused: rows of the dataset that a split has in no part, or in one that is used for nothing.
    :param left_out: rows that are no paths a model can see, and why, by their names.
    :param n_fits: models that were fitted.
    :param n_taken_over: folds that an earlier job fitted.
    :param scores: of each model in each validation.
    :param learned: by the labels of models that say something of their fits, one entry for each: `validation`, `seed`,
        `fold`, and of networks `n_parameters`, `epochs`, `n_training`, `parent` and so on.
    :param fitted: label of the model that is kept.
    :param fit_s: seconds of all fits.
    :param checkpoint: whether a checkpoint lies beside it.
    """

    rows: dict[str, int] = Field(default_factory=dict)
    n_unused: int = 0
    left_out: dict[str, str] = Field(default_factory=dict)
    n_fits: int = 0
    n_taken_over: int = 0
    scores: list[BarrierScore] = Field(default_factory=list)
    learned: dict[str, list[dict[str, JsonValue]]] = Field(default_factory=dict)
    fitted: str | None = None
    fit_s: float = 0.0
    peak_memory_mb: float | None = None
    checkpoint: bool = False


class PredictBarriersJob(PlainJob):
    """Paths to predict with the model `model.safetensors`, `model.json` in the folder of the job.

    :param dataset: file with the rows; only :data:`COLUMNS_OF_PATHS` are looked at.
    :param features: file with the numbers of the rows, made with the settings that the card says; None to make them.
    """

    job: Literal['predict_barriers'] = 'predict_barriers'
    dataset: str
    features: str | None = None
    hardware: BarrierHardware = BarrierHardware()


class PredictBarriersResult(PlainResult):
    """What was predicted; the predictions lie beside it, also where the job was stopped, of the rows it came to.

    :param n_rows: rows that were predicted.
    :param n_flagged: of which are unlike what the model learned from.
    :param left_out: rows that cannot be predicted, and why, by their names.
    :param coverage: of the intervals; None where the model has none.
    :param rows_per_s: rows per second, numbers that describe them included.
    """

    n_rows: int = 0
    n_flagged: int = 0
    left_out: dict[str, str] = Field(default_factory=dict)
    coverage: float | None = None
    potential: PotentialSpec | None = None
    device: str | None = None
    rows_per_s: float | None = None
    peak_memory_mb: float | None = None


class BarrierSource(Schema):
    """A dataset that a model was fitted to.

    :param rows: number of its rows by part.
    """

    uuid: str | None = None
    hash: str | None = None
    rows: dict[str, int] = Field(default_factory=dict)


class BarrierModelCard(Schema):
    """What a model of barriers says of itself; it lies beside its weights.

    :param format: version of this card.
    :param kind: what the weights are of.
    :param model: its name in :data:`aiida_embarrier.prediction.registry.MODELS`.
    :param settings: what it was made with.
    :param state: plain values of what it learned, beside the arrays in the weights.
    :param features: names of the numbers that it reads, in their order; empty for one that looks at paths themselves.
    :param feature_settings: what these depend on; None for a model without, and where that is not known.
    :param ions: ions of the rows that it learned from, with their numbers.
    :param barrier_definitions: definitions of the barriers that it learned from, and so of those that it predicts, with
        their numbers; see :data:`aiida_embarrier.datasets.definitions.DEFINITIONS`. Empty where they were not recorded.
    :param coverage: of its intervals; None where it has none.
    :param intervals: plain values of these, beside their arrays.
    :param domain: plain values of what it takes for unlike its rows; None where it flags nothing.
    :param datasets: what it was fitted to.
    :param split: how rows were parted for its scores, in words.
    :param scores: of rows that a model like it did not learn from.
    :param leakage: what those shared with the rows that were learned from, by validation.
    :param parent: sha256 of the weights of the parent.
    :param n_parameters: numbers in its weights, without the statistics of normalisations of a network.
    :param seed: of the fit.
    :param weights_sha256: sha256 of the file with the weights.
    :param title: one line for people.
    :param licence: of the weights.
    :param limits: what the model is not good for.
    :param source: address, DOI or UUID of its origin.
    :param versions: of the packages that fitted it.
    """

    format: Literal['embarrier-model-1'] = 'embarrier-model-1'
    kind: Literal['barrier'] = 'barrier'
    model: str
    settings: dict[str, JsonValue] = Field(default_factory=dict)
    state: dict[str, JsonValue] = Field(default_factory=dict)
    features: list[str] = Field(default_factory=list)
    feature_settings: FeatureSettings | None = None
    ions: dict[str, int] = Field(default_factory=dict)
    barrier_definitions: dict[str, int] = Field(default_factory=dict)
    coverage: float | None = None
    intervals: dict[str, JsonValue] | None = None
    domain: dict[str, JsonValue] | None = None
    datasets: list[BarrierSource] = Field(default_factory=list)
    split: str | None = None
    scores: list[BarrierScore] = Field(default_factory=list)
    leakage: dict[str, JsonValue] = Field(default_factory=dict)
    parent: str | None = None
    n_parameters: int = 0
    seed: int = 0
    weights_sha256: str | None = None
    title: str | None = None
    licence: str | None = None
    limits: str | None = None
    source: str | None = None
    versions: dict[str, str] = Field(default_factory=dict)
