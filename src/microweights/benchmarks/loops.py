"""Cases: calls that people make in loops of their own, one batch at a time; their floor is the program alone, replayed."""

from __future__ import annotations

import math
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

import microweights as mw

from ..tensor import Array
from .race import Call, Case, Race, import_keras, import_torch, replayed
from .steps import our_step, step_by_hand, torch_steps
from .update import RULES

BATCH = 32
CALLS = ("train_on_batch", "test_on_batch", "predict_on_batch", "predict", "evaluate")
LOSS = mw.losses.MeanSquaredError()


def network(library: Any, sizes: tuple[int, ...], weights: list[Array]) -> Any:
    """In Keras's words, which are ours, too."""
    hidden = [library.layers.Dense(n, activation="relu") for n in sizes[1:-1]]
    model = library.Sequential([library.Input(sizes[:1]), *hidden, library.layers.Dense(sizes[-1])])
    model.set_weights(weights)
    model.compile(library.optimizers.SGD(0.01), "mean_squared_error")
    return model


def call_of(model: Any, name: str, x: Array, y: Array) -> Call:
    method = getattr(model, name)
    if name.startswith("predict"):
        return partial(method, x, verbose=0) if name == "predict" else partial(method, x)
    given = partial(method, x, y, verbose=0) if name == "evaluate" else partial(method, x, y)
    return lambda: float(given())


def torch_calls(name: str, x: Array, y: Array, weights: list[Array]) -> dict[str, Call]:
    """The loop of PyTorch's tutorials, each call of which is written by hand."""
    if name == "train_on_batch":
        return torch_steps(x, y, weights, "SGD")
    torch = import_torch()
    if torch is None:
        return {}
    own = [torch.from_numpy(np.ascontiguousarray(w.T)) for w in weights]
    F = torch.nn.functional

    def forward() -> Any:
        a = torch.from_numpy(x)
        for i in range(0, len(own), 2):
            a = F.linear(a, own[i], own[i + 1])
            if i < len(own) - 2:
                a = torch.relu(a)
        return a

    if name.startswith("predict"):
        return {"torch": lambda: forward().numpy()}
    return {"torch": lambda: float(F.mse_loss(forward(), torch.from_numpy(y)).item())}


def program_alone(model: Any, name: str, x: Array, y: Array, weights: list[Array]) -> Call:
    if name == "train_on_batch":
        return replayed(our_step(x, y, weights, RULES["SGD"]), x, y)
    if name.startswith("predict"):
        return replayed(lambda x: model(x), x)
    return replayed(lambda x, y: LOSS(y, model(x)), x, y)


def loop(sizes: tuple[int, ...], name: str) -> Race:
    generator = np.random.default_rng(0)
    x = generator.normal(0, 1, (BATCH, sizes[0])).astype(np.float32)
    y = generator.normal(0, 1, (BATCH, sizes[-1])).astype(np.float32)
    weights: list[Array] = []
    for inputs, outputs in pairwise(sizes):
        weights += [generator.normal(0, math.sqrt(2 / inputs), (inputs, outputs)).astype(np.float32)]
        weights += [np.zeros(outputs, np.float32)]
    model = network(mw, sizes, weights)
    calls: dict[str, Call] = {"replayed": call_of(model, name, x, y)} | torch_calls(name, x, y, weights)
    if keras := import_keras():
        calls["keras"] = call_of(network(keras, sizes, weights), name, x, y)
    alone = program_alone(network(mw, sizes, weights), name, x, y, weights)
    return Race(partial(exact, name, x, y, weights), calls, repeat=5, tolerance=1e-3, floor=alone)


def exact(name: str, x: Array, y: Array, weights: list[Array]) -> Any:
    wide = [a.astype(np.float64) for a in (x, y, *weights)]
    if name == "train_on_batch":
        step = step_by_hand(wide[0], wide[1], wide[2:], RULES["SGD"])
        return [step() for _ in range(5)][-1]
    a, own = wide[0], wide[2:]
    for i in range(0, len(own), 2):
        a = a @ own[i] + own[i + 1]
        a = np.maximum(a, 0) if i < len(own) - 2 else a
    return a if name.startswith("predict") else float(((a - wide[1]) ** 2).mean())


CASES = [
    Case(f"{call} {label}", 0, 0, partial(loop, sizes, call), ("torch", "keras"), ours=("replayed",))
    for label, sizes in (("20-32-1", (20, 32, 1)), ("100 layers of 8", (8,) * 101))
    for call in CALLS
]
