"""Convolution layers against Keras's, argument by argument, and what is wrong to ask of them."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from helpers import beside_keras, in_c, numbers, same_as_eager
from hypothesis import given, settings
from hypothesis import strategies as st

import microweights as mw

layers = mw.layers
AXES = {"1D": 1, "2D": 2, "3D": 3}


def axes_of(name: str) -> int:
    return next(n for axes, n in AXES.items() if axes in name)


@st.composite
def sizes(draw: Any, axes: int, most: int) -> Any:
    """One number for all axes, or one for each."""
    return draw(st.integers(1, most) | st.tuples(*[st.integers(1, most)] * axes))


def as_tuple(n: Any, axes: int) -> tuple[int, ...]:
    return (n,) * axes if isinstance(n, int) else n


def images(draw: Any, axes: int, channels: int, data_format: str) -> np.ndarray:
    size = draw(st.tuples(*[st.integers(5, 7)] * axes))
    shape = (2, *size, channels) if data_format == "channels_last" else (2, channels, *size)
    return numbers(*shape, dtype="float64")


COMMON: dict[str, Any] = {
    "activation": st.sampled_from([None, "relu", "tanh", "sigmoid", "gelu"]),
    "use_bias": st.booleans(),
    "data_format": st.sampled_from(["channels_last", "channels_first"]),
}
NAMES = ["Conv1D", "Conv2D", "Conv3D", "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose", "DepthwiseConv1D",
         "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D"]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=20)
@given(data=st.data())
def test_convolutions_are_keras_s(name: str, data: Any, keras: Any) -> None:
    axes, draw = axes_of(name), data.draw
    options = {key: draw(values) for key, values in COMMON.items()}
    options["kernel_size"] = draw(sizes(axes, 3))
    both = draw(st.sampled_from(["strides", "dilation_rate"]))
    n = draw(sizes(axes, 2))
    options[both] = n if "Conv1D" in name or not ("Depthwise" in name or "Separable" in name) else max(as_tuple(n, axes))
    causal = ["causal"] if name == "Conv1D" else []
    options["padding"] = draw(st.sampled_from(["valid", "same", *causal]))
    groups = draw(st.sampled_from([1, 2, 4])) if name in ("Conv1D", "Conv2D", "Conv3D") else 1
    channels = groups * draw(st.integers(1, 3))
    if "Depthwise" not in name:
        options["filters"] = groups * draw(st.integers(1, 2))
    if groups > 1:
        options["groups"] = groups
    if "Depthwise" in name or "Separable" in name:
        options["depth_multiplier"] = draw(st.integers(1, 2))
    if "Transpose" in name and draw(st.booleans()):
        options["output_padding"] = min(as_tuple(options.get("strides", 1), axes)) - 1
    x = images(draw, axes, channels, options["data_format"])
    ours, theirs = (getattr(lib.layers, name)(**options, dtype="float64") for lib in (mw, keras))
    beside_keras(keras, ours, theirs, x)


@pytest.mark.parametrize("name", NAMES)
def test_float32_is_near_float64_on_every_setting(name: str, setting: str) -> None:
    options = {"padding": "same"} | ({} if "Depthwise" in name else {"filters": 17})
    x = numbers(2, *[7] * axes_of(name), 19)
    single = getattr(layers, name)(kernel_size=3, **options)
    double = getattr(layers, name)(kernel_size=3, dtype="float64", **options)
    single(x), double(x)
    double.set_weights(single.get_weights())
    np.testing.assert_allclose(single(x).numpy(), double(x).numpy(), rtol=1e-4, atol=1e-4)


def test_bits_do_not_depend_on_threads(dtype: str, c_only: str) -> None:
    for name, channels in (("Conv2D", 20), ("Conv2DTranspose", 20), ("DepthwiseConv2D", 40)):
        options = {} if "Depthwise" in name else {"filters": 24}
        layer = getattr(layers, name)(kernel_size=3, strides=2, padding="same", dtype=dtype, **options)
        x = mw.tensor(numbers(9, 17, 18, channels, dtype=dtype), requires_grad=True)
        found = []
        for threads in (1, 2, 3, 8):
            mw.set_num_threads(threads)
            z = layer(x)
            found.append([t.numpy().tobytes() for t in (z, *mw.grad((z * z).sum(), [x, *layer.weights]))])
        assert found[1:] == found[:-1]


def test_what_is_captured_is_what_is_computed(dtype: str) -> None:
    first, second = layers.Conv2D(6, 3, activation="relu", dtype=dtype), layers.Conv2DTranspose(2, 2, strides=2, dtype=dtype)
    x = mw.tensor(numbers(3, 8, 8, 2, dtype=dtype))

    def step(x: Any) -> Any:
        loss = (second(first(x)) ** 2).mean()
        return [loss, *mw.grad(loss, [*first.weights, *second.weights])]

    same_as_eager(step, x)


@in_c
def test_bias_and_activation_join_the_convolution() -> None:
    layer = layers.Conv2D(6, 3)
    captured = same_as_eager(lambda x: mw.activations.tanh(layer(x)), mw.tensor(numbers(2, 8, 8, 3)))
    assert [c.kernel for c in captured.programs[0].calls] == ["conv_f32"]


@in_c
@pytest.mark.parametrize("kernel_size", [1, 3])
def test_a_block_of_a_residual_network_is_one_call(kernel_size: int, dtype: str, c_only: str) -> None:
    mw.seed(0)
    x = mw.tensor(numbers(3, 9, 17, 20, dtype=dtype))
    conv, shortcut = (layers.Conv2D(20, kernel_size, padding="same", use_bias=False, dtype=dtype) for _ in range(2))
    norm = layers.BatchNormalization(gamma_initializer="random_normal", beta_initializer="random_normal", dtype=dtype)
    for _ in range(3):
        norm(x * 3, training=True)

    same_as_eager(lambda x: norm(conv(x)), x)
    same_as_eager(lambda x: (norm(conv(x)) + x).relu(), x)
    captured = same_as_eager(lambda x: mw.activations.tanh(norm(conv(x)) + shortcut(x)), x)
    (last,) = captured.programs
    assert [c.kernel[:4] for c in last.calls] == ["conv"] * 2 + ["add_", "tanh"] or len(last.calls) <= 4
    block = mw.capture(lambda x: (norm(conv(x)) + x).relu())
    for _ in range(3):
        block(x)
    assert [c.kernel for c in block.programs[0].calls] == [f"conv_f{dtype[-2:]}"]


def test_gradients_of_gradients() -> None:
    for layer in (layers.Conv1D(2, 2, activation="tanh", dtype="float64"), layers.Conv1DTranspose(2, 2, dtype="float64")):
        x = mw.tensor(numbers(1, 4, 2, dtype="float64"), requires_grad=True)
        layer(x)

        def penalty(x: Any, *weights: Any, layer: Any = layer) -> Any:
            (dx,) = mw.grad((layer(x) ** 3).sum(), [x], create_graph=True)
            return (dx**2).sum()

        mw.gradcheck(penalty, [x, *layer.weights])


def test_the_article_s_network_has_keras_s_shapes_and_counts() -> None:
    model = mw.Sequential([
        layers.Conv2D(32, (3, 3), activation="relu", input_shape=(28, 28, 1)), layers.MaxPooling2D((2, 2)),
        layers.Conv2D(64, (3, 3), activation="relu"), layers.MaxPooling2D((2, 2)), layers.Flatten(),
        layers.Dense(128, activation="relu"), layers.Dense(10, activation="softmax"),
    ])  # fmt: skip
    assert model.count_params() == 225_034
    assert [layer.output_shape for layer in model.layers[:5]] == [
        (None, 26, 26, 32), (None, 13, 13, 32), (None, 11, 11, 64), (None, 5, 5, 64), (None, 1600)
    ]  # fmt: skip


@in_c
def test_whole_numbers_are_cast_inside_the_program() -> None:
    model = mw.Sequential(
        [mw.Input((8, 8, 1)), layers.Rescaling(1 / 255), layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(2)]
    )
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1)).astype(np.uint8)
    model.fit(x, numbers(40, 2), epochs=2, batch_size=8, verbose=0)
    (replay,) = model._steps["fit"].programs
    assert "cast_uint8" in str(model.explain()) and replay is not None


def test_images_that_nobody_scaled_are_told_of_once() -> None:
    x = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 1)).astype(np.uint8)
    layer = layers.Conv2D(2, 3)
    with pytest.warns(UserWarning, match=r"whole numbers from 0 to 25\d for 'conv2d'.*Rescaling"):
        layer(x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer(x), layers.Conv2D(2, 3)(x // 128), layers.Conv2D(2, 3)(x / 255)
        mw.Sequential([layers.Rescaling(1 / 255), layers.Conv2D(2, 3)])(x)


WRONG: list[tuple[Any, tuple[int, ...], str]] = [
    (lambda: layers.Conv2D(2, 5), (1, 4, 8, 1), "no larger than the image"),
    (lambda: layers.Conv2D(0, 3), (1, 8, 8, 1), "`filters` to be a positive integer"),
    (lambda: layers.Conv2D(2, 0), (1, 8, 8, 1), "`kernel_size` to be an integer from 1"),
    (lambda: layers.Conv2D(2, (3, 3, 3)), (1, 8, 8, 1), "or 2 of them"),
    (lambda: layers.Conv2D(2, 3, strides=0), (1, 8, 8, 1), "`strides` to be an integer from 1"),
    (lambda: layers.Conv2D(2, 3, strides=2, dilation_rate=2), (1, 8, 8, 1), "either strides or dilation_rate"),
    (lambda: layers.Conv2D(2, 3, padding="full"), (1, 8, 8, 1), "`padding` out of"),
    (lambda: layers.Conv2D(2, 3, padding="causal"), (1, 8, 8, 1), "`padding` out of"),
    (lambda: layers.Conv2D(3, 3, groups=2), (1, 8, 8, 4), "`groups` to divide `filters`"),
    (lambda: layers.Conv2D(4, 3, groups=2), (1, 8, 8, 3), "`groups` to divide the channels"),
    (lambda: layers.Conv2D(2, 3, data_format="NHWC"), (1, 8, 8, 1), "`data_format`"),
    (lambda: layers.Conv2D(2, 3), (1, 8, 8), "inputs of shape .samples, height, width, channels."),
    (lambda: layers.Conv2D(2, 3), (1, 8, 8, 0), "positive"),
    (lambda: layers.Conv2DTranspose(2, 3, strides=2, output_padding=2), (1, 8, 8, 1), "`output_padding` less than"),
    (lambda: layers.DepthwiseConv2D(3, depth_multiplier=0), (1, 8, 8, 1), "`depth_multiplier` to be a positive"),
]


@pytest.mark.parametrize(("make", "shape", "message"), WRONG)
def test_what_cannot_be_is_said(make: Any, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()(np.zeros(shape, "float32"))


def test_strides_beyond_the_image_take_its_first_window() -> None:
    layer = layers.Conv2D(1, 2, strides=50, kernel_initializer="ones")
    assert layer(np.ones((1, 5, 5, 1), "float32")).tolist() == [[[[4.0]]]]


def test_a_layer_keeps_the_channels_that_it_was_built_for() -> None:
    layer = layers.Conv2D(2, 3)
    layer(np.zeros((1, 5, 5, 3), "float32"))
    with pytest.raises(ValueError, match="inputs with 3 channels"):
        layer(np.zeros((1, 5, 5, 4), "float32"))


@pytest.mark.parametrize("make", [layers.Conv1D, layers.Conv1DTranspose])
@pytest.mark.parametrize("dilation", [7, 10**6, 10**9])
def test_taps_that_never_meet_the_image_cost_nothing(make: Any, dilation: int, dtype: str, c_only: str) -> None:
    if make is layers.Conv1DTranspose and dilation > 7:
        pytest.skip("its result would be as large")
    layer = make(3, 3, padding="same", dilation_rate=dilation, use_bias=False, dtype=dtype)
    x = mw.tensor(numbers(2, 5, 4, dtype=dtype), requires_grad=True)
    z = layer(x)
    near = make(3, 3, padding="same", use_bias=False, dtype=dtype)
    near(x)
    kernel = layer.kernel.numpy() * [[[0.0]], [[1.0]], [[0.0]]]  # only the middle is left
    near.set_weights([kernel])
    np.testing.assert_allclose(z.numpy(), near(x).numpy(), rtol=1e-5, atol=1e-6)
    dx, dw = mw.grad((z * z).sum(), [x, layer.kernel])
    assert np.isfinite(dx.numpy()).all() and (dw.numpy()[[0, 2]] == 0).all() and (dw.numpy()[1] != 0).all()


def test_a_transposed_convolution_of_nothing_takes_no_time() -> None:
    z = mw.ops.conv_transpose(np.zeros((4, 0, 8, 3), "float32"), np.ones((2, 1, 2, 3), "float32"), strides=10**9)
    assert z.size == 0


def test_no_samples_and_bad_pixels() -> None:
    layer = layers.Conv2D(2, 3)
    assert layer(np.zeros((0, 5, 5, 1), "float32")).shape == (0, 3, 3, 2)
    x = np.zeros((1, 9, 9, 1), "float32")
    x[0, 0, 0, 0] = np.nan
    z = layer(x).numpy()
    assert np.isnan(z[0, 0, 0]).all() and np.isfinite(z[0, 1:, 1:]).all()
