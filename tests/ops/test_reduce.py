"""Sums, means, extremes and rows of probabilities against NumPy."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from helpers import same
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import microweights as mw

THREE_PARTS = r"(?s)^Expected .+\. Received: .+\. \S.+"


X = np.arange(60, dtype=np.float32).reshape(3, 4, 5)


@st.composite
def reductions(draw: st.DrawFn) -> tuple[np.ndarray, Any, bool]:
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=1, max_side=5))
    axis = draw(
        st.one_of(st.none(), st.lists(st.integers(0, max(len(shape) - 1, 0)), unique=True, max_size=len(shape)).map(tuple))
    )
    if axis and draw(st.booleans()):
        axis = tuple(a - len(shape) for a in axis) if len(axis) > 1 else axis[0]
    rng = np.random.default_rng(sum(shape))
    return rng.integers(-5, 5, shape).astype(float), axis, draw(st.booleans())


@pytest.mark.usefixtures("setting")
@given(reductions())
def test_reductions_like_numpy(example: tuple[np.ndarray, Any, bool]) -> None:
    a, axis, keepdims = example
    for t in (mw.tensor(a), mw.tensor(a.T.copy()).T):
        for name in ("sum", "mean", "max", "min", "var"):
            same(getattr(t, name)(axis, keepdims), getattr(a, name)(axis=axis, keepdims=keepdims), rtol=1e-12)


@pytest.mark.usefixtures("setting")
@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_arguments_of_extremes_like_numpy(name: str, dtype: str) -> None:
    rng = np.random.default_rng(0)
    a = rng.integers(0, 4, (5, 40)).astype(dtype)  # full of ties: the first counts
    for t, source in [(mw.tensor(a), a), (mw.tensor(a).T, a.T)]:
        for axis in (None, 0, 1, -1):
            received = getattr(t, name)(axis)
            assert received.dtype == "int64"
            np.testing.assert_array_equal(received.numpy(), getattr(source, name)(axis))
    a[2, 7] = np.nan
    np.testing.assert_array_equal(getattr(mw.tensor(a), name)(1).numpy(), getattr(a, name)(1))


@pytest.mark.parametrize("name", ["argmax", "argmin", "max", "min"])
def test_extremes_of_large_integers_are_exact(name: str) -> None:
    values = np.array([2**24, 2**24 + 1, 2**24]) * (1 if "max" in name else -1)
    if name.startswith("arg"):
        assert getattr(mw.tensor(values), name)().item() == 1


@pytest.mark.usefixtures("setting")
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "var", "softmax", "log_softmax"])
def test_nan_and_infinity_survive(name: str, bad: float, dtype: str) -> None:
    a = np.ones((3, 37), dtype)
    a[1, 30] = bad
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        e = np.exp(a - a.max(1, keepdims=True))
        expected = {
            "softmax": lambda: e / e.sum(1, keepdims=True),
            "log_softmax": lambda: a - a.max(1, keepdims=True) - np.log(e.sum(1, keepdims=True)),
        }.get(name, lambda: getattr(a, name)(1))()
        received = getattr(mw.tensor(a), name)(*([] if "soft" in name else [1]))
    same(received, expected, rtol=1e-5)


@pytest.mark.usefixtures("setting")
@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 4), (2, 3, 1, 4)])
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_rows_of_probabilities_along_any_axis(name: str, shape: tuple[int, ...]) -> None:
    a = np.random.default_rng(0).normal(size=shape)
    for axis in range(-len(shape), len(shape)):
        e = np.exp(a) / np.exp(a).sum(axis, keepdims=True)
        same(getattr(mw.tensor(a), name)(axis), e if name == "softmax" else np.log(e), rtol=1e-12)
        weights = np.linspace(1, 2, a.size).reshape(shape)
        assert mw.gradcheck(lambda t, axis=axis, w=weights: (getattr(t, name)(axis) * w).sum(), [a])


@pytest.mark.parametrize("axis", [5, -4, (0, 0), (0, -3), "a", 1.0, (0, "a"), True, [None]])
@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "var", "argmax", "argmin", "softmax", "log_softmax"])
def test_wrong_axes(name: str, axis: Any) -> None:
    with pytest.raises((ValueError, TypeError), match=THREE_PARTS):
        getattr(mw.tensor(X), name)(axis=axis)


@pytest.mark.parametrize(
    ("name", "axis"),
    [("softmax", None), ("softmax", (0, 1)), ("log_softmax", ()), ("argmax", (0, 1)), ("argmin", [0, 1])],
)
def test_one_axis_where_one_is_needed(name: str, axis: Any) -> None:
    with pytest.raises((ValueError, TypeError), match=THREE_PARTS):
        getattr(mw.tensor(X), name)(axis=axis)


# ---- nothing ---------------------------------------------------------------------------------------------------------

EMPTY = [
    ("sum", ()), ("sum", (0,)), ("sum", (1,)), ("mean", (1,)), ("max", (1,)), ("min", (1,)), ("exp", ()),
    ("softmax", ()), ("softmax", (0,)),
    ("log_softmax", ()), ("reshape", (3, 0)), ("reshape", (-1, 3)), ("transpose", ()), ("copy", ()),
    ("clip", (0.0, 1.0)), ("var", (1,)),
    ("__getitem__", (slice(None, None, -1),)), ("__getitem__", ((slice(None), [0, 2]),)),
    ("__getitem__", (np.zeros((0, 3), bool),)),
    ("__getitem__", (np.array([], int),)), ("__add__", (1.0,)), ("__mul__", (np.ones((1, 3), np.float32),)),
    ("__matmul__", (np.ones((3, 2), np.float32),)),
    ("__rmatmul__", (np.ones((4, 0), np.float32),)), ("__lt__", (0.0,)), ("argmax", (1,)), ("astype", ("float64",)),
    ("broadcast_to", ((2, 0, 3),)),
    ("max", (0,)), ("min", ()), ("argmax", (0,)), ("argmin", ()),
]  # fmt: skip


@pytest.mark.usefixtures("setting")
@pytest.mark.parametrize(("name", "arguments"), EMPTY)
def test_zero_size(name: str, arguments: tuple[Any, ...]) -> None:
    t = mw.tensor(np.zeros((0, 3), np.float32), requires_grad=True)
    if name in ("max", "min", "argmax", "argmin") and arguments != (1,):
        with pytest.raises(ValueError, match=THREE_PARTS):
            getattr(t, name)(*arguments)
        return
    z = getattr(t, name)(*arguments)
    if name in ("softmax", "log_softmax", "copy", "exp"):
        assert z.shape == (0, 3)
    elif hasattr(np.ndarray, name):
        a = t.numpy()
        arguments = tuple(a.dtype.type(x) if isinstance(x, float) else x for x in arguments)
        expected = getattr(a, name)(*([arguments] if name == "reshape" else arguments))
        np.testing.assert_array_equal(z.numpy(), expected)
    if z.requires_grad:
        z.sum().backward()
        assert t.grad.shape == (0, 3)


@pytest.mark.usefixtures("setting")
def test_reductions_of_nothing_to_something() -> None:
    t = mw.tensor(np.zeros((3, 0)))
    assert t.sum(1).tolist() == [0.0] * 3 and t.sum().item() == 0.0 and np.isnan(t.mean(1).numpy()).all()
    assert (t @ np.zeros((0, 2))).tolist() == [[0.0, 0.0]] * 3
    assert t.softmax().shape == (3, 0) and t[:, []].shape == (3, 0) and t.reshape(0).shape == (0,)
    assert mw.concatenate([t, t], 1).shape == (3, 0) and mw.stack([t, t]).shape == (2, 3, 0)


def test_more_axes_than_the_kernels_walk() -> None:
    a = np.arange(2**12, dtype=np.float32).reshape((2,) * 12)
    same(mw.tensor(a) + 1.0, a + 1)
    same(mw.tensor(a).sum((0, 2, 4)), a.sum((0, 2, 4)))
    order = [*range(0, 12, 2), *range(1, 12, 2)]
    mixed = mw.tensor(a).transpose(order)
    try:
        same(mixed + 1.0, a.transpose(order) + 1)
    except ValueError as error:
        assert "at most 8 separate axes" in str(error)
        with pytest.raises(ValueError, match=THREE_PARTS):
            mixed.copy()
