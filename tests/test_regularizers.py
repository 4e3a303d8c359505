"""Penalties and their gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import microweights as mw
from microweights import regularizers

W = np.array([[1.0, -2.0], [0.0, 3.0]])
CASES = [
    ("L1", {}),
    ("L2", {}),
    ("L1L2", {}),
    ("L1", {"l1": 0.3}),
    ("L2", {"l2": 0.5}),
    ("L1L2", {"l1": 0.3, "l2": 0.5}),
    ("L1L2", {"l2": 0.5}),
]


@pytest.mark.usefixtures("setting")
@pytest.mark.parametrize(("name", "arguments"), CASES)
def test_value_is_keras_s(keras: Any, dtype: str, name: str, arguments: dict[str, float]) -> None:
    expected = float(getattr(keras.regularizers, name)(**arguments)(keras.ops.convert_to_tensor(W)))
    assert getattr(regularizers, name)(**arguments)(mw.tensor(W, dtype)).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.usefixtures("setting")
@pytest.mark.parametrize(
    ("penalty", "value", "slope"),
    [
        (regularizers.L1(0.5), 3.0, 0.5 * np.sign(W)),
        (regularizers.L2(0.5), 7.0, W),
        (regularizers.L1L2(0.5, 0.5), 10.0, 0.5 * np.sign(W) + W),
        (regularizers.L1L2(), 0.0, 0 * W),
    ],
)
def test_value_and_gradient_by_hand(dtype: str, penalty: Any, value: float, slope: np.ndarray) -> None:
    w = mw.tensor(W, dtype, requires_grad=True)
    total = penalty(w)
    assert total.item() == value and total.dtype == dtype
    np.testing.assert_array_equal(mw.grad(total, w).numpy(), slope)


def test_get_by_name() -> None:
    for name, kind in (("l1", "L1"), ("L2", "L2"), ("l1_l2", "L1L2"), ("L1L2", "L1L2")):
        assert type(regularizers.get(name)).__name__ == kind
    assert type(regularizers.l2(0.1)) is regularizers.L2
    assert regularizers.get("l2").l2 == 0.01


@pytest.mark.parametrize(("name", "error"), [("l3", ValueError), (0.01, TypeError)])
def test_get_refuses(name: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="Expected a regularizer"):
        regularizers.get(name)


@pytest.mark.parametrize("factor", [-0.1, float("nan")])
def test_factors_are_checked(factor: float) -> None:
    for kind in (regularizers.L1, regularizers.L2, regularizers.L1L2):
        with pytest.raises(ValueError, match="not below 0"):
            kind(factor)
