"""Losses against the formulas written out, and spread over processes."""

import numpy as np
import pytest
import torch

from aiida_embarrier.jobs.learning import TrainingSettings
from aiida_embarrier.learning.losses import TargetLoss

ELEMENTWISE = {
    'l1': lambda x: abs(x),
    'mse': lambda x: x * x,
    'huber': lambda x: 0.5 * x * x if abs(x) < 0.1 else 0.1 * (abs(x) - 0.05),
}


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Return predictions and targets of 7 rows and 4 properties, the last of which no row has."""
    generator = torch.Generator().manual_seed(4)
    predictions = torch.randn(7, 4, generator=generator)
    targets = predictions + 0.2 * torch.randn(7, 4, generator=generator)
    targets[torch.rand(7, 4, generator=generator) < 0.5] = torch.nan
    targets[0, :3] = 0.3
    targets[:, 3] = torch.nan
    return predictions, targets


def loss(kind: str, how: str) -> TargetLoss:
    return TargetLoss(TrainingSettings(loss=kind, multi_loss=how))


@pytest.mark.parametrize('kind', ELEMENTWISE)
def test_published(batch, kind):
    predictions, targets = (tensor.numpy() for tensor in batch)
    total = 0.0
    for b in range(7):
        for p in range(4):
            has_prop = 0 if np.isnan(targets[b, p]) else 1
            target = targets[b, p] if has_prop else 0.0
            total += ELEMENTWISE[kind](predictions[b, p] * has_prop - target)
    assert loss(kind, 'published')(*batch).item() == pytest.approx(total / (7 * 4))


def test_published_is_one_line_of_torch(batch):
    predictions, targets = batch
    has_prop = (~torch.isnan(targets)).float()
    literally = torch.nn.L1Loss()(predictions * has_prop, torch.nan_to_num(targets, nan=0.0))
    torch.testing.assert_close(loss('l1', 'published')(*batch), literally)


@pytest.mark.parametrize('kind', ELEMENTWISE)
def test_balanced(batch, kind):
    predictions, targets = (tensor.numpy() for tensor in batch)
    means = []
    for p in range(3):
        rows = ~np.isnan(targets[:, p])
        means.append(np.mean([ELEMENTWISE[kind](x) for x in (predictions - targets)[rows, p]]))
    assert loss(kind, 'balanced')(*batch).item() == pytest.approx(np.mean(means))


@pytest.mark.parametrize('kind', ELEMENTWISE)
def test_of_one_property_without_gaps_both_are_the_mean(kind):
    predictions, targets = torch.tensor([[0.5], [1.0], [-2.0]]), torch.tensor([[0.45], [3.0], [0.0]])
    expected = np.mean([ELEMENTWISE[kind](x) for x in (0.05, -2.0, -2.0)])
    for how in ('published', 'balanced'):
        assert loss(kind, how)(predictions, targets).item() == pytest.approx(expected)


@pytest.mark.parametrize('how', ['published', 'balanced'])
def test_what_is_missing_has_no_gradient(batch, how):
    predictions, targets = batch
    predictions.requires_grad_()
    loss('l1', how)(predictions, targets).backward()
    missing = torch.isnan(targets)
    assert not predictions.grad[missing].any()
    assert predictions.grad[~missing].all()


@pytest.mark.parametrize('how', ['published', 'balanced'])
def test_processes_together_have_the_loss_of_the_whole_batch(batch, how):
    predictions, targets = batch
    wanted = loss('mse', how)
    whole = predictions.clone().requires_grad_()
    wanted(whole, targets).backward()
    parts = [predictions[:2].clone().requires_grad_(), predictions[2:].clone().requires_grad_()]
    sums = [wanted.sums(part, rows) for part, rows in zip(parts, (targets[:2], targets[2:]), strict=True)]
    weights = sums[0][1] + sums[1][1]
    losses = [wanted.combine(own, weights) for own, _ in sums]
    for value in losses:
        value.backward()
    assert sum(losses).item() == pytest.approx(wanted(predictions, targets).item())
    torch.testing.assert_close(torch.cat([part.grad for part in parts]), whole.grad)


def test_a_batch_in_which_all_is_missing():
    predictions = torch.ones(2, 2, requires_grad=True)
    for how in ('published', 'balanced'):
        value = loss('l1', how)(predictions, torch.full((2, 2), torch.nan))
        value.backward()
        assert value.item() == 0
    assert not predictions.grad.any()


def test_half_precision_ends_at_the_loss():
    predictions = torch.tensor([[300.0]], dtype=torch.float16)
    assert loss('mse', 'published')(predictions, torch.tensor([[0.0]])).item() == 90000  # beyond the range of float16


def test_shapes_that_would_be_broadcast():
    with pytest.raises(ValueError, match=r'shape \(4, 1\), targets \(4,\)'):
        loss('l1', 'published')(torch.zeros(4, 1), torch.zeros(4))
