"""Networks written down with symbols: Keras's numbers, shapes, names and order of weights; copies, cuts, errors, programs."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import numbers

import microweights as mw
from microweights.models.functional import in_keras_order
from microweights.tree import leaves_of, map_structure

layers = mw.layers


# ---- the same network here and in Keras ------------------------------------------------------------------------------


def residual(lib: Any) -> Any:
    x = lib.Input((4,), name="x")
    h = lib.layers.Dense(4, "relu", name="h")(x)
    z = lib.layers.Add(name="sum")([x, h])
    return lib.Model(x, lib.layers.Dense(2, name="y")(z), name="residual")


def branches(lib: Any) -> Any:
    """Branches of different depths, which shows the order of the layers."""
    a, b = lib.Input((3,), name="a"), lib.Input((5,), name="b")
    deep = lib.layers.Dense(4, name="p")(a)
    deep = lib.layers.Dense(4, "tanh", name="q")(deep)
    flat = lib.layers.Dense(4, name="r")(b)
    z = lib.layers.Concatenate(name="c")([flat, deep])
    late = lib.layers.Dense(2, name="s")(b)
    return lib.Model([a, b], [lib.layers.Dense(1, name="u")(z), late])


def shared(lib: Any) -> Any:
    a, b = lib.Input((3,), name="a"), lib.Input((3,), name="b")
    dense, last = lib.layers.Dense(3, "tanh", name="shared"), lib.layers.Dense(1, name="last")
    return lib.Model({"a": a, "b": b}, last(lib.layers.Multiply(name="m")([dense(dense(a)), dense(b)])))


def nested(lib: Any) -> Any:
    inner_x = lib.Input((4,), name="inner_x")
    inner = lib.Model(inner_x, lib.layers.Dense(3, "relu", name="d")(inner_x), name="inner")
    row = lib.Sequential([lib.Input((3,), name="row_x"), lib.layers.Dense(3, name="e")], name="row")
    x = lib.Input((4,), name="x")
    y = lib.layers.Average(name="mean")([row(inner(x)), inner(x)])
    return lib.Model(x, {"one": y, "all": lib.layers.Dense(2, name="f")(y)}, name="outer")


def dicts(lib: Any) -> Any:
    z, a = lib.Input((2,), name="z"), lib.Input((3,), name="a")
    p, q = lib.layers.Dense(2, name="p")(z), lib.layers.Dense(2, name="q")(a)
    return lib.Model({"z": z, "a": a}, {"z": p, "a": lib.layers.Subtract(name="s")([p, q])})


def unused(lib: Any) -> Any:
    a, b = lib.Input((2,), name="a"), lib.Input((3,), name="b")
    return lib.Model([a, b], [lib.layers.Dense(2, name="p")(a)])


def sequences(lib: Any) -> Any:
    x = lib.Input((None, 3), name="x")
    h = lib.layers.Dense(2, "relu", name="h")(x)
    return lib.Model(x, lib.layers.Dot(2, name="d")([h, h]))


def operators(lib: Any) -> Any:
    x = lib.Input((4,), name="x")
    y = lib.layers.Dense(4, name="h")(x)
    z = (x + y) * 2 - 1 / (1 + abs(y)) + (-x) ** 2
    z = z[:, :3] @ np.ones((3, 2), np.float32)
    return lib.Model(x, z)


NETWORKS: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "residual": (residual, numbers(5, 4)),
    "branches": (branches, [numbers(5, 3), numbers(5, 5, seed=1)]),
    "shared": (shared, {"a": numbers(5, 3), "b": numbers(5, 3, seed=1)}),
    "nested": (nested, numbers(5, 4)),
    "dicts": (dicts, {"z": numbers(5, 2), "a": numbers(5, 3, seed=1)}),
    "unused": (unused, [numbers(5, 2), numbers(5, 3)]),
    "sequences": (sequences, numbers(5, 7, 3)),
    "operators": (operators, numbers(5, 4)),
}


def names_and_shapes(model: Any) -> list[Any]:
    return [(layer.name, [tuple(w.shape) for w in layer.weights]) for layer in model.layers]


def same(found: Any, expected: Any) -> None:
    for a, b in zip(in_keras_order(found), in_keras_order(expected), strict=True):
        b = b.detach().numpy() if hasattr(b, "detach") else np.asarray(b)  # Keras may run on torch
        np.testing.assert_allclose(a.numpy(), b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_keras_s(name: str, keras: Any, setting: str) -> None:
    build, x = NETWORKS[name]
    ours, theirs = build(mw), build(keras)
    assert names_and_shapes(ours) == names_and_shapes(theirs)
    assert [w.shape for w in ours.weights] == [tuple(w.shape) for w in theirs.weights]
    ours.set_weights(theirs.get_weights())
    same(ours(x), theirs(x))
    assert ours.input_shape == theirs.input_shape and ours.output_shape == theirs.output_shape
    assert [s.shape for s in ours.inputs] == [s.shape for s in theirs.inputs]
    assert [s.shape for s in ours.outputs] == [s.shape for s in theirs.outputs]
    assert ours.count_params() == theirs.count_params()
    for layer in theirs.layers:
        mine = ours.get_layer(layer.name)
        assert map_structure(lambda s: s.shape, mine.output) == keras.tree.map_structure(lambda s: s.shape, layer.output)


@pytest.mark.parametrize("name", NETWORKS)
def test_copies_compute_the_same_and_have_symbols_of_their_own(name: str, tmp_path: Path) -> None:
    build, x = NETWORKS[name]
    model = build(mw)
    expected = leaves_of(model(x))
    config = json.loads(json.dumps(model.get_config()))
    made = mw.Model.from_config(config)
    assert made.get_config() == config and made.name == model.name
    assert list(made.named_weights()) == list(model.named_weights())
    model.save_weights(tmp_path / "w")
    made.load_weights(tmp_path / "w")
    for again in (made, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        found = leaves_of(again(x))
        assert [t.numpy().tobytes() for t in found] == [t.numpy().tobytes() for t in expected]
        assert [layer.name for layer in again.layers] == [layer.name for layer in model.layers]
        assert not {id(w) for w in again.weights} & {id(w) for w in model.weights}
        cut = mw.Model(again.input, again.outputs[-1])
        same(cut(x), leaves_of({"": expected[-1] if name not in ("nested", "dicts") else model(x)[_last(again)]}))


def _last(model: mw.Model) -> str:
    return next(key for key, s in model.output.items() if s is model.outputs[-1])


def test_names_are_numbered_as_written_and_shapes_are_known() -> None:
    x = mw.Input((4,))
    a, b = layers.Dense(3)(x), layers.Dense(2)(x)
    y = layers.Dense(1)(mw.concatenate([b, a], axis=-1))
    model = mw.Model(x, y)
    assert [layer.name for layer in model.layers] == ["input_layer", "dense_1", "dense", "dense_2"]
    assert list(model.named_weights())[:2] == ["dense_1.kernel", "dense_1.bias"]
    assert repr([x, y]) == "[<Symbol 'input_layer' (None, 4)>, <Symbol 'dense_2' (None, 1)>]"
    assert x.dtype == np.float32 and x.ndim == 2 and model.built and model.input is x and model.output is y
    ids = mw.Input((), dtype="int32", batch_size=8, name="ids")
    assert (ids.shape, ids.dtype, ids.name) == ((8,), np.int32, "ids")


def test_layers_of_the_same_name() -> None:
    x = mw.Input((4,))
    with pytest.raises(ValueError, match=r"Expected layers of different names\. Received: 'd' twice\."):
        mw.Model(x, layers.Dense(1, name="d")(layers.Dense(1, name="d")(x)))
    one, two = (mw.Model(x, layers.Dense(2)(x)) for _ in range(2))  # both have named their layer `dense`
    both = mw.Model(x, one.output + two.output)
    assert list(both.named_weights()) == ["dense.kernel", "dense.bias", "dense_1.kernel", "dense_1.bias"]
    assert both.get_layer("dense_1") is two.layers[1]


# ---- functions, methods and operators of symbols ---------------------------------------------------------------------

FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "concatenate": lambda x: mw.concatenate([x, x * 2], axis=-1),
    "stack": lambda x: mw.stack([x, x], axis=1),
    "unstack": lambda x: mw.unstack(x, axis=1)[0] * mw.unstack(x, axis=1)[5],
    "split": lambda x: mw.maximum(*mw.split(x, 2, axis=1)) + mw.split(x, [3], axis=1)[1],
    "where": lambda x: mw.where(x > 0, x, 0.0),
    "maximum": lambda x: mw.maximum(0.5, x),
    "minimum": lambda x: mw.minimum(x, x.mean(axis=-1, keepdims=True)),
    "pad": lambda x: mw.pad(x, [(0, 0), (1, 2)]),
    "activation": lambda x: mw.activations.leaky_relu(x, negative_slope=0.1),
    "relu": lambda x: mw.activations.relu(x),
    "reshape": lambda x: x.reshape(-1, 2, 3),
    "transpose": lambda x: x.reshape(-1, 2, 3).transpose(0, 2, 1),
    "index": lambda x: x[:, [0, 2]] + x[:, None, 1] * x[..., -1:],
    "strides": lambda x: x[:, ::2],
    "softmax": lambda x: x.softmax(),
    "clip": lambda x: x.clip(0, 0.5).astype("float64"),
    "array on the left": lambda x: np.arange(6, dtype=np.float32) - x,
    "array on the right": lambda x: x / np.arange(1, 7, dtype=np.float32),
    "tensor on the right": lambda x: x * mw.tensor([[2.0]]),
    "number on the left": lambda x: 2.0 - x,
    "all samples": lambda x: x - x.mean(axis=0),
    "matmul": lambda x: x @ x.T,
    "equal": lambda x: mw.where(x == 0, 1.0, x),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_symbols(name: str, setting: str) -> None:
    function, data = FUNCTIONS[name], numbers(4, 6)
    x = mw.Input((6,))
    symbol = function(x)
    model = mw.Model(x, symbol)
    expected = function(mw.tensor(data))
    found = model(data)
    assert found.numpy().tobytes() == expected.numpy().tobytes() and found.dtype == symbol.dtype
    assert len(symbol.shape) == found.ndim and all(m in (None, n) for m, n in zip(symbol.shape, found.shape))
    again = mw.Model.from_config(json.loads(json.dumps(model.get_config())))
    for other in (again, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert other(data).numpy().tobytes() == expected.numpy().tobytes()


def test_which_sizes_are_known() -> None:
    x, s = mw.Input((6,)), mw.Input((None, 3))
    assert (x @ x.T).shape == (None, None) and x.mean(axis=0).shape == (6,) and x.T.shape == (6, None)
    assert x[0].shape == (6,) and x.sum().shape == () and s.mean(axis=1).shape == (None, 3)
    assert layers.Flatten()(s).shape == (None, None) and layers.Dense(2)(s).shape == (None, None, 2)
    assert s[:, :5].shape == (None, 5, 3) and mw.concatenate([s, s], axis=1).shape == (None, None, 3)
    fixed = mw.Input((3,), batch_size=8)
    assert layers.Dense(2)(fixed).shape == (8, 2) and (fixed * 2).shape == (8, 3)


@pytest.mark.parametrize(
    "use",
    [float, int, bool, len, list, np.asarray, np.exp, lambda x: np.asarray([x, x]), lambda x: 1 if x else 0, mw.tensor,
     lambda x: mw.losses.MeanSquaredError()(x, x), lambda x: mw.tensor([[1.0]]) + x],
)  # fmt: skip
def test_a_symbol_has_no_numbers(use: Any) -> None:
    x = layers.Dense(2, name="d")(mw.Input((2,)))
    with pytest.raises(TypeError, match=r"Expected numbers\. Received: <Symbol 'd' \(None, 2\)>, .*call\(x\) of a layer"):
        use(x)


def test_attributes_that_symbols_do_not_have() -> None:
    x = mw.Input((2,))
    with pytest.raises(AttributeError, match=r"'Symbol' object has no attribute 'numpy'\. Use operators"):
        x.numpy()
    with pytest.raises(AttributeError, match=r"no attribute 'unsqueeze'\. Write x\[:, None\]"):
        x.unsqueeze(1)
    assert not hasattr(x, "nonsense")


# ---- layers on symbols -----------------------------------------------------------------------------------------------


def test_layers_with_several_inputs_options_and_results() -> None:
    class Splits(layers.Layer):
        def call(self, x: Any, *, other: Any = None, training: bool = False, factor: float = 1.0) -> Any:
            return {
                "left": x[:, :2] * factor,
                "right": [x[:, 2:] + (0 if other is None else other)],
                "was": x * float(training),
            }

    x, y = mw.Input((4,), name="x"), mw.Input((2,), name="y")
    layer = Splits()
    z = layer(x, other=y, factor=3.0)
    assert z["left"].shape == (None, 2) and z["right"][0].index == 1
    assert layer.input[0] is x and layer.input[1] is y
    model = mw.Model([x, y], [z["right"][0], z["left"], z["was"]])
    right, left, was = model([np.ones((1, 4)), np.full((1, 2), 5.0)])
    assert right.tolist() == [[6.0, 6.0]] and left.tolist() == [[3.0, 3.0]] and was.tolist() == [[0.0] * 4]
    assert model([np.ones((1, 4)), np.ones((1, 2))], training=True)[2].tolist() == [[1.0] * 4]
    told = mw.Model(x, layer(x, training=True)["was"])
    assert told(np.ones((1, 4)), training=False).tolist() == [[1.0] * 4]
    assert copy.deepcopy(model)([np.ones((1, 4)), np.full((1, 2), 5.0)])[0].tolist() == [[6.0, 6.0]]
    assert model.output[0].name == "splits" and model.get_layer("splits") is layer


def test_a_layer_that_tells_its_shape_is_not_tried() -> None:
    calls = []

    class Tells(layers.Layer):
        def build(self, input_shape: Any) -> None:
            self.kernel = self.add_weight((input_shape[-1], 3), name="kernel")

        def call(self, x: Any) -> Any:
            calls.append(x.shape)
            return x @ self.kernel

        def compute_output_shape(self, input_shape: Any) -> Any:
            return (*input_shape[:-1], 3)

    x = mw.Input((2,))
    layer = Tells()
    assert layer(x).shape == (None, 3) and layer.built and calls == []
    assert mw.Model(x, layer(x))(np.ones((5, 2))).shape == (5, 3) and calls == [(5, 2)]


def test_a_model_of_symbols_on_symbols_is_not_tried() -> None:
    calls = []

    class Counts(layers.Layer):
        def call(self, x: Any) -> Any:
            calls.append(x.shape)
            return x * 2

    x, other = mw.Input((2,)), mw.Input((2,))
    inner = mw.Model(x, Counts()(x))
    count = len(calls)
    y = inner(other)
    assert len(calls) == count and y.shape == (None, 2)
    assert mw.Model(other, y)(np.ones((1, 2))).tolist() == [[2.0, 2.0]]
    with pytest.raises(ValueError, match=r"Expected shape \(None, 2\) for the input"):
        inner(mw.Input((3,)))


def test_a_subclass_on_symbols_and_a_subclass_made_of_symbols() -> None:
    class Own(mw.Model):
        def __init__(self) -> None:
            super().__init__(name="own")
            self.dense = layers.Dense(3)

        def call(self, x: Any) -> Any:
            return self.dense(x) * 2

    class Made(mw.Model):
        def __init__(self, units: int, **options: Any) -> None:
            x = mw.Input((4,))
            super().__init__(inputs=x, outputs=layers.Dense(units)(x), **options)
            self.units, self.extra = units, layers.Dense(1)

    x = mw.Input((4,))
    own, made = Own(), Made(3, name="made")
    model = mw.Model(x, own(x) + made(x))
    assert own.built and own.output.shape == (None, 3) and own.input is x
    data = numbers(3, 4)
    same(model(data), own(data).numpy() + made(data).numpy())
    names = ["own.dense.kernel", "own.dense.bias", "made.dense.kernel", "made.dense.bias"]
    assert list(model.named_weights()) == names and [layer.name for layer in made.layers][-1] == "dense_1"
    again = Made.from_config({"units": 3})
    assert again.count_params() == 15 and made.get_layer("dense").output is made.output


def test_an_attribute_called_output_stays_the_user_s() -> None:
    class Own(mw.Model):
        def __init__(self) -> None:
            super().__init__()
            self.input, self.output = layers.Dense(2), layers.Dense(1)

        def call(self, x: Any) -> Any:
            return self.output(self.input(x))

    model = Own()
    assert model(np.ones((1, 3))).shape == (1, 1) and isinstance(model.output, layers.Dense)
    assert list(model.named_weights()) == ["input.kernel", "input.bias", "output.kernel", "output.bias"]


# ---- cutting ---------------------------------------------------------------------------------------------------------


def test_a_model_is_cut_at_a_layer(keras: Any, setting: str) -> None:
    def cuts(lib: Any) -> list[Any]:
        outer = nested(lib)
        inner = outer.get_layer("inner")
        return [
            lib.Model(outer.input, outer.get_layer("mean").output),
            lib.Model(inner.input, inner.get_layer("d").output),
            lib.Model(inner.get_layer("d").output, inner.get_layer("d").output * 2),
            lib.Model(outer.get_layer("mean").output, outer.outputs[0]),
        ], outer  # fmt: skip

    (ours, mine), (theirs, its) = cuts(mw), cuts(keras)
    mine.set_weights(its.get_weights())
    for cut, other in zip(ours, theirs, strict=True):
        x = numbers(5, *cut.input_shape[1:])
        same(cut(x), other(x))
        assert [type(layer).__name__ for layer in cut.layers] == [
            type(layer).__name__.replace("Functional", "Model") for layer in other.layers
        ]
        assert {id(w) for w in cut.weights} <= {id(w) for w in mine.weights}
    middle = ours[-1]
    assert middle.input is not mine.get_layer("mean").output  # an Input of its own
    same(mw.Model(middle.input, middle.output)(numbers(2, 3)), middle(numbers(2, 3)).numpy())
    row = mine.get_layer("row")
    same(mw.Model(row.input, row.get_layer("e").output)(numbers(2, 3)), row(numbers(2, 3)).numpy())


@pytest.mark.parametrize("way", ["input", "input_shape", "data"])
def test_a_row_is_cut_at_a_layer(way: str) -> None:
    first = layers.Dense(3, "relu", **({"input_shape": (4,)} if way == "input_shape" else {}))
    row = mw.Sequential([*([mw.Input((4,))] if way == "input" else []), first, layers.Dropout(0.5), layers.Dense(2)])
    data = numbers(5, 4)
    if way == "data":
        with pytest.raises(AttributeError, match="'Sequential' object has no attribute 'output'"):
            row.output  # noqa: B018
        row(data)
    assert row.input.shape == (None, 4) and row.output.shape == (None, 2)
    assert len(row.inputs) == 1 and row.inputs[0] is row.input
    same(mw.Model(row.input, row.get_layer("dense").output)(data), first(data).numpy())
    same(mw.Model(row.inputs, row.layers[-1].output)(data), row(data).numpy())
    row.pop()
    assert row.output.shape == (None, 3)
    row.add(layers.Dense(7))
    assert row.output.shape == (None, 7) and mw.Model(row.input, row.output)(data).shape == (5, 7)
    again = copy.deepcopy(row)
    assert again.output is not row.output
    same(mw.Model(again.input, again.output)(data), row(data).numpy())


def test_asking_for_symbols_makes_no_program_stale() -> None:
    row = mw.Sequential([layers.Dense(3), layers.Dense(2)])
    row.compile("sgd", "mse")
    for _ in range(4):
        row.train_on_batch(numbers(4, 3), numbers(4, 2))
    recordings = row._steps["train"].captured.recordings
    assert row.get_layer("dense_1").output is row.output
    row.train_on_batch(numbers(4, 3), numbers(4, 2))
    assert row._steps["train"].captured.recordings == recordings


# ---- what goes in ----------------------------------------------------------------------------------------------------


def test_inputs_by_place_and_by_name() -> None:
    model, (a, b) = branches(mw), NETWORKS["branches"][1]
    expected = [t.numpy() for t in model([a, b])]
    same(model((a, b)), expected)
    same(model({"b": b, "a": a, "more": a}), expected)
    one = residual(mw)
    for given in (numbers(5, 4), {"x": numbers(5, 4)}):
        same(one(given), one(numbers(5, 4)).numpy())
    alone = mw.Model([one.input], [one.output])
    same(alone(numbers(5, 4)), one(numbers(5, 4)).numpy())
    same(alone([numbers(5, 4)]), one(numbers(5, 4)).numpy())
    column = mw.Model((x := mw.Input((1,))), x * 2)
    assert column(np.arange(3.0)).shape == (3, 1) and column(np.zeros((3, 1, 1))).shape == (3, 1)
    assert column(np.arange(3)).dtype == np.float32


def test_inputs_are_cast_to_their_types() -> None:
    x, i = mw.Input((2,), name="x"), mw.Input((2,), dtype="int32", name="i")
    model = mw.Model([x, i], [x * 1.0, i[:, :1]])
    z, j = model([np.ones((1, 2)), np.array([[1.0, 2.0]])])
    assert z.dtype == np.float32 and j.dtype == np.int32
    double = mw.Model((d := mw.Input((2,), dtype="float64")), layers.Dense(1, dtype="float64")(d) + 1)
    assert double(np.ones((1, 2), np.float32)).dtype == np.float64 and double.compute_dtype == np.float64


@pytest.mark.parametrize(
    ("name", "x", "message"),
    [
        ("branches", numbers(5, 3), r"Expected inputs \[<Symbol 'a' .*\]\. Received: \(5, 3\)\. Pass one for each"),
        ("branches", [numbers(5, 3)], r"Received: \[\(5, 3\)\]"),
        ("branches", {"a": numbers(5, 3)}, r"Received: \{'a': \(5, 3\)\}"),
        ("branches", [numbers(5, 5), numbers(5, 3)], r"shape \(None, 3\) for the input 'a'\. Received: \(5, 5\)\. Check"),
        ("branches", [numbers(5, 3), None], r"for the input 'b'\. Received: None"),
        ("shared", [numbers(5, 3), numbers(5, 3)], r"Expected inputs \{'a': <Symbol"),
        ("shared", {"a": numbers(5, 3), "c": numbers(5, 3)}, r"Received: \{'a': \(5, 3\), 'c': \(5, 3\)\}"),
        ("residual", numbers(5, 3), r"Expected shape \(None, 4\) for the input 'x'"),
        ("residual", numbers(5, 3, 4), r"Expected shape \(None, 4\) for the input 'x'"),
    ],
)  # fmt: skip
def test_inputs_that_do_not_fit(name: str, x: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NETWORKS[name][0](mw)(x)


# ---- what is no model ------------------------------------------------------------------------------------------------


def test_ends_that_make_no_model() -> None:
    x, other = mw.Input((2,), name="x"), mw.Input((2,), name="other")
    y = layers.Dense(2)(x)
    for ends, error, message in (
        ((x, y + other), ValueError, r"Expected outputs that depend on the inputs only\. Received: <Symbol 'other'.*Add it to"),
        ((other, y), ValueError, r"Received: <Symbol 'x' \(None, 2\)>"),
        (
            (np.zeros((1, 2)), y),
            TypeError,
            r"Expected symbols as the `inputs` of a model\. Received: array.*mw\.Input\(shape\)",
        ),
        ((x, layers.Dense(2)), TypeError, r"Expected symbols as the `outputs` of a model\. Received: <Dense 'dense'>"),
        ((x, []), TypeError, "Expected symbols as the `outputs`"),
        (([x, x], y), ValueError, r"Expected each input once"),
        ((x,), TypeError, "Expected `inputs`, `outputs` and perhaps a `name`"),
        ((x, y, "name", 3), TypeError, "Expected `inputs`, `outputs` and perhaps a `name`"),
    ):
        with pytest.raises(error, match=message):
            mw.Model(*ends)
    with pytest.raises(TypeError, match="Expected `inputs`, `outputs`"):
        mw.Model(outputs=y)
    with pytest.raises(TypeError, match=r"Expected tensors as what <Layer 'bad'> returns"):

        class Bad(layers.Layer):
            def call(self, x: Any) -> Any:
                return "text"

            def __repr__(self) -> str:
                return "<Layer 'bad'>"

        Bad()(x)


def test_a_configuration_with_a_circle() -> None:
    config = residual(mw).get_config()
    config["layers"][1]["inbound_nodes"][0]["args"][0]["config"]["keras_history"] = ["sum", 0, 0]
    with pytest.raises(ValueError, match=r"a circle among \['h', 'sum', 'y'\]"):
        mw.Model.from_config(config)


def test_a_very_deep_network() -> None:
    x = y = mw.Input((2,))
    for _ in range(1500):
        y = y + 1
    model = mw.Model(x, y)
    for again in (model, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert again(np.zeros((1, 2))).tolist() == [[1500.0, 1500.0]]


def test_what_is_not_needed_any_more_is_let_go() -> None:
    alive = []

    class Watches(layers.Layer):
        def call(self, x: Any) -> Any:
            alive.append(sum(r() is not None for r in refs))
            z = x * 2
            refs.append(weakref.ref(z))
            return z

    import weakref

    refs: list[Any] = []
    x = y = mw.Input((2,))
    for _ in range(6):
        y = Watches()(y)
    model = mw.Model(x, y)
    refs.clear(), alive.clear()
    with mw.no_grad():
        model(np.ones((1, 2)))
    assert max(alive) == 1


# ---- summary, freezing, training -------------------------------------------------------------------------------------


def test_summaries() -> None:
    lines: list[str] = []
    branches(mw).summary(print_fn=lines.append)
    assert lines[0].split() == ["layer", "(type)", "output", "shape", "weights", "connected", "to"]
    rows = {line.split()[0]: line for line in lines[2:-2]}
    assert "r[0][0], q[0][0]" in rows["c"] and "(None, 8)" in rows["c"] and "p[0][0]" in rows["q"]
    lines.clear()
    shared(mw).summary(print_fn=lines.append)
    assert any("a[0][0], shared[0][0], b[0][0]" in line for line in lines) and lines[-1].startswith("16 weights")
    lines.clear()
    x = mw.Input((3,))
    mw.Model(x, layers.Dense(2)(x)).summary(print_fn=lines.append)
    assert "connected" not in lines[0] and len(lines) == 6
    lines.clear()
    mw.Model(x, layers.Dense(2)(x) * 2 + x[:, :2]).summary(print_fn=lines.append)
    assert any("mul (Function)" in line and "dense[0][0]" in line for line in lines)
    lines.clear()
    nested(mw).summary(print_fn=lines.append, expand_nested=True)
    assert any(line.startswith("inner.d (Dense)") for line in lines)


def test_freezing_a_part() -> None:
    model = nested(mw)
    model.get_layer("inner").trainable = False
    assert [w.shape for w in model.trainable_variables] == [(3, 3), (3,), (3, 2), (2,)]
    x = mw.Input((2,))
    frozen = mw.Model(x, layers.Dense(1)(x), trainable=False)
    assert frozen.trainable_variables == [] and frozen.get_config()["trainable"] is False
    assert mw.Model.from_config(frozen.get_config()).trainable_variables == []


def wide(as_row: bool) -> mw.Model:
    mw.seed(0)
    parts = [layers.Dense(6, "tanh", kernel_regularizer="l2"), layers.Dropout(0.3), layers.Dense(2)]
    if as_row:
        return mw.Sequential([mw.Input((4,)), *parts])
    x = y = mw.Input((4,))
    for part in parts:
        y = part(y)
    return mw.Model(x, y)


def test_training_is_bit_for_bit_that_of_a_row(c_only: str) -> None:
    x, y = numbers(44, 4), numbers(44, 2, seed=1)
    results = []
    for as_row, eager in ((True, False), (False, False), (False, True)):
        model = wide(as_row)
        model.compile("adam", "mse", metrics=["mae"], eager=eager)
        history = model.fit(x, y, batch_size=8, epochs=3, verbose=0).history
        results.append((history, [w.tobytes() for w in model.get_weights()], model.predict(x).tobytes()))
        if not eager:
            assert len(model._steps["fit"].programs) == 2  # one for batches of 8, one for the last of 4
    assert results[0] == results[1] == results[2]


def test_a_network_with_branches_is_one_program(keras: Any, c_only: str) -> None:
    ours, theirs = residual(mw), residual(keras)
    ours.set_weights(theirs.get_weights())
    ours.compile(mw.optimizers.SGD(0.1), "mse")
    theirs.compile(keras.optimizers.SGD(0.1), "mse")
    x, y = numbers(40, 4), numbers(40, 2, seed=1)
    found = ours.fit(x, y, batch_size=8, epochs=4, shuffle=False, verbose=0).history["loss"]
    expected = theirs.fit(x, y, batch_size=8, epochs=4, shuffle=False, verbose=0).history["loss"]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert len(ours._steps["fit"].programs) == 1 and ours._steps["fit"].captured.recordings == 2
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_one_input_may_come_in_a_list() -> None:
    x = mw.Input((3,))
    model = mw.Model(x, mw.layers.Dense(2)(x))
    data = np.ones((4, 3), "float32")
    whole = model.predict(data)
    assert (model.predict([data]) == whole).all() and (model([mw.tensor(data)]).numpy() == whole).all()
