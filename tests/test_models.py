"""Sequential, Model and their weights, names, summaries; and every argument that is Keras's."""

from __future__ import annotations

import inspect
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
    assert [layer.output_shape for layer in model.layers] == [(4, 3), (12,), (2,)]
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
    model.compile(mw.optimizers.Adam(0.03), "binary_crossentropy", ["accuracy"])
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
        "input (Input)",
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

OPTIMIZER = {"clipnorm", "clipvalue", "global_clipnorm", "use_ema", "ema_momentum", "ema_overwrite_frequency",
             "loss_scale_factor", "gradient_accumulation_steps", "name", "kwargs", "amsgrad"}  # fmt: skip
INITIALIZER = {"input_axes", "output_axes"}
COMPARED = {
    "layers": "Dense Activation Dropout Flatten Reshape Input",
    "optimizers": "SGD Adam AdamW RMSprop Adagrad",
    "losses": "MeanSquaredError MeanAbsoluteError MeanAbsolutePercentageError MeanSquaredLogarithmicError Huber LogCosh "
    "Hinge SquaredHinge CategoricalHinge BinaryCrossentropy BinaryFocalCrossentropy CategoricalCrossentropy "
    "CategoricalFocalCrossentropy SparseCategoricalCrossentropy KLDivergence Poisson CosineSimilarity Loss "
    "mean_squared_error mean_absolute_error mean_absolute_percentage_error mean_squared_logarithmic_error huber log_cosh "
    "hinge squared_hinge categorical_hinge binary_crossentropy binary_focal_crossentropy categorical_crossentropy "
    "categorical_focal_crossentropy sparse_categorical_crossentropy kl_divergence poisson cosine_similarity",
    "metrics": "AUC Accuracy BinaryAccuracy BinaryCrossentropy CategoricalAccuracy CategoricalCrossentropy CategoricalHinge "
    "CosineSimilarity F1Score Hinge KLDivergence LogCoshError Mean MeanAbsoluteError MeanAbsolutePercentageError "
    "MeanMetricWrapper MeanSquaredError MeanSquaredLogarithmicError Metric Poisson Precision R2Score Recall "
    "RootMeanSquaredError SparseCategoricalAccuracy SparseCategoricalCrossentropy SparseTopKCategoricalAccuracy "
    "SquaredHinge Sum TopKCategoricalAccuracy binary_accuracy binary_crossentropy binary_focal_crossentropy "
    "categorical_accuracy categorical_crossentropy categorical_focal_crossentropy categorical_hinge hinge huber "
    "kl_divergence log_cosh mean_absolute_error mean_absolute_percentage_error mean_squared_error "
    "mean_squared_logarithmic_error poisson sparse_categorical_accuracy sparse_categorical_crossentropy "
    "sparse_top_k_categorical_accuracy squared_hinge top_k_categorical_accuracy",
    "initializers": "Zeros Ones Constant RandomNormal RandomUniform TruncatedNormal VarianceScaling "
    "GlorotUniform GlorotNormal HeUniform HeNormal LecunUniform LecunNormal Orthogonal",
    "regularizers": "L1 L2 L1L2",
    "callbacks": "Callback History EarlyStopping ModelCheckpoint LearningRateScheduler",
    "activations": "elu selu leaky_relu silu softsign exponential",
    "Model": "compile fit evaluate predict train_on_batch predict_on_batch summary save_weights load_weights get_layer",
}
# What Keras has and microweights has not (yet).
MISSING: dict[str, set[str]] = {
    "layers.Dense": {
        "activity_regularizer",
        "kernel_constraint",
        "bias_constraint",
        "lora_rank",
        "lora_alpha",
        "quantization_config",
    },
    "layers.Dropout": {"noise_shape"},
    "layers.Flatten": {"data_format"},
    "layers.Input": {
        "batch_size",
        "dtype",
        "sparse",
        "ragged",
        "batch_shape",
        "name",
        "tensor",
        "optional",
    },  # dtype, name: options
    "metrics.AUC": {"thresholds", "multi_label", "num_labels", "label_weights"},  # it is exact, of two classes
    "metrics.SparseTopKCategoricalAccuracy": {"from_sorted_ids"},
    "metrics.sparse_top_k_categorical_accuracy": {"from_sorted_ids"},
    "callbacks.ModelCheckpoint": {"save_weights_only", "save_freq", "initial_value_threshold"},  # it only saves weights
    "Model.compile": {
        "loss_weights",
        "weighted_metrics",
        "run_eagerly",
        "steps_per_execution",
        "jit_compile",
        "auto_scale_loss",
    },
    "Model.fit": {"steps_per_epoch", "validation_steps", "validation_batch_size"},
    "Model.evaluate": {"steps", "callbacks"},
    "Model.predict": {"steps", "callbacks"},
    "Model.train_on_batch": {"class_weight", "return_dict"},
    "Model.summary": {"line_length", "positions", "expand_nested", "show_trainable", "layer_range"},
    "Model.save_weights": {"filepath", "overwrite", "max_shard_size"},
    "Model.load_weights": {"filepath", "skip_mismatch"},
}
# What microweights has besides.
OWN: dict[str, set[str]] = {
    "Model.save_weights": {"path"},
    "Model.load_weights": {"path"},
    "Model.compile": {"eager", "gradient_accumulation_steps"},  # as run_eagerly
    "metrics.Precision": {"average"},
    "metrics.Recall": {"average"},
}
# Where the two differ on purpose: theirs, ours.
DIFFERENT: dict[str, tuple[Any, Any]] = {
    "layers.Input.shape": (None, "required"),  # a shape is what Input is for
    "Model.fit.x": (None, "required"),  # data comes as arrays only
    "Model.fit.y": (None, "required"),
    "Model.evaluate.x": (None, "required"),
    "Model.evaluate.y": (None, "required"),
    "Model.train_on_batch.y": (None, "required"),
    "Model.fit.batch_size": (None, 32),  # None is full batch here; Keras takes it for 32
    "Model.evaluate.batch_size": (None, 32),
    "Model.predict.batch_size": (None, 32),
    "Model.summary.print_fn": (None, print),
    "metrics.F1Score.average": (None, "auto"),  # a number, where Keras gives one for each class
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
    missing = MISSING.get(place, set()) | {
        "optimizers": OPTIMIZER, "initializers": INITIALIZER
    }.get(module, set())  # fmt: skip
    if module == "layers":  # Keras's layers take these as **kwargs
        for option in {"name", "trainable", "dtype", "input_shape"} - set(theirs):
            ours.pop(option, None)
    own = OWN.get(place, set()) | ({"l1", "l2"} if module == "optimizers" and name != "AdamW" else set())
    assert set(theirs) - set(ours) <= missing, "neither here nor documented as missing"
    assert set(ours) - set(theirs) == own, "not Keras's"
    common = [argument for argument in theirs if argument in ours]
    if module != "optimizers":
        assert common == [argument for argument in ours if argument in theirs], "in another order"
    if module in ("losses", "metrics") and theirs.get("name") is not None:  # here None stands for just that name
        assert ours.pop("name") is None and getattr(getattr(mw, module), name)().name == theirs["name"]
        common.remove("name")
    for argument in common:
        expected = DIFFERENT.get(f"{place}.{argument}", (theirs[argument], theirs[argument]))
        assert (theirs[argument], ours[argument]) == expected, argument


def test_defaults_by_heart() -> None:
    """The defaults that matter most, for where Keras is not installed."""
    assert arguments(mw.optimizers.Adam) == {
        "learning_rate": 0.001,
        "beta_1": 0.9,
        "beta_2": 0.999,
        "epsilon": 1e-7,
        "l2": 0.0,
        "l1": 0.0,
        "weight_decay": None,
    }
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
        (lambda: layers.Dense(3)(mw.Input((4,))), "there is no functional API"),
        (lambda: mw.Model(inputs=1, outputs=2), "there is no functional API"),
        (lambda: mw.optimizers.Adam(beta1=0.9), "options of Adam: learning_rate, beta_1, beta_2"),
    ],
)
def test_what_other_libraries_have_is_refused_with_a_remedy(call: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        call()
