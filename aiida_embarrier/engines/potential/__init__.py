"""The potential engine: pretrained interatomic potentials, run by `embarrier-worker`."""

from pathlib import Path

from aiida_embarrier.engines.base import Engine

__all__ = ('ENGINE',)

ENGINE = Engine(
    name='potential',
    description='pretrained interatomic potentials (CHGNet, SevenNet, any ASE calculator) run by embarrier-worker',
    relax='embarrier.potential.relax',
    neb='embarrier.potential.neb',
    protocol=Path(__file__).with_name('protocol.yaml'),
    inputs='aiida_embarrier.engines.potential.inputs:inputs_from_protocol',
    codes={'embarrier-worker': 'embarrier.potential.neb'},
    single_point={'neb': {'max_steps': 0}, 'max_iterations': 1},
)
