"""The layers against Keras's, and against numbers computed by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import microweights as mw
from microweights.activations import NAMED
from microweights.kernels import door

layers = mw.layers
TOLERANCE = {"float32": {"rtol": 3e-5, "atol": 3e-5}, "float64": {"rtol": 1e-11, "atol": 1e-11}}
DENSE_TOLERANCE = {
    **TOLERANCE,
    "float64": {"rtol": 5e-6, "atol": 5e-6},
}  # Keras on torch multiplies matrices in float32
SHAPES = [(5, 4), (1, 4), (3, 2, 4), (2, 3, 2, 4)]


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def forward_and_gradients(layer: Any, x: np.ndarray, dz: np.ndarray) -> list[np.ndarray]:
    """The output, then the gradients of the input and of each weight."""
    t = mw.tensor(x, requires_grad=True)
    z = layer(t)
    gradients = mw.grad(z, [t, *layer.trainable_variables], gradient=mw.tensor(dz, z.dtype))
    return [z.numpy(), *(g.numpy() for g in gradients)]


def keras_forward_and_gradients(layer: Any, x: np.ndarray, dz: np.ndarray) -> list[np.ndarray]:
    import torch

    t = torch.tensor(x, requires_grad=True)
    z = layer(t)
    gradients = torch.autograd.grad(z, [t, *(w.value for w in layer.trainable_weights)], torch.tensor(dz))
    return [a.detach().numpy() for a in (z, *gradients)]


# ---- Dense -----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("setting")
@pytest.mark.parametrize("activation", NAMED)
def test_dense_is_keras_dense(keras: Any, dtype: str, activation: str) -> None:
    for shape in SHAPES:
        for use_bias in (True, False):
            ours = layers.Dense(3, activation, use_bias, dtype=dtype)
            theirs = keras.layers.Dense(3, activation, use_bias, dtype="float64")
            theirs.build(shape)
            weights = [numbers(4, 3, seed=1), numbers(3, seed=2)][: 1 + use_bias]
            ours(np.zeros(shape))
            ours.set_weights(weights)
            theirs.set_weights(weights)
            x, dz = numbers(*shape).astype(dtype), numbers(*shape[:-1], 3, seed=3)
            got = forward_and_gradients(ours, x, dz.astype(dtype))
            expected = keras_forward_and_gradients(theirs, x.astype(float), dz)
            assert [a.dtype for a in got] == [np.dtype(dtype)] * len(got)
            for a, b in zip(got, expected, strict=True):
                np.testing.assert_allclose(a, b, **DENSE_TOLERANCE[dtype], err_msg=f"{shape}, bias {use_bias}")


def test_dense_by_hand(setting: str, dtype: str) -> None:
    layer = layers.Dense(2, "relu", dtype=dtype)
    layer([[0.0, 0.0]])
    layer.set_weights([[[1, 2], [3, 4]], [0.5, -20]])
    z, dx, dw, db = forward_and_gradients(layer, np.array([[1, 1], [0, 10]], dtype), np.ones((2, 2)))
    assert z.tolist() == [[4.5, 0], [30.5, 20]]
    assert dx.tolist() == [[1, 3], [3, 7]]
    assert dw.tolist() == [[1, 0], [11, 10]]
    assert db.tolist() == [2, 1]


def test_dense_three_axes_are_rows_of_the_last() -> None:
    layer = layers.Dense(2, "softmax")
    x = numbers(3, 5, 4).astype("float32")
    np.testing.assert_array_equal(layer(x).numpy().reshape(15, 2), layer(x.reshape(15, 4)).numpy())
    assert layer.input_shape == (None, 5, 4) and layer.output_shape == (None, 5, 2)


def test_dense_starts_as_keras_does() -> None:
    layer = layers.Dense(50)
    layer(np.zeros((1, 100)))
    assert layer.kernel.shape == (100, 50) and layer.bias is not None and not layer.bias.numpy().any()
    limit = np.sqrt(6 / 150)
    assert 0.9 * limit < np.abs(layer.kernel.numpy()).max() <= limit
    assert layer.count_params() == 5050


def test_dense_with_a_function_of_ones_own() -> None:
    def twice(x: mw.Tensor) -> mw.Tensor:
        return x * 2

    layer = layers.Dense(1, twice, kernel_initializer="ones")
    assert layer([[1.0, 2.0]]).tolist() == [[6.0]]
    assert layer.activation is twice


def test_a_function_that_is_called_relu_is_not_taken_for_relu() -> None:
    def relu(x: mw.Tensor) -> mw.Tensor:
        return x * 100

    assert layers.Dense(1, relu, kernel_initializer="ones")([[-1.0]]).tolist() == [[-100.0]]


@pytest.mark.parametrize("units", [0, -3, 1.5, "ten", None, True, [3]])
def test_dense_refuses_units(units: Any) -> None:
    with pytest.raises(ValueError, match="`units` to be a positive integer"):
        layers.Dense(units)


def test_dense_accepts_numpy_units() -> None:
    assert layers.Dense(np.int32(3)).units == 3


def test_dense_refuses_another_width() -> None:
    layer = layers.Dense(2, name="narrow")
    layer(np.zeros((1, 4)))
    with pytest.raises(ValueError, match=r"\(samples, \.\.\., 4\) for 'narrow'"):
        layer(np.zeros((1, 5)))


def test_dense_refuses_a_vector() -> None:
    layer = layers.Dense(2)
    with pytest.raises(ValueError, match=r"reshape\(-1, 1\)"):
        layer(np.zeros(4))


def test_dense_refuses_a_vector_when_built() -> None:
    layer = layers.Dense(2)
    layer(np.zeros((1, 4)))
    with pytest.raises(ValueError, match=r"reshape\(-1, 1\)"):
        layer(np.zeros(4))


@pytest.mark.parametrize("option", ["activation", "kernel_initializer", "bias_initializer", "kernel_regularizer"])
def test_dense_refuses_unknown_names(option: str) -> None:
    with pytest.raises(ValueError, match="'no_such_thing'"):
        layers.Dense(2, **{option: "no_such_thing"})(np.zeros((1, 3)))


@pytest.mark.parametrize("option", ["kernel_initializer", "bias_initializer", "kernel_regularizer", "bias_regularizer"])
def test_dense_refuses_unknown_names_at_once(option: str) -> None:
    with pytest.raises(ValueError, match="'no_such_thing'"):
        layers.Dense(2, **{option: "no_such_thing"})


@pytest.mark.parametrize("dtype", ["int32", "float16", "complex64", "bool"])
def test_layers_refuse_types(dtype: str) -> None:
    with pytest.raises(ValueError, match="float32 or float64"):
        layers.Dense(2, dtype=dtype)


@pytest.mark.parametrize(
    "x", [np.array(["a", "b"]), np.array([object()]), [[1.0, 2.0], [3.0]], np.zeros((2, 2), complex), None, "text"],
    ids=["strings", "objects", "ragged", "complex", "None", "str"],
)  # fmt: skip
def test_dense_refuses_what_is_no_array_of_numbers(x: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="Expected"):
        layers.Dense(2)(x)


def awkward_arrays() -> dict[str, np.ndarray]:
    """The same numbers in every way an array may hold them."""
    plain = np.arange(12, dtype="float32").reshape(3, 4)
    read_only = plain.copy()
    read_only.flags.writeable = False
    wide = np.zeros((6, 8), "float32")
    wide[::2, ::2] = plain
    return {
        "fortran": np.asfortranarray(plain),
        "strided": wide[::2, ::2],
        "reversed": plain[::-1, ::-1].copy()[::-1, ::-1],
        "read-only": read_only,
        "byte-swapped": plain.astype(">f4"),
        "float64": plain.astype(float),
        "float16": plain.astype("float16"),
        "int8": plain.astype("int8"),
        "uint64": plain.astype("uint64"),
        "list": plain.tolist(),
        "unaligned": np.frombuffer(b"x" + plain.tobytes(), "uint8")[1:].view("float32").reshape(3, 4),
    }


@pytest.mark.usefixtures("setting")
@pytest.mark.parametrize("kind", awkward_arrays())
def test_dense_takes_numbers_however_they_lie(kind: str) -> None:
    layer = layers.Dense(2, kernel_initializer="ones")
    assert layer(awkward_arrays()[kind]).tolist() == [[6.0, 6.0], [22.0, 22.0], [38.0, 38.0]]


@pytest.mark.parametrize("shape", [(0, 4), (3, 0, 4)])
def test_dense_of_no_samples(setting: str, shape: tuple[int, ...]) -> None:
    layer = layers.Dense(2, "softmax")
    z, dx, dw, db = forward_and_gradients(layer, np.zeros(shape, "float32"), np.zeros((*shape[:-1], 2), "float32"))
    assert z.shape == (*shape[:-1], 2) and dx.shape == shape
    assert not dw.any() and not db.any()


def test_frozen_weights_get_no_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A frozen kernel costs no matrix product; neither does the gradient of the input data."""
    made: list[list[tuple[int, ...]]] = []
    dense_grad = door.dense_grad

    def watched(*arguments: Any) -> Any:
        gradients = dense_grad(*arguments)
        made.append([g.shape for g in gradients if g is not None])
        return gradients

    monkeypatch.setattr(door, "dense_grad", watched)
    first, second = layers.Dense(5), layers.Dense(3)
    second(first(np.ones((2, 4))))
    for frozen, gradients in ((False, [[(2, 5), (5, 3), (3,)], [(4, 5), (5,)]]), (True, [[(5, 3), (3,)]])):
        first.trainable = not frozen
        made.clear()
        z = second(first(np.ones((2, 4))))
        mw.grad(z.square().sum(), first.trainable_variables + second.trainable_variables)
        assert made == gradients


# ---- the others ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("setting")
@pytest.mark.parametrize("activation", NAMED)
def test_activation_is_keras_activation(keras: Any, dtype: str, activation: str) -> None:
    x, dz = 2 * numbers(3, 5).astype(dtype), numbers(3, 5, seed=1)
    got = forward_and_gradients(layers.Activation(activation, dtype=dtype), x, dz.astype(dtype))
    theirs = keras.layers.Activation(activation, dtype="float64")
    for a, b in zip(got, keras_forward_and_gradients(theirs, x.astype(float), dz), strict=True):
        # Keras on torch has 1/6 in float32
        np.testing.assert_allclose(a, b, **(DENSE_TOLERANCE if activation.startswith("hard_s") else TOLERANCE)[dtype])


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_drops_its_rate_and_keeps_the_mean(setting: str, dtype: str, rate: float) -> None:
    n = 40_000
    z = layers.Dropout(rate, seed=3, dtype=dtype)(np.ones((200, n // 200)), training=True).numpy()
    assert z.dtype == dtype
    kept = z[z != 0]
    np.testing.assert_allclose(kept, 1 / (1 - rate), rtol=1e-6)
    assert abs(z.size - kept.size - rate * n) < 5 * np.sqrt(n * rate * (1 - rate))
    assert abs(z.mean() - 1) < 5 * np.sqrt(rate / (1 - rate) / n)


def test_dropout_is_the_identity_outside_training() -> None:
    x = mw.tensor(numbers(3, 4), "float32")
    for training in (False, True):
        assert layers.Dropout(0.0)(x, training=training) is x
    assert layers.Dropout(0.7)(x) is x


def test_dropout_passes_gradients_where_it_passes_values() -> None:
    x = mw.tensor(np.ones((20, 20), "float32"), requires_grad=True)
    z = layers.Dropout(0.5, seed=0)(x, training=True)
    np.testing.assert_array_equal(mw.grad(z.sum(), x).numpy(), z.numpy())


def test_dropout_draws_anew_and_follows_its_seed() -> None:
    x = np.ones((10, 10), "float32")

    def draws(layer: Any) -> list[list[float]]:
        return [layer(x, training=True).tolist() for _ in range(2)]

    one = draws(layers.Dropout(0.5, seed=1))
    assert one[0] != one[1]
    mw.seed(5)
    assert one == draws(layers.Dropout(0.5, seed=1)) != draws(layers.Dropout(0.5, seed=2))
    mw.seed(5)
    common = draws(layers.Dropout(0.5))
    mw.seed(5)
    assert draws(layers.Dropout(0.5)) == common


@pytest.mark.parametrize("rate", [-0.1, 1, 1.5, float("nan"), "0.5", True])
def test_dropout_refuses_rates(rate: Any) -> None:
    with pytest.raises(ValueError, match="`rate` from 0 to below 1"):
        layers.Dropout(rate)


@pytest.mark.parametrize("rate", [None, [0.5]])
def test_dropout_explains_what_is_no_number(rate: Any) -> None:
    with pytest.raises(ValueError, match="`rate` from 0 to below 1"):
        layers.Dropout(rate)


@pytest.mark.parametrize("shape", [(3,), (3, 4), (3, 4, 5), (2, 1, 3, 2), (0, 4, 5)])
def test_flatten(shape: tuple[int, ...]) -> None:
    x = np.arange(np.prod(shape), dtype="float32").reshape(shape)
    z, dx = forward_and_gradients(layers.Flatten(), x, x.reshape(shape[0], np.prod(shape[1:], dtype=int)))
    np.testing.assert_array_equal(z, x.reshape(shape[0], np.prod(shape[1:], dtype=int)))
    np.testing.assert_array_equal(dx, x)


def test_flatten_refuses_a_scalar() -> None:
    with pytest.raises(ValueError, match="axis of samples"):
        layers.Flatten()(1.0)


@pytest.mark.parametrize("target", [(12,), (3, 4), (-1, 2), (2, -1, 3), (1, 12, 1)])
def test_reshape_is_keras_reshape(keras: Any, target: tuple[int, ...]) -> None:
    x = np.arange(24.0).reshape(2, 6, 2)
    expected = keras.layers.Reshape(target)(x).detach().cpu().numpy()
    z, dx = forward_and_gradients(layers.Reshape(target, dtype="float64"), x, expected)
    np.testing.assert_array_equal(z, expected)
    np.testing.assert_array_equal(dx, x)


@pytest.mark.parametrize(("target", "shape"), [((3, -1), (2, 3, 4)), ((4, 3), (2, 4, 3)), ((-1,), (2, 12))])
def test_reshape_by_hand(target: tuple[int, ...], shape: tuple[int, ...]) -> None:
    x = np.arange(24.0).reshape(2, 3, 4)
    assert layers.Reshape(target)(x).tolist() == x.reshape(shape).tolist()
    assert layers.Reshape(target)(x[:0]).shape == (0, *shape[1:])


@pytest.mark.parametrize("target", [(-1, -1), (0,), (-2,), (2, "a"), (None,)])
def test_reshape_refuses(target: Any) -> None:
    with pytest.raises(ValueError, match="`target_shape`"):
        layers.Reshape(target)


@pytest.mark.parametrize("target", [(7,), (5, -1)])
def test_reshape_refuses_what_does_not_fit(target: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="Expected a shape"):
        layers.Reshape(target)(np.zeros((2, 12)))


def test_input_tells_a_shape() -> None:
    model = mw.Sequential([mw.Input((6,)), layers.Dense(2)])
    assert model.layers[0].built and model.count_params() == 14
    assert mw.Input is layers.Input
    assert layers.Input(6).shape == layers.InputLayer(6).input_shape == (None, 6)
    assert layers.Input((6, 2), 3).shape == layers.InputLayer(batch_shape=(3, 6, 2)).input_shape == (3, 6, 2)
    assert layers.InputLayer(input_shape=(6,)).output_shape == (None, 6)
    assert layers.Input((None, 2)).shape == (None, None, 2)
    with pytest.raises(ValueError, match="the shape of one sample"):
        layers.Input()
    model.add(mw.Sequential([layers.InputLayer((2,)), layers.Dense(1)]))
    assert model.output_shape == (None, 1)


@pytest.mark.parametrize("shape", [(0,), (-1,), (2.5,), "ab", (True, "x"), object()])
def test_input_refuses(shape: Any) -> None:
    with pytest.raises(ValueError, match="`input_shape` to be a tuple of positive integers"):
        layers.Input(shape)


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", None])
def test_an_activation_that_is_set_later(activation: str | None, setting: str) -> None:
    x = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    model = mw.Sequential([mw.Input((3,)), mw.layers.Dense(2)])
    for _ in range(4):
        plain = model.predict(x)
    model.layers[-1].activation = activation
    for _ in range(4):
        found = model.predict(x)
    expected = plain if activation is None else getattr(mw.tensor(plain), activation)().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_function_that_is_called_as_an_activation_is(setting: str) -> None:
    def linear(x: mw.Tensor) -> mw.Tensor:
        return x * 2

    layer = mw.layers.Dense(2, activation=linear, kernel_initializer="ones")
    assert layer(mw.tensor([[1.0, 2.0]])).tolist() == [[6.0, 6.0]]
