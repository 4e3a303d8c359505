"""What a case is, and what the contenders of all cases share."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np

import microweights as mw

from ..kernels import door, machine, reference
from ..tensor import Array

OURS = ("replayed", "eager")  # as a program that was recorded (capture/), and call by call through Python
CONTENDERS = (*OURS, "numpy", "openblas", "torch", "jax", "keras", "micrograd")
Call = Callable[[], Any]


@dataclass(frozen=True)
class Race:
    """A case set up and ready to run.

    Parameters
    ----------
    exact : function
        The result in float64: an array, a number, or a tuple of them.
    calls : dict
        By contender what is timed: a function without arguments that returns the result. A second word in the name
        tells variants apart, as in "numpy blocked"; the fastest of them counts.
    repeat : int
        Results are compared after so many calls, for calls that change what they work on.
    every : int
        `exact` holds only every so-many-th element of the result.
    tolerance : float
        The largest error that is not called wrong.
    is_random : bool
        Whether all draw random numbers of their own, so that what is called error is their spread.
    floor : function, optional
        What cannot be beaten where that is not a matter of operations and bytes; it is timed like the contenders.
    """

    exact: Callable[[], Any]
    calls: dict[str, Call]
    repeat: int = 1
    every: int = 1
    tolerance: float = 1e-5
    is_random: bool = False
    floor: Call | None = None

    def errors(self) -> dict[str, float]:
        """How far each contender is from the exact result; before any other call."""
        exact = self.exact()
        return {name: self._error(call, exact) for name, call in self.calls.items()}

    def _error(self, call: Call, exact: Any) -> float:
        for _ in range(self.repeat):
            result = call()
        parts, exact_parts = (x if isinstance(x, tuple) else (x,) for x in (result, exact))
        return max(
            distance(np.asarray(part).reshape(-1)[:: self.every], np.asarray(truth).reshape(-1))
            for part, truth in zip(parts, exact_parts, strict=True)
        )


def distance(result: Array, exact: Array) -> float:
    """The largest difference, relative to the largest exact element; infinite for NaN and for another shape."""
    if result.shape != exact.shape:
        return float("inf")
    error = float(np.abs(result - exact).max() / np.abs(exact).max())
    return error if error == error else float("inf")


@dataclass(frozen=True)
class Case:
    """A race by name, not set up yet; operations and bytes are what one call does at the least, as capture/work.py counts."""

    name: str
    operations: float
    bytes: float
    build: Callable[[], Race]
    peers: tuple[str, ...] = ("numpy", "torch")  # those that may take part
    ours: tuple[str, ...] = OURS
    blas: bool = False  # NumPy's part is done by its BLAS, which then also runs at its best, as "openblas"
    is_double: bool = False


def random(*shape: int, low: float = -2.0, high: float = 2.0, seed: int = 0) -> Array:
    """The same float32 numbers each time."""
    return np.random.default_rng(seed).uniform(low, high, shape).astype(np.float32)


def twin(kernel: str, *inputs: Array) -> Array:
    """The result of an element-wise or row-wise kernel's twin in float64."""
    wide = [x.astype(np.float64) for x in inputs]
    z = np.empty_like(wide[0])
    getattr(reference, kernel)(*wide, z, None)
    return z


def import_torch(records_gradients: bool = False) -> Any:
    """PyTorch with as many threads as we have, or None where it is not installed."""
    try:
        torch: Any = importlib.import_module("torch")
    except ImportError:
        return None
    torch.set_num_threads(machine.num_threads())
    torch.set_grad_enabled(records_gradients)
    return torch


def import_jax() -> Any:
    """JAX, or None where it is not installed."""
    try:
        return importlib.import_module("jax")
    except ImportError:
        return None


def import_keras() -> Any:
    """Keras on JAX, or None where one of both is not installed, or Keras was imported on something else."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    try:
        keras = importlib.import_module("keras") if import_jax() else None
    except ImportError:
        return None
    return keras if keras is not None and keras.backend.backend() == "jax" else None


def is_installed(peer: str) -> bool:
    return peer in (*OURS, "numpy") or importlib.util.find_spec(peer) is not None


def replayed(fn: Callable[..., Any], *arrays: Array | mw.Tensor) -> Call:
    """A function of tensors, recorded, and then run in C on these arrays; it returns its first result, or all in a tuple."""
    captured = mw.capture(fn)
    for _ in range(2):
        captured(*arrays)
    found = captured.replay_for(*arrays)
    assert found is not None
    results = [door.aligned_empty(*form) for form in found.program.outputs]
    given = [a.data if isinstance(a, mw.Tensor) else a for a in arrays]
    run = found.program.bind(list(map(np.ascontiguousarray, given)), results)
    result = results[0] if len(results) == 1 else tuple(results)

    def call() -> Any:
        run()
        return result

    return call


BLOCK = 16384  # elements: four arrays of so many float32 are 256 KB and stay in the second cache


def blocks(arrays: Sequence[Array], size: int | None = None) -> list[list[Array]]:
    """The arrays cut along their rows into parts of about `size` elements, each part with as much scratch memory."""
    rows = len(arrays[0])
    step = rows if size is None else max(1, size // arrays[0][0].size)
    scratch = np.empty_like(arrays[0][:step])
    return [[*(a[i : i + step] for a in arrays), scratch[: min(step, rows - i)]] for i in range(0, rows, step)]


def by_numpy(step: Callable[..., None], fresh: Callable[[], Sequence[Array]], counted: bool = False) -> dict[str, Call]:
    """The contenders of a calculation in several passes: over the whole arrays, and block by block within the cache.

    `step(*arrays, scratch)` overwrites the first of the `fresh()` arrays; if `counted`, it first gets the number of the
    call.
    """

    def variant(size: int | None) -> Call:
        arrays = fresh()
        parts, number = blocks(arrays, size), count(1)

        def run() -> Array:
            first = (next(number),) if counted else ()
            for part in parts:
                step(*first, *part)
            return arrays[0]

        return run

    return {"numpy": variant(None), "numpy blocked": variant(BLOCK)}
