"""Activations as layers, against Keras's; Lambda and Identity."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import beside_keras, numbers

import microweights as mw

layers = mw.layers


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ReLU", {}), ("ReLU", {"max_value": 0.5, "negative_slope": 0.1, "threshold": 0.2}), ("LeakyReLU", {}),
        ("LeakyReLU", {"negative_slope": 0.01}), ("PReLU", {}), ("PReLU", {"shared_axes": [1, 2]}), ("ELU", {"alpha": 0.7}),
        ("Softmax", {}), ("Softmax", {"axis": 1}), ("Softmax", {"axis": (1, 2)}),
    ],
)  # fmt: skip
def test_activations_are_keras_s(name: str, options: dict[str, Any], keras: Any) -> None:
    made = [getattr(lib.layers, name)(**options, dtype="float64") for lib in (mw, keras)]
    beside_keras(keras, *made, numbers(2, 3, 4, 5, dtype="float64"))


def test_softmax_with_a_mask_is_keras_s(keras: Any) -> None:
    x, mask = numbers(3, 4), np.array([[1, 1, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]], bool)
    expected = keras.layers.Softmax()(x, mask=keras.ops.convert_to_tensor(mask))
    found = layers.Softmax()(x, mask=mask).numpy()
    np.testing.assert_allclose(found, keras.ops.convert_to_numpy(expected), rtol=1e-5, atol=1e-6)


def test_lambda_is_given_what_it_takes() -> None:
    doubled = layers.Lambda(lambda x, n: x * n, arguments={"n": 2})
    assert doubled(mw.tensor([[1.0]])).tolist() == [[2.0]] and doubled.compute_output_shape((None, 3)) == (None, 3)
    assert layers.Lambda(lambda x, training: x * (2 if training else 3))(mw.tensor([[1.0]]), training=True).tolist() == [[2.0]]
    assert layers.Lambda(lambda x: x.sum(axis=1), output_shape=())(mw.tensor([[1.0, 2.0]])).tolist() == [3.0]
    x = mw.Input((3,))
    assert mw.Model(x, layers.Lambda(lambda x: x[:, :2])(x)).predict(np.ones((2, 3), "float32")).shape == (2, 2)
    assert layers.Identity()(mw.tensor([[1.0]])).tolist() == [[1.0]]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: layers.ReLU(max_value=-1), ValueError, "`max_value` from 0"),
        (lambda: layers.LeakyReLU(-0.1), ValueError, "`negative_slope` from 0"),
        (lambda: layers.PReLU(alpha_constraint="non_neg"), NotImplementedError, "alpha_constraint"),
        (lambda: layers.Lambda(3), TypeError, "a function"),
    ],
)
def test_what_cannot_be_is_said(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
