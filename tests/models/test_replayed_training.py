"""Trainings can be repeated bit by bit, replayed or eager, on any number of threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import LABELS, LINE, X, classifier, line_model, running_on, weight_bits

import microweights as mw
from microweights.kernels import machine

layers = mw.layers
RNG = np.random.default_rng(0)


# ---- reproducible ----------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_bits() -> None:
    def train(seed: int) -> list[bytes]:
        model = classifier(64, seed, dropout=0.3)
        model.fit(X, LABELS, epochs=3, batch_size=8, verbose=0)
        return weight_bits(model)

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
        found.add(b"".join(weight_bits(model)))
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
    assert weight_bits(one) == weight_bits(alone)


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
