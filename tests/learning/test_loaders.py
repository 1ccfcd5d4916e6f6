"""Which rows are in which step, and batches that are made ahead."""

import threading

import numpy as np
import pytest
import torch

from aiida_embarrier.learning.folding import FoldedGraphs, fold
from aiida_embarrier.learning.loaders import CrystalItems, StepOrder, prefetched, share_of
from aiida_embarrier.learning.sizes import n_angles


def test_every_epoch_has_each_row_once_in_an_order_of_its_own():
    rows = np.arange(100, 120)
    order = StepOrder(rows, 6, seed=1, shuffle=True)
    assert order.n_steps == 4
    epochs = [np.concatenate(order.steps(number)) for number in range(3)]
    assert all(sorted(epoch) == list(rows) for epoch in epochs)
    assert not np.array_equal(epochs[0], epochs[1])
    assert [len(step) for step in order.steps(0)] == [6, 6, 6, 2]
    assert np.array_equal(epochs[2], np.concatenate(StepOrder(rows, 6, 1, True).steps(2)))
    assert not np.array_equal(epochs[0], np.concatenate(StepOrder(rows, 6, 2, True).steps(0)))


def test_the_order_can_be_that_of_the_rows():
    rows = np.array([5, 3, 4])
    assert [list(step) for step in StepOrder(rows, 2, 1, False).steps(7)] == [[5, 3], [4]]


@pytest.mark.parametrize(('n_rows', 'world'), [(16, 2), (5, 2), (1, 3), (7, 3)])
def test_processes_share_all_rows(n_rows, world):
    rows = np.arange(n_rows)
    shares = [share_of(rows, rank, world) for rank in range(world)]
    assert np.array_equal(np.concatenate(shares), rows)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_what_is_predicted_together_fits_into_memory(small_graphs):
    """However many rows a step of the training has: a batch of angles is bounded, folded or not."""
    numbers = np.array([7, 2, 5, 9, 0])
    for graphs in (small_graphs, FoldedGraphs(small_graphs)):
        targets = torch.zeros((12, 1))
        assert [len(part) for part in CrystalItems(graphs, targets).portions(numbers)] == [5]
        sizes = np.array([n_angles(graphs[number]) for number in numbers])
        parts = CrystalItems(graphs, targets, int(sizes.max())).portions(numbers)
        assert sorted(np.concatenate(parts)) == [0, 1, 2, 3, 4]
        assert max(sizes[part].sum() for part in parts) == sizes.max()
    assert n_angles(fold(small_graphs[0])) < n_angles(small_graphs[0])


def test_batches_come_in_order_and_are_made_ahead():
    made = []
    second = threading.Event()

    def make(step):
        made.append(int(step[0]))
        if len(made) == 2:
            second.set()
        return int(step[0]) * 10

    steps = [np.array([1]), np.array([2]), np.array([], dtype=int), np.array([3])]
    batches = prefetched(make, steps)
    assert next(batches) == 10
    assert second.wait(10)  # the second one is there before it is asked for
    assert list(batches) == [20, None, 30]
    assert made == [1, 2, 3]


def test_what_goes_wrong_while_a_batch_is_made_is_told():
    def make(_):
        raise ValueError('no such row')

    with pytest.raises(ValueError, match='no such row'):
        list(prefetched(make, [np.array([1])]))
