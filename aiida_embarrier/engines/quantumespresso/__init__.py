"""The quantumespresso engine: pw.x and neb.x of Quantum ESPRESSO, through aiida-quantumespresso and aiida-pseudo."""

from pathlib import Path

from aiida_embarrier.engines.base import Engine
from aiida_embarrier.engines.functionals import load_functionals

__all__ = ('ENGINE', 'FUNCTIONALS')

_HERE = Path(__file__).parent
FUNCTIONALS = _HERE / 'functionals.yaml'

ENGINE = Engine(
    name='quantumespresso',
    description='density functionals with plane waves and pseudopotentials: pw.x and neb.x of Quantum ESPRESSO',
    relax='embarrier.quantumespresso.relax',
    neb='embarrier.quantumespresso.neb',
    protocol=_HERE / 'protocol.yaml',
    inputs='aiida_embarrier.engines.quantumespresso.inputs:inputs_from_protocol',
    resolve='aiida_embarrier.engines.quantumespresso.inputs:resolve',
    write_inputs='aiida_embarrier.engines.quantumespresso.inputs:write_inputs',
    codes={'pw': 'quantumespresso.pw', 'neb': 'quantumespresso.neb'},
    functionals=load_functionals(FUNCTIONALS).keys,
    functional_table=FUNCTIONALS,
    single_point={'neb': {'max_steps': 0}},
    capabilities=frozenset({'charge', 'magnetism', 'hubbard'}),
    mpi=True,
    requires=('aiida-quantumespresso', 'aiida-pseudo'),
    extra='quantumespresso',
    examine='aiida_embarrier.engines.quantumespresso.pseudos:examine',
)
