"""ALIGNN against the plain network, in double precision."""

import numpy as np
import pytest
import torch
from learning.reference_alignn import ReferenceALIGNN
from learning.small_crystals import three_crystals

from aiida_embarrier.jobs.learning import ARCHITECTURES, Architecture, GraphSettings
from aiida_embarrier.learning import gates
from aiida_embarrier.learning.alignn import ALIGNN, from_alignn
from aiida_embarrier.learning.batches import collate
from aiida_embarrier.learning.elements import features
from aiida_embarrier.learning.folding import fold
from aiida_embarrier.learning.gates import Neighbourhood, gated_sums
from aiida_embarrier.learning.graphs import build_graph
from aiida_embarrier.learning.normalisation import make_norm

SMALL = {'hidden': 12, 'embedding': 6, 'edge_bins': 10, 'angle_bins': 8, 'head_width': 5}


def in_double(batch):
    return batch.apply(lambda value: value.double() if value.is_floating_point() else value)


def seeded(labels=('a', 'b'), **entries):
    torch.manual_seed(0)
    model = ALIGNN(Architecture(**{**SMALL, 'alignn_layers': 2, 'gcn_layers': 2, **entries}), labels).double()
    with torch.no_grad():
        for name, value in model.named_parameters():
            if 'norm' in name:
                value += 0.3 * torch.randn_like(value)
        for name, value in model.named_buffers():
            if 'running' in name:
                value += 0.2 * torch.rand_like(value)
    return model


@pytest.mark.parametrize('folded', [False, True], ids=['all atoms', 'folded'])
@pytest.mark.parametrize('doubled', [False, True], ids=['canonised', 'doubled'])
@pytest.mark.parametrize(
    ('entries', 'training'),
    [
        ({}, True),
        ({'head_layers': 2, 'atom_features': 'learned'}, False),
        ({'norm': 'layer', 'head_layers': 1}, True),
    ],
    ids=['batch norm', 'its running statistics', 'layer norm'],
)
def test_predictions_and_gradients_are_those_of_the_plain_network(entries, training, doubled, folded):
    """Every output, gradient and running statistic, in double precision."""
    model = seeded(**entries).train(training)
    graphs = three_crystals(doubled)
    reference = ReferenceALIGNN(model, features(), training)
    batch = collate([fold(graph) for graph in graphs] if folded else graphs)
    batch = in_double(batch)
    ours, theirs = model(batch), reference(graphs)
    # lengths and cosines are stored in single precision
    torch.testing.assert_close(ours, theirs, rtol=2e-5, atol=2e-6)
    ours.square().sum().backward()
    theirs.square().sum().backward()
    for name, value in model.named_parameters():
        theirs = reference.weights[name].grad
        # of a bias before batch normalisation nothing depends but rounding errors
        torch.testing.assert_close(value.grad, theirs, rtol=0, atol=3e-4 * theirs.abs().max() + 1e-9, msg=name)
    for name, value in model.named_buffers():
        if 'running' in name:
            torch.testing.assert_close(value, reference.weights[name], rtol=1e-5, atol=1e-6, msg=name)


@pytest.mark.parametrize(('alignn_layers', 'gcn_layers'), [(0, 2), (1, 0), (0, 0), (1, 1)])
def test_other_numbers_of_layers(alignn_layers, gcn_layers):
    """Everything that is learned has a gradient: processes that train together wait for each."""
    model = seeded(alignn_layers=alignn_layers, gcn_layers=gcn_layers, norm='layer')
    graphs = three_crystals()
    reference = ReferenceALIGNN(model, features(), training=True)
    predictions = model(in_double(collate(graphs)))
    torch.testing.assert_close(predictions, reference(graphs), rtol=2e-5, atol=2e-6)
    predictions.sum().backward()
    unused = {name for name, value in model.named_parameters() if value.grad is None}
    assert all(name.startswith('edge_embedding') for name in unused)
    assert not unused or alignn_layers + gcn_layers == 0


def test_parameters_of_the_published_network():
    """All but those of the two normalisations whose results the published network never uses."""
    model = ALIGNN(ARCHITECTURES['published'], ['a'])
    assert sum(value.numel() for value in model.parameters()) == 4_026_753 - 2 * 2 * 256


def test_free_head_is_two_linear_maps():
    model = ALIGNN(ARCHITECTURES['tiny'], ['a', 'b'], head_style='free')
    assert [(layer.in_features, layer.out_features) for layer in model.heads['b']] == [(32, 64), (64, 1)]


@pytest.mark.parametrize('multiplied', [False, True], ids=['', 'products known'])
@pytest.mark.parametrize('kind', ['batch', 'fixed', 'layer', None])
def test_gradients_of_gated_sums(kind, multiplied):
    """By finite differences, with sources that count twice and not at all, and pieces of one place each."""
    torch.manual_seed(1)
    shapes, width = [(2, 3, 2), (1, 2, 2)], 2
    norm = None
    if kind is not None:
        norm = make_norm('layer' if kind == 'layer' else 'batch', width).double().train(kind != 'fixed')
    counts = torch.tensor([1, 2, 0, 1, 1, 2, 1, 1], dtype=torch.float64)
    weights = torch.tensor([1, 2, 1, 1, 0, 0, 3, 1, 1, 1, 2, 1, 1, 1, 1, 4], dtype=torch.float64)
    neighbourhood = Neighbourhood(shapes, counts, weights, [False, True])
    gate = torch.nn.Linear(width, width).double()

    def function(edges, source, target, values, products, *_):
        results = gated_sums(edges, gate, source, target, values, neighbourhood, norm, products)
        return [result for result in results if result is not None]

    inputs = [torch.randn(rows, width, dtype=torch.float64, requires_grad=True) for rows in (16, 8, 6, 8)]
    parameters = [gate.bias, *(() if norm is None else norm.parameters())]
    products = inputs[0].detach() @ gate.weight.detach().T if multiplied else None
    if multiplied:
        products.requires_grad_(True)
    else:
        parameters.append(gate.weight)
    assert torch.autograd.gradcheck(function, (*inputs, products, *parameters), atol=1e-7)


def test_small_pieces_change_nothing(monkeypatch):
    model = seeded()
    batch = in_double(collate(three_crystals()))
    before = model(batch)
    monkeypatch.setitem(gates.PIECE, 'cpu', 1)
    torch.testing.assert_close(model(batch), before, rtol=1e-12, atol=1e-12)


def test_same_bits_each_time():
    graphs = [fold(graph) for graph in three_crystals(doubled=True)]
    gradients = []
    for _ in range(2):
        model = seeded().float()
        model(collate(graphs)).square().sum().backward()
        gradients.append(torch.cat([value.grad.ravel() for value in model.parameters()]))
    assert torch.equal(*gradients)


def test_without_gradients_the_gates_are_not_kept():
    """Predictions of a model in evaluation mode are the same with and without a graph of the computation."""
    model = seeded().eval()
    batch = in_double(collate(three_crystals()))
    with torch.no_grad():
        bare = model(batch)
    assert torch.equal(bare, model(batch))


def test_predictions_do_not_depend_on_what_else_is_in_the_batch():
    model = seeded().eval()
    graphs = three_crystals()
    together = model(in_double(collate(graphs)))
    apart = torch.cat([model(in_double(collate([graph]))) for graph in graphs])
    torch.testing.assert_close(together, apart, rtol=1e-10, atol=1e-10)


def test_features_of_atoms_are_in_the_order_of_the_crystals():
    model = seeded().eval()
    graphs = three_crystals()
    together = model.encode_atoms(in_double(collate([fold(graph) for graph in graphs])))
    apart = torch.cat([model.encode_atoms(in_double(collate([graph]))) for graph in graphs])
    torch.testing.assert_close(together, apart, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model.encode(in_double(collate(graphs[2:])))[0], apart[-3:].mean(dim=0))


@pytest.mark.parametrize('norm', ['batch', 'layer'])
def test_half_precision(norm):
    """Mixed precision trains, and is off by what the type leaves."""
    model = seeded(norm=norm).float()
    batch = collate(three_crystals())
    exact = model(batch)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        mixed = model(batch)
    mixed.float().square().sum().backward()
    assert (mixed - exact).abs().max() < 0.05 * exact.abs().max()
    assert all(value.grad.isfinite().all() for value in model.parameters())


def test_frozen_parameters_have_no_gradient():
    model = seeded()
    layer = model.alignn_layers[0].edge_update
    layer.requires_grad_(False)
    model(in_double(collate(three_crystals()))).sum().backward()
    assert all(value.grad is None for value in layer.parameters())
    assert model.angle_embedding.outer.linear.weight.grad.abs().max() > 0


def test_weights_of_alignn_find_their_place():
    """Names as in the `alignn` package; that their predictions agree is shown by a benchmark with that package."""
    model = seeded(labels=['a'])
    theirs = {}
    for name, value in model.state_dict().items():
        for ours, published in (
            ('atom_embedding.layer.linear.', 'atom_embedding.layer.0.'),
            ('atom_embedding.layer.norm.', 'atom_embedding.layer.1.'),
            ('_embedding.inner.linear.', '_embedding.1.layer.0.'),
            ('_embedding.inner.norm.', '_embedding.1.layer.1.'),
            ('_embedding.outer.linear.', '_embedding.2.layer.0.'),
            ('_embedding.outer.norm.', '_embedding.2.layer.1.'),
            ('norm_', 'bn_'),
            ('heads.a.0.', 'fc.'),
        ):
            name = name.replace(ours, published)
        theirs[name] = value
    theirs['gcn_layers.1.bn_edges.weight'] = torch.ones(12)
    copied = from_alignn(theirs, model)
    assert all(torch.equal(copied[name], value) for name, value in model.state_dict().items())
    del theirs['fc.bias']
    with pytest.raises(ValueError, match=r'lack heads\.a\.0\.bias: they are of another architecture'):
        from_alignn(theirs, model)


def test_cell_of_a_thousand_atoms():
    """Its 170,000 angles pass without being kept."""
    random = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(*[np.arange(10)] * 3, indexing='ij'), axis=-1).reshape(-1, 3) / 10
    coords = grid + 0.01 * random.random((1000, 3))
    graph = build_graph(22 * np.eye(3), random.choice([3, 8, 26], 1000), coords, GraphSettings())
    batch = collate([graph])
    assert len(batch.cosine) > 150_000
    with torch.no_grad():
        assert ALIGNN(ARCHITECTURES['tiny'], ['a']).eval()(batch).isfinite().all()
