"""Programs among threads, after fork, in copies, beside changes of what they were recorded with, and when they go."""

from __future__ import annotations

import copy
import functools
import gc
import os
import pickle
import signal
import threading
import tracemalloc
import weakref
from typing import Any

import numpy as np
import pytest
from helpers import bits, in_c, make_step, numbers

import microweights as mw


def test_weights_frozen_later_make_another_program(c_only: str) -> None:
    step, model, _ = make_step("sgd")
    captured = mw.capture(step)
    x, y = mw.tensor(numbers(8, 5)), mw.tensor(np.arange(8) % 3)
    for _ in range(4):
        captured(x, y)
    for w in model.weights[:2]:
        w.requires_grad = False
    before = model.get_weights()
    for _ in range(4):
        captured(x, y)
    after = model.get_weights()
    assert len(captured.programs) == 1  # the one for all of them would count for those that stand still, too
    assert np.array_equal(before[0], after[0])
    assert not np.array_equal(before[2], after[2])


def test_threads_with_one_program_and_eager_work_beside(c_only: str) -> None:
    fn = mw.capture(lambda x: ((x * 2).exp() + 1).log())
    expected = {i: bits(fn.fn(mw.tensor(numbers(300, seed=i)))) for i in range(8)}
    wrong: list[int] = []

    def work(i: int) -> None:
        x = mw.tensor(numbers(300, seed=i))
        results = [bits(f(x)) for _ in range(40) for f in (fn, fn.fn)]
        wrong.append(len([r for r in results if r != expected[i]]))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert wrong == [0] * 8


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_replay_after_fork(c_only: str) -> None:
    fn = mw.capture(lambda x: (x * 2).exp().sum())
    x = mw.tensor(numbers(200_000))
    expected = [fn(x).item() for _ in range(4)][-1]
    child = os.fork()
    if child == 0:
        os._exit(0 if fn(x).item() == expected else 1)
    assert os.waitpid(child, 0)[1] == 0
    fn.programs[0].compiled.running = 1  # as if a thread were at it when the process is forked
    child = os.fork()
    if child == 0:
        signal.alarm(10)
        os._exit(0 if fn(x).item() == expected else 1)
    fn.programs[0].compiled.running = 0
    assert os.waitpid(child, 0)[1] == 0


def test_what_a_program_needs_lives_as_long_as_it(c_only: str) -> None:
    made: dict[str, Any] = {}

    def fn(x: mw.Tensor) -> mw.Tensor:
        loss = (made["w"] * x).sum()
        made["rule"].apply([mw.grad(loss, made["w"])], [made["w"]])
        return loss

    def renew() -> None:
        made["w"], made["rule"] = mw.tensor(numbers(1000), requires_grad=True), mw.optimizers.Adam()

    renew()
    captured = mw.capture(fn)
    for _ in range(4):
        captured(mw.tensor(numbers(1000)))
    renew()
    ballast = [np.zeros(1000, np.float32) for _ in range(100)]
    for _ in range(4):
        captured(mw.tensor(numbers(1000)))
    assert not any(b.any() for b in ballast)


def test_a_program_goes_with_its_function(c_only: str) -> None:
    """At once, not when Python next looks for cycles: it may hold much memory."""
    w = mw.tensor(numbers(3), requires_grad=True)
    gc.disable()
    try:
        double = mw.capture(lambda x: (x * w, x + w))
        for _ in range(4):
            double(numbers(3))
        program = weakref.ref(double.programs[0])
        del double
        assert program() is None
    finally:
        gc.enable()


def test_targets_that_are_not_arguments_are_guarded(c_only: str) -> None:
    y = mw.tensor([0, 1])
    loss_of = mw.losses.SparseCategoricalCrossentropy(from_logits=True)
    fn = mw.capture(lambda x: loss_of(y, x))
    x = mw.tensor([[4.0, 0.0], [0.0, 4.0]])
    for _ in range(3):
        fn(x)
    y.data = np.array([1, 0])
    assert fn(x).item() == loss_of(y, x).item() > 4


def test_a_thread_within_a_recording_runs_eagerly(c_only: str) -> None:
    other = mw.capture(lambda x: x * 2)
    found: list[float] = []

    def fn(x: mw.Tensor) -> mw.Tensor:
        t = threading.Thread(target=lambda: found.append(other(mw.tensor([3.0])).item()))
        t.start()
        t.join()
        return x + 1

    assert mw.capture(fn)(mw.tensor([1.0])).item() == 2.0
    assert found == [6.0]


def test_shapes_seen_once_take_little_memory(c_only: str) -> None:
    fn = mw.capture(lambda x: x * 2)
    for n in range(1, 200):
        fn(np.ones(n, np.float32))
    assert len(fn._waiting) == 199
    tracemalloc.start()
    big = mw.capture(lambda x: ((x * 2).exp() + 1).log())  # one that must not hold what it computed for shapes seen once
    for n in range(1, 9):
        big(np.ones(100_000 + n, np.float32))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 1e6
    for n in range(1, 100):
        for _ in range(3):
            fn(np.ones(n, np.float32))
    assert len(fn.programs) == 99


def test_a_copied_model_is_a_model_of_its_own(c_only: str) -> None:
    _, model, rule = make_step("adam")
    model.compile(rule, "sparse_categorical_crossentropy")
    x, y = numbers(8, 5), np.arange(8) % 3
    model.fit(x, y, epochs=3, verbose=0)
    model.predict(x)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        before = [w.tobytes() for w in model.get_weights()]
        assert twin.predict(x).tobytes() == model.predict(x).tobytes()
        twin.fit(x, y, epochs=2, verbose=0)
        assert [w.tobytes() for w in model.get_weights()] == before
        assert twin.optimizer.iterations == rule.iterations + 2


def test_losses_and_lists_of_layers_changed_between_calls(c_only: str) -> None:
    class Scaled(mw.losses.Loss):
        scale = 1.0

        def call(self, y_true: mw.Tensor, y_pred: mw.Tensor) -> mw.Tensor:
            return (y_true - y_pred).square() * self.scale

    class Blocks(mw.Model):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = [mw.layers.Dense(2, kernel_initializer="ones") for _ in range(2)]

        def call(self, x: mw.Tensor) -> mw.Tensor:
            for block in self.blocks:
                x = block(x)
            return x

    loss, model, x = Scaled(), Blocks(), np.ones((3, 2), np.float32)
    model.compile("sgd", loss)
    for _ in range(4):
        assert model.evaluate(x, x) == 9.0
    loss.scale = 10.0
    assert model.evaluate(x, x) == 90.0
    for _ in range(4):
        assert model.predict(x).tolist() == [[4.0, 4.0]] * 3
    model.blocks.pop()
    assert model.predict(x).tolist() == [[2.0, 2.0]] * 3


def test_a_threshold_and_a_constant_changed_between_calls(c_only: str) -> None:
    metric = mw.metrics.BinaryAccuracy()
    model = mw.Sequential([mw.Input((1,)), mw.layers.Dense(1, kernel_initializer="ones")])
    model.compile("sgd", "mse", metrics=[metric])
    x, y = np.full((4, 1), 0.6, np.float32), np.ones((4, 1), np.float32)
    for _ in range(4):
        assert model.evaluate(x, y)[1] == 1.0
    metric.threshold = 0.7
    assert model.evaluate(x, y)[1] == 0.0
    rate = mw.tensor([0.5])
    fn = mw.capture(lambda x: x * rate.item())
    for _ in range(4):
        assert fn(mw.tensor([2.0])).item() == 1.0
    rate.assign([3.0])
    assert [fn(mw.tensor([2.0])).item() for _ in range(4)] == [6.0] * 4


def test_what_somebody_still_holds_is_refreshed(c_only: str) -> None:
    """A tensor that the function leaves somewhere shows the values of each replay, as if it had run."""
    held: list[mw.Tensor] = [mw.tensor([0.0])]

    def fn(x: mw.Tensor) -> mw.Tensor:
        held[0] = x * 2
        return held[0] + 1

    captured, seen = mw.capture(fn), []
    for i in range(5):
        captured(mw.tensor([float(i)]))
        seen.append(held[0].item())
    assert seen == [0.0, 2.0, 4.0, 6.0, 8.0]


def test_results_are_outside_the_graph_while_another_thread_is_recorded(c_only: str) -> None:
    w = mw.tensor([2.0], requires_grad=True)
    fn, after = mw.capture(lambda x: x * w), mw.capture(lambda x: x + 1)
    results: list[Any] = []

    def other(x: mw.Tensor) -> mw.Tensor:
        thread = threading.Thread(target=lambda: results.append(fn(mw.tensor([3.0]))))
        thread.start()
        thread.join()
        return x + 1

    mw.capture(other)(mw.tensor([1.0]))
    assert not results[0].requires_grad
    assert after(results[0]).item() == 7.0


class Block(mw.layers.Layer):
    """Layers, functions and numbers where no attribute says that they change."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = [mw.layers.Dense(4), mw.layers.Dense(4)]
        self._steps: list[Any] = [lambda x: x * 2]
        self.options = {"rates": [2.0], "pair": (0.5, 1)}

    def call(self, x: mw.Tensor) -> mw.Tensor:
        for layer in self.layers:
            x = layer(x)
        for step in self._steps:
            x = step(x)
        return x * self.options["rates"][0] + self.options["pair"][0]


def test_lists_of_a_layer_in_a_model_changed_between_calls(c_only: str) -> None:
    x, block = numbers(2, 4), Block()
    model = mw.Sequential([block])
    model.compile("sgd", "mse")

    def is_right() -> bool:
        return all(np.array_equal(model.predict(x), model(mw.tensor(x)).numpy()) for _ in range(3))

    assert is_right()
    replayed = len(model._steps["predict"].programs)  # type: ignore[attr-defined]
    assert replayed == 1
    for i in range(4):
        block._steps.pop()
        block._steps.append(lambda x, i=i: x * (i + 3))
        assert is_right()
    block.layers.reverse()
    assert is_right()
    block.layers.pop()
    assert is_right()
    block.options["rates"][0] = 3.0
    assert is_right()
    for i in range(4):
        block.options.pop("pair")
        block.options["pair"] = (i + 0.5, 1)
        assert is_right()


class Holder:
    """Keeps a captured method of its own under a name of its own."""

    def __init__(self) -> None:
        self.step = mw.capture(self._step)

    def _step(self, x: mw.Tensor) -> mw.Tensor:
        return x * 3


def times(x: mw.Tensor, k: float) -> mw.Tensor:
    return x * k


@mw.capture
def doubled(x: mw.Tensor) -> mw.Tensor:
    return x * 2


@in_c
def test_objects_with_captured_methods_are_pickled() -> None:
    own, x = Holder(), mw.tensor([1.0, 1.0])
    for _ in range(3):
        own.step(x)
    again = pickle.loads(pickle.dumps(own))
    assert [again.step(x).tolist() for _ in range(4)] == [[3.0, 3.0]] * 4
    assert again.step is not own.step and len(again.step.programs) == 1
    assert pickle.loads(pickle.dumps(doubled)) is doubled
    part = mw.capture(functools.partial(times, k=2.0))
    assert pickle.loads(pickle.dumps(part))(x).tolist() == [2.0, 2.0]
