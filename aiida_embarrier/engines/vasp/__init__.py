"""The vasp engine: density functionals with VASP, through aiida-vasp."""

from pathlib import Path

from aiida_embarrier.engines.base import Engine
from aiida_embarrier.engines.functionals import load_functionals

__all__ = ('ENGINE',)

HERE = Path(__file__).parent
FUNCTIONALS = HERE / 'functionals.yaml'

ENGINE = Engine(
    name='vasp',
    description='density functionals with VASP, stock or with the VTST patch, through aiida-vasp',
    relax='embarrier.vasp.relax',
    neb='embarrier.vasp.neb',
    protocol=HERE / 'protocol.yaml',
    inputs='aiida_embarrier.engines.vasp.inputs:inputs_from_protocol',
    resolve='aiida_embarrier.engines.vasp.preview:resolve',
    write_inputs='aiida_embarrier.engines.vasp.preview:write_inputs',
    codes={'vasp': 'vasp.vasp'},
    functionals=load_functionals(FUNCTIONALS).keys,
    functional_table=FUNCTIONALS,
    single_point={'neb': {'max_steps': 0}, 'max_iterations': 1},
    capabilities=frozenset({'charge', 'magnetism', 'hubbard'}),
    mpi=True,
    requires=('aiida-vasp',),
    extra='vasp',
    examine='aiida_embarrier.engines.vasp.potcars:examine',
    check='aiida_embarrier.engines.vasp.inputs:check_inputs',
    check_options='aiida_embarrier.engines.vasp.parallel:check_options',
)
