"""compile, fit, evaluate, predict: what is learned, from which batches, and what comes back."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from helpers import LABELS, LINE, X, classifier, line_model, weight_bits

import microweights as mw
from microweights.datasets import load_digits

layers = mw.layers
RNG = np.random.default_rng(0)


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
    assert weight_bits(one) == weight_bits(two) != weight_bits(three)


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
    assert a == b and weight_bits(one) == weight_bits(two)
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
    assert isinstance(loss, float) and history.history["loss"] == [loss] and weight_bits(one) == weight_bits(two)
    one.train_on_batch(X, LINE, sample_weight=np.zeros(50))
    assert weight_bits(one) == weight_bits(two)


def test_fit_returns_its_history_and_keeps_it() -> None:
    model = line_model()
    assert model.fit(X, LINE, verbose=0) is model.history


def test_compiling_again_changes_the_optimizer_and_not_the_weights() -> None:
    model = line_model("adam", metrics=["mae"])
    before = weight_bits(model)
    model.compile("sgd", "mae")
    assert weight_bits(model) == before and type(model.optimizer) is mw.optimizers.SGD and list(model.metrics) == []


def test_a_function_as_loss() -> None:
    model = line_model()
    model.compile("sgd", lambda y_true, y_pred: (y_pred - y_true.reshape(-1, 1)).square())
    other = line_model()
    assert model.fit(X, LINE, verbose=0, shuffle=False).history == other.fit(X, LINE, verbose=0, shuffle=False).history


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
    before = weight_bits(model)
    history = model.fit(X, LABELS, epochs=2, shuffle=False, verbose=0).history
    assert weight_bits(model) == before and history["loss"][0] == history["loss"][1]
