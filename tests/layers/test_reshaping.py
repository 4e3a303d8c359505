"""Layers that pad, crop, enlarge, resize and permute, against Keras's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import beside_keras, numbers
from hypothesis import given, settings
from hypothesis import strategies as st

import microweights as mw

from .test_conv import axes_of, images, sizes

layers = mw.layers
FORMATS = st.sampled_from(["channels_last", "channels_first"])


@st.composite
def widths(draw: Any, axes: int) -> Any:
    """One number, one for each axis, or one for each side."""
    sides = st.tuples(st.integers(0, 2), st.integers(0, 2))
    return draw(
        st.integers(0, 2) | (sides if axes == 1 else st.tuples(*[st.integers(0, 2)] * axes) | st.tuples(*[sides] * axes))
    )


@pytest.mark.parametrize("name", [f"{kind}{n}D" for kind in ("ZeroPadding", "Cropping", "UpSampling") for n in (1, 2, 3)])
@settings(max_examples=10)
@given(data=st.data())
def test_borders_and_sizes_are_keras_s(name: str, data: Any, keras: Any) -> None:
    axes = axes_of(name)
    options: dict[str, Any] = {} if name in ("Cropping1D", "UpSampling1D") else {"data_format": data.draw(FORMATS)}
    size = data.draw(sizes(axes, 3) if axes > 1 else st.integers(1, 3)) if "Up" in name else data.draw(widths(axes))
    if name == "UpSampling2D":
        options["interpolation"] = data.draw(st.sampled_from(["nearest", "bilinear"]))
    x = images(data.draw, axes, 2, options.get("data_format", "channels_last"))
    beside_keras(keras, *[getattr(lib.layers, name)(size, **options, dtype="float64") for lib in (mw, keras)], x)


@settings(max_examples=25)
@given(height=st.integers(1, 9), width=st.integers(1, 9), data=st.data())
def test_resizing_is_keras_s(height: int, width: int, data: Any, keras: Any) -> None:
    options: dict[str, Any] = {"interpolation": data.draw(st.sampled_from(["nearest", "bilinear"]))}
    way = data.draw(st.sampled_from(["crop_to_aspect_ratio", "pad_to_aspect_ratio", "antialias", None]))
    if way == "antialias":
        options["interpolation"] = "bilinear"
    if way is not None:
        options[way] = True
    x = images(data.draw, 2, 2, "channels_last")
    beside_keras(keras, *[lib.layers.Resizing(height, width, **options, dtype="float64") for lib in (mw, keras)], x)


@pytest.mark.parametrize("size", [(3, 4), (5, 5), (9, 4), (9, 12)])
def test_center_crop_is_keras_s(size: Any, keras: Any) -> None:
    x = numbers(2, 7, 6, 3, dtype="float64")
    beside_keras(keras, *[lib.layers.CenterCrop(*size, dtype="float64") for lib in (mw, keras)], x)


def test_permute_and_repeat_are_keras_s(keras: Any) -> None:
    for dims in ((1, 2, 3), (3, 1, 2), (2, 1, 3)):
        x = numbers(2, 3, 4, 5, dtype="float64")
        beside_keras(keras, *[lib.layers.Permute(dims, dtype="float64") for lib in (mw, keras)], x)
    beside_keras(keras, *[lib.layers.RepeatVector(3, dtype="float64") for lib in (mw, keras)], numbers(2, 4, dtype="float64"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.ZeroPadding2D((1, 2, 3)), "`padding` for 2 axes"),
        (lambda: layers.ZeroPadding2D(-1), "from 0"),
        (lambda: layers.Cropping2D(4), "leaves something"),
        (lambda: layers.UpSampling2D(0), "`size` to be an integer from 1"),
        (lambda: layers.UpSampling2D(2, interpolation="bicubic"), "'nearest' or 'bilinear'"),
        (lambda: layers.Resizing(0, 3), "height"),
        (lambda: layers.Resizing(3, 3, crop_to_aspect_ratio=True, pad_to_aspect_ratio=True), "Choose one"),
        (lambda: layers.Permute((1, 1, 2)), "each axis once"),
        (lambda: layers.Permute((2, 1)), "inputs of 3 axes"),
        (lambda: layers.RepeatVector(2), "(samples, features)"),
    ],
)
def test_what_cannot_be_is_said(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("(", r"\(").replace(")", r"\)")):
        make()(np.zeros((1, 8, 8, 1), "float32"))
