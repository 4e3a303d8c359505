"""Pooling layers against Keras's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import beside_keras, in_c, numbers, same_as_eager
from hypothesis import given, settings
from hypothesis import strategies as st

import microweights as mw

from .test_conv import axes_of, images, sizes

layers = mw.layers
POOLS = [f"{kind}Pooling{n}D" for kind in ("Max", "Average") for n in (1, 2, 3)]
GLOBALS = [f"Global{kind}Pooling{n}D" for kind in ("Max", "Average") for n in (1, 2, 3)]
ADAPTIVE = [f"Adaptive{kind}Pooling{n}D" for kind in ("Max", "Average") for n in (1, 2, 3)]
FORMATS = st.sampled_from(["channels_last", "channels_first"])


@pytest.mark.parametrize("name", POOLS)
@settings(max_examples=12)
@given(data=st.data())
def test_pools_are_keras_s(name: str, data: Any, keras: Any) -> None:
    axes, draw = axes_of(name), data.draw
    pool_size, strides = draw(sizes(axes, 3)), draw(st.none() | sizes(axes, 3))
    padding, data_format = draw(st.sampled_from(["valid", "same"])), draw(FORMATS)
    x = images(draw, axes, draw(st.integers(1, 3)), data_format)
    if "Average" in name and keras.backend.backend() == "torch":  # where Keras repeats the border of the image
        padding = "valid"
    made = [getattr(lib.layers, name)(pool_size, strides, padding, data_format, dtype="float64") for lib in (mw, keras)]
    beside_keras(keras, *made, x)


@pytest.mark.parametrize("name", GLOBALS)
@settings(max_examples=12)
@given(keepdims=st.booleans(), data=st.data())
def test_global_pools_are_keras_s(name: str, keepdims: bool, data: Any, keras: Any) -> None:
    data_format = data.draw(FORMATS)
    x = images(data.draw, axes_of(name), 2, data_format)
    made = [getattr(lib.layers, name)(data_format, keepdims, dtype="float64") for lib in (mw, keras)]
    beside_keras(keras, *made, x)


@pytest.mark.parametrize("name", ADAPTIVE)
@settings(max_examples=12)
@given(data=st.data())
def test_adaptive_pools_are_keras_s(name: str, data: Any, keras: Any) -> None:
    data_format = data.draw(FORMATS)
    x = images(data.draw, axes_of(name), 2, data_format)
    size = data.draw(sizes(axes_of(name), 5))
    made = [getattr(lib.layers, name)(size, data_format, dtype="float64") for lib in (mw, keras)]
    beside_keras(keras, *made, x)


def test_a_mean_over_time_spares_what_is_masked() -> None:
    x = mw.tensor([[[1.0], [3.0], [9.0]]])
    assert layers.GlobalAveragePooling1D()(x, mask=mw.tensor([[True, True, False]])).tolist() == [[2.0]]


def test_of_several_that_are_largest_the_first_gets_the_gradient(setting: str) -> None:
    x = mw.tensor([[[1.0], [2.0], [2.0], [2.0]]], requires_grad=True)
    assert mw.grad(layers.MaxPooling1D(4)(x).sum(), [x])[0].reshape(4).tolist() == [0, 1, 0, 0]
    assert mw.grad(layers.MaxPooling1D(2, 1)(x).sum(), [x])[0].reshape(4).tolist() == [0, 2, 1, 0]


def test_nan_and_infinity(setting: str) -> None:
    x = np.array([[[np.nan], [1.0], [np.inf], [2.0], [-np.inf], [-np.inf]]], "float32")
    z = layers.MaxPooling1D(2)(x).numpy().reshape(3)
    assert np.isnan(z[0]) and z[1] == np.inf and z[2] == -np.inf


def test_bits_do_not_depend_on_threads(c_only: str) -> None:
    x = mw.tensor(numbers(40, 20, 20, 17), requires_grad=True)
    for layer in (layers.MaxPooling2D(3, 2), layers.AveragePooling2D(3, 2)):
        found = []
        for threads in (1, 2, 5):
            mw.set_num_threads(threads)
            z = layer(x)
            found.append([t.numpy().tobytes() for t in (z, *mw.grad((z * z).sum(), [x]))])
        assert found[1:] == found[:-1]


@in_c
def test_captured(dtype: str) -> None:
    x = mw.tensor(numbers(2, 8, 8, 3, dtype=dtype), requires_grad=True)
    for layer in (layers.MaxPooling2D(2), layers.AveragePooling2D(3, 1, "same"), layers.GlobalAveragePooling2D()):
        same_as_eager(lambda x, layer=layer: mw.grad((layer(x) ** 2).sum(), [x]), x)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.MaxPooling2D(0), "`pool_size` to be an integer from 1"),
        (lambda: layers.MaxPooling2D(2, padding="causal"), "`padding` out of"),
        (lambda: layers.MaxPooling2D(9), "no larger than the image"),
        (lambda: layers.MaxPooling1D(2), "inputs of 3 axes"),
        (lambda: layers.AdaptiveAveragePooling2D(0), "`output_size` to be"),
    ],
)
def test_what_cannot_be_is_said(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()(np.zeros((1, 8, 8, 1), "float32"))
