"""The door: every number of a training step is computed by a kernel, and every kernel is reached from here.

The functions take and return NumPy arrays. Each first looks up its *plan*: the kernel, and what must be known about shapes,
strides and types before C is entered. A plan is checked and made once and then found in a dictionary, so that a training
step pays for its checks only the first time.

They stand in a file for each family: elementwise.py, reduce.py, matmul.py, softmax.py, index.py, update.py; what they share is
in plans.py. Random numbers and questions with an answer are here.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from ..errors import NonFiniteError, explain
from . import machine
from .elementwise import ZERO, binary, cast, compare, contiguous, copy_to, ternary, unary, where, zeros
from .index import flat_index, gather, scatter_add, widen
from .matmul import dense_grad, matmul
from .plans import (
    BOOL,
    FLOAT32,
    FLOAT64,
    INT64,
    INTEGERS,
    SUFFIX,
    UINT64,
    Array,
    Shape,
    aligned,
    aligned_empty,
    broadcast_shape,
    call,
    element_strides,
    empty,
    make_walk,
    merge_axes,
    real_suffix,
)
from .reduce import arg_reduce, reduce
from .softmax import check_labels, cross_entropy, cross_entropy_grad, rowwise
from .update import Parameters, slots_of

__all__ = [
    "BOOL",
    "FLOAT32",
    "FLOAT64",
    "INT64",
    "INTEGERS",
    "SUFFIX",
    "ZERO",
    "Array",
    "Parameters",
    "aligned",
    "aligned_empty",
    "all_finite",
    "arg_reduce",
    "backend",
    "binary",
    "broadcast_shape",
    "call",
    "cast",
    "check_labels",
    "compare",
    "contiguous",
    "copied",
    "copy_to",
    "cross_entropy",
    "cross_entropy_grad",
    "dense_grad",
    "element_strides",
    "empty",
    "flat_index",
    "gather",
    "made",
    "make_walk",
    "matmul",
    "merge_axes",
    "must_be_finite",
    "new_random_state",
    "random",
    "read",
    "real_suffix",
    "reduce",
    "refuse",
    "rowwise",
    "scatter_add",
    "slots_of",
    "ternary",
    "unary",
    "weighted_sum",
    "where",
    "widen",
    "zeros",
]


def backend() -> str:
    """The name of the backend that runs kernels."""
    return machine.backend()


def read(
    a: Array, remedy: str = "Keep it a tensor, return it, and read it outside (in a model: compile with eager=True)."
) -> None:
    """Values leave the graph: an error while they are being recorded, as no replay could follow."""
    machine.active.read(a, remedy)


def made(a: Array) -> None:
    """An array that kernels are about to fill part by part."""
    machine.active.made(a)


def copied(a: Array) -> Array:
    """A copy made by a kernel, contiguous, of any type that tensors have."""
    if a.dtype in SUFFIX:
        return unary("copy", a)
    return gather(contiguous(a).reshape(1, -1), _FIRST_ROW).reshape(a.shape)


_FIRST_ROW = np.zeros(1, INT64)


def refuse(what: str) -> None:
    """Something is computed outside of kernels: an error while a program is being recorded."""
    machine.active.refuse(what)


def new_random_state(seed: int) -> Array:
    """The state of a stream of random numbers: its key and its counter, as uint64."""
    return np.array([seed & 0xFFFFFFFFFFFFFFFF, 0], UINT64)


def random(name: str, state: Array, shape: Shape, dtype: np.dtype[Any], a: float, b: float) -> Array:
    """`uniform` from low `a` to high `b`, `normal` of mean `a` and deviation `b`, or `bernoulli`: `b` with probability `a`."""
    if state.dtype != UINT64 or state.shape != (2,) or not state.flags.writeable or not state.flags.c_contiguous:
        raise ValueError(explain("a state of new_random_state", f"{state.shape} of {state.dtype}", "Make one with a seed."))
    if name not in ("uniform", "normal", "bernoulli"):
        raise ValueError(explain("'uniform', 'normal' or 'bernoulli'", repr(name), "Check the spelling."))
    z = empty(shape, dtype)
    with _drawing:  # the kernel reads the state and moves it on, without Python's lock
        call(name + real_suffix(name, (dtype,)), (state, z), z.size, a, b)
    return z


_drawing = threading.Lock()


def all_finite(x: Array) -> bool:
    """Whether a float32 or float64 array holds neither infinity nor NaN."""
    return int(call("first_nonfinite" + real_suffix("all_finite", (x.dtype,)), (contiguous(x),), x.size)) < 0


def must_be_finite(x: Array) -> None:
    """Raise NonFiniteError if a float32 or float64 array holds infinity or NaN; a replay stops there, too."""
    if not all_finite(x):
        raise NonFiniteError(explain("finite numbers", "infinity or NaN", "Check the data, or lower the learning rate."))


def weighted_sum(weights: list[float], inputs: list[float], bias: float) -> float:
    """bias + Σ weights[i] inputs[i], for as many inputs as weights."""
    if len(weights) != len(inputs):
        raise ValueError(explain(f"{len(weights)} inputs", len(inputs), "Give each input its weight."))
    return float(machine.active.kernel("weighted_sum")(weights, inputs, len(weights), bias))
