"""Values and gradients where formulas have their limits: at 0, at infinity, where two sides are equal."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import leaf

import microweights as mw

INF = float("inf")


@pytest.mark.parametrize(
    ("x", "y", "dx", "dy"),
    [
        (0, 0, 0, 0), (0, 1, 1, 0), (0, 2, 0, 0), (0, -1, -INF, -INF), (0, 0.5, INF, 0), (-2, 3, 12, np.nan),
        (-2, 2, -4, np.nan), (2, 0, 0, np.log(2)), (-2, 0, 0, np.nan), (2, 3, 12, 8 * np.log(2)),
    ],
)  # fmt: skip
def test_power_has_pytorchs_gradients(x: float, y: float, dx: float, dy: float) -> None:
    a, b = leaf([x]), leaf([y])
    np.testing.assert_allclose([g.item() for g in mw.grad(a**b, [a, b])], [dx, dy], rtol=1e-6)
    assert mw.grad(a ** float(y), a).item() == dx


def test_second_derivatives_of_power() -> None:
    for x, y, expected in ((2, 0, 0.5), (2, 1, 1 + np.log(2)), (4, 0, 0.25)):  # d²(xʸ)/dxdy = xʸ⁻¹ (1 + y ln x)
        a, b = leaf(x), leaf(y)
        for first, second in ((a, b), (b, a)):
            assert mw.grad(mw.grad(a**b, first, create_graph=True), second).item() == pytest.approx(expected)
    for y, expected in ((2, 2), (3, 0), (1, 0), (0, 0)):
        a = leaf(0.0)
        assert mw.grad(mw.grad(a ** mw.tensor(float(y)), a, create_graph=True), a).item() == expected


def test_elu_and_selu_are_exact_near_0() -> None:
    x = leaf([-1e-12, 0.0, 1e-12, -1e-9, -2.0, -INF, INF], "float64")
    for fn, scale, alpha in ((mw.activations.elu, 1.0, 1.0), (mw.activations.selu, 1.0507009873554805, 1.6732632423543772)):
        negative = np.minimum(x.numpy(), 0)
        expected = scale * np.where(x.numpy() > 0, x.numpy(), alpha * np.expm1(negative))
        z = fn(x)
        np.testing.assert_allclose(z.numpy(), expected, rtol=1e-14)
        dx = mw.grad(z.sum(), x, create_graph=True)
        slope = scale * np.where(x.numpy() > 0, 1, alpha * np.exp(negative))
        np.testing.assert_allclose(dx.numpy(), slope, rtol=1e-11)
        curve = np.where(x.numpy() > 0, 0, slope)
        np.testing.assert_allclose(mw.grad(dx.sum(), x).numpy(), curve, rtol=1e-11)


def test_activations_at_infinity() -> None:
    for fn, values, slopes, curves in (
        (mw.Tensor.gelu, [0, 0, INF], [0, 0.5, 1], [0, np.sqrt(2 / np.pi), 0]),
        (mw.Tensor.softplus, [0, np.log(2), INF], [0, 0.5, 1], [0, 0.25, 0]),
        (mw.Tensor.sigmoid, [0, 0.5, 1], [0, 0.25, 0], [0, 0, 0]),
        (mw.Tensor.tanh, [-1, 0, 1], [0, 1, 0], [0, 0, 0]),
        (mw.Tensor.relu, [0, 0, INF], [0, 0, 1], None),
        (mw.activations.leaky_relu, [-INF, 0, INF], [0.2, 0.2, 1], None),
    ):
        x = leaf([-INF, 0.0, INF])
        z = fn(x)
        np.testing.assert_allclose(z.numpy(), values, rtol=1e-6)
        dx = mw.grad(z.sum(), x, create_graph=True)
        np.testing.assert_allclose(dx.numpy(), slopes, rtol=1e-6)
        if curves is not None:
            np.testing.assert_allclose(mw.grad(dx.sum(), x).numpy(), curves, rtol=1e-6, atol=1e-9)


def test_a_limit_is_within() -> None:
    x, low = leaf([0.0, 0.5, 1.0, 2.0, -1.0]), leaf(0.0)
    assert [g.tolist() for g in mw.grad(x.clip(low, 1).sum(), [x, low])] == [[1, 1, 1, 0, 0], 1.0]
    assert mw.grad(mw.maximum(x, 0.0).sum(), x).tolist() == [0.5, 1, 1, 1, 0]
    assert mw.grad(mw.minimum(x, 0.0).sum(), x).tolist() == [0.5, 0, 0, 0, 1]
    ties = leaf([3.0, 3.0, 1.0])
    assert mw.grad(ties.max(), ties).tolist() == [0.5, 0.5, 0]
    single = leaf([3.0])
    assert mw.grad(single.var(), single).tolist() == [0]
    zero = leaf([0.0])
    assert mw.grad(zero.abs().sum(), zero).tolist() == [0]
    assert mw.grad(zero.sqrt().sum(), zero).tolist() == [INF]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_binary_cross_entropy_of_infinite_logits(dtype: str, setting: str) -> None:
    bce = mw.losses.BinaryCrossentropy(from_logits=True)
    for x, y, loss, dx in ((INF, 1, 0, 0), (INF, 0, INF, 1), (-INF, 1, INF, -1), (-INF, 0, 0, 0), (INF, 0.5, INF, 0.5)):
        for n in (1, 40):
            logits = leaf(np.full(n, x), dtype)
            z = bce(np.full(n, y, dtype), logits)
            assert z.item() == loss
            np.testing.assert_allclose(mw.grad(z, logits).numpy(), np.full(n, dx / n), rtol=1e-6)


@pytest.mark.parametrize("columns", [3, 100])
def test_masked_logits_get_no_gradient(columns: int, setting: str) -> None:
    values = np.linspace(0, 1, columns)
    values[1] = -INF
    rest = np.delete(np.arange(columns), 1)
    p = np.exp(values) / np.exp(values).sum()
    x = leaf([values], "float64")
    one_hot = np.eye(columns)[[2]]
    np.testing.assert_allclose(x.softmax().numpy()[0], p, rtol=1e-12)
    np.testing.assert_allclose(x.log_softmax().numpy()[0, rest], np.log(p[rest]), rtol=1e-12)
    for loss in (
        mw.losses.SparseCategoricalCrossentropy(from_logits=True)([2], x),
        mw.losses.CategoricalCrossentropy(from_logits=True)(one_hot, x),
        mw.losses.SparseCategoricalCrossentropy()([2], x.softmax()),
        -x.log_softmax()[0, 2],
        -x.softmax()[0, 2].log(),
    ):
        assert loss.item() == pytest.approx(-np.log(p[2]))
        np.testing.assert_allclose(mw.grad(loss, x).numpy(), p - one_hot, atol=1e-12)
