"""The backward walk: what gradients go where, how often, in what order, and what stays in memory."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from helpers import leaf
from hypothesis import given
from hypothesis import strategies as st

import microweights as mw
from microweights.kernels import machine
from microweights.ops import Op
from microweights.state import state


@pytest.fixture
def constants(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that could spoil the library's constants gets its own."""
    monkeypatch.setattr(sys.modules["microweights.tensor"], "_constants", {})


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each kernel has been called."""
    counted: Counter[str] = Counter()
    find = machine.active.kernel

    def spy(name: str) -> Callable[..., Any]:
        kernel = find(name)

        def call(*arguments: Any) -> Any:
            counted[name.removesuffix("_f32").removesuffix("_f64")] += 1
            return kernel(*arguments)

        return call

    monkeypatch.setattr(machine.active, "plans", {})  # which remember kernels
    monkeypatch.setattr(machine.active, "kernel", spy)
    return counted


@pytest.fixture
def no_garbage_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


# ---- order and counting ----------------------------------------------------------------------------------------------


def test_shared_nodes() -> None:
    a = leaf(1.0)
    b = a + a
    c = b + b
    c.backward()
    assert a.grad.item() == 4.0


def test_a_tower_of_shared_nodes_takes_one_step_per_floor(calls: Counter[str]) -> None:
    x = top = leaf(1.0)
    for _ in range(60):  # 2**60 paths
        top = top + top
    calls.clear()
    top.backward()
    assert x.grad.item() == 2.0**60
    assert calls.total() < 200


def test_a_diamond_of_unequal_sides() -> None:
    x = leaf(3.0)
    long = ((x * 2).tanh() * 0 + x) * x
    (x + long + x).backward()
    assert x.grad.item() == 8.0


def test_an_old_tensor_used_late() -> None:
    x = leaf(2.0)
    early = x * x
    late = x * 3 * early + early
    late.backward()
    assert x.grad.item() == 3 * 3 * 4 + 2 * 2


def test_backward_again_adds_exactly_once_more() -> None:
    x = leaf([1.0, 2.0])
    y = x * x
    z = (y + y).sum()
    for times in (1, 2, 3):
        z.backward()
        assert x.grad.tolist() == [4.0 * times, 8.0 * times]


def test_two_results_add_up() -> None:
    x = leaf(3.0)
    y = x * x
    (y * 2).backward()
    (y * 5).backward()
    assert x.grad.item() == 42.0


def test_a_leaf_goes_backward_to_itself() -> None:
    x = leaf(3.0)
    x.backward()
    assert x.grad.item() == 1.0


@pytest.mark.parametrize("step", [lambda t: t + 1, lambda t: t * 1.0, lambda t: t.relu()], ids=["+", "*", "relu"])
def test_long_chains(step: Callable[[mw.Tensor], mw.Tensor]) -> None:
    x = y = leaf(1.0)
    for _ in range(100_000):
        y = step(y)
    y.backward()
    assert x.grad.item() == 1.0
    del y  # must not be deeper than the C stack
    gc.collect()


def test_a_long_chain_can_be_differentiated_twice() -> None:
    x = y = leaf(1.0, "float64")
    for _ in range(5_000):
        y = y * x
    first = mw.grad(y, x, create_graph=True)
    assert first.item() == 5_001.0
    assert mw.grad(first, x).item() == 5_001.0 * 5_000.0


def test_results_and_gradients_do_not_depend_on_the_threads() -> None:
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(200, 300)), rng.normal(size=(300, 200))
    received = []
    before = machine.num_threads()
    try:
        for threads in (1, 2, 5):
            mw.set_num_threads(threads)
            a, b = leaf(x), leaf(w)
            loss = (a @ b).log_softmax().tanh().mean()
            received.append([loss.item(), *(g.numpy().tobytes() for g in mw.grad(loss, [a, b]))])
    finally:
        mw.set_num_threads(before)
    assert received[0] == received[1] == received[2]


# ---- what gets a gradient --------------------------------------------------------------------------------------------


def test_gradients_are_left_on_leaves_only() -> None:
    x = leaf([1.0, 2.0])
    y = x * 2
    y.sum().backward()
    assert y.grad is None and x.grad.tolist() == [2.0, 2.0]


def test_retain_grad_keeps_the_whole_gradient() -> None:
    x = leaf(3.0)
    y = x * 2
    z = y * y + y
    y.retain_grad()
    z.retain_grad()
    z.backward()
    assert (z.grad.item(), y.grad.item(), x.grad.item()) == (1.0, 13.0, 26.0)
    z.backward()
    assert (z.grad.item(), y.grad.item(), x.grad.item()) == (2.0, 26.0, 52.0)


def test_nothing_is_computed_for_input_data(calls: Counter[str]) -> None:
    data, w, b = mw.tensor(np.ones((5, 4))), leaf(np.ones((4, 3)), "float64"), leaf(np.ones(3), "float64")
    loss = (data @ w + b).relu().sum()
    calls.clear()
    loss.backward()
    assert calls["gemm"] == 1  # of w; none for the data
    assert data.grad is None and w.grad is not None and b.grad is not None


def test_nothing_is_computed_below_the_lowest_trained_weight(calls: Counter[str]) -> None:
    data = mw.tensor(np.ones((5, 4), np.float32))
    frozen = [mw.tensor(np.ones((4, 4), np.float32)) for _ in range(3)]
    w = leaf(np.ones((4, 3)))
    h = data
    for f in frozen:
        h = (h @ f).tanh()
    loss = (h @ w).sum()
    calls.clear()
    loss.backward()
    assert calls["gemm"] == 1 and calls["tanh_grad"] == 0


def test_a_gradient_passes_through_frozen_weights(calls: Counter[str]) -> None:
    w, frozen = leaf(np.ones((4, 4))), mw.tensor(np.full((4, 4), 2.0, np.float32))
    loss = (mw.tensor(np.ones((5, 4), np.float32)) @ w @ frozen).sum()
    calls.clear()
    loss.backward()
    assert calls["gemm"] == 2  # through the frozen weights to the result before, and to w
    assert frozen.grad is None and w.grad.tolist() == [[40.0] * 4] * 4


@pytest.mark.parametrize(
    ("fn", "kernel", "most"),
    [
        (lambda x, c: x * c, "multiply", 1),
        (lambda x, c: c * x, "multiply", 1),
        (lambda x, c: x / c, "divide", 1),
        (lambda x, c: x**c, "log", 0),
        (lambda x, c: x - c, "negative", 0),
        (lambda x, c: mw.where(np.array([True, False]), x, c), "where", 1),
        (lambda x, c: mw.maximum(x, c), "multiply", 1),
        (lambda x, c: mw.ops.SquaredError()(x, c), "negative", 0),
    ],
    ids=["x * c", "c * x", "x / c", "x ** c", "x - c", "where", "maximum", "squared_error"],
)
def test_nothing_is_computed_for_a_constant(fn: Callable[..., mw.Tensor], kernel: str, most: int, calls: Counter[str]) -> None:
    z = fn(leaf([1.0, 2.0]), mw.tensor([3.0, 4.0]))
    calls.clear()
    z.backward(np.ones(2))
    assert calls[kernel] <= most


def test_the_spy_sees_kernels(calls: Counter[str]) -> None:
    """Else the tests above would hold of nothing."""
    (leaf([[1.0]]) @ leaf([[2.0]])).tanh().sum().backward()
    assert calls["gemm"] == 3 and calls["tanh"] == calls["tanh_grad"] == calls["sum"] == 1


@pytest.mark.parametrize("fn", [lambda t: t.exp(), lambda t: t.sigmoid(), lambda t: t.softmax(), lambda t: t[0:1]])
def test_a_result_outside_the_graph_can_become_a_leaf(fn: Callable[[mw.Tensor], mw.Tensor]) -> None:
    y = fn(mw.tensor([1.0, 2.0]))
    y.requires_grad = True
    (y * 3).sum().backward()
    assert y.grad is not None and y.grad.tolist() == [3.0] * y.size


@pytest.mark.parametrize("fn", [lambda t: t.exp(), lambda t: t.sigmoid(), lambda t: t.softmax()])
@pytest.mark.usefixtures("no_garbage_collector")
def test_nothing_is_kept_without_a_graph(fn: Callable[[mw.Tensor], mw.Tensor]) -> None:
    """A loop such as h = h.sigmoid() must not hold on to all of its past."""
    x = mw.tensor([1.0, 2.0])
    with mw.no_grad():
        first = x * 2
        gone, last = weakref.ref(first), fn(fn(fn(first)))
    del first
    assert gone() is None and not last.requires_grad


def test_nothing_is_recorded_without_a_leaf() -> None:
    z = mw.tensor([1.0]) * 2 + mw.tensor([3.0])
    assert z.op is None and not z.requires_grad


@pytest.mark.parametrize(
    ("x_shape", "y_shape"), [((3, 4), (4,)), ((2, 1, 5), (3, 1)), ((), (2, 3)), ((1,), (4, 1)), ((0, 3), (1, 3))]
)
def test_gradients_of_broadcast_operands(x_shape: tuple[int, ...], y_shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    x, y = leaf(rng.normal(size=x_shape), "float64"), leaf(rng.normal(size=y_shape), "float64")
    (x * y).sum().backward()
    common = np.broadcast_shapes(x_shape, y_shape)
    for t, other in [(x, y), (y, x)]:
        wide = np.broadcast_to(other.numpy(), common)
        added = tuple(range(len(common) - t.ndim))
        repeated = tuple(i for i in range(len(common)) if i >= len(added) and t.shape[i - len(added)] == 1 != common[i])
        assert t.grad.shape == t.shape
        np.testing.assert_allclose(t.grad.numpy(), wide.sum((*added, *repeated)).reshape(t.shape), rtol=1e-13)


def test_integers_and_booleans_get_no_gradient() -> None:
    x, n, b = leaf([1.0, 2.0]), mw.tensor([3, 4]), mw.tensor([True, False])
    (x * n * b).sum().backward()
    assert (x.grad.tolist(), n.grad, b.grad) == ([3.0, 0.0], None, None)
    for wrong in ([1, 2], [True], np.arange(3, dtype=np.int32)):
        with pytest.raises(TypeError, match=r"Expected floating-point data .+ Received: \w+\. Pass"):
            mw.tensor(wrong, requires_grad=True)


def test_gradients_come_in_the_dtype_of_the_leaf() -> None:
    x, y = leaf([1.0, 2.0]), leaf([3.0, 4.0], "float64")
    (x * y).sum().backward()
    assert (x.grad.dtype, y.grad.dtype) == (np.float32, np.float64)


@pytest.mark.usefixtures("table")
def test_a_gradient_of_a_wrong_shape_is_refused() -> None:
    """Reshaping whatever has as many elements would hide a transposed gradient."""

    class Transposing(Op):
        def forward(self, x: np.ndarray) -> np.ndarray:
            return np.array(x)

        def backward(self, dz: mw.Tensor) -> mw.Tensor:
            return dz.T

    x = leaf(np.ones((2, 3)))
    with pytest.raises((RuntimeError, ValueError), match=r"Expected .+ Received: .+"):
        Transposing()(x).sum().backward()


# ---- memory of gradients ---------------------------------------------------------------------------------------------


def shares(a: mw.Tensor, b: mw.Tensor) -> bool:
    return np.shares_memory(a.numpy(), b.numpy())


@pytest.mark.parametrize(
    "fn", [lambda x, y: x + y, lambda x, y: mw.where(np.array([True, True]), x + y, x), lambda x, y: x * 1 + y]
)
def test_two_leaves_never_share_a_gradient(fn: Callable[..., mw.Tensor]) -> None:
    x, y, seed = leaf([1.0, 2.0]), leaf([3.0, 4.0]), mw.tensor([5.0, 6.0])
    fn(x, y).backward(seed)
    assert not shares(x.grad, y.grad) and not shares(x.grad, seed) and not shares(y.grad, seed)
    assert x.grad.numpy().flags.writeable and y.grad.numpy().flags.writeable


@pytest.mark.parametrize("fn", [lambda x: x, lambda x: x + 0, lambda x: x.reshape(2, 1), lambda x: x[:], lambda x: x.copy()])
@pytest.mark.parametrize("kind", ["tensor", "array"])
def test_a_gradient_never_shares_memory_with_the_seed(fn: Callable[[mw.Tensor], mw.Tensor], kind: str) -> None:
    x = leaf([1.0, 2.0])
    z = fn(x)
    seed = np.ones(z.shape, np.float32)
    z.backward(mw.tensor(seed) if kind == "tensor" else seed)
    x.grad[...] = 7.0
    assert seed.tolist() == np.ones(z.shape).tolist()
    given_seed = mw.tensor(np.ones(z.shape, np.float32))
    x.grad = None
    z.backward(given_seed)
    assert x.grad is not given_seed and not shares(x.grad, given_seed)


def test_a_retained_gradient_shares_no_memory_with_others() -> None:
    x = leaf([1.0, 2.0])
    y = x + 0
    y.retain_grad()
    z = y.reshape(2, 1)
    z.retain_grad()
    z.backward(np.ones((2, 1)))
    assert not shares(x.grad, y.grad) and not shares(y.grad, z.grad)


def test_gradients_from_grad_share_no_memory_with_each_other_or_the_seed() -> None:
    x, y, seed = leaf([1.0, 2.0]), leaf([3.0, 4.0]), mw.tensor([1.0, 1.0])
    dx, dy = mw.grad(x + y, [x, y], gradient=seed)
    assert not shares(dx, dy) and not shares(dx, seed) and not shares(dy, seed)


@pytest.mark.usefixtures("constants")
@pytest.mark.parametrize("fn", [lambda x: x, lambda x: x + 3, lambda x: x.sum(), lambda x: x.reshape(1)])
def test_a_gradient_may_be_overwritten_without_harm(fn: Callable[[mw.Tensor], mw.Tensor]) -> None:
    """The 1.0 that backward starts from is a constant of the whole library."""
    x = leaf(2.0)
    with suppress(ValueError, RuntimeError):  # to refuse is right as well
        mw.grad(fn(x), x)[...] = 41.0
    assert (mw.tensor(1.0) + 1.0).item() == 2.0
    assert mw.grad(fn(x), x).item() == 1.0


@pytest.mark.usefixtures("constants")
def test_a_gradient_of_a_broadcast_may_be_overwritten_without_harm() -> None:
    x = leaf([1.0, 2.0, 3.0])
    g = mw.grad(x.sum(), x)
    try:
        g[0] = 41.0
    except (ValueError, RuntimeError):
        return
    assert g.tolist() == [41.0, 1.0, 1.0]
    assert (mw.tensor(1.0) + 1.0).item() == 2.0


@pytest.mark.usefixtures("no_garbage_collector")
@pytest.mark.parametrize("create_graph", [False, True])
def test_the_graph_is_freed_with_its_last_tensor(create_graph: bool) -> None:
    x, w = leaf(np.ones((2, 3))), leaf(np.ones((3, 3)))
    h = (x @ w).tanh().softmax()
    gone = weakref.ref(h)
    y = (h.exp() + h.sigmoid() / (h * h).sqrt()).max(1).sum()
    y.backward()
    g = mw.grad(y, x, create_graph=create_graph)
    del h, y, g
    assert gone() is None


@pytest.mark.usefixtures("no_garbage_collector")
def test_the_graph_is_freed_after_a_failing_backward() -> None:
    x = leaf([1.0, 2.0])
    w = leaf([1.0, 2.0])
    h = (x * w).exp()
    gone = weakref.ref(h)
    with mw.no_grad():
        w[...] = 0.0
        h.detach()[...] = 0.0
    with pytest.raises(RuntimeError, match="Exp"):
        h.backward(np.ones(2))
    del h
    assert gone() is None


@pytest.mark.usefixtures("no_garbage_collector", "table")
def test_pending_gradients_are_freed_as_they_are_used() -> None:
    """A chain's backward holds a gradient or two at a time, not all of them."""
    alive: list[int] = []

    class Watching(Op):
        def forward(self, x: np.ndarray) -> np.ndarray:
            return np.array(x)

        def backward(self, dz: mw.Tensor) -> mw.Tensor:
            dx = dz * 1.0
            gradients.append(weakref.ref(dx))
            alive.append(sum(g() is not None for g in gradients))
            return dx

    gradients: list[weakref.ref[mw.Tensor]] = []
    y = leaf([1.0, 2.0])
    for _ in range(50):
        y = Watching()(y)
    y.sum().backward()
    assert max(alive) <= 3


# ---- no_grad ---------------------------------------------------------------------------------------------------------


def recorded(x: mw.Tensor) -> bool:
    return (x * 2).requires_grad


def test_no_grad_as_context_and_nested() -> None:
    x = leaf(1.0)
    assert recorded(x)
    with mw.no_grad():
        assert not recorded(x)
        with mw.no_grad():
            assert not recorded(x)
        assert not recorded(x)
    assert recorded(x)


def test_no_grad_as_decorator() -> None:
    @mw.no_grad()
    def inside(x: mw.Tensor) -> mw.Tensor:
        """What it does."""
        return x * 2

    x = leaf(1.0)
    assert not inside(x).requires_grad and not inside(x).requires_grad
    assert recorded(x)
    assert (inside.__name__, inside.__doc__) == ("inside", "What it does.")


def test_no_grad_ends_with_an_exception() -> None:
    x = leaf(1.0)
    with pytest.raises(KeyError), mw.no_grad():
        raise KeyError
    assert recorded(x)

    @mw.no_grad()
    def failing() -> None:
        raise KeyError

    with pytest.raises(KeyError):
        failing()
    assert recorded(x)


def test_no_grad_object_can_be_entered_again() -> None:
    x, off = leaf(1.0), mw.no_grad()
    for _ in range(2):
        with off:
            assert not recorded(x)
        assert recorded(x)


def test_no_grad_in_one_thread_leaves_others_recording() -> None:
    inside, done = threading.Event(), threading.Event()

    def evaluate() -> None:
        with mw.no_grad():
            inside.set()
            done.wait(10)

    thread = threading.Thread(target=evaluate)
    thread.start()
    try:
        assert inside.wait(10)
        assert recorded(leaf(1.0))
    finally:
        done.set()
        thread.join()


def test_no_grad_of_two_threads_interleaved_leaves_recording_on() -> None:
    entered, leave = threading.Event(), threading.Event()

    def evaluate() -> None:
        with mw.no_grad():
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=evaluate)
    try:
        with mw.no_grad():
            thread.start()
            assert entered.wait(10)
        leave.set()
        thread.join()
        assert recorded(leaf(1.0))
    finally:
        leave.set()
        state.recording = True


def test_no_grad_decorates_with_and_without_parentheses() -> None:
    w = leaf(2.0)
    for decorator in (mw.no_grad, mw.no_grad()):

        @decorator
        def doubled(factor: float = 2.0) -> mw.Tensor:
            """w doubled"""
            return w * factor

        assert not doubled(factor=3.0).requires_grad
        assert doubled.__doc__ == "w doubled"
        assert (w * 2).requires_grad
    with pytest.raises(TypeError, match="a function, generator or coroutine"):
        mw.no_grad(3)


def test_no_grad_holds_in_each_step_of_a_generator_and_not_between_them() -> None:
    w = leaf(2.0)

    @mw.no_grad
    def steps() -> Any:
        try:
            received = yield (w * 2).requires_grad
            yield received, (w * 2).requires_grad
        except KeyError:
            yield "thrown", (w * 2).requires_grad
        return "end"

    running = steps()
    assert next(running) is False
    assert (w * 2).requires_grad
    assert running.send(5) == (5, False)
    assert running.throw(KeyError()) == ("thrown", False)
    with pytest.raises(StopIteration) as end:
        next(running)
    assert end.value.value == "end"
    assert (w * 2).requires_grad


def test_no_grad_holds_in_a_coroutine_and_not_in_others_that_run_meanwhile() -> None:
    w = leaf(2.0)

    @mw.no_grad
    async def inside() -> list[bool]:
        found = []
        for _ in range(3):
            found.append((w * 2).requires_grad)
            await asyncio.sleep(0)
        return found

    async def outside() -> list[bool]:
        found = []
        for _ in range(3):
            found.append((w * 2).requires_grad)
            await asyncio.sleep(0)
        return found

    async def both() -> Any:
        return await asyncio.gather(inside(), outside())

    assert asyncio.run(both()) == [[False] * 3, [True] * 3]


def test_threads_do_not_share_the_state_of_a_decorator() -> None:
    w = leaf(2.0)
    first, second, done = threading.Event(), threading.Event(), threading.Event()

    @mw.no_grad()
    def inside(here: threading.Event, until: threading.Event) -> None:
        here.set()
        assert until.wait(10)

    def other() -> None:
        with mw.no_grad():
            assert first.wait(10)
            inside(second, done)

    thread = threading.Thread(target=other)
    thread.start()
    inside(first, second)  # ends while the other thread is still in it
    recorded = (w * 2).requires_grad
    done.set()
    thread.join()
    assert recorded


def test_backward_inside_no_grad() -> None:
    x = leaf(3.0)
    y = x * x
    with mw.no_grad():
        y.backward()
    assert x.grad.item() == 6.0 and not x.grad.requires_grad


# ---- mw.grad ---------------------------------------------------------------------------------------------------------


def test_grad_to_the_third_order_and_on() -> None:
    x = leaf(2.0, "float64")
    g, expected = x**5.0, (80.0, 160.0, 240.0, 240.0, 120.0, 0.0)
    for e in expected:
        g = mw.grad(g, x, create_graph=True)
        assert g.item() == e


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize(
    "fn",
    [
        lambda x: x.tanh(), lambda x: x.sigmoid(), lambda x: x.exp() * x, lambda x: x.log(), lambda x: x.sqrt(),
        lambda x: 1 / x,
        lambda x: x**2.5, lambda x: (x * x).exp() / (1 + x), lambda x: x.erf(),
    ],
)  # fmt: skip
def test_higher_orders_like_torch(fn: Callable[[Any], Any], order: int) -> None:
    torch = pytest.importorskip("torch")
    x, twin = leaf([0.3, 0.9, 1.4], "float64"), torch.tensor([0.3, 0.9, 1.4], dtype=torch.float64, requires_grad=True)
    received, expected = fn(x), fn(twin)
    for _ in range(order):
        received = mw.grad(received.sum(), x, create_graph=True)
        (expected,) = torch.autograd.grad(expected.sum(), twin, create_graph=True)
    np.testing.assert_allclose(received.numpy(), expected.detach().numpy(), rtol=1e-10)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_softmax_cross_entropy_to_higher_orders_like_torch(order: int) -> None:
    torch = pytest.importorskip("torch")
    start, labels = np.array([[0.5, -1.0, 2.0], [0.1, 0.2, -0.3]]), np.array([2, 0])
    x, twin = leaf(start, "float64"), torch.tensor(start, requires_grad=True)
    received = mw.ops.CrossEntropy(labels)(x).sum()
    expected = torch.nn.functional.cross_entropy(twin, torch.tensor(labels), reduction="sum")
    weights = np.linspace(1, 2, 6).reshape(2, 3)
    for _ in range(order):
        received = (mw.grad(received, x, create_graph=True) * weights).sum()
        expected = (torch.autograd.grad(expected, twin, create_graph=True)[0] * torch.tensor(weights)).sum()
    assert received.item() == pytest.approx(expected.item(), rel=1e-10)


@pytest.mark.parametrize("power", [1.0, 2, 3.0])
def test_powers_of_zero_stay_finite_at_every_order(power: float) -> None:
    x = leaf(0.0)
    g, expected = x**power, [power == 1.0, 2.0 * (power == 2), 6.0 * (power == 3.0), 0.0, 0.0]
    for e in expected:
        g = mw.grad(g, x, create_graph=True)
        assert g.item() == e
        if not g.requires_grad:  # it is a constant by now
            break


def test_grad_touches_no_grad_and_records_only_if_asked() -> None:
    x = leaf(3.0)
    y = x * x
    assert not mw.grad(y, x).requires_grad
    g = mw.grad(y, x, create_graph=True)
    assert g.requires_grad and x.grad is None
    g.backward()
    assert x.grad.item() == 2.0


def test_backward_through_a_gradient_penalty() -> None:
    x, w = leaf([1.0, 2.0], "float64"), leaf([3.0, 4.0], "float64")
    g = mw.grad((w * x * x).sum(), x, create_graph=True)
    (g * g).sum().backward()  # Σ (2 w x)²
    assert x.grad.tolist() == [8 * 9.0, 8 * 32.0]
    assert w.grad.tolist() == [8 * 3.0, 8 * 16.0]


def test_grad_of_unused_inputs_is_zero() -> None:
    x, unused, infinite = leaf([1.0, 2.0]), leaf([[3.0]]), leaf([np.inf, np.nan])
    dx, du, di = mw.grad((x * 2).sum(), [x, unused, infinite])
    assert (dx.tolist(), du.tolist(), di.tolist()) == ([2.0, 2.0], [[0.0]], [0.0, 0.0])


def test_grad_of_results_and_in_any_form() -> None:
    x = leaf(2.0)
    y = x * 3
    z = y * y
    assert [g.item() for g in mw.grad(z, (y, x, z))] == [12.0, 36.0, 1.0]
    assert [g.item() for g in mw.grad(z, [x, x])] == [36.0, 36.0]
    assert isinstance(mw.grad(z, [x]), list) and isinstance(mw.grad(z, x), mw.Tensor)


def test_grad_for_what_requires_none_is_refused() -> None:
    """Zeros would be a wrong answer: y does depend on c."""
    x, c = leaf(2.0), mw.tensor(3.0)
    for wrong in (c, x.detach()):
        with pytest.raises((RuntimeError, ValueError), match=r"Expected .+ Received: .+"):
            mw.grad(x * c, wrong)


@pytest.mark.parametrize("wrong", [None, 3.0, "x", [None], np.ones(2)])
def test_grad_for_what_is_no_tensor_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"Expected .+ Received: .+"):
        mw.grad(leaf(2.0) * 3, wrong)


# ---- seeds and errors ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [[1.0, 2.0], np.array([1, 2]), np.array([1.0, 2.0], np.float16), (1, 2.0)])
def test_a_seed_in_any_form(seed: Any) -> None:
    x = leaf([3.0, 4.0])
    (x * x).backward(seed)
    assert x.grad.tolist() == [6.0, 16.0]


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_one_element_needs_no_seed(shape: tuple[int, ...]) -> None:
    x = leaf(np.full(shape, 3.0))
    (x * x).backward()
    assert (x.grad.item(), x.grad.shape) == (6.0, shape)


@pytest.mark.parametrize(
    ("seed", "received"),
    [
        (None, r"shape \(2,\)"),
        (1.0, r"shape \(\) of float32"),
        ([1.0], r"shape \(1,\)"),
        ([[1.0, 2.0]], r"shape \(1, 2\)"),
        (mw.tensor([1.0, 2.0], "float64"), "of float64"),
        (mw.tensor([1, 2]), "of int64"),
    ],
)
def test_a_wrong_seed(seed: Any, received: str) -> None:
    with pytest.raises(RuntimeError, match=rf"^Expected .+\. Received: .*{received}.*\. \S.+"):
        (leaf([3.0, 4.0]) * 2).backward(seed)


@pytest.mark.parametrize("seed", ["ab", object(), [[1.0], [2.0, 3.0]], 1j])
def test_a_seed_of_no_numbers(seed: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"^Expected .+\. Received: .+\. \S.+"):
        (leaf([3.0, 4.0]) * 2).backward(seed)


def test_backward_without_a_graph() -> None:
    x = leaf(1.0)
    with mw.no_grad():
        inside = x * 2
    for wrong in (mw.tensor(1.0), inside, x.detach(), x > 0, x.argmax()):
        with pytest.raises(RuntimeError, match=r"^Expected a result that requires a gradient\. Received: .+\. Make a leaf"):
            wrong.backward()


@pytest.mark.usefixtures("table")
def test_an_exception_in_backward_leaves_everything_sane() -> None:
    class Failing(Op):
        fails = True

        def forward(self, x: np.ndarray) -> np.ndarray:
            return np.array(x)

        def backward(self, dz: mw.Tensor) -> mw.Tensor:
            if Failing.fails:
                raise KeyError("on purpose")
            return dz

    x, w = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    y = (Failing()(x * w) + x + w).sum()
    with pytest.raises(KeyError, match="on purpose"):
        y.backward()
    assert (x.grad, w.grad) == (None, None) and recorded(x)
    with pytest.raises(KeyError), mw.no_grad():
        mw.grad(y, x, create_graph=True)
    assert recorded(x)
    Failing.fails = False
    y.backward()
    assert (x.grad.tolist(), w.grad.tolist()) == ([4.0, 5.0], [2.0, 3.0])


@pytest.mark.usefixtures("table")
def test_a_backward_with_too_few_gradients_is_refused() -> None:
    class TooFew(Op):
        def forward(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
            return np.asarray(x + y)

        def backward(self, dz: mw.Tensor) -> mw.Tensor:
            return dz

    with pytest.raises(ValueError):
        TooFew()(leaf([1.0]), leaf([2.0])).backward()


# ---- random graphs ---------------------------------------------------------------------------------------------------

SHAPES = [(), (3,), (2, 3), (2, 1), (1,)]
STEPS: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any] | None]] = {
    "add": (lambda x, y: x + y, None),
    "subtract": (lambda x, y: x - y, None),
    "multiply": (lambda x, y: x * y.tanh(), None),
    "divide": (lambda x, y: x / (y * y + 1), None),
    "tanh": (lambda x, y: x.tanh(), None),
    "relu": (lambda x, y: x.relu(), None),
    "exp": (lambda x, y: (-x * x).exp(), None),
    "log": (lambda x, y: (x * x + 1).log(), None),
    "sum": (lambda x, y: x.sum(), None),
    "reshape": (lambda x, y: x.reshape(-1), None),
    "transpose": (lambda x, y: x.T if x.ndim == 2 else x * 1, None),
    "maximum": (lambda x, y: mw.maximum(x, y), lambda x, y: y.new_tensor(0) + _torch().maximum(x, y)),
    "index": (lambda x, y: x[0] if x.ndim else x * 1, None),
    "reverse": (lambda x, y: x[::-1] if x.ndim else -x, lambda x, y: x.flip(0) if x.ndim else -x),
    "gather": (lambda x, y: x[np.zeros(3, int)] if x.ndim else -x, lambda x, y: x[[0, 0, 0]] if x.ndim else -x),
    "matmul": (lambda x, y: (x.reshape(-1, 1) @ x.reshape(1, -1)).sum(0), None),
    "softmax": (lambda x, y: x.softmax(-1) if x.ndim else x.sigmoid(), None),
    "max": (lambda x, y: x.max(), lambda x, y: x.amax()),
}


def _torch() -> Any:
    return pytest.importorskip("torch")


def fits(x: Any, y: Any) -> bool:
    try:
        return len(np.broadcast_shapes(tuple(x.shape), tuple(y.shape))) < 4
    except ValueError:
        return False


@given(
    program=st.lists(
        st.tuples(st.sampled_from(sorted(STEPS)), st.integers(0, 99), st.integers(0, 99)), min_size=1, max_size=12
    ),
    seed=st.integers(0, 2**32 - 1),
)
def test_random_graphs_like_torch(program: list[tuple[str, int, int]], seed: int) -> None:
    torch = _torch()
    rng = np.random.default_rng(seed)
    start = [rng.normal(size=s) for s in SHAPES]
    leaves, twins = [leaf(a, "float64") for a in start], [torch.tensor(a, requires_grad=True) for a in start]
    mine, theirs = list(leaves), list(twins)
    for name, i, j in program:
        x, y, p, q = mine[i % len(mine)], mine[j % len(mine)], theirs[i % len(mine)], theirs[j % len(mine)]
        step, twin = STEPS[name]
        if not fits(x, y):
            y, q = x, p
        mine.append(step(x, y))
        theirs.append((twin or step)(p, q))
    loss, expected = sum(t.sum() for t in mine), sum(t.sum() for t in theirs)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-9, abs=1e-9)
    loss.backward()
    expected.backward()
    for t, twin in zip(leaves, twins, strict=True):
        np.testing.assert_allclose(t.grad.numpy(), twin.grad.numpy(), rtol=1e-8, atol=1e-10)


def test_parts_of_a_tensor_that_needs_no_gradient_any_more() -> None:
    w, v = (mw.tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
    z = w[0] * w[1] * v.sum()
    w.requires_grad = False
    z.backward()
    assert w.grad is None and v.grad.tolist() == [2.0, 2.0]
