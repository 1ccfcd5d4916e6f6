"""The schedule of the learning rate, against torch's own."""

import pytest
import torch

from aiida_embarrier.jobs.learning import TrainingSettings
from aiida_embarrier.learning.schedule import rates_at


@pytest.mark.parametrize(('total', 'warm_up'), [(100, 0.3), (7, 0.3), (50, 0.05), (4, 0.5)])
def test_one_cycle_is_that_of_torch(total, warm_up):
    settings = TrainingSettings(lr=0.01, warm_up=warm_up)
    optimiser = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=settings.lr, total_steps=total, pct_start=settings.warm_up
    )
    for step in range(total):
        group = optimiser.param_groups[0]
        assert rates_at(step, total, settings) == pytest.approx((group['lr'], group['betas'][0]), rel=1e-12)
        optimiser.step()
        if step < total - 1:
            schedule.step()


def test_a_single_step_has_the_highest_rate_or_the_lowest():
    lr, momentum = rates_at(0, 1, TrainingSettings(lr=0.01))
    assert 0 < lr <= 0.01
    assert 0.85 <= momentum <= 0.95


def test_constant():
    settings = TrainingSettings(lr=0.01, schedule='constant')
    assert rates_at(0, 10, settings) == rates_at(9, 10, settings) == (0.01, 0.9)
