#!/usr/bin/env runaiida
"""Compute a migration barrier: `verdi run examples/launch_barrier.py CRYSTAL ION HOP [CODE [PROTOCOL]]`.

For instance `verdi run examples/launch_barrier.py examples/LiFePO4.cif Li 0`.
"""

import sys

from aiida.engine import run_get_node
from aiida.orm import load_code

from aiida_embarrier.data.convert import node_from_structure
from aiida_embarrier.structures.reading import read_structure
from aiida_embarrier.workflows.barrier import MigrationBarrierWorkChain


def main(path: str, ion: str, hop: int, code: str = 'embarrier-worker@localhost', protocol: str = 'balanced') -> None:
    """Run the barrier work chain and print the barriers."""
    crystal, kinds = node_from_structure(read_structure(path))
    builder = MigrationBarrierWorkChain.get_builder_from_protocol(
        load_code(code), structure=crystal, kinds=kinds, hop={'ion': ion, 'number': hop}, protocol=protocol
    )
    _, node = run_get_node(builder)
    if not node.is_finished_ok:
        sys.exit(f'failed [{node.exit_status}]: {node.exit_message}')
    for name, value in node.outputs.summary['barriers'].items():
        if isinstance(value, float):
            print(f'{name:25} {value:.3f} eV')


if __name__ == '__main__':
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), *sys.argv[4:])
