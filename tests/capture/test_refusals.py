"""What cannot be replayed is refused, with the line of the user's code; `check` finds what was not."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers import bits, gradient_left_on, make_step, numbers

import microweights as mw
from microweights.errors import CaptureError
from microweights.kernels import machine


def read_item(x: mw.Tensor) -> mw.Tensor:
    return x * (x.sum()).item()


def branch(x: mw.Tensor) -> mw.Tensor:
    return x if x.sum() > 0 else -x


def read_numpy(x: mw.Tensor) -> mw.Tensor:
    return mw.tensor(np.exp((x * 2).numpy()))


def read_input(x: mw.Tensor) -> mw.Tensor:
    return mw.tensor(np.asarray(x) + 1)


def make_int(x: mw.Tensor) -> mw.Tensor:
    return x.astype("int64")


def mask_by_tensor(x: mw.Tensor) -> mw.Tensor:
    return x[x > 0]


def show(x: mw.Tensor) -> mw.Tensor:
    print(x)
    return x


@pytest.mark.parametrize("fn", [read_item, branch, read_numpy, read_input, make_int, mask_by_tensor, show])
def test_a_value_read_is_an_error_that_names_the_line(fn: Callable[..., Any], c_only: str) -> None:
    captured = mw.capture(fn)
    with pytest.raises(CaptureError, match=rf"{os.path.basename(__file__)}:{fn.__code__.co_firstlineno + 1}"):
        captured(mw.tensor([1.0, 2.0]))
    assert machine.backend() == "c"
    assert bits(mw.tensor([1.0]) + 1) == bits(mw.tensor([2.0]))


def test_weights_read_before_they_are_changed(c_only: str) -> None:
    w, rule = mw.tensor([1.0], requires_grad=True), mw.optimizers.SGD()

    @mw.capture
    def step(x: mw.Tensor) -> mw.Tensor:
        scale = w.numpy().sum()
        loss = (w * x).sum()
        rule.apply([mw.grad(loss, w)], [w])
        return loss * float(scale)

    with pytest.raises(CaptureError, match="changes"):
        step(mw.tensor([1.0]))


def test_constants_may_be_read(c_only: str) -> None:
    table = mw.tensor([3.0])
    fn = mw.capture(lambda x: x * float(table.item()))
    assert [fn(mw.tensor([2.0])).item() for _ in range(4)] == [6.0] * 4


def test_numbers_computed_outside_are_found_out(c_only: str) -> None:
    rng = np.random.default_rng(0)
    noisy = mw.capture(lambda x: x + mw.tensor(rng.normal(size=2).astype(np.float32)))
    with pytest.raises(CaptureError, match="same every time"):
        for _ in range(5):
            noisy(mw.tensor([1.0, 2.0]))


def test_a_structure_that_differs_from_run_to_run(c_only: str) -> None:
    count = iter(range(100))
    fickle = mw.capture(lambda x: x + 1 if next(count) % 2 else x * 2)
    with pytest.raises(CaptureError, match=r"`(add|multiply)` at .*test_refusals"):
        for _ in range(5):
            fickle(mw.tensor([1.0]))


def test_gradients_added_up_are_not_the_same_every_time(c_only: str) -> None:
    w = mw.tensor([1.0], requires_grad=True)

    fn = mw.capture(gradient_left_on(w))

    with pytest.raises(CaptureError, match="same every time"):
        for _ in range(6):
            fn(mw.tensor([1.0]))


@pytest.mark.parametrize("wrong", [1.5, 3, object(), np.float32(2)])
def test_inputs_that_are_no_tensors(wrong: Any, c_only: str) -> None:
    with pytest.raises(CaptureError, match="tensors or arrays"):
        mw.capture(lambda x: x)(wrong)


def test_an_input_in_a_graph(c_only: str) -> None:
    x = mw.tensor([1.0], requires_grad=True)
    with pytest.raises(CaptureError, match="detach"):
        mw.capture(lambda t: t * 2)(x * 3)


def test_a_result_that_is_an_array(c_only: str) -> None:
    with pytest.raises(CaptureError, match="tensors"):
        mw.capture(lambda t: np.ones(2))(mw.tensor([1.0]))


def test_not_a_function() -> None:
    with pytest.raises(TypeError, match="function"):
        mw.capture(3)


def test_the_learning_rate_is_not_set_inside(c_only: str) -> None:
    rule = mw.optimizers.SGD()

    @mw.capture
    def fn(x: mw.Tensor) -> mw.Tensor:
        rule.learning_rate = 0.5
        return x * 2

    with pytest.raises(CaptureError, match="`learning_rate`"):
        fn(mw.tensor([1.0]))


def test_an_error_in_the_function_is_the_functions(c_only: str) -> None:
    def wrong(x: mw.Tensor) -> mw.Tensor:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        mw.capture(wrong)(mw.tensor([1.0]))
    assert machine.active is machine.backends[machine.backend()]
    assert mw.capture(lambda x: x + 1)(mw.tensor([1.0])).item() == 2.0


def test_a_label_out_of_range_stops_a_replay_before_the_update(c_only: str) -> None:
    step, model, _ = make_step("sgd")
    captured = mw.capture(step)
    x = mw.tensor(numbers(8, 5))
    for _ in range(3):
        captured(x, mw.tensor(np.arange(8) % 3))
    before = model.get_weights()
    with pytest.raises(ValueError, match="labels"):
        captured(x, mw.tensor(np.arange(8)))
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    captured(x, mw.tensor(np.arange(8) % 3))


def test_check_agrees_on_a_training(c_only: str) -> None:
    histories = []
    for check in (False, True):
        step, model, rule = make_step("adam", dropout=0.3)
        captured = mw.capture(step, check=check)
        x, y = mw.tensor(numbers(8, 5)), mw.tensor(np.arange(8) % 3)
        histories.append([bits(captured(x, y)) for _ in range(6)] + [bits(model.weights), rule.iterations])
    assert histories[0] == histories[1]


def test_check_finds_what_two_recordings_did_not(c_only: str) -> None:
    factor = [2.0]
    fn = mw.capture(lambda x: x * factor[0], check=True)
    for _ in range(3):
        fn(mw.tensor([1.0]))
    factor[0] = 3.0
    with pytest.raises(CaptureError, match="bits"):
        fn(mw.tensor([1.0]))


@pytest.mark.parametrize("n", [2, 5000])
def test_a_new_array_filled_in_part_is_refused(n: int, c_only: str) -> None:
    def fn(x: mw.Tensor) -> mw.Tensor:
        z = mw.tensor([7.0] * n)
        z[0] = x.sum()
        return z * 1

    captured = mw.capture(fn)
    with pytest.raises(CaptureError, match="made by other means"):
        for _ in range(3):
            captured(mw.tensor([1.0]))


def test_results_that_change_and_are_no_tensors(c_only: str) -> None:
    count = iter(range(100))
    fn = mw.capture(lambda x: {"z": x * 2, "n": next(count)})
    with pytest.raises(CaptureError, match="one time and"):
        for _ in range(5):
            fn(mw.tensor([1.0]))
    with pytest.raises(CaptureError, match="generator"):
        mw.capture(lambda x: (v for v in [x]))(mw.tensor([1.0]))


def test_memory_written_by_numpy(c_only: str) -> None:
    w = mw.tensor([1.0, 2.0], requires_grad=True)

    def step(x: mw.Tensor) -> mw.Tensor:
        loss = (w * x).square().sum()
        w.data -= 0.1 * mw.grad(loss, w).data
        return loss

    with pytest.raises(CaptureError, match="only kernels"):
        mw.capture(step)(mw.tensor([1.0, 1.0]))


def test_what_cannot_be_replayed_is_refused(c_only: str) -> None:
    name = machine.backend()
    for fn in (lambda x: mw.seed(1), lambda x: machine.set_backend(name)):
        with pytest.raises(CaptureError, match="only what kernels do"):
            mw.capture(fn)(mw.tensor([1.0]))


def test_check_leaves_gradients_as_one_run_does(c_only: str) -> None:
    w = mw.tensor([1.0], requires_grad=True)

    def fn(x: mw.Tensor) -> mw.Tensor:
        loss = (w * x).sum()
        loss.backward()
        return loss

    captured = mw.capture(fn, check=True)
    for _ in range(5):
        w.grad = None
        captured(mw.tensor([2.0]))
        assert w.grad is not None
        assert w.grad.tolist() == [2.0]


def test_gradients_that_happen_to_be_the_same_before_two_calls(c_only: str) -> None:
    """What is added to is not a constant, even if it was zero both times."""
    w = mw.tensor([1.0, 1.0], requires_grad=True)

    fn = mw.capture(gradient_left_on(w))

    for i in range(3):
        w.grad = mw.tensor([float(i) * 100, 0.0]) if i == 2 else mw.tensor([0.0, 0.0])
        fn(mw.tensor([3.0, 3.0]))
    assert w.grad is not None and w.grad.tolist() == [203.0, 3.0]
    assert fn.programs == []


def test_check_compares_results_that_are_no_tensors(c_only: str) -> None:
    given = iter([1, 1, 7, 7])
    captured = mw.capture(lambda x: (x * 2, next(given)), check=True)
    captured(numbers(3))
    captured(numbers(3))
    with pytest.raises(CaptureError, match="another result"):
        captured(numbers(3))
