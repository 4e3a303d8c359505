"""Cases: functions of each element, reductions, and rows of probabilities; within the second cache and far beyond it.

What takes NumPy several passes is written as a good engineer would: in place, with scratch memory from outside.
"""

from __future__ import annotations

import math
import operator
from functools import partial
from typing import Any

import numpy as np

import microweights as mw

from ..kernels import door
from ..kernels.plans import OPERATIONS
from ..tensor import Array
from .race import Call, Case, Race, by_numpy, import_torch, random, replayed, twin

SIZES = {"64K": 1 << 16, "16M": 1 << 24}
SHAPES = {"256x256": (256, 256), "4096x4096": (4096, 4096)}

# ---- NumPy by hand: the result z, the input x, scratch s -------------------------------------------------------------


def sigmoid(z: Array, x: Array, s: Array) -> None:
    np.negative(x, out=z)
    np.exp(z, out=z)
    np.add(z, 1, out=z)
    np.reciprocal(z, out=z)


def erf(z: Array, x: Array, s: Array, scale: float = 1.0) -> None:
    """erf(y) = 1 - (a₁t + ... + a₅t⁵) exp(-y²) for y = scale x > 0, t = 1 / (1 + p y)  (Abramowitz & Stegun 7.1.26)."""
    np.abs(x, out=s)
    np.multiply(s, 0.3275911 * scale, out=s)
    np.add(s, 1, out=s)
    np.reciprocal(s, out=s)
    np.multiply(s, 1.061405429, out=z)
    for a in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        np.add(z, a, out=z)
        np.multiply(z, s, out=z)
    np.square(x, out=s)
    np.multiply(s, -scale * scale, out=s)
    np.exp(s, out=s)
    np.multiply(z, s, out=z)
    np.subtract(1, z, out=z)
    np.copysign(z, x, out=z)


def gelu(z: Array, x: Array, s: Array) -> None:
    erf(z, x, s, math.sqrt(0.5))
    np.add(z, 1, out=z)
    np.multiply(z, x, out=z)
    np.multiply(z, 0.5, out=z)


def softmax(z: Array, x: Array, s: Array) -> None:
    np.subtract(x, x.max(axis=1, keepdims=True), out=z)
    np.exp(z, out=z)
    np.divide(z, z.sum(axis=1, keepdims=True), out=z)


def cross_entropy(z: Array, x: Array, rows: Array, labels: Array) -> float:
    """The mean loss of the logits x; z becomes its gradient. `rows` counts the rows."""
    np.subtract(x, x.max(axis=1, keepdims=True), out=z)
    chosen = z[rows, labels]
    np.exp(z, out=z)
    total = z.sum(axis=1, keepdims=True)
    loss = float((np.log(total[:, 0]) - chosen).mean())
    z *= 1 / (len(x) * total)
    z[rows, labels] -= 1 / len(x)
    return loss


# ---- element by element --------------------------------------------------------------------------------------------

# name: what NumPy has for it in one pass or in several, what torch has, where x lies
UNARY: dict[str, tuple[Any, str, float, float]] = {
    "exp": (np.exp, "exp", -5, 5),
    "log": (np.log, "log", 0.1, 10),
    "tanh": (np.tanh, "tanh", -3, 3),
    "sigmoid": (sigmoid, "sigmoid", -5, 5),
    "relu": (lambda x, out: np.maximum(x, 0, out=out), "clamp_min", -1, 1),
    "gelu": (gelu, "_C._nn.gelu", -3, 3),
    "erf": (erf, "erf", -3, 3),
}


def unary(name: str, size: int) -> Race:
    by_hand, torch_name, low, high = UNARY[name]
    x = random(size, low=low, high=high)
    calls: dict[str, Call] = {
        "replayed": replayed(lambda x: getattr(x, name)(), x),
        "eager": partial(door.unary, name, x),
    }
    if by_hand in (sigmoid, erf, gelu):
        calls |= by_numpy(by_hand, lambda: (np.empty_like(x), x))
    else:
        calls["numpy"] = partial(by_hand, x, out=np.empty_like(x))
    if torch := import_torch():
        function = torch
        for part in torch_name.split("."):
            function = getattr(function, part)
        zero = (0,) * (torch_name == "clamp_min")
        calls["torch"] = partial(function, torch.from_numpy(x), *zero, out=torch.empty(size))
    every = 101 if size > 1 << 20 else 1
    return Race(lambda: twin(name, x[::every]), calls, every=every)


def binary(name: str, size: int) -> Race:
    x, y = random(size), random(size, seed=1)
    operation = {"add": operator.add, "multiply": operator.mul}[name]
    calls: dict[str, Call] = {"replayed": replayed(operation, x, y), "eager": partial(door.binary, name, x, y)}
    calls["numpy"] = partial(getattr(np, name), x, y, out=np.empty_like(x))
    if torch := import_torch():
        calls["torch"] = partial(getattr(torch, name), *map(torch.from_numpy, (x, y)), out=torch.empty(size))
    return Race(lambda: twin(name, x, y), calls)


# ---- reductions ----------------------------------------------------------------------------------------------------


def reduction(name: str, axis: int | None, shape: tuple[int, int]) -> Race:
    x = np.random.default_rng(0).normal(0.5, 1, shape).astype(np.float32)
    exact = getattr(np, name)(x.astype(np.float64), axis)
    calls: dict[str, Call] = {"replayed": replayed(lambda x: getattr(x, name)(axis), x)}
    if name == "argmax":
        calls["eager"] = partial(door.arg_reduce, name, x, 1)
    else:
        calls["eager"] = partial(door.reduce, name, x, (0, 1) if axis is None else (axis,))
    z = np.empty_like(exact, np.int64 if name == "argmax" else np.float32)
    calls["numpy"] = partial(getattr(x, name), axis, out=z)
    if name == "sum" and axis is not None:  # a matrix product in disguise
        ones = np.ones(shape[axis], np.float32)
        calls["numpy blas"] = partial(np.matmul, *((x, ones) if axis == 1 else (ones, x)), out=np.empty_like(z))
    if torch := import_torch():
        function = torch.amax if name == "max" else getattr(torch, name)
        calls["torch"] = partial(function, torch.from_numpy(x), *(() if axis is None else (axis,)))
    return Race(lambda: exact, calls)


def softmax_rows(shape: tuple[int, int]) -> Race:
    x = random(*shape)
    calls: dict[str, Call] = {
        "replayed": replayed(mw.Tensor.softmax, x),
        "eager": partial(door.rowwise, "softmax", x),
    }
    calls |= by_numpy(softmax, lambda: (np.empty_like(x), x))
    if torch := import_torch():
        calls["torch"] = partial(torch.softmax, torch.from_numpy(x), 1, out=torch.empty(shape))
    return Race(lambda: twin("softmax", x), calls)


def loss_and_gradient(rows: int, classes: int) -> Race:
    x = random(rows, classes)
    labels = np.random.default_rng(1).integers(0, classes, rows)
    one, z, counted = np.ones((), np.float32), np.empty_like(x), np.arange(rows)
    loss_of = mw.losses.SparseCategoricalCrossentropy(from_logits=True)

    def ours(x: mw.Tensor, labels: mw.Tensor) -> list[mw.Tensor]:
        loss = loss_of(labels, x)
        return [loss, mw.grad(loss, x)]

    logits_of_ours = mw.tensor(x, requires_grad=True)
    calls: dict[str, Call] = {
        "replayed": replayed(ours, logits_of_ours, labels),
        "eager": lambda: (door.cross_entropy(x, labels, mean=True), door.cross_entropy_grad(one, x, labels, mean=True)),
        "numpy": lambda: (cross_entropy(z, x, counted, labels), z),
    }
    if torch := import_torch(records_gradients=True):
        logits, targets = torch.from_numpy(x).requires_grad_(), torch.from_numpy(labels)

        def autograd() -> Any:
            loss = torch.nn.functional.cross_entropy(logits, targets)
            return loss.detach(), torch.autograd.grad(loss, logits)[0]

        calls["torch"] = autograd

    def exact() -> tuple[float, Array]:
        logs = twin("log_softmax", x)
        gradient = np.exp(logs)
        gradient[counted, labels] -= 1
        return -float(logs[counted, labels].mean()), gradient / rows

    return Race(exact, calls)


CASES = [
    *(
        Case(f"{name} {label}", n, 12 * n, partial(binary, name, n))
        for name in ("add", "multiply")
        for label, n in SIZES.items()
    ),
    *(
        Case(f"{name} {label}", OPERATIONS.get(name, 1) * n, 8 * n, partial(unary, name, n))
        for name in UNARY
        for label, n in SIZES.items()
    ),
    *(
        Case(f"{title} {label}", math.prod(shape), 4 * math.prod(shape), partial(reduction, title.split()[0], axis, shape))
        for title, axis in {"sum": None, "sum rows": 1, "sum columns": 0, "max": None, "argmax rows": 1}.items()
        for label, shape in SHAPES.items()
    ),
    *(
        Case(f"softmax {label}", OPERATIONS["softmax"] * math.prod(shape), 8 * math.prod(shape), partial(softmax_rows, shape))
        for label, shape in SHAPES.items()
    ),
    *(
        Case(
            f"cross-entropy+gradient {r}x{c}",
            (OPERATIONS["sparse_cross_entropy"] + OPERATIONS["sparse_cross_entropy_grad"]) * r * c,
            8 * r * c,
            partial(loss_and_gradient, r, c),
        )
        for r, c in ((64, 10), (1024, 1000))
    ),
]
