"""A replay gives the bits of an eager run, whatever the function: every operation, trainings, any program."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers import OPTIMIZERS, bits, gradient_left_on, in_c, make_step, numbers, same_as_eager
from hypothesis import given
from hypothesis import strategies as st

import microweights as mw
from microweights.errors import CaptureError, NonFiniteError
from microweights.kernels import door
from microweights.ops import OPS, Case

CASES = [pytest.param(name, case, id=f"{name}-{i}") for name, op in OPS.items() for i, case in enumerate(op.cases)]


OPERATIONS: list[Callable[[mw.Tensor, mw.Tensor], mw.Tensor]] = [
    lambda p, q: p + q, lambda p, q: (p * q).clip(-3, 3), lambda p, q: p - q, lambda p, q: p.tanh(), lambda p, q: q.exp().log(),
    lambda p, q: mw.where(p > q, p, -q), lambda p, q: p.max(1, keepdims=True) + q, lambda p, q: p.T.softmax().T,
    lambda p, q: mw.concatenate([p[1:], q[:1]]), lambda p, q: mw.pad(p[:, 1:], ((0, 0), (1, 0))), lambda p, q: p[::-1],
    lambda p, q: mw.stack([p, q]).sum(0), lambda p, q: p @ (q.T @ q) * 0.1, lambda p, q: p[np.zeros(len(p), int)],
    lambda p, q: p.mean(0) + q * 0.5, lambda p, q: (p + 0.0).relu(), lambda p, q: p.reshape(-1).reshape(*q.shape),
]  # fmt: skip


@pytest.mark.parametrize(("name", "case"), CASES)
def test_each_operation_with_its_gradients(name: str, case: Case, dtype: str, c_only: str) -> None:
    rng = np.random.default_rng(1)
    inputs = [mw.tensor(rng.uniform(case.low, case.high, s).astype(dtype), requires_grad=True) for s in case.shapes]
    second_order = not any(isinstance(v, np.ndarray) and v.dtype == bool for v in case.parameters.values())

    def fn(*xs: mw.Tensor) -> list[mw.Tensor]:
        z = OPS[name](**case.parameters)(*xs)
        z = mw.concatenate([t.reshape(-1) for t in z]) if isinstance(z, tuple) else z
        first = mw.grad((z * z).sum(), xs, create_graph=second_order)
        total = first[0].square().sum() * 0.5
        return [z, *first, *(mw.grad(total, xs) if second_order and total.requires_grad else [])]

    captured = same_as_eager(fn, *inputs)
    others = [mw.tensor(rng.uniform(case.low, case.high, s).astype(dtype), requires_grad=True) for s in case.shapes]
    assert bits(captured(*others)) == bits(fn(*others))
    assert len(captured.programs) == 1


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_training_of_two_batch_sizes_with_everything_between(optimizer: str, c_only: str) -> None:
    x, y = numbers(23, 5), np.arange(23) % 3
    histories = []
    for captures in (False, True):
        step, model, rule = make_step(optimizer, dropout=0.3)
        run = mw.capture(step) if captures else step
        seen: list[Any] = []
        for epoch in range(6):
            for start in (0, 16):
                xs, ys = mw.tensor(x[start : start + 16]), mw.tensor(y[start : start + 16])
                seen.append(bits(run(xs, ys)))
            if epoch == 2:
                rule.learning_rate = 0.05
            if epoch == 3:
                model.set_weights([w + 0.01 for w in model.get_weights()])
            if epoch == 4:
                seen.append(bits(step(xs, ys)))
            seen.append(bits(model(mw.tensor(x))))
        seen.append(rule.iterations)
        histories.append(seen)
        if captures:
            assert len(run.programs) == 2
    assert histories[0] == histories[1]


def test_thousands_of_replays(c_only: str) -> None:
    eager, replayed = make_step("adam")[0], mw.capture(make_step("adam")[0])
    x, y = mw.tensor(numbers(8, 5)), mw.tensor(np.arange(8) % 3)
    for _ in range(2000):
        a, b = eager(x, y), replayed(x, y)
    assert bits(a) == bits(b)


def test_weights_made_in_the_first_call(c_only: str) -> None:
    mw.seed(0)
    model, rule = mw.Sequential([mw.layers.Dense(4), mw.layers.Dense(1)]), mw.optimizers.Adam()

    @mw.capture
    def step(x: mw.Tensor) -> mw.Tensor:
        loss = model(x, training=True).square().mean()
        variables = model.trainable_variables
        rule.apply(mw.grad(loss, variables), variables)
        return loss

    x = mw.tensor(numbers(6, 3))
    losses = [step(x).item() for _ in range(20)]
    assert len(step.programs) == 1
    assert losses == sorted(losses, reverse=True)
    assert rule.iterations == 20


def test_gradients_left_on_weights_are_fresh(c_only: str) -> None:
    w = mw.tensor([1.0, 2.0], requires_grad=True)

    @mw.capture
    def fn(x: mw.Tensor) -> mw.Tensor:
        w.grad = None
        loss = (w * x).sum()
        loss.backward()
        return loss

    for i in range(6):
        fn(mw.tensor([float(i), 1.0]))
        assert w.grad is not None
        assert w.grad.tolist() == [float(i), 1.0]


def test_a_graph_from_before_refuses_after_a_replay(c_only: str) -> None:
    step, model, _ = make_step("sgd")
    captured = mw.capture(step)
    x, y = mw.tensor(numbers(8, 5)), mw.tensor(np.arange(8) % 3)
    for _ in range(3):
        captured(x, y)
    loss = model(x).square().sum()
    captured(x, y)
    with pytest.raises(RuntimeError, match="overwritten"):
        loss.backward()


@pytest.mark.parametrize("at_once", [False, True], ids=["a call", "many"])
def test_a_graph_from_before_refuses_after_a_replay_that_stopped(at_once: bool, c_only: str) -> None:
    """The weights were updated before the fault was found."""
    w, optimizer = mw.tensor([1.0, 2.0], requires_grad=True), mw.optimizers.SGD(0.1)

    @mw.capture
    def step(x: mw.Tensor) -> mw.Tensor:
        loss = (w * x).sum()
        optimizer.apply([mw.grad(loss, w)], [w])
        door.must_be_finite(w.data)
        return loss

    x, infinite = numbers(2), np.array([np.inf, 0.0], np.float32)
    for _ in range(4):
        step(x)
    y = (w * w).sum()
    with pytest.raises(NonFiniteError):
        step.replay_for(x).many([infinite[None]], 1) if at_once else step(infinite)
    with pytest.raises(RuntimeError, match="Expected the input that Multiply saved to be unchanged"):
        y.backward()


def test_random_numbers_go_on(c_only: str) -> None:
    layer = mw.layers.Dropout(0.5, seed=7)
    captured, other = mw.capture(lambda x: layer(x, training=True)), mw.layers.Dropout(0.5, seed=7)
    x = mw.tensor(np.ones((4, 9), np.float32))
    for _ in range(6):
        assert bits(captured(x)) == bits(other(x, training=True))


def test_second_derivatives_and_a_gradient_penalty(c_only: str) -> None:
    w = mw.tensor(numbers(4, 3), requires_grad=True)

    def fn(x: mw.Tensor) -> list[mw.Tensor]:
        critic = (x @ w).tanh().sum()
        inside = mw.grad(critic, x, create_graph=True)
        loss = ((inside.square().sum(1) + 1e-3).sqrt() - 1).square().mean()
        return [loss, mw.grad(loss, w)]

    same_as_eager(fn, mw.tensor(numbers(5, 4), requires_grad=True))


def test_a_captured_function_in_another(c_only: str) -> None:
    inner = mw.capture(lambda x: x * 2)
    same_as_eager(lambda x: inner(x) + inner(x + 1), mw.tensor([1.0, 2.0]))


def test_gradients_on_and_off_are_two_programs(c_only: str) -> None:
    w = mw.tensor([2.0], requires_grad=True)
    fn = mw.capture(lambda x: w * x)
    for _ in range(3):
        fn(mw.tensor([1.0]))
        with mw.no_grad():
            fn(mw.tensor([1.0]))
    assert len(fn.programs) == 2


def test_the_scalar_engine_has_its_own_replay(c_only: str) -> None:
    fn = mw.capture(lambda x: x * mw.weighted_sum([0.5, -1.0], [4.0, 3.0], bias=2.0).data)
    with pytest.raises(CaptureError, match="weighted_sum"):
        fn(mw.tensor([1.0]))


def test_gradients_are_new_tensors_at_every_replay(c_only: str) -> None:
    w = mw.tensor([1.0, 2.0], requires_grad=True)

    @mw.capture
    def fn(x: mw.Tensor) -> list[Any]:
        w.grad = None
        (w * x).sum().backward()
        return [w.grad]

    kept = []
    for i in range(6):
        w.grad = None
        (result,) = fn(mw.tensor([float(i), 1.0]))
        kept.append(w.grad)
        assert result.tolist() == w.grad.tolist() == [float(i), 1.0]
    assert [g.tolist()[0] for g in kept] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


@in_c
@given(
    st.lists(st.tuples(st.integers(0, len(OPERATIONS) - 1), st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=9),
    st.sampled_from([(3, 2), (1, 1), (3, 1), (2, 1500)]),
    st.lists(st.integers(0, 30), min_size=1, max_size=3),
)
def test_any_program_of_operations_and_its_gradient(
    steps: list[tuple[int, int, int]], shape: tuple[int, int], results: list[int]
) -> None:
    w = mw.tensor(numbers(*shape, seed=5), requires_grad=True)

    def fn(x: mw.Tensor, y: mw.Tensor) -> list[mw.Tensor]:
        values = [x, y, x * w]
        for operation, p, q in steps:
            values.append(OPERATIONS[operation](values[p % len(values)], values[q % len(values)]))
        loss = sum((v.mean() for v in values), values[2].sum())
        return [*(values[r % len(values)] for r in results), loss, mw.grad(loss, w)]

    same_as_eager(fn, mw.tensor(numbers(*shape)), mw.tensor(numbers(*shape, seed=1)), calls=4)


def test_random_numbers_with_integer_bounds_and_states_of_their_own(c_only: str) -> None:
    uniform = mw.initializers.RandomUniform(-1, 1)
    fn = mw.capture(lambda x: x * mw.Tensor(uniform((3,), np.dtype("float32"))))
    for _ in range(5):
        assert 0 < np.abs(fn(mw.tensor([1.0, 1.0, 1.0])).numpy()).max() < 1
    seeded = mw.capture(lambda x: x * mw.Tensor(mw.initializers.RandomUniform(-1, 1, seed=5)((3,), np.dtype("float32"))))
    with pytest.raises(CaptureError, match="made by other means"):
        for _ in range(3):
            seeded(mw.tensor([1.0, 1.0, 1.0]))


def test_gradients_that_the_caller_adds_up(c_only: str) -> None:
    w = mw.tensor([1.0], requires_grad=True)

    fn = mw.capture(gradient_left_on(w))

    for _ in range(4):
        w.grad = None
        fn(mw.tensor([1.0]))
    fn(mw.tensor([1.0]))
    assert w.grad is not None
    assert w.grad.tolist() == [2.0]


def test_a_training_by_backward(c_only: str) -> None:
    class Backward(mw.Sequential):
        def train_step(self, batch: Any) -> Any:
            y_pred = self(batch.x, training=True)
            loss = self._loss_of(batch, y_pred)
            for v in self.trainable_variables:
                v.grad = None
            loss.backward()
            self.optimizer.apply([v.grad for v in self.trainable_variables], self.trainable_variables)
            return loss.detach(), y_pred.detach()

    results = []
    for eager in (False, True):
        mw.seed(0)
        model = Backward([mw.Input((3,)), mw.layers.Dense(2)])
        model.compile("sgd", "mse", metrics=["mae"], eager=eager)
        history = model.fit(numbers(64, 3), numbers(64, 2, seed=1), batch_size=4, epochs=3, verbose=0).history
        results.append((history, [w.tobytes() for w in model.get_weights()]))
    assert results[0] == results[1]


def test_explaining_puts_the_weights_back_whatever_happens(c_only: str) -> None:
    model = mw.Sequential([mw.Input((3,)), mw.layers.Dense(1)])
    model.compile(mw.optimizers.SGD(0.01), "mse")
    model.fit(numbers(40, 3), numbers(40, 1), batch_size=10, epochs=1, verbose=0)
    before = [w.tobytes() for w in model.get_weights()]
    model.optimizer.learning_rate = 1e30
    with contextlib.suppress(FloatingPointError):
        model.explain()
    assert [w.tobytes() for w in model.get_weights()] == before


def test_a_captured_function_explains_the_program_of_a_call(c_only: str) -> None:
    w = mw.tensor(numbers(3), requires_grad=True)
    step = mw.capture(lambda x: mw.grad((x * w).exp().sum(), w))
    x = numbers(4, 3)
    with pytest.raises(RuntimeError, match="Expected arguments that have been captured"):
        step.explain(x)
    results = [step(x).numpy().tobytes() for _ in range(3)]
    text = step.explain(x)
    assert "exp" in text and "sum" in text
    if c_only != "numpy":
        shares = [float(share) for share in re.findall(r"([\d.]+)%", text)]
        assert len(shares) == 2 * text.count("\n") - 5 and min(shares) >= 0
    assert step(x).numpy().tobytes() == results[-1]
