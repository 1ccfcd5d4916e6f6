"""The toy engine of the examples for charged cells, whose charge it takes and has no use for."""

from dataclasses import replace

from aiida.orm import Float
from toy_engine import ENGINE as TOY
from toy_engine import ToyNebWorkChain, ToyRelaxWorkChain


class ChargedRelaxWorkChain(ToyRelaxWorkChain):
    """Relax structures."""

    @classmethod
    def define(cls, spec):
        super().define(spec)
        spec.input('charge', valid_type=Float, default=lambda: Float(0.0))


class ChargedNebWorkChain(ToyNebWorkChain):
    """Optimise bands."""

    @classmethod
    def define(cls, spec):
        super().define(spec)
        spec.input('charge', valid_type=Float, default=lambda: Float(0.0))


ENGINE = replace(
    TOY,
    name='charged',
    relax='charged.relax',
    neb='charged.neb',
    capabilities=frozenset({'charge', 'magnetism'}),
)
