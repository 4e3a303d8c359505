"""What every layer is: weights, parts, names, freezing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import microweights as mw

layers = mw.layers


class Scale(layers.Layer):
    def build(self, input_shape: tuple[int, ...]) -> None:
        self.factor = self.add_weight(input_shape[-1:], "ones", name="factor")
        self.offset = self.add_weight(input_shape[-1:], "zeros", name="offset", trainable=False)

    def call(self, x: mw.Tensor) -> mw.Tensor:
        return x * self.factor + self.offset


class Two(layers.Layer):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.one = layers.Dense(3)
        self.more = [layers.Dense(2), layers.Dropout(0.5), layers.Dense(1)]

    def call(self, x: mw.Tensor, training: bool = False) -> mw.Tensor:
        x = self.one(x)
        for part in self.more:
            x = part(x, training=training)
        return x


def test_a_layer_of_ones_own() -> None:
    layer = Scale()
    assert not layer.built and layer.weights == []
    x = mw.tensor([[1.0, 2.0]], requires_grad=True)
    assert layer(x).tolist() == [[1.0, 2.0]]
    assert list(layer.named_weights()) == ["factor", "offset"]
    assert layer.trainable_variables == [layer.factor] and layer.non_trainable_variables == [layer.offset]
    layer.set_weights([[2, 3], [1, 1]])
    assert layer(x).tolist() == [[3.0, 7.0]]


def test_layers_in_attributes_and_lists_belong_to_the_layer() -> None:
    layer = Two()
    layer(np.zeros((1, 4)))
    names = [f"{part}.{w}" for part in ("one", "more.0", "more.2") for w in ("kernel", "bias")]
    assert list(layer.named_weights()) == names
    assert layer.count_params() == 15 + 8 + 3
    assert [w.shape for w in layer.trainable_variables] == [(4, 3), (3,), (3, 2), (2,), (2, 1), (1,)]


def test_an_attribute_set_again_replaces_the_part() -> None:
    layer = Two()
    layer.one = layers.Dense(7)
    layer.more = [layers.Dense(5)]
    layer(np.zeros((1, 4)))
    assert layer.count_params() == 35 + 40
    layer.one = None
    assert layer.count_params() == 40


def test_layers_appended_to_a_list_belong_to_the_layer() -> None:
    layer = layers.Layer()
    layer.blocks = []
    layer.blocks.append(layers.Dense(3))
    layer.blocks[0](np.zeros((1, 4)))
    assert layer.count_params() == 15


@pytest.mark.parametrize("wrap", [lambda d: [[d]], lambda d: {"a": d}, lambda d: [{"a": [d]}]], ids=["list", "dict", "both"])
def test_layers_deep_in_lists_belong_to_the_layer(wrap: Any) -> None:
    layer, part = layers.Layer(), layers.Dense(3)
    layer.blocks = wrap(part)
    part(np.zeros((1, 4)))
    assert layer.count_params() == 15


def test_a_layer_used_twice_counts_once() -> None:
    layer = layers.Layer()
    layer.a = layers.Dense(2)
    layer.b = [layer.a]
    layer.a(np.zeros((1, 3)))
    assert layer.count_params() == 8 and list(layer.named_weights()) == ["a.kernel", "a.bias"]


def test_a_layer_used_twice_is_penalised_once() -> None:
    layer = layers.Layer()
    layer.a = layers.Dense(1, kernel_initializer="ones", kernel_regularizer="l2")
    layer.b = [layer.a]
    layer.a(np.zeros((1, 4)))
    penalty = layer.penalty()
    assert penalty is not None and penalty.item() == pytest.approx(0.04)


def test_freezing_reaches_all_parts_built_or_not() -> None:
    layer = Two()
    layer.trainable = False
    layer(np.zeros((1, 4)))
    assert layer.trainable_variables == [] and len(layer.non_trainable_variables) == 6
    layer.trainable = True
    assert len(layer.trainable_variables) == 6
    layer.one.trainable = False
    assert [w.shape for w in layer.trainable_variables] == [(3, 2), (2,), (2, 1), (1,)]
    assert layer.trainable and not layer.one.trainable


def test_born_frozen() -> None:
    layer = layers.Dense(2, trainable=False)
    z = layer(np.zeros((1, 3)))
    assert layer.trainable_variables == [] and not z.requires_grad


def test_thawing_leaves_fixed_weights_fixed() -> None:
    layer = Scale()
    layer(np.zeros((1, 2)))
    layer.trainable = False
    layer.trainable = True
    assert layer.trainable_variables == [layer.factor]


def test_penalties_are_summed_and_spare_frozen_weights() -> None:
    layer = layers.Dense(2, kernel_initializer="ones", bias_initializer="ones", kernel_regularizer="l2", bias_regularizer="l1")
    assert layer.penalty() is None
    layer(np.zeros((1, 3)))
    penalty = layer.penalty()
    assert penalty is not None and penalty.item() == pytest.approx(0.06 + 0.02)
    layer.trainable = False
    assert layer.penalty() is None


def test_names() -> None:
    assert Scale().name == "scale" and layers.Dense(1, name="exit").name == "exit"
    assert repr(layers.Dense(1, name="exit")) == "<Dense 'exit'>"


def test_weights_are_copied_out_and_in() -> None:
    layer = layers.Dense(2)
    layer(np.zeros((1, 3)))
    before = layer.get_weights()
    before[0][...] = 7
    assert not (layer.kernel.numpy() == 7).any()
    layer.set_weights(before)
    before[0][...] = 8
    assert (layer.kernel.numpy() == 7).all()


@pytest.mark.parametrize(
    "values",
    [
        [],
        [np.zeros((3, 2))],
        [np.zeros((3, 2)), np.zeros(3)],
        [np.zeros((2, 3)), np.zeros(2)],
        [np.zeros((3, 2)), np.zeros((1, 2))],
        [np.zeros((3, 2)), 0.0],
        [np.zeros((3, 2)), ["a", "b"]],
        [np.zeros((3, 2)), [object(), 1]],
        [np.zeros((3, 2)), [[1], [1, 2]]],
    ],
    ids=["none", "one", "size", "transposed", "broadcast", "scalar", "strings", "objects", "ragged"],
)
def test_weights_that_do_not_fit_change_nothing(values: list[Any]) -> None:
    layer = layers.Dense(2, kernel_initializer="ones")
    layer(np.zeros((1, 3)))
    with pytest.raises((ValueError, TypeError), match="Expected"):
        layer.set_weights(values)
    assert (layer.kernel.numpy() == 1).all()


def test_weights_take_other_types() -> None:
    layer = layers.Dense(1, dtype="float64")
    layer(np.zeros((1, 2)))
    layer.set_weights([np.array([[1], [2]], ">i2"), np.array([0.5], "float16")])
    assert layer.kernel.dtype == np.float64 and layer([[1.0, 1.0]]).tolist() == [[3.5]]


def test_two_weights_of_one_name_are_refused() -> None:
    layer = layers.Layer()
    layer.add_weight((1,), name="w")
    with pytest.raises(ValueError, match="'w' twice"):
        layer.add_weight((1,), name="w")


def test_a_build_that_failed_says_the_same_again() -> None:
    class Broken(Scale):
        def build(self, input_shape: tuple[int, ...]) -> None:
            super().build(input_shape)
            self.add_weight((1,), "no_such_thing", name="third")

    layer = Broken()
    for _ in range(2):
        with pytest.raises(ValueError, match="'no_such_thing'"):
            layer(np.zeros((1, 2)))


def test_a_layer_without_call_says_so() -> None:
    with pytest.raises(NotImplementedError, match="Define call"):
        layers.Layer()(np.zeros((1, 2)))


def test_inputs_are_cast_to_the_type_of_the_layer() -> None:
    assert layers.Dense(1)(np.zeros((1, 2))).dtype == np.float32
    assert layers.Dense(1, dtype="float64")(np.zeros((1, 2), "float32")).dtype == np.float64
    assert layers.Dense(1, dtype="float64")(np.zeros((1, 2), "int8")).dtype == np.float64
    assert layers.Activation("relu", dtype="float64")(np.zeros((1, 2), "uint8")).dtype == np.float64
    assert layers.Dropout(0.5)(np.ones((1, 2), "int32"), training=True).dtype == np.float32
    for layer in (layers.Flatten(), layers.Reshape((2, 1)), mw.Sequential([layers.Flatten()])):
        assert layer(np.zeros((1, 2), "int8")).dtype == np.int8
    assert layers.Flatten(autocast=False)(np.zeros((1, 2))).dtype == np.float64
    assert layers.Flatten()(np.zeros((1, 2))).dtype == np.float32
