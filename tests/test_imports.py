"""Nothing that verdi or the daemon imports brings torch with it: that costs seconds and hundreds of megabytes."""

import subprocess
import sys

MODULES = (
    'aiida_embarrier.calculations.worker',
    'aiida_embarrier.calculations.paths',
    'aiida_embarrier.parsers.worker',
    'aiida_embarrier.engines.potential',
    'aiida_embarrier.engines.potential.inputs',
    'aiida_embarrier.engines.potential.relax',
    'aiida_embarrier.engines.potential.neb',
    'aiida_embarrier.workflows.barrier',
    'aiida_embarrier.workflows.convergence',
    'aiida_embarrier.workflows.potentials',
    'aiida_embarrier.workflows.segments',
    'aiida_embarrier.queries.bands',
    'aiida_embarrier.publishing.archive',
    'aiida_embarrier.cli.launch.barrier',
    'aiida_embarrier.cli.running',
    'aiida_embarrier.cli.verdi',
)


def test_no_torch_below_the_wall():
    heavy = ('torch', 'chgnet', 'sevenn')
    imports = '\n'.join(f'import {module}' for module in MODULES)
    code = f'import sys\n{imports}\nprint([name for name in {heavy} if name in sys.modules])'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == '[]'
