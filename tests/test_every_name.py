"""Every public name is fitted with: what a replayed training tells is what an eager one does, and what the numbers say."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers import in_c

import microweights as mw
from microweights import losses, metrics, regularizers

RNG = np.random.default_rng(0)
X = RNG.normal(size=(76, 4)).astype(np.float32)
LABELS = RNG.integers(0, 3, 76)
EPOCHS, BATCH = 5, 16  # four batches of 16 and one of 12: two shapes, both replayed
TARGETS: dict[str, np.ndarray] = {
    "real": RNG.uniform(0.1, 3, (76, 3)).astype(np.float32),
    "labels": LABELS,
    "one-hot": np.eye(3, dtype=np.float32)[LABELS],
    "several": RNG.integers(0, 2, (76, 3)).astype(np.float32),
    "binary": RNG.integers(0, 2, (76, 1)).astype(np.float32),
}
# targets, activation of the last layer, loss
SETTINGS = {
    "real": ("softplus", "mse"),
    "labels": ("softmax", "sparse_categorical_crossentropy"),
    "one-hot": ("softmax", "categorical_crossentropy"),
    "several": ("sigmoid", "binary_crossentropy"),
    "binary": ("sigmoid", "binary_crossentropy"),
}


def kind_of(name: str) -> str:
    """The targets that go with a loss or metric of this name."""
    name = name.lower()
    if name.startswith("sparse"):
        return "labels"
    if "categorical" in name or name.startswith("kl"):
        return "one-hot"
    return "several" if name.startswith(("binary", "bce")) or "hinge" in name else "real"


def fitted(kind: str, eager: bool, loss: Any = None, chosen: Any = (), kernel_regularizer: Any = None) -> mw.Model:
    """A small network after a training."""
    mw.seed(3)
    activation, usual = SETTINGS[kind]
    outputs = 1 if kind == "binary" else 3
    hidden = mw.layers.Dense(5, activation="tanh", kernel_regularizer=kernel_regularizer)
    model = mw.Sequential([mw.Input((4,)), hidden, mw.layers.Dense(outputs, activation)])
    model.compile(mw.optimizers.Adam(0.01), loss or usual, metrics=chosen, eager=eager)
    model.fit(X, TARGETS[kind], epochs=EPOCHS, batch_size=BATCH, verbose=0)
    return model


def same_as_eager(kind: str, make: Callable[[], dict[str, Any]]) -> mw.Model:
    """A replayed training, whose numbers are those of an eager one bit for bit; `make` gives what is to be tried."""
    model, eager = (fitted(kind, runs_eagerly, **make()) for runs_eagerly in (False, True))
    assert model.history is not None and eager.history is not None
    np.testing.assert_equal(model.history.history, eager.history.history)
    assert [w.tobytes() for w in model.get_weights()] == [w.tobytes() for w in eager.get_weights()]
    assert len(model._steps["fit"].programs) == 2
    return model


def told(model: mw.Model, kind: str) -> list[dict[str, float]]:
    """What three evaluations tell, the last of which is replayed."""
    return [model.evaluate(X, TARGETS[kind], batch_size=38, return_dict=True, verbose=0) for _ in range(3)]


CLASSES = {
    module: [n for n in module.__all__ if inspect.isclass(getattr(module, n)) and n not in ("Loss", "Metric", "Regularizer")]
    for module in (losses, metrics, regularizers)
}


@in_c
@pytest.mark.parametrize("name", [*CLASSES[losses], *losses.TABLE, *losses.FUNCTIONS])
def test_every_loss(name: str) -> None:
    kind = kind_of(name)
    kinds = [getattr(losses, name), name] if hasattr(losses, name) else [name]  # a class or a function, and its name
    for given in kinds:
        model = same_as_eager(kind, lambda given=given: {"loss": given})  # type: ignore[misc]
    loss = losses.get(name)
    expected = loss(TARGETS[kind], mw.tensor(model.predict(X).astype(float))).item()
    assert all(t["loss"] == pytest.approx(expected, rel=1e-4) for t in told(model, kind))


NOT_OF_TARGETS = ("Mean", "Sum", "mean", "sum", "MeanMetric", "MeanMetricWrapper")
NAMES = [n for n in (*CLASSES[metrics], *metrics.TABLE) if n not in NOT_OF_TARGETS]
CLASS_NAMES = ("precision", "recall", "f1", "f1score", "f1_score", "accuracy", "acc", "logloss", "log_loss", "confusionmatrix",
               "confusion_matrix", "topkcategoricalaccuracy", "top_k_categorical_accuracy")  # fmt: skip


def kinds_of(name: str) -> list[str]:
    """All the targets that go with a metric."""
    if name == "Accuracy":  # whole numbers that are equal
        return ["real"]
    if name.lower() == "auc":
        return ["binary"]
    if name.lower().startswith("topk") or name.startswith("top_k"):
        return ["labels", "one-hot"]
    if name.lower() in CLASS_NAMES:
        several = ["several"] if name in ("accuracy", "acc", "log_loss", "LogLoss") else []
        return ["labels", "one-hot", "binary", *several]
    if name.lower().startswith(("binary", "bce")):
        return ["several", "binary"]
    return [kind_of(name)]


@in_c
@pytest.mark.parametrize(("name", "kind"), [(n, kind) for n in NAMES for kind in kinds_of(n)])
def test_every_metric(name: str, kind: str) -> None:
    given = getattr(metrics, name) if name in CLASSES[metrics] else name
    model = same_as_eager(kind, lambda: {"chosen": [given]})
    alone = metrics.get(given)
    expected = alone(TARGETS[kind], model.predict(X))
    assert all(t[alone.name] == pytest.approx(expected, rel=1e-6) for t in told(model, kind))


@in_c
@pytest.mark.parametrize("name", [n for n in metrics.__all__ if n[0].islower() and n != "get"])
def test_every_metric_as_a_function(name: str) -> None:
    function, kind = getattr(metrics, name), "labels" if name.startswith("top_k") else kind_of(name)
    model = same_as_eager(kind, lambda: {"chosen": function})
    expected = function(TARGETS[kind], mw.tensor(model.predict(X))).numpy().mean()
    assert all(t[name] == pytest.approx(expected, rel=1e-5) for t in told(model, kind))


@in_c
@pytest.mark.parametrize("name", [*CLASSES[regularizers], "l1", "l2", "l1_l2"])
def test_every_regularizer(name: str) -> None:
    regularizer = {"L1L2": regularizers.L1L2(0.01, 0.02), "l1_l2": {"class_name": "L1L2", "config": {"l1": 0.01, "l2": 0.02}}}
    model = same_as_eager("real", lambda: {"kernel_regularizer": regularizer.get(name, name)})
    w = model.layers[0].get_weights()[0].astype(float)
    penalty = {"1": 0.01 * abs(w).sum(), "2": 0.01 * (w**2).sum()}.get(name[1:], 0.01 * abs(w).sum() + 0.02 * (w**2).sum())
    mse = ((model.predict(X) - TARGETS["real"]) ** 2).mean()
    assert all(t["loss"] == pytest.approx(mse + penalty, rel=1e-5) for t in told(model, "real"))


@pytest.mark.parametrize("module", CLASSES)
def test_configurations_make_the_same_again(module: Any) -> None:
    for name in CLASSES[module]:
        cls = getattr(module, name)
        made = cls(metrics.mean_squared_error) if name == "MeanMetricWrapper" else cls()
        config = made.get_config()
        if name != "MeanMetricWrapper":  # its function stands by its name
            assert cls.from_config(config).get_config() == config
            again = module.get({"class_name": name, "config": config})
            assert type(again) is cls and again.get_config() == config
        assert repr(made).startswith(f"{cls.__name__}(")


@pytest.mark.parametrize("module", CLASSES)
def test_modules_show_their_public_names_only(module: Any) -> None:
    assert dir(module) == sorted(module.__all__)
    for name in dir(module):
        assert not name.startswith("_") and not inspect.ismodule(getattr(module, name))
