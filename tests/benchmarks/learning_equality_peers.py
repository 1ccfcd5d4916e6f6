"""Predictions of a model of `alignn`, and its weights, for `learning_equality.py`: imports nothing of ours.

python learning_equality_peers.py GRAPHS.npz {layer,batch} WEIGHTS.safetensors
"""

import json
import struct
import sys
from pathlib import Path

import numpy as np
import torch
from alignn.torch_graph_builder import batch_torch_graph_pairs
from learning_speed_peers import make_model, pair


def write_weights(path, state):
    """Write tensors in the format of safetensors, which this environment does not have."""
    header, parts, start = {}, [], 0
    for name, value in state.items():
        data = value.detach().float().contiguous().numpy().tobytes()
        header[name] = {'dtype': 'F32', 'shape': list(value.shape), 'data_offsets': [start, start + len(data)]}
        parts.append(data)
        start += len(data)
    text = json.dumps(header).encode()
    Path(path).write_bytes(struct.pack('<Q', len(text)) + text + b''.join(parts))


def main():
    """Predict, write and print."""
    path, norm, weights = sys.argv[1:]
    torch.manual_seed(3)
    model = make_model(norm).eval()
    with torch.no_grad():
        for name, value in model.named_parameters():
            if value.ndim == 1:
                value += 0.2 * torch.randn_like(value)
            elif name.startswith('fc.'):
                value *= 20
        for name, value in model.named_buffers():
            if 'running_' in name:
                value += 0.3 * torch.rand_like(value)
    predictions = []
    with np.load(path) as arrays, torch.no_grad():
        for index in range(arrays['n_graphs']):
            batch = (*batch_torch_graph_pairs([pair(arrays, index)]), None)
            predictions.append(float(model(batch)['out'].reshape(())))
    write_weights(weights, model.state_dict())
    print(json.dumps(predictions))


if __name__ == '__main__':
    main()
