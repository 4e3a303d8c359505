"""Value: micrograd's own tests, recomputed, and everything about the graph of numbers."""

from __future__ import annotations

import gc
import math
import weakref
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import microweights as mw
from microweights import Value, weighted_sum

THREE_PARTS = r"^Expected .+\. Received: .+\. \S.+"

# ---- micrograd's sanity tests ----------------------------------------------------------------------------------------


def micrograd_first(x: object) -> object:
    z = 2 * x + 2 + x
    q = z.relu() + z * x
    h = (z * z).relu()
    return h + q + q * x


def micrograd_second(a: object, b: object) -> object:
    c = a + b
    d = a * b + b**3
    c += c + 1
    c += 1 + c + (-a)
    d += d * 2 + (b + a).relu()
    d += 3 * d + (b - a).relu()
    e = c - d
    f = e**2
    g = f / 2.0
    g += 10.0 / f
    return g


@pytest.mark.parametrize(("fn", "at"), [(micrograd_first, (-4.0,)), (micrograd_second, (-4.0, 2.0))])
def test_micrograd_sanity_checks(fn: Callable[..., object], at: tuple[float, ...]) -> None:
    torch = pytest.importorskip("torch")
    values = [Value(v) for v in at]
    tensors = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in at]
    y, expected = fn(*values), fn(*tensors)
    y.backward()
    expected.backward()
    assert y.data == pytest.approx(expected.item(), rel=1e-14)
    assert [v.grad for v in values] == pytest.approx([t.grad.item() for t in tensors], rel=1e-14)


def test_micrograd_numbers() -> None:
    """The values that micrograd's README prints."""
    a, b = Value(-4.0), Value(2.0)
    g = micrograd_second(a, b)
    g.backward()
    assert (f"{g.data:.4f}", f"{a.grad:.4f}", f"{b.grad:.4f}") == ("24.7041", "138.8338", "645.5773")


# ---- each operation --------------------------------------------------------------------------------------------------

UNARY = {
    "exp": lambda x: x.exp(),
    "log": lambda x: x.log(),
    "tanh": lambda x: x.tanh(),
    "sigmoid": lambda x: x.sigmoid(),
    "relu": lambda x: x.relu(),
    "negative": lambda x: -x,
    "power 3": lambda x: x**3,
    "power -1.5": lambda x: x**-1.5,
    "power 0": lambda x: x**0,
    "1 + x": lambda x: 1 + x,
    "1 - x": lambda x: 1 - x,
    "x - 1": lambda x: x - 1,
    "3 * x": lambda x: 3 * x,
    "x / 3": lambda x: x / 3,
    "3 / x": lambda x: 3 / x,
    "x + x": lambda x: x + x,
    "x * x": lambda x: x * x,
    "x - x": lambda x: x - x,
    "x / x": lambda x: x / x,
    "weighted sum": lambda x: weighted_sum([x, 2.0, x], [x, x, 3.0], x),
}
BINARY = {"+": lambda x, y: x + y, "-": lambda x, y: x - y, "*": lambda x, y: x * y, "/": lambda x, y: x / y}


@pytest.mark.parametrize("at", [0.3, 1.7])
@pytest.mark.parametrize("fn", UNARY.values(), ids=UNARY.keys())
def test_against_finite_differences(fn: Callable[[Value], Value], at: float) -> None:
    x, eps = Value(at), 1e-6
    fn(x).backward()
    expected = (fn(Value(at + eps)).data - fn(Value(at - eps)).data) / (2 * eps)
    assert x.grad == pytest.approx(expected, rel=1e-7, abs=1e-9)


@pytest.mark.parametrize("name", ["relu", "tanh", "sigmoid", "exp", "negative", "power 3", "3 / x"])
def test_against_finite_differences_below_zero(name: str) -> None:
    test_against_finite_differences(UNARY[name], -0.8)


@pytest.mark.parametrize("fn", BINARY.values(), ids=BINARY.keys())
def test_of_two_against_finite_differences(fn: Callable[[Value, Value], Value]) -> None:
    x, y, eps = Value(1.5), Value(-0.7), 1e-6
    fn(x, y).backward()
    dx = (fn(Value(1.5 + eps), y).data - fn(Value(1.5 - eps), y).data) / (2 * eps)
    dy = (fn(x, Value(-0.7 + eps)).data - fn(x, Value(-0.7 - eps)).data) / (2 * eps)
    assert (x.grad, y.grad) == pytest.approx((dx, dy), rel=1e-7)


def test_edges() -> None:
    assert Value(1000.0).exp().data == math.inf
    assert Value(-1000.0).exp().data == 0.0
    assert (Value(-1000.0).sigmoid().data, Value(1000.0).sigmoid().data) == (0.0, 1.0)
    assert math.isnan(Value(math.nan).relu().data)
    assert Value(0.0).relu().data == 0.0
    for start, expected in [(0.0, 0.0), (1e-300, 1.0), (-1e-300, 0.0)]:
        x = Value(start)
        x.relu().backward()
        assert x.grad == expected


@pytest.mark.parametrize("power", [0, 1, 2, 3])
def test_whole_powers_of_zero(power: int) -> None:
    x = Value(0.0)
    (x**power).backward()
    assert x.grad == (1.0 if power == 1 else 0.0)


@pytest.mark.parametrize("number", [2, 2.0, True, np.float64(2), np.float32(2), np.int64(2), np.array(2.0)])
def test_numbers_of_any_make(number: object) -> None:
    for result in (
        Value(3.0) + number,
        number + Value(3.0),
        Value(3.0) * number,
        number * Value(3.0),
        number / Value(1.0),
    ):
        assert type(result) is Value and type(result.data) is float
    x = Value(number)
    (x * number).backward()
    assert x.grad == float(number) and type(x.data) is float


@pytest.mark.parametrize("power", [2, 2.0, np.float64(2), np.float32(2), np.int64(2)])
def test_powers_of_any_make(power: float) -> None:
    x = Value(3.0)
    (x**power).backward()
    assert x.grad == 6.0


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (TypeError, lambda x: x + "1"),
        (TypeError, lambda x: "1" + x),
        (TypeError, lambda x: x * None),
        (TypeError, lambda x: x * [1.0]),
        (TypeError, lambda x: x + 1j),
        (TypeError, lambda x: x**x),
        (TypeError, lambda x: x ** "2"),
        (TypeError, lambda x: Value("3")),
        (TypeError, lambda x: Value(None)),
        (TypeError, lambda x: Value(x)),
        (ZeroDivisionError, lambda x: x / 0),
        (ZeroDivisionError, lambda x: 1 / (x * 0)),
        (ZeroDivisionError, lambda x: (x * 0) ** -1),
        (ValueError, lambda x: (x * 0).log()),
        (ValueError, lambda x: (-x).log()),
        (ValueError, lambda x: (-x) ** 0.5),
        (ValueError, lambda x: weighted_sum([x], [])),
        (ValueError, lambda x: weighted_sum([x], [1, 2])),
    ],
)
def test_errors_have_three_parts(kind: type[Exception], wrong: Callable[[Value], Value]) -> None:
    with pytest.raises(kind, match=THREE_PARTS):
        wrong(Value(2.0))


def test_powers_overflow_to_infinity_as_exp_does() -> None:
    assert (Value(1e200) ** 2).data == math.inf


def test_repr() -> None:
    x = Value(2)
    (x * 3).backward()
    assert repr(x) == "Value(data=2.0, grad=3.0)"


# ---- the graph -------------------------------------------------------------------------------------------------------


def test_shared_nodes() -> None:
    a = Value(1.0)
    b = a + a
    c = b + b
    c.backward()
    assert (a.grad, b.grad, c.grad) == (4.0, 2.0, 1.0)


def test_a_tower_of_shared_nodes_takes_one_step_per_floor() -> None:
    x = top = Value(1.0)
    for _ in range(60):  # 2**60 paths
        top = top + top
    top.backward()
    assert x.grad == 2.0**60


def test_a_diamond_of_unequal_sides() -> None:
    x = Value(3.0)
    long = ((x * 2).tanh() * 0 + x) * x
    (long + x).backward()
    assert x.grad == pytest.approx(7.0)


def test_backward_again_adds_exactly_once_more() -> None:
    x = Value(3.0)
    y = x * x
    z = y + y
    for times in (1, 2, 3):
        z.backward()
        assert (x.grad, y.grad, z.grad) == (12.0 * times, 2.0 * times, 1.0 * times)


def test_two_results_add_up() -> None:
    x = Value(3.0)
    y = x * x
    (y * 2).backward()
    (y * 5).backward()
    assert (x.grad, y.grad) == (42.0, 7.0)


def test_a_leaf_goes_backward_to_itself() -> None:
    x = Value(3.0)
    x.backward()
    assert x.grad == 1.0


@pytest.mark.parametrize("step", [lambda v: v + 1, lambda v: v * 1.0, lambda v: v.relu()], ids=["+", "*", "relu"])
def test_long_chains(step: Callable[[Value], Value]) -> None:
    x = y = Value(1.0)
    for _ in range(100_000):
        y = step(y)
    y.backward()
    assert x.grad == 1.0
    del y  # must not be deeper than the C stack
    gc.collect()


def test_memory_is_freed_without_the_garbage_collector() -> None:
    class Watched(Value):
        pass  # has the __weakref__ that Value's slots leave out

    gc.disable()
    try:
        x = Watched(0.5)
        gone = weakref.ref(x)
        y = (x * x + x / 2.0).exp() + x.tanh() + x.sigmoid() + x.relu() + x.log() + x**3
        y.backward()
        del x, y
        assert gone() is None
    finally:
        gc.enable()


@given(st.lists(st.tuples(st.sampled_from("+-*/tsrw"), st.integers(0, 99), st.integers(0, 99)), min_size=1, max_size=15))
def test_random_graphs_like_tensors(program: list[tuple[str, int, int]]) -> None:
    """The scalar engine and the tensor engine are two roads to one gradient."""

    def run(pool: list, weighted: Callable) -> object:
        steps = {
            "+": lambda x, y: x + y,
            "-": lambda x, y: x - y,
            "*": lambda x, y: x.tanh() * y,
            "/": lambda x, y: x / (y * y + 1),
            "t": lambda x, y: x.tanh(),
            "s": lambda x, y: x.sigmoid(),
            "r": lambda x, y: x.relu(),
            "w": lambda x, y: weighted(x.tanh(), y),
        }
        for op, i, j in program:
            pool.append(steps[op](pool[i % len(pool)], pool[j % len(pool)]))
        return pool[-1] * pool[-1] + sum(pool[:3])

    start = (0.5, -1.25, 2.0)
    values = [Value(v) for v in start]
    tensors = [mw.tensor(v, "float64", requires_grad=True) for v in start]
    y = run(list(values), lambda a, b: weighted_sum([a, b], [b, 2.0], a))
    expected = run(list(tensors), lambda a, b: a * b + b * 2.0 + a)
    y.backward()
    expected.backward()
    assert y.data == pytest.approx(expected.item(), rel=1e-9)
    assert [v.grad for v in values] == pytest.approx([t.grad.item() for t in tensors], rel=1e-7, abs=1e-12)


# ---- weighted_sum ----------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(*[st.floats(-1e3, 1e3)] * 2), max_size=40), st.floats(-1e3, 1e3))
def test_weighted_sum_is_the_sum_of_products(pairs: list[tuple[float, float]], start: float) -> None:
    ws, xs, bias = [Value(w) for w, _ in pairs], [Value(x) for _, x in pairs], Value(start)
    ws_2, xs_2, bias_2 = [Value(w) for w, _ in pairs], [Value(x) for _, x in pairs], Value(start)
    one, many = weighted_sum(ws, xs, bias), sum((w * x for w, x in zip(ws_2, xs_2, strict=True)), bias_2)
    (one * 3).backward()
    (many * 3).backward()
    assert one.data == pytest.approx(many.data, rel=1e-12, abs=1e-6)
    assert [v.grad for v in (*ws, *xs, bias)] == [v.grad for v in (*ws_2, *xs_2, bias_2)]


def test_weighted_sum_is_one_node() -> None:
    ws, xs, b = [Value(1.0), Value(2.0)], [Value(3.0), Value(4.0)], Value(5.0)
    assert weighted_sum(ws, xs, b)._inputs == (*ws, *xs, b)


def test_weighted_sum_of_numbers_and_shared_values() -> None:
    w = Value(2.0)
    z = weighted_sum([w, w, 1], [w, np.float32(3), w], w)
    z.backward()
    assert (z.data, w.grad) == (14.0, 9.0)  # w² + 3w + w + w
    assert weighted_sum([], []).data == 0.0
    assert weighted_sum(np.array([1.0, 2.0]), (3.0, 4.0)).data == 11.0


def test_weighted_sum_keeps_nan_and_infinity() -> None:
    assert math.isnan(weighted_sum([math.inf], [0.0]).data)
    assert weighted_sum([math.inf, 1.0], [2.0, 3.0]).data == math.inf
