"""Normalisation layers against Keras's, and the moving averages inside a program."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import beside_keras, in_c, numbers, same_as_eager
from hypothesis import given, settings
from hypothesis import strategies as st

import microweights as mw

layers = mw.layers
SHAPES = [(6, 4), (3, 5, 4), (2, 3, 3, 4)]


@settings(max_examples=20)
@given(shape=st.sampled_from(SHAPES), last=st.booleans(), center=st.booleans(), scale=st.booleans(), training=st.booleans())
def test_batch_normalization_is_keras_s(shape: Any, last: bool, center: bool, scale: bool, training: bool, keras: Any) -> None:
    options = {"axis": -1 if last else 1, "momentum": 0.7, "epsilon": 0.01, "center": center, "scale": scale}
    made = [lib.layers.BatchNormalization(**options, dtype="float64") for lib in (mw, keras)]
    beside_keras(keras, *made, numbers(*shape, dtype="float64"), training=training)


@settings(max_examples=12)
@given(shape=st.sampled_from(SHAPES), axes=st.sampled_from([-1, (1, 2)]), center=st.booleans(), scale=st.booleans())
def test_layer_normalization_is_keras_s(shape: Any, axes: Any, center: bool, scale: bool, keras: Any) -> None:
    axes = axes if len(shape) == 3 else -1  # on torch Keras takes the last ones only
    made = [lib.layers.LayerNormalization(axes, 0.01, center, scale, dtype="float64") for lib in (mw, keras)]
    beside_keras(keras, *made, numbers(*shape, dtype="float64"))


@settings(max_examples=12)
@given(shape=st.sampled_from(SHAPES), groups=st.sampled_from([1, 2, 4, -1]), center=st.booleans(), scale=st.booleans())
def test_group_normalization_is_keras_s(shape: Any, groups: int, center: bool, scale: bool, keras: Any) -> None:
    made = [lib.layers.GroupNormalization(groups, -1, 0.01, center, scale, dtype="float64") for lib in (mw, keras)]
    beside_keras(keras, *made, numbers(*shape, dtype="float64"), near=1e-4)  # which Keras computes in float32


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["RMSNormalization", "UnitNormalization"])
def test_others_are_keras_s(name: str, shape: Any, keras: Any) -> None:
    beside_keras(keras, *[getattr(lib.layers, name)(dtype="float64") for lib in (mw, keras)], numbers(*shape, dtype="float64"))


def test_a_mask_spares_what_is_masked(keras: Any) -> None:
    x, mask = numbers(3, 4, 2, dtype="float64"), np.array([[1, 1, 0, 0], [1, 1, 1, 1], [1, 0, 0, 0]], bool)
    ours, theirs = (lib.layers.BatchNormalization(momentum=0.5, dtype="float64") for lib in (mw, keras))
    found = ours(x, training=True, mask=mask).numpy()
    expected = theirs(x, training=True, mask=keras.ops.convert_to_tensor(mask))
    np.testing.assert_allclose(found, keras.ops.convert_to_numpy(expected), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(ours.moving_variance.numpy(), keras.ops.convert_to_numpy(theirs.moving_variance), rtol=1e-5)


def test_statistics_of_numbers_far_from_zero(c_only: str) -> None:
    x = numbers(3000, 5, dtype="float64") + 1e4
    layer = layers.BatchNormalization(momentum=0.0)
    layer(x.astype("float32"), training=True)
    exact = x.astype("float32").astype("float64")
    np.testing.assert_allclose(layer.moving_mean.numpy(), exact.mean(0), rtol=1e-6)
    np.testing.assert_allclose(layer.moving_variance.numpy(), exact.var(0), rtol=2e-4)


def test_bits_do_not_depend_on_threads(dtype: str, c_only: str) -> None:
    for layer in (layers.BatchNormalization(dtype=dtype), layers.LayerNormalization(dtype=dtype)):
        x = mw.tensor(numbers(5000, 33, dtype=dtype), requires_grad=True)
        found = []
        for threads in (1, 2, 3):
            mw.set_num_threads(threads)
            z = layer(x, training=True)
            found.append([t.numpy().tobytes() for t in (z, *mw.grad((z**3).sum(), [x, *layer.trainable_variables]))])
        assert found[1:] == found[:-1]


def test_a_batch_of_one() -> None:
    layer = layers.BatchNormalization(beta_initializer="ones")
    assert layer(np.full((1, 3), 7.0, "float32"), training=True).tolist() == [[1.0, 1.0, 1.0]]
    assert np.isfinite(layer.moving_variance.numpy()).all()


def network() -> mw.Sequential:
    mw.seed(0)
    norm = [layers.BatchNormalization(), layers.Activation("relu")]
    return mw.Sequential([mw.Input((4,)), layers.Dense(6), *norm, layers.Dense(1)])


@in_c
def test_moving_averages_move_in_the_program() -> None:
    x, y = numbers(40, 4), numbers(40, 1, seed=1)
    replayed, eager = network(), network()
    replayed.compile("sgd", "mse"), eager.compile("sgd", "mse", run_eagerly=True)
    for model in (replayed, eager):
        model.fit(x, y, epochs=4, batch_size=8, shuffle=False, verbose=0)
    assert len(replayed._steps["fit"].programs) == 1
    for a, b in zip(replayed.get_weights(), eager.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert np.abs(replayed.layers[1].moving_mean.numpy()).max() > 0


@in_c
def test_freezing_changes_what_is_computed_at_once() -> None:
    x, y = numbers(40, 4), numbers(40, 1, seed=1)
    model = network()
    model.compile("sgd", "mse")
    norm = model.layers[1]
    for frozen in (False, True, False):
        norm.trainable = not frozen
        before = norm.moving_mean.numpy().copy()
        model.fit(x, y, epochs=3, batch_size=8, verbose=0)
        assert (before == norm.moving_mean.numpy()).all() == frozen


def test_captured(dtype: str) -> None:
    for layer in (layers.LayerNormalization(dtype=dtype), layers.GroupNormalization(2, dtype=dtype)):
        x = mw.tensor(numbers(5, 4, dtype=dtype), requires_grad=True)
        same_as_eager(lambda x, layer=layer: mw.grad((layer(x) ** 3).sum(), [x, *layer.weights]), x)


@in_c
def test_an_activation_joins_the_normalisation() -> None:
    layer = layers.BatchNormalization()
    captured = same_as_eager(lambda x: layer(x).relu(), mw.tensor(numbers(5, 4)))
    assert [c.kernel for c in captured.programs[0].calls] == ["normalize_f32"]


@in_c
def test_in_a_training_too_where_moving_averages_stand_in_between() -> None:
    model = network()
    model.compile("sgd", "mse")
    model.fit(numbers(40, 4), numbers(40, 1, seed=1), epochs=2, batch_size=8, verbose=0)
    table = str(model.explain())
    assert "normalize" in table and "relu_grad" in table and "relu " not in table


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.BatchNormalization(synchronized=True), "`synchronized=False`"),
        (lambda: layers.BatchNormalization(renorm=True), "`renorm=False`"),
        (lambda: layers.BatchNormalization(momentum=1.5), "`momentum` from 0 to 1"),
        (lambda: layers.BatchNormalization(epsilon=-1.0), "`epsilon` from 0"),
        (lambda: layers.BatchNormalization(axis=0), "besides that of samples"),
        (lambda: layers.LayerNormalization(axis=5), "`axis` to name axes"),
        (lambda: layers.GroupNormalization(3), "`groups` to divide the channels"),
        (lambda: layers.GroupNormalization(0), "`groups` to be a positive integer"),
    ],
)
def test_what_cannot_be_is_said(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()(np.zeros((2, 4), "float32"))
