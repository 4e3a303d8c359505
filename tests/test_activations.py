"""Activations against their formulas, on numbers small and large; the layers' tests compare them with Keras's."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import microweights as mw
from microweights import activations
from microweights.activations import NAMED


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x > 0 else math.exp(x) / (1 + math.exp(x))


FORMULAS: dict[str, Callable[[float], float]] = {
    "linear": lambda x: x,
    "relu": lambda x: max(0.0, x),
    "sigmoid": sigmoid,
    "tanh": math.tanh,
    "softplus": lambda x: max(x, 0) + math.log1p(math.exp(-abs(x))),
    "softsign": lambda x: x / (1 + abs(x)),
    "gelu": lambda x: 0.5 * x * math.erfc(-x / math.sqrt(2)),
    "elu": lambda x: x if x > 0 else math.expm1(x),
    "selu": lambda x: 1.0507009873554805 * (x if x > 0 else 1.6732632423543772 * math.expm1(x)),
    "leaky_relu": lambda x: x if x > 0 else 0.2 * x,
    "silu": lambda x: x * sigmoid(x),
    "swish": lambda x: x * sigmoid(x),
    "exponential": lambda x: math.exp(min(x, 600)),
}
POINTS = [-1000.0, -100.0, -20.0, -3.0, -1.0, -1e-3, 0.0, 1e-3, 0.5, 1.0, 3.0, 20.0, 80.0]
TOLERANCE = {"float32": {"rtol": 2e-6, "atol": 2e-7}, "float64": {"rtol": 1e-13, "atol": 1e-15}}


def test_every_activation_has_a_formula_here() -> None:
    assert set(FORMULAS) | {"softmax", "log_softmax"} == set(NAMED)


@pytest.mark.parametrize("name", FORMULAS)
def test_values(setting: str, dtype: str, name: str) -> None:
    z = NAMED[name](mw.tensor(POINTS, dtype)).numpy()
    assert z.dtype == dtype
    np.testing.assert_allclose(z, [FORMULAS[name](float(np.dtype(dtype).type(x))) for x in POINTS], **TOLERANCE[dtype])


@pytest.mark.parametrize("name", FORMULAS)
def test_gradients(setting: str, name: str) -> None:
    points = [-30.0, -3.0, -1.0, -1e-3, 1e-3, 0.5, 1.0, 3.0, 20.0]
    x = mw.tensor(points, "float64", requires_grad=True)
    h = 1e-6
    slopes = [(FORMULAS[name](p + h) - FORMULAS[name](p - h)) / (2 * h) for p in points]
    np.testing.assert_allclose(mw.grad(NAMED[name](x).sum(), x).numpy(), slopes, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", NAMED)
def test_gradients_are_finite_far_out(setting: str, name: str) -> None:
    x = mw.tensor([[-1000.0, 1000.0 if name != "exponential" else 80.0]], requires_grad=True)
    assert np.isfinite(mw.grad(NAMED[name](x).sum(), x).numpy()).all()


@pytest.mark.parametrize("name", NAMED)
def test_nan_is_not_swallowed(setting: str, dtype: str, name: str) -> None:
    z = NAMED[name](mw.tensor([[1.0, float("nan"), -1.0]], dtype)).numpy()
    assert np.isnan(z[0, 1])


@pytest.mark.parametrize("axes", [2, 3])
def test_softmax(setting: str, dtype: str, axes: int) -> None:
    x = np.random.default_rng(0).normal(0, 300, (4, 5, 6)[-axes:])
    x = x.astype(dtype).astype(float)
    e = np.exp(x - x.max(-1, keepdims=True))
    expected = e / e.sum(-1, keepdims=True)
    z = NAMED["softmax"](mw.tensor(x, dtype)).numpy()
    np.testing.assert_allclose(z, expected, **TOLERANCE[dtype])
    np.testing.assert_allclose(z.sum(-1), 1, rtol=1e-6)
    logs = x - x.max(-1, keepdims=True) - np.log(e.sum(-1, keepdims=True))
    np.testing.assert_allclose(NAMED["log_softmax"](mw.tensor(x, dtype)).numpy(), logs, rtol=2e-6, atol=2e-6)


def test_get() -> None:
    def mine(x: mw.Tensor) -> mw.Tensor:
        return x

    assert activations.get(None) == ("linear", activations.linear)
    assert activations.get("silu") == ("silu", activations.silu)
    assert activations.get(mine) == ("mine", mine)


@pytest.mark.parametrize("name", ["rellu", "ReLU", "", 3, ["relu"]])
def test_get_refuses(name: Any) -> None:
    with pytest.raises(ValueError, match=r"an activation out of .*'relu'"):
        activations.get(name)
