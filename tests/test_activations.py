"""Activations against their formulas, on numbers small and large; the layers' tests compare them with Keras's."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers import in_c

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
    "relu6": lambda x: min(max(x, 0.0), 6.0),
    "log_sigmoid": lambda x: min(x, 0) - math.log1p(math.exp(-abs(x))),
    "celu": lambda x: x if x > 0 else math.expm1(x),
    "hard_sigmoid": lambda x: min(max(x / 6 + 0.5, 0), 1),
    "hard_silu": lambda x: x * min(max(x / 6 + 0.5, 0), 1),
    "hard_swish": lambda x: x * min(max(x / 6 + 0.5, 0), 1),
    "hard_tanh": lambda x: min(max(x, -1), 1),
    "hard_shrink": lambda x: 0.0 if abs(x) <= 0.5 else x,
    "soft_shrink": lambda x: math.copysign(max(abs(x) - 0.5, 0), x),
    "tanh_shrink": lambda x: x - math.tanh(x),
    "mish": lambda x: x * math.tanh(max(x, 0) + math.log1p(math.exp(-abs(x)))),
    "squareplus": lambda x: (x + math.hypot(x, 2)) / 2 if x > 0 else 2 / (math.hypot(x, 2) - x),
    "sparse_plus": lambda x: 0.0 if x <= -1 else x if x >= 1 else (x + 1) ** 2 / 4,
    "sparse_sigmoid": lambda x: min(max((x + 1) / 2, 0), 1),
}
LOSSY = {"squareplus": 1e-4, "tanh_shrink": 1e-6}  # differences of nearly equal numbers, in float32
POINTS = [-1000.0, -100.0, -20.0, -3.0, -1.0, -1e-3, 0.0, 1e-3, 0.5, 1.0, 3.0, 20.0, 80.0]
TOLERANCE = {"float32": {"rtol": 2e-6, "atol": 2e-7}, "float64": {"rtol": 1e-13, "atol": 1e-15}}


def test_every_activation_has_a_formula_here() -> None:
    assert set(FORMULAS) | {"softmax", "log_softmax"} == set(NAMED)


@pytest.mark.parametrize("name", FORMULAS)
def test_values(setting: str, dtype: str, name: str) -> None:
    z = NAMED[name](mw.tensor(POINTS, dtype)).numpy()
    assert z.dtype == dtype
    expected = [FORMULAS[name](float(np.dtype(dtype).type(x))) for x in POINTS]
    lossy = {"atol": LOSSY[name] if dtype == "float32" else 1e-12} if name in LOSSY else {}
    np.testing.assert_allclose(z, expected, **TOLERANCE[dtype] | lossy)


@pytest.mark.parametrize("name", FORMULAS)
def test_gradients(setting: str, name: str) -> None:
    points = [-30.0, -3.1, -0.9, -0.3, -1e-3, 1e-3, 0.4, 0.6, 1.1, 3.1, 20.0]
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
    z = NAMED[name](mw.tensor([[1.0, float("nan"), -1.0, 2.0]], dtype)).numpy()
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

    assert activations.get(None) is activations.get("linear") is activations.linear
    assert activations.get("silu") is activations.get("swish") is activations.silu
    assert activations.get(mine) is mine and activations.get(activations.relu6) is activations.relu6


@pytest.mark.parametrize("name", ["rellu", "ReLU", "", 3, ["relu"]])
def test_get_refuses(name: Any) -> None:
    with pytest.raises(ValueError, match=r"an activation out of .*'relu'"):
        activations.get(name)


def test_numbers_of_any_kind() -> None:
    for x in ([-1, 2], np.array([-1, 2], "int8"), mw.tensor([-1, 2]), [-1.0, 2.0]):
        assert mw.activations.relu(x).tolist() == [0.0, 2.0]
    assert mw.activations.tanh(np.zeros(1)).dtype == np.float64


def test_relu_with_its_arguments() -> None:
    x = mw.tensor([-3.0, -1.0, 0.5, 1.0, 3.0, 7.0], requires_grad=True)
    z = activations.relu(x, negative_slope=0.5, max_value=6.0, threshold=1.0)
    assert z.tolist() == [-2.0, -1.0, -0.25, 1.0, 3.0, 6.0]
    assert mw.grad(z.sum(), x).tolist() == [0.5, 0.5, 0.5, 1.0, 1.0, 0.0]
    assert activations.relu(x, 0.0, 2.0).tolist() == [0, 0, 0.5, 1, 2, 2]
    assert activations.threshold(x, 0.5, -7.0).tolist() == [-7, -7, -7, 1, 3, 7]


def test_glu() -> None:
    x = mw.tensor([[1.0, 2.0, 0.0, 0.0]])
    assert activations.glu(x).tolist() == [[0.5, 1.0]]
    assert activations.glu(x.T, axis=0).tolist() == [[0.5], [1.0]]
    with pytest.raises(ValueError, match="an even size of axis -1"):
        activations.glu(x[:, :3])


KERAS = [(name, {}) for name in NAMED] + [
    ("relu", {"negative_slope": 0.3, "max_value": 2.0, "threshold": 0.1}), ("relu", {"max_value": 2.0}),
    ("elu", {"alpha": 0.7}), ("celu", {"alpha": 0.7}), ("leaky_relu", {"negative_slope": 0.3}), ("gelu", {"approximate": True}),
    ("softmax", {"axis": 0}), ("log_softmax", {"axis": 0}), ("glu", {}), ("glu", {"axis": 0}),
    ("hard_shrink", {"threshold": 1.0}),    ("soft_shrink", {"threshold": 1.0}), ("squareplus", {"b": 1}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options"), KERAS, ids=str)
def test_values_and_gradients_are_keras_s(name: str, options: dict[str, Any]) -> None:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    torch = pytest.importorskip("torch")
    keras = pytest.importorskip("keras")
    values = np.random.default_rng(0).normal(0, 3, (6, 8)).astype("float32")
    x, t = mw.tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
    z, expected = getattr(activations, name)(x, **options), getattr(keras.activations, name)(t, **options)
    np.testing.assert_allclose(z.numpy(), expected.detach().numpy(), rtol=1e-5, atol=1e-6)
    weights = np.random.default_rng(1).normal(size=z.shape).astype("float32")
    (expected * torch.tensor(weights)).sum().backward()
    np.testing.assert_allclose(mw.grad((z * weights).sum(), x).numpy(), t.grad.numpy(), rtol=1e-4, atol=1e-5)


@in_c
@pytest.mark.parametrize("name", [*NAMED, "threshold"])
def test_a_captured_network_replays_it(name: str) -> None:
    """As an activation of a layer, four times: the last two as one program."""
    function = NAMED.get(name, functools.partial(activations.threshold, threshold=0.1, default_value=0.2))
    layer = mw.layers.Dense(4, activation=function)
    x = np.random.default_rng(0).normal(size=(3, 5)).astype("float32")
    eager = layer(x)
    step = mw.capture(lambda x: layer(x).detach())
    for _ in range(4):
        np.testing.assert_array_equal(step(x).numpy(), eager.numpy())
    assert len(step.programs) == 1
