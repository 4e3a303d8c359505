"""Which samples come when."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import in_c

import microweights as mw
from microweights.data.batches import Batches, Epoch


@pytest.mark.parametrize(
    ("size", "sizes"), [(None, [10]), (1, [1] * 10), (4, [4, 4, 2]), (10, [10]), (99, [10]), (2**70, [10])]
)
def test_batches_of_an_epoch(size: int | None, sizes: list[int]) -> None:
    batches = Batches(10, size)
    rows = [np.arange(10)[index] for index in batches.epoch()]
    assert [len(r) for r in rows] == sizes and batches.steps == len(sizes)
    assert np.concatenate(rows).tolist() == list(range(10))


def test_one_batch_of_all_needs_no_numbers() -> None:
    epoch = Batches(10, 10, mw.random.permutation).epoch()
    assert epoch.next() == [] and list(epoch) == [slice(None)]


def test_each_epoch_draws_an_order_from_whatever_it_is_given() -> None:
    theirs, mine = np.random.RandomState(3), np.random.RandomState(3)
    batches = Batches(7, 3, mine.permutation)
    for _ in range(2):
        assert np.concatenate(list(batches.epoch())).tolist() == theirs.permutation(7).tolist()


def test_epochs_of_so_many_steps_share_the_samples() -> None:
    batches = Batches(10, 4, np.random.RandomState(0).permutation, steps=2)
    epochs = [np.concatenate(list(batches.epoch())).tolist() for _ in range(5)]
    assert all(len(e) == 8 for e in epochs) and batches.steps == 2
    drawn = np.concatenate(epochs).tolist()
    assert [sorted(drawn[i : i + 10]) for i in range(0, 40, 10)] == [list(range(10))] * 4


def step(share: Any, *rows: Any) -> list[Any]:
    return [share * sum(r.sum() for r in rows), rows[0].sum()]


@in_c
@pytest.mark.parametrize("most", [1, 3, 100])
def test_many_steps_at_once_are_those_one_by_one(most: int) -> None:
    x, y, shares = np.arange(44.0).reshape(22, 2), np.arange(22), np.arange(6.0)
    captured, found, taken = mw.capture(step), [], []
    for _ in range(2):
        epoch = Epoch([x, y], 22, 4)
        while epoch.has_next():
            before = epoch.number
            results = epoch.run(captured, most, shares[epoch.number :])
            found.append(results)
            taken.append(epoch.number - before)
            assert len(results[0]) == taken[-1] and epoch.done == min(22, 4 * epoch.number)
    wanted = [shares[i] * (x[4 * i : 4 * i + 4].sum() + y[4 * i : 4 * i + 4].sum()) for i in range(6)]
    assert np.concatenate([z for z, _ in found]).tolist() == wanted * 2
    assert max(taken) == min(most, 5)  # the last batch is a smaller one, and by itself


def test_a_step_that_is_not_captured_runs_one_by_one() -> None:
    epoch, sums = Epoch([np.arange(5.0)], 5, 2), []
    while epoch.has_next():
        sums += epoch.run(lambda x: mw.tensor(x).sum(), 9)[0].tolist()
    assert sums == [1.0, 5.0, 4.0]


def test_a_step_that_fails_is_not_counted() -> None:
    epoch = Epoch([np.arange(4)], 4, 2)

    def fails(x: Any) -> Any:
        raise FloatingPointError

    with pytest.raises(FloatingPointError):
        epoch.run(fails)
    assert epoch.done == epoch.number == 0 and epoch.next()[0].tolist() == [0, 1]
