"""compile, fit, evaluate, predict."""

from __future__ import annotations

import itertools
import os
import re
from typing import Any

import numpy as np
import pytest
from helpers import numbers, running_on

import microweights as mw
from microweights.callbacks import Callback
from microweights.datasets import load_digits
from microweights.kernels import machine

layers = mw.layers
RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 4)).astype("float32")
LINE = (X @ [1.0, -2.0, 3.0, 0.5] + 0.3).astype("float32")
LABELS = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)


def line_model(optimizer: Any = "sgd", dtype: str = "float32", **options: Any) -> mw.Sequential:
    mw.seed(0)
    model = mw.Sequential([mw.Input((4,), dtype=dtype), layers.Dense(1, dtype=dtype)])
    model.compile(optimizer, "mse", **options)
    return model


def classifier(hidden: int = 8, seed: int = 0, dtype: str = "float32", dropout: float = 0.0) -> mw.Sequential:
    mw.seed(seed)
    model = mw.Sequential([
        mw.Input((4,), dtype=dtype), layers.Dense(hidden, "relu", dtype=dtype), layers.Dropout(dropout, dtype=dtype),
        layers.Dense(3, "softmax", dtype=dtype),
    ])  # fmt: skip
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def bits(model: mw.Model) -> list[bytes]:
    return [w.tobytes() for w in model.get_weights()]


# ---- it learns -------------------------------------------------------------------------------------------------------


def test_a_line_is_found(setting: str, dtype: str) -> None:
    model = line_model(mw.optimizers.SGD(0.1), dtype)
    history = model.fit(X, LINE, epochs=60, batch_size=10, verbose=0)
    kernel, bias = model.get_weights()
    assert kernel.dtype == dtype
    np.testing.assert_allclose(kernel[:, 0], [1, -2, 3, 0.5], atol=1e-3)
    np.testing.assert_allclose(bias, [0.3], atol=1e-3)
    assert history.history["loss"][-1] < 1e-4 < history.history["loss"][0]


def test_one_full_batch_step_by_hand(setting: str) -> None:
    """w -= lr dL/dw for L = Σ (x w + b - y)² / n: the step of textbooks."""
    model = line_model(mw.optimizers.SGD(0.1))
    model.set_weights([np.zeros((4, 1)), [0.0]])
    history = model.fit(X, LINE, batch_size=None, verbose=0)
    assert history.history["loss"] == [pytest.approx(float((LINE.astype(float) ** 2).mean()), rel=1e-5)]
    kernel, bias = model.get_weights()
    np.testing.assert_allclose(kernel[:, 0], 0.1 * 2 * (X.T @ LINE) / 50, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(bias, [0.1 * 2 * LINE.mean()], rtol=1e-4)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "rmsprop", "adagrad"])
def test_real_digits_are_learned(optimizer: str) -> None:
    digits = load_digits()
    mw.seed(0)
    model = mw.Sequential([layers.Dense(32, "relu", kernel_initializer="he_normal"), layers.Dense(10, "softmax")])
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    rate = {"sgd": 0.1, "adagrad": 0.05}.get(optimizer, 0.003)
    model.optimizer.learning_rate = rate
    history = model.fit(digits.data / 16, digits.target, epochs=6, verbose=0, validation_split=0.2).history
    assert history["loss"][-1] < 0.5 * history["loss"][0]
    assert history["val_accuracy"][-1] > 0.8 and sorted(history) == ["accuracy", "loss", "val_accuracy", "val_loss"]


def test_every_number_is_keras_s() -> None:
    """A short training from the same weights over the same batches: losses, metrics and weights of Keras's own fit."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    pytest.importorskip("torch")
    keras = pytest.importorskip("keras")
    ours = classifier()
    theirs = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(3, "softmax")])
    theirs.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], run_eagerly=True, jit_compile=False)
    theirs.set_weights(ours.get_weights())
    weights = RNG.uniform(size=50).astype("float32")
    options: dict[str, Any] = {
        "batch_size": 16,
        "epochs": 3,
        "shuffle": False,
        "verbose": 0,
        "validation_data": (X[:20], LABELS[:20]),
    }
    for extra in ({}, {"sample_weight": weights}, {"class_weight": {0: 1.0, 1: 3.0, 2: 0.2}}):
        a, b = (m.fit(X, LABELS, **options, **extra).history for m in (ours, theirs))
        assert sorted(a) == sorted(b)
        for name, values in a.items():
            np.testing.assert_allclose(values, b[name], rtol=1e-4, err_msg=name)
    for v, w in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(v, w, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(
        ours.evaluate(X, LABELS, verbose=0, batch_size=7),
        theirs.evaluate(X, LABELS, verbose=0, batch_size=7),
        rtol=1e-4,
    )


def test_penalties_are_part_of_the_loss() -> None:
    model = mw.Sequential([mw.Input((4,)), layers.Dense(1, kernel_regularizer=mw.regularizers.L2(0.5))])
    model.compile(mw.optimizers.SGD(0.1), "mse")
    model.set_weights([np.ones((4, 1)), [0.0]])
    x = np.zeros((2, 4))
    assert model.evaluate(x, [0.0, 0.0]) == pytest.approx(2.0)
    assert model.train_on_batch(x, [0.0, 0.0]) == pytest.approx(2.0)
    np.testing.assert_allclose(model.get_weights()[0], 1 - 0.1 * 1.0, rtol=1e-6)


# ---- batches, orders, weights ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "steps"), [(None, 1), (1, 50), (7, 8), (50, 1), (1000, 1), (np.int64(25), 2)])
def test_batch_sizes(size: Any, steps: int) -> None:
    model = line_model("adam")
    model.fit(X, LINE, batch_size=size, epochs=2, verbose=0)
    assert model.optimizer.iterations == 2 * steps


def test_the_loss_of_an_epoch_is_the_mean_over_samples() -> None:
    """The last, smaller batch counts for less."""
    model = line_model(mw.optimizers.SGD(0.0), metrics=["mse", "mae"])
    p = model.predict(X)[:, 0]
    expected = [((p - LINE) ** 2).mean(), ((p - LINE) ** 2).mean(), np.abs(p - LINE).mean()]
    for size in (None, 7, 49):
        history = model.fit(X, LINE, batch_size=size, verbose=0).history
        assert [history[name][0] for name in ("loss", "mse", "mae")] == pytest.approx(expected, rel=1e-5)
        assert model.evaluate(X, LINE, batch_size=size) == pytest.approx(expected, rel=1e-5)
        np.testing.assert_allclose(model.predict(X, batch_size=size)[:, 0], p, rtol=1e-5, atol=1e-6)


def orders(shuffle: bool) -> list[list[float]]:
    seen: list[float] = []

    class Spy(layers.Layer):
        def call(self, x: mw.Tensor) -> mw.Tensor:
            seen.extend(x.numpy()[:, 0].tolist())
            return x

    mw.seed(0)
    model = mw.Sequential([Spy(), layers.Dense(1)])
    model.compile("sgd", "mse", eager=True)  # the spy reads values
    x = np.arange(10.0)[:, None]
    model.fit(x / 10, x, batch_size=3, epochs=2, shuffle=shuffle, verbose=0)
    return [[round(10 * v) for v in seen[:10]], [round(10 * v) for v in seen[10:]]]


def test_shuffling() -> None:
    assert orders(False) == [list(range(10))] * 2
    first, second = orders(True)
    assert sorted(first) == sorted(second) == list(range(10)) and first != second != list(range(10))


def test_sample_weights() -> None:
    """A weight of 0 leaves a sample out, a weight of 2 counts it twice."""
    keep = np.arange(50) % 2 == 0
    wild = np.where(keep, LINE, 100)
    weighted, halved, doubled = (line_model(mw.optimizers.SGD(0.05)) for _ in range(3))
    weighted.fit(X, wild, sample_weight=2.0 * keep, batch_size=None, epochs=3, verbose=0)
    halved.fit(X[keep], LINE[keep], batch_size=None, epochs=3, verbose=0)
    doubled.fit(np.repeat(X[keep], 2, 0), np.repeat(LINE[keep], 2), batch_size=None, epochs=3, verbose=0)
    for a, b, c in zip(weighted.get_weights(), halved.get_weights(), doubled.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(b, c, rtol=1e-4, atol=1e-6)
    assert weighted.evaluate(X, wild, sample_weight=2.0 * keep) == pytest.approx(halved.evaluate(X[keep], LINE[keep]), rel=1e-4)


def test_class_weights_are_sample_weights() -> None:
    one, two, three = (classifier() for _ in range(3))
    table = {0: 0.5, 1: 2.0, 2: 1.0}
    one.fit(X, LABELS, class_weight=table, shuffle=False, verbose=0)
    two.fit(X, LABELS, sample_weight=[table[y] for y in LABELS], shuffle=False, verbose=0)
    three.fit(X, LABELS, shuffle=False, verbose=0)
    assert bits(one) == bits(two) != bits(three)


def test_the_caller_s_data_is_left_alone() -> None:
    x, y, w = X.copy(), LABELS.copy(), np.ones(50, "float32")
    model = classifier(dropout=0.5)
    model.fit(x, y, sample_weight=w, epochs=2, verbose=0)
    model.evaluate(x, y)
    assert (x == X).all() and (y == LABELS).all() and (w == 1).all()


# ---- validation ------------------------------------------------------------------------------------------------------


def test_validation_data_and_split_say_the_same() -> None:
    one = classifier()
    a = one.fit(X, LABELS, validation_split=0.2, epochs=3, verbose=0).history
    two = classifier()
    b = two.fit(X[:40], LABELS[:40], validation_data=(X[40:], LABELS[40:]), epochs=3, verbose=0).history
    assert a == b and bits(one) == bits(two)
    assert a["val_loss"][-1] == pytest.approx(one.evaluate(X[40:], LABELS[40:])[0])


def test_validation_weights_and_frequency() -> None:
    model = line_model()
    weights = np.arange(50) % 2
    history = model.fit(X, LINE, epochs=5, verbose=0, validation_data=(X, LINE, weights), validation_freq=2).history
    assert len(history["loss"]) == 5 and len(history["val_loss"]) == 2
    again = model.fit(X, LINE, verbose=0, validation_data=[X, LINE, weights]).history
    assert again["val_loss"] == [pytest.approx(model.evaluate(X, LINE, sample_weight=weights))]


def test_dropout_works_in_training_only() -> None:
    model = classifier(dropout=0.9)
    np.testing.assert_array_equal(model.predict(X), model.predict(X))
    np.testing.assert_array_equal(model.predict_on_batch(X), model(X).numpy())
    assert not np.array_equal(model(X, training=True).numpy(), model(X, training=True).numpy())
    model.compile(mw.optimizers.SGD(0.0), "sparse_categorical_crossentropy")
    history = model.fit(X, LABELS, verbose=0, batch_size=None, validation_data=(X, LABELS)).history
    assert history["loss"] != history["val_loss"] == [pytest.approx(model.evaluate(X, LABELS))]


def test_initial_epoch() -> None:
    model = line_model()
    assert model.fit(X, LINE, epochs=5, initial_epoch=3, verbose=0).epoch == [3, 4]
    assert model.fit(X, LINE, epochs=3, initial_epoch=3, verbose=0).history == {}


# ---- answers ---------------------------------------------------------------------------------------------------------


def test_what_evaluate_gives() -> None:
    model = classifier()
    loss, accuracy = model.evaluate(X, LABELS)
    assert model.evaluate(X, LABELS, return_dict=True) == {"loss": loss, "accuracy": accuracy}
    assert accuracy == (model.predict(X).argmax(1) == LABELS).mean()
    assert isinstance(line_model().evaluate(X, LINE), float)


def test_predictions() -> None:
    model = classifier()
    p = model.predict(X, batch_size=7)
    assert type(p) is np.ndarray and p.shape == (50, 3) and p.dtype == np.float32
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(model.predict_on_batch(X), p, rtol=1e-5)
    assert model.predict_on_batch(X[:0]).shape == (0, 3)


def test_predict_before_compile() -> None:
    assert mw.Sequential([layers.Dense(2)]).predict(X).shape == (50, 2)


def test_train_on_batch() -> None:
    one, two = line_model(), line_model()
    loss = one.train_on_batch(X, LINE)
    history = two.fit(X, LINE, batch_size=None, shuffle=False, verbose=0)
    assert isinstance(loss, float) and history.history["loss"] == [loss] and bits(one) == bits(two)
    one.train_on_batch(X, LINE, sample_weight=np.zeros(50))
    assert bits(one) == bits(two)


def test_fit_returns_its_history_and_keeps_it() -> None:
    model = line_model()
    assert model.fit(X, LINE, verbose=0) is model.history


def test_compiling_again_changes_the_optimizer_and_not_the_weights() -> None:
    model = line_model("adam", metrics=["mae"])
    before = bits(model)
    model.compile("sgd", "mae")
    assert bits(model) == before and type(model.optimizer) is mw.optimizers.SGD and list(model.metrics) == []


def test_a_function_as_loss() -> None:
    model = line_model()
    model.compile("sgd", lambda y_true, y_pred: (y_pred - y_true.reshape(-1, 1)).square())
    other = line_model()
    assert model.fit(X, LINE, verbose=0, shuffle=False).history == other.fit(X, LINE, verbose=0, shuffle=False).history


# ---- reproducible ----------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_bits() -> None:
    def train(seed: int) -> list[bytes]:
        model = classifier(64, seed, dropout=0.3)
        model.fit(X, LABELS, epochs=3, batch_size=8, verbose=0)
        return bits(model)

    assert train(1) == train(1) != train(2)


@pytest.mark.usefixtures("c_only")
def test_any_number_of_threads_gives_the_same_bits() -> None:
    """Layers wide enough that threads are worth their start."""
    x, y = RNG.normal(size=(256, 300)).astype("float32"), RNG.integers(0, 10, 256)
    found = set()
    for threads in (1, 2, 3):
        machine.set_num_threads(threads)
        mw.seed(0)
        model = mw.Sequential(
            [layers.Dense(400, "relu"), layers.Dropout(0.3), layers.Dense(200, "tanh"), layers.Dense(10, "softmax")]
        )
        model.compile("adam", "sparse_categorical_crossentropy")
        model.fit(x, y, batch_size=128, epochs=2, verbose=0)
        found.add(b"".join(bits(model)))
    assert len(found) == 1


def test_all_settings_agree(dtype: str) -> None:
    """C, on any instruction set, and the NumPy twins: the same training to within rounding."""
    from helpers import SETTINGS

    results = []
    for name in SETTINGS:
        with running_on(name):
            model = classifier(dtype=dtype, dropout=0.2)
            history = model.fit(X, LABELS, epochs=5, batch_size=10, verbose=0)
            results.append([*model.get_weights(), np.array(history.history["loss"])])
    tolerance = {"rtol": 1e-3, "atol": 1e-4} if dtype == "float32" else {"rtol": 1e-10, "atol": 1e-12}
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_allclose(a, b, **tolerance)


def test_two_models_do_not_disturb_each_other() -> None:
    alone = classifier(seed=1)
    alone.fit(X, LABELS, epochs=4, shuffle=False, verbose=0)
    one, other = classifier(seed=1), line_model()
    for epoch in range(4):
        one.fit(X, LABELS, shuffle=False, epochs=epoch + 1, initial_epoch=epoch, verbose=0)
        other.fit(X, LINE, verbose=0)
    assert bits(one) == bits(alone)


# ---- freezing --------------------------------------------------------------------------------------------------------


def test_frozen_layers_stay_as_they_are() -> None:
    model = classifier()
    before = model.get_weights()
    model.layers[0].trainable = False
    model.fit(X, LABELS, epochs=2, verbose=0)
    after = model.get_weights()
    assert [a.tobytes() == b.tobytes() for a, b in zip(before, after, strict=True)] == [True, True, False, False]
    model.layers[0].trainable = True
    model.fit(X, LABELS, verbose=0)
    assert model.get_weights()[0].tobytes() != after[0].tobytes()


def test_a_model_that_is_frozen_whole() -> None:
    model = classifier()
    model.trainable = False
    before = bits(model)
    history = model.fit(X, LABELS, epochs=2, shuffle=False, verbose=0).history
    assert bits(model) == before and history["loss"][0] == history["loss"][1]


# ---- what is shown ---------------------------------------------------------------------------------------------------


def test_verbose_2_is_a_line_for_each_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    classifier().fit(X, LABELS, epochs=2, verbose=2, validation_split=0.2)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert re.fullmatch(r"epoch 2/2 .* s  loss: [\d.]+  accuracy: [\d.]+  val_loss: [\d.]+  val_accuracy: [\d.]+", lines[1])


def test_verbose_0_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    model = classifier()
    model.fit(X, LABELS, verbose=0)
    model.evaluate(X, LABELS)
    model.predict(X)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_verbose_1_is_a_bar(capsys: pytest.CaptureFixture[str]) -> None:
    classifier().fit(X, LABELS, epochs=3, batch_size=10, verbose=1)
    captured = capsys.readouterr()
    assert "epoch 1/3" in captured.err and "%|" in captured.err
    assert re.fullmatch(
        r"epoch 3/3 .* s  loss: [\d.]+  accuracy: [\d.]+\n", captured.out
    )  # in full, whatever the terminal's width


def test_without_a_terminal_there_is_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    classifier().fit(X, LABELS)
    captured = capsys.readouterr()
    assert captured.err == "" and captured.out.startswith("epoch 1/1")


# ---- what goes wrong -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("act", ["fit", "evaluate", "train_on_batch"])
def test_before_compile(act: str) -> None:
    model = mw.Sequential([layers.Dense(1)])
    with pytest.raises(RuntimeError, match=r"Call compile\(optimizer, loss\) first"):
        getattr(model, act)(X, LINE)
    model.compile("sgd")
    with pytest.raises(RuntimeError, match="a compiled model with a loss"):
        getattr(model, act)(X, LINE)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("sdg", "mse"), "an optimizer"), (("sgd", "msee"), "a loss"), (("sgd", "mse", None, ["acuracy"]), "a metric"),
     (("sgd", "mse", None, [3]), "a metric"), (("sgd", "mse", ["accuracy"]), "`loss_weights` to be numbers"),
     ((None, "mse"), "an optimizer"), (("sgd", 3), "a loss")],
)  # fmt: skip
def test_compile_refuses_and_keeps_what_was(arguments: Any, message: str) -> None:
    model = line_model("adam")
    optimizer = model.optimizer
    with pytest.raises((ValueError, TypeError), match=f"Expected {message}"):
        model.compile(*arguments)
    assert model.optimizer is optimizer and model.loss is not None
    model.fit(X, LINE, verbose=0)


BAD_DATA: dict[str, tuple[Any, Any, dict[str, Any], type[Exception], str]] = {
    "no x": (None, LINE, {}, ValueError, "`x` to be an array"),
    "no y": (X, None, {}, ValueError, "targets `y`"),
    "empty": (X[:0], LINE[:0], {}, ValueError, "at least one sample"),
    "scalar": (1.0, 1.0, {}, ValueError, "at least one sample"),
    "ragged": ([[1.0] * 4, [1.0]], [1.0, 2.0], {}, ValueError, "rows of one length"),
    "strings": (X.astype(str), LINE, {}, TypeError, "numbers"),
    "objects": (X.astype(object), LINE, {}, TypeError, "numbers"),
    "string targets": (X, LINE.astype(str), {}, TypeError, "numbers"),
    "lengths": (X, LINE[:-1], {}, ValueError, "50 rows of x and 49 of y"),
    "width": (X[:, :3], LINE, {}, ValueError, r"Expected inputs of shape \(samples, ..., 4\) for 'dense'"),
    "axes": (X[:48].reshape(24, 2, 4), LINE[:24], {}, ValueError, "Expected targets of the predictions' shape"),
    "vector": (X[:, 0], LINE, {}, ValueError, "Expected"),
    "target width": (X, np.zeros((50, 2)), {}, ValueError, "Expected targets of the predictions' shape"),
    "batch size 0": (X, LINE, {"batch_size": 0}, ValueError, "`batch_size`"),
    "batch size text": (X, LINE, {"batch_size": "32"}, ValueError, "`batch_size`"),
    "epochs 0": (X, LINE, {"epochs": 0}, ValueError, "`epochs`"),
    "epochs 1.5": (X, LINE, {"epochs": 1.5}, ValueError, "`epochs`"),
    "initial epoch": (X, LINE, {"initial_epoch": -1}, ValueError, "`initial_epoch`"),
    "frequency": (X, LINE, {"validation_freq": 0}, ValueError, "`validation_freq`"),
    "verbose": (X, LINE, {"verbose": 3}, ValueError, "`verbose`"),
    "weights' length": (X, LINE, {"sample_weight": [1.0]}, ValueError, "50 rows of x and 1 of sample_weight"),
    "weights' axes": (X, LINE, {"sample_weight": np.ones((50, 1))}, ValueError, "`sample_weight`"),
    "weights of text": (X, LINE, {"sample_weight": ["a"] * 50}, TypeError, "numbers"),
    "split 1": (X, LINE, {"validation_split": 1.0}, ValueError, "`validation_split`"),
    "split -1": (X, LINE, {"validation_split": -0.5}, ValueError, "`validation_split`"),
    "validation array": (X, LINE, {"validation_data": X}, ValueError, "`validation_data`"),
    "validation x": (X, LINE, {"validation_data": (X,)}, ValueError, "`validation_data`"),
    "validation four": (X, LINE, {"validation_data": (X, LINE, LINE, LINE)}, ValueError, "`validation_data`"),
    "validation lengths": (X, LINE, {"validation_data": (X, LINE[:3])}, ValueError, "as many rows"),
    "validation None": (X, LINE, {"validation_data": (X, None)}, ValueError, "targets `y`"),
}


@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_data_is_explained_and_changes_nothing(case: str) -> None:
    x, y, options, error, message = BAD_DATA[case]
    model = line_model()
    before = bits(model)
    with pytest.raises(error, match=message):
        model.fit(x, y, **{"verbose": 0, **options})
    assert bits(model) == before
    assert np.isfinite(model.fit(X, LINE, verbose=0).history["loss"][0])


@pytest.mark.parametrize("data", [(X[:, :3], LINE), (X, np.zeros((50, 2)))], ids=["inputs", "targets"])
def test_validation_data_of_another_width_changes_nothing(data: Any) -> None:
    model = line_model()
    before = bits(model)
    with pytest.raises(ValueError, match="Expected"):
        model.fit(X, LINE, verbose=0, validation_data=data)
    assert bits(model) == before


@pytest.mark.parametrize("label", [-1, 3, 2**33])
def test_labels_out_of_range_change_nothing(label: int) -> None:
    model, y = classifier(), LABELS.copy()
    before = bits(model)
    y[20] = label
    with pytest.raises(ValueError, match=f"labels from 0 to 2. Received: label {label}"):
        model.fit(X, y, verbose=0, batch_size=None)
    assert bits(model) == before


def test_labels_out_of_range_in_a_later_batch_change_nothing() -> None:
    model, y = classifier(), LABELS.copy()
    before = bits(model)
    y[45] = 3
    with pytest.raises(ValueError, match="label 3 at index 45"):
        model.fit(X, y, verbose=0, batch_size=10, shuffle=False)
    assert bits(model) == before


@pytest.mark.usefixtures("setting")
@pytest.mark.parametrize(
    ("where", "value"),
    [*itertools.product(["input data", "targets", "weights 'dense.kernel'"], [np.nan, np.inf, -np.inf])],
)
def test_numbers_that_are_not_finite(where: str, value: float) -> None:
    model = line_model()
    before, (x, y) = model.get_weights(), (X.copy(), LINE.copy())
    if where == "input data":
        x[3, 1] = value
    elif where == "targets":
        y[3] = value
    else:
        before[0][1, 0] = value
        model.set_weights(before)
    with pytest.raises(FloatingPointError, match=f"first in the {where}.*The weights were not updated"):
        model.fit(x, y, verbose=0, batch_size=None)
    assert bits(model) == [w.tobytes() for w in before]


@pytest.mark.usefixtures("setting")
def test_the_first_layer_that_overflows_is_named() -> None:
    model = mw.Sequential(
        [
            mw.Input((4,)),
            layers.Dense(4, name="calm"),
            mw.Sequential([layers.Dense(4, name="wild")]),
            layers.Dense(1, name="after"),
        ]
    )
    model.compile("sgd", "mse")
    model.set_weights([np.full_like(w, {0: 1.0, 2: 3e38}.get(i, 0.0)) for i, w in enumerate(model.get_weights())])
    with pytest.raises(FloatingPointError, match="first in the output of layer 'wild'"):
        model.fit(np.full((4, 4), 10.0), np.zeros(4), verbose=0)
    model.fit(np.zeros((4, 4)), np.zeros(4), verbose=0)


def test_a_loss_that_overflows_is_named() -> None:
    with pytest.raises(FloatingPointError, match="first in the loss"):
        line_model().fit(1e30 * X, LINE, verbose=0)


def test_divergence_stops_before_the_weights_are_lost() -> None:
    model = line_model(mw.optimizers.SGD(1e6))
    with pytest.raises(FloatingPointError, match="lower the learning rate"):
        model.fit(X, LINE, epochs=100, verbose=0)
    assert all(np.isfinite(w).all() for w in model.get_weights())


@pytest.mark.parametrize("hook", ["on_train_batch_end", "on_epoch_begin", "on_epoch_end"])
def test_ctrl_c_leaves_a_usable_model(hook: str) -> None:
    def interrupt(self: Callback, *_: Any) -> None:
        raise KeyboardInterrupt

    model = classifier()
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, LABELS, epochs=5, verbose=1, callbacks=[type("Interrupt", (Callback,), {hook: interrupt})()])
    assert np.isfinite(model.evaluate(X, LABELS)[0])
    model.fit(X, LABELS, verbose=0)


def test_sizes_beyond_any_memory_are_refused() -> None:
    """2³¹ rows of 2²⁹ numbers, which take no memory here because they are one number repeated."""
    vast = np.broadcast_to(np.float32(1), (2**31, 2**29))
    model = line_model()
    before = bits(model)
    with pytest.raises((ValueError, MemoryError)):
        model.fit(vast, LINE, verbose=0)
    assert bits(model) == before
    with pytest.raises((ValueError, MemoryError)):
        layers.Dense(2**34)(vast[:1])


# ---- replayed and eager ----------------------------------------------------------------------------------------------


class Mode(mw.metrics.Metric):
    """A metric that is not made of operations on tensors: it sees the predictions themselves."""

    def reset_state(self) -> None:
        self.seen: list[float] = []

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        assert y_pred.shape[:1] == y_true.shape[:1]
        self.seen += (y_pred.numpy()[:, 0] * (y_true.numpy().reshape(len(y_pred), -1)[:, 0] + 1)).tolist()

    def result(self) -> float:
        return float(np.mean(self.seen))


def trained(eager: bool, **options: Any) -> list[Any]:
    mw.seed(5)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(130, 6)).astype(np.float32), rng.integers(0, 3, 130)
    row = [mw.Input((6,)), layers.Dense(8, activation="relu", kernel_regularizer="l2"), layers.Dropout(0.2, seed=1)]
    model = mw.Sequential([*row, layers.Dense(3, activation="softmax")])
    metrics = ["accuracy", mw.metrics.SparseCategoricalAccuracy(), Mode()]
    model.compile(mw.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=metrics, eager=eager)
    history = model.fit(x, y, epochs=5, verbose=0, validation_split=0.1, **options).history
    more = [model.train_on_batch(x[:9], y[:9], np.ones(9)) for _ in range(4)]
    results = [model.evaluate(x, y, batch_size=50) for _ in range(3)]
    return [history, more, results, model.predict(x, batch_size=7).tobytes(), [w.tobytes() for w in model.get_weights()]]


@pytest.mark.parametrize(
    "options",
    [{"batch_size": 8}, {"batch_size": None}, {"batch_size": 32, "shuffle": False}, {"class_weight": {0: 2, 1: 1, 2: 0.5}}],
)
def test_a_replayed_training_has_the_bits_of_an_eager_one(options: dict[str, Any], setting: str) -> None:
    assert trained(eager=False, **options) == trained(eager=True, **options)


def test_replayed_steps_come_many_at_once_and_stop_where_the_data_is_bad(setting: str) -> None:
    x, y = np.ones((4000, 2), np.float32), np.ones((4000, 1), np.float32)
    x[3333] = np.nan
    model = mw.Sequential([mw.Input((2,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(FloatingPointError, match="first in the input data"):
        model.fit(x, y, batch_size=4, shuffle=False, verbose=0)
    assert model.optimizer.iterations == 833
    assert all(np.isfinite(w).all() for w in model.get_weights())


def test_a_layer_changed_between_epochs_is_seen(setting: str) -> None:
    class Rise(mw.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.model.layers[0].rate = 0.0 if epoch < 3 else 0.9

    results = []
    for eager in (False, True):
        mw.seed(2)
        model = mw.Sequential([layers.Dropout(0.0, seed=3), layers.Dense(1)])
        model.compile("sgd", "mse", eager=eager)
        fitted = model.fit(np.ones((40, 3)), np.ones(40), batch_size=4, epochs=6, verbose=0, callbacks=Rise())
        results.append(fitted.history)
    assert results[0] == results[1]
    assert results[0]["loss"][-1] > 2 * results[0]["loss"][2]


def test_predictions_follow_every_change_of_the_model(setting: str) -> None:
    model = mw.Sequential([mw.Input((2,)), layers.Dense(2, kernel_initializer="ones")])
    x = np.ones((1, 2), np.float32)
    for _ in range(4):
        assert model.predict(x).tolist() == [[2.0, 2.0]]
    model.set_weights([np.full((2, 2), 3.0), np.zeros(2)])
    assert model.predict(x).tolist() == [[6.0, 6.0]]
    model.layers[0].kernel = mw.tensor(np.full((2, 2), 4.0, np.float32), requires_grad=True)
    assert model.predict(x).tolist() == [[8.0, 8.0]]
    model.add(layers.Dense(1, kernel_initializer="ones"))
    assert [model.predict(x).tolist() for _ in range(4)] == [[[16.0]]] * 4
    model.pop()
    assert model.predict(x).tolist() == [[8.0, 8.0]]


def test_a_loss_that_reads_values_asks_for_eager(c_only: str) -> None:
    def loss(y_true: mw.Tensor, y_pred: mw.Tensor) -> mw.Tensor:
        scale = float(y_pred.numpy().std()) + 1
        return (y_true - y_pred).square() / scale

    model = mw.Sequential([mw.Input((2,)), layers.Dense(1)])
    model.compile("sgd", loss)
    with pytest.raises(mw.errors.CaptureError, match="eager=True"):
        model.fit(np.ones((8, 2)), np.ones(8), verbose=0)
    model.compile("sgd", loss, eager=True)
    model.fit(np.ones((8, 2)), np.ones(8), verbose=0)


def test_explain_shows_the_program_and_leaves_the_model_alone(c_only: str) -> None:
    model = mw.Sequential([mw.Input((2,)), layers.Dense(3, activation="relu"), layers.Dense(1)])
    model.compile("adam", "mse")
    with pytest.raises(RuntimeError, match="captured step"):
        model.explain()
    model.fit(np.ones((40, 2)), np.ones(40), batch_size=10, epochs=2, verbose=0)
    before, steps = [w.tobytes() for w in model.get_weights()], model.optimizer.iterations
    text = model.explain()
    assert "gemm" in text and "adam" in text and "floor" in text and "GFLOP/s" in text
    assert [w.tobytes() for w in model.get_weights()] == before
    assert model.optimizer.iterations == steps
    model.compile("adam", "mse", eager=True)
    model.fit(np.ones((40, 2)), np.ones(40), verbose=0)
    with pytest.raises(RuntimeError, match="eager=True"):
        model.explain()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("parts", [2, 3, 16, 40])
def test_gradients_in_parts_make_the_same_update(parts: int, weighted: bool, setting: str) -> None:
    """With penalties, weights of samples, metrics, and a last batch that does not divide; replays have the bits of eager."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(42, 5)).astype(np.float32), rng.integers(0, 3, 42)
    weights = rng.uniform(0.5, 2, 42) if weighted else None
    found = []
    for steps, eager in ((1, False), (parts, False), (parts, True)):
        mw.seed(0)
        model = mw.Sequential(
            [mw.layers.Dense(8, activation="tanh", kernel_regularizer="l2"), mw.layers.Dense(3, activation="softmax")]
        )
        model.compile(
            mw.optimizers.SGD(0.1),
            "sparse_categorical_crossentropy",
            metrics=["accuracy"],
            eager=eager,
            gradient_accumulation_steps=steps,
        )
        history = model.fit(x, y, batch_size=16, epochs=6, sample_weight=weights, verbose=0).history
        found.append((model.get_weights(), history))
    for w, other, bits in zip(*(weights for weights, _ in found), strict=True):
        np.testing.assert_allclose(other, w, rtol=1e-4, atol=1e-6)
        assert other.tobytes() == bits.tobytes()
    np.testing.assert_allclose(found[1][1]["loss"], found[0][1]["loss"], rtol=1e-5)
    np.testing.assert_allclose(found[1][1]["accuracy"], found[0][1]["accuracy"], atol=0.03)
    with pytest.raises(ValueError, match="gradient_accumulation_steps"):
        model.compile("sgd", "mse", gradient_accumulation_steps=0)


def test_weights_of_classes_are_for_learning_alone() -> None:
    model = classifier()
    options: dict[str, Any] = {"epochs": 1, "verbose": 0, "shuffle": False, "class_weight": {0: 100.0, 1: 100.0, 2: 100.0}}
    loss = model.fit(X, LABELS, validation_split=0.2, **options).history["val_loss"][0]
    assert loss == pytest.approx(model.evaluate(X[40:], LABELS[40:], return_dict=True)["loss"], rel=1e-5)


def test_validation_that_is_not_finite_is_told_of() -> None:
    model, other = line_model(), X.copy()
    other[41, 2] = np.nan
    with pytest.warns(UserWarning, match="first in the input data"):
        history = model.fit(X, LINE, verbose=0, validation_data=(other, LINE), batch_size=8)
    assert np.isnan(history.history["val_loss"][0]) and np.isfinite(history.history["loss"][0])


def test_targets_without_a_minimum_are_refused() -> None:
    for loss, units in (("binary_crossentropy", 1), ("categorical_crossentropy", 3)):
        model = mw.Sequential([mw.layers.Dense(units, activation="sigmoid" if units == 1 else "softmax", input_shape=(4,))])
        model.compile("sgd", loss)
        y = np.ones((50, units))
        model.fit(X, y, verbose=0)
        y[30] = -1
        for bad in (y, 1 - y):
            before = [w.copy() for w in model.get_weights()]
            with pytest.raises(ValueError, match="targets from 0 to 1"):
                model.fit(X, bad, verbose=0)
            assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))


def test_a_history_holds_little_of_the_data() -> None:
    x = np.zeros((5000, 4), np.float32)
    sample = line_model().fit(x, x[:, 0], verbose=0).sample
    assert sample is not None and sample.x.base is None and len(sample) == 512


# ---- what fit looks at, tells and leaves alone -----------------------------------------------------------------------


class Calls(layers.Layer):
    """Counts its calls in a tensor, which replays count on."""

    def __init__(self) -> None:
        super().__init__()
        self.count = mw.tensor(0.0)

    def call(self, x: mw.Tensor) -> mw.Tensor:
        self.count.assign(self.count + 1)
        return x


def test_fit_runs_a_model_as_often_as_it_trains_and_validates_it(setting: str) -> None:
    x, y, calls = numbers(12, 2), numbers(12, 1, seed=1), Calls()
    model = mw.Sequential([calls, layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"])
    model.fit(x, y, epochs=4, batch_size=4, verbose=0)
    assert calls.count.item() == 12
    for _ in range(4):
        model.fit(x, y, batch_size=4, validation_data=(x[:4], y[:4]), verbose=0)
    assert calls.count.item() == 12 + 4 * (3 + 1)
    for _ in range(4):
        model.train_on_batch(x, y), model.test_on_batch(x, y), model.predict_on_batch(x)
    assert calls.count.item() == 28 + 12


def test_a_loss_may_pair_the_samples_of_a_batch(setting: str) -> None:
    def pairs(y: mw.Tensor, p: mw.Tensor) -> mw.Tensor:
        sign = mw.tensor([1.0, -1.0])
        return (1 - (y.reshape(-1, 2) * sign).sum(1) * (p.reshape(-1, 2) * sign).sum(1)).relu()

    x, y = numbers(16, 2), numbers(16, 1, seed=1)
    histories = []
    for eager in (False, True):
        mw.seed(0)
        model = mw.Sequential([layers.Dense(1)])
        model.compile("sgd", pairs, eager=eager)
        histories.append(model.fit(x, y, batch_size=4, epochs=4, verbose=0).history)
    assert histories[0] == histories[1] and histories[0]["loss"][-1] < histories[0]["loss"][0]


@pytest.mark.parametrize("hook", ["on_train_batch_begin", "on_train_batch_end", "on_epoch_begin"])
def test_evaluate_in_a_callback_leaves_the_epoch_s_numbers_alone(hook: str) -> None:
    def look(self: Any, number: int, logs: Any = None) -> None:
        assert self.model.evaluate(np.zeros((100, 1)), np.ones(100)) == [1.0, 1.0]
        self.model.train_on_batch(np.zeros((2, 1)), np.ones(2))

    model = mw.Sequential([layers.Dense(1, kernel_initializer="zeros", input_shape=(1,))])
    model.compile(mw.optimizers.SGD(0.0), "mse", metrics=["mae"])
    look_around = type("LookAround", (mw.callbacks.Callback,), {hook: look})()
    found = model.fit(np.zeros((8, 1)), np.full(8, 3.0), batch_size=2, verbose=0, callbacks=[look_around])
    assert found.history == {"loss": [9.0], "mae": [3.0]}


def test_steps_of_an_epoch_and_of_its_validation() -> None:
    seen: list[int] = []
    model = line_model()

    class Batches(mw.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append(batch)

    history = model.fit(
        X, LINE, batch_size=10, epochs=2, steps_per_epoch=3, verbose=0, callbacks=[Batches()],
        validation_data=(X, LINE), validation_steps=2, validation_batch_size=5,
    )  # fmt: skip
    assert seen == [0, 1, 2, 0, 1, 2] and len(history.history["val_loss"]) == 2
    assert history.history["val_loss"][-1] == pytest.approx(model.evaluate(X[:10], LINE[:10]), rel=1e-5)
    assert model.evaluate(X, LINE, batch_size=5, steps=2) == pytest.approx(model.evaluate(X[:10], LINE[:10]), rel=1e-5)
    assert model.predict(X, batch_size=5, steps=2).shape == (10, 1)


def test_steps_per_epoch_go_through_all_samples_before_any_comes_again() -> None:
    seen: list[float] = []

    class Spy(layers.Layer):
        def call(self, x: mw.Tensor) -> mw.Tensor:
            seen.extend(x.numpy()[:, 0].tolist())
            return x

    model = mw.Sequential([Spy(), layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    x = np.arange(12.0)[:, None]
    model.fit(x / 12, x, batch_size=2, epochs=4, steps_per_epoch=3, verbose=0)
    assert len(seen) == 24
    for half in (seen[:12], seen[12:]):
        assert sorted(round(12 * v) for v in half) == list(range(12))


def test_what_calls_of_one_batch_give() -> None:
    model = mw.Sequential([layers.Dense(1, kernel_initializer="zeros", input_shape=(1,))])
    model.compile(mw.optimizers.SGD(0.0), "mse", metrics=["mae"])
    x, y = np.zeros((4, 1)), np.full(4, 3.0)
    for _ in range(4):  # of this batch alone, however many came before
        assert model.train_on_batch(x, y) == [9.0, 3.0]
        assert model.test_on_batch(x, y, return_dict=True) == {"loss": 9.0, "mae": 3.0}
        assert model.train_on_batch(x, y, class_weight={3: 2.0}) == [18.0, 3.0]
    model.compile(mw.optimizers.SGD(0.0), "mse", weighted_metrics=["mae"])
    assert model.evaluate(x, [0.0, 1.0, 2.0, 3.0], sample_weight=[0.0, 0.0, 1.0, 1.0]) == [13 / 4, 2.5]
    model.compile(mw.optimizers.SGD(0.0), "mse")
    assert model.train_on_batch(x, y) == model.test_on_batch(x, y) == 9.0
    assert model.train_on_batch(x, y, return_dict=True) == {"loss": 9.0}


def untrained() -> dict[str, tuple[Any, Any, str]]:
    """Models and losses that train nothing, or not what one would think."""

    class Listed(mw.Model):
        def __init__(self) -> None:
            super().__init__()
            self.tensors = {1: (mw.tensor([[0.1], [0.1]], requires_grad=True),)}

        def call(self, x: mw.Tensor) -> mw.Tensor:
            return x @ self.tensors[1][0]

    class Holder:
        pass

    class Hidden(mw.Model):
        def __init__(self) -> None:
            super().__init__()
            self.holder = Holder()
            self.holder.layer = layers.Dense(1)  # type: ignore[attr-defined]

        def call(self, x: mw.Tensor) -> mw.Tensor:
            return self.holder.layer(x)  # type: ignore[attr-defined]

    class Half(mw.Model):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.idle = layers.Dense(1), layers.Dense(1)

        def call(self, x: mw.Tensor) -> mw.Tensor:
            return self.used(x) + self.idle(x).detach()

    frozen = mw.Sequential([layers.Dense(1, input_shape=(2,))])
    frozen.trainable = False
    plain = mw.Sequential([layers.Dense(1, input_shape=(2,))])
    return {
        "weights in containers": (Listed(), "mse", "1 tensors that require gradients and are no weights"),
        "layers in objects": (Hidden(), "mse", "2 tensors that require gradients and are no weights"),
        "frozen": (frozen, "mse", "no weights to train"),
        "threshold": (plain, lambda y, p: ((p > 0).astype("float32") - y).square(), "depends on no weight"),
        "detached": (plain, lambda y, p: (p.detach() - y).square(), "depends on no weight"),
        "half": (Half(), "mse", r"does not depend on the weights \['idle.kernel', 'idle.bias'\]"),
    }


@pytest.mark.parametrize("how", untrained())
def test_training_that_trains_nothing_says_so(how: str, setting: str) -> None:
    model, loss, message = untrained()[how]
    model.compile("sgd", loss)
    x, y = numbers(20, 2), numbers(20, 1, seed=1)
    with pytest.warns(UserWarning, match=message):
        model.fit(x, y, batch_size=5, epochs=2, verbose=0)
    model.compile("sgd", loss)
    with pytest.warns(UserWarning, match=message):
        model.train_on_batch(x, y)


@pytest.mark.parametrize("reduction", ["sum", "sum_over_batch_size"])
def test_parts_of_a_batch_make_the_step_of_the_whole(reduction: str, setting: str) -> None:
    x, y = numbers(12, 3), numbers(12, 2, seed=1)
    found = []
    for parts in (1, 3):
        mw.seed(0)
        model = mw.Sequential([layers.Dense(2, kernel_regularizer="l2")])
        loss = mw.losses.MeanSquaredError(reduction)
        model.compile(mw.optimizers.SGD(0.01), loss, gradient_accumulation_steps=parts)
        losses = [model.train_on_batch(x, y) for _ in range(4)]
        found.append((losses, model.get_weights()[0]))
    (losses, kernel), (others, other) = found
    assert losses == pytest.approx(others, rel=1e-5)
    np.testing.assert_allclose(kernel, other, rtol=1e-4, atol=1e-6)
