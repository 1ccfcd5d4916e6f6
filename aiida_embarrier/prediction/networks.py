"""Networks of barriers as models: trained on rows, by the loop that trains all networks here."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch

from aiida_embarrier.datasets.drawing import Rows as DrawnRows
from aiida_embarrier.datasets.drawing import draw
from aiida_embarrier.jobs.learning import Architecture, Hardware, Scaler, TrainingSettings, architecture_of
from aiida_embarrier.learning.alignn import ALIGNN
from aiida_embarrier.learning.devices import choose_device
from aiida_embarrier.learning.loaders import prefetched
from aiida_embarrier.learning.model_files import check_fits, n_parameters, n_trained
from aiida_embarrier.learning.places import Place
from aiida_embarrier.learning.processes import deterministic, open_fabric
from aiida_embarrier.learning.scaling import fit_scaler, scale, unscale
from aiida_embarrier.learning.sizes import MOST_FEATURES
from aiida_embarrier.learning.training import Hooks, Trainer
from aiida_embarrier.prediction.base import BarrierModel
from aiida_embarrier.prediction.network_specs import spec_of
from aiida_embarrier.prediction.path_graphs import PathItems, path_graphs
from aiida_embarrier.prediction.path_network import BARRIER, PathNetwork, first_network

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Self

    from aiida_embarrier.prediction.base import Rows

__all__ = ('NetworkModel', 'TrainingError', 'held_back')

HoldBack = Literal['drawn', 'last', 'none']

#: Share of the rows that validate, and choose the epoch whose weights are kept.
VALIDATION_SHARE = 0.1
#: What is drawn with the seed beside weights and the order of rows.
_HELD_BACK = 7


class TrainingError(RuntimeError):
    """A training left no model: it was stopped, or it diverged."""


def held_back(rows: Rows, how: HoldBack = 'drawn', seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of the rows that train, and of the tenth that validates, if any.

    :param how: `drawn`: at random, whole families where the labels of the rows have a column `family_group`. `last`: as
        published, 90 % of the rows in their order train and the next 10 % validate, both rounded down: of 559 rows 503
        and 55, and the last one does neither. `none`: all rows train, and the weights of the last epoch are kept.
    :param seed: of what is drawn.
    """
    n = len(rows)
    if how == 'none':
        return np.arange(n), np.arange(0)
    if how == 'last':
        n_training = n * 9 // 10
        return np.arange(n_training), np.arange(n_training, n_training + n // 10)
    names = [path.name for path in rows.paths]
    families = rows.labels['family_group'].astype(str).tolist() if 'family_group' in rows.labels else names
    order = sorted(range(n), key=lambda number: names[number])
    share = round(VALIDATION_SHARE * n)
    drawn = draw(DrawnRows(families, np.zeros(n, dtype=int)), order, {0: share}, (seed, _HELD_BACK))
    validation = np.array(sorted(drawn), dtype=int)
    return np.setdiff1d(np.arange(n), validation), validation


class NetworkModel(BarrierModel):
    """A network of barriers: any of :data:`~aiida_embarrier.prediction.network_specs.NETWORKS`.

    What it sees of a path is its graphs: no features, no labels. (The column `family_group` decides which rows
    validate.)

    :param network: its name.
    :param architecture: of its encoder: a name of :data:`~aiida_embarrier.jobs.learning.ARCHITECTURES`, or a mapping as
        :func:`~aiida_embarrier.jobs.learning.architecture_of` takes it; the head is that of the network. None for that
        of the parent, or the published one.
    :param parent: folder with a model to start from, or the file with its weights: its encoder becomes that of the
        network, and all of it is trained on. None for random weights.
    :param training: what differs from the published training; the seed is that of :meth:`fit`.
    :param hardware: device, threads, and the folder in which graphs are kept; it is no part of what was learned.
    :param hold_back: which rows validate, see :func:`held_back`.
    :param hooks: what a training tells and asks on its way.
    :raises ValueError: for an unknown network or architecture, and a parent of a network that has none.
    """

    name: ClassVar[str] = 'network'
    needs_features: ClassVar[bool] = False

    def __init__(
        self,
        network: str,
        architecture: str | dict[str, Any] | None = None,
        parent: Path | str | None = None,
        training: Mapping[str, Any] | None = None,
        hardware: Mapping[str, Any] | None = None,
        hold_back: HoldBack = 'drawn',
        hooks: Hooks | None = None,
    ) -> None:
        self.spec = spec_of(network)
        if parent is not None and not self.spec.fine_tuned:
            raise ValueError(f'{network} starts from random weights: leave its parent out, or take one of model_1 to 4')
        self._base = None if architecture is None else architecture_of(architecture)
        self._parent = None if parent is None else Path(parent)
        self._settings = TrainingSettings.model_validate({**self.spec.training.model_dump(), **(training or {})})
        self.hardware = Hardware.model_validate(dict(hardware or {}))
        self._hold_back = hold_back
        self._hooks = hooks or Hooks()
        self._fitted: tuple[PathNetwork, Scaler] | None = None
        self._summary: dict[str, Any] = {}

    @property
    def fitted(self) -> tuple[PathNetwork, Scaler]:
        """The network, and how barriers are scaled.

        :raises ValueError: where it has learned nothing yet.
        """
        if self._fitted is None:
            raise ValueError(f'{self.spec.name} has not learned anything yet: fit it first')
        return self._fitted

    @property
    def summary(self) -> dict[str, Any]:
        """What is to be said of a fit beside what was learned.

        `n_parameters`, `n_trained`, `parent` (sha256 of its weights), `seed`, `n_training`, `n_validation`, `epochs`
        (that ran), `kept_epoch`, `status`, `validation_mae_eV`, `seconds`, `device`.
        """
        return dict(self._summary)

    def fit(self, rows: Rows, seed: int = 0) -> None:
        """Learn from rows whose barriers are known; those held back choose the epoch whose weights are kept.

        :raises ValueError: for rows that cannot be learned from, and a parent that cannot be what it starts from.
        :raises TrainingError: where the training left no model.
        """
        barriers = rows.known()
        settings = self._settings.model_copy(update={'seed': seed})
        training, validation = held_back(rows, self._hold_back, seed)
        parts = np.full(len(rows), '', dtype=object)
        parts[training] = 'train'
        scaler = fit_scaler(BARRIER, 'migration barrier', 'eV', barriers, settings.scaling, parts)
        with self._running(settings) as device:
            torch.manual_seed(seed)
            network, parent = first_network(self.spec, self._base, self._parent)
            network.to(device)
            items = self._items(rows, network, scale(scaler, barriers), device)
            fabric = open_fabric(device, settings.precision, Place())
            trainer = Trainer(network, items, training, validation, settings, fabric, Place(), (BARRIER,))
            status, reason = trainer.run(self._hooks)
            kept = trainer.keep()
        if status is None or kept is None:
            raise TrainingError(
                f'the training of {self.spec.name} was stopped: {reason}'
                if status is None
                else f'the training of {self.spec.name} {status}: lower `lr`, or set `gradient_clip`'
            )
        error = trainer.curve[kept - 1]['mae_validation']
        self._fitted, self._settings = (network.to('cpu').eval(), scaler), settings
        self._summary = {
            'n_parameters': n_parameters(network),
            'n_trained': n_trained(network),
            'parent': parent,
            'seed': seed,
            'n_training': len(training),
            'n_validation': len(validation),
            'epochs': len(trainer.curve),
            'kept_epoch': kept,
            'status': status,
            'validation_mae_eV': None if error is None else error * scaler.width,
            'seconds': trainer.seconds,
            'device': device.type,
        }

    def predict(self, rows: Rows) -> np.ndarray:
        """Return barriers in eV, 0 at least, shape (n_rows,), whichever are predicted together."""
        network, scaler = self.fitted
        found = np.empty(len(rows))
        with self._running(self._settings) as device, torch.inference_mode():
            network.to(device).eval()
            items = self._items(rows, network, np.full(len(rows), np.nan), device)
            steps = items.portions(np.arange(len(rows)))
            for step, batch in zip(steps, prefetched(items.batch, steps), strict=True):
                found[step] = network(batch.to(device))[:, 0].double().cpu().numpy()
            network.to('cpu')
        return np.maximum(unscale(scaler, found), 0.0)

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return weights, and what the network is beside them."""
        network, scaler = self.fitted
        arrays = {name: value.detach().numpy().copy() for name, value in network.state_dict().items()}
        values = {
            'network': self.spec.name,
            'architecture': network.encoder.architecture.model_dump(),
            'training': self._settings.model_dump(),
            'scaler': scaler.model_dump(),
            'summary': self._summary,
        }
        return arrays, values

    @classmethod
    def from_state(cls, arrays: Mapping[str, np.ndarray], values: Mapping[str, Any]) -> Self:
        """Return the model of such a state.

        :raises ModelFilesError: where the weights are of another architecture than the values say.
        """
        model = cls(values['network'], training=values['training'])
        with torch.random.fork_rng(devices=[]):
            encoder = ALIGNN(Architecture.model_validate(values['architecture']), (BARRIER,))
            network = PathNetwork(model.spec, encoder)
        weights = {name: torch.from_numpy(np.array(value)) for name, value in arrays.items()}
        check_fits(weights, network)
        network.load_state_dict(weights)
        model._fitted = network.eval(), Scaler.model_validate(values['scaler'])
        model._summary = dict(values['summary'])
        return model

    def _items(self, rows: Rows, network: PathNetwork, scaled: np.ndarray, device: torch.device) -> PathItems:
        """Return what is learned from, and predicted."""
        cache = self.hardware.cache
        folder = None if cache is None else Path(cache).expanduser()
        graphs = {kind: path_graphs(rows.paths, kind, self.spec.settings, folder) for kind in self.spec.graphs}
        targets = torch.from_numpy(np.asarray(scaled, dtype=np.float32)[:, None])
        most = MOST_FEATURES[device.type] // network.encoder.architecture.hidden
        return PathItems.of(graphs, targets, most)

    @contextmanager
    def _running(self, settings: TrainingSettings) -> Iterator[torch.device]:
        """Choose a device, and leave torch afterwards as it was: threads, random numbers, determinism."""
        device = choose_device(self.hardware, settings.precision)
        threads = torch.get_num_threads()
        devices = [device.index] if device.type == 'cuda' else []
        with deterministic(settings.deterministic), torch.random.fork_rng(devices=devices):
            try:
                torch.set_num_threads(self.hardware.threads or threads)
                yield device
            finally:
                torch.set_num_threads(threads)
