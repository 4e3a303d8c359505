"""On the NumPy twins a captured function simply runs."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import OPTIMIZERS, make_step, numbers, running_on

import microweights as mw
from microweights.errors import CaptureError


@pytest.fixture(autouse=True)
def twins() -> object:
    with running_on("numpy"):
        yield


def test_it_runs_and_keeps_nothing() -> None:
    w = mw.tensor([2.0], requires_grad=True)
    runs = []
    captured = mw.capture(lambda x: (runs.append(1), w * x)[1])
    for i in range(4):
        z = captured(np.array([float(i)], np.float32))
        assert z.item() == 2.0 * i and not z.requires_grad
    assert len(runs) == 4 and captured.programs == [] and captured.recordings == 0


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_training_is_the_one_of_a_captured_step(optimizer: str) -> None:
    x, y = numbers(6, 5), np.array([0, 2, 1, 0, 1, 2])
    (step, model, _), (plain, other, _) = make_step(optimizer, 0.5), make_step(optimizer, 0.5)
    captured = mw.capture(step)
    for _ in range(4):
        assert captured(x, y)[0].item() == plain(mw.tensor(x), mw.tensor(y))[0].item()
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_is_no_input_is_refused_all_the_same() -> None:
    with pytest.raises(CaptureError, match="tensors or arrays"):
        mw.capture(lambda x: x)(3)
    with pytest.raises(RuntimeError, match="have been captured"):
        mw.capture(lambda x: x).explain(mw.tensor([1.0]))
