"""Whether a model of `alignn` with its weights copied into ours predicts the same, for 50 real crystals.

`make peers`, then `python tests/benchmarks/learning_equality.py`; some minutes. The last line is a JSON object; the
exit status is 1 where a prediction is off by more than 1e-4, relative to the largest one.

Random weights of the published sizes, running statistics and normalisations disturbed, so that nothing is left out for
being zero or one. Both sides get the same graphs: the published multi-property ones, and canonised ones. `layer` is
the model as `alignn` 2026 has it, `batch` the same with the published normalisation in its place, evaluated with
running statistics. The published code with DGL does not run: `dgl` 2.1.0, the newest on PyPI, asks for a module of
`torchdata` that is gone.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from learning_graphs import DATA, ROOT, crystal_of_row
from learning_speed import CONVENTIONS, read_graphs, write_graphs
from safetensors.torch import load_file

from aiida_embarrier.jobs.learning import Architecture
from aiida_embarrier.learning.alignn import ALIGNN, from_alignn
from aiida_embarrier.learning.batches import collate
from aiida_embarrier.learning.folding import fold

LIMIT = 1e-4


def main():
    """Compare, and print a table and a JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--peers', type=Path, default=ROOT / '.venv-peers' / 'bin' / 'python', help='their Python')
    parser.add_argument('--crystals', type=int, default=50)
    arguments = parser.parse_args()
    rows = pd.read_parquet(DATA / 'tl' / 'ebg.parquet')
    rows = rows[rows.n_atoms <= 30].sample(arguments.crystals, random_state=6)
    crystals = [crystal_of_row(row) for row in rows.itertuples()]
    report = {}
    with tempfile.TemporaryDirectory() as folder:
        path, weights = Path(folder) / 'graphs.npz', Path(folder) / 'weights.safetensors'
        for name, doubled in CONVENTIONS.items():
            write_graphs(path, crystals, doubled)
            for norm in ('layer', 'batch'):
                script = Path(__file__).with_name('learning_equality_peers.py')
                command = [str(arguments.peers), str(script), str(path), norm, str(weights)]
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                theirs = np.array(json.loads(done.stdout.strip().splitlines()[-1]))
                model = ALIGNN(Architecture(norm=norm), ['a']).eval()
                model.load_state_dict(from_alignn(load_file(weights), model))
                for kind, prepare in (('unfolded', lambda graph: graph), ('folded', fold)):
                    items = [prepare(graph) for graph in read_graphs(path)]
                    with torch.no_grad():
                        outs = [model(collate(items[first : first + 5]))[:, 0] for first in range(0, len(items), 5)]
                    off = np.abs(torch.cat(outs).numpy() - theirs)
                    report[f'{name}_{norm}_{kind}'] = float((off / np.abs(theirs).max()).max())
                    spread = float(theirs.std())
                    largest = np.abs(theirs).max()
                    print(f'{name:10}{norm:6}{kind:9} off by {off.max():.1e} of {largest:.2f}, spread {spread:.2f}')
    worst = max(report.values())
    print(json.dumps({'largest_relative_difference': worst, 'crystals': len(crystals)} | report))
    sys.exit(worst > LIMIT)


if __name__ == '__main__':
    main()
