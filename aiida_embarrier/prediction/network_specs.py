"""The networks of barriers, and what makes each differ from the others: numbers and words, no code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from aiida_embarrier.jobs.learning import ARCHITECTURES, Architecture, GraphSettings, TrainingSettings

__all__ = ('NETWORKS', 'GraphKind', 'NetworkSpec', 'spec_of')

#: `initial` and `final`: the crystal with the ion at that end. `composite`: with the ion at five points at once.
#: `local`: what surrounds these five points in the composite. `images`: side by side, without a bond between them, what
#: surrounds the ion at each of the five points; the ion is marked.
GraphKind = Literal['initial', 'final', 'composite', 'local', 'images']

#: How the features of graphs become those of a path. `single`: there is one graph. `add`, `sub`: sum, and first minus
#: second. `concat`: a linear map of both side by side. `delta`: one of the first, and of first minus second behind
#: layers of their own. `profile`: the ion has an energy in each image, and the barrier is how far these are apart, and
#: a linear map of the mean of its features.
Combination = Literal['single', 'add', 'sub', 'concat', 'delta', 'profile']


@dataclass(frozen=True)
class NetworkSpec:
    """A network of barriers around one encoder of crystals, whose weights all graphs of a path share.

    :param name: as users name it.
    :param graphs: of a path, which go through the encoder.
    :param combination: how these become features of a path.
    :param attention: whether atoms are pooled by attention, of each graph its own; else by their mean.
    :param head_layers: hidden layers between these features and the barrier.
    :param fine_tuned: whether the published one starts from a network that has learned other properties.
    :param settings: of the graphs.
    :param training: how it is trained unless told; the published ones as the authors did.
    """

    name: str
    graphs: tuple[GraphKind, ...]
    combination: Combination
    attention: bool
    head_layers: int
    fine_tuned: bool
    settings: GraphSettings
    training: TrainingSettings

    def architecture(self, base: Architecture) -> Architecture:
        """Return an architecture with the head of this network."""
        return base.model_copy(update={'head_layers': self.head_layers})

    @property
    def published_architecture(self) -> Architecture:
        """The architecture of the published size."""
        return self.architecture(ARCHITECTURES['published'])


def _fine_tuned(
    name: str, graphs: tuple[GraphKind, ...], combination: Combination, batch_size: int, attention: bool = False
) -> NetworkSpec:
    """Return a network that is trained on top of a multi-property encoder, every parameter of it."""
    return NetworkSpec(
        name,
        graphs,
        combination,
        attention,
        head_layers=2,
        fine_tuned=True,
        settings=GraphSettings(doubled=True, coincident='unbonded'),
        training=TrainingSettings(
            batch_size=batch_size, weight_decay=0.01, loss='l1', early_stopping=None, shuffle=False
        ),
    )


def _scratch(name: str, combination: Combination) -> NetworkSpec:
    """Return a network of both ends that starts from random weights; its head is one linear map."""
    return NetworkSpec(
        name,
        ('initial', 'final'),
        combination,
        attention=False,
        head_layers=0,
        fine_tuned=False,
        settings=GraphSettings(coincident='unbonded'),
        training=TrainingSettings(lr=1e-4),
    )


_ENDS: tuple[GraphKind, ...] = ('initial', 'final')

#: The networks by their names; numbers are those of the authors' scripts
#: (https://github.com/sai-mat-group/predicting-migration-barriers, commit 577fbc4), but for `profile`, which is ours.
NETWORKS = {
    spec.name: spec
    for spec in (
        _fine_tuned('model_1_add', _ENDS, 'add', 16),
        _fine_tuned('model_1_sub', _ENDS, 'sub', 16),
        _fine_tuned('model_1_cc', _ENDS, 'concat', 16),
        _fine_tuned('model_2', _ENDS, 'delta', 16),
        _fine_tuned('model_3', ('composite',), 'single', 128),
        _fine_tuned('model_4', ('composite', 'local'), 'concat', 64, attention=True),
        _scratch('scratch_add', 'add'),
        _scratch('scratch_sub', 'sub'),
        _scratch('scratch_cc', 'concat'),
        NetworkSpec(
            'profile',
            ('images',),
            'profile',
            attention=False,
            head_layers=2,
            fine_tuned=True,
            settings=GraphSettings(doubled=True, coincident='unbonded'),
            training=TrainingSettings(epochs=60, lr=3e-3, loss='l1', weight_decay=0.01, early_stopping=None),
        ),
    )
}


def spec_of(name: str) -> NetworkSpec:
    """Return a network by its name.

    :raises ValueError: for one that there is not, with those that there are.
    """
    if name not in NETWORKS:
        raise ValueError(f'there is no network {name!r}: choose from {", ".join(NETWORKS)}')
    return NETWORKS[name]
