"""What goes wrong in a training is explained, and changes nothing."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from helpers import LABELS, LINE, X, classifier, line_model, weight_bits

import microweights as mw
from microweights.callbacks import Callback

layers = mw.layers


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
    before = weight_bits(model)
    with pytest.raises(error, match=message):
        model.fit(x, y, **{"verbose": 0, **options})
    assert weight_bits(model) == before
    assert np.isfinite(model.fit(X, LINE, verbose=0).history["loss"][0])


@pytest.mark.parametrize("data", [(X[:, :3], LINE), (X, np.zeros((50, 2)))], ids=["inputs", "targets"])
def test_validation_data_of_another_width_changes_nothing(data: Any) -> None:
    model = line_model()
    before = weight_bits(model)
    with pytest.raises(ValueError, match="Expected"):
        model.fit(X, LINE, verbose=0, validation_data=data)
    assert weight_bits(model) == before


@pytest.mark.parametrize("label", [-1, 3, 2**33])
def test_labels_out_of_range_change_nothing(label: int) -> None:
    model, y = classifier(), LABELS.copy()
    before = weight_bits(model)
    y[20] = label
    with pytest.raises(ValueError, match=f"labels from 0 to 2. Received: label {label}"):
        model.fit(X, y, verbose=0, batch_size=None)
    assert weight_bits(model) == before


def test_labels_out_of_range_in_a_later_batch_change_nothing() -> None:
    model, y = classifier(), LABELS.copy()
    before = weight_bits(model)
    y[45] = 3
    with pytest.raises(ValueError, match="label 3 at index 45"):
        model.fit(X, y, verbose=0, batch_size=10, shuffle=False)
    assert weight_bits(model) == before


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
    assert weight_bits(model) == [w.tobytes() for w in before]


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
    before = weight_bits(model)
    with pytest.raises((ValueError, MemoryError)):
        model.fit(vast, LINE, verbose=0)
    assert weight_bits(model) == before
    with pytest.raises((ValueError, MemoryError)):
        layers.Dense(2**34)(vast[:1])
