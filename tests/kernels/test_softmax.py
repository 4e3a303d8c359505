"""Rows of probabilities: accurate for large logits, and as torch has it for infinite ones."""

import math
from typing import Any

import numpy as np
import pytest

from microweights.kernels import door

COLUMNS = (1, 2, 10, 15, 16, 17, 33, 100, 1025)


def logits(columns: int, dtype: str, spread: float = 3) -> Any:
    return (np.random.default_rng(columns).normal(size=(5, columns)) * spread).astype(dtype)


def log_softmax(x: Any) -> Any:
    x = x.astype("f8")
    shifted = x - x.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


@pytest.mark.parametrize("columns", COLUMNS)
def test_softmax_and_its_logarithm(columns: int, dtype: str, setting: str) -> None:
    x, eps = logits(columns, dtype), np.finfo(dtype).eps
    np.testing.assert_allclose(door.rowwise("softmax", x), np.exp(log_softmax(x)), rtol=32 * eps)
    np.testing.assert_allclose(door.rowwise("log_softmax", x), log_softmax(x), rtol=4 * eps, atol=8 * eps)


@pytest.mark.parametrize("shift", [-3e4, 1e3, 3e4])
def test_softmax_does_not_see_a_shift(shift: float, dtype: str, setting: str) -> None:
    x = np.array([[0, 1, 2, -5], [7, 7, 7, 7]], dtype)
    for name in ("softmax", "log_softmax"):
        np.testing.assert_allclose(door.rowwise(name, x + np.dtype(dtype).type(shift)), door.rowwise(name, x), rtol=1e-6)


@pytest.mark.parametrize("shift", [0, 500, 20000])
@pytest.mark.parametrize("gap", [1, 7, 12])
def test_the_loss_of_a_confident_row_is_not_lost(shift: float, gap: float, dtype: str, setting: str) -> None:
    """log Σ exp(x) - x[label] would cancel: the maximum has to go from both first."""
    x = np.array([[0, gap, 0]], dtype) + np.dtype(dtype).type(shift)
    expected = math.log1p(2 * math.exp(-gap))
    atol = 4 * np.finfo(dtype).eps
    np.testing.assert_allclose(door.cross_entropy(x, np.array([1])), expected, rtol=1e-6, atol=atol)
    np.testing.assert_allclose(door.cross_entropy(x, np.array([[0, 1, 0]], dtype)), expected, rtol=1e-6, atol=atol)


@pytest.mark.parametrize("columns", COLUMNS)
def test_cross_entropy_of_labels_is_that_of_their_one_hot_rows(columns: int, dtype: str, setting: str) -> None:
    x, eps = logits(columns, dtype), np.finfo(dtype).eps
    label = np.arange(5) % columns
    one_hot = np.eye(columns, dtype=dtype)[label]
    expected = -log_softmax(x)[np.arange(5), label]
    np.testing.assert_allclose(door.cross_entropy(x, label), expected, rtol=8 * eps, atol=32 * eps)
    np.testing.assert_allclose(door.cross_entropy(x, one_hot), expected, rtol=8 * eps, atol=32 * eps)
    dz = np.linspace(-1, 2, 5).astype(dtype)
    expected = dz[:, None] * (np.exp(log_softmax(x)) - one_hot)
    np.testing.assert_allclose(door.cross_entropy_grad(dz, x, label), expected, rtol=8 * eps, atol=8 * eps)
    np.testing.assert_allclose(door.cross_entropy_grad(dz, x, one_hot), expected, rtol=8 * eps, atol=8 * eps)


@pytest.mark.parametrize("rows", [1, 7, 1000, 5001])
def test_the_mean_loss_and_its_gradient(rows: int, dtype: str, setting: str) -> None:
    rng, eps = np.random.default_rng(rows), np.finfo(dtype).eps
    x, label = rng.normal(size=(rows, 11)).astype(dtype), rng.integers(0, 11, rows)
    for target in (label, np.eye(11, dtype=dtype)[label]):
        loss = door.cross_entropy(x, target).astype("f8")
        mean = door.cross_entropy(x, target, mean=True)
        assert mean.shape == () and mean.dtype == dtype
        np.testing.assert_allclose(mean, loss.mean(), rtol=64 * eps)
        dz = np.array(3, dtype)
        each = door.cross_entropy_grad(np.full(rows, 3, dtype), x, target)
        dx = door.cross_entropy_grad(dz, x, target, mean=True)
        np.testing.assert_allclose(dx, each.astype("f8") / rows, rtol=8 * eps, atol=8 * eps / rows)


def test_the_mean_loss_of_no_rows_is_nan(dtype: str, setting: str) -> None:
    assert np.isnan(door.cross_entropy(np.empty((0, 3), dtype), np.empty(0, np.int64), mean=True))


@pytest.mark.parametrize("columns", [3, 17, 40])
def test_gradients_are_those_of_differences(columns: int, setting: str) -> None:
    x, h = logits(columns, "float64", 1), 1e-5
    dz = np.random.default_rng(1).normal(size=x.shape)
    for name in ("softmax", "log_softmax"):
        dx = door.rowwise(name + "_grad", dz, door.rowwise(name, x))
        for j in range(columns):
            step = h * np.eye(columns)[j]
            slope = (door.rowwise(name, x + step) - door.rowwise(name, x - step)) / (2 * h)
            np.testing.assert_allclose(dx[:, j], (dz * slope).sum(axis=1), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("columns", [3, 16, 21])
def test_infinite_and_nan_logits(columns: int, dtype: str, setting: str) -> None:
    inf, nan = math.inf, math.nan
    x = np.zeros((4, columns), dtype)
    x[0, 1] = -inf
    x[1, :] = -inf
    x[2, 1] = inf
    x[3, 1] = nan
    z, log_z = door.rowwise("softmax", x), door.rowwise("log_softmax", x)
    assert z[0, 1] == 0 and log_z[0, 1] == -inf
    np.testing.assert_allclose(z[0, [0, 2]], 1 / (columns - 1), rtol=1e-6)
    np.testing.assert_allclose(log_z[0, [0, 2]], -math.log(columns - 1), rtol=1e-6, atol=1e-7)
    assert np.isnan(z[1]).all() and np.isnan(log_z[1]).all()
    assert np.isnan(z[2, 1]) and np.isnan(log_z[2, 1])
    assert np.isnan(z[3]).all() and np.isnan(log_z[3]).all()
    masked = np.zeros((1, columns), dtype)
    masked[0, 0] = 1
    np.testing.assert_allclose(door.cross_entropy(x[:1], masked), math.log(columns - 1), rtol=1e-6, atol=1e-7)
    assert door.cross_entropy(x[:1], np.array([1])) == inf


def test_leading_axes_and_strides(dtype: str, setting: str) -> None:
    x = np.random.default_rng(0).normal(size=(4, 20, 3)).astype(dtype).transpose(0, 2, 1)[..., ::2]
    np.testing.assert_allclose(door.rowwise("softmax", x).sum(axis=-1), 1, rtol=1e-6)
    np.testing.assert_allclose(door.rowwise("log_softmax", x), log_softmax(x), rtol=1e-5, atol=1e-6)
    dz = np.broadcast_to(np.array(2, dtype), (4,))  # the gradient of a sum of losses
    label, logit = np.array([0, 9, 3, 3]), np.ascontiguousarray(x[:, 0])
    expected = 2 * (np.exp(log_softmax(logit)) - np.eye(10)[label])
    np.testing.assert_allclose(door.cross_entropy_grad(dz, logit, label), expected, rtol=1e-5, atol=1e-6)
    many = np.linspace(1, 2, 8).astype(dtype)
    for dz in (many[::2], many[3::-1]):
        expected = dz[:, None] * (np.exp(log_softmax(logit)) - np.eye(10)[label])
        np.testing.assert_allclose(door.cross_entropy_grad(dz, x[:, 0], label), expected, rtol=1e-5, atol=1e-6)


def test_no_rows_and_no_columns(dtype: str, setting: str) -> None:
    assert door.rowwise("softmax", np.empty((0, 3), dtype)).shape == (0, 3)
    assert door.rowwise("softmax", np.empty((3, 0), dtype)).shape == (3, 0)
    assert door.cross_entropy(np.empty((0, 3), dtype), np.empty(0, np.int64)).shape == (0,)


def test_a_row_does_not_depend_on_its_neighbours(dtype: str, c_only: str) -> None:
    x = logits(37, dtype)
    whole = door.rowwise("softmax", x)
    for i in range(5):
        assert np.array_equal(door.rowwise("softmax", x[i : i + 1])[0], whole[i])
