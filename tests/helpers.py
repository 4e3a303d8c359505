"""What tests share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import pytest

import microweights as mw
from microweights.kernels import machine


def available_settings() -> tuple[str, ...]:
    """Each instruction set and the NumPy twins; only the one in use where the environment asks for one."""
    if os.environ.get("MICROWEIGHTS_BACKEND") or os.environ.get("MICROWEIGHTS_ISA"):
        return (machine.isa(),)
    return (*machine.available_isas(), "numpy")


SETTINGS = available_settings()
in_c = pytest.mark.skipif(machine.backend() != "c", reason="on the twins a captured function simply runs")


@contextmanager
def running_on(setting: str) -> Iterator[str]:
    """Kernels run on an instruction set, or on `"numpy"`; afterwards all is as it was, threads too."""
    backend, isa, threads = machine.backend(), machine.lib and machine.lib.mw_isa(), machine.num_threads()
    try:
        machine.set_backend("numpy" if setting == "numpy" else "c")
        if setting != "numpy":
            machine.set_isa(setting)
        yield setting
    finally:
        machine.set_backend(backend)
        if machine.lib is not None:
            machine.set_isa(machine.ISAS[isa])
            machine.set_num_threads(threads)


OPTIMIZERS: dict[str, Callable[..., mw.optimizers.Optimizer]] = {
    "sgd": partial(mw.optimizers.SGD, 0.1),
    "momentum": partial(mw.optimizers.SGD, 0.1, momentum=0.9, nesterov=True, l2=0.01, l1=0.001),
    "adam": partial(mw.optimizers.Adam, 0.01),
    "adamw": partial(mw.optimizers.AdamW, 0.01),
    "rmsprop": partial(mw.optimizers.RMSprop, 0.01, momentum=0.5, centered=True),
    "adagrad": partial(mw.optimizers.Adagrad, 0.1),
    "amsgrad": partial(mw.optimizers.Adam, 0.01, amsgrad=True),
    "adamax": partial(mw.optimizers.Adamax, 0.01),
    "nadam": partial(mw.optimizers.Nadam, 0.01),
    "adadelta": partial(mw.optimizers.Adadelta, 0.5),
    "lion": partial(mw.optimizers.Lion, 0.01),
}


def numbers(*shape: int, seed: int = 0, dtype: str = "float32") -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(dtype)


def bits(x: Any) -> Any:
    """Tensors, alone or in lists, as bytes with their shapes."""
    return [bits(t) for t in x] if isinstance(x, (list, tuple)) else (x.shape, str(x.dtype), x.numpy().tobytes())


def same_as_eager(fn: Callable[..., Any], *inputs: Any, calls: int = 5) -> mw.capture:
    captured = mw.capture(fn)
    for _ in range(calls):
        assert bits(captured(*inputs)) == bits(fn(*inputs))
    assert len(captured.programs) == int(machine.backend() == "c")  # on the twins it simply runs
    return captured


def beside_keras(keras: Any, ours: Any, theirs: Any, x: np.ndarray, near: float = 1e-6, **options: Any) -> None:
    """Two layers with the same weights, in float64, give the same results and, on torch, the same gradients."""
    ours(mw.tensor(x), **options), theirs(x, **options)
    weights = [np.random.default_rng(i).normal(size=w.shape) for i, w in enumerate(theirs.get_weights())]
    weights = [np.abs(w) if v.name.endswith("variance") else w for v, w in zip(theirs.weights, weights, strict=True)]
    assert [w.shape for w in ours.weights] == [w.shape for w in weights]
    ours.set_weights(weights), theirs.set_weights(weights)
    assert ours.compute_output_shape((None, *x.shape[1:])) == tuple(theirs.compute_output_shape((None, *x.shape[1:])))
    t = mw.tensor(x, requires_grad=True)
    z = ours(t, **options)
    assert z.dtype == np.float64
    if keras.backend.backend() != "torch":
        np.testing.assert_allclose(z.numpy(), np.asarray(theirs(x, **options)), rtol=1e-4, atol=1e-4)
        return
    import torch

    u = torch.tensor(x, requires_grad=True)
    expected = theirs(u, **options)
    dz = np.random.default_rng(0).normal(size=z.shape)
    found = [g.numpy() for g in mw.grad(z, [t, *ours.trainable_variables], gradient=dz)]
    leaves = [u, *(w.value for w in theirs.trainable_weights)]
    gradients = torch.autograd.grad(expected, leaves, torch.tensor(dz), allow_unused=True)
    for got, want in zip([z.numpy(), *found], [expected, *gradients], strict=True):
        if want is not None:
            np.testing.assert_allclose(got, want.detach().numpy(), rtol=near, atol=near)
    after = zip(ours.non_trainable_variables, theirs.non_trainable_weights, strict=True)
    for mine, its in after:  # such as moving averages
        np.testing.assert_allclose(mine.numpy(), its.value.detach().numpy(), rtol=near, atol=near)


def make_step(optimizer: str, dropout: float = 0.0) -> tuple[Any, mw.Model, Any]:
    mw.seed(3)
    layers: list[Any] = [mw.Input((5,)), mw.layers.Dense(7, activation="relu", kernel_regularizer="l2")]
    model = mw.Sequential([*layers, mw.layers.Dropout(dropout, seed=1), mw.layers.Dense(3, activation="softmax")])
    loss_of, rule = mw.losses.SparseCategoricalCrossentropy(), OPTIMIZERS[optimizer]()

    def step(x: mw.Tensor, y: mw.Tensor) -> tuple[mw.Tensor, mw.Tensor]:
        y_pred = model(x, training=True)
        penalty = model.penalty()
        loss = loss_of(y, y_pred) if penalty is None else loss_of(y, y_pred) + penalty
        variables = model.trainable_variables
        rule.apply(mw.grad(loss, variables), variables)
        return loss, y_pred

    return step, model, rule


def gradient_left_on(w: mw.Tensor) -> Callable[[mw.Tensor], mw.Tensor]:
    """A function that adds its gradient to w.grad."""

    def fn(x: mw.Tensor) -> mw.Tensor:
        loss = (w * x).sum()
        loss.backward()
        return loss

    return fn


# ---- small models and their data, for tests of a training ------------------------------------------------------------

_RNG = np.random.default_rng(0)
X = _RNG.normal(size=(50, 4)).astype("float32")
LINE = (X @ [1.0, -2.0, 3.0, 0.5] + 0.3).astype("float32")
LABELS = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)


def line_model(optimizer: Any = "sgd", dtype: str = "float32", **options: Any) -> mw.Sequential:
    mw.seed(0)
    model = mw.Sequential([mw.Input((4,), dtype=dtype), mw.layers.Dense(1, dtype=dtype)])
    model.compile(optimizer, "mse", **options)
    return model


def classifier(hidden: int = 8, seed: int = 0, dtype: str = "float32", dropout: float = 0.0) -> mw.Sequential:
    mw.seed(seed)
    model = mw.Sequential([
        mw.Input((4,), dtype=dtype), mw.layers.Dense(hidden, "relu", dtype=dtype), mw.layers.Dropout(dropout, dtype=dtype),
        mw.layers.Dense(3, "softmax", dtype=dtype),
    ])  # fmt: skip
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def weight_bits(model: mw.Model) -> list[bytes]:
    return [w.tobytes() for w in model.get_weights()]


def same(received: mw.Tensor, expected: Any, rtol: float = 1e-6) -> None:
    """A tensor of the shape and the numbers that are expected."""
    expected = np.asarray(expected)
    assert received.shape == expected.shape
    np.testing.assert_allclose(received.numpy(), expected, rtol=rtol, atol=1e-6)


def leaf(values: Any, dtype: str = "float32") -> mw.Tensor:
    """A tensor that requires a gradient."""
    return mw.tensor(values, dtype, requires_grad=True)
