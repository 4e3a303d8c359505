"""Layers that disturb what passes through: the distributions, and that they only do so in a training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import in_c, numbers

import microweights as mw

layers = mw.layers
NOISE: dict[str, Any] = {
    "GaussianNoise": lambda **options: layers.GaussianNoise(0.5, **options),
    "GaussianDropout": lambda **options: layers.GaussianDropout(0.2, **options),
    "AlphaDropout": lambda **options: layers.AlphaDropout(0.2, **options),
    "SpatialDropout2D": lambda **options: layers.SpatialDropout2D(0.2, **options),
}


@pytest.mark.parametrize("name", NOISE)
def test_only_a_training_is_disturbed(name: str) -> None:
    x = numbers(20, 5, 5, 8)
    layer = NOISE[name]()
    assert (layer(x).numpy() == x).all() and not (layer(x, training=True).numpy() == x).all()


@pytest.mark.parametrize("name", NOISE)
def test_a_seed_makes_a_stream_of_its_own(name: str) -> None:
    x = numbers(20, 5, 5, 8)
    first, second = NOISE[name](seed=3), NOISE[name](seed=3)
    mw.seed(0)
    a = [first(x, training=True).numpy() for _ in range(2)]
    b = [second(x, training=True).numpy() for _ in range(2)]
    assert (a[0] == b[0]).all() and (a[1] == b[1]).all() and not (a[0] == a[1]).all()


def test_means_and_variances() -> None:
    mw.seed(1)
    x = np.random.default_rng(0).normal(size=(400, 500)).astype("float32")
    noise = layers.GaussianNoise(0.5)(x, training=True).numpy() - x
    assert abs(noise.mean()) < 0.01 and abs(noise.std() - 0.5) < 0.01
    factor = layers.GaussianDropout(0.2)(np.ones_like(x), training=True).numpy()
    assert abs(factor.mean() - 1) < 0.01 and abs(factor.std() - 0.5) < 0.01
    selu = mw.activations.selu(x).numpy()
    dropped = layers.AlphaDropout(0.3)(selu, training=True).numpy()
    assert abs(dropped.mean() - selu.mean()) < 0.03 and abs(dropped.std() - selu.std()) < 0.03


def test_whole_channels_are_dropped() -> None:
    z = layers.SpatialDropout2D(0.5)(np.ones((40, 3, 4, 5), "float32"), training=True).numpy()
    assert (z == z[:, :1, :1]).all() and set(np.unique(z)) == {0.0, 2.0}
    z = layers.SpatialDropout2D(0.5, "channels_first")(np.ones((40, 3, 4, 5), "float32"), training=True).numpy()
    assert (z == z[:, :, :1, :1]).all()
    with pytest.raises(ValueError, match="inputs of 3 axes"):
        layers.SpatialDropout1D(0.5)(np.ones((2, 3), "float32"), training=True)


@in_c
@pytest.mark.parametrize("name", NOISE)
def test_each_step_of_a_program_draws_anew(name: str) -> None:
    layer, x = NOISE[name](), mw.tensor(numbers(6, 5, 5, 8))
    captured = mw.capture(lambda x: layer(x, training=True))
    results = [captured(x).numpy().tobytes() for _ in range(6)]
    assert len(captured.programs) == 1 and len(set(results)) == 6


@pytest.mark.parametrize(
    "make", [lambda: layers.GaussianNoise(-1), lambda: layers.GaussianDropout(1.0), lambda: layers.AlphaDropout(1.5)]
)
def test_what_cannot_be_is_said(make: Any) -> None:
    with pytest.raises(ValueError, match="from 0"):
        make()
