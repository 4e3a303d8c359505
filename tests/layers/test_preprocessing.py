"""Layers that make numbers of raw data fit for a network, against Keras's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import numbers

import microweights as mw

layers = mw.layers


def same(ours: Any, theirs: Any, keras: Any, x: Any) -> None:
    expected = keras.ops.convert_to_numpy(theirs(x))
    found = ours(x).numpy()
    assert found.shape == expected.shape == tuple(n or len(x) for n in ours.compute_output_shape((None, *x.shape[1:])))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_rescaling_is_keras_s(keras: Any) -> None:
    x = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3)).astype(np.uint8)
    for options in ({"scale": 1 / 255}, {"scale": [0.1, 0.2, 0.3], "offset": [1.0, 2.0, 3.0]}, {"scale": 2, "offset": -1}):
        same(layers.Rescaling(**options), keras.layers.Rescaling(**options), keras, x)


@pytest.mark.parametrize("axis", [-1, None, 1, (1, 2)])
def test_normalization_is_keras_s(axis: Any, keras: Any) -> None:
    x = numbers(20, 3, 4) * 7 + 2
    for invert in (False, True):
        ours, theirs = (lib.layers.Normalization(axis, invert=invert) for lib in (mw, keras))
        ours.adapt(x), theirs.adapt(x)
        same(ours, theirs, keras, x)
    batches = layers.Normalization(axis)
    batches.adapt([x[:7], x[7:8], x[8:]])
    whole = layers.Normalization(axis)
    whole.adapt(x)
    np.testing.assert_allclose(batches(x).numpy(), whole(x).numpy(), rtol=1e-4, atol=1e-5)


def test_normalization_by_given_numbers(keras: Any) -> None:
    for mean, variance in ((2.0, 4.0), ([1.0, 2.0], [1.0, 9.0])):
        same(*[lib.layers.Normalization(mean=mean, variance=variance) for lib in (mw, keras)], keras, numbers(5, 2))
    with pytest.raises(ValueError, match="both mean and variance"):
        layers.Normalization(mean=1.0)
    with pytest.raises(ValueError, match="data to adapt to"):
        layers.Normalization().adapt([])


@pytest.mark.parametrize("mode", ["one_hot", "multi_hot", "count"])
def test_category_encoding_is_keras_s(mode: str, keras: Any) -> None:
    for shape in ((4, 3), (4, 1)):
        x = np.random.default_rng(0).integers(0, 5, shape)
        same(*[lib.layers.CategoryEncoding(5, mode) for lib in (mw, keras)], keras, x)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "`num_tokens`"),
        ({"num_tokens": 3, "output_mode": "tf"}, "`output_mode`"),
        ({"num_tokens": 3, "sparse": True}, "sparse"),
    ],
)
def test_what_cannot_be_is_said(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        layers.CategoryEncoding(**options)
