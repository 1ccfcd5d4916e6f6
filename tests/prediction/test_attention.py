"""Pooling by attention, against what it says written down in loops."""

import math

import torch

from aiida_embarrier.prediction.attention import DROPOUT, AttentionPooling

SIZES = [3, 1, 5]


def pooling(features=4):
    torch.manual_seed(2)
    model = AttentionPooling(features).double()
    torch.nn.init.normal_(model.norm.weight)
    torch.nn.init.normal_(model.norm.bias)
    return model, torch.randn(sum(SIZES), features, dtype=torch.double)


def by_hand(model, atoms):
    """Return the features of one crystal, number by number."""

    def mapped(layer, row):
        sums = [
            sum(weight * value for weight, value in zip(weights, row, strict=True)) + bias
            for weights, bias in zip(layer.weight.tolist(), layer.bias.tolist(), strict=True)
        ]
        return [max(value, 0.0) for value in sums]

    rows, (scales, shifts) = atoms.tolist(), (model.norm.weight.tolist(), model.norm.bias.tolist())
    queries, keys, values = ([mapped(layer, row) for row in rows] for layer in (model.query, model.key, model.value))
    scores = [sum(math.tanh(sum(k * q for k, q in zip(key, query, strict=True))) for query in queries) for key in keys]
    total = sum(math.exp(score) for score in scores)
    found = []
    for feature in range(len(rows[0])):
        mean = sum(row[feature] for row in rows) / len(rows)
        found.append(
            mean + sum(math.exp(score) / total * value[feature] for score, value in zip(scores, values, strict=True))
        )
    centre = sum(found) / len(found)
    width = math.sqrt(sum((value - centre) ** 2 for value in found) / len(found) + model.norm.eps)
    return [(value - centre) / width * scale + shift for value, scale, shift in zip(found, scales, shifts, strict=True)]


def test_it_is_what_loops_find():
    model, atoms = pooling()
    found = model.eval()(atoms, SIZES)
    expected = [by_hand(model, part) for part in atoms.split(SIZES)]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.double))


def test_the_order_of_atoms_and_other_crystals_do_not_matter():
    model, atoms = pooling()
    model.eval()
    order = torch.tensor([2, 0, 1])
    torch.testing.assert_close(model(atoms[:3][order], [3])[0], model(atoms, SIZES)[0])


def test_in_training_weights_of_atoms_are_left_out():
    model, atoms = pooling()
    torch.nn.init.ones_(model.value.bias)
    model.norm = torch.nn.Identity()
    torch.manual_seed(0)
    alone = atoms[3:4]  # its only weight is 1: it is there, and more of it, or not
    drawn = torch.cat([model.train()(alone, [1]) for _ in range(2000)]) - alone
    value = torch.relu(model.value(alone))
    left_out = (drawn == 0).all(dim=1)
    assert abs(float(left_out.double().mean()) - DROPOUT) < 0.03
    torch.testing.assert_close(drawn[~left_out], (value / (1 - DROPOUT)).expand(int((~left_out).sum()), -1))
