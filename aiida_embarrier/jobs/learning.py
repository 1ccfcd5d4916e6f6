"""Jobs that train models on datasets of properties, and that predict with them; what a model says of itself."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from aiida_embarrier.jobs.plain import PlainJob, PlainResult
from aiida_embarrier.jobs.schemas import Schema

__all__ = (
    'ARCHITECTURES',
    'STRATEGIES',
    'Architecture',
    'GraphSettings',
    'ModelCard',
    'PredictJob',
    'PredictResult',
    'Scaler',
    'Score',
    'Source',
    'Target',
    'TrainJob',
    'TrainResult',
    'TrainingSettings',
    'Transfer',
)

#: Files in the folder of a job. A model is its weights and its card.
WEIGHTS_FILE, CARD_FILE = 'model.safetensors', 'model.json'
PARENT_WEIGHTS_FILE, PARENT_CARD_FILE = 'parent.safetensors', 'parent.json'
#: A row per epoch: `epoch`, `lr`, `loss_train`, `loss_validation`, `mae_validation` (scaled units), `seconds`, ...
CURVE_FILE = 'curve.parquet'
#: A row per row and target that was predicted: `name`, `target` (label), `part`, `value` (None where not known),
#: `prediction`, both in the unit of the dataset.
PREDICTIONS_FILE = 'predictions.parquet'
#: Everything that a training needs to go on exactly: safetensors with a JSON header, nothing pickled.
CHECKPOINT_FILE = 'training.safetensors'

#: What of a parent model is trained.
STRATEGIES = ('all', 'new_head', 'last_layer', 'two_body', 'three_body')

Strategy = Literal['all', 'new_head', 'last_layer', 'two_body', 'three_body']


class GraphSettings(Schema):
    """How a crystal becomes a graph.

    :param neighbours: `nearest`: each atom and its nearest ones, whole shells; `radius`: all within the cutoff.
    :param cutoff: in Å; for `nearest` where the search begins, widened where an atom has too few neighbours.
    :param n_neighbours: how many nearest ones; ties with the last are kept.
    :param doubled: whether a bond that both of its atoms count among their nearest is there twice in each direction, as
        in the published multi-property models; else once, as in the published pair-wise ones.
    :param shell_tolerance: of nearest neighbours, how much farther than the last one another may be to belong to its
        shell, in Å; 0 for the exact comparison of the published models, which rounding errors decide.
    :param coincident: atoms at most 0.15 Å apart: `refused`, as they are a mistake in a crystal, or `unbonded`, without
        a bond between them but with those to all others, as in the published models. Composites that hold an ion at
        several points of its path need the latter.
    """

    neighbours: Literal['nearest', 'radius'] = 'nearest'
    cutoff: float = Field(8.0, gt=0)
    n_neighbours: int = Field(12, gt=0)
    doubled: bool = False
    shell_tolerance: float = Field(1e-4, ge=0)
    coincident: Literal['refused', 'unbonded'] = 'refused'

    @model_validator(mode='after')
    def _doubled_needs_nearest(self) -> GraphSettings:
        if self.doubled and self.neighbours == 'radius':
            raise ValueError('`doubled` belongs to nearest neighbours: within a radius every bond is there once')
        return self


class Architecture(Schema):
    """Numbers that make an ALIGNN; the defaults are the published ones.

    :param alignn_layers: layers that update bonds by angles, and atoms by bonds.
    :param gcn_layers: layers that update atoms by bonds, behind them.
    :param hidden: features of atoms, bonds and angles.
    :param embedding: features between the radial or angular functions and those.
    :param edge_bins: radial functions on 0 to 8 Å.
    :param angle_bins: functions of the cosine of an angle.
    :param atom_features: the 92 of CGCNN, or a learned embedding of the element.
    :param norm: normalisation, as published `batch`; `layer` does not depend on what else is in a batch.
    :param head_layers: hidden layers of the head of each property; 0 for one linear map, as in the published models of
        one property, 2 as in the published ones of several.
    :param head_width: their width.
    """

    name: Literal['alignn'] = 'alignn'
    alignn_layers: int = Field(4, ge=0)
    gcn_layers: int = Field(4, ge=0)
    hidden: int = Field(256, gt=0)
    embedding: int = Field(64, gt=0)
    edge_bins: int = Field(80, gt=1)
    angle_bins: int = Field(40, gt=1)
    atom_features: Literal['cgcnn', 'learned'] = 'cgcnn'
    norm: Literal['batch', 'layer'] = 'batch'
    head_layers: int = Field(0, ge=0)
    head_width: int = Field(128, gt=0)


#: Named architectures: the published one, and smaller ones for CPUs.
ARCHITECTURES = {
    'published': Architecture(),
    'published_multi': Architecture(head_layers=2),
    'medium': Architecture(alignn_layers=2, gcn_layers=2, hidden=128),
    'small': Architecture(alignn_layers=2, gcn_layers=2, hidden=64, embedding=32, edge_bins=40, angle_bins=20),
    'tiny': Architecture(alignn_layers=1, gcn_layers=1, hidden=32, embedding=16, edge_bins=20, angle_bins=10),
}


class TrainingSettings(Schema):
    """How a model is trained; the defaults are those of the published models of one property.

    :param epochs: passes over the training rows, at most.
    :param batch_size: rows per step, of all processes together.
    :param lr: learning rate, of a schedule its highest.
    :param weight_decay: of AdamW.
    :param decay_all: whether biases and normalisations decay, too.
    :param schedule: `onecycle` up to `lr` and down to nearly 0, or `constant`.
    :param warm_up: share of the steps in which `onecycle` goes up.
    :param loss: `l1`, `mse` or `huber`, of scaled targets.
    :param huber_delta: where `huber` becomes linear, in scaled units.
    :param multi_loss: of several properties: `published` (mean over all rows and properties, missing ones counting as
        hit) or `balanced` (mean of the means of the properties).
    :param early_stopping: epochs without a better validation after which training ends; None for never.
    :param gradient_clip: largest norm of the gradient; None for no limit.
    :param precision: of the matrix products; `16-mixed` needs a GPU.
    :param deterministic: whether the same job gives the same weights, bit for bit on the same machine.
    :param seed: of weights, order of rows and everything else that is drawn.
    :param shuffle: whether rows are drawn in a new order in each epoch.
    :param keep: which weights become the model: `best` on the validation rows, or `last`; without such rows, the last.
    :param scaling: of targets: `minmax` to [-1, 1], `standard`, `none`, fitted on training rows; `whole_set` is
        `minmax` on all rows, test included, as published: it leaks, and the model says so.
    """

    epochs: int = Field(500, gt=0)
    batch_size: int = Field(16, gt=0)
    lr: float = Field(1e-3, gt=0)
    weight_decay: float = Field(1e-5, ge=0)
    decay_all: bool = False
    schedule: Literal['onecycle', 'constant'] = 'onecycle'
    warm_up: float = Field(0.3, gt=0, lt=1)
    loss: Literal['l1', 'mse', 'huber'] = 'mse'
    huber_delta: float = Field(0.1, gt=0)
    multi_loss: Literal['published', 'balanced'] = 'published'
    early_stopping: int | None = Field(50, gt=0)
    gradient_clip: float | None = Field(None, gt=0)
    precision: Literal['32-true', 'bf16-mixed', '16-mixed'] = '32-true'
    deterministic: bool = True
    seed: int = Field(123, ge=0)
    shuffle: bool = True
    keep: Literal['best', 'last'] = 'best'
    scaling: Literal['minmax', 'standard', 'none', 'whole_set'] = 'minmax'


class Transfer(Schema):
    """What of a parent model is kept, and what of it is trained.

    :param strategy: `all`: every parameter is trained. `new_head`: a new head (hidden to 64 to 1, no activation
        between) on frozen layers. `last_layer`: the head of the parent on frozen layers. `two_body`, `three_body`: that
        head and the convolutions over bonds, or over angles.
    :param head: for `all`: `parent` or `new`, one as the architecture says; None for the head of the parent where it
        has just one, else a new one.
    :param freeze: for `all` and `new_head`: what is not trained: `none`, `atoms` (the embedding of atoms alone, the
        published variant that freezes the first layer), `encoder` (all but the head); None for what the strategy says.
    """

    strategy: Strategy = 'all'
    head: Literal['parent', 'new'] | None = None
    freeze: Literal['none', 'atoms', 'encoder'] | None = None

    @model_validator(mode='after')
    def _fits(self) -> Transfer:
        if self.head is not None and self.strategy != 'all':
            raise ValueError(f'`head` goes with the strategy `all`; {self.strategy!r} says itself which head there is')
        if self.freeze is not None and self.strategy not in {'all', 'new_head'}:
            raise ValueError(f'`freeze` goes with `all` and `new_head`; {self.strategy!r} says itself what is frozen')
        return self


class Target(Schema):
    """One property to learn, and its rows.

    :param label: short name of the property, which names its head.
    :param property: what the numbers are.
    :param unit: their unit; None for pure numbers.
    :param dataset: file with the rows, as :func:`~aiida_embarrier.datasets.tables.write_parquet` writes it.
    :param split: file with `name` and `part` (train, validation, test, or anything else for rows that are left out).
    :param dataset_uuid: of the node that the rows come from.
    :param dataset_hash: hash of its content.
    """

    label: str = Field(pattern=r'^[A-Za-z][A-Za-z0-9_]*$')
    property: str
    unit: str | None = None
    dataset: str
    split: str
    dataset_uuid: str | None = None
    dataset_hash: str | None = None


class Source(Schema):
    """A dataset that a model was trained on.

    :param rows: number of its rows by part.
    """

    label: str
    uuid: str | None = None
    hash: str | None = None
    rows: dict[str, int] = Field(default_factory=dict)


class Scaler(Schema):
    """How a target becomes a number of the size of one: scaled = (value - centre) / width.

    :param method: as :class:`TrainingSettings` names it.
    :param leaks: whether it was fitted on rows that test, too.
    """

    label: str
    property: str
    unit: str | None = None
    method: str = 'none'
    centre: float = Field(0.0, allow_inf_nan=False)
    width: float = Field(1.0, gt=0, allow_inf_nan=False)
    leaks: bool = False


class Score(Schema):
    """How predictions of one target in one part agree with what is known.

    :param n: number of rows.
    :param mae: mean absolute error, in the unit of the target.
    :param rmse: root mean square error, in that unit.
    :param r2: coefficient of determination; None where all values are the same or there is one row only.
    :param mae_scaled: mean absolute error of scaled targets.
    """

    label: str
    part: str
    n: int
    mae: float
    rmse: float
    r2: float | None = None
    mae_scaled: float | None = None


class ModelCard(Schema):
    """What a model says of itself; it lies beside its weights.

    :param format: version of this card.
    :param kind: what the weights are of.
    :param scalers: the targets in the order of the outputs.
    :param head_style: `published` as the architecture says; `free` for one without activations between its layers.
    :param training: how it was trained.
    :param transfer: what was kept of the parent.
    :param parent: sha256 of the weights of the parent.
    :param datasets: what it was trained on.
    :param epochs: epochs that were trained.
    :param best_epoch: the one whose weights these are, from 1.
    :param n_parameters: number of parameters.
    :param n_trained: of those that were trained.
    :param weights_sha256: sha256 of the file with the weights.
    :param scores: of every part and target.
    :param title: one line for people.
    :param licence: of the weights.
    :param limits: what the model is not good for.
    :param source: address, DOI or UUID of its origin.
    :param versions: of the packages that trained it.
    """

    format: Literal['embarrier-model-1'] = 'embarrier-model-1'
    kind: Literal['alignn'] = 'alignn'
    architecture: Architecture
    graphs: GraphSettings
    scalers: list[Scaler] = Field(min_length=1)
    head_style: Literal['published', 'free'] = 'published'
    training: TrainingSettings
    transfer: Transfer | None = None
    parent: str | None = None
    datasets: list[Source] = Field(default_factory=list)
    epochs: int = 0
    best_epoch: int | None = None
    n_parameters: int = 0
    n_trained: int = 0
    weights_sha256: str | None = None
    scores: list[Score] = Field(default_factory=list)
    title: str | None = None
    licence: str | None = None
    limits: str | None = None
    source: str | None = None
    versions: dict[str, str] = Field(default_factory=dict)

    @property
    def labels(self) -> list[str]:
        """Labels of the targets in the order of the outputs."""
        return [scaler.label for scaler in self.scalers]


class Hardware(Schema):
    """What a job may use of its machine; it changes nothing of what is learned.

    :param device: `auto` for a GPU where there is one.
    :param devices: number of GPUs, or of processes on a CPU, per node.
    :param nodes: number of nodes; the scheduler starts one process per device on each.
    :param threads: of each process on a CPU; None for all cores divided by the processes.
    :param cache: folder that graphs are kept in between jobs; None for one in the folder of the job.
    """

    device: Literal['auto', 'cpu', 'cuda'] = 'auto'
    devices: int = Field(1, gt=0)
    nodes: int = Field(1, gt=0)
    threads: int | None = Field(None, gt=0)
    cache: str | None = None


class TrainJob(PlainJob):
    """A model to train.

    :param targets: what is learned; several for a multi-property model. Rows of several datasets that hold the same
        crystal become one.
    :param parent: whether `parent.safetensors` and `parent.json` lie in the folder, to start from.
    :param restart: name of the checkpoint of an earlier job to go on from.
    :param checkpoint_seconds: how often a checkpoint is written. One is written when the job is stopped, too, and
        removed when it is done.
    """

    job: Literal['train'] = 'train'
    targets: list[Target] = Field(min_length=1)
    architecture: Architecture = Architecture()
    graphs: GraphSettings = GraphSettings()
    training: TrainingSettings = TrainingSettings()
    transfer: Transfer | None = None
    parent: bool = False
    restart: str | None = None
    hardware: Hardware = Hardware()
    checkpoint_seconds: float = Field(300.0, gt=0)

    @field_validator('targets')
    @classmethod
    def _labels_differ(cls, value: list[Target]) -> list[Target]:
        labels = [target.label for target in value]
        for label in labels:
            if labels.count(label) > 1:
                raise ValueError(f'the label {label!r} is there more than once')
        return value

    @model_validator(mode='after')
    def _transfer_needs_a_parent(self) -> TrainJob:
        if (self.transfer is not None) != self.parent:
            raise ValueError('`transfer` and a parent model go together')
        return self


class TrainResult(PlainResult):
    """How a training went; the model, its curve and its predictions lie beside it.

    :param status: `trained` (all epochs), `stopped_early`, `diverged` (loss not finite, or far above its beginning),
        `stalled` (the loss did not move from the start); None where it was interrupted.
    :param epochs: epochs that were trained, with those of earlier jobs.
    :param best_epoch: whose weights the model has.
    :param rows: crystals by part, after merging.
    :param n_parameters: number of parameters of the model.
    :param n_trained: of those that were trained.
    :param seed: of the training.
    :param scores: of every part and target.
    :param device: name of the device.
    :param precision: of the matrix products.
    :param n_processes: number of processes.
    :param training_s: seconds of training, with those of earlier jobs.
    :param rows_per_s: training rows per second in the median epoch.
    :param peak_memory_mb: largest memory of the first process.
    :param peak_gpu_memory_mb: largest memory that it had on its GPU.
    :param checkpoint: whether a checkpoint lies beside it.
    """

    status: Literal['trained', 'stopped_early', 'diverged', 'stalled'] | None = None
    epochs: int = 0
    best_epoch: int | None = None
    rows: dict[str, int] = Field(default_factory=dict)
    n_parameters: int = 0
    n_trained: int = 0
    seed: int | None = None
    scores: list[Score] = Field(default_factory=list)
    device: str | None = None
    precision: str | None = None
    n_processes: int = 1
    training_s: float = 0.0
    rows_per_s: float | None = None
    peak_memory_mb: float | None = None
    peak_gpu_memory_mb: float | None = None
    checkpoint: bool = False


class PredictJob(PlainJob):
    """Rows to predict with the model `model.safetensors`, `model.json` in the folder of the job.

    :param dataset: file with the rows.
    :param labels: of the targets that are predicted; None for all that the model has.
    :param known: label of the target that the column `target` of the rows holds, for scores; None for no scores.
    :param property: what that column holds; None where that is not known, and so not compared with the model.
    :param unit: unit of that column.
    :param batch_size: rows at a time, at most; fewer of large crystals.
    """

    job: Literal['predict'] = 'predict'
    dataset: str
    labels: list[str] | None = Field(None, min_length=1)
    known: str | None = None
    property: str | None = None
    unit: str | None = None
    batch_size: int = Field(64, gt=0)
    hardware: Hardware = Hardware()


class PredictResult(PlainResult):
    """What was predicted; the predictions lie beside it, also where the job was stopped, of the rows it came to.

    :param n_rows: number of rows that were predicted.
    :param scores: where values are known.
    :param left_out: rows that cannot be predicted, and why, by their names.
    :param rows_per_s: rows per second, graphs included.
    """

    n_rows: int = 0
    scores: list[Score] = Field(default_factory=list)
    left_out: dict[str, str] = Field(default_factory=dict)
    device: str | None = None
    rows_per_s: float | None = None


def architecture_of(value: str | dict[str, Any]) -> Architecture:
    """Return an architecture by its name in :data:`ARCHITECTURES`, or of a mapping whose `base` names one to change.

    :raises ValueError: for an unknown name, with those that there are.
    """
    entries = {'base': value} if isinstance(value, str) else dict(value)
    base = entries.pop('base', 'published')
    if base not in ARCHITECTURES:
        raise ValueError(f'there is no architecture {base!r}: choose from {", ".join(ARCHITECTURES)}')
    return Architecture(**{**ARCHITECTURES[base].model_dump(), **entries})
