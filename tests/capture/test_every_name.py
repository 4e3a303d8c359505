"""Everything that the library offers for a training ends as one program for each shape, and is replayed."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from helpers import numbers

import microweights as mw
from microweights.layers.merge import Merge
from microweights.naming import parameters

layers = mw.layers
ROWS, BATCH, EPOCHS = 40, 8, 3


def names(module: Any, base: type) -> list[str]:
    """The public classes of a module that are of a kind, but for the kind itself."""
    found = {name: getattr(module, name) for name in dir(module)}
    return [n for n, c in found.items() if isinstance(c, type) and issubclass(c, base) and c is not base]


def targets(kind: str) -> tuple[Any, int, str | None]:
    """Targets for a loss or metric of this name, how many outputs they go with, and of which activation."""
    if "sparse" in kind or kind in ("log_loss", "confusion_matrix", "precision", "recall", "f1_score", "f1"):
        return np.arange(ROWS) % 3, 3, "softmax"
    if "categorical" in kind or kind in ("kl_divergence", "top_k_categorical_accuracy"):
        return np.eye(3)[np.arange(ROWS) % 3], 3, "softmax"
    if "binary" in kind or kind in ("auc", "accuracy", "poisson") or "hinge" in kind:
        return np.arange(ROWS) % 2, 1, "sigmoid"
    return numbers(ROWS, 2, seed=1) + 2, 2, "softplus" if "logarithmic" in kind else None


def replayed(model: mw.Model, y: Any, **options: Any) -> mw.callbacks.History:
    """Fit, evaluate and predict, and look at the programs: one for each shape, and the rest of the steps replayed."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        history = model.fit(numbers(ROWS, 4), y, batch_size=BATCH, epochs=EPOCHS, verbose=0, **options)
    fit = model._steps["fit"]
    assert len(fit.programs) == 1 and fit.captured.recordings <= 3 and not fit.eager
    for _ in range(4):
        model.evaluate(numbers(ROWS, 4), y, batch_size=BATCH), model.predict(numbers(ROWS, 4), batch_size=BATCH)
        model.train_on_batch(numbers(BATCH, 4), y[:BATCH])
    for name in ("test", "predict", "train"):
        step = model._steps[name]
        assert len(step.programs) == 1 and step.captured.recordings <= 3 and not step.eager, name
    return history


def network(outputs: int = 2, activation: Any = None, *between: layers.Layer, **options: Any) -> mw.Sequential:
    mw.seed(0)
    return mw.Sequential([mw.Input((4,)), layers.Dense(6, "tanh", **options), *between, layers.Dense(outputs, activation)])


@pytest.mark.parametrize("name", names(mw.losses, mw.losses.Loss))
def test_losses(name: str, c_only: str) -> None:
    loss = getattr(mw.losses, name)()
    y, outputs, activation = targets(mw.naming.snake_case(name))
    model = network(outputs, activation)
    model.compile("adam", loss)
    assert np.isfinite(replayed(model, y).history["loss"]).all()


WITHOUT_TARGETS = {"Mean", "Sum", "MeanMetric", "MeanMetricWrapper"}  # of numbers, or made of a function


@pytest.mark.parametrize("name", [n for n in names(mw.metrics, mw.metrics.Metric) if n not in WITHOUT_TARGETS])
def test_metrics(name: str, c_only: str) -> None:
    y, outputs, activation = targets(mw.naming.snake_case(name))
    metric = getattr(mw.metrics, name)()
    model = network(outputs, activation)
    model.compile("adam", "mse" if outputs != 3 or np.ndim(y) > 1 else "sparse_categorical_crossentropy", metrics=[metric])
    assert len(replayed(model, y).history) == 2


@pytest.mark.parametrize("name", ["accuracy", "acc", "mse", lambda y, p: (y - p).abs()])
@pytest.mark.parametrize("kind", ["binary_accuracy", "categorical_accuracy", "sparse_categorical_accuracy"])
def test_metrics_by_name(name: Any, kind: str, c_only: str) -> None:
    y, outputs, activation = targets(kind)
    if not isinstance(name, str) or name == "mse":
        y, outputs, activation = targets("binary_accuracy")
    model = network(outputs, activation)
    loss = {1: "binary_crossentropy", 3: "sparse_categorical_crossentropy" if np.ndim(y) == 1 else "categorical_crossentropy"}
    model.compile("adam", loss[outputs], metrics=[name])
    replayed(model, y)


@pytest.mark.parametrize("name", [n for n in dir(mw.activations) if n not in ("get",)])
def test_activations(name: str, c_only: str) -> None:
    function = getattr(mw.activations, name)
    options = {"threshold": 0.1, "default_value": 0.0} if name == "threshold" else {}
    model = network(2, None, layers.Activation(lambda x: function(x, **options)))
    model.compile("sgd", "mse")
    replayed(model, numbers(ROWS, 2, seed=1))


ARGUMENTS: dict[str, dict[str, Any]] = {
    "Activation": {"activation": "relu"}, "Dense": {"units": 3}, "Dot": {"axes": 1},
    "Reshape": {"target_shape": (2, 3)}, "GroupNormalization": {"groups": 3}, "RandomErasing": {"value_range": (0, 1)},
    "Permute": {"dims": (1,)}, "RepeatVector": {"n": 2}, "Cropping3D": {"cropping": ((1, 0), (0, 0), (0, 1))},
    "ExponentialDecay": {"initial_learning_rate": 0.1, "decay_steps": 3, "decay_rate": 0.9},
    "InverseTimeDecay": {"initial_learning_rate": 0.1, "decay_steps": 3, "decay_rate": 0.9},
    "StepDecay": {"initial_learning_rate": 0.1, "step_size": 3},
    "PolynomialDecay": {"initial_learning_rate": 0.1, "decay_steps": 3},
    "CosineDecay": {"initial_learning_rate": 0.1, "decay_steps": 3},
    "CosineDecayRestarts": {"initial_learning_rate": 0.1, "first_decay_steps": 3},
    "PiecewiseConstantDecay": {"boundaries": [2, 5], "values": [0.1, 0.05, 0.01]},
    "OneCycle": {"max_learning_rate": 0.1, "total_steps": 9}, "Constant": {"learning_rate": 0.1},
    "LearningRateScheduler": {"schedule": lambda epoch: 0.1 / (epoch + 1)},
    "ModelCheckpoint": {"filepath": "weights.safetensors", "monitor": "loss"}, "CSVLogger": {"filename": "log.csv"},
    "EarlyStopping": {"monitor": "loss", "patience": 9}, "ReduceLROnPlateau": {"monitor": "loss", "patience": 1},
}  # fmt: skip


MERGES = names(mw.layers, Merge)


def merging(layer: layers.Layer) -> mw.Model:
    mw.seed(0)
    x = mw.Input((4,))
    return mw.Model(x, layers.Dense(2)(layer([layers.Dense(6, "tanh")(x), layers.Dense(6)(x)])))


REQUIRED = {  # arguments of many layers
    "filters": 2, "kernel_size": 2, "pool_size": 2, "output_size": 1, "height": 3, "width": 3, "stddev": 0.1, "num_tokens": 5,
    "function": lambda x: x * 2, "scale": 0.5, "rate": 0.3, "factor": 0.3,
    "height_factor": 0.2, "width_factor": 0.2,
}  # fmt: skip
OF_IMAGES = {"CenterCrop", "Resizing", "MixUp", "CutMix"}
IMAGES = {"1D": (8, 2), "2D": (4, 4, 1), "3D": (2, 2, 2, 2)}  # by what layers of images have in their names


WITHOUT_GRADIENT = {"InputLayer", "CategoryEncoding"}


@pytest.mark.parametrize("name", [n for n in names(mw.layers, layers.Layer) if n not in WITHOUT_GRADIENT])
def test_layers(name: str, c_only: str) -> None:
    taken = parameters(getattr(layers, name))
    layer = getattr(layers, name)(
        **{k: v for k, v in REQUIRED.items() if k in taken and taken[k].default in (taken[k].empty, None)},
        **ARGUMENTS.get(name, {}),
    )
    shapes = [
        shape
        for axes, shape in IMAGES.items()
        if axes in name or (axes == "2D" and (name in OF_IMAGES or name.startswith("Random")))
    ]
    images = [layers.Dense(16), layers.Reshape(shapes[0])] if shapes else []
    model: mw.Model = network(2, None, *images, layer, layers.Flatten()) if name not in MERGES else merging(layer)
    model.compile("sgd", "mse")
    replayed(model, numbers(ROWS, 2, seed=1))


@pytest.mark.parametrize("name", names(mw.optimizers, mw.optimizers.Optimizer))
@pytest.mark.parametrize(
    "options", [{}, {"clipnorm": 1.0, "weight_decay": 0.1}, {"use_ema": True}], ids=["", "clips", "averages"]
)
def test_optimizers(name: str, options: dict[str, Any], c_only: str) -> None:
    model = network()
    model.compile(getattr(mw.optimizers, name)(**options), "mse")
    replayed(model, numbers(ROWS, 2, seed=1))


@pytest.mark.parametrize("name", names(mw.schedules, mw.schedules.Schedule))
def test_schedules(name: str, c_only: str) -> None:
    model = network()
    model.compile(mw.optimizers.SGD(getattr(mw.schedules, name)(**ARGUMENTS[name])), "mse")
    replayed(model, numbers(ROWS, 2, seed=1))


@pytest.mark.parametrize("name", names(mw.regularizers, mw.regularizers.Regularizer))
def test_regularizers(name: str, c_only: str) -> None:
    model = network(kernel_regularizer=getattr(mw.regularizers, name)())
    model.compile("sgd", "mse")
    replayed(model, numbers(ROWS, 2, seed=1))


@pytest.mark.parametrize("name", names(mw.initializers, mw.initializers.Initializer))
def test_initializers(name: str, c_only: str) -> None:
    model = network(kernel_initializer=getattr(mw.initializers, name)())
    model.compile("sgd", "mse")
    replayed(model, numbers(ROWS, 2, seed=1))


NOT_ALONE = {"History", "LambdaCallback"}


@pytest.mark.parametrize("name", [n for n in names(mw.callbacks, mw.callbacks.Callback) if n not in NOT_ALONE])
def test_callbacks(name: str, c_only: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = network()
    model.compile("sgd", "mse")
    replayed(model, numbers(ROWS, 2, seed=1), callbacks=[getattr(mw.callbacks, name)(**ARGUMENTS.get(name, {}))])


def test_a_search_records_the_steps_of_each_model_once(c_only: str) -> None:
    steps = []
    for units in (2, 3):
        for rate in (0.1, 0.01):
            for _ in range(3):
                model = mw.Sequential([mw.Input((4,)), layers.Dense(units, "relu"), layers.Dense(2)])
                model.compile(mw.optimizers.Adam(rate), "mse", metrics=["mae"])
                replayed(model, numbers(ROWS, 2, seed=1))
                steps.append(model._steps["train"].captured)
    assert all(len(step.programs) == 1 for step in steps)  # that others were made since takes nothing away
