"""Sequential, Model and their weights, names, summaries; and every argument that is Keras's."""

from __future__ import annotations

import inspect
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import microweights as mw

layers = mw.layers
X = np.random.default_rng(0).normal(size=(30, 5)).astype("float32")
Y = (X[:, 0] + X[:, 1] > 0).astype(int)


class Residual(mw.Model):
    """Layers in a list, one of them used twice, and dropout that must be told of training."""

    def __init__(self, depth: int = 2, dtype: str = "float32") -> None:
        super().__init__(dtype=dtype)
        self.entrance = layers.Dense(6, "relu", dtype=dtype)
        self.blocks = [layers.Dense(6, "tanh", dtype=dtype) for _ in range(depth)]
        self.dropout = layers.Dropout(0.5, seed=1, dtype=dtype)
        self.exit = layers.Dense(1, "sigmoid", dtype=dtype)

    def call(self, x: mw.Tensor, training: bool = False) -> mw.Tensor:
        x = self.entrance(x)
        for block in self.blocks:
            x = x + block(x)
        return self.exit(self.dropout(x + self.blocks[0](x), training=training))


# ---- Sequential ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["input_shape", "Input", "neither", "added"])
def test_the_model_of_the_articles(form: str) -> None:
    """Sequential, Dense with input_shape, he_normal, adam, binary_crossentropy, accuracy: as tutorials write it."""
    mw.seed(0)
    hidden = {"activation": "relu", "kernel_initializer": "he_normal"}
    if form == "added":
        model = mw.Sequential()
        model.add(layers.Dense(16, input_shape=(5,), **hidden))
        model.add(layers.Dense(8, **hidden))
        model.add(layers.Dense(1, activation="sigmoid"))
    else:
        first = layers.Dense(16, **hidden, **({"input_shape": (5,)} if form == "input_shape" else {}))
        front = [mw.Input(shape=(5,))] if form == "Input" else []
        model = mw.Sequential([*front, first, layers.Dense(8, **hidden), layers.Dense(1, activation="sigmoid")])
    assert model.layers[-1].built == (form != "neither")
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    history = model.fit(X, Y, epochs=150, batch_size=8, verbose=0)
    assert history.history["accuracy"][-1] > 0.9 and history.history["loss"][-1] < 0.4
    loss, accuracy = model.evaluate(X, Y, verbose=0)
    assert accuracy == ((model.predict(X, verbose=0)[:, 0] > 0.5) == Y).mean() and loss < 0.4
    assert model.count_params() == 96 + 136 + 9


def test_linear_regression_in_one_layer() -> None:
    model = mw.Sequential([layers.Dense(units=1, input_shape=[1])])
    model.compile(optimizer="sgd", loss="mean_squared_error")
    xs, ys = np.array([-1.0, 0.0, 1.0, 2.0, 3.0, 4.0]), np.array([-3.0, -1.0, 1.0, 3.0, 5.0, 7.0])
    model.fit(xs[:, None], ys, epochs=500, verbose=0)
    assert model.predict(np.array([[10.0]]))[0, 0] == pytest.approx(19, abs=0.1)


def test_names_are_numbered() -> None:
    model = mw.Sequential([layers.Dense(2), layers.Dropout(0.1), layers.Dense(2, name="exit"), layers.Dense(2)], name="net")
    assert [layer.name for layer in model.layers] == ["dense", "dropout", "exit", "dense_1"] and model.name == "net"
    model(X)
    assert list(model.named_weights()) == [f"{n}.{w}" for n in ("dense", "exit", "dense_1") for w in ("kernel", "bias")]
    assert model.get_layer("exit") is model.layers[2] is model.get_layer(index=2)
    with pytest.raises(ValueError, match=r"\['dense', 'dropout', 'exit', 'dense_1'\]. Received: 'entrance'"):
        model.get_layer("entrance")


@pytest.mark.parametrize(
    ("layer", "error"),
    [("dense", TypeError), (layers.Dense, TypeError), (None, TypeError), (layers.Dense(1, name="dense"), ValueError)],
)
def test_add_refuses(layer: Any, error: type[Exception]) -> None:
    model = mw.Sequential([layers.Dense(2)])
    with pytest.raises(error, match="Expected"):
        model.add(layer)
    with pytest.raises(ValueError, match="'dense' twice"):
        model.add(model.layers[0])
    assert len(model.layers) == 1


def test_a_layer_that_does_not_fit_is_not_added() -> None:
    model = mw.Sequential([mw.Input((4,))])
    with pytest.raises(ValueError, match="Expected a shape"):
        model.add(layers.Reshape((7,)))
    assert len(model.sublayers()) == 1


def test_a_layer_in_two_models_keeps_its_name_in_the_first() -> None:
    shared = layers.Dense(2)
    first = mw.Sequential([shared])
    mw.Sequential([layers.Dense(3), shared])
    assert first.get_layer("dense") is shared


def test_pop_and_add() -> None:
    model = mw.Sequential([mw.Input((5,)), layers.Dense(2), layers.Dense(3)])
    assert model.pop().name == "dense_1"
    model.add(layers.Dense(7))
    assert model(X).shape == (30, 7) and model.count_params() == 12 + 21
    empty = mw.Sequential()
    for act in (empty.pop, lambda: empty(X)):
        with pytest.raises((IndexError, ValueError), match="Expected a model with"):
            act()


def test_lazy_shapes_and_build() -> None:
    model = mw.Sequential([layers.Dense(3), layers.Flatten(), layers.Dense(2)])
    assert model.weights == [] and model.count_params() == 0
    model.build((None, 4, 5))
    assert [w.shape for w in model.weights] == [(5, 3), (3,), (12, 2), (2,)]
    assert [layer.output_shape for layer in model.layers] == [(None, 4, 3), (None, 12), (None, 2)]
    assert model.input_shape == (None, 4, 5) and model.output_shape == (None, 2)
    with pytest.raises(ValueError, match="Expected inputs of shape"):
        model(np.zeros((1, 4, 6)))
    with pytest.raises(ValueError, match="`input_shape`"):
        mw.Sequential([layers.Dense(3)]).build((None, 0))


def test_data_of_one_sample_and_of_lists() -> None:
    model = mw.Sequential([layers.Dense(2, kernel_initializer="ones")])
    assert model.predict([[1, 2, 3]]).tolist() == [[6.0, 6.0]] == model([[1, 2, 3]]).tolist()


# ---- Model -----------------------------------------------------------------------------------------------------------


def test_a_model_of_ones_own() -> None:
    mw.seed(0)
    model = Residual()
    assert model.weights == []
    model.compile(mw.optimizers.Adam(0.03), "binary_crossentropy", metrics=["accuracy"])
    history = model.fit(X, Y, epochs=60, verbose=0).history
    assert history["loss"][-1] < 0.7 * history["loss"][0]
    assert model.count_params() == 36 + 2 * 42 + 7 and len(model.trainable_variables) == 8
    assert [type(layer).__name__ for layer in model.layers] == ["Dense", "Dense", "Dense", "Dropout", "Dense"]
    assert list(model.named_weights())[:4] == ["entrance.kernel", "entrance.bias", "blocks.0.kernel", "blocks.0.bias"]
    np.testing.assert_array_equal(model.predict(X), model.predict(X))


def test_gradients_of_a_layer_used_twice() -> None:
    model, x = Residual(1, "float64"), X.astype(float)
    model(x)
    assert mw.gradcheck(lambda *weights: model(x).sum(), model.weights)


def test_nested_models(tmp_path: Path) -> None:
    def make() -> mw.Sequential:
        encoder = mw.Sequential([layers.Dense(4, "relu"), layers.Dropout(0.2), layers.Dense(3)], name="encoder")
        return mw.Sequential([encoder, Residual(), layers.Dense(2)])

    one, two = make(), make()
    assert not np.array_equal(one.predict(X), two.predict(X))
    names = list(one.named_weights())
    assert names[0] == "encoder.dense.kernel" and "residual.blocks.1.bias" in names and len(names) == 4 + 8 + 2
    one.save_weights(tmp_path / "f")
    two.load_weights(tmp_path / "f")
    np.testing.assert_array_equal(one.predict(X), two.predict(X))
    one.layers[0].trainable = False
    one.compile("adam", "mse")
    before = one.get_weights()
    one.fit(X, np.zeros((30, 2)), verbose=0)
    same = [np.array_equal(a, b) for a, b in zip(before, one.get_weights(), strict=True)]
    assert same == [True] * 4 + [False] * 10


def test_dropout_in_a_model_that_does_not_speak_of_training() -> None:
    """Keras tells inner layers of training by itself."""

    class Silent(mw.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dropout = layers.Dropout(0.5)

        def call(self, x: mw.Tensor) -> mw.Tensor:
            return self.dropout(x)

    assert (Silent()(X, training=True).numpy() == 0).any()


def test_a_forgotten_super_init_is_explained() -> None:
    class Forgetful(mw.Model):
        def __init__(self) -> None:
            self.dense = layers.Dense(1)

        def call(self, x: mw.Tensor) -> mw.Tensor:
            return self.dense(x)

    with pytest.raises(RuntimeError, match="super"):
        Forgetful()(X)


def test_weights_of_models_come_and_go() -> None:
    one, two = (mw.Sequential([mw.Input((5,)), layers.Dense(3), layers.Dense(1)]) for _ in range(2))
    two.set_weights(one.get_weights())
    np.testing.assert_array_equal(one.predict(X), two.predict(X))
    before = [w.copy() for w in two.get_weights()]
    with pytest.raises(ValueError, match=r"shape \(3,\) for 'dense.bias'"):
        two.set_weights([before[0] + 1, np.zeros(4), *before[2:]])
    for a, b in zip(before, two.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_float64_model(setting: str) -> None:
    model = mw.Sequential(
        [mw.Input((5,), dtype="float64"), layers.Dense(3, "relu", dtype="float64"), layers.Dense(1, dtype="float64")]
    )
    model.compile("adam", "mse")
    x = X.astype(float) + 1e-12
    assert model.compute_dtype == np.float64 and model.predict(x).dtype == np.float64
    kernel, bias, *_ = model.get_weights()
    np.testing.assert_allclose(model.layers[0](x).numpy(), np.maximum(x @ kernel + bias, 0), rtol=1e-14, atol=1e-15)
    model.fit(x, Y, verbose=0)
    assert all(w.dtype == np.float64 for w in model.get_weights())


def test_a_float64_model_in_a_model() -> None:
    model = mw.Sequential([mw.Sequential([layers.Dense(1, dtype="float64")])])
    model.compile("adam", "mse")
    model.fit(X, Y, verbose=0)


def test_summary(capsys: pytest.CaptureFixture[str]) -> None:
    model = mw.Sequential(
        [mw.Input((5,)), layers.Dense(1000), layers.Dense(2, trainable=False), mw.Sequential([layers.Dense(3)])]
    )
    model.summary()
    text = capsys.readouterr().out
    assert text.splitlines()[0].split() == ["layer", "(type)", "output", "shape", "weights"]
    for words in (
        "input_layer (InputLayer)",
        "dense (Dense)",
        "(None, 1000)",
        "6,000",
        "(None, 2)",
        "2,002",
        "sequential (Sequential)",
        "9",
    ):
        assert words in text
    assert text.splitlines()[-1] == "8,011 weights, 6,009 of them trainable"
    lines: list[str] = []
    mw.Sequential([layers.Dense(2)]).summary(print_fn=lines.append)
    assert "not built" in lines[2] and "?" in lines[2] and capsys.readouterr().out == ""


# ---- Keras's arguments -----------------------------------------------------------------------------------------------

LOSS = {"reduction", "name", "dtype", "axis"}
COMPARED = {
    "layers": "Dense Activation Dropout Flatten Reshape Input",
    "regularizers": "L1 L2 L1L2",
    "activations": "elu selu leaky_relu silu softsign exponential",
    "Model": "compile fit evaluate predict train_on_batch predict_on_batch summary save_weights load_weights get_layer",
}
# What Keras has and microweights has not (yet).
MISSING: dict[str, set[str]] = {
    "layers.Dense": {"lora_rank", "lora_alpha", "quantization_config"},
    "layers.Input": {"sparse", "ragged", "tensor", "optional"},
    "Model.compile": {"steps_per_execution", "jit_compile", "auto_scale_loss"},
    "Model.summary": {"line_length", "positions", "show_trainable", "layer_range"},
    "Model.save_weights": {"filepath", "overwrite", "max_shard_size"},
    "Model.load_weights": {"filepath", "skip_mismatch"},
}
# What microweights has besides.
OWN: dict[str, set[str]] = {
    "Model.save_weights": {"path"},
    "Model.load_weights": {"path"},
    "Model.compile": {"eager", "gradient_accumulation_steps"},  # as run_eagerly
}
# Where the two differ on purpose: theirs, ours.
DIFFERENT: dict[str, tuple[Any, Any]] = {
    "Model.fit.batch_size": (None, 32),  # None is full batch here; Keras takes it for 32
    "Model.evaluate.batch_size": (None, 32),
    "Model.predict.batch_size": (None, 32),
    "Model.summary.print_fn": (None, print),
    **{
        f"metrics.{n}.name": (name, None)
        for n, name in [  # None stands for just that name
            ("Accuracy", "accuracy"),
            ("BinaryAccuracy", "binary_accuracy"),
            ("CategoricalAccuracy", "categorical_accuracy"),
            ("SparseCategoricalAccuracy", "sparse_categorical_accuracy"),
            ("MeanSquaredError", "mean_squared_error"),
            ("MeanAbsoluteError", "mean_absolute_error"),
            ("R2Score", "r2_score"),
        ]
    },
}


def arguments(thing: Any) -> dict[str, Any]:
    found = inspect.signature(thing).parameters.values()
    return {
        p.name: "required" if p.default is p.empty else p.default for p in found
        if p.name not in ("self", "args") and p.kind is not p.VAR_KEYWORD
    }  # fmt: skip


@pytest.mark.parametrize("place", [f"{module}.{name}" for module, names in COMPARED.items() for name in names.split()])
def test_arguments_are_keras_s(place: str) -> None:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    pytest.importorskip("torch")
    keras = pytest.importorskip("keras")
    module, name = place.split(".")
    from microweights import activations

    ours = arguments(getattr(activations if module == "activations" else getattr(mw, module), name))
    theirs = arguments(getattr(getattr(keras, module), name))
    missing = MISSING.get(place, set()) | {"losses": LOSS, "metrics": {"dtype"}}.get(module, set())
    if module == "layers":  # Keras's layers take these as **kwargs
        for option in {"name", "trainable", "dtype", "input_shape"} - set(theirs):
            ours.pop(option, None)
    assert set(theirs) - set(ours) <= missing, "neither here nor documented as missing"
    assert set(ours) - set(theirs) == OWN.get(place, set()), "not Keras's"
    common = [argument for argument in theirs if argument in ours]
    assert common == [argument for argument in ours if argument in theirs], "in another order"
    for argument in common:
        expected = DIFFERENT.get(f"{place}.{argument}", (theirs[argument], theirs[argument]))
        assert (theirs[argument], ours[argument]) == expected, argument


def test_defaults_by_heart() -> None:
    """The defaults that matter most, for where Keras is not installed."""
    adam = {"learning_rate": 0.001, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}
    assert arguments(mw.optimizers.Adam).items() >= adam.items()
    assert list(arguments(mw.optimizers.SGD).items())[:3] == [
        ("learning_rate", 0.01),
        ("momentum", 0.0),
        ("nesterov", False),
    ]
    assert arguments(mw.optimizers.AdamW)["weight_decay"] == 0.004
    assert list(arguments(mw.optimizers.RMSprop).values())[:5] == [0.001, 0.9, 0.0, 1e-7, False]
    assert list(arguments(mw.optimizers.Adagrad).values())[:3] == [0.001, 0.1, 1e-7]
    dense = arguments(layers.Dense)
    assert (dense["kernel_initializer"], dense["bias_initializer"], dense["use_bias"]) == (
        "glorot_uniform",
        "zeros",
        True,
    )
    assert arguments(mw.Model.fit)["shuffle"] is True and arguments(mw.Model.compile)["optimizer"] == "rmsprop"


def test_a_tensor_that_requires_a_gradient_is_a_weight(setting: str) -> None:
    class Scaled(mw.Model):
        def __init__(self) -> None:
            super().__init__()
            self.factor = mw.tensor([[2.0], [3.0]], requires_grad=True)
            self.alias, self.constant = self.factor, mw.tensor([1.0])
            self.dense = layers.Dense(1)

        def call(self, x: mw.Tensor) -> mw.Tensor:
            self.seen, self.last = x, self.dense(x @ self.factor + self.constant)
            return self.last

    model = Scaled()
    x, y = np.eye(2, dtype=np.float32), np.ones((2, 1), np.float32)
    model(mw.tensor(x, requires_grad=True))
    assert list(model.named_weights()) == ["factor", "dense.kernel", "dense.bias"]
    model.compile("sgd", "mse")
    before = model.factor.tolist()
    model.fit(x, y, epochs=3, verbose=0)
    assert model.factor.tolist() != before
    model.trainable = False
    assert not model.factor.requires_grad


def test_a_build_that_fails_leaves_the_weights_of_init() -> None:
    class Fails(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.own = mw.tensor([1.0], requires_grad=True)

        def build(self, input_shape: Any) -> None:
            self.add_weight((2,), name="late")
            raise ValueError("no")

    layer = Fails()
    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            layer(np.ones((1, 1), np.float32))
    assert list(layer.named_weights()) == ["own"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mw.Sequential(layers.Dense(3), layers.Dense(1)), "Expected a list of layers"),
        (lambda: layers.Dense(3)(layers.Dense(4)), "Call a layer on what another returns"),
        (lambda: mw.optimizers.Adam(beta1=0.9), "options of Adam: learning_rate, beta_1, beta_2"),
    ],
)
def test_what_other_libraries_have_is_refused_with_a_remedy(call: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        call()


# ---- names, configs, files -------------------------------------------------------------------------------------------


class Pair(mw.Model):
    def __init__(self, units: int = 3) -> None:
        super().__init__()
        self.units = units
        self.enter = layers.Dense(units, "relu")
        self.more = [layers.Dense(2), mw.Sequential([layers.Dense(2)]), layers.Dense(1, name="out")]
        self.scale = mw.tensor([2.0], requires_grad=True)

    def call(self, x: mw.Tensor) -> mw.Tensor:
        x = self.enter(x)
        for part in self.more:
            x = part(x)
        return x * self.scale


def test_layers_of_a_subclass_have_names_of_their_own() -> None:
    model = Pair()
    assert [layer.name for layer in model.layers] == ["dense", "dense_1", "sequential", "out"]
    model(X)
    assert model.get_layer("dense_1") is model.more[0] is model.get_layer("more.0") is model.get_layer(index=1)
    assert len(set(model.named_weights())) == 9
    model.extra = layers.Dense(1)
    assert model.layers[-1].name == "dense_2" and model.enter.name == "dense"
    for wrong, message in (
        ((0,), "index=0"),
        ((), "a layer out of"),
        ((None, 9), "`index` of one of 5"),
        (("dens",), "spelling"),
    ):
        with pytest.raises(ValueError, match=message):
            model.get_layer(*wrong)


def test_a_summary_shows_weights_of_the_model_and_inner_layers() -> None:
    model, lines = Pair(), list[str]()
    model(X)
    model.summary(print_fn=lines.append, expand_nested=True)
    rows = [line.split("  ")[0].strip() for line in lines[2:-2]]
    inside = ["more.1 (Sequential)", "more.1.dense (Dense)", "more.2 (Dense)"]
    assert rows == ["scale (weight)", "enter (Dense)", "more.0 (Dense)", *inside]
    assert lines[-1].startswith("36 weights, 36")


@pytest.mark.parametrize("make", [Pair, lambda: mw.Sequential([layers.Dense(3), layers.Dropout(0.1), layers.Dense(1)])])
def test_weights_are_loaded_before_the_first_call(make: Any, tmp_path: Path) -> None:
    one, two = make(), make()
    one(X)
    one.save_weights(tmp_path / "w")
    mw.seed(0)
    expected = mw.random.normal(1).tolist()
    mw.seed(0)
    two.load_weights(tmp_path / "w")
    assert mw.random.normal(1).tolist() == expected  # as if nothing had been drawn
    np.testing.assert_array_equal(one.predict(X), two.predict(X))


def test_a_file_that_does_not_fit_makes_no_weights(tmp_path: Path) -> None:
    one, other = Pair(), Pair(7)
    one(X)
    one.save_weights(tmp_path / "w")
    for _ in range(2):
        with pytest.raises(ValueError, match="Expected a file with the weights of this model"):
            other.load_weights(tmp_path / "w")
        assert not other.enter.built and list(other.named_weights()) == ["scale"]
    other(X)

    class Own(mw.Model):
        def __init__(self) -> None:
            super().__init__()
            self.part = Shifted()

        def call(self, x: mw.Tensor) -> mw.Tensor:
            return self.part(x)

    class Shifted(layers.Layer):
        def build(self, input_shape: Any) -> None:
            self.shift = self.add_weight(input_shape[-1:], name="shift")

        def call(self, x: mw.Tensor) -> mw.Tensor:
            return x + self.shift

    a, b = Own(), Own()
    a(X)
    a.save_weights(tmp_path / "v")
    with pytest.raises(ValueError, match=r"call it once before, as model\(x\[:1\]\)"):
        b.load_weights(tmp_path / "v")
    b(X[:1])
    b.load_weights(tmp_path / "v")
    np.testing.assert_array_equal(a.predict(X), b.predict(X))


def test_a_model_made_of_its_config() -> None:
    model = mw.Sequential([
        mw.Input((5,)), layers.Dense(4, "relu", kernel_regularizer="l2"), layers.Dropout(0.1, seed=1), layers.Flatten(),
        mw.Sequential([layers.Dense(2, "softmax")], name="head"), Pair(3),
    ], name="whole")  # fmt: skip
    config = json.loads(json.dumps(model.get_config()))
    again = mw.Sequential.from_config(config)
    assert again.get_config() == config and again.name == "whole" and list(again.named_weights()) == list(model.named_weights())
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert Pair.from_config(Pair(9).get_config()).units == 9

    class Other(Pair):
        pass

    assert type(mw.Sequential.from_config(config, {"Pair": Other}).layers[-1]) is Other
    with pytest.raises(ValueError, match="layer out of"):
        mw.Sequential.from_config({"layers": [{"class_name": "Nonsense", "config": {}}]})


def test_one_number_a_sample() -> None:
    model = mw.Sequential([layers.Dense(1, input_shape=(1,))])
    model.compile("sgd", "mse")
    column = np.arange(10.0)
    losses = [model.evaluate(x, column, verbose=0) for x in (column, column[:, None])]
    assert losses[0] == losses[1] and model.predict(column).shape == (10, 1)
    model.fit(column / 10, column, verbose=0)
    assert mw.Sequential([mw.Input((1,), 32), layers.Dense(2)]).predict(column).shape == (10, 2)
    lazy = mw.Sequential([layers.Dense(1)])
    lazy.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"reshape\(-1, 1\)"):
        lazy.fit(column, column, verbose=0)


def test_a_frozen_model_freezes_what_is_added() -> None:
    model = mw.Sequential([mw.Input((5,)), layers.Dense(2)], trainable=False)
    model.add(layers.Dense(1))
    assert model.trainable_weights == [] and len(model.non_trainable_weights) == 4


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
def test_layers_without_brackets(count: int) -> None:
    with pytest.raises(TypeError, match="Write them in brackets"):
        mw.Sequential(*[layers.Dense(1) for _ in range(count)])


def test_a_build_that_calls_the_one_of_the_model() -> None:
    class Built(mw.Model):
        def build(self, input_shape: Any) -> None:
            self.dense = layers.Dense(2)
            super().build(input_shape)

        def call(self, x: mw.Tensor) -> mw.Tensor:
            return self.dense(x)

    model = Built()
    model.build((None, 5))
    assert model.built and model(X).shape == (30, 2)
