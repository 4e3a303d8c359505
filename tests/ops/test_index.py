"""Parts of tensors: their gradients go where they belong, and a loop over all parts costs as much as the tensor is large."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
from helpers import numbers
from hypothesis import given
from hypothesis import strategies as st

import microweights as mw
from microweights.ops import Op, Unstack


def time_first(x: Any) -> Any:
    return x.transpose(1, 0, 2) if isinstance(x, mw.Tensor) else x.permute(1, 0, 2)


def rows_by_number(x: Any) -> list[Any]:
    rows = time_first(x).reshape(x.shape[1], -1)
    return [rows[[t, t]][1].reshape(x.shape[0], -1) for t in range(len(rows))]


LOOPS: dict[str, Callable[[Any], Iterable[Any]]] = {  # over the second axis, of our tensors or torch's
    "columns": lambda x: [x[:, t] for t in range(x.shape[1])],
    "slices": lambda x: [x[:, t : t + 1][:, 0] for t in range(x.shape[1])],
    "overlapping": lambda x: [x[:, max(t - 1, 0) : t + 1].sum(1) for t in range(x.shape[1])],
    "iteration": lambda x: iter(time_first(x)),
    "rows by number": rows_by_number,
    "unstack": lambda x: mw.unstack(x, 1) if isinstance(x, mw.Tensor) else x.unbind(1),
    "split": lambda x: [p[:, 0] for p in (mw.split(x, x.shape[1], 1) if isinstance(x, mw.Tensor) else x.split(1, 1))],
}


def unrolled(x: Any, w: Any, h: Any, loop: str) -> Any:
    for part in LOOPS[loop](x):
        h = (part + h @ w).tanh()
    return (h * h).sum()


def bytes_moved(steps: int, loop: str) -> float:
    """By a captured gradient, which gives the bits of an eager one."""
    w, h, scale = mw.tensor(numbers(6, 6)), mw.tensor(numbers(8, 6)), mw.tensor([1.0], requires_grad=True)

    def gradient(x: mw.Tensor) -> Any:
        return mw.grad(unrolled(x * scale, w, h, loop), scale)

    step = mw.capture(gradient)
    for i in range(4):
        x = numbers(8, steps, 6, seed=i)
        assert step(x).numpy().tobytes() == gradient(mw.tensor(x)).numpy().tobytes()
    (program,) = step.programs
    return sum(program._moved(i) for i in range(len(program.steps)))


@pytest.mark.parametrize("loop", LOOPS)
def test_a_loop_over_parts_is_linear(loop: str, c_only: str) -> None:
    few, many = bytes_moved(10, loop), bytes_moved(40, loop)
    assert few * 3 < many < few * 4.5


@pytest.mark.parametrize("loop", LOOPS)
def test_a_loop_over_parts_has_torch_s_gradients(loop: str, setting: str) -> None:
    torch = pytest.importorskip("torch")
    values, weights = numbers(3, 7, 4, dtype="float64"), numbers(4, 4, seed=1, dtype="float64")
    x, w = mw.tensor(values, requires_grad=True), mw.tensor(weights, requires_grad=True)
    tx, tw = torch.tensor(values, requires_grad=True), torch.tensor(weights, requires_grad=True)
    received = mw.grad(unrolled(x, w, mw.tensor(np.zeros((3, 4))), loop) + x.sum() * 2, [x, w])
    h = torch.zeros(3, 4, dtype=torch.float64)
    expected = torch.autograd.grad(unrolled(tx, tw, h, loop) + tx.sum() * 2, [tx, tw])
    for a, b in zip(received, expected, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12)


@pytest.mark.parametrize("loop", LOOPS)
def test_second_derivatives_through_a_loop(loop: str) -> None:
    w, h = mw.tensor(numbers(2, 2, dtype="float64")), mw.tensor(np.zeros((2, 2)))
    x = numbers(2, 3, 2, dtype="float64")
    assert mw.gradcheck(lambda x: mw.grad(unrolled(x, w, h, loop), x, create_graph=True), [x])


def test_a_gradient_that_somebody_holds_is_not_added_to(setting: str) -> None:
    """The gradient of y reaches both y and, as it is, x: what is added for a part of x stays out of y's."""
    x = mw.tensor(numbers(4), requires_grad=True)
    y = x * 1
    y.retain_grad()
    (y.sum() + x[1] * 5 + x[2] * 7).backward()
    assert y.grad.tolist() == [1.0] * 4 and x.grad.tolist() == [1.0, 6.0, 8.0, 1.0]
    start = mw.tensor([1.0, 1.0, 1.0, 1.0])
    x.grad = None
    z = x + mw.concatenate([x[0:1], x[1:4]])
    z.backward(start)
    assert start.tolist() == [1.0] * 4 and x.grad.tolist() == [2.0] * 4
    kept = mw.grad(z, x, start)
    assert mw.grad(z, x, start).tolist() == kept.tolist() == [2.0] * 4


# ---- several results -------------------------------------------------------------------------------------------------


SIZES = st.sampled_from([0, 1, 2, 3, 17])


@given(st.lists(SIZES, min_size=1, max_size=3), st.integers(-3, 2), st.sets(st.integers(0, 2)), st.booleans())
def test_unstack(shape: list[int], axis: int, used: set[int], twice: bool) -> None:
    values = np.arange(np.prod(shape), dtype=np.float64).reshape(shape) / 7
    x = mw.tensor(values, requires_grad=True)
    if not -len(shape) <= axis < len(shape):
        with pytest.raises(ValueError, match="`axis` to name axes"):
            mw.unstack(x, axis)
        return
    parts = mw.unstack(x, axis)
    expected = np.moveaxis(values, axis, 0)
    assert len(parts) == len(expected) and all(np.array_equal(p.numpy(), e) for p, e in zip(parts, expected, strict=True))
    chosen = [i for i in used if i < len(parts)]
    if not chosen:
        return
    loss = sum((parts[i].square().sum() * (i + 1) for i in chosen), mw.tensor(0.0, "float64"))
    gradient = np.zeros_like(expected)
    for i in chosen:
        gradient[i] = 2 * (i + 1) * expected[i]
    if twice:
        loss, gradient = loss + parts[chosen[0]].sum(), gradient.copy()
        gradient[chosen[0]] += 1
    np.testing.assert_allclose(mw.grad(loss, x).numpy(), np.moveaxis(gradient, 0, axis), rtol=1e-12)


def test_an_operation_is_gone_back_through_once_with_all_gradients(table: None) -> None:
    calls = []

    class HalfAndDouble(Op):
        """a = x / 2, b = 2 x        dx = da / 2 + 2 db"""

        def forward(self, x: Any) -> Any:
            return x / 2, x * 2

        def backward(self, da: mw.Tensor | None, db: mw.Tensor | None) -> Any:
            calls.append((da, db))
            assert da is not None and db is not None
            return da / 2 + db * 2

    x = mw.tensor([1.0, 3.0], requires_grad=True)
    a, b = HalfAndDouble()(x)
    a.retain_grad()
    c = (a * b).exp()  # reaches both along ways of different lengths
    (c.sum() + a.sum()).backward()
    assert len(calls) == 1 and a.grad is not None and a.op is b.op
    np.testing.assert_allclose(x.grad.numpy(), 2 * x.numpy() * np.exp(x.numpy() ** 2) + 0.5, rtol=1e-5)


@pytest.fixture
def max_and_place(table: None) -> type[Op]:
    class MaxAndPlace(Op):
        """z, i = max x, argmax x in each row        dx = 0, but dz at [i]"""

        def forward(self, x: Any) -> Any:
            self.place = x.argmax(1)
            return x.max(1), self.place

        def backward(self, dz: mw.Tensor | None, di: mw.Tensor | None) -> Any:
            self.check_results()
            assert dz is not None and di is None
            return dz.reshape(-1, 1) * (self.place[:, None] == np.arange(self.inputs[0].shape[1]))

    return MaxAndPlace


def test_results_of_integers_stay_outside_the_graph(max_and_place: type[Any]) -> None:
    x = mw.tensor([[1.0, 3.0, 2.0], [9.0, 7.0, 8.0]], requires_grad=True)
    z, place = max_and_place()(x)
    assert place.dtype == np.int64 and place.op is None and not place.requires_grad and z.requires_grad
    assert mw.grad((z * (place + 1)).sum(), x).tolist() == [[0.0, 2.0, 0.0], [1.0, 0.0, 0.0]]
    assert mw.gradcheck(lambda x: max_and_place()(x), [x])
    with pytest.raises(TypeError, match="returns a tensor computed from its inputs"):
        mw.gradcheck(lambda x: max_and_place()(x)[1:], [x])


def test_results_that_backward_needs_notice_overwriting(max_and_place: type[Any]) -> None:
    z, place = max_and_place()(mw.tensor([[1.0, 3.0]], requires_grad=True))
    part = place[:1]
    del place
    part[0] = 0
    with pytest.raises(RuntimeError, match="Expected the result that MaxAndPlace saved to be unchanged"):
        z.sum().backward()


def test_what_is_not_used_brings_no_nan(setting: str) -> None:
    x = mw.tensor([[1.0, np.nan], [2.0, np.inf]], requires_grad=True)
    first, second = mw.unstack(x, 1)
    assert mw.grad(first.square().sum(), x).tolist() == [[2.0, 0.0], [4.0, 0.0]]
    np.testing.assert_array_equal(mw.grad((first + second.square()).sum(), x).numpy(), [[1.0, np.nan], [1.0, np.inf]])


def test_results_are_views_that_notice_overwriting(setting: str) -> None:
    x = mw.tensor(numbers(2, 3), requires_grad=True)
    first, second = mw.unstack(x)
    z = (first * second).sum()
    with mw.no_grad():
        x[0].assign(mw.tensor([1.0, 1.0, 1.0]))
    assert first.tolist() == [1.0, 1.0, 1.0]
    with pytest.raises(RuntimeError, match="overwritten"):
        z.backward()


def test_the_graph_goes_with_its_last_result() -> None:
    import gc
    import weakref

    gc.disable()
    try:
        first, second = mw.unstack(mw.tensor(numbers(2, 3), requires_grad=True))
        gone = weakref.ref(first.op)
        del first
        assert gone() is second.op
        del second
        assert gone() is None
    finally:
        gc.enable()


def test_unstack_in_a_captured_training(c_only: str) -> None:
    w = mw.tensor(numbers(4, 4), requires_grad=True)

    def step(x: mw.Tensor) -> list[mw.Tensor]:
        h = mw.tensor(np.zeros((3, 4), np.float32))
        for part in mw.unstack(x * w.sum(), 1):
            h = (part + h @ w).tanh()
        return [h, mw.grad(h.square().mean(), w)]

    captured = mw.capture(step)
    for i in range(4):
        x = numbers(3, 6, 4, seed=i)
        assert [t.numpy().tobytes() for t in captured(x)] == [t.numpy().tobytes() for t in step(mw.tensor(x))]
    assert len(captured.programs) == 1


def test_gradcheck_of_several_results() -> None:
    assert mw.gradcheck(lambda x: mw.unstack(x.square(), 1), [numbers(2, 3)])
    assert mw.gradcheck(lambda x: Unstack(0)(x)[1:], [numbers(3, 2)])


# ---- split -------------------------------------------------------------------------------------------------------------


@given(
    st.lists(SIZES, min_size=1, max_size=3), st.integers(-1, 0), st.integers(1, 17) | st.lists(st.integers(-4, 20), max_size=4)
)
def test_split(shape: list[int], axis: int, cuts: int | list[int]) -> None:
    values = np.arange(np.prod(shape), dtype=np.float64).reshape(shape)
    x = mw.tensor(values, requires_grad=True)
    try:
        expected = np.split(values, cuts, axis)
    except ValueError:
        with pytest.raises(ValueError, match="equal parts of an axis"):
            mw.split(x, cuts, axis)
        return
    received = mw.split(x, cuts, axis)
    assert [p.tolist() for p in received] == [p.tolist() for p in expected]
    weights = np.zeros_like(values)
    for i, part in enumerate(np.split(weights, cuts, axis)):
        part += i + 1
    loss = sum((p * (i + 1) for i, p in enumerate(t.sum() for t in received)), mw.tensor(0.0, "float64"))
    assert mw.grad(loss, x).tolist() == weights.tolist()


@pytest.mark.parametrize("wrong", [1.5, "two", None, True, [[1]], [0.5]])
def test_split_says_what_it_takes(wrong: Any) -> None:
    with pytest.raises(
        TypeError, match=r"Expected `indices_or_sections` to be an integer or a list of them\. Received: .+ Give"
    ):
        mw.split(mw.tensor([1.0, 2.0]), wrong)


@pytest.mark.parametrize("parts", [0, -1, 3])
def test_split_refuses_unequal_parts(parts: int) -> None:
    with pytest.raises(ValueError, match=rf"equal parts of an axis of size 2\. Received: {parts}\. Name"):
        mw.split(mw.tensor([1.0, 2.0]), parts)
