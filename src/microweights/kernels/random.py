"""Random numbers from a stream, whose state is a key and a counter."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from ..errors import explain
from .plans import UINT64, Array, Shape, call, empty, real_suffix

__all__ = ["new_random_state", "random"]


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
