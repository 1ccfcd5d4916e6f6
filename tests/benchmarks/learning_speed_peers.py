"""Training steps of `alignn`, for `learning_speed.py`: runs in the peers' environment and imports nothing of ours.

    python learning_speed_peers.py GRAPHS.npz {layer,batch}

The model is `alignn_atomwise_pure`, the default of `alignn` 2026, which needs no DGL, as a model of one property with
the published numbers of layers and features. `batch` puts batch normalisation, which the published models have, in the
place of its layer normalisation. Each line of the standard input is a step; after the last one another is measured by
torch's profiler.
"""

import json
import resource
import sys
import time

import numpy as np
import torch
from alignn.models.alignn_atomwise_pure import ALIGNNAtomWisePure, ALIGNNAtomWisePureConfig
from alignn.torch_graph_builder import TorchGraph, _line_graph_edges, batch_torch_graph_pairs, torch_bond_cosines


def memory_mb():
    """Return the largest memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def pair(arrays, index):
    """Return graph and line graph of a crystal, with all copies of bonds."""
    numbers, counts = arrays[f'numbers_{index}'], arrays[f'multiplicity_{index}'].astype(int)
    source, target = (
        torch.tensor(np.repeat(arrays[f'{name}_{index}'], counts)).long() for name in ('source', 'target')
    )
    vectors = torch.tensor(np.repeat(arrays[f'vectors_{index}'], counts, axis=0))
    nodes = {'atom_features': torch.tensor(arrays['features'][numbers])}
    graph = TorchGraph(len(numbers), source, target, nodes, {'r': vectors})
    first, second = _line_graph_edges(source, target, len(numbers))
    cosines = torch_bond_cosines(vectors[first], vectors[second])
    return graph, TorchGraph(graph.num_edges, first, second, {}, {'h': cosines})


def with_batch_norm(module):
    """Put batch normalisation in the place of layer normalisation."""
    for name, child in module.named_children():
        if isinstance(child, torch.nn.LayerNorm):
            setattr(module, name, torch.nn.BatchNorm1d(child.normalized_shape[0]))
        else:
            with_batch_norm(child)
    return module


def make_model(norm, **sizes):
    """Return a model of one property."""
    config = ALIGNNAtomWisePureConfig(
        name='alignn_atomwise_pure',
        atom_input_features=92,
        calculate_gradient=False,
        energy_mult_natoms=False,
        use_penalty=False,
        lg_on_fly=False,
        **{'alignn_layers': 4, 'gcn_layers': 4, 'hidden_features': 256, **sizes},
    )
    model = ALIGNNAtomWisePure(config)
    return with_batch_norm(model) if norm == 'batch' else model


def main():
    """Step when told to."""
    path, norm = sys.argv[1:]
    base = memory_mb()
    torch.manual_seed(0)
    model = make_model(norm)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    with np.load(path) as arrays:
        batch = (*batch_torch_graph_pairs([pair(arrays, index) for index in range(arrays['n_graphs'])]), None)

    def step():
        optimiser.zero_grad()
        model(batch)['out'].square().mean().backward()
        optimiser.step()

    for line in sys.stdin:
        start = time.perf_counter(), time.process_time()
        step()
        answer = {'wall': time.perf_counter() - start[0], 'cpu': time.process_time() - start[1]}
        if line.strip() == 'last':
            answer |= {'memory_mb': memory_mb() - base, 'angles': batch[1].num_edges}
            with torch.profiler.profile() as profile:
                step()
            times = {event.key: event.self_cpu_time_total for event in profile.key_averages()}
            total = sum(times.values())
            largest = sorted(times, key=times.get, reverse=True)[:12]
            answer['matrix_products'] = sum(times.get(f'aten::{name}', 0) for name in ('mm', 'addmm')) / total
            answer['profile'] = {name: round(times[name] / total, 3) for name in largest}
        print(json.dumps(answer), flush=True)


if __name__ == '__main__':
    main()
