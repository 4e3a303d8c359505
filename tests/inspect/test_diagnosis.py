"""history.diagnose() measures what was made to be there: a gap, dead units, vanishing and exploding gradients, a NaN."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import microweights as mw
from microweights.callbacks import History
from microweights.layers import Activation, Dense


def trained(layers: list[Any], x: Any, y: Any, epochs: int = 3, **options: Any) -> Any:
    mw.seed(0)
    model = mw.Sequential(layers)
    model.compile(mw.optimizers.Adam(0.01), "mse")
    return model.fit(x, y, epochs=epochs, verbose=0, **options)


def data(n: int = 60, columns: int = 5) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, columns)).astype(np.float32)
    return x, rng.normal(size=(n, 1)).astype(np.float32)


def test_a_gap(setting: str) -> None:
    """Noise can be learned by heart, but not foreseen."""
    x, y = data()
    found = trained([Dense(64, activation="relu"), Dense(1)], x, y, 150, validation_data=data(40)).diagnose()
    assert found.epochs == 150 and found.gap == found.val_loss - found.loss > 0.3
    assert found.best_epoch < 100
    assert "gap" in str(found) and "none" in str(found)
    assert np.isnan(trained([Dense(1)], x, y).diagnose().val_loss)


def test_units_that_do_nothing(setting: str) -> None:
    x, y = data()
    history = trained([Dense(8, activation="relu"), Dense(1)], x, y)
    w, b, *rest = history.model.get_weights()
    b[:3] = -1e3
    history.model.set_weights([w, b, *rest])
    first, last = history.diagnose().layers
    assert (first.units, first.constant_units) == (8, 3) and last.constant_units == 0
    w[:], b[:] = 0, 50
    history.model.layers[0].activation = mw.Tensor.sigmoid
    history.model.set_weights([w, b, *rest])
    assert history.diagnose().layers[0].constant_units == 8


@pytest.mark.parametrize(("scale", "vanishes"), [(0.02, True), (2.0, False)])
def test_gradients_that_vanish_or_explode(scale: float, vanishes: bool) -> None:
    x, y = data()
    start = mw.initializers.RandomNormal(stddev=scale)
    layers = [layer for _ in range(8) for layer in (Dense(20, kernel_initializer=start), Activation("relu"))]
    history = trained([*layers, Dense(1)], x, y, epochs=1)
    history.model.set_weights([start(w.shape, w.dtype) if w.ndim > 1 else w for w in history.model.get_weights()])
    with_weights = [r for r in history.diagnose().layers if r.weights]
    assert len(with_weights) == 9
    first, last = with_weights[0], with_weights[-1]
    assert (first.gradient < 1e-6) if vanishes else (first.gradient > 1e6)
    x64 = mw.tensor(x)
    model = history.model
    gradient = mw.grad(mw.losses.MeanSquaredError()(y, model(x64)), model.layers[-1].weights[0]).numpy()
    bias = mw.grad(mw.losses.MeanSquaredError()(y, model(x64)), model.layers[-1].weights[1]).numpy()
    assert last.gradient == pytest.approx(np.sqrt((gradient**2).sum() + (bias**2).sum()), rel=1e-4)


def test_what_is_not_finite() -> None:
    x, y = data()
    history = trained([Dense(4), Dense(1)], x, y)
    weights = history.model.get_weights()
    weights[2][0] = np.inf
    history.model.set_weights(weights)
    assert "dense_1.kernel" in str(history.diagnose().first_nonfinite)


def test_a_history_without_a_training() -> None:
    with pytest.raises(RuntimeError, match="fit"):
        History().diagnose()


def test_looking_changes_nothing() -> None:
    x, y = data()
    layers = [Dense(8, activation="relu"), mw.layers.Dropout(0.5, seed=1), Dense(1)]
    history = trained(layers, x, y)
    twin = copy.deepcopy(history.model)
    history.diagnose()
    for model in (history.model, twin):
        model.fit(x, y, epochs=1, shuffle=False, verbose=0)
    for a, b in zip(history.model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_best_epoch() -> None:
    x, y = data()
    history = trained([Dense(1)], x, y, 6, validation_data=data(), validation_freq=3)
    assert history.validated == [2, 5]
    assert history.diagnose().best_epoch == (3 if np.argmin(history.history["val_loss"]) == 0 else 6)
    history.history["val_loss"] = [0.5, float("nan")]
    assert history.diagnose().best_epoch == 3


def test_epochs_are_counted_as_they_are_called() -> None:
    x, y = data()
    model = mw.Sequential([Dense(1, input_shape=(5,))])
    model.compile("sgd", "mse")
    found = model.fit(x, y, initial_epoch=5, epochs=8, verbose=0).diagnose()
    assert found.epochs == 8 >= found.best_epoch > 5
    assert model.fit(x, y, initial_epoch=1, epochs=1, verbose=0).diagnose().epochs == 0
