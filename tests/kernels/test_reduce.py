"""Reductions: the axes, the accuracy of long sums, and what NaN, ties and emptiness do."""

import itertools
import math
from typing import Any

import hypothesis.extra.numpy as arrays_of
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microweights.kernels import door

NUMPY = {"sum": np.sum, "max": np.max, "min": np.min}


@pytest.mark.parametrize("name", NUMPY)
@given(shape=arrays_of.array_shapes(min_dims=0, max_dims=5, max_side=6), data=st.data())
def test_any_axes_of_any_array(name: str, shape: tuple[int, ...], data: st.DataObject, setting: str) -> None:
    axes = tuple(sorted(data.draw(st.sets(st.integers(0, len(shape) - 1)) if shape else st.just(set()))))
    x = np.random.default_rng(len(shape)).normal(size=shape[::-1]).T
    z, expected = door.reduce(name, x, axes), NUMPY[name](x, axis=axes)
    assert z.shape == expected.shape
    np.testing.assert_allclose(z, expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("axes", [a for n in range(4) for a in itertools.combinations(range(3), n)])
def test_all_combinations_of_axes(axes: tuple[int, ...], dtype: str, setting: str) -> None:
    x = np.random.default_rng(0).normal(size=(7, 33, 17)).astype(dtype)
    for name, f in NUMPY.items():
        rtol = 40 * np.finfo(dtype).eps if name == "sum" else 0
        np.testing.assert_allclose(door.reduce(name, x, axes), f(x.astype("f8"), axis=axes), rtol=rtol, atol=100 * rtol)
    mean = door.reduce("sum", x, axes, mean=True)
    np.testing.assert_allclose(mean, x.astype("f8").mean(axis=axes), rtol=rtol, atol=20 * np.finfo(dtype).eps)


@pytest.mark.parametrize(("shape", "axis"), [((10_000_000,), 0), ((2, 5_000_000), 1)])
def test_a_long_sum_stays_exact(shape: tuple[int, ...], axis: int, setting: str) -> None:
    x = np.full(shape, 0.1, np.float32)
    rtol = 2e-5 if setting == "numpy" else 1e-6  # NumPy adds in pairs only within a buffer, until its version 2.2
    np.testing.assert_allclose(door.reduce("sum", x, (axis,)), shape[axis] * float(np.float32(0.1)), rtol=rtol)


@pytest.mark.parametrize("rows", [10_000, 1_000_000])
def test_a_long_column_sum_stays_exact(rows: int, c_only: str) -> None:
    """NumPy adds down columns one by one, and is off by 1e-3 here."""
    x = np.full((rows, 10), 0.1, np.float32)
    np.testing.assert_allclose(door.reduce("sum", x, (0,)), rows * float(np.float32(0.1)), rtol=5e-6)


def test_adding_one_by_one_would_be_noticed() -> None:
    one_by_one = np.cumsum(np.full(10_000_000, 0.1, np.float32))[-1]
    assert abs(one_by_one / (10_000_000 * float(np.float32(0.1))) - 1) > 1e-6


def test_sum_is_exact_where_every_order_is(dtype: str, setting: str) -> None:
    """Whole numbers add without rounding: an element left out or counted twice shows."""
    for n in [*range(1, 140), 1023, 1024, 1025, 2047, 2049, 3073, 5000, 70000]:
        x = (np.arange(n) % 7 + 1).astype(dtype)
        assert door.reduce("sum", x, (0,)) == x.astype("f8").sum(), n
        assert door.reduce("max", x + np.arange(n, dtype=dtype), (0,)) == (x + np.arange(n)).max(), n


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (2, 0, 3)])
def test_sum_over_nothing_is_zero(shape: tuple[int, ...], dtype: str, setting: str) -> None:
    x = np.empty(shape, dtype)
    for axis in range(x.ndim):
        z = door.reduce("sum", x, (axis,))
        assert z.shape == x.sum(axis=axis).shape and not z.any()
    assert door.reduce("sum", x, tuple(range(x.ndim))) == 0


@pytest.mark.parametrize("shape", [(0,), (3, 0), (2, 0, 5)])
def test_mean_over_nothing_is_nan(shape: tuple[int, ...], dtype: str, setting: str) -> None:
    axis = shape.index(0)
    z = door.reduce("sum", np.empty(shape, dtype), (axis,), mean=True)
    assert z.shape == shape[:axis] + shape[axis + 1 :] and np.isnan(z).all()


@pytest.mark.parametrize("name", ["max", "min"])
def test_extreme_of_nothing_is_refused(name: str, setting: str) -> None:
    with pytest.raises(ValueError, match=f"`{name}` over at least one element"):
        door.reduce(name, np.empty((3, 0), "f4"), (1,))
    assert door.reduce(name, np.empty((3, 0), "f4"), (0,)).shape == (0,)
    with pytest.raises(ValueError, match=f"`arg{name}` over at least one element"):
        door.arg_reduce("arg" + name, np.empty((3, 0), "f4"), 1)


SIZES = (1, 2, 15, 16, 17, 33, 64, 130, 1023, 1024, 1025, 2100)


@pytest.mark.parametrize("special", [math.nan, math.inf, -math.inf])
def test_nan_and_infinity_come_through_from_anywhere(special: float, dtype: str, setting: str) -> None:
    for n in SIZES:
        for at in {0, 1 % n, n // 2, n - 1}:
            x = np.linspace(-1, 1, n).astype(dtype)
            x[at] = special
            for y, axis in [(x, 0), (np.stack([x] * 3, axis=1), 0)]:
                for name, f in NUMPY.items():
                    expected = f(y.astype("f8"), axis=axis)
                    np.testing.assert_allclose(door.reduce(name, y, (axis,)), expected, rtol=1e-5, atol=1e-3)
            assert door.arg_reduce("argmax", x, 0) == np.argmax(x)
            assert door.arg_reduce("argmin", x, 0) == np.argmin(x)


def test_infinities_of_both_signs_add_to_nan(dtype: str, setting: str) -> None:
    x = np.zeros(100, dtype)
    x[3], x[90] = math.inf, -math.inf
    assert np.isnan(door.reduce("sum", x, (0,)))


@pytest.mark.parametrize(("name", "f"), [("argmax", np.argmax), ("argmin", np.argmin)])
@given(
    x=arrays_of.arrays(
        "f4",
        arrays_of.array_shapes(max_dims=3, max_side=40),
        elements=st.sampled_from([0, -0.0, 1, -1, math.nan, math.inf]),
    )
)
def test_ties_give_the_first_and_nan_wins(name: str, f: Any, x: Any, setting: str) -> None:
    for axis in range(x.ndim):
        z = door.arg_reduce(name, x, axis)
        assert z.dtype == np.int64 and np.array_equal(z, f(x, axis=axis))


def test_a_column_and_a_row_of_any_strides(dtype: str, setting: str) -> None:
    x = np.random.default_rng(0).normal(size=(40, 50)).astype(dtype)[::-2, ::3]
    np.testing.assert_allclose(door.reduce("sum", x, (0,)), x.sum(0), rtol=1e-5, atol=1e-5)
    assert np.array_equal(door.reduce("max", x, (1,)), x.max(1))
    assert np.array_equal(door.reduce("max", np.broadcast_to(x[:1], x.shape), (0,)), x[0])
    assert np.array_equal(door.arg_reduce("argmax", x, 0), x.argmax(0))


def test_all_finite_looks_at_every_element(dtype: str, setting: str) -> None:
    for n in (0, 1, 17, 1023, 1024, 1025, 3000):
        x = np.full(n, np.finfo(dtype).max)
        assert door.all_finite(x)
        for at in {0, n // 2, n - 1} if n else ():
            for bad in (math.nan, math.inf, -math.inf):
                y = x.copy()
                y[at] = bad
                assert not door.all_finite(y), (n, at)
                assert not door.all_finite(y[::-1])
