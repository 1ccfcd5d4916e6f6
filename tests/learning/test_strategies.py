"""Transfer: which weights a model starts from and which are trained, as the published work has them."""

import pytest
import torch

from aiida_embarrier.jobs.learning import Architecture, GraphSettings, ModelCard, Scaler, TrainingSettings, Transfer
from aiida_embarrier.learning.alignn import ALIGNN
from aiida_embarrier.learning.batches import collate
from aiida_embarrier.learning.model_files import n_parameters, n_trained
from aiida_embarrier.learning.strategies import check_parent, transferred

ENCODER = {'atom_embedding', 'edge_embedding', 'angle_embedding', 'alignn_layers', 'gcn_layers'}


def parent_of(architecture: Architecture, labels=('modulus',), **entries) -> tuple[ALIGNN, ModelCard]:
    torch.manual_seed(0)
    scalers = [Scaler(label=label, property=label) for label in labels]
    card = ModelCard(
        architecture=architecture, graphs=GraphSettings(), scalers=scalers, training=TrainingSettings(), **entries
    )
    return ALIGNN(architecture, labels, card.head_style), card


def from_parent(architecture: Architecture, labels=('gap',), parent=('modulus',), **transfer):
    """Return a parent and the model that is made of it."""
    model, card = parent_of(architecture, parent)
    torch.manual_seed(1)
    return model, *transferred(model, card, Transfer(**transfer), labels, architecture)


def trained(model: ALIGNN) -> set[str]:
    """Return what is trained: children, and of the layers over angles their halves."""
    found = set()
    for name, parameter in model.named_parameters():
        child, *rest = name.split('.')
        part = f'{child}.{rest[1]}' if child == 'alignn_layers' else child
        if parameter.requires_grad:
            found.add(part)
    return found


ALL = {
    'atom_embedding',
    'edge_embedding',
    'angle_embedding',
    'alignn_layers.node_update',
    'alignn_layers.edge_update',
    'gcn_layers',
    'heads',
}


@pytest.mark.parametrize(
    ('transfer', 'expected'),
    [
        ({'strategy': 'all'}, ALL),
        ({'strategy': 'all', 'freeze': 'atoms'}, ALL - {'atom_embedding'}),
        ({'strategy': 'all', 'freeze': 'encoder', 'head': 'new'}, {'heads'}),
        ({'strategy': 'new_head'}, {'heads'}),
        ({'strategy': 'new_head', 'freeze': 'atoms'}, ALL - {'atom_embedding'}),
        ({'strategy': 'new_head', 'freeze': 'none'}, ALL),
        ({'strategy': 'last_layer'}, {'heads'}),
        ({'strategy': 'two_body'}, {'heads', 'alignn_layers.node_update', 'gcn_layers'}),
        ({'strategy': 'three_body'}, {'heads', 'alignn_layers.edge_update'}),
    ],
    ids=lambda value: '-'.join(value.values()) if isinstance(value, dict) else '',
)
def test_what_is_trained(tiny, transfer, expected):
    _, model, _ = from_parent(tiny, **transfer)
    assert trained(model) == expected
    frozen = sum(p.numel() for n, p in model.named_parameters() if not p.requires_grad)
    assert n_trained(model) + frozen == n_parameters(model)


@pytest.mark.parametrize('strategy', ['all', 'new_head', 'last_layer', 'two_body', 'three_body'])
def test_weights_are_those_of_the_parent(tiny, strategy):
    parent, model, style = from_parent(tiny, strategy=strategy)
    known, found = parent.state_dict(), model.state_dict()
    for name in known:
        if not name.startswith('heads.'):
            torch.testing.assert_close(found[name], known[name], rtol=0, atol=0)
    if strategy == 'new_head':
        assert style == 'free'
        assert [tuple(value.shape) for value in model.heads['gap'].state_dict().values()] == [
            (64, 8),
            (64,),
            (1, 64),
            (1,),
        ]
    else:
        assert style == 'published'
        torch.testing.assert_close(found['heads.gap.0.weight'], known['heads.modulus.0.weight'], rtol=0, atol=0)


def test_the_parent_stays_as_it_is(tiny, small_graphs):
    parent, model, _ = from_parent(tiny, strategy='two_body')
    before = {name: value.clone() for name, value in parent.state_dict().items()}
    step(model, small_graphs)
    assert all(parameter.requires_grad for parameter in parent.parameters())
    for name, value in parent.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def step(model: ALIGNN, graphs) -> None:
    """Let a model learn something in one step."""
    optimiser = torch.optim.SGD((p for p in model.parameters() if p.requires_grad), lr=0.1)
    model.train()
    model(collate(graphs)).square().sum().backward()
    optimiser.step()


def test_frozen_parameters_stay_and_statistics_of_batches_move_as_published(tiny, small_graphs):
    _, model, _ = from_parent(tiny, strategy='last_layer')
    before = {name: value.clone() for name, value in model.state_dict().items()}
    step(model, small_graphs)
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    statistics = {name for name in before if name.endswith(('running_mean', 'running_var', 'num_batches_tracked'))}
    assert changed == {'heads.gap.0.weight', 'heads.gap.0.bias'} | statistics
    assert statistics


def test_from_several_properties_to_one_takes_a_new_head_of_their_kind(tiny):
    several = tiny.model_copy(update={'head_layers': 2})
    parent, model, style = from_parent(several, ('gap',), ('modulus', 'energy'), strategy='all')
    assert (model.labels, style) == (('gap',), 'published')
    assert [type(layer).__name__ for layer in model.heads['gap']] == [
        'SiLU',
        'Linear',
        'SiLU',
        'Linear',
        'SiLU',
        'Linear',
    ]
    for head in parent.heads.values():
        assert not torch.equal(model.heads['gap'][1].weight, head[1].weight)
    assert trained(model) == ALL


def test_a_new_head_may_differ_from_that_of_the_parent(tiny):
    parent, card = parent_of(tiny.model_copy(update={'head_layers': 2}), ('modulus', 'energy'))
    model, _ = transferred(parent, card, Transfer(), ['gap'], tiny)
    assert [type(layer).__name__ for layer in model.heads['gap']] == ['Linear']


def test_from_several_properties_to_one_of_them_keeps_its_head_where_asked(tiny):
    for transfer in ({'strategy': 'all', 'head': 'parent'}, {'strategy': 'last_layer'}):
        parent, model, _ = from_parent(tiny, ('energy',), ('modulus', 'energy'), **transfer)
        torch.testing.assert_close(model.heads['energy'][0].weight, parent.heads['energy'][0].weight, rtol=0, atol=0)


def test_a_free_head_is_kept_as_it_is(tiny):
    parent, card = parent_of(tiny, head_style='free')
    model, style = transferred(parent, card, Transfer(strategy='last_layer'), ['gap'], tiny)
    assert style == 'free'
    torch.testing.assert_close(model.heads['gap'][1].weight, parent.heads['modulus'][1].weight, rtol=0, atol=0)


@pytest.mark.parametrize(
    ('transfer', 'message'),
    [
        (
            {'strategy': 'last_layer'},
            "the strategy 'last_layer' .* has heads for modulus, energy and none for gap: take",
        ),
        ({'strategy': 'all', 'head': 'parent'}, "the head 'parent' .* none for gap"),
    ],
)
def test_a_head_that_the_parent_does_not_have(tiny, transfer, message):
    with pytest.raises(ValueError, match=message):
        from_parent(tiny, ('gap',), ('modulus', 'energy'), **transfer)


@pytest.mark.parametrize(
    ('change', 'transfer', 'message'),
    [
        ({'hidden': 16}, {}, 'its hidden is 8, that of the new model 16; take that of the parent'),
        ({'gcn_layers': 3}, {'strategy': 'new_head'}, 'its gcn_layers is 2, that of the new model 3'),
        ({'norm': 'layer'}, {}, "its norm is 'batch', that of the new model 'layer'"),
        ({'head_layers': 2}, {'strategy': 'last_layer'}, 'its head_layers is 0, that of the new model 2'),
    ],
)
def test_a_parent_of_another_architecture(tiny, change, transfer, message):
    parent, card = parent_of(tiny)
    with pytest.raises(ValueError, match=message):
        transferred(parent, card, Transfer(**transfer), ['gap'], tiny.model_copy(update=change))


def test_a_parent_is_checked_before_anything_is_built(tiny):
    _, card = parent_of(tiny)
    check_parent(card, tiny.model_copy(update={'head_layers': 2}), GraphSettings())
    check_parent(card, tiny, GraphSettings(coincident='unbonded'))  # the same graphs, and some of more crystals
    with pytest.raises(ValueError, match='its hidden is 8, that of the new model 16'):
        check_parent(card, tiny.model_copy(update={'hidden': 16}), GraphSettings())
    with pytest.raises(ValueError, match=r'graphs with doubled False, this training has True, .* graphs of the parent'):
        check_parent(card, tiny, GraphSettings(doubled=True))


def test_a_model_without_layers_over_angles_has_none_to_train(tiny):
    flat = tiny.model_copy(update={'alignn_layers': 0})
    with pytest.raises(ValueError, match="no layers that the strategy 'three_body' trains"):
        from_parent(flat, strategy='three_body')
