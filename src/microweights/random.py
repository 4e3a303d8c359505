"""One seed for everything random: initial weights, dropout, the order of the data."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from .errors import explain
from .kernels import door
from .tensor import Array, Tensor

_state = door.new_random_state(int.from_bytes(os.urandom(8), "little"))


def seed(n: int) -> None:
    """Start the random numbers of the whole library anew: the same seed gives the same bits, on any number of threads.

    Raises
    ------
    ValueError
        If `n` is not an integer from 0 to 2⁶⁴ - 1.
    """
    if n is None:
        raise ValueError(explain("a seed that is an integer from 0 to 2**64 - 1", None, "Give such an integer."))
    door.refuse("a new seed")
    _state[...] = new_state(n)


def common() -> Array:
    """The state of the library's common stream."""
    return _state


def new_state(n: int | None) -> Array:
    """A stream of its own for a seed; None gives the common one."""
    if n is None:
        return _state
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or not 0 <= n < 2**64:
        raise ValueError(explain("a seed that is an integer from 0 to 2**64 - 1", repr(n), "Give such an integer."))
    return door.new_random_state(int(n))


def uniform(shape: tuple[int, ...], low: float, high: float, dtype: np.dtype[Any], state: Array) -> Array:
    """Numbers uniform in [low, high)."""
    return door.random("uniform", state, shape, dtype, low, high)


def normal(shape: tuple[int, ...], mean: float, deviation: float, dtype: np.dtype[Any], state: Array) -> Array:
    """Normally distributed numbers."""
    return door.random("normal", state, shape, dtype, mean, deviation)


def dropout_mask(shape: tuple[int, ...], rate: float, dtype: np.dtype[Any], state: Array) -> Tensor:
    """0 with probability `rate`, else 1 / (1 - rate), so that the mean stays 1."""
    return Tensor(door.random("bernoulli", state, shape, dtype, 1 - rate, 1 / (1 - rate)))


def permutation(n: int, state: Array | None = None) -> Array:
    """0 .. n - 1 in random order, as int64."""
    high, low = map(int, door.random("uniform", _state if state is None else state, (2,), door.FLOAT64, 0, 2**53))
    return np.random.Generator(np.random.Philox(high >> 26 << 26 | low >> 27)).permutation(n)
