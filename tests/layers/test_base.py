"""What every layer is: weights, parts, names, freezing."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import numpy as np
import pytest
from helpers import numbers, same_as_eager

import microweights as mw
from microweights.tree import leaves_of

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


# ---- as Keras's users expect it --------------------------------------------------------------------------------------


class Unnamed(layers.Layer):
    def build(self, input_shape: Any) -> None:
        self.a, self.b = self.add_weight((1,)), self.add_weight((1,))
        self.count = self.add_weight(dtype="int32")
        self.scale = self.add_weight(2, "ones", "float64", False)

    def call(self, x: mw.Tensor) -> mw.Tensor:
        return x * self.a + self.b


def test_weights_without_names_and_of_several_types() -> None:
    layer = Unnamed()
    assert layer(np.ones((1, 1))).shape == (1, 1)
    found = {name: (w.shape, w.dtype.name, w.requires_grad) for name, w in layer.named_weights().items()}
    assert found == {
        "weight": ((1,), "float32", True), "weight_1": ((1,), "float32", True), "weight_2": ((), "int32", False),
        "weight_3": ((2,), "float64", False),
    }  # fmt: skip
    assert layer.trainable_weights == layer.trainable_variables == [layer.a, layer.b]
    assert layer.non_trainable_weights == [layer.count, layer.scale] and layer.variables == layer.weights
    layer.trainable = True
    assert layer.trainable_weights == [layer.a, layer.b]


@pytest.mark.parametrize(
    ("options", "error"),
    [({"constraint": "max_norm"}, NotImplementedError), ({"aggregation": "mean"}, NotImplementedError),
     ({"overwrite_with_gradient": True}, NotImplementedError), ({"shape": "name"}, TypeError),
     ({"dtype": "complex64"}, TypeError)],
    ids=str,
)  # fmt: skip
def test_options_of_weights_that_are_refused(options: dict[str, Any], error: type[Exception]) -> None:
    layer = layers.Layer()
    with pytest.raises(error, match="Expected"):
        layer.add_weight(**{"shape": (1,), **options})
    assert layer.weights == []
    layer.add_weight((1,), autocast=False, aggregation="none", constraint=None)


@pytest.mark.parametrize(
    ("options", "error"),
    [({"kernel_constraint": "unit_norm"}, NotImplementedError), ({"bias_constraint": "unit_norm"}, NotImplementedError),
     ({"activity_regularizer": "l2"}, NotImplementedError), ({"dtype": "mixed_float16"}, ValueError), ({"name": 3}, TypeError),
     ({"input_dim": 0}, ValueError), ({"colour": "red"}, TypeError)],
    ids=str,
)  # fmt: skip
def test_options_of_layers_that_are_refused(options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        layers.Dense(2, **options)


def test_a_layer_is_built_by_hand_once() -> None:
    for layer in (layers.Dense(2), Scale(), Unnamed()):
        layer.build((1, 2))
        assert layer.built and (before := layer.weights)
        layer(np.ones((1, 2)))
        assert all(a is b for a, b in zip(before, layer.weights, strict=True))
        with pytest.raises(RuntimeError, match="which is built"):
            layer.build((1, 3))
        assert all(a is b for a, b in zip(before, layer.weights, strict=True))


@pytest.mark.parametrize("shape", [4, (), (4,), (None, None), (None, 0)])
def test_shapes_that_tell_too_little(shape: Any) -> None:
    layer = layers.Dense(2)
    with pytest.raises((TypeError, ValueError), match="Expected"):
        layer.build(shape)
    assert not layer.built and layer.weights == []


def test_a_build_by_hand_that_fails_makes_nothing() -> None:
    class Broken(Scale):
        def build(self, input_shape: tuple[int, ...]) -> None:
            super().build(input_shape)
            if input_shape[-1] == 3:
                raise ValueError("three")
            self.third = self.add_weight(name="third")

    layer = Broken()
    for _ in range(2):
        with pytest.raises(ValueError, match="three"):
            layer.build((1, 3))
        assert not layer.built and layer.weights == []
    layer.build((1, 2))
    assert list(layer.named_weights()) == ["factor", "offset", "third"]


def test_shapes_with_the_axis_of_samples() -> None:
    layer = layers.Dense(2)
    assert layer.input_shape is None and layer.output_shape is None
    layer(np.zeros((7, 5, 3)))
    assert layer.input_shape == (None, 5, 3) and layer.output_shape == (None, 5, 2)
    assert layers.Dense(2, input_shape=(3,)).input_shape == layers.Dense(2, input_dim=3).input_shape == (None, 3)


@pytest.mark.parametrize(
    ("layer", "given", "expected"),
    [(layers.Dense(3), (None, 5, 4), (None, 5, 3)), (layers.Flatten(), (7, 2, 3), (7, 6)), (Scale(), (None, 2), (None, 2)),
     (layers.Reshape((2, -1)), (None, 8), (None, 2, 4)), (layers.Dropout(0.5), (2, 3), (2, 3)), (Two(), (None, 4), (None, 1))],
    ids=str,
)  # fmt: skip
def test_output_shapes_that_are_asked_for(layer: Any, given: Any, expected: Any) -> None:
    mw.seed(3)
    expected_next = mw.random.normal(2).tolist()
    mw.seed(3)
    assert layer.compute_output_shape(given) == expected
    assert not layer.built and layer.weights == [] and layer.output_shape is None
    assert mw.random.normal(2).tolist() == expected_next


CONFIGURED = [
    layers.Dense(3, "relu", False, "he_normal", kernel_regularizer="l2", name="hidden", trainable=False, dtype="float64"),
    layers.Dense(3, mw.activations.swish, kernel_initializer=mw.initializers.RandomNormal(0.0, 0.5, 4), input_shape=(2,)),
    layers.Activation("gelu"), layers.Dropout(0.25, (None, 1), 7), layers.Flatten("channels_first"), layers.Reshape((3, -1)),
    layers.InputLayer((4,), 8, "int32", name="ids"), layers.Flatten(autocast=False),
]  # fmt: skip


@pytest.mark.parametrize("layer", CONFIGURED, ids=repr)
def test_a_layer_made_of_its_config(layer: Any) -> None:
    config = json.loads(json.dumps(layer.get_config()))
    again = type(layer).from_config(config)
    assert again.get_config() == config and again.name == layer.name and again.dtype == layer.dtype
    assert again.input_shape == layer.input_shape and again.trainable == layer.trainable and again.autocast == layer.autocast
    x = np.random.default_rng(0).normal(size=(8, 2)).astype(np.float32) if isinstance(layer, layers.Dense) else None
    if x is not None:
        layer(x), again(x)
        again.set_weights(layer.get_weights())
        np.testing.assert_array_equal(again(x).numpy(), layer(x).numpy())


def test_a_layer_of_ones_own_made_of_its_config() -> None:
    class Power(layers.Layer):
        def __init__(self, exponent: float, **options: Any) -> None:
            super().__init__(**options)
            self.exponent = exponent

        def call(self, x: mw.Tensor) -> mw.Tensor:
            return x**self.exponent

    again = Power.from_config(Power(3.0, name="cube").get_config())
    assert again.exponent == 3.0 and again.name == "cube" and again([[2.0]]).item() == 8

    class Forgetful(layers.Layer):
        def __init__(self, size: int) -> None:
            super().__init__()

    with pytest.raises(TypeError, match="Keep each argument under its name"):
        Forgetful(3).get_config()


@pytest.mark.parametrize("name", ["forward", "parameters", "zero_grad", "train", "eval", "state_dict", "to", "losses", "input"])
def test_names_of_other_libraries_are_told_of(name: str) -> None:
    for thing in (layers.Dense(1), mw.Sequential()):
        with pytest.raises(AttributeError, match=rf"has no attribute '{name}'\. [A-Z]"):
            getattr(thing, name)
        assert not hasattr(thing, name) and not hasattr(thing, "nonsense")


@pytest.mark.parametrize(("name", "hint"), [("kernel", "first call"), ("bias", "first call"), ("weight", "layer.kernel")])
def test_weights_that_are_not_there(name: str, hint: str) -> None:
    with pytest.raises(AttributeError, match=hint):
        getattr(layers.Dense(1), name)


def test_forward_is_call_here() -> None:
    class Torch(layers.Layer):
        def forward(self, x: mw.Tensor) -> mw.Tensor:
            return x

    with pytest.raises(NotImplementedError, match="Rename `forward` to `call`"):
        Torch()(np.ones((1, 1)))


def test_a_list_of_inputs_is_refused() -> None:
    a = mw.tensor(np.ones((2, 3)))
    with pytest.raises(TypeError, match="Expected one tensor"):
        layers.Dense(1)([a, a])
    assert layers.Dense(1)([[1.0, 2.0], [3.0, 4.0]]).shape == (2, 1)


def test_dropout_of_whole_rows_and_channels() -> None:
    z = layers.Dropout(0.5, noise_shape=(None, 1, None), seed=1)(np.ones((20, 3, 4)), training=True).numpy()
    assert (z == z[:, :1]).all() and set(z.ravel()) == {0.0, 2.0} and len({row.tobytes() for row in z}) > 3
    for wrong in ((None, 2, None), (None, None)):
        with pytest.raises(ValueError, match="`noise_shape` to fit"):
            layers.Dropout(0.5, wrong)(np.ones((20, 3, 4)), training=True)
    with pytest.raises(TypeError, match="`noise_shape` to be a tuple"):
        layers.Dropout(0.5, 3)


def test_flattening_with_channels_in_front() -> None:
    x = np.arange(12).reshape(1, 2, 2, 3)
    assert layers.Flatten("channels_first")(x).tolist() == x.transpose(0, 2, 3, 1).reshape(1, -1).tolist()
    assert layers.Flatten()(x).tolist() == x.reshape(1, -1).tolist()
    with pytest.raises(ValueError, match="`data_format`"):
        layers.Flatten("channels")


# ---- nests of tensors ------------------------------------------------------------------------------------------------


class Ends(NamedTuple):
    first: Any
    last: Any


class Attends(layers.Layer):
    """Takes several tensors and options, and notes what it is given."""

    def build(self, input_shape: Any) -> None:
        self.seen_shape = input_shape
        self.scale = self.add_weight(input_shape[-1:], "ones", name="scale")

    def call(self, query: Any, value: Any, *, training: bool = False, mask: Any = None, power: int = 1) -> Any:
        self.seen = training, mask, power
        return query * self.scale + value**power


class Mixes(layers.Layer):
    def build(self, input_shape: Any) -> None:
        self.seen_shape = input_shape
        self.dense, self.seen = layers.Dense(2), [None]

    def call(self, x: Any) -> Any:
        self.seen[0] = x
        return {"sum": x["a"] + x["b"][0], "parts": Ends(self.dense(x["a"]), [x["b"][1]])}


def test_several_tensors_and_options() -> None:
    q, v, mask = np.ones((2, 3)), np.full((2, 3), 2.0, np.float32), np.array([[True], [False]])
    layer = Attends()
    assert layer(q, v).tolist() == [[3.0] * 3] * 2
    assert layer.seen_shape == (2, 3) and layer.seen == (False, None, 1)
    assert layer(q, v, mask=mask, power=2, training=True).tolist() == [[5.0] * 3] * 2
    training, seen_mask, power = layer.seen
    assert training is True and power == 2 and isinstance(seen_mask, mw.Tensor) and seen_mask.dtype == bool
    assert layer(query=q, value=v).dtype == layer(q, value=v).dtype == np.float32
    assert layer.input_shape == layer.output_shape == (None, 3)
    with pytest.raises(TypeError, match=r"Expected an input of <Attends 'attends'>\. Received: none"):
        layer(value=v)
    with pytest.raises(TypeError, match="multiple values"):
        layer(q, v, value=v)


def test_training_by_position_and_in_layers_inside() -> None:
    class Outer(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Attends()

        def call(self, xs: Any, training: bool = False) -> Any:
            return self.inner(xs[0], xs[1])

    layer = Outer()
    x = np.ones((1, 2), np.float32)
    for told in (True, False):
        layer([x, x], told)
        assert layer.inner.seen[0] is told


def test_nests_go_in_and_come_out() -> None:
    layer = Mixes()
    given = {"a": np.ones((2, 3)), "b": (mw.tensor(np.full((2, 3), 2.0)), [[1, 2], [3, 4]])}
    z = layer(given)
    assert layer.seen_shape == {"a": (2, 3), "b": ((2, 3), (2, 2))}
    assert layer.seen[0]["a"].dtype == np.float32 and layer.seen[0]["b"][1].dtype == np.int64  # floats are cast, integers stay
    assert z["sum"].tolist() == [[3.0] * 3] * 2 and type(z["parts"]) is Ends and z["parts"].last[0].shape == (2, 2)
    assert layer.input_shape == {"a": (None, 3), "b": ((None, 3), (None, 2))}
    assert layer.output_shape == {"sum": (None, 3), "parts": Ends((None, 2), [(None, 2)])}
    assert layer.output_type["parts"].first == np.float32
    shape = {"a": (None, 5), "b": ((None, 5), (None, 2))}
    assert Mixes().compute_output_shape(shape) == {"sum": (None, 5), "parts": Ends((None, 2), [(None, 2)])}
    loss = z["sum"].sum() + z["parts"].first.sum()
    assert all(g.shape == w.shape for g, w in zip(mw.grad(loss, layer.weights), layer.weights, strict=True))


@pytest.mark.parametrize(
    ("x", "shapes"),
    [([1.0, 2.0], (2,)), ([np.float32(1), 2], (2,)), ([[1, 2], [3, 4]], (2, 2)), ([], (0,)), ([mw.tensor(1.0), 2.0], (2,)),
     ([np.ones(2), np.ones(3)], [(2,), (3,)]), ((np.ones((1, 2)), None), ((1, 2), None)), ([[1.0], np.ones(1)], [(1,), (1,)])],
    ids=str,
)  # fmt: skip
def test_lists_of_numbers_are_arrays_and_lists_of_arrays_are_several_inputs(x: Any, shapes: Any) -> None:
    class Looks(layers.Layer):
        def build(self, input_shape: Any) -> None:
            self.seen_shape = input_shape

        def call(self, x: Any) -> Any:
            return x

    layer = Looks()
    layer(x)
    assert layer.seen_shape == shapes


def test_layers_of_one_tensor_say_so() -> None:
    x = np.ones((2, 3), np.float32)
    for layer in (layers.Dense(2), layers.Dropout(0.5), layers.Flatten(), layers.Activation("relu"), layers.Reshape((3,))):
        for nest in ([x, x], {"a": x}):
            with pytest.raises(
                TypeError, match=r"Expected one tensor as the input of <\w+ '\w+'>\. Received: a \w+ of \d\. Join"
            ):
                layer(nest)


def test_every_tensor_of_a_nest_is_looked_at() -> None:
    from microweights.layers.watch import first_nonfinite, watched

    class Outer(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.mixes, self.attends = Mixes(), Attends()

        def call(self, x: Any) -> Any:
            return self.attends(self.mixes(x)["sum"], x["a"], power=1)

    layer, seen = Outer(), []
    given = {"a": mw.tensor(np.ones((2, 3))), "b": (mw.tensor(np.ones((2, 3))), mw.tensor(np.ones((2, 2))))}
    layer(given)
    with watched(layer, lambda part, t: seen.append((part.name, t.shape))):
        layer(given)
    assert seen == [("dense", (2, 2)), ("mixes", (2, 3)), ("mixes", (2, 2)), ("mixes", (2, 2)), ("attends", (2, 3))]
    given["b"][1][...] = np.inf
    assert first_nonfinite(layer, given, None) == "the input data"
    given["b"][1][...], given["a"][...], given["b"][0][...] = 1.0, 3e38, 3e38
    assert first_nonfinite(layer, given, {"y": None}) == "the output of layer 'dense'"


def test_nests_are_captured(c_only: str) -> None:
    layer = Mixes()
    a, b = numbers(4, 3), (numbers(4, 3, seed=1), numbers(4, 2, seed=2))
    layer({"a": a, "b": b})
    weights = layer.trainable_variables

    def step(a: Any, b: Any) -> Any:
        z = layer({"a": a, "b": b})
        return [z["sum"], *z["parts"].last, *mw.grad(z["parts"].first.square().sum(), weights)]

    same_as_eager(step, a, b)


def test_shapes_of_nests_are_keras_s(keras: Any) -> None:
    seen = []

    class Theirs(keras.layers.Layer):
        def build(self, input_shape: Any) -> None:
            seen.append(input_shape)
            self.built = True

        def call(self, x: Any, training: bool = False) -> Any:
            seen.append(training)
            return keras.tree.flatten(x)[0]

    class Ours(layers.Layer):
        def build(self, input_shape: Any) -> None:
            seen.append(input_shape)

        def call(self, x: Any, training: bool = False) -> Any:
            seen.append(training)
            return leaves_of(x)[0]

    x, y = np.ones((2, 3), np.float32), np.ones((2, 1, 4), np.float32)
    for nest in (x, [x, y], {"a": x, "b": [y]}):
        Theirs()(nest, training=True), Ours()(nest, training=True)
        theirs, ours = [seen[i : i + 2] for i in (0, 2)]
        assert theirs == ours
        seen.clear()
